//! Sizes and times as people read them.

use ebbtide_format::units::Bytes;
use jiff::{Timestamp, tz::TimeZone};

/// Returns a size in the largest unit that fits, with one digit behind the point where it is not whole.
pub(crate) fn size(size: Bytes) -> String {
    const UNITS: [(u32, &str); 4] = [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")];
    let Some((shift, unit)) = UNITS.into_iter().find(|(shift, _)| size.0 >> shift != 0) else {
        return format!("{} B", size.0);
    };
    // Rounded to tenths; a whole number stays one.
    let tenths = ((u128::from(size.0) * 10) + (1 << (shift - 1))) >> shift;
    match tenths % 10 {
        0 => format!("{} {unit}", tenths / 10),
        tenth => format!("{}.{tenth} {unit}", tenths / 10),
    }
}

/// Returns a time to the second, in the time zone of the machine.
pub(crate) fn time(time: Timestamp) -> String {
    time.to_zoned(TimeZone::system()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_at_most_one_digit_behind_the_point() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (3 << 40, "3 TiB"),
            (2_147_483_647, "2 GiB"),
            (u64::MAX, "16777216 TiB"),
        ] {
            assert_eq!(size(Bytes(bytes)), text);
        }
    }
}
