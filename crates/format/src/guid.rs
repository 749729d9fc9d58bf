//! Globally unique identifiers, as GPT, swap headers and device-mapper name things.

use core::fmt;

/// A 128-bit identifier, in the order in which it is written out.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// Makes a random identifier (RFC 9562 version 4) out of 16 random bytes.
    #[must_use]
    pub const fn from_random(mut bytes: [u8; 16]) -> Self {
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        Self(bytes)
    }

    /// Parses the usual form, 8-4-4-4-12 hexadecimal digits of either case; `None` otherwise.
    #[must_use]
    pub const fn parse(text: &str) -> Option<Self> {
        let text = text.as_bytes();
        if text.len() != 36 {
            return None;
        }
        let mut bytes = [0; 16];
        let (mut at, mut digits) = (0, 0);
        while at < 36 {
            if at == 8 || at == 13 || at == 18 || at == 23 {
                if text[at] != b'-' {
                    return None;
                }
            } else {
                let digit = match text[at] {
                    c @ b'0'..=b'9' => c - b'0',
                    c @ b'a'..=b'f' => c - b'a' + 10,
                    c @ b'A'..=b'F' => c - b'A' + 10,
                    _ => return None,
                };
                bytes[digits / 2] = bytes[digits / 2] << 4 | digit;
                digits += 1;
            }
            at += 1;
        }
        Some(Self(bytes))
    }

    /// Parses an identifier that is known when this is compiled.
    ///
    /// # Panics
    /// When the text is not an identifier; in a constant that is an error of the compiler.
    #[must_use]
    pub const fn known(text: &str) -> Self {
        match Self::parse(text) {
            Some(guid) => guid,
            None => panic!("not a GUID"),
        }
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Partition types (UEFI specification and the Discoverable Partitions Specification).
pub mod partition_type {
    use super::Guid;

    /// Linux swap.
    pub const SWAP: Guid = Guid::known("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f");
    /// The copy-on-write store of Ebbtide. Its own type, so that nothing takes the store for the
    /// file system whose blocks it holds.
    pub const COW: Guid = Guid::known("6b8a1c02-7f4e-4d0b-9d55-0ebb71de0c03");
    /// Root partitions, by architecture.
    pub const ROOTS: [Guid; 6] = [
        Guid::known("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"), // x86-64
        Guid::known("44479540-f297-41b2-9af7-d131d5f0458a"), // x86
        Guid::known("b921b045-1df0-41c3-af44-4c6f280d3fae"), // arm64
        Guid::known("69dad710-2ce4-4e3c-b16c-21a1d49abed3"), // arm
        Guid::known("72ec70a6-cf74-40e6-bd49-4bda08e8f224"), // riscv64
        Guid::known("c31c45e6-3f39-412e-80fb-4809c4980599"), // ppc64 little endian
    ];
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn reads_what_it_writes_and_nothing_else() {
        let text = "0657fd6d-a4ab-43c4-84e5-0933c84b4f4f";
        assert_eq!(Guid::parse(text).map(|g| g.to_string()).as_deref(), Some(text));
        assert_eq!(Guid::parse("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"), Guid::parse(text));
        for bad in ["", "0657fd6da4ab43c484e50933c84b4f4f", "0657fd6d-a4ab-43c4-84e5-0933c84b4f4g"]
        {
            assert_eq!(Guid::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_random_one_carries_version_and_variant() {
        let text = Guid::from_random([0xff; 16]).to_string();
        assert_eq!(text, "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
