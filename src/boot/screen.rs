//! The end of a boot that cannot go on: what is said, and what is done.

use crate::{failure::Failure, root::Root};
use ebbtide_init::{boot_words::on_failure, options::OnFailure};
use nix::{
    errno::Errno,
    sys::{
        reboot::{RebootMode, reboot},
        wait::waitpid,
    },
    unistd::{Pid, pause, sync},
};
use std::{
    ffi::CStr,
    fs::File,
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    panic,
    path::Path,
    sync::OnceLock,
    thread,
    time::Duration,
};

/// How many lines of the kernel log are shown.
const LINES: usize = 12;
/// The most lines that are read to find the last ones.
const MOST: usize = 100_000;
/// Long enough to read a screen that a power off takes away.
const READING: Duration = Duration::from_secs(5);
/// Programs of an initramfs that are a shell, with their own names for it.
const SHELLS: [(&CStr, &[&CStr]); 3] = [
    (c"/bin/sh", &[c"sh"]),
    (c"/bin/busybox", &[c"busybox", c"sh"]),
    (c"/usr/bin/busybox", &[c"busybox", c"sh"]),
];
const ENVIRONMENT: [&CStr; 3] = [c"PATH=/usr/sbin:/usr/bin:/sbin:/bin", c"HOME=/", c"TERM=linux"];

/// What is done, as long as that can be read: `/proc` and `/etc` are others after the switch of the root.
static WANTED: OnceLock<OnFailure> = OnceLock::new();

/// Decides what a failure from now on comes to.
pub(super) fn decide() -> OnFailure {
    let machine = Root::at("/");
    let read = |path| machine.read(path).unwrap_or_default();
    *WANTED.get_or_init(|| on_failure(&read("proc/cmdline"), &read("etc/ebbtide/init.conf")))
}

/// Shows the failure, and does what the option `failure` asks for.
pub(super) fn end(failure: &Failure) -> ! {
    log::error!("{failure}");
    let hint = failure.hint();
    show_and_act(&failure.to_string().replace(&format!(" ({hint})"), ""), &hint)
}

/// A panic of process 1 would be one of the kernel: a fault of this program ends like any failure.
pub(super) fn instead_of_a_panic() {
    panic::set_hook(Box::new(|fault| {
        let place =
            fault.location().map_or((String::new(), 0), |l| (l.file().to_string(), l.line()));
        let said = format!("fault in ebbtide-init itself, {} line {}", place.0, place.1);
        show_and_act(&said, "please report it, with the lines below");
    }));
}

fn show_and_act(said: &str, hint: &str) -> ! {
    let wanted = decide();
    let act = match wanted {
        OnFailure::Shell if shell().is_none() => {
            "there is no shell here; the power goes off in 5 s (ebbtide.failure=shell)"
        }
        OnFailure::Shell => {
            "a shell follows; the machine starts again when it ends \
                             (ebbtide.failure=shell)"
        }
        OnFailure::Reboot => "the machine starts again in 5 s (ebbtide.failure=reboot)",
        OnFailure::PowerOff => "the power goes off in 5 s (ebbtide.failure=poweroff)",
    };
    show(said, hint, act);
    if wanted == OnFailure::Shell && shell().is_some() {
        run_shell();
        restart(RebootMode::RB_AUTOBOOT);
    }
    thread::sleep(READING);
    restart(match wanted {
        OnFailure::Reboot => RebootMode::RB_AUTOBOOT,
        OnFailure::PowerOff | OnFailure::Shell => RebootMode::RB_POWER_OFF,
    })
}

/// A screen that was cleared holds nothing but this.
fn show(said: &str, hint: &str, act: &str) {
    let mut text = String::from("\x1b[2J\x1b[H\n  Ebbtide cannot boot this machine.\n\n  What:  ");
    // The thing, the wanted, the found, a line each.
    text.push_str(
        &said.replace(": wanted ", "\n         wanted ").replace("; found ", "\n         found "),
    );
    if !hint.is_empty() {
        text.push_str(&format!("\n  Hint:  {hint}"));
    }
    text.push_str(&format!("\n  Now:   {act}\n\n  The last lines of the kernel log:\n"));
    for line in last_lines().unwrap_or_default() {
        text.push_str(&format!("    {line}\n"));
    }
    text.push('\n');
    let _ = io::stderr().write_all(text.as_bytes());
}

/// Records of `/dev/kmsg`: `PRIORITY,NUMBER,TIME,FLAGS;TEXT`, one a read
/// (Documentation/ABI/testing/dev-kmsg).
fn last_lines() -> io::Result<Vec<String>> {
    let mut log = File::options()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK)
        .open(Path::new("/dev/kmsg"))?;
    let (mut lines, mut record) = (Vec::new(), [0; 8192]);
    for _ in 0..MOST {
        let length = match log.read(&mut record) {
            Ok(length) => length,
            // What was next has been overwritten.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => continue,
            Err(_) => break,
        };
        let text = String::from_utf8_lossy(record.get(..length).unwrap_or_default());
        let text = text.split_once(';').map_or("", |(_, text)| text);
        if lines.len() == LINES {
            lines.remove(0);
        }
        lines.push(text.lines().next().unwrap_or_default().to_string());
    }
    Ok(lines)
}

fn shell() -> Option<&'static (&'static CStr, &'static [&'static CStr])> {
    SHELLS.iter().find(|(path, _)| path.to_str().is_ok_and(|path| Path::new(path).is_file()))
}

/// Runs a shell to its end, and takes leave of every process that is left to process 1 meanwhile.
fn run_shell() {
    let Some((program, arguments)) = shell() else { return };
    match ebbtide_sys::session::start(program, arguments, &ENVIRONMENT) {
        Ok(number) => loop {
            match waitpid(None::<Pid>, None) {
                Ok(ended) if ended.pid() == Some(Pid::from_raw(number)) => return,
                Err(Errno::ECHILD) => return,
                _ => {}
            }
        },
        Err(error) => log::error!("{}: {error}", program.to_string_lossy()),
    }
}

fn restart(how: RebootMode) -> ! {
    sync();
    let _ = reboot(how);
    // A machine that cannot: its screen is all that can be done.
    loop {
        pause();
    }
}
