//! An image of somebody else, taken into the pool as a raw one.

mod format;
mod program;

use self::format::{Format, HEAD, probe};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::{
        protocol::import,
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

/// Makes `to` a raw image with the content of the disk that `outside` is an image of. A size that is no multiple of a
/// sector is rounded up, as engines do with it. Not durable yet.
///
/// # Errors
/// The image is empty, leads to other files, or changes while it is read; a program that it needs is missing or fails.
pub(super) fn take_in(
    store: &dyn Store,
    outside: &Path,
    to: &Path,
    progress: &mut dyn Progress,
) -> Result<()> {
    let outside = &std::path::absolute(outside)
        .map_err(Error::doing(format!("find {}", outside.display())))?;
    let name = to.file_name().unwrap_or_default().to_string_lossy();
    let aside = to.with_file_name(format!("{name}.aside-image"));
    let seen_as = take_aside(store, outside, &aside, progress)?;
    // Nobody else writes to that, so what is converted is what was looked at: an image that its owner can make another
    // one in between could lead qemu-img to any file of this host.
    let real = store.real(&aside);
    match format_of(&real, &seen_as)? {
        Format::Raw => {
            step::apply(&[Step::Rename { from: aside, to: to.into() }], store, progress)?;
        }
        Format::Image(format) => {
            make_empty(store, to)?;
            program::convert(&real, format, &store.real(to), progress)?;
            step::apply(&[Step::Remove(aside)], store, progress)?;
        }
        Format::Packed(_) => {
            let text = format!("{seen_as} is packed once more");
            let refusal = Refusal::new(RefusalKind::Rule, text);
            return Err(refusal.hint("unpack it, and give that").into());
        }
    }
    round_up(store, outside, to)
}

/// Takes an image in as it is, unpacked if it is packed; returns what to call that.
fn take_aside(
    store: &dyn Store,
    outside: &Path,
    aside: &Path,
    progress: &mut dyn Progress,
) -> Result<String> {
    let shown = outside.display().to_string();
    if let Format::Packed(packer) = format_of(outside, &shown)? {
        make_empty(store, aside)?;
        program::unpack(outside, packer, &store.real(aside), progress)?;
        return Ok(format!("{shown}, unpacked,"));
    }
    let step = Step::TakeIn { outside: outside.into(), to: aside.into() };
    step::apply(&[step], store, progress)?;
    Ok(shown)
}

/// Makes the file that a program fills: only its owner may read it.
fn make_empty(store: &dyn Store, path: &Path) -> Result<()> {
    let step = Step::MakeImage { path: path.into(), size: Bytes(0) };
    step::apply(&[step], store, &mut crate::pool::store::Unseen)
}

/// Returns the format of an image, which a refusal calls `shown`.
fn format_of(image: &Path, shown: &str) -> Result<Format> {
    let found =
        fs::metadata(image).map_err(Error::doing(format!("look at {}", image.display())))?;
    // Opening a pipe would wait for somebody to write to it.
    if !found.is_file() && !found.file_type().is_block_device() {
        let text = format!("{shown} is no image; wanted a file or a disk");
        return Err(Refusal::new(RefusalKind::Invalid, text).into());
    }
    let mut head = Vec::new();
    File::open(image)
        .and_then(|file| file.take(HEAD).read_to_end(&mut head))
        .map_err(Error::doing(format!("read {}", image.display())))?;
    probe(&head).map_err(|refusal| {
        let text = format!("{shown} is not taken: {}", refusal.text);
        Refusal { text, ..refusal }.into()
    })
}

/// Refuses an image of nothing, and rounds the size of others up to whole sectors.
fn round_up(store: &dyn Store, outside: &Path, to: &Path) -> Result<()> {
    let stat = store.stat(to).map_err(Error::doing(format!("look at {}", to.display())))?;
    let size = stat.map_or(0, |stat| stat.size.0);
    if size == 0 {
        return Err(import::empty(outside).into());
    }
    let whole = size.next_multiple_of(import::SECTOR);
    if whole == size {
        return Ok(());
    }
    let step = Step::Grow { path: to.into(), size: Bytes(whole) };
    step::apply(&[step], store, &mut crate::pool::store::Unseen)
}
