//! Who is logged in where: records of `/run/utmp`.
//!
//! ```text
//! 0  i16 type, 7 for a user   8  line[32]    44  user[32]    76  host[256]   332 …
//! 4  i32 process              40 id[4]
//! ```
//! Native byte order; texts end with a zero byte unless they fill their place. A record has 384 bytes
//! where 64-bit programs share the file with 32-bit ones (`__WORDSIZE_TIME64_COMPAT32`, x86-64 for
//! one) and 400 on AArch64. Source: glibc's bits/utmp.h and utmp(5).

/// Bytes of a record.
pub const RECORD: usize = if cfg!(target_arch = "aarch64") { 400 } else { 384 };
const USER_PROCESS: i16 = 7;
const LINE: core::ops::Range<usize> = 8..40;

/// Returns the lines on which users are logged in, as names below `/dev`. A record that is cut off at
/// the end, or whose line is no text, is passed over.
pub fn lines(records: &[u8]) -> impl Iterator<Item = &str> {
    records.chunks_exact(RECORD).filter_map(|record| {
        let kind = i16::from_ne_bytes(record.get(..2)?.try_into().ok()?);
        let line = record.get(LINE)?;
        let end = line.iter().position(|b| *b == 0).unwrap_or(line.len());
        let line = core::str::from_utf8(line.get(..end)?).ok()?;
        (kind == USER_PROCESS && !line.is_empty()).then_some(line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{vec, vec::Vec};
    use proptest::prelude::*;

    fn record(kind: i16, line: &[u8]) -> Vec<u8> {
        let mut record = vec![0; RECORD];
        record[..2].copy_from_slice(&kind.to_ne_bytes());
        record[8..8 + line.len()].copy_from_slice(line);
        record
    }

    #[test]
    fn only_users_are_logged_in() {
        let file = [record(2, b"~"), record(7, b"pts/3"), record(8, b"tty2"), record(7, b"tty1")];
        let mut file = file.concat();
        file.extend([7, 0, 0]);
        assert_eq!(lines(&file).collect::<Vec<_>>(), ["pts/3", "tty1"]);
    }

    #[test]
    fn a_line_may_fill_its_place_and_must_be_text() {
        let full = [b'x'; 32];
        let file = [record(7, &full), record(7, &[0xff]), record(7, b"")].concat();
        assert_eq!(lines(&file).collect::<Vec<_>>(), ["x".repeat(32)]);
    }

    proptest! {
        #[test]
        fn any_bytes_will_do(bytes: Vec<u8>) {
            prop_assert!(lines(&bytes).count() <= bytes.len() / RECORD);
        }
    }
}
