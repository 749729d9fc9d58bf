//! `cargo xtask bench chunk`: what each size of a copy-on-write chunk costs, and each kind of store.
//!
//! A Debian guest boots, copies a tree of small files and reads its root from one end to the other. The row "writable root"
//! is the same guest on a writable copy of the same root, without a snapshot.

use std::time::Duration;

use vmtest::{Disk, DiskStats, Image, Qemu, Size, Vm};

use super::guest;
use super::report::Report;
use super::sample::Sample;
use crate::failure::{Context, Result};

/// Boots of each row: enough for counts, which hardly differ; times want more and a quiet host.
const ROUNDS: usize = 2;
/// For the copying or the reading of one guest.
const LIMIT: Duration = Duration::from_secs(120);

/// What is copied: thousands of small files and some large ones, the same in every guest.
const COPY: &str =
    "cp -a /usr/bin /usr/share /usr/lib/systemd /usr/lib/udev /var/lib/dpkg /root/ && sync";
/// How often each device of a guest is read, in turn; a first time, while the emulator is cold, does not count.
const READS: usize = 3;
/// How much is read from the start of a device, in MiB.
const READ_MIB: u64 = 256;

/// A row: the chunk in KiB and the store, or none.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Root {
    Writable,
    Snapshot { kib: u64, store: &'static str },
}

const fn snapshot(kib: u64, store: &'static str) -> Root {
    Root::Snapshot { kib, store }
}

const ROWS: [Root; 11] = [
    Root::Writable,
    snapshot(4, "N"),
    snapshot(8, "N"),
    snapshot(16, "N"),
    snapshot(32, "N"),
    snapshot(64, "N"),
    snapshot(128, "N"),
    snapshot(4, "PO"),
    snapshot(8, "PO"),
    snapshot(16, "PO"),
    snapshot(32, "PO"),
];

impl Root {
    fn name(self) -> String {
        match self {
            Root::Writable => "writable root".to_owned(),
            Root::Snapshot { kib, store } => format!("{} sectors ({kib} KiB) {store}", kib * 2),
        }
    }
}

/// What was measured of one row: times in ms, amounts in sectors.
#[derive(Default)]
struct Found {
    boot: Sample,
    boot_root_read: Sample,
    boot_volatile_read: Sample,
    boot_written: Sample,
    boot_store: Sample,
    copy: Sample,
    copy_written: Sample,
    copy_requests: Sample,
    read: Sample,
    raw: Sample,
    read_requests: Sample,
    raw_requests: Sample,
}

/// Runs the benchmark.
pub(super) fn main(rounds: Option<usize>) -> Result<()> {
    let rounds = rounds.unwrap_or(ROUNDS);
    let image = guest::image("debian-initramfs-tools")?;
    let mut all: Vec<Found> = ROWS.iter().map(|_| Found::default()).collect();
    for round in 0..rounds {
        // Each time another row comes first, so that a busy spell of the host does not always hit the same ones.
        for at in (0..ROWS.len()).map(|at| (at + round * 4) % ROWS.len()) {
            measure(&image, ROWS[at], &mut all[at])?;
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    let mut report = Report::new("chunk");
    report.say(format!("Debian 12 with initramfs-tools, medians of {rounds} boots in turn."));
    report.say("Sectors of 512 bytes and requests are what QEMU counted at the disk, so exact.");
    report.say("");
    boots(&mut report, &all);
    copies(&mut report, &all);
    reads(&mut report, &all);
    report.save()
}

fn start(image: &Image, row: Root) -> Result<Vm> {
    let machine = Qemu::boot(image);
    let machine = match row {
        Root::Writable => machine.root(Disk::copy_of(image.root())),
        Root::Snapshot { kib, store } => machine
            .root(Disk::read_only(image.root()))
            .cmdline(&format!("ebbtide.chunk={kib}K ebbtide.overflow={store}")),
    };
    let machine = machine.cmdline("ebbtide.swap=64M").volatile(Disk::empty(Size::gib(2)));
    machine.start().context(|| format!("cannot start a machine for {}", row.name()))
}

fn measure(image: &Image, row: Root, found: &mut Found) -> Result<()> {
    let vm = start(image, row)?;
    let doing = || format!("measuring {}", row.name());
    let boot = vm.wait_until_ready().context(doing)?;
    found.boot.add(boot.as_secs_f64() * 1e3);
    in_guest(&vm, "sync")?;
    // Without a snapshot what counts is written to the root itself, beside the same swap.
    let written = |vm: &Vm| match row {
        Root::Writable => vm.disk_stats("root"),
        Root::Snapshot { .. } => vm.disk_stats("volatile"),
    };
    let root = |vm: &Vm| vm.disk_stats("root").context(doing);
    let booted = written(&vm).context(doing)?;
    found.boot_written.add(sectors(booted.written));
    found.boot_root_read.add(sectors(root(&vm)?.read));
    found.boot_volatile_read.add(sectors(vm.disk_stats("volatile").context(doing)?.read));
    found.boot_store.add(store_use(&vm, row)?);

    found.copy.add(timed(&vm, COPY)?);
    let copied = written(&vm).context(doing)?.since(booted);
    found.copy_written.add(sectors(copied.written));
    found.copy_requests.add(copied.writes as f64);

    let read = |device: &str| -> Result<(f64, DiskStats)> {
        in_guest(&vm, "echo 3 > /proc/sys/vm/drop_caches")?;
        let before = root(&vm)?;
        let dd = format!("dd if={device} of=/dev/null bs=1M count={READ_MIB} status=none");
        Ok((timed(&vm, &dd)?, root(&vm)?.since(before)))
    };
    let mapped = if row == Root::Writable { "/dev/vda" } else { "/dev/dm-0" };
    read(mapped)?;
    for _ in 0..READS {
        for (device, times, requests) in [
            (mapped, &mut found.read, &mut found.read_requests),
            ("/dev/vda", &mut found.raw, &mut found.raw_requests),
        ] {
            let (ms, stats) = read(device)?;
            times.add(ms);
            requests.add(stats.reads as f64);
        }
    }
    Ok(())
}

fn in_guest(vm: &Vm, script: &str) -> Result<String> {
    let reply = vm.try_run_within(script, LIMIT).context(|| "in the machine".to_owned())?;
    if reply.succeeded() {
        return Ok(reply.text());
    }
    Err(crate::failure::Failure::new(format!("`{script}` in the machine: {}", reply.text())))
}

/// Returns the milliseconds that a script took by the guest's clock.
fn timed(vm: &Vm, script: &str) -> Result<f64> {
    let said = in_guest(
        vm,
        &format!("a=$(date +%s%N)\n{script}\necho ms $((($(date +%s%N) - a) / 1000000))"),
    )?;
    guest::number(&said, "ms")
}

/// Returns the sectors of the store that are in use: `0 SIZE snapshot USED/TOTAL METADATA`.
fn store_use(vm: &Vm, row: Root) -> Result<f64> {
    if row == Root::Writable {
        return Ok(0.0);
    }
    let status = in_guest(vm, "dmsetup status dmroot")?;
    let used = status.split(' ').nth(3).and_then(|word| word.split('/').next());
    used.unwrap_or_default().parse().context(|| format!("the status of the snapshot is `{status}`"))
}

fn sectors(size: Size) -> f64 {
    size.as_sectors() as f64
}

fn boots(report: &mut Report, all: &[Found]) {
    report.say("Boot: power on to the first command, ms; then sectors");
    let rows = table(all, |found| {
        vec![
            found.boot.to_string(),
            found.boot.range(),
            all[0].boot.ratio_to(&found.boot),
            found.boot_root_read.to_string(),
            found.boot_volatile_read.to_string(),
            found.boot_written.to_string(),
            all[0].boot_written.ratio_to(&found.boot_written),
            found.boot_store.to_string(),
        ]
    });
    report.table(
        &[
            "",
            "ms",
            "range",
            "× writable",
            "root read",
            "volatile read",
            "written",
            "× writable",
            "store used",
        ],
        &rows,
    );
}

fn copies(report: &mut Report, all: &[Found]) {
    report.say(format!("Files: {COPY}"));
    let rows = table(all, |found| {
        vec![
            found.copy.to_string(),
            found.copy.range(),
            all[0].copy.ratio_to(&found.copy),
            found.copy_written.to_string(),
            all[0].copy_written.ratio_to(&found.copy_written),
            found.copy_requests.to_string(),
        ]
    });
    report.table(
        &["", "ms", "range", "× writable", "sectors written", "× writable", "requests"],
        &rows,
    );
}

fn reads(report: &mut Report, all: &[Found]) {
    report.say(format!(
        "Reading: the first {READ_MIB} MiB of the mapped root, and of the disk below in the same machine, caches dropped"
    ));
    let rows = table(all, |found| {
        vec![
            found.read.to_string(),
            found.raw.to_string(),
            format!("{:.2}", found.raw.median() / found.read.median()),
            found.read_requests.to_string(),
            found.raw_requests.to_string(),
        ]
    });
    report.table(&["", "ms", "ms raw", "speed ÷ raw", "requests", "requests raw"], &rows);
}

fn table(all: &[Found], cells: impl Fn(&Found) -> Vec<String>) -> Vec<Vec<String>> {
    let row = |(row, found): (&Root, &Found)| {
        std::iter::once(row.name()).chain(cells(found)).collect::<Vec<_>>()
    };
    ROWS.iter().zip(all).map(row).collect()
}
