//! Whether QEMU can give up system calls that it does not need (`-sandbox`).

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use crate::{
    deadline::Deadline,
    error::{Error, Result},
    memory,
    process::Process,
};

/// How long QEMU may take to start without a machine and end again.
const LIMIT: Duration = Duration::from_secs(10);

/// Returns whether `qemu` starts with `-sandbox SETTING`: some builds have none, and in some containers the kernel
/// refuses it. Asked once since this boot for each program and setting.
///
/// # Errors
/// When QEMU cannot be run at all.
pub fn sandbox_works(qemu: &Path, setting: &str) -> Result<bool> {
    let asked = format!("{} {setting} ", qemu.display());
    let parse = |text: &str| text.strip_prefix(&asked)?.parse().ok();
    let text = |answer: &bool| format!("{asked}{answer}");
    let file = memory::file("sandbox");
    memory::remembered(file.as_deref(), parse, || starts(qemu, setting), text)
}

fn starts(qemu: &Path, setting: &str) -> Result<bool> {
    let mut command = Command::new(qemu);
    command
        .args(["-sandbox", setting, "-M", "none", "-nodefaults", "-no-user-config", "-S"])
        .args(["-display", "none", "-qmp", "stdio"]);
    // The monitor reads its commands from a file, and leaves after the last.
    let script = "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"quit\"}\n";
    let mut input = tempfile::tempfile().map_err(Error::io("making a file for the probe"))?;
    std::io::Write::write_all(&mut input, script.as_bytes())
        .and_then(|()| std::io::Seek::rewind(&mut input))
        .map_err(Error::io("writing the probe's commands"))?;
    command.stdin(input).stdout(Stdio::null()).stderr(Stdio::null());
    let probe =
        Process::start(command).map_err(Error::io(format!("starting {}", qemu.display())))?;
    let status = probe.wait(Deadline::after(LIMIT));
    probe.kill();
    Ok(status.is_some_and(|status| status.success()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_does_not_start() {
        let Ok(qemu) = crate::program() else { return };
        assert!(!starts(&qemu, "on,nonsense=deny").unwrap());
    }
}
