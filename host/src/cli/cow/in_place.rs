//! `ebbtide cow merge --in-place`: what came of it, as it is printed.

use super::merged_shown::how;
use crate::cli::{Context, human, out, printable::printable, progress::Bar};
use ebbtide::{
    Result,
    cow::in_place::{self, Merged, Outcome},
};
use jiff::Timestamp;
use serde::Serialize;
use std::path::{Path, PathBuf};

/// A merge in place, be it one that was done before.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(serialize_with = "out::path")]
    cow: PathBuf,
    #[serde(serialize_with = "out::path")]
    backing: PathBuf,
    /// `merged`, or `already` when nothing was left to do.
    outcome: &'static str,
    /// When the merge ended.
    at: Timestamp,
    /// Whether it was finished after a cut.
    finished: bool,
    /// Bytes.
    cloned: u64,
    /// Bytes.
    copied: u64,
    /// COW files that are worthless now.
    #[serde(serialize_with = "out::paths")]
    given_up: Vec<PathBuf>,
    /// Other names of the backing, which have it too.
    other_names: u64,
    /// The COW file whose later merge it went over.
    over: Option<String>,
}

pub(super) fn run(context: &Context, wanted: &in_place::Options<'_>) -> Result<()> {
    let mut bar = Bar::new(format!("merge {}", wanted.cow.display()));
    let outcome = in_place::merge_in_place(wanted, &mut bar)?;
    drop(bar);
    if context.json {
        return out::json(&Shown::new(wanted.cow.into(), outcome));
    }
    out::line(&printable(&sentence(wanted.cow, &outcome)))?;
    if let Outcome::Merged(merged) = &outcome {
        say_lost(wanted.cow, merged);
    }
    Ok(())
}

/// Says what was given up.
fn say_lost(cow: &Path, merged: &Merged) {
    let Merged { backing, others, is_outdated, names, over, .. } = merged;
    let (cow, backing) = (cow.display(), backing.display());
    if let Some(over) = over {
        out::say(&format!("it went over the merge of {}", over.display()));
    }
    match names {
        0 => {}
        1 => out::say(&format!("another name of {backing} changed too")),
        _ => out::say(&format!("{names} other names of {backing} changed too")),
    }
    for other in others {
        let path = other.path.display();
        out::say(&match other.doubt {
            None => format!("{path} is worthless now"),
            Some(_) => format!("{path} is worthless now if it is a COW file of {backing}"),
        });
    }
    if *is_outdated {
        out::say(&format!(
            "{backing} has a new time, so that no COW file is taken to fit: to go on with {cow}, 'ebbtide cow move --mtime record {cow} {backing}'"
        ));
    }
}

fn sentence(cow: &Path, outcome: &Outcome) -> String {
    let cow = cow.display();
    match outcome {
        Outcome::Already { backing, at } => {
            let (backing, at) = (backing.display(), human::time(*at));
            format!("{cow} was merged into {backing} at {at}; nothing to do")
        }
        Outcome::Merged(Merged { backing, is_again, done, .. }) => {
            let did = if *is_again { "finished what was cut off: " } else { "" };
            let (whole, backing) = (human::size(done.bytes()), backing.display());
            let how = how(done);
            format!("{cow}: {did}{whole} merged into {backing}{how}")
        }
    }
}

impl Shown {
    fn new(cow: PathBuf, outcome: Outcome) -> Self {
        match outcome {
            Outcome::Already { backing, at } => Self {
                cow,
                backing,
                outcome: "already",
                at,
                finished: false,
                cloned: 0,
                copied: 0,
                given_up: Vec::new(),
                other_names: 0,
                over: None,
            },
            Outcome::Merged(merged) => Self {
                cow,
                backing: merged.backing,
                outcome: "merged",
                at: merged.at,
                finished: merged.is_again,
                cloned: merged.done.cloned.0,
                copied: merged.done.copied.0,
                given_up: merged.others.into_iter().map(|other| other.path).collect(),
                other_names: merged.names,
                over: merged.over.map(|path| path.to_string_lossy().into_owned()),
            },
        }
    }
}
