//! What is written, against the programs that everybody else reads and writes it with: `mkswap`,
//! `sfdisk`, `fdisk` and `sgdisk`. They ship in the packages util-linux, fdisk and gdisk.

use ebbtide_format::{
    gpt_table::{Entry, Table},
    guid::{Guid, partition_type},
    swap::SwapArea,
    units::{Bytes, LogicalBlock},
};
use ebbtide_init::{
    layout::{Extent, Layout, Purpose, layout},
    options::SwapSize,
};
use std::{
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::FileExt,
    path::Path,
    process::{Command, Output, Stdio},
};
use tempfile::NamedTempFile;

const DISK: Guid = Guid::known("d15c0000-0000-4000-8000-00000000d15c");
const SWAP: Guid = Guid::known("5a9a0000-0000-4000-8000-000000000001");
const COW: Guid = Guid::known("c03c0000-0000-4000-8000-000000000002");
const MIB: u64 = 1 << 20;

/// Runs a tool on a file and says `input` to it; one that is missing is a failure that names the
/// package.
fn run(tool: &str, package: &str, arguments: &[&str], file: &Path, input: &str) -> Output {
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => panic!(
            "wanted the program {tool} of the package {package}; found none (cargo xtask setup \
             installs it)"
        ),
        _ => panic!("{tool}: {error}"),
    };
    let mut child = Command::new(tool)
        .args(arguments)
        .arg(file)
        .env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin")
        .env("LC_ALL", "C")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(missing);
    let mut stdin = child.stdin.take().expect("a pipe");
    // A program that does not listen has closed it.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().expect("output")
}

fn succeed(tool: &str, package: &str, arguments: &[&str], file: &Path, input: &str) -> String {
    let output = run(tool, package, arguments, file, input);
    assert!(output.status.success(), "{tool} {arguments:?}: {}\n{}", output.status, said(&output));
    said(&output)
}

fn said(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

fn sparse(size: u64) -> NamedTempFile {
    // The tools put a "p" between a name that ends in a digit and the number.
    let file = tempfile::Builder::new().suffix(".img").tempfile().expect("a temporary file");
    file.as_file().set_len(size).expect("a sparse file");
    file
}

#[test]
fn a_swap_header_is_the_one_of_mkswap_to_the_byte() {
    for page in [4096, 16384, 65536] {
        // The least that mkswap takes, sizes that end inside a page, and sizes of real areas.
        let least = u64::from(page) * 10;
        for size in [least, least + 1, least + 4095, MIB, 100 * MIB + 512, 1 << 30, 5 << 40] {
            let file = sparse(size);
            let (page_size, id) = (page.to_string(), SWAP.to_string());
            let arguments = ["-U", &id, "-L", "ebbtide-swap", "--pagesize", &page_size];
            succeed("mkswap", "util-linux", &arguments, file.path(), "");
            let mut wanted = vec![0; page as usize];
            File::open(file.path()).expect("the area").read_exact(&mut wanted).expect("a page");
            let found = SwapArea::new(Bytes(size), page, SWAP).expect("a swap area").header();
            assert!(
                found == wanted,
                "page {page}, size {size}: {}",
                first_difference(&found, &wanted)
            );
        }
    }
}

fn first_difference(found: &[u8], wanted: &[u8]) -> String {
    let at = found.iter().zip(wanted).position(|(f, w)| f != w);
    match at {
        Some(at) => format!("byte {at}: wanted {:#x}; found {:#x}", wanted[at], found[at]),
        None => format!("wanted {} bytes; found {}", wanted.len(), found.len()),
    }
}

/// A volatile disk as it is after its table was written.
struct Volatile {
    file: NamedTempFile,
    block: LogicalBlock,
    layout: Layout,
}

impl Volatile {
    fn make(size: u64, block: LogicalBlock, swap: SwapSize) -> Self {
        let layout = layout(Bytes(size).sectors(), block, swap, Purpose::SwapAndCow)
            .unwrap_or_else(|error| panic!("{size} bytes: {error:?}"));
        let parts = [
            (1, layout.swap, partition_type::SWAP, SWAP, "ebbtide-swap"),
            (2, layout.cow, partition_type::COW, COW, "ebbtide-cow"),
        ];
        let entries = parts.into_iter().filter_map(|(number, extent, type_guid, guid, name)| {
            let (first, end) = (extent?.start.0 / block.bytes(), extent?.end().0 / block.bytes());
            Some(Entry { number, type_guid, guid, first, last: end - 1, name })
        });
        let entries = entries.collect();
        let table = Table { disk: DISK, block, blocks: size / block.bytes(), entries };
        let ends = table.build().expect("a table");
        let file = sparse(size);
        file.as_file().write_all_at(&ends.head, 0).expect("the head is written");
        file.as_file().write_all_at(&ends.tail, ends.tail_at).expect("the tail is written");
        Self { file, block, layout }
    }

    /// The partitions as a dump is to show them, a line each.
    fn partitions(&self) -> Vec<String> {
        let line = |number: u32, extent: Extent, kind: Guid, id: Guid, name| {
            let block = self.block.bytes();
            format!(
                "{}{number} : start={}, size={}, type={}, uuid={}, name=\"{name}\"",
                self.file.path().display(),
                extent.start.0 / block,
                extent.length.0 / block,
                kind.to_string().to_uppercase(),
                id.to_string().to_uppercase(),
            )
        };
        let swap = self.layout.swap.map(|e| line(1, e, partition_type::SWAP, SWAP, "ebbtide-swap"));
        let cow = self.layout.cow.map(|e| line(2, e, partition_type::COW, COW, "ebbtide-cow"));
        swap.into_iter().chain(cow).collect()
    }
}

/// Sizes around the least, odd ones, and the largest that a protective MBR cannot hold any more.
fn sizes(block: LogicalBlock) -> Vec<u64> {
    let block = block.bytes();
    let least = 65 * MIB + block + 16384;
    let odd = (3 << 30) + 7 * block;
    vec![least, least + block, 100 * MIB, odd, 12 << 30, (2 << 40) + block, (9 << 40) - block]
}

fn swaps(size: u64) -> Vec<SwapSize> {
    let tight = size < 80 * MIB;
    let odd = SwapSize::Fixed(Bytes(5 * MIB + 123));
    let none = SwapSize::Fixed(Bytes(0));
    if tight { vec![SwapSize::Auto, none] } else { vec![SwapSize::Auto, none, odd] }
}

fn every_disk(block: LogicalBlock, mut check: impl FnMut(&Volatile)) {
    for size in sizes(block) {
        for swap in swaps(size) {
            check(&Volatile::make(size, block, swap));
        }
    }
}

/// Compares a dump, which has blanks at will, with what was written.
fn assert_dumped(dump: &str, disk: &Volatile) {
    let squeeze = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let lines: Vec<_> = dump.lines().map(|line| squeeze(line).replace("= ", "=")).collect();
    let found: Vec<_> = lines.iter().filter(|line| line.contains(": start=")).collect();
    assert_eq!(found, disk.partitions().iter().collect::<Vec<_>>(), "{dump}");
    for wanted in ["label: gpt".to_string(), format!("label-id: {DISK}")] {
        let there = lines.iter().any(|line| line.to_lowercase().ends_with(&wanted));
        assert!(there, "wanted \"{wanted}\"; found\n{dump}");
    }
}

fn assert_no_errors(verdict: &str) {
    assert!(verdict.contains("No errors detected."), "{verdict}");
    assert!(!verdict.contains("boundary") && !verdict.contains("verlap"), "{verdict}");
}

#[test]
fn sfdisk_finds_no_fault_and_the_same_partitions_under_the_same_numbers() {
    every_disk(LogicalBlock::B512, |disk| {
        let sfdisk = |what| succeed("sfdisk", "fdisk", &[what], disk.file.path(), "");
        assert_no_errors(&sfdisk("--verify"));
        assert_dumped(&sfdisk("--dump"), disk);
    });
}

/// `sfdisk` learns of 4096-byte blocks only from a block device; `fdisk` can be told.
#[test]
fn fdisk_finds_no_fault_and_the_same_partitions_under_the_same_numbers() {
    for block in [LogicalBlock::B512, LogicalBlock::B4096] {
        every_disk(block, |disk| {
            let size = block.bytes().to_string();
            let arguments = ["--sector-size", &size];
            // v: verify; O: write a dump; q: quit without writing.
            let commands = "v\nO\n/dev/stdout\nq\n";
            let said = succeed("fdisk", "fdisk", &arguments, disk.file.path(), commands);
            assert_no_errors(&said);
            assert_dumped(&said, disk);
        });
    }
}

/// `sgdisk` takes every file for a disk of 512-byte blocks.
#[test]
fn sgdisk_finds_no_fault() {
    every_disk(LogicalBlock::B512, |disk| {
        let verdict = succeed("sgdisk", "gdisk", &["--verify"], disk.file.path(), "");
        assert!(verdict.contains("No problems found."), "{verdict}");
        assert!(!verdict.contains("ERROR") && !verdict.contains("Caution"), "{verdict}");
    });
}

/// Without this the tests above could be content with anything.
#[test]
fn the_tools_find_the_fault_when_the_backup_header_is_lost() {
    for block in [LogicalBlock::B512, LogicalBlock::B4096] {
        let disk = Volatile::make(100 * MIB, block, SwapSize::Auto);
        let blank = vec![0; block.bytes() as usize];
        let place = 100 * MIB - block.bytes();
        disk.file.as_file().write_all_at(&blank, place).expect("the backup header is lost");
        let size = block.bytes().to_string();
        let arguments = ["--sector-size", &size];
        let fdisk = said(&run("fdisk", "fdisk", &arguments, disk.file.path(), "v\nq\n"));
        assert!(fdisk.contains("backup GPT table is corrupt"), "{fdisk}");
        if block == LogicalBlock::B512 {
            let sgdisk = said(&run("sgdisk", "gdisk", &["--verify"], disk.file.path(), ""));
            assert!(sgdisk.contains("ERROR") && sgdisk.contains("Caution"), "{sgdisk}");
        }
    }
}
