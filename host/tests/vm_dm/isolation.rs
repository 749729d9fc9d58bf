//! AppVMs of three versions read what they were started on, bit for bit, while the template is written over; and what a
//! version took is freed with its last user.

use crate::{
    content::Content,
    host::{Host, TEMPLATE},
    machine::{Machine, on_one},
    mapped::{devices, in_use, loops, nothing_is_left},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};
use vmtest::{Result, require};

/// 8 MiB.
const BLOCKS: usize = 2048;
/// What a directory and its journal may take more than before, in KiB.
const SLACK: u64 = 256;

/// One boot.
#[test]
fn no_consumer_sees_what_is_written() -> Result<()> {
    on_one(require!(Machine::start("ext4", 256)), &["isolation::versions_are_apart"])
}

/// An AppVM that reads its root over and over.
struct Reader {
    reads: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Option<String>>,
}

impl Reader {
    fn start(disk: &Path, wanted: &Content) -> Self {
        let (reads, is_over) = <(Arc<AtomicUsize>, Arc<AtomicBool>)>::default();
        let (disk, wanted) = (PathBuf::from(disk), wanted.clone());
        let (count, stop) = (Arc::clone(&reads), Arc::clone(&is_over));
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                let wrong = wanted.wrong(&disk);
                count.fetch_add(1, Ordering::Relaxed);
                if wrong.is_some() {
                    return wrong;
                }
            }
            None
        });
        Self { reads, is_over, thread }
    }

    /// Waits until it has read all twice from now on: at least one of these reads began after this.
    fn go_on(&self) {
        let (begin, before) = (Instant::now(), self.reads.load(Ordering::Relaxed));
        while self.reads.load(Ordering::Relaxed) < before + 2 && !self.thread.is_finished() {
            assert!(begin.elapsed() < Duration::from_secs(60), "a reader stands still");
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Returns how often it has read all.
    fn end(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        assert_eq!(self.thread.join().unwrap(), None);
        self.reads.load(Ordering::Relaxed)
    }
}

#[test]
fn versions_are_apart() {
    let first = Content::all(BLOCKS, 1);
    let Some(host) = Host::new("apart", 0, &first, &["a", "b", "c", "d"]) else { return };
    let free = in_use(&host.dir);
    let second = first.with((0..BLOCKS).filter(|block| block % 5 < 2), 2);
    let third = second.with((0..BLOCKS).filter(|block| block % 3 == 0), 3);
    let fourth = Content::all(BLOCKS, 4);
    let versions = [("a", &first), ("b", &second), ("c", &third)];

    // The first two are started before the next version is written, the third while it is.
    let a = host.start("a");
    host.commit(&first, &second);
    let b = host.start("b");
    host.commit(&second, &third);
    let root = host.start(TEMPLATE);
    let c = host.start("c");
    let disks = [a, b, c];
    let readers: Vec<Reader> = versions
        .iter()
        .zip(&disks)
        .map(|((_, content), disk)| Reader::start(disk, content))
        .collect();
    readers.iter().for_each(Reader::go_on);
    fourth.write(&root, &third);
    readers.iter().for_each(Reader::go_on);
    fourth.is_on(&root);
    host.stop(TEMPLATE);
    fourth.is_on(&host.start("d"));
    readers.iter().for_each(Reader::go_on);
    let reads: Vec<usize> = readers.into_iter().map(Reader::end).collect();
    println!("whole reads: {reads:?}");
    for ((_, content), disk) in versions.iter().zip(&disks) {
        content.is_on(disk);
    }

    // None is kept: a store has no other name than that of its user.
    let mut taken = in_use(&host.dir);
    for (vm, _) in versions {
        let store = host.of(vm).join("root-snap.img");
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&fs::metadata(&store).unwrap()), 1);
        let (device, count) = (host.used(vm), loops().len());
        assert!(devices().contains(&device));
        host.stop(vm);
        assert!(!devices().contains(&device));
        // Its store and its volatile disk; the base is used by others.
        assert_eq!(loops().len(), count - 2, "{vm}");
        assert_eq!(host.names(vm), ["vm.toml"]);
        let now = in_use(&host.dir);
        assert!(now + SLACK < taken, "{vm} frees something: {taken} KiB before, {now} KiB after");
        taken = now;
    }
    fourth.is_on(&host.start("a"));
    host.stop("a");
    host.stop("d");
    nothing_is_left();
    assert_eq!(host.names(TEMPLATE), ["root-cow.img", "root.img", "vm.toml"]);
    assert!(
        in_use(&host.dir) <= free + SLACK,
        "{free} KiB before, {} KiB after",
        in_use(&host.dir)
    );
}
