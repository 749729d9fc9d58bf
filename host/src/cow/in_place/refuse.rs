//! Why a merge in place is not done, as the reader is told.

use super::decide::Why;
use crate::{
    cow::{
        marker::{Marker, State},
        others::Other,
    },
    error::{Refusal, RefusalKind},
};
use jiff::Timestamp;
use std::path::Path;

/// What sentences are about.
pub(super) struct About<'a> {
    pub(super) cow: &'a Path,
    pub(super) backing: &'a Path,
    /// Where the marker is, or would be.
    pub(super) file: &'a Path,
    pub(super) marker: Option<&'a Marker>,
    /// When the COW file was merged, if it was before the last one.
    pub(super) earlier: Option<Timestamp>,
    pub(super) others: &'a [Other],
    /// Names of the backing.
    pub(super) names: u64,
    /// What is said of a backing that does not fit.
    pub(super) mismatch: Option<Refusal>,
    /// What is said of a COW file over which another merge has gone.
    pub(super) overtaken: Option<Refusal>,
}

/// What goes on all the same.
const FORCE: &str = "--force merges it all the same";

impl About<'_> {
    /// Returns the refusal for all reasons that there are.
    pub(super) fn refusal(&self, why: &[Why]) -> Refusal {
        let mut all: Vec<_> = why.iter().map(|why| self.single(*why)).collect();
        if all.len() == 1 {
            return all.remove(0);
        }
        let texts: Vec<_> = all.iter().map(|one| one.text.clone()).collect();
        let mut hints: Vec<String> = Vec::new();
        for hint in all.into_iter().filter_map(|one| one.hint) {
            // What is done by force is said once, of all.
            let parts = hint.split("; ").filter(|part| !part.starts_with("--force"));
            for part in parts.map(str::to_owned) {
                if !hints.contains(&part) {
                    hints.push(part);
                }
            }
        }
        hints.push("--force goes on in spite of all of this".into());
        Refusal::new(RefusalKind::Rule, texts.join("; ")).hint(hints.join("; "))
    }

    /// Returns the refusal for one reason.
    fn single(&self, why: Why) -> Refusal {
        let (cow, backing) = (self.cow.display(), self.backing.display());
        let (text, hint) = match why {
            Why::UnfinishedOther => return self.unfinished_other(),
            Why::Others => return self.are_named(),
            Why::Differs => return self.differs(&self.mismatch),
            Why::Overtaken => return self.differs(&self.overtaken),
            Why::WrittenMidway => (
                format!("{cow} is not what it was when its merge into {backing} was cut off"),
                "if it was only written to since, --force finishes the merge; if it was made anew, restore the backing file from a copy".into(),
            ),
            Why::ReplacedMidway => (
                format!(
                    "the merge of {cow} was cut off in {}, and {backing} is another",
                    self.was_into().display()
                ),
                "if it is the same device by another name, or was restored to what it was before the merge, --force merges all of it again".into(),
            ),
            Why::ChangedSince => (
                format!(
                    "{cow} was merged into {backing} {}, and {backing} was changed since: merging again would undo what was written since",
                    self.at()
                ),
                format!("remove {cow} if it is not needed; {FORCE}"),
            ),
            Why::Unknowable => (
                format!(
                    "{cow} was merged into {backing} {}; it is a device, so whether it was written to since cannot be seen",
                    self.at()
                ),
                FORCE.into(),
            ),
            Why::MergedEarlier => (
                format!(
                    "{cow} was merged into {backing} {}, and another COW file after it: merging again would undo some of that",
                    self.at()
                ),
                format!("remove {cow} if it is not needed; {FORCE}"),
            ),
            Why::Names => (
                format!("{backing} has {} names (hard links), and what has the others would change too", self.names),
                format!("merge to a new file; {FORCE}"),
            ),
        };
        Refusal::new(RefusalKind::Rule, text).hint(hint)
    }

    fn unfinished_other(&self) -> Refusal {
        self.marker.map_or_else(
            || {
                let text = format!("a merge into {} is unfinished", self.backing.display());
                Refusal::new(RefusalKind::Rule, text)
            },
            |marker| marker.unfinished(self.file),
        )
    }

    fn are_named(&self) -> Refusal {
        let (sure, doubtful): (Vec<_>, Vec<_>) =
            self.others.iter().partition(|other| other.doubt.is_none());
        let sure: Vec<_> = sure.iter().map(|other| other.path.display().to_string()).collect();
        let doubtful: Vec<_> = doubtful
            .iter()
            .map(|Other { path, doubt }| {
                format!("{} ({})", path.display(), doubt.as_deref().unwrap_or_default())
            })
            .collect();
        let backing = self.backing.display();
        let them = if sure.len() == 1 { "another COW file is" } else { "other COW files are" };
        let sure = (!sure.is_empty()).then(|| {
            let list = sure.join(", ");
            format!("{them} written over {backing}, and would be worthless after the merge: {list}")
        });
        let doubtful = (!doubtful.is_empty()).then(|| {
            let list = doubtful.join(", ");
            format!("whether these are COW files of {backing} too cannot be told: {list}")
        });
        let text = sure.into_iter().chain(doubtful).collect::<Vec<_>>().join("; ");
        let hint = "merge to a new file, or merge or remove them first; --force gives them up";
        Refusal::new(RefusalKind::Rule, text).hint(hint)
    }

    fn differs(&self, said: &Option<Refusal>) -> Refusal {
        let (cow, backing) = (self.cow.display(), self.backing.display());
        let text = format!("{cow} was not written over {backing} as it is");
        said.clone().unwrap_or_else(|| Refusal::new(RefusalKind::Rule, text))
    }

    fn was_into(&self) -> &Path {
        self.marker.map_or(self.backing, |marker| &marker.backing.path)
    }

    /// Returns when the COW file was merged: `at TIME`.
    fn at(&self) -> String {
        let last = self.marker.and_then(|marker| match marker.state {
            State::Merged { at, .. } => Some(at),
            State::Merging => None,
        });
        self.earlier.or(last).map_or_else(|| "before".into(), |at| format!("at {at}"))
    }
}
