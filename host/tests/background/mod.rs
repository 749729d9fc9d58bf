//! What a command leaves in the background: nothing of it keeps a descriptor of ours, so it is looked for.

use std::{fs, path::Path, thread, time::Duration};

/// Waits until no image is made any more for a pool in `room`.
pub(crate) fn wait(room: &Path) {
    let room = room.display().to_string();
    let works = || {
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        processes.into_iter().any(|process| {
            let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command);
            command.contains("\0precache\0") && command.contains(&room)
        })
    };
    while works() {
        thread::sleep(Duration::from_millis(5));
    }
}
