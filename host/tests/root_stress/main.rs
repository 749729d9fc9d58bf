//! Two processes work on one pool at random and are killed at random; the pool is whole afterwards.
//!
//! `EBBTIDE_STRESS_SECONDS` says for how long, 15 where it is missing; `EBBTIDE_STRESS_SEED` repeats the same draws.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests")]

#[path = "../loopfs/mod.rs"]
mod loopfs;
mod worker;

use ebbtide::{
    VmName,
    pool::{
        Create, Pool,
        check::{Severity, check},
        repair::repair,
    },
    vm::{Allow, Guard, Vm},
};
use loopfs::{Kind, LoopFs};
use std::{
    fs,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    io::{Read as _, Seek as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use worker::Draw;

/// The longest that anything but the store's own minute may take: a deadlock takes longer.
const PATIENCE: Duration = Duration::from_secs(30);

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

/// The other processes: this program again, with this test alone. In a run of all tests it has nothing to do.
#[test]
fn worker() {
    if let Some(dir) = std::env::var_os(worker::DIR) {
        worker::work(Path::new(&dir), setting(worker::SEED, 0), setting(worker::NUMBER, 0));
    }
}

#[test]
fn stays_whole_under_kills() {
    let seconds = setting("EBBTIDE_STRESS_SECONDS", 15);
    let seed = setting("EBBTIDE_STRESS_SEED", u64::from(std::process::id()));
    eprintln!("EBBTIDE_STRESS_SEED={seed} EBBTIDE_STRESS_SECONDS={seconds}");
    let fs = LoopFs::of_mib(Kind::Btrfs, 1024);
    let dir = fs.dir().join("pool");
    Pool::create(&dir, &Create::default()).unwrap();
    fs::write(fs.dir().join("outside"), vec![0x55; 300_000]).unwrap();
    fs::write(dir.join("appvms/mine.txt"), "not ours").unwrap();

    let kills = kill_at_random(&dir, seed, Duration::from_secs(seconds));
    let work = Work::of(&fs.dir());
    eprintln!("{kills} kills; {work:?}");
    assert!(kills as u64 > seconds, "{kills} kills");
    assert!(work.done > kills, "each process does something before it ends: {work:?}");
    assert_eq!(work.failed, [] as [String; 0]);

    all_locks_are_free(&dir);
    let pool = Pool::open(&dir).unwrap();
    for Vm { name, .. } in pool.vms().unwrap().vms {
        Guard::take(&pool, &name, "settle", Allow::Prepared).unwrap();
    }
    let repaired = repair(&pool).unwrap();
    eprintln!("repaired: {:#?}", repaired.done);
    let report = check(&pool).unwrap();
    let wrong = report.findings.iter().filter(|found| found.severity() != Severity::Note);
    let wrong: Vec<_> = wrong.map(ToString::to_string).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(repair(&pool).unwrap().done, [] as [String; 0]);
    assert!(dir.join("appvms/mine.txt").exists());
    for (_, image) in images(&dir) {
        assert!(hash(&image) != 0, "every version is readable");
    }
    Guard::take(&pool, &first(&pool), "use", Allow::Stopped).unwrap();
}

/// Returns a VM of the pool, which makes one if there is none.
fn first(pool: &Pool) -> VmName {
    let made = worker::template(pool, &"last".parse().unwrap());
    made.expect("the pool can be used");
    "last".parse().unwrap()
}

/// Lets two processes work, kills one now and then, and returns how often.
fn kill_at_random(dir: &Path, seed: u64, whole: Duration) -> usize {
    let begin = Instant::now();
    let mut draw = Draw::new(seed);
    let mut kills = 0;
    let mut workers = [0, 1].map(|number| start(dir, draw.next(), number));
    while begin.elapsed() < whole {
        std::thread::sleep(Duration::from_millis(20 + draw.below(250)));
        if kills % 25 == 24 {
            both_go_on(dir);
            versions_do_not_change(dir);
        }
        let number = draw.below(2);
        let worker = &mut workers[number as usize];
        end(worker);
        *worker = start(dir, draw.next(), number);
        kills += 1;
    }
    workers.iter_mut().for_each(end);
    kills
}

fn start(dir: &Path, seed: u64, number: u64) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "worker", "--nocapture"]).env(worker::DIR, dir);
    command.env(worker::SEED, seed.to_string()).env(worker::NUMBER, number.to_string());
    command.stdout(Stdio::null()).spawn().unwrap()
}

fn end(worker: &mut Child) {
    assert_eq!(worker.try_wait().unwrap(), None, "it ends by nothing but a kill");
    worker.kill().unwrap();
    worker.wait().unwrap();
}

/// Waits until both have done something: nobody waits for the other for ever.
fn both_go_on(dir: &Path) {
    for number in [0, 1] {
        let log = worker::log(dir, number);
        let lines = || fs::metadata(&log).map_or(0, |meta| meta.len());
        let (begin, before) = (Instant::now(), lines());
        while lines() < before + 100 {
            assert!(begin.elapsed() < PATIENCE, "worker {number} stands still");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Has versions open while others work on the pool: what is in them stays.
fn versions_do_not_change(dir: &Path) {
    let mut open = images(dir);
    let before: Vec<_> = open.iter().map(|(_, image)| hash(image)).collect();
    std::thread::sleep(Duration::from_millis(300));
    for ((path, image), before) in open.iter_mut().zip(before) {
        assert_eq!(hash(image), before, "{} was written to", path.display());
    }
}

/// Opens the current and the kept versions.
fn images(dir: &Path) -> Vec<(PathBuf, fs::File)> {
    let mut images = Vec::new();
    for parent in ["vm-templates", "appvms"] {
        for vm in fs::read_dir(dir.join(parent)).unwrap().flatten() {
            for file in fs::read_dir(vm.path()).into_iter().flatten().flatten() {
                let name = file.file_name().into_string().unwrap();
                let is_version = name.ends_with(".img") && !name.contains('-');
                // What is gone by now was removed by somebody.
                if let (true, Ok(open)) =
                    (is_version || name.contains('@'), fs::File::open(file.path()))
                {
                    images.push((file.path(), open));
                }
            }
        }
    }
    images
}

fn hash(mut image: &fs::File) -> u64 {
    let mut content = Vec::new();
    image.rewind().unwrap();
    image.read_to_end(&mut content).unwrap();
    let mut hasher = DefaultHasher::new();
    content.hash(&mut hasher);
    hasher.finish()
}

fn all_locks_are_free(dir: &Path) {
    let mut dirs = vec![dir.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                dirs.push(entry.path());
            } else if entry.file_name().to_string_lossy().ends_with(".lock") {
                let file = fs::File::open(entry.path()).unwrap();
                file.try_lock().unwrap_or_else(|_| panic!("{} is locked", entry.path().display()));
            }
        }
    }
}

/// What the processes wrote of what they did.
#[derive(Debug, Default)]
struct Work {
    done: usize,
    refused: usize,
    failed: Vec<String>,
}

impl Work {
    fn of(dir: &Path) -> Self {
        let mut work = Self::default();
        for number in [0, 1] {
            let log = worker::log(&dir.join("pool"), number);
            for line in fs::read_to_string(log).unwrap().lines() {
                match line.split_once(' ') {
                    Some((_, rest)) if rest.starts_with("done") => work.done += 1,
                    Some((_, rest)) if rest.starts_with("refused") => work.refused += 1,
                    _ => work.failed.push(line.into()),
                }
            }
        }
        work
    }
}
