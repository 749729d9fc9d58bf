//! The bitmap of a COW file of user-mode Linux, read as it is wanted.
//!
//! In: the file and its header. Out: [`Runs`]. A piece of the bitmap is in memory at a time, and its holes are not read:
//! a file for 16 TiB has 4 GiB of bitmap, of which a file system allocates what was written.

use super::{Disk, Kind, Run, Runs};
use crate::{Error, Result, file::next_data};
use ebbtide_format::uml_cow::{Header, Problem, runs as set_bits};
use std::{ops::Range, os::unix::fs::FileExt as _};

/// Bytes of the bitmap that are read at once.
const PIECE: u64 = 1 << 20;

/// Returns what a COW file holds; [`check`] has found its length to be right.
pub(super) fn runs<'a>(disk: &'a Disk, header: &Header<'_>) -> Runs<'a> {
    let bitmap = header.bitmap();
    Box::new(Reader {
        disk,
        rest: bitmap.clone(),
        bitmap: bitmap.start,
        bits: header.bits(),
        data: header.data(),
        sector: header.sector(),
        size: header.size().0,
        piece: Vec::new(),
        at: 0,
        first: 0,
        last: None,
        is_over: false,
    })
}

/// Looks whether the file is as long as its header says.
pub(super) fn check(disk: &Disk, header: &Header<'_>) -> Result<(), Problem> {
    match disk.kind {
        Kind::File => header.fits(disk.size.0),
        Kind::Device => header.reaches(disk.size.0),
    }
}

struct Reader<'a> {
    disk: &'a Disk,
    /// What is still to be read of the bitmap: bytes of the file.
    rest: Range<u64>,
    /// Where the bitmap begins.
    bitmap: u64,
    bits: u64,
    data: u64,
    sector: u64,
    size: u64,
    /// What was read last. Bits that were returned are cleared.
    piece: Vec<u8>,
    /// The byte of it to go on with, and the sector of its first bit.
    at: usize,
    first: u64,
    /// The run found last, which may go on in the next piece.
    last: Option<Run>,
    is_over: bool,
}

impl Iterator for Reader<'_> {
    type Item = Result<Run>;

    fn next(&mut self) -> Option<Result<Run>> {
        if self.is_over {
            return None;
        }
        let next = self.joined().transpose();
        self.is_over = !matches!(next, Some(Ok(_)));
        next
    }
}

impl Reader<'_> {
    /// Returns the next run in its whole length.
    fn joined(&mut self) -> Result<Option<Run>> {
        while let Some(run) = self.run()? {
            match self.last.replace(run) {
                None => {}
                Some(last) => match last.joined(run) {
                    Some(both) => self.last = Some(both),
                    None => return Ok(Some(last)),
                },
            }
        }
        Ok(self.last.take())
    }

    /// Returns the next run, as far as it is in one piece of the bitmap.
    fn run(&mut self) -> Result<Option<Run>> {
        loop {
            if let Some(sectors) = self.take() {
                return self.in_file(sectors).map(Some);
            }
            if !self.read()? {
                return Ok(None);
            }
        }
    }

    /// Takes the next run out of the piece that is in memory.
    fn take(&mut self) -> Option<Range<u64>> {
        let rest = self.piece.get_mut(self.at..)?;
        let found = set_bits(rest, self.first, self.bits.saturating_sub(self.first)).next()?;
        let bits = found.end - self.first;
        let bytes = usize::try_from(bits / 8).ok()?;
        if let Some(byte) = rest.get_mut(bytes) {
            *byte &= !0 << (bits % 8);
        }
        self.at += bytes;
        self.first += bits - bits % 8;
        Some(found)
    }

    /// Reads the next piece that is not a hole; false when there is none.
    fn read(&mut self) -> Result<bool> {
        let failed = || Error::doing(format!("read the bitmap of {}", self.disk.path.display()));
        let Some(data) = next_data(&self.disk.file, self.rest.clone()).map_err(failed())? else {
            return Ok(false);
        };
        let end = data.end.min(data.start + PIECE);
        self.piece.resize(usize::try_from(end - data.start).unwrap_or_default(), 0);
        self.disk.file.read_exact_at(&mut self.piece, data.start).map_err(failed())?;
        self.at = 0;
        self.first = (data.start - self.bitmap) * 8;
        self.rest.start = end;
        Ok(true)
    }

    /// Returns where sectors are in the file. The last of the device may be a part of one.
    fn in_file(&self, sectors: Range<u64>) -> Result<Run> {
        let at = sectors.start * self.sector;
        let end = (sectors.end * self.sector).min(self.size);
        let run = Run { at, from: self.data + at, length: end - at };
        if run.from + run.length <= self.disk.size.0 {
            return Ok(run);
        }
        let problem = format!(
            "ends after {} bytes, and holds sectors up to byte {} by its bitmap",
            self.disk.size.0,
            run.from + run.length
        );
        Err(Error::Unreadable { path: self.disk.path.clone(), problem })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebbtide_format::{
        uml_cow::{Seen, head},
        units::Bytes,
    };
    use proptest::prelude::*;

    /// A COW file over a device of `size` bytes with these sectors in it.
    fn cow(size: u64, sectors: &[u64]) -> (tempfile::NamedTempFile, Vec<u8>) {
        let head = head(b"/backing", 7, Bytes(size)).unwrap();
        let header = Seen::parse(&head).unwrap().believe().unwrap();
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(header.end()).unwrap();
        for sector in sectors {
            let at = header.bitmap().start + sector / 8;
            let mut byte = [0];
            file.as_file().read_exact_at(&mut byte, at).unwrap();
            file.as_file().write_all_at(&[byte[0] | 1 << (sector % 8)], at).unwrap();
        }
        (file, head)
    }

    fn read(file: &tempfile::NamedTempFile, head: &[u8]) -> Result<Vec<Run>> {
        let header = Seen::parse(head).unwrap().believe().unwrap();
        let disk = Disk::open(file.path()).unwrap();
        assert_eq!(check(&disk, &header), Ok(()));
        runs(&disk, &header).collect()
    }

    /// A device whose bitmap has three pieces and a part of a byte, and a last sector of 100 bytes.
    const SIZE: u64 = (3 * PIECE * 8 + 3) * 512 + 100;
    /// Where its data begins.
    const DATA: u64 = 8192 + 3 * PIECE + 4096;

    fn run(sectors: Range<u64>) -> Run {
        let (at, end) = (sectors.start * 512, (sectors.end * 512).min(SIZE));
        Run { at, from: DATA + at, length: end - at }
    }

    #[test]
    fn a_run_goes_on_in_the_next_piece() {
        let edge = PIECE * 8;
        let (file, head) = cow(SIZE, &[0, edge - 2, edge - 1, edge, edge + 2, 2 * edge]);
        let wanted = [0..1, edge - 2..edge + 1, edge + 2..edge + 3, 2 * edge..2 * edge + 1];
        assert_eq!(read(&file, &head).unwrap(), wanted.map(run));
    }

    #[test]
    fn the_last_sector_ends_with_the_device() {
        let last = SIZE / 512;
        let (file, head) = cow(SIZE, &[last - 1, last]);
        let found = read(&file, &head).unwrap();
        assert_eq!(found, [run(last - 1..last + 1)]);
        assert_eq!((found[0].length, found[0].range().end), (612, SIZE));
    }

    #[test]
    fn bits_past_the_device_are_nothing() {
        let (file, head) = cow(9 * 512, &[8, 9, 15]);
        assert_eq!(
            read(&file, &head).unwrap(),
            [Run { at: 4096, from: 12288 + 4096, length: 512 }]
        );
    }

    #[test]
    fn sectors_past_the_end_of_the_file_are_an_error_and_the_last_thing_said() {
        let (file, head) = cow(100 * 512, &[1, 50, 70]);
        let mut disk = Disk::open(file.path()).unwrap();
        disk.size = Bytes(12288 + 60 * 512);
        let header = Seen::parse(&head).unwrap().believe().unwrap();
        let mut found: Vec<_> = runs(&disk, &header).collect();
        let error = found.pop().unwrap().unwrap_err().to_string();
        assert!(
            error.ends_with(
                "ends after 43008 bytes, and holds sectors up to byte 48640 by its bitmap"
            ),
            "{error}"
        );
        assert!(found.iter().all(Result::is_ok));
    }

    #[test]
    fn a_device_of_16_tib_is_read_a_piece_at_a_time() {
        let size = 16_u64 << 40;
        let last = size / 512 - 1;
        let head = head(b"/backing", 7, Bytes(size)).unwrap();
        let header = Seen::parse(&head).unwrap().believe().unwrap();
        // Few file systems have room for a file of 16 TiB; what is read is the bitmap.
        let file = tempfile::NamedTempFile::new().unwrap();
        file.as_file().set_len(header.bitmap().end).unwrap();
        for sector in [5, 1 << 33, last] {
            let at = header.bitmap().start + sector / 8;
            file.as_file().write_all_at(&[1 << (sector % 8)], at).unwrap();
        }
        let mut disk = Disk::open(file.path()).unwrap();
        disk.size = Bytes(header.end());
        let found: Vec<_> = runs(&disk, &header).map(|run| run.unwrap().at / 512).collect();
        assert_eq!(found, [5, 1 << 33, last]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn runs_are_what_the_bits_say(
            size in 1_u64..(1 << 20),
            dense in any::<bool>(),
            seed in prop::collection::vec(any::<u64>(), 0..200),
        ) {
            let count = size.div_ceil(512);
            let mut sectors: Vec<u64> = seed.iter().map(|sector| sector % count).collect();
            if dense {
                sectors = (0..count).filter(|sector| !sectors.contains(sector)).collect();
            }
            let (file, head) = cow(size, &sectors);
            let found = read(&file, &head).unwrap();
            for two in found.windows(2) {
                prop_assert!(two[0].range().end < two[1].at);
            }
            let data = Seen::parse(&head).unwrap().believe().unwrap().data();
            let mut covered = vec![false; usize::try_from(count).unwrap()];
            for run in &found {
                prop_assert_eq!(run.from - run.at, data);
                prop_assert!(run.length > 0 && run.range().end <= size);
                for sector in run.at / 512..run.range().end.div_ceil(512) {
                    covered[usize::try_from(sector).unwrap()] = true;
                }
            }
            let wanted: Vec<bool> = (0..count).map(|sector| sectors.contains(&sector)).collect();
            prop_assert_eq!(covered, wanted);
        }
    }
}
