//! What tests with a real kernel begin with: random content, the program, and what two files differ in.

#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may end here")]

use nix::libc;
use std::{
    fs,
    ops::Range,
    os::unix::fs::{FileExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// Numbers that are the same each time: what fails, fails again.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns the next number; splitmix64.
    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a number of the range.
    pub(crate) const fn of(&mut self, range: Range<u64>) -> u64 {
        range.start + self.next() % (range.end - range.start)
    }

    /// Returns bytes of which none is zero.
    pub(crate) fn bytes(&mut self, length: u64) -> Vec<u8> {
        let mut bytes: Vec<u8> = Vec::new();
        while (bytes.len() as u64) < length {
            bytes.extend(self.next().to_ne_bytes().map(|byte| byte.max(1)));
        }
        bytes.truncate(usize::try_from(length).unwrap());
        bytes
    }
}

/// A folder that the kernel may share.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(tempfile::Builder::new().prefix("cow-").tempdir().unwrap())
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file, and returns where it is.
    pub(crate) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
        fs::write(self.at(name), content).unwrap();
        self.at(name)
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.at(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// Removes a file, and what is kept beside it by its name.
    pub(crate) fn remove(&self, name: &str) {
        let beside = format!("{name}.");
        for file in fs::read_dir(self.dir()).unwrap().flatten() {
            let found = file.file_name().into_string().unwrap();
            if found == name || found.starts_with(&beside) {
                fs::remove_file(file.path()).unwrap();
            }
        }
    }

    /// Copies a file with its holes and its times, and returns where the copy is.
    pub(crate) fn copy(&self, from: &str, to: &str) -> PathBuf {
        let copied = Command::new("cp")
            .args(["-a", "--sparse=always"])
            .args([self.at(from), self.at(to)])
            .status();
        assert!(copied.unwrap().success());
        self.at(to)
    }
}

/// What a command said.
pub(crate) struct Said {
    pub(crate) status: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// Runs the program.
pub(crate) fn ebbtide(words: &[&str]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ebbtide"));
    command.args(words).env_remove("RUST_LOG").env_remove("EBBTIDE_POOL").stdin(Stdio::null());
    let output = command.output().unwrap();
    Said {
        status: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs the program, which has to succeed.
#[track_caller]
pub(crate) fn must(words: &[&str]) -> Said {
    let said = ebbtide(words);
    assert_eq!(said.status, Some(0), "{words:?}: {}{}", said.out, said.err);
    said
}

/// Runs the program, which has to fail and to say each of `texts`.
#[track_caller]
pub(crate) fn refuses(words: &[&str], texts: &[&str]) {
    let said = ebbtide(words);
    assert_eq!(said.status, Some(1), "{words:?}: {}{}", said.out, said.err);
    for text in texts {
        assert!(said.err.contains(text), "{words:?} did not say {text:?}: {}", said.err);
    }
}

/// Compares all bytes.
#[track_caller]
pub(crate) fn same(what: &str, found: &[u8], wanted: &[u8]) {
    assert_eq!(found.len(), wanted.len(), "{what}: the length");
    if found == wanted {
        return;
    }
    if let Some(at) = found.iter().zip(wanted).position(|(found, wanted)| found != wanted) {
        let differ = found.iter().zip(wanted).filter(|(found, wanted)| found != wanted).count();
        panic!("{what}: {differ} bytes differ, the first at {at} (sector {})", at / 512);
    }
}

/// What is written where; the offsets and lengths are whole sectors.
#[derive(Clone)]
pub(crate) struct Pieces(Vec<(u64, Vec<u8>)>);

/// Set in the guest: the file with the pieces, and the device that they are written to.
const PIECES: &str = "EBBTIDE_TEST_PIECES";
const DEVICE: &str = "EBBTIDE_TEST_DEVICE";

impl Pieces {
    /// Draws some of 1 to `longest` sectors on a device of `sectors`, in no order, some over others; the first and the
    /// last sector of the device are among them.
    pub(crate) fn draw(random: &mut Random, sectors: u64, count: u64, longest: u64) -> Self {
        let mut pieces = vec![(0, random.bytes(512)), ((sectors - 1) * 512, random.bytes(512))];
        for _ in 0..count {
            let length = random.of(1..longest + 1);
            let at = random.of(0..sectors + 1 - length);
            pieces.push((at * 512, random.bytes(length * 512)));
        }
        pieces.swap(0, usize::try_from(count / 2).unwrap());
        Self(pieces)
    }

    /// Writes them into bytes.
    pub(crate) fn onto(&self, content: &mut [u8]) {
        for (at, bytes) in &self.0 {
            content[usize::try_from(*at).unwrap()..][..bytes.len()].copy_from_slice(bytes);
        }
    }

    /// Keeps them in a file, for the guest.
    pub(crate) fn save(&self, file: &Path) {
        let mut all = Vec::new();
        for (at, bytes) in &self.0 {
            all.extend(at.to_le_bytes());
            all.extend((bytes.len() as u64).to_le_bytes());
            all.extend(bytes);
        }
        fs::write(file, all).unwrap();
    }

    /// Returns the line that writes the pieces of a file to a device, one after the other and past all caches.
    ///
    /// The guest runs this very program, whose test `writer` is [`write_in_the_guest`].
    pub(crate) fn written(file: &Path, device: &str) -> String {
        let (file, program) = (file.display(), std::env::current_exe().unwrap());
        let program = program.display();
        format!("{PIECES}={file} {DEVICE}={device} {program} --exact writer --quiet\n")
    }
}

/// Does what the line of [`Pieces::written`] wants; nothing where it is a test like any other.
pub(crate) fn write_in_the_guest() {
    let (Some(file), Some(device)) = (std::env::var_os(PIECES), std::env::var_os(DEVICE)) else {
        return;
    };
    let mut options = fs::OpenOptions::new();
    let device = options.write(true).custom_flags(libc::O_DIRECT).open(device).unwrap();
    // Memory of whole sectors, as such a device wants it.
    let mut memory = vec![0; 1 << 20];
    let start = memory.as_ptr().align_offset(512);
    let mut all = &fs::read(file).unwrap()[..];
    while let Some((at, rest)) = all.split_first_chunk() {
        let (length, rest) = rest.split_first_chunk().unwrap();
        let length = usize::try_from(u64::from_le_bytes(*length)).unwrap();
        let (bytes, rest) = rest.split_at(length);
        let aligned = &mut memory[start..][..length];
        aligned.copy_from_slice(bytes);
        device.write_all_at(aligned, u64::from_le_bytes(*at)).unwrap();
        all = rest;
    }
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}
