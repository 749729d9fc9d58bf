//! Each operation once, between two marks in the trace of a tracer: a look at a path that is nowhere.

use super::{
    Result,
    contestants::{ALL, Hands},
    turns::OPERATIONS,
};
use std::{fs, path::Path};

/// Where the marks are: `MARKS/begin/WHAT`, `MARKS/end`.
const MARKS: &str = "/ebbtide-bench";

/// Does those of one contestant; each is known by `WHO DISKS AROUND WHAT`.
pub(crate) fn run(dir: &Path, around: usize, who: &str, ebbtide: &str, peer: &str) -> Result<()> {
    let hands = Hands::new(dir, ebbtide, peer)?;
    let who = ALL.into_iter().find(|one| one.name().replace(' ', "-") == who);
    let who = who.ok_or("there is no such contestant")?;
    for (what, start, name, template) in OPERATIONS {
        let work = hands.ready(who, start, name, template)?;
        let _ = fs::exists(format!("{MARKS}/begin/{} {around} {what}", who.name()));
        let done = work();
        let _ = fs::exists(format!("{MARKS}/end"));
        done?;
    }
    Ok(())
}
