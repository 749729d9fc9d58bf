//! The object that `ebbtide-init status --json` prints against the list of its keys in the manual.

use crate::{
    page::{Page, items},
    source,
};
use std::collections::BTreeSet;

/// What writes one key of the object.
const WRITERS: [&str; 6] = ["text", "number", "flag", "tenths", "object", "list"];

#[test]
fn every_key_of_the_status_is_in_the_manual_and_no_other() {
    let source = source::file("report.rs");
    let code = source.split("#[cfg(test)]").next().unwrap_or_default();
    let mut written = BTreeSet::new();
    for writer in WRITERS {
        let call = format!("o.{writer}(\"");
        let keys = code.split(&call).skip(1).filter_map(|rest| rest.split('"').next());
        written.extend(keys.map(str::to_owned));
    }
    let commands = items(Page::read("ebbtide-init.8").section("COMMANDS"));
    let status = commands.iter().find(|item| item.head.iter().any(|word| word == "status"));
    let status = &status.expect("the command").text;
    let told = status.iter().filter_map(|line| line.strip_prefix(".It Li "));
    let told: BTreeSet<_> =
        told.filter_map(|key| key.rsplit('.').next()).map(str::to_owned).collect();
    assert_eq!(told, written);
}
