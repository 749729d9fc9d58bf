//! The bytes of a new COW file.

use crate::{
    Error, Result,
    cow::{Disk, recorded::Record},
    error::{Refusal, RefusalKind},
};
use ebbtide_format::uml_cow::{self, Header, Seen};
use std::{fs::File, io, os::unix::fs::FileExt as _};

/// A COW file that is to be made.
pub(in crate::cow) struct New {
    head: Vec<u8>,
    length: u64,
}

impl New {
    /// Returns what is to be written of one over that backing.
    pub(in crate::cow) fn over(backing: &Disk) -> Result<Self> {
        let record = Record::of(backing)?;
        let refused = |text| Error::from(Refusal::new(RefusalKind::Unable, text));
        let impossible = |problem| {
            let path = record.path.display();
            refused(format!("a COW file cannot be written over {path}: it {problem}"))
        };
        let head =
            uml_cow::head(record.bytes(), record.modified, backing.size).map_err(impossible)?;
        let header = Seen::parse(&head).and_then(Seen::believe).map_err(impossible)?;
        // `int *data_offset_out` in the kernel's arch/um/drivers/cow.h, and in uml_mkcow, which makes a file that is too short.
        if i32::try_from(header.data()).is_err() {
            return Err(refused(format!(
                "{} has {}, and user-mode Linux cannot use a COW file over 8 TiB or more",
                backing.path.display(),
                backing.size
            )));
        }
        let length = header.end();
        Ok(Self { head, length })
    }

    /// Returns the header.
    pub(in crate::cow) fn header(&self) -> Option<Header<'_>> {
        Seen::parse(&self.head).ok()?.believe().ok()
    }

    /// Makes an empty file a COW file in which nothing is written.
    pub(in crate::cow) fn fill(&self, file: &File) -> io::Result<()> {
        file.set_len(self.length)?;
        file.write_all_at(&self.head, 0)
    }
}
