//! Work that nobody waits for: the next dirty images of a VM, made by a process of its own.

use ebbtide::VmName;
use std::{
    env, io,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

/// Begins to make the next dirty images of a VM, and does not wait. Where that fails, the next start makes its own.
#[allow(dead_code, reason = "verbs that commit call it")]
pub(crate) fn precache(pool: &Path, name: &VmName) {
    if let Err(error) = begin(pool, name) {
        log::warn!("cannot begin to prepare the next start of {name}: {error}");
    }
}

fn begin(pool: &Path, name: &VmName) -> io::Result<()> {
    let mut command = Command::new(env::current_exe()?);
    command.arg("--pool").arg(pool).args(["precache", name.as_str()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    // In a group of its own, it is not ended with what the user stops in the terminal.
    command.process_group(0).spawn().map(drop)
}
