//! What a file is that is no COW file.

use super::Disk;
use crate::{
    Error, Result,
    error::{Refusal, RefusalKind},
    file::next_data,
};
use ebbtide_format::signature::{self, Content, Probed};
use std::{io, ops::Range, os::unix::fs::FileExt as _};

/// How much is read at once.
const PIECE: usize = 1 << 20;

/// Returns whether all of it is zeros; where it begins otherwise, no more is read.
pub(super) fn is_blank(disk: &Disk) -> Result<bool> {
    let begins_so = disk.size.0 != 0 && content(disk)? == Content::Blank;
    Ok(begins_so && is_zero(disk, 0..disk.size.0)?)
}

/// Returns whether a part of it is zeros; holes are not read, and what follows the first other byte neither.
pub(super) fn is_zero(disk: &Disk, window: Range<u64>) -> Result<bool> {
    first_data(disk, window).map_err(failed(disk))
}

fn first_data(disk: &Disk, window: Range<u64>) -> io::Result<bool> {
    let mut piece = vec![0; PIECE];
    let mut at = window.start;
    while let Some(data) = next_data(&disk.file, at..window.end)? {
        at = data.start;
        while at < data.end {
            let length = usize::try_from(data.end - at).map_or(PIECE, |left| left.min(PIECE));
            disk.file.read_exact_at(&mut piece[..length], at)?;
            if piece[..length].iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
            at += length as u64;
        }
    }
    Ok(true)
}

/// Returns why it is no COW file.
pub(super) fn refusal(disk: &Disk) -> Result<Refusal> {
    let is = match content(disk)? {
        _ if disk.size.0 == 0 => "it is empty".into(),
        Content::Blank => "it begins with zeros, and holds something after them".into(),
        Content::FileSystem(found) => format!("it is an image with {}", found.kind.word()),
        Content::Other(name) => {
            format!("it is {}", name.strip_suffix(", attached as raw").unwrap_or(name))
        }
        Content::Several(one, other) => format!("it is {one} and {other} at once"),
        Content::Remains { of, .. } => format!("it holds remains of {}", of.word()),
        Content::BeingFormatted => "it is a private disk that was about to be formatted".into(),
        Content::Unknown { .. } => "nothing that is known begins like that".into(),
    };
    let text = format!("{} is no COW file: {is}", disk.path.display());
    let refusal = Refusal::new(RefusalKind::Rule, text);
    Ok(refusal.hint(
        "wanted a COW file of user-mode Linux, a persistent exception store of dm-snapshot, or a volatile disk with one",
    ))
}

fn content(disk: &Disk) -> Result<Content> {
    let mut probed = Probed::new(disk.size);
    for range in signature::ranges(disk.size) {
        // Both are offsets of a few MiB at most from each other.
        let mut bytes = vec![0; usize::try_from(range.end - range.start).unwrap_or_default()];
        disk.file.read_exact_at(&mut bytes, range.start).map_err(failed(disk))?;
        probed.add(range.start, bytes);
    }
    Ok(signature::classify(&probed))
}

fn failed(disk: &Disk) -> impl FnOnce(io::Error) -> Error {
    Error::doing(format!("read {}", disk.path.display()))
}
