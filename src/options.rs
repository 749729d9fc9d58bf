//! The options of the init stage: one grammar, two places.
//!
//! In: the text of the kernel command line and of `init.conf`. Out: [`Options`]. On the command
//! line an option is a word `ebbtide.KEY=VALUE`, in the file a line `KEY = VALUE`; the command line
//! wins, and in one place the last one does. An unknown or malformed option is an error.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::{fmt, time::Duration};
use ebbtide_format::units::{Bytes, Chunk};

/// Name of the mapped root, below `/dev/mapper`.
pub const MAPPED_ROOT: &str = "dmroot";
/// What every option on the kernel command line begins with.
pub const PREFIX: &str = "ebbtide.";

/// How a disk is chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Choice {
    /// By virtio serial, else by the name that Xen or user-mode Linux gives it.
    #[default]
    Auto,
    /// By its path, `/dev/…`.
    Path(String),
    /// By its serial number.
    Serial(String),
    /// By the name of a partition.
    PartLabel(String),
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Path(path) => f.write_str(path),
            Self::Serial(serial) => write!(f, "serial={serial}"),
            Self::PartLabel(label) => write!(f, "PARTLABEL={label}"),
        }
    }
}

/// How large the swap area is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SwapSize {
    /// 1 GiB, at most a quarter of the volatile disk.
    #[default]
    Auto,
    /// As given; 0 for none.
    Fixed(Bytes),
}

/// Which store the snapshot gets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Overflow {
    /// `N` when the store cannot fill, else `PO`.
    #[default]
    Auto,
    /// `N`: nothing about exceptions is written, a full store is the end of the system.
    Transient,
    /// `PO`: a full store turns read-only.
    PersistentOverflow,
}

/// What a blank private disk is formatted with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// ext4.
    #[default]
    Ext4,
    /// XFS.
    Xfs,
    /// Btrfs.
    Btrfs,
    /// Nothing: a blank disk stays as it is, and is not mounted.
    No,
}

impl Format {
    /// Returns its name, which is the file system's type for the kernel.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::No => "no",
        }
    }
}

/// What `boot` does when it cannot go on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnFailure {
    /// Powers the machine off.
    #[default]
    PowerOff,
    /// Starts the machine again.
    Reboot,
    /// Runs a shell, if the initramfs has one; else powers off.
    Shell,
}

impl OnFailure {
    /// Returns what a word asks for.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        match word {
            "poweroff" => Some(Self::PowerOff),
            "reboot" => Some(Self::Reboot),
            "shell" => Some(Self::Shell),
            _ => None,
        }
    }
}

/// Everything that can be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Whether the kernel command line names `…dmroot` as its root at all.
    pub wanted: bool,
    /// The disk, or the partition, that holds the root.
    pub root: Choice,
    /// The disk that is kept; named here so that it is never taken for another.
    pub private: Choice,
    /// The disk that may be overwritten at every boot.
    pub volatile: Choice,
    /// The disk with kernel modules; named here so that it is never taken for another.
    pub modules: Choice,
    /// Size of the swap area.
    pub swap: SwapSize,
    /// Unit in which the snapshot copies.
    pub chunk: Chunk,
    /// Kind of store.
    pub overflow: Overflow,
    /// Bound of each wait.
    pub timeout: Duration,
    /// Whether swap and store are encrypted with a key that nobody knows.
    pub encrypt: bool,
    /// Where the private disk is mounted, an absolute path.
    pub rw: String,
    /// Which of [`DEFAULT_BINDS`] and of other paths are bound from the private disk without being
    /// declared in a file; absolute paths.
    pub binds: Vec<String>,
    /// Whether files on the private disk may declare binds.
    pub volume_binds: bool,
    /// What a blank private disk is formatted with.
    pub format: Format,
    /// Whether the private disk is thrown away with the machine, so that it needs no journal.
    pub disposable: bool,
    /// What `boot` does when it cannot go on.
    pub failure: OnFailure,
}

/// Where the private disk is mounted.
pub const DEFAULT_RW: &str = "/rw";
/// What is bound from the private disk.
pub const DEFAULT_BINDS: [&str; 2] = ["/home", "/usr/local"];

/// 4 KiB copies nothing that a 4 KiB file system did not write; `docs/adr/0002` has the figures.
pub const DEFAULT_CHUNK: Chunk = Chunk::MIN;

/// Long enough for a slow host, short enough to sit through.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const LONGEST_TIMEOUT: u64 = 3600;

impl Default for Options {
    fn default() -> Self {
        Self {
            wanted: false,
            root: Choice::Auto,
            private: Choice::Auto,
            volatile: Choice::Auto,
            modules: Choice::Auto,
            swap: SwapSize::Auto,
            chunk: DEFAULT_CHUNK,
            overflow: Overflow::Auto,
            timeout: DEFAULT_TIMEOUT,
            encrypt: false,
            rw: DEFAULT_RW.to_string(),
            binds: DEFAULT_BINDS.map(str::to_string).to_vec(),
            volume_binds: true,
            format: Format::default(),
            disposable: false,
            failure: OnFailure::default(),
        }
    }
}

/// An option that cannot be taken.
#[derive(Clone, PartialEq, Eq)]
pub struct OptionError {
    /// Where it stands: the kernel command line, or a line of the file.
    pub place: Place,
    /// What stands there.
    pub found: String,
    /// What can stand there.
    pub wanted: &'static str,
}

/// Where an option stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The kernel command line.
    CommandLine,
    /// A line of `init.conf`, counted from 1.
    ConfLine(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine => f.write_str("kernel command line"),
            Self::ConfLine(line) => write!(f, "init.conf line {line}"),
        }
    }
}

/// The text of the error: derived code would be larger than the errors are worth.
impl fmt::Debug for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, found, wanted } = self;
        write!(f, "{place}: found \"{found}\"; wanted {wanted}")
    }
}

impl core::error::Error for OptionError {}

/// Makes an enum of the keys, so that the parser knows these and no others.
macro_rules! keys {
    ($($name:literal $key:ident,)*) => {
        #[derive(Clone, Copy)]
        enum Key { $($key),* }

        impl Key {
            fn named(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$key),)*
                    _ => None,
                }
            }
        }

        /// The keys of all options, in the order of the manual.
        pub const KEYS: &[&str] = &[$($name),*];
        const ONE_OF: &str = concat!("one of ", $($name, ", ",)* "as KEY=VALUE");
    };
}

keys! {
    "root" Root,
    "private" Private,
    "volatile" Volatile,
    "modules" Modules,
    "swap" Swap,
    "chunk" Chunk,
    "overflow" Overflow,
    "timeout" Timeout,
    "encrypt" Encrypt,
    "rw" Rw,
    "binds" Binds,
    "volume-binds" VolumeBinds,
    "format" Format,
    "disposable" Disposable,
    "failure" Failure,
}
const CHOICE: &str = "a path below /dev, serial=NAME, PARTLABEL=NAME or auto";

impl Options {
    /// Reads both texts; either may be empty.
    ///
    /// # Errors
    /// The first option that is unknown or malformed, if the root is ours at all.
    pub fn parse(command_line: &str, conf: &str) -> Result<Self, OptionError> {
        let words = words(command_line);
        let root = words.iter().rev().find_map(|word| word.strip_prefix("root="));
        let wanted = root.and_then(|root| root.rsplit('/').next()) == Some(MAPPED_ROOT);
        let mut options = Self { wanted, ..Self::default() };
        if !wanted {
            // Somebody else's boot; a mistake in our settings is no reason to end it.
            return Ok(options);
        }
        for (at, line) in conf.lines().enumerate() {
            let line = line.trim();
            if !line.is_empty() && !line.starts_with('#') {
                options.set(Place::ConfLine(at + 1), line)?;
            }
        }
        for statement in words.iter().filter_map(|word| word.strip_prefix(PREFIX)) {
            options.set(Place::CommandLine, statement)?;
        }
        Ok(options)
    }

    /// The grammar: `KEY = VALUE`, blanks around either without meaning.
    fn set(&mut self, place: Place, statement: &str) -> Result<(), OptionError> {
        let error = |wanted| OptionError { place, found: statement.to_string(), wanted };
        let (key, value) = statement.split_once('=').ok_or_else(|| error(ONE_OF))?;
        let value = value.trim();
        let choice = || choice(value).ok_or_else(|| error(CHOICE));
        match Key::named(key.trim()).ok_or_else(|| error(ONE_OF))? {
            Key::Root => self.root = choice()?,
            Key::Private => self.private = choice()?,
            Key::Volatile => self.volatile = choice()?,
            Key::Modules => self.modules = choice()?,
            Key::Swap => {
                self.swap = match (value, Bytes::parse(value)) {
                    ("auto", _) => SwapSize::Auto,
                    (_, Some(size)) => SwapSize::Fixed(size),
                    _ => return Err(error("auto, 0, or a size such as 512M or 1G")),
                }
            }
            Key::Chunk => {
                self.chunk = Bytes::parse(value)
                    .and_then(Chunk::from_bytes)
                    .ok_or_else(|| error("a power of two from 4K to 1M"))?;
            }
            Key::Overflow => {
                self.overflow = match value {
                    "auto" => Overflow::Auto,
                    "N" => Overflow::Transient,
                    "PO" => Overflow::PersistentOverflow,
                    _ => return Err(error("auto, N or PO")),
                }
            }
            Key::Timeout => {
                self.timeout =
                    seconds(value).ok_or_else(|| error("seconds from 0 to 3600, such as 30s"))?;
            }
            Key::Encrypt => self.encrypt = yes_or_no(value).ok_or_else(|| error(YES_OR_NO))?,
            Key::Rw => {
                let plain = Some(value).filter(|path| is_plain_path(path));
                self.rw = plain.ok_or_else(|| error("an absolute path other than /"))?.to_string();
            }
            Key::Binds => {
                self.binds = paths(value)
                    .ok_or_else(|| error("absolute paths with commas between them, or no"))?;
            }
            Key::VolumeBinds => {
                self.volume_binds = yes_or_no(value).ok_or_else(|| error(YES_OR_NO))?;
            }
            Key::Format => {
                let all = [Format::Ext4, Format::Xfs, Format::Btrfs, Format::No];
                self.format = all
                    .into_iter()
                    .find(|format| format.word() == value)
                    .ok_or_else(|| error("ext4, xfs, btrfs or no"))?;
            }
            Key::Disposable => {
                self.disposable = yes_or_no(value).ok_or_else(|| error(YES_OR_NO))?
            }
            Key::Failure => {
                self.failure = OnFailure::from_word(value)
                    .ok_or_else(|| error("poweroff, reboot or shell"))?;
            }
        }
        Ok(())
    }
}

const YES_OR_NO: &str = "yes or no";

fn yes_or_no(value: &str) -> Option<bool> {
    match value {
        "yes" => Some(true),
        "no" => Some(false),
        _ => None,
    }
}

/// Tells whether a path is absolute, not `/` itself, and without empty parts, `.` and `..`.
#[must_use]
pub fn is_plain_path(path: &str) -> bool {
    path.strip_prefix('/')
        .is_some_and(|below| below.split('/').all(|part| !matches!(part, "" | "." | "..")))
}

fn paths(value: &str) -> Option<Vec<String>> {
    if value == "no" {
        return Some(Vec::new());
    }
    let parts = value.split(',').map(str::trim);
    parts.map(|path| is_plain_path(path).then(|| path.to_string())).collect()
}

fn choice(value: &str) -> Option<Choice> {
    let named = |name: &str| (!name.is_empty()).then(|| name.to_string());
    if value == "auto" {
        return Some(Choice::Auto);
    }
    if let Some(name) = value.strip_prefix("serial=") {
        return named(name).map(Choice::Serial);
    }
    if let Some(name) = value.strip_prefix("PARTLABEL=") {
        return named(name).map(Choice::PartLabel);
    }
    let plain = value.starts_with("/dev/") && is_plain_path(value);
    plain.then(|| Choice::Path(value.to_string()))
}

fn seconds(value: &str) -> Option<Duration> {
    let number = value.strip_suffix('s').unwrap_or(value);
    let plain = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let seconds = number.parse().ok().filter(|n| plain && *n <= LONGEST_TIMEOUT)?;
    Some(Duration::from_secs(seconds))
}

/// Splits a command line as the kernel does (`next_arg` in lib/cmdline.c): at blanks outside double
/// quotes; the quotes themselves go.
pub(crate) fn words(command_line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let (mut word, mut quoted, mut begun) = (String::new(), false, false);
    for c in command_line.chars() {
        if c == '"' {
            quoted = !quoted;
            begun = true;
        } else if c.is_ascii_whitespace() && !quoted {
            if begun {
                words.push(core::mem::take(&mut word));
            }
            begun = false;
        } else {
            word.push(c);
            begun = true;
        }
    }
    if begun {
        words.push(word);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_over_the_file_and_the_last_word_over_the_first() {
        let options = Options::parse(
            "ro root=/dev/mapper/dmroot ebbtide.swap=64M ebbtide.swap=0 quiet",
            "# comment\n\n swap = 1G\nchunk=16K\n",
        )
        .unwrap();
        assert!(options.wanted);
        assert_eq!(options.swap, SwapSize::Fixed(Bytes(0)));
        assert_eq!(options.chunk.sectors(), 32);
    }

    #[test]
    fn only_a_root_that_ends_in_dmroot_is_ours() {
        for (line, wanted) in [
            ("root=/dev/mapper/dmroot", true),
            ("root=block:/dev/mapper/dmroot", true),
            ("root=/dev/vda", false),
            ("root=/dev/mapper/dmroot2", false),
            ("root=/dev/mapper/dmroot root=/dev/vda", false),
            ("", false),
        ] {
            assert_eq!(Options::parse(line, "").unwrap().wanted, wanted, "{line}");
        }
    }

    #[test]
    fn reads_where_the_private_disk_goes() {
        let options = Options::parse(
            "root=dmroot ebbtide.binds=/home,/var/lib/x ebbtide.rw=/persist ebbtide.format=xfs",
            "volume-binds = no",
        )
        .unwrap();
        assert_eq!((options.rw.as_str(), options.volume_binds), ("/persist", false));
        assert_eq!(options.binds, ["/home", "/var/lib/x"]);
        assert_eq!(options.format, Format::Xfs);
        assert!(Options::parse("root=dmroot", "binds=no").unwrap().binds.is_empty());
    }

    #[test]
    fn quotes_keep_blanks_together() {
        let options =
            Options::parse("root=dmroot ebbtide.root=\"PARTLABEL=my root\" x", "").unwrap();
        assert_eq!(options.root, Choice::PartLabel("my root".into()));
    }

    #[test]
    fn an_error_names_the_place_the_found_and_the_wanted() {
        let error = Options::parse("root=dmroot ebbtide.chunk=5000", "").unwrap_err();
        assert_eq!(
            error.to_string(),
            "kernel command line: found \"chunk=5000\"; wanted a power of two from 4K to 1M"
        );
        let error = Options::parse("root=dmroot", "swap=1G\nspeed=high").unwrap_err();
        assert_eq!(error.place, Place::ConfLine(2));
        assert!(error.to_string().contains("speed=high"), "{error}");
    }

    #[test]
    fn refuses_what_it_does_not_understand() {
        for statement in [
            "swap",
            "swap=",
            "swap=-1",
            "swap=lots",
            "chunk=2K",
            "chunk=3M",
            "overflow=P",
            "timeout=",
            "timeout=1m",
            "timeout=99999",
            "timeout=+5",
            "root=",
            "root=vda",
            "root=/dev/",
            "root=/dev/../etc/passwd",
            "root=serial=",
            "volatile=/tmp/x",
            "colour=red",
            "encrypt=1",
            "rw=rw",
            "rw=/",
            "rw=/rw/",
            "rw=/a/../b",
            "binds=home",
            "binds=/home,,/srv",
            "binds=",
            "volume-binds=maybe",
            "format=vfat",
            "disposable=",
            "failure=panic",
        ] {
            assert!(Options::parse("root=dmroot", statement).is_err(), "{statement}");
            let word = alloc::format!("root=dmroot ebbtide.{statement}");
            assert!(Options::parse(&word, "").is_err(), "{word}");
        }
    }
}
