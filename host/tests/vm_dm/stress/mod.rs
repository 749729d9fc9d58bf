//! Eight processes start and stop AppVMs and their template at random and are killed at random. Nobody ever sees two loop
//! devices on one file, or half a version; and when each VM was settled once, nothing is left.
//!
//! `EBBTIDE_STRESS_SECONDS` says for how long, 15 where it is missing; `EBBTIDE_STRESS_SEED` repeats the same draws.

mod watch;
mod worker;

use crate::{
    content::{Content, Draw},
    host::{Host, TEMPLATE, name},
    machine::Machine,
    mapped::nothing_is_left,
};
use ebbtide::{
    pool::driver::Ending,
    vm::{self, Allow, Guard, NewVm, record::RootCow},
};
use ebbtide_format::units::Bytes;
use std::{
    collections::BTreeSet,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use vmtest::{Result, require};
use watch::Watch;
use worker::{APPS, BLOCKS, COPY, KEEP, version};

const WORKERS: u64 = 8;
/// The longest that nobody may do anything: a deadlock takes longer, and so does a device that nobody lets go on.
const PATIENCE: Duration = Duration::from_secs(30);
const SECONDS: &str = "EBBTIDE_STRESS_SECONDS";
const SEED: &str = "EBBTIDE_STRESS_SEED";

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// One boot.
#[test]
fn devices_stay_right_under_kills() -> Result<()> {
    let seconds = setting(SECONDS, 15).to_string();
    let seed = setting(SEED, u64::from(std::process::id())).to_string();
    eprintln!("{SEED}={seed} {SECONDS}={seconds}");
    let machine = require!(Machine::start("ext4", 256));
    machine.begin("stress::in_the_guest", &[(SECONDS, &seconds), (SEED, &seed)])?;
    println!("{}", machine.finish()?);
    machine.end()
}

#[test]
fn in_the_guest() {
    let Some(host) = Host::new("stress", KEEP, &Content::all(BLOCKS, 1), &APPS) else { return };
    let mut new = NewVm::new(name(TEMPLATE));
    (new.private, new.swap, new.root_cow) = (Bytes(0), Bytes(0), RootCow::Host);
    vm::create(&host.pool, &name(COPY), &new).unwrap();
    let watch = Watch::start();
    let kills = kill_at_random(&host.dir, Duration::from_secs(setting(SECONDS, 15)));
    let looks = watch.end();
    let work = worker::Work::of(&host.dir, WORKERS);
    println!("{kills} kills, {looks} looks at all loop devices, {work:?}");
    assert_eq!(work.failed, [] as [String; 0]);
    assert!(work.done > kills, "each process does something before it ends");

    for vm in APPS.into_iter().chain([COPY, TEMPLATE]) {
        let guard = Guard::take(&host.pool, &name(vm), "release", Allow::Prepared).unwrap();
        if guard.is_prepared() {
            vm::release(&host.pool, &guard, Ending::Keep).unwrap();
            drop(guard);
            drop(Guard::take(&host.pool, &name(vm), "settle", Allow::Stopped).unwrap());
        }
    }
    nothing_is_left();
    no_file_is_too_many(&host);
    every_version_is_whole(&host);
}

fn no_file_is_too_many(host: &Host) {
    vm::precache(&host.pool, &name(TEMPLATE)).unwrap();
    for vm in APPS.into_iter().chain([COPY]) {
        assert_eq!(host.names(vm), ["vm.toml"], "{vm}");
    }
    let is_version = |name: &String| name.starts_with("root-cow.img.") && name.contains('@');
    let others = host.names(TEMPLATE).into_iter().filter(|name| !is_version(name));
    // An older version may be made of one that is no more.
    let is_known = |name: &String| *name == "root-dirty.img" || name.contains(".aside-bridge");
    let others: Vec<_> = others.filter(|name| !is_known(name)).collect();
    assert_eq!(others, ["root-cow.img", "root.img", "vm.toml"]);
}

fn every_version_is_whole(host: &Host) {
    let out = host.dir.with_file_name("whole");
    let whole = |revision| match version(host, revision, &out) {
        Ok(content) => content,
        Err(wrong) => panic!("{revision:?}: {wrong}"),
    };
    whole(None);
    vm::discard(&host.pool, &name(TEMPLATE), None).unwrap();
    let root = host.start(TEMPLATE);
    let now = Content::of_one_writing(&root, BLOCKS, worker::WRITINGS).unwrap();
    let next = Content::all(BLOCKS, worker::WRITINGS);
    next.write(&root, &now.with(0..BLOCKS, 0));
    now.is_on(&host.start(APPS[0]));
    host.stop(TEMPLATE);
    // Versions with the same content count once: a revert goes back to what is kept.
    let kept = worker::versions(host).into_iter().map(|revision| whole(Some(revision)));
    let kept: BTreeSet<Content> = kept.collect();
    assert!(kept.len() <= KEEP as usize, "{} contents", kept.len());
    next.is_on(&host.start(APPS[1]));
    host.stop(APPS[0]);
    host.stop(APPS[1]);
    nothing_is_left();
}

/// Lets the processes work, kills one now and then, and returns how often.
fn kill_at_random(dir: &Path, whole: Duration) -> usize {
    let begin = Instant::now();
    let mut draw = Draw(setting(SEED, 0));
    let mut workers: Vec<Child> =
        (0..WORKERS).map(|number| start(dir, draw.next(), number)).collect();
    let (mut kills, mut lines, mut since) = (0, 0, Instant::now());
    while begin.elapsed() < whole {
        thread::sleep(Duration::from_millis(20 + draw.below(250) as u64));
        let now = worker::Work::lines(dir, WORKERS);
        if now > lines {
            (lines, since) = (now, Instant::now());
        }
        assert!(since.elapsed() < PATIENCE, "all stand still, or one has the devices for itself");
        let number = draw.below(workers.len());
        let worker = &mut workers[number];
        end(worker);
        *worker = start(dir, draw.next(), number as u64);
        kills += 1;
    }
    workers.iter_mut().for_each(end);
    kills
}

fn start(dir: &Path, seed: u64, number: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "stress::worker::work", "--nocapture"]).env(worker::DIR, dir);
    command.env(SEED, seed.to_string()).env(worker::NUMBER, number.to_string());
    command.stdout(Stdio::null()).spawn().unwrap()
}

fn end(worker: &mut Child) {
    assert_eq!(worker.try_wait().unwrap(), None, "it ends by nothing but a kill");
    worker.kill().unwrap();
    // Not even a process that waits for a device does so for ever.
    worker.wait().unwrap();
}
