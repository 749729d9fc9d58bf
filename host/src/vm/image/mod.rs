//! An image of somebody else, taken into the pool as a raw one.

mod format;
mod program;

use self::format::{Format, HEAD, probe};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::{
        step::{self, Step},
        store::{Progress, Store},
    },
};
use ebbtide_format::units::Bytes;
use std::{
    fs::{self, File},
    io::Read as _,
    os::unix::fs::FileTypeExt as _,
    path::Path,
};

/// What sizes of disks are multiples of.
const SECTOR: u64 = 512;

/// Makes `to` a raw image with the content of the disk that `outside` is an image of. A size that is no multiple of a
/// sector is rounded up, as engines do with it. Not durable yet.
///
/// # Errors
/// The image is empty, or leads to other files; a program that it needs is missing or fails.
pub(super) fn take_in(
    store: &dyn Store,
    outside: &Path,
    to: &Path,
    progress: &mut dyn Progress,
) -> Result<()> {
    let outside = &std::path::absolute(outside)
        .map_err(Error::doing(format!("find {}", outside.display())))?;
    match format_of(outside)? {
        Format::Raw => {
            let step = Step::TakeIn { outside: outside.clone(), to: to.into() };
            step::apply(&[step], store, progress)?;
        }
        Format::Image(format) => {
            make_empty(store, to)?;
            program::convert(outside, format, &store.real(to), progress)?;
        }
        Format::Packed(packer) => unpack(store, outside, packer, to, progress)?,
    }
    round_up(store, outside, to)
}

/// Unpacks an image beside `to`, and takes in what that is.
fn unpack(
    store: &dyn Store,
    outside: &Path,
    packer: &'static str,
    to: &Path,
    progress: &mut dyn Progress,
) -> Result<()> {
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let unpacked = to.with_file_name(format!("{name}.aside-unpacked"));
    make_empty(store, &unpacked)?;
    let real = store.real(&unpacked);
    program::unpack(outside, packer, &real, progress)?;
    let format = format_of(&real).map_err(|error| match error {
        Error::Refused(refusal) => Error::Refused(Refusal {
            text: format!("{}, unpacked: {}", outside.display(), refusal.text),
            ..refusal
        }),
        error => error,
    })?;
    match format {
        Format::Raw => {
            step::apply(&[Step::Rename { from: unpacked, to: to.into() }], store, progress)
        }
        Format::Image(format) => {
            make_empty(store, to)?;
            program::convert(&real, format, &store.real(to), progress)?;
            step::apply(&[Step::Remove(unpacked)], store, progress)
        }
        Format::Packed(_) => {
            let text = format!("{} is packed twice", outside.display());
            Err(Refusal::new(RefusalKind::Rule, text).hint("unpack it once, and give that").into())
        }
    }
}

/// Makes the file that a program fills: only its owner may read it.
fn make_empty(store: &dyn Store, path: &Path) -> Result<()> {
    let step = Step::MakeImage { path: path.into(), size: Bytes(0) };
    step::apply(&[step], store, &mut crate::pool::store::Unseen)
}

fn format_of(image: &Path) -> Result<Format> {
    let found =
        fs::metadata(image).map_err(Error::doing(format!("look at {}", image.display())))?;
    // Opening a pipe would wait for somebody to write to it.
    if !found.is_file() && !found.file_type().is_block_device() {
        let text = format!("{} is no image; wanted a file or a disk", image.display());
        return Err(Refusal::new(RefusalKind::Invalid, text).into());
    }
    let mut head = Vec::new();
    File::open(image)
        .and_then(|file| file.take(HEAD).read_to_end(&mut head))
        .map_err(Error::doing(format!("read {}", image.display())))?;
    probe(&head).map_err(|refusal| {
        let text = format!("{} is not taken: {}", image.display(), refusal.text);
        Refusal { text, ..refusal }.into()
    })
}

/// Refuses an image of nothing, and rounds the size of others up to whole sectors.
fn round_up(store: &dyn Store, outside: &Path, to: &Path) -> Result<()> {
    let stat = store.stat(to).map_err(Error::doing(format!("look at {}", to.display())))?;
    let size = stat.map_or(0, |stat| stat.size.0);
    if size == 0 {
        let text = format!("{} is an image of 0 bytes", outside.display());
        return Err(Refusal::new(RefusalKind::Invalid, text).into());
    }
    let whole = size.next_multiple_of(SECTOR);
    if whole == size {
        return Ok(());
    }
    let step = Step::Grow { path: to.into(), size: Bytes(whole) };
    step::apply(&[step], store, &mut crate::pool::store::Unseen)
}
