//! What will newly be allocated, and whether there is room for it.

use crate::{
    Error, Result,
    cow::{
        Disk, Kind, Sharing,
        free::free,
        transfer::{Part, block, split::split},
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
    /// Those of them that are copied.
    pub(in crate::cow) new: Bytes,
}

impl Room {
    /// Counts parts, as if each that may be cloned could be.
    ///
    /// # Errors
    /// The first that a part gave.
    pub(in crate::cow) fn of<'a>(
        parts: impl Iterator<Item = Result<Part<'a>>>,
        to: &Disk,
    ) -> Result<Self> {
        let block = block(to)?;
        parts.map(|part| Ok(Self::of_part(&part?, block, to.size))).try_fold(
            Self::default(),
            |room, part: Result<Self>| {
                let part = part?;
                let (whole, new) = (room.whole.0 + part.whole.0, room.new.0 + part.new.0);
                Ok(Self { whole: Bytes(whole), new: Bytes(new) })
            },
        )
    }

    fn of_part(part: &Part<'_>, block: Option<u64>, size: Bytes) -> Self {
        let run = part.run;
        let middle = match (block, part.sharing) {
            (Some(block), Sharing::WhereItCan) => split(run, block, part.from.size, size).middle,
            _ => None,
        };
        let cloned = middle.map_or(0, |middle| middle.length);
        Self { whole: Bytes(run.length), new: Bytes(run.length - cloned) }
    }

    /// Asserts that there is room for what is copied; what is cloned needs none.
    ///
    /// # Errors
    /// There is less.
    pub(in crate::cow) fn suffices(&self, to: &Disk) -> Result<()> {
        let free = free(to)?;
        if self.new <= free {
            return Ok(());
        }
        let (out, new) = (to.path.display(), self.new);
        let text =
            format!("{out} needs {new} that cannot be cloned; its file system has {free} free");
        Err(Refusal::new(RefusalKind::Unable, text).hint("make room first").into())
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
