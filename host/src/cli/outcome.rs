//! What a stop or a commit came to, as it is printed.

use super::{
    Context, out,
    shown::{RevisionShown, revision_name},
};
use ebbtide::{Result, name::VolumeId, pool::driver::Outcome};
use serde::Serialize;

/// What a stop or a commit came to.
#[derive(Debug, Serialize)]
struct OutcomeShown {
    volume: String,
    outcome: &'static str,
    kept_as: Option<RevisionShown>,
}

impl OutcomeShown {
    fn new(id: &VolumeId, outcome: Outcome) -> Self {
        let (word, kept_as) = match outcome {
            Outcome::Committed(kept) => ("committed", kept.map(Into::into)),
            Outcome::Unchanged => ("unchanged", None),
            Outcome::Kept => ("kept", None),
            Outcome::Discarded => ("discarded", None),
            Outcome::Forgotten => ("forgotten", None),
        };
        Self { volume: id.to_string(), outcome: word, kept_as }
    }
}

/// Returns a sentence about what a stop or a commit came to; none about what never keeps anything.
fn sentence(id: &VolumeId, outcome: Outcome) -> Option<String> {
    Some(match outcome {
        Outcome::Committed(Some(kept)) => {
            format!("{id}: new version; the one before is kept as {}", revision_name(kept))
        }
        Outcome::Committed(None) => format!("{id}: new version"),
        Outcome::Unchanged => format!("{id}: nothing was written"),
        Outcome::Kept => format!("{id}: what was written stays uncommitted"),
        Outcome::Discarded => format!("{id}: what was written is dropped"),
        Outcome::Forgotten => return None,
    })
}

/// Prints what became of volumes.
pub(crate) fn print(context: &Context, outcomes: &[(VolumeId, Outcome)]) -> Result<()> {
    if context.json {
        let shown: Vec<_> =
            outcomes.iter().map(|(id, outcome)| OutcomeShown::new(id, *outcome)).collect();
        return out::json(&shown);
    }
    let lines = outcomes.iter().filter_map(|(id, outcome)| sentence(id, *outcome));
    out::text(&lines.map(|line| line + "\n").collect::<String>())
}
