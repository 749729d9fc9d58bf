//! A marker as text.

use super::{EARLIER, Earlier, Identity, MOST, Marker, State};
use crate::{Error, Result, record};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// The newest format of markers, and the only one.
const FORMAT: u32 = 1;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    format: u32,
    state: Word,
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<Timestamp>,
    cow_format: String,
    cow: Identity,
    backing: Identity,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<Identity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<EarlierText>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    Merging,
    Merged,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EarlierText {
    at: Timestamp,
    cow: Identity,
}

/// Reads a marker. `file` is for messages.
pub(super) fn parse(text: &[u8], file: &Path) -> Result<Marker> {
    let unreadable = |problem: String| Error::Unreadable { path: file.into(), problem };
    if text.len() as u64 > MOST {
        return Err(unreadable(format!("wanted a marker of at most {MOST} bytes, found more")));
    }
    let text: Text = record::parse(text, file, FORMAT)?;
    if text.format != FORMAT {
        return Err(unreadable(format!("wanted format {FORMAT}, found {}", text.format)));
    }
    let state = match (text.state, text.at, text.after) {
        (Word::Merging, None, None) => State::Merging,
        (Word::Merged, Some(at), Some(after)) => State::Merged { at, after },
        (Word::Merging, ..) => {
            return Err(unreadable("its state is \"merging\", and it says how that ended".into()));
        }
        (Word::Merged, ..) => {
            return Err(unreadable("its state is \"merged\"; wanted `at` and [after]".into()));
        }
    };
    let earlier = text.earlier.into_iter().map(|one| Earlier { cow: one.cow, at: one.at });
    Ok(Marker {
        state,
        cow: text.cow,
        format: text.cow_format,
        backing: text.backing,
        earlier: earlier.collect(),
    })
}

/// Returns the text of a marker; of merges before, it has the newest ones.
pub(super) fn print(marker: &Marker, file: &Path) -> Result<Vec<u8>> {
    let (state, at, after) = match &marker.state {
        State::Merging => (Word::Merging, None, None),
        State::Merged { at, after } => (Word::Merged, Some(*at), Some(after.clone())),
    };
    let earlier = marker.earlier.iter().skip(marker.earlier.len().saturating_sub(EARLIER));
    let text = Text {
        format: FORMAT,
        state,
        at,
        cow_format: marker.format.clone(),
        cow: marker.cow.clone(),
        backing: marker.backing.clone(),
        after,
        earlier: earlier.map(|one| EarlierText { at: one.at, cow: one.cow.clone() }).collect(),
    };
    record::print(&text, file)
}
