//! What is mapped in this kernel, as sysfs and the system's own programs tell it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
    process::Command,
};

/// Returns the names of the mapped devices, but for those of volatile disks.
pub(crate) fn devices() -> BTreeSet<String> {
    let found = fs::read_dir("/sys/block").unwrap().flatten();
    let names = found.filter_map(|device| fs::read_to_string(device.path().join("dm/name")).ok());
    names
        .map(|name| name.trim_end().to_owned())
        .filter(|name| !name.starts_with("volatile-"))
        .collect()
}

/// Returns the loop devices over each file, by file system and number of the file, as losetup tells it.
pub(crate) fn loops() -> BTreeMap<String, Vec<String>> {
    let listed =
        run("losetup", &["--list", "--raw", "--noheadings", "-O", "BACK-MAJ:MIN,BACK-INO,NAME"]);
    let mut loops: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in listed.lines() {
        // Blanks that fill a column are written like those of a name.
        let line = line.replace("\\x20", "");
        let [file_system, number, name] = line.split_whitespace().collect::<Vec<_>>()[..] else {
            panic!("{line}");
        };
        loops.entry(format!("{file_system} {number}")).or_default().push(name.into());
    }
    loops
}

/// Fails where anything is mapped, or a loop device has a file.
pub(crate) fn nothing_is_left() {
    assert_eq!(run("dmsetup", &["ls"]), "No devices found");
    assert_eq!(run("losetup", &["-a"]), "");
}

/// Returns how many KiB of the file system are in use, when everything that is to be freed is.
pub(crate) fn in_use(dir: &Path) -> u64 {
    nix::unistd::sync();
    let found = nix::sys::statvfs::statvfs(dir).unwrap();
    (found.blocks() - found.blocks_free()) * found.fragment_size() / 1024
}

/// Runs a program, which has to succeed, and returns what it said.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    String::from_utf8_lossy(&output.stdout).trim_end().into()
}
