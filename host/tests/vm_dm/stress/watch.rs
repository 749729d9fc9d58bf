//! Looks at the loop devices all the time: no two are over one file.

use ebbtide_sys::loop_device;
use std::{
    collections::BTreeMap,
    fs::{self, File},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

pub(crate) struct Watch {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl Watch {
    pub(crate) fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&is_over);
        let thread = thread::spawn(move || {
            let mut looks = 0;
            while !stop.load(Ordering::Relaxed) {
                look();
                looks += 1;
                thread::sleep(Duration::from_millis(5));
            }
            looks
        });
        Self { is_over, thread }
    }

    /// Returns how often it has looked.
    pub(crate) fn end(self) -> usize {
        self.is_over.store(true, Ordering::Relaxed);
        self.thread.join().expect("no two loop devices on one file")
    }
}

/// A device that is open stays over its file: all of them are what they were found to be until this returns.
fn look() {
    let mut over: BTreeMap<(u64, u64), (String, File)> = BTreeMap::new();
    for entry in fs::read_dir("/sys/block").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        if !name.starts_with("loop") || !entry.path().join("loop").exists() {
            continue;
        }
        let Ok(device) = File::open(format!("/dev/{name}")) else { continue };
        let Ok(Some(status)) = loop_device::status(&device) else { continue };
        let file = (status.device, status.inode);
        if let Some((other, _)) = over.insert(file, (name.clone(), device)) {
            panic!("{other} and {name} are both over {file:?}");
        }
    }
}
