//! Each operation once, between two marks in the trace of a tracer: a look at a path that is nowhere.

use super::{
    Result, image, many,
    ours::{self, Ours},
    plain::Plain,
    shape::SHAPES,
    turns::Protocol,
};
use ebbtide::{
    pool::Pool,
    vm::{self, NewVm},
};
use std::{fs, path::Path};

/// Where the marks are: `MARKS/begin/WHAT`, `MARKS/end`.
const MARKS: &str = "/ebbtide-bench";

/// Does them in `dir`.
pub(crate) fn run(dir: &Path) -> Result<()> {
    let image = image::make(dir, SHAPES[0])?;
    let pool = ours::pool(&dir.join("pool"), 1)?;
    let ours = Ours::make(&pool, "debian", &image)?;
    let plain = Plain::make(&dir.join("plain"), &image, 1)?;
    for protocol in [&ours as &dyn Protocol, &plain] {
        // Twice before it is counted: from then on each commit has a version to remove.
        for round in 0..3 {
            protocol.afterwards()?;
            let counted = round == 2;
            let dirty = marked(counted, protocol, "template start", || protocol.start_template())?;
            image::edit(&dirty, round)?;
            marked(counted, protocol, "commit", || protocol.commit())?;
            marked(counted, protocol, "after the commit", || protocol.afterwards())?;
        }
        marked(true, protocol, "root start", || protocol.start_root())?;
        marked(true, protocol, "root stop", || protocol.stop_root())?;
    }
    vms(&pool)
}

fn vms(pool: &Pool) -> Result<()> {
    let template = "debian".parse()?;
    let (first, second) = (many::name(0)?, many::name(1)?);
    vm::create(pool, &first, &NewVm::new(template))?;
    between("ours AppVM clone", || Ok(vm::clone(pool, &first, &second)?))?;
    let new = NewVm::new("debian".parse()?);
    between("ours AppVM create", || Ok(vm::create(pool, &many::name(2)?, &new)?))?;
    between("ours AppVM prepare", || many::prepare(pool, &first))?;
    between("ours AppVM release", || many::release(pool, &first))?;
    between("ours list of 5", || Ok(vm::list(pool)?))?;
    Ok(())
}

fn marked<T>(
    counted: bool,
    protocol: &dyn Protocol,
    what: &str,
    work: impl FnOnce() -> Result<T>,
) -> Result<T> {
    if counted { between(&format!("{} {what}", protocol.name()), work) } else { work() }
}

fn between<T>(what: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    let _ = fs::exists(format!("{MARKS}/begin/{what}"));
    let done = work();
    let _ = fs::exists(format!("{MARKS}/end"));
    done
}
