//! A process that starts and stops whatever it draws, until it is killed. A committed version has one writing on all of its
//! blocks, so each can be told from parts of two.

use crate::{
    content::{Content, Draw},
    host::{Host, TEMPLATE, name},
};
use ebbtide::{
    Error, Result,
    name::{VolumeId, VolumeName},
    pool::{
        driver::{Ending, Volume},
        store::Unseen,
    },
    vm::{self, Allow, Guard, PREPARE, Pick, Run},
    volume::Revision,
};
use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

pub(crate) const DIR: &str = "EBBTIDE_STRESS_DIR";
pub(crate) const NUMBER: &str = "EBBTIDE_STRESS_WORKER";
pub(crate) const APPS: [&str; 4] = ["a", "b", "c", "d"];
/// An AppVM whose root is a writable copy.
pub(crate) const COPY: &str = "copy";
pub(crate) const KEEP: u32 = 2;
pub(crate) const BLOCKS: usize = 64;
/// Versions have writings from 1 to this one.
pub(crate) const WRITINGS: u64 = 32;

/// In a run of all tests it has nothing to do.
#[test]
fn work() {
    let Some(dir) = std::env::var_os(DIR).map(PathBuf::from) else { return };
    let (number, seed) = (super::setting(NUMBER, 0), super::setting(super::SEED, 0));
    let mut log = File::options().create(true).append(true).open(log(&dir, number)).unwrap();
    let out = dir.with_file_name(format!("out-{number}"));
    let (host, mut draw) = (Host::open(&dir), Draw(seed));
    loop {
        let (what, ended) = match draw.below(16) {
            0..8 => ("app", app(&host, &mut draw)),
            8..12 => ("template", template(&host, &mut draw)),
            12 => ("discard", vm::discard(&host.pool, &name(TEMPLATE), None).map(drop)),
            13 => ("revert", vm::revert(&host.pool, &root(), &Pick::Newest).map(drop)),
            14 => ("export", export(&host, &mut draw, &out)),
            _ => ("free", vm::precache(&host.pool, &name(TEMPLATE))),
        };
        let said = match ended {
            Ok(()) => "done".into(),
            Err(Error::Refused(refusal)) => format!("refused: {refusal}"),
            Err(error) => format!("failed: {}", error.chain()),
        };
        // In one write: a kill leaves whole lines.
        log.write_all(format!("{what} {said}\n").as_bytes()).unwrap();
    }
}

fn root() -> VolumeId {
    VolumeId { vm: name(TEMPLATE), volume: VolumeName::root() }
}

/// Has an AppVM run for a moment, or ends one that somebody has left running. Its root is one version all the time.
fn app(host: &Host, draw: &mut Draw) -> Result<()> {
    let vm = if draw.below(5) == 0 { COPY } else { APPS[draw.below(APPS.len())] };
    let guard = Guard::take(&host.pool, &name(vm), "run", Allow::Prepared)?;
    let disk = if guard.is_prepared() {
        let volume = guard.vm().volume(&host.pool, &VolumeName::root())?;
        host.pool.driver().disk(&volume, guard.vm().root_access())?
    } else {
        vm::prepare(&host.pool, &guard, Run::new(PREPARE)?)?.swap_remove(0)
    };
    // Its use may be half ended by whoever was killed; and to its copy may be written.
    let is_used = guard.is_prepared() && host.of(vm).join("root-snap.img").exists();
    if is_used && vm != COPY || !guard.is_prepared() {
        let found = Content::of_one_writing(&disk.path, BLOCKS, WRITINGS).unwrap();
        thread::sleep(Duration::from_millis(draw.below(30) as u64));
        found.is_on(&disk.path);
        if vm == COPY {
            let own = found.with((0..BLOCKS).step_by(2), WRITINGS + 1);
            own.write(&disk.path, &found);
            own.is_on(&disk.path);
        }
    }
    if !guard.is_prepared() && draw.below(3) == 0 {
        return Ok(());
    }
    vm::release(&host.pool, &guard, Ending::Commit).map(drop)
}

/// Has the template write all of its root, and commits that; or some of it, which nobody commits.
fn template(host: &Host, draw: &mut Draw) -> Result<()> {
    let guard = Guard::take(&host.pool, &name(TEMPLATE), "run", Allow::Prepared)?;
    let unfinished = [Ending::Keep, Ending::Discard][draw.below(2)];
    if guard.is_prepared() {
        return vm::release(&host.pool, &guard, unfinished).map(drop);
    }
    let disk = vm::prepare(&host.pool, &guard, Run::new(PREPARE)?)?.swap_remove(0);
    let next = Content::all(BLOCKS, 1 + draw.below(WRITINGS as usize) as u64);
    let is_whole = draw.below(3) != 0;
    let written = if is_whole { 0..BLOCKS } else { 0..draw.below(BLOCKS) };
    next.write(&disk.path, &next.with(written, 0));
    match (is_whole, draw.below(4)) {
        (false, 0) => Ok(()),
        (false, _) => vm::release(&host.pool, &guard, unfinished).map(drop),
        (true, 0) => {
            vm::release(&host.pool, &guard, Ending::Keep)?;
            host.pool.driver().commit(&volume(host)?).map(drop)
        }
        (true, _) => vm::release(&host.pool, &guard, Ending::Commit).map(drop),
    }
}

fn export(host: &Host, draw: &mut Draw, out: &Path) -> Result<()> {
    let versions = versions(host);
    let revision = versions.get(draw.below(KEEP as usize + 1)).copied();
    match version(host, revision, out) {
        Ok(_) => Ok(()),
        Err(Wrong::Said(error)) => Err(error),
        Err(Wrong::Content(wrong)) => panic!("{revision:?}: {wrong}"),
    }
}

/// Why there is no version.
#[derive(Debug)]
pub(crate) enum Wrong {
    Said(Error),
    Content(String),
}

impl std::fmt::Display for Wrong {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Said(error) => f.write_str(&error.chain()),
            Self::Content(wrong) => f.write_str(wrong),
        }
    }
}

fn volume(host: &Host) -> Result<Volume> {
    host.pool.vm(&name(TEMPLATE))?.volume(&host.pool, &VolumeName::root())
}

/// Returns the content of a version, or of the current one.
pub(crate) fn version(
    host: &Host,
    revision: Option<Revision>,
    out: &Path,
) -> Result<Content, Wrong> {
    let _ = fs::remove_file(out);
    let volume = volume(host).map_err(Wrong::Said)?;
    let driver = host.pool.driver();
    driver.copy_out(&volume, revision, out, &mut Unseen).map_err(Wrong::Said)?;
    Content::of_one_writing(out, BLOCKS, WRITINGS).map_err(Wrong::Content)
}

/// Returns the kept versions.
pub(crate) fn versions(host: &Host) -> Vec<Revision> {
    let state = host.pool.driver().state(&volume(host).unwrap());
    state.map_or(Vec::new(), |state| state.revisions.iter().map(|(of, _)| *of).collect())
}

fn log(pool: &Path, number: u64) -> PathBuf {
    pool.with_file_name(format!("worker-{number}.log"))
}

/// What the processes wrote of what they did.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) done: usize,
    pub(crate) refused: usize,
    pub(crate) failed: Vec<String>,
}

impl Work {
    pub(crate) fn of(pool: &Path, workers: u64) -> Self {
        let mut work = Self::default();
        for number in 0..workers {
            let text = fs::read_to_string(log(pool, number)).unwrap_or_default();
            for line in text.lines() {
                match line.split_once(' ') {
                    Some((_, rest)) if rest.starts_with("done") => work.done += 1,
                    Some((_, rest)) if rest.starts_with("refused") => work.refused += 1,
                    _ => work.failed.push(line.into()),
                }
            }
        }
        work
    }

    /// Returns how much they have written of it.
    pub(crate) fn lines(pool: &Path, workers: u64) -> u64 {
        let length = |number| fs::metadata(log(pool, number)).map_or(0, |found| found.len());
        (0..workers).map(length).sum()
    }
}
