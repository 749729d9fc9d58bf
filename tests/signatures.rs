//! What is found on a disk, against the programs that made it and `blkid`; and that no mkfs that is
//! told where to end touches the marker behind it.

use ebbtide_format::{
    signature::{Content, Kind, Probed, classify, file_system_end, glance, marker, ranges},
    units::Bytes,
};
use std::{fs::File, ops::Range, os::unix::fs::FileExt, path::Path, process::Command};
use tempfile::NamedTempFile;

const SIZE: Bytes = Bytes::mib(512);

fn blank() -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    file.as_file().set_len(SIZE.0).expect("a sparse file");
    file
}

/// Runs a program whose arguments are words, with the file in place of `FILE`.
fn run(line: &str, file: &Path) -> String {
    let path = file.to_str().expect("a plain path");
    let mut words = line.split(' ').map(|word| if word == "FILE" { path } else { word });
    let program = words.next().expect("a program");
    let output = Command::new(program)
        .args(words)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .output()
        .unwrap_or_else(|error| panic!("{program}: {error} (cargo xtask setup installs it)"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_string()
}

fn content(file: &File, ranges: Vec<Range<u64>>) -> Content {
    let mut probed = Probed::new(SIZE);
    for range in ranges {
        let mut bytes = vec![0; (range.end - range.start) as usize];
        file.read_exact_at(&mut bytes, range.start).expect("the file is read");
        probed.add(range.start, bytes);
    }
    classify(&probed)
}

#[test]
fn file_systems_are_what_blkid_says() {
    for (line, kind) in [
        ("mke2fs -q -F -t ext2 FILE", Kind::Ext2),
        ("mke2fs -q -F -t ext3 FILE", Kind::Ext3),
        ("mke2fs -q -F -t ext4 FILE", Kind::Ext4),
        ("mke2fs -q -F -t ext4 -b 1024 -O ^64bit FILE", Kind::Ext4),
        ("mke2fs -q -F -t ext4 -O ^has_journal FILE", Kind::Ext4),
        ("mkfs.xfs -q FILE", Kind::Xfs),
        ("mkfs.btrfs -q FILE", Kind::Btrfs),
    ] {
        let file = blank();
        run(line, file.path());
        for ranges in [glance(SIZE), ranges(SIZE)] {
            let Content::FileSystem(found) = content(file.as_file(), ranges) else {
                panic!("{line}: no file system");
            };
            assert_eq!((found.kind, found.clean), (kind, true), "{line}");
            assert_eq!(found.size, SIZE, "{line}");
            assert_eq!(found.uuid.to_string(), run("blkid -p -o value -s UUID FILE", file.path()));
            assert_eq!(found.kind.word(), run("blkid -p -o value -s TYPE FILE", file.path()));
        }
    }
}

#[test]
fn a_file_system_without_its_first_mibs_is_never_blank() {
    for line in [
        "mke2fs -q -F -t ext4 -b 1024 FILE",
        "mke2fs -q -F -t ext4 -b 2048 FILE",
        "mke2fs -q -F -t ext4 -b 4096 FILE",
        "mke2fs -q -F -t ext4 -b 4096 -O sparse_super2,^resize_inode FILE",
        "mkfs.xfs -q FILE",
        "mkfs.btrfs -q FILE",
    ] {
        let file = blank();
        run(line, file.path());
        file.as_file().write_all_at(&vec![0; 4_259_840], 0).expect("the start is zeroed");
        let found = content(file.as_file(), ranges(SIZE));
        assert!(matches!(found, Content::Remains { .. }), "{line}: {found:?}");
    }
}

#[test]
fn other_signatures_are_named() {
    for (lines, name) in [
        (&["mkswap -q FILE"][..], "swap"),
        (&["sgdisk -n 1:0:0 FILE"], "a partition table (GPT)"),
        (&["sgdisk -n 1:0:0 FILE", "sgdisk -m 1 FILE"], "a partition table (MBR)"),
    ] {
        let file = blank();
        lines.iter().for_each(|line| drop(run(line, file.path())));
        assert_eq!(content(file.as_file(), ranges(SIZE)), Content::Other(name), "{lines:?}");
    }
}

/// The arguments are those of the guest.
#[test]
fn no_mkfs_touches_the_marker() {
    let end = file_system_end(SIZE).0;
    for line in [
        format!("mkfs.ext4 -q -F -m 0 -E lazy_itable_init=1,nodiscard FILE {}k", end >> 10),
        format!("mkfs.xfs -f -q -K -d size={end} FILE"),
        format!("mkfs.btrfs -f -q -K -b {end} FILE"),
    ] {
        let file = blank();
        file.as_file().write_all_at(&marker(SIZE), end).expect("the marker is written");
        let marked = content(file.as_file(), ranges(SIZE));
        assert_eq!(marked, Content::BeingFormatted);
        run(&line, file.path());
        assert_eq!(content(file.as_file(), glance(SIZE)), Content::BeingFormatted, "{line}");
        file.as_file().write_all_at(&[0; 4096], end).expect("the marker is erased");
        let Content::FileSystem(made) = content(file.as_file(), glance(SIZE)) else {
            panic!("{line}: no file system");
        };
        assert_eq!(made.size.0, end, "{line}");
    }
}
