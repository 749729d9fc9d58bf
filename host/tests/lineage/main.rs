//! Clones, versions, and VMs that go when nothing refers to them: cut at every change, and in random order against a model
//! of the rules.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod cuts;
mod dm;
mod instances;
mod kinds;
#[path = "../mapped/mod.rs"]
mod mapped;
mod model;
mod orders;
mod places;
mod played;
#[path = "../pools/mod.rs"]
mod pools;
mod saved_on;

use ebbtide::pool::{Pool, check, repair};

/// A pool with nothing to mend or to decide.
#[track_caller]
pub(crate) fn is_whole(pool: &Pool) {
    let report = check::check(pool).unwrap();
    let wrong: Vec<String> = report
        .findings
        .iter()
        .filter(|finding| finding.severity() != check::Severity::Note)
        .map(ToString::to_string)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

/// The same after a cut, which may leave what a repair removes.
#[track_caller]
pub(crate) fn is_mended(pool: &Pool) {
    let repaired = repair::repair(pool).unwrap();
    assert!(repaired.is_clean(), "{:?}", repaired.left);
}
