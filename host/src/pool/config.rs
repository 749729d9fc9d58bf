//! `pool.toml`: what a pool is.

use crate::error::{Refusal, RefusalKind, Result};
use serde::{Deserialize, Serialize};
use std::{fmt, path::Path};

/// The file's name.
pub const FILE: &str = "pool.toml";
/// The version of the pool's format that this program writes and reads.
pub const FORMAT: u32 = 1;
/// How many versions of a disk are kept unless somebody says otherwise.
pub const KEEP: u32 = 2;

/// What a pool is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// [`FORMAT`]; a larger one is refused.
    pub format: u32,
    /// How versions share what they have in common.
    pub driver: DriverName,
    /// How many versions of a disk are kept where a VM's record says nothing.
    #[serde(default = "keep")]
    pub keep: u32,
}

const fn keep() -> u32 {
    KEEP
}

/// How versions share what they have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DriverName {
    /// The file system clones files.
    Reflink,
    /// They share nothing: each is a sparse copy.
    Copy,
    /// Each is what the next one has not, in an exception store of device-mapper.
    Dm,
}

impl fmt::Display for DriverName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reflink => "reflink",
            Self::Copy => "copy",
            Self::Dm => "dm",
        })
    }
}

impl std::str::FromStr for DriverName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        match text {
            "reflink" => Ok(Self::Reflink),
            "copy" => Ok(Self::Copy),
            "dm" => Ok(Self::Dm),
            _ => {
                let text = format!("{text:?} is no driver: wanted \"reflink\", \"copy\" or \"dm\"");
                Err(Refusal::new(RefusalKind::Invalid, text))
            }
        }
    }
}

impl Config {
    /// Reads a pool's configuration. `file` is for messages.
    ///
    /// # Errors
    /// Names the line, what was wanted there and what was found.
    pub fn parse(text: &[u8], file: &Path) -> Result<Self> {
        crate::record::parse(text, file, FORMAT)
    }

    /// Returns the file's content.
    ///
    /// # Errors
    /// None that a value of this type has.
    pub fn print(&self) -> Result<Vec<u8>> {
        crate::record::print(self, Path::new(FILE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes_and_keeps_two_by_default() {
        let config = Config { format: FORMAT, driver: DriverName::Copy, keep: 7 };
        assert_eq!(Config::parse(&config.print().unwrap(), Path::new(FILE)).unwrap(), config);
        let text = b"format = 1\ndriver = \"reflink\"\n";
        assert_eq!(Config::parse(text, Path::new(FILE)).unwrap().keep, KEEP);
    }

    #[test]
    fn names_file_line_wanted_and_found() {
        for (text, wanted) in [
            ("format = 1\ndriver = \"zfs\"\n", ["line 2", "`zfs`", "`reflink`"]),
            ("format = 2\nnew = 1\n", ["format 2", "format 1", "newer"]),
            ("format = 1\ndriver = \"copy\"\nkep = 3\n", ["line 3", "`kep`", "`keep`"]),
            ("driver = \"copy\"\n", ["line 1", "missing", "`format`"]),
        ] {
            let error = Config::parse(text.as_bytes(), Path::new("/p/pool.toml")).unwrap_err();
            let said = error.to_string();
            assert!(said.starts_with("/p/pool.toml: "), "{said}");
            assert!(wanted.iter().all(|part| said.contains(part)), "{wanted:?}: {said}");
        }
        let error = Config::parse(b"\xff", Path::new("pool.toml")).unwrap_err();
        assert!(error.to_string().contains("UTF-8"), "{error}");
    }
}
