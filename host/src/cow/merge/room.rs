//! What will newly be allocated, and whether there is room for it.

use super::nonzero::nonzero;
use crate::{
    Error, Result,
    cow::{
        Disk, Kind, Sharing,
        free::free,
        transfer::{Part, Zeros, block, split::copied},
    },
    error::{Refusal, RefusalKind},
    file::cannot_share,
};
use ebbtide_format::units::Bytes;
use ebbtide_sys::reflink;
use std::path::Path;

/// What a new file will need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::cow) struct Room {
    /// Bytes that are brought, cloned or copied.
    pub(in crate::cow) whole: Bytes,
    /// Those of them that are copied, as many as can be.
    pub(in crate::cow) new: Bytes,
}

impl Room {
    /// Looks whether there is room for parts, as if each that may be cloned could be: that needs none. Where there would not
    /// be, and zeros are left out, all that is copied is read for what is not zeros.
    ///
    /// # Errors
    /// There is less; the first that a part gave.
    pub(in crate::cow) fn find<'a, P: Iterator<Item = Result<Part<'a>>>>(
        parts: impl Fn() -> Result<P>,
        to: &Disk,
        zeros: Zeros,
    ) -> Result<Self> {
        Self::within(free(to)?, parts, to, zeros)
    }

    fn within<'a, P: Iterator<Item = Result<Part<'a>>>>(
        free: Bytes,
        parts: impl Fn() -> Result<P>,
        to: &Disk,
        zeros: Zeros,
    ) -> Result<Self> {
        let block = block(to)?;
        let room = Self::of(parts()?, block, to)?;
        let is_enough = room.new <= free
            || zeros == Zeros::LeftOut && nonzero(parts()?, to, block, free.0)? <= free.0;
        if is_enough {
            return Ok(room);
        }
        let (out, new) = (to.path.display(), room.new);
        let text = format!(
            "{out} needs more than the {free} that its file system has free: up to {new} cannot be cloned"
        );
        Err(Refusal::new(RefusalKind::Unable, text).hint("make room first").into())
    }

    /// Counts parts.
    fn of<'a>(
        mut parts: impl Iterator<Item = Result<Part<'a>>>,
        block: Option<u64>,
        to: &Disk,
    ) -> Result<Self> {
        parts.try_fold(Self::default(), |room, part| {
            let part = part?;
            let new = copied(&part, block, to.size).into_iter().flatten();
            let new: u64 = new.map(|run| run.length).sum();
            Ok(Self { whole: Bytes(room.whole.0 + part.run.length), new: Bytes(room.new.0 + new) })
        })
    }
}

/// Returns whether a new file, which is empty and will be, can share extents with another.
///
/// # Errors
/// The kernel's, but for those that say that it cannot.
pub(in crate::cow) fn can_share(from: &Disk, to: &Disk, sharing: Sharing) -> Result<bool> {
    let Some(block) = block(to)? else { return Ok(false) };
    let length = block.min(from.size.0);
    if sharing == Sharing::Never || from.kind == Kind::Device || length == 0 {
        return Ok(false);
    }
    match reflink::clone_range(&from.file, 0, length, &to.file, 0) {
        Ok(()) => empty(to).map(|()| true),
        Err(error) if cannot_share(&error) => {
            log::debug!("{} is copied, not cloned: {error}", from.path.display());
            Ok(false)
        }
        Err(error) => Err(clones(from, &to.path)(error)),
    }
}

/// Takes all content away.
pub(super) fn empty(to: &Disk) -> Result<()> {
    let doing = format_args!("empty {}", to.path.display());
    to.file.set_len(0).map_err(Error::doing(doing))
}

/// Returns a function that names a clone that failed.
pub(super) fn clones(from: &Disk, to: &Path) -> impl FnOnce(std::io::Error) -> Error {
    Error::doing(format!("clone {} to {}", from.path.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::Run;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn zeros_that_are_left_out_need_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let (path, mib) = (dir.path().join("cow"), 1 << 20);
        std::fs::write(&path, vec![0; 3 << 20]).unwrap();
        let file = std::fs::File::options().write(true).open(&path).unwrap();
        file.write_all_at(b"x", mib + 4096 * 3).unwrap();
        file.write_all_at(b"x", 2 * mib + 4096 * 5).unwrap();
        let from = Disk::open(&path).unwrap();
        let to = Disk::of(&dir.path().join("out"), tempfile::tempfile().unwrap()).unwrap();
        let parts = || {
            let runs = [(0, 0, mib), (5 * mib, mib, 2 * mib)];
            Ok(runs.into_iter().map(|(at, at_from, length)| {
                let run = Run { at, from: at_from, length };
                Ok(Part { run, from: &from, sharing: Sharing::Never })
            }))
        };
        let within = |free, zeros| Room::within(Bytes(free), parts, &to, zeros);
        let whole = Bytes(3 * mib);
        assert_eq!(within(8192, Zeros::LeftOut).unwrap(), Room { whole, new: whole });
        within(3 * mib, Zeros::Written).unwrap();
        for (free, zeros) in [(8191, Zeros::LeftOut), (3 * mib - 1, Zeros::Written)] {
            let error = within(free, zeros).unwrap_err().to_string();
            assert!(error.contains("more than the") && error.contains("up to 3 MiB"), "{error}");
        }
    }
}
