//! Starts and stops, contestants in turn: the first of a template, the second, and one more where many run.

use super::{
    Result,
    around::{ALONE, FIRST, MORE, SECOND, SHARED},
    contestants::{ALL, Hands, Who},
};
use std::{path::Path, time::Instant};

/// What is done one after the other, so that it all ends as it began.
pub(crate) const OPERATIONS: [(&str, bool, &str, &str); 6] = [
    ("first-start", true, FIRST, ALONE),
    ("second-start", true, SECOND, ALONE),
    ("second-stop", false, SECOND, ALONE),
    ("last-stop", false, FIRST, ALONE),
    ("start-of-one-more", true, MORE, SHARED),
    ("stop-of-one-more", false, MORE, SHARED),
];

/// Says `took WHO DISKS AROUND WHAT NANOSECONDS` of each. Who is first changes each round.
pub(crate) fn measure(
    dir: &Path,
    around: usize,
    round: usize,
    ebbtide: &str,
    peer: &str,
) -> Result<()> {
    let hands = Hands::new(dir, ebbtide, peer)?;
    let mut order: Vec<Who> = ALL.into();
    if round % 2 == 1 {
        order.reverse();
    }
    for who in order {
        for (what, start, name, template) in OPERATIONS {
            let work = hands.ready(who, start, name, template)?;
            let began = Instant::now();
            work().map_err(|error| format!("{} {what}: {error}", who.name()))?;
            println!("took {} {around} {what} {}", who.name(), began.elapsed().as_nanos());
        }
    }
    Ok(())
}
