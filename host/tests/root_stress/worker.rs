//! A process that does whatever it draws to a pool, until it is killed.

use ebbtide::{
    Error, Result, VmName, VolumeName,
    pool::{
        Pool,
        check::check,
        driver::{Disk, Ending},
        store::Unseen,
    },
    vm::{self, Allow, Guard, NewTemplate, NewVm, Pick, RootSource, Run},
};
use ebbtide_format::units::Bytes;
use std::{
    fs::File,
    io::Write as _,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

pub(crate) const DIR: &str = "EBBTIDE_STRESS_DIR";
pub(crate) const SEED: &str = "EBBTIDE_STRESS_WORKER_SEED";
pub(crate) const NUMBER: &str = "EBBTIDE_STRESS_WORKER";

/// Numbers that look random (splitmix64).
pub(crate) struct Draw(u64);

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len() as u64) as usize]
    }
}

/// Where a process writes what it did, beside the pool.
pub(crate) fn log(pool: &Path, number: u64) -> PathBuf {
    pool.with_file_name(format!("worker-{number}.log"))
}

const TEMPLATES: [&str; 2] = ["deb", "debian"];
const VMS: [&str; 4] = ["a", "work", "work-2", "x y"];

/// Works until it is killed.
pub(crate) fn work(dir: &Path, seed: u64, number: u64) {
    let mut log = File::options().create(true).append(true).open(log(dir, number)).unwrap();
    let mut draw = Draw::new(seed);
    loop {
        let operation = *draw.of(&OPERATIONS);
        let ended = Pool::open(dir).and_then(|pool| (operation.1)(&pool, &mut draw));
        let said = match &ended {
            Ok(()) => "done".into(),
            Err(Error::Refused(refusal)) => format!("refused: {refusal}"),
            Err(error) => {
                let cause = std::error::Error::source(error).map(ToString::to_string);
                format!("failed: {error}: {cause:?}")
            }
        };
        // In one write: a kill leaves whole lines.
        log.write_all(format!("{} {said}\n", operation.0).as_bytes()).unwrap();
    }
}

type Operation = (&'static str, fn(&Pool, &mut Draw) -> Result<()>);

const OPERATIONS: [Operation; 20] = [
    ("template", |pool, draw| template(pool, &of(draw, &TEMPLATES))),
    ("create", create),
    ("create", create),
    ("clone", |pool, draw| {
        let all = *draw.of(&[&TEMPLATES[..], &VMS[..], &VMS[..]]);
        vm::clone(pool, &of(draw, all), &of(draw, all)).map(drop)
    }),
    ("run", run),
    ("run", run),
    ("run", run),
    ("run", run),
    ("run", run),
    ("run", run),
    ("import", import),
    ("revert", |pool, draw| vm::revert(pool, &volume(draw), &Pick::Newest).map(drop)),
    ("resize", resize),
    ("commit", |pool, draw| vm::commit(pool, &any(draw), None).map(drop)),
    ("discard", |pool, draw| vm::discard(pool, &any(draw), None).map(drop)),
    ("remove", |pool, draw| match draw.below(3) {
        0 => vm::remove(pool, &any(draw)).map(drop),
        _ => Ok(()),
    }),
    ("pin", pin),
    ("export", export),
    ("precache", |pool, draw| vm::precache(pool, &any(draw))),
    ("check", |pool, _| check(pool).map(drop)),
];

fn of(draw: &mut Draw, names: &[&str]) -> VmName {
    draw.of(names).parse().unwrap()
}

fn any(draw: &mut Draw) -> VmName {
    let all = [TEMPLATES.as_slice(), VMS.as_slice()].concat();
    of(draw, &all)
}

fn volume(draw: &mut Draw) -> ebbtide::name::VolumeId {
    let names = [VolumeName::root(), VolumeName::private()];
    ebbtide::name::VolumeId { vm: any(draw), volume: draw.of(&names).clone() }
}

pub(crate) fn template(pool: &Pool, name: &VmName) -> Result<()> {
    let mut new = NewTemplate::new(RootSource::Blank(Bytes::mib(1)));
    new.private = Bytes::kib(256);
    new.swap = Bytes(0);
    vm::create_template(pool, name, &new, &mut Unseen)
}

fn create(pool: &Pool, draw: &mut Draw) -> Result<()> {
    let mut new = NewVm::new(of(draw, &TEMPLATES));
    new.private = Bytes::kib(256);
    new.swap = Bytes(0);
    new.own_root = draw.below(4) == 0;
    new.root_cow = *draw.of(&[vm::record::RootCow::Guest, vm::record::RootCow::Host]);
    vm::create(pool, &of(draw, &VMS), &new)
}

/// Starts a VM, writes to its disks, and stops it, in one of the ways in which that ends.
fn run(pool: &Pool, draw: &mut Draw) -> Result<()> {
    let name = any(draw);
    let guard = Guard::take(pool, &name, "run", Allow::Prepared)?;
    if pool.store().stat(&guard.vm().dir.join("run.toml")).unwrap().is_some() {
        return vm::release(pool, &guard, ending(draw)).map(drop);
    }
    let engine = *draw.of(&["qemu", vm::PREPARE]);
    let disks = vm::prepare(pool, &guard, Run::new(engine)?)?;
    if draw.below(4) != 0 {
        disks.iter().filter(|disk| !disk.read_only).for_each(|disk| write(disk, draw));
    }
    if engine == vm::PREPARE && draw.below(3) == 0 {
        // Released by somebody else, later.
        return Ok(());
    }
    vm::release(pool, &guard, ending(draw))?;
    drop(guard);
    if draw.below(2) == 0 { vm::precache(pool, &name) } else { Ok(()) }
}

fn ending(draw: &mut Draw) -> Ending {
    *draw.of(&[Ending::Commit, Ending::Commit, Ending::Keep, Ending::Discard])
}

fn write(disk: &Disk, draw: &mut Draw) {
    let file = File::options().write(true).open(&disk.path).unwrap();
    for _ in 0..=draw.below(16) {
        let at = draw.below(disk.size.0 / 4096) * 4096;
        file.write_all_at(&[draw.next() as u8; 4096], at).unwrap();
    }
}

fn import(pool: &Pool, draw: &mut Draw) -> Result<()> {
    let id = volume(draw);
    let guard = Guard::take(pool, &id.vm, "import", Allow::Stopped)?;
    let volume = guard.vm().volume(pool, &id.volume)?;
    let outside = pool.dir().with_file_name("outside");
    pool.driver().import(&volume, &outside, &mut Unseen).map(drop)
}

fn resize(pool: &Pool, draw: &mut Draw) -> Result<()> {
    let id = volume(draw);
    let guard = Guard::take(pool, &id.vm, "resize", Allow::Stopped)?;
    let volume = guard.vm().volume(pool, &id.volume)?;
    let size = Bytes::kib(256 + 64 * draw.below(32));
    pool.driver().resize(&volume, size, false)
}

fn pin(pool: &Pool, draw: &mut Draw) -> Result<()> {
    let id = volume(draw);
    if draw.below(2) == 0 {
        return vm::unpin(pool, &id, "good").map(drop);
    }
    let versions = vm::versions(pool, &id)?;
    let numbers: Vec<_> = versions.kept.iter().filter_map(|kept| kept.revision.number).collect();
    match numbers.first() {
        Some(number) => vm::pin(pool, &id, *number, "good"),
        None => Ok(()),
    }
}

fn export(pool: &Pool, draw: &mut Draw) -> Result<()> {
    let id = volume(draw);
    let volume = pool.vm(&id.vm)?.volume(pool, &id.volume)?;
    let (export, path) = vm::export(pool, &id)?;
    let before = std::fs::read(&path).map_err(Error::doing("read an export"))?;
    std::thread::sleep(std::time::Duration::from_millis(draw.below(10)));
    let after = std::fs::read(&path).map_err(Error::doing("read an export again"))?;
    assert!(before == after, "{} changed", path.display());
    pool.driver().export_end(&volume, export)
}
