//! A program of a mounted root, run inside it.
//!
//! The guest brings no mkfs and no fsck; the root has them, with its libraries. The program runs in a
//! mount namespace of its own, in which the running system's `/dev` and `/proc` are bound into the root.

use std::{
    ffi::{CString, NulError},
    fs::File,
    io::{self, Read},
    os::{
        fd::{AsRawFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::Path,
    ptr,
    time::{Duration, Instant},
};

/// Where programs are, in the order in which they are looked for.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"];
/// How much of what a program says is kept.
const MOST_OUTPUT: usize = 16 << 10;

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With this status.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// It had not ended when the time was over, and was killed.
    TimedOut,
    /// The root has no such program.
    Missing,
    /// It was started; how it ended cannot be told, for waiting for it failed with this number.
    Lost(i32),
}

/// What came of a program.
#[derive(Debug)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The first 16 KiB of what it wrote to standard output and standard error.
    pub output: Vec<u8>,
}

/// Runs a program of the root at `root` to its end, for at most `patience`.
///
/// Its standard input is empty. In its environment are a `PATH` and `LC_ALL=C` alone.
///
/// # Errors
/// When there is no process to be had, or the root has no `/dev` or `/proc` to bind to: it was not
/// started then. Whatever fails later is an [`End`].
pub fn run(root: &Path, name: &str, arguments: &[&str], patience: Duration) -> io::Result<Outcome> {
    let child = Child::prepare(root, name, arguments)?;
    let (mut output, their_output) = pipe()?;
    let (mut report, their_report) = pipe()?;
    let nothing = File::open("/dev/null")?;
    // SAFETY: this program has one thread, and the child calls nothing but the kernel.
    let pid = unsafe { libc::fork() };
    match pid {
        -1 => return Err(io::Error::last_os_error()),
        0 => child.become_program(&nothing, &their_output, &their_report),
        _ => drop((their_output, their_report)),
    }
    let deadline = Instant::now() + patience;
    let said = collect(&mut output, deadline);
    let ended = wait(pid, deadline);
    let mut failed = [0; 8];
    match report.read_exact(&mut failed) {
        // The pipe was closed by the exec: the program ran.
        Err(_) => {
            let lost = |error: io::Error| End::Lost(error.raw_os_error().unwrap_or(0));
            Ok(Outcome { end: ended.unwrap_or_else(lost), output: said })
        }
        Ok(()) => {
            let [step, errno] = [&failed[..4], &failed[4..]]
                .map(|bytes| i32::from_ne_bytes(bytes.try_into().unwrap_or_default()));
            if step == EXEC && errno == libc::ENOENT {
                return Ok(Outcome { end: End::Missing, output: said });
            }
            let doing = usize::try_from(step).ok().and_then(|step| STEPS.get(step));
            let error = io::Error::from_raw_os_error(errno);
            let text = format!("{name}: cannot {}: {error}", doing.unwrap_or(&"start"));
            Err(io::Error::new(error.kind(), text))
        }
    }
}

/// What the child does before it is the program, in order; the place in here is what it reports.
const STEPS: [&str; 7] = [
    "have mounts of its own",
    "make them private",
    "bind /dev into the root",
    "bind /proc into the root",
    "enter the root",
    "redirect its output",
    "be run",
];
const EXEC: i32 = 6;

/// Everything that the child needs, allocated before there is a child.
struct Child {
    root: CString,
    /// What is bound where; nothing where the root is the running one.
    binds: Vec<(CString, CString)>,
    programs: Vec<CString>,
    _arguments: Vec<CString>,
    argument_pointers: Vec<*const libc::c_char>,
}

const ENVIRONMENT: [&std::ffi::CStr; 2] =
    [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", c"LC_ALL=C"];

impl Child {
    fn prepare(root: &Path, name: &str, arguments: &[&str]) -> Result<Self, NulError> {
        let arguments: Vec<CString> = std::iter::once(&name)
            .chain(arguments)
            .map(|argument| CString::new(*argument))
            .collect::<Result<_, _>>()?;
        let mut argument_pointers: Vec<_> = arguments.iter().map(|a| a.as_ptr()).collect();
        argument_pointers.push(ptr::null());
        let mut programs = Vec::with_capacity(FOLDERS.len());
        for folder in FOLDERS {
            programs.push(CString::new(format!("{folder}/{name}"))?);
        }
        let mut binds = Vec::new();
        if root != Path::new("/") {
            for from in ["/dev", "/proc"] {
                let to = root.join(from.trim_start_matches('/'));
                binds.push((CString::new(from)?, CString::new(to.as_os_str().as_bytes())?));
            }
        }
        let root = CString::new(root.as_os_str().as_bytes())?;
        Ok(Self { root, binds, programs, _arguments: arguments, argument_pointers })
    }

    /// Turns this process into the program; what prevents it is written to `report`.
    fn become_program(&self, nothing: &File, output: &File, report: &File) -> ! {
        let (step, errno) = self.try_to(nothing, output);
        let mut failed = [0; 8];
        failed[..4].copy_from_slice(&step.to_ne_bytes());
        failed[4..].copy_from_slice(&errno.to_ne_bytes());
        // SAFETY: the array outlives the call; eight bytes go into an empty pipe at once.
        let _ = unsafe { libc::write(report.as_raw_fd(), failed.as_ptr().cast(), failed.len()) };
        // SAFETY: nothing of the parent is torn down in the child.
        unsafe { libc::_exit(127) }
    }

    /// Returns the step that failed and its error number.
    fn try_to(&self, nothing: &File, output: &File) -> (i32, i32) {
        let mut step = 0;
        let mut check = |result: libc::c_int| {
            let failed = if result < 0 { Err((step, errno())) } else { Ok(()) };
            step += 1;
            failed
        };
        let mut prepare = || {
            // SAFETY: a namespace of its own changes nothing in memory.
            check(unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
            check(mount(None, c"/", libc::MS_REC | libc::MS_PRIVATE))?;
            for (from, to) in &self.binds {
                check(mount(Some(from), to, libc::MS_BIND | libc::MS_REC))?;
            }
            if self.binds.is_empty() {
                check(0)?;
                check(0)?;
            }
            check(self.enter())?;
            check(redirect(nothing.as_raw_fd(), output.as_raw_fd()))
        };
        if let Err(failed) = prepare() {
            return failed;
        }
        let [path, language] = ENVIRONMENT.map(std::ffi::CStr::as_ptr);
        let environment = [path, language, ptr::null()];
        // SAFETY: the default is what a program expects; ignored signals would be inherited.
        unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
        for program in &self.programs {
            let (arguments, environment) = (self.argument_pointers.as_ptr(), environment.as_ptr());
            // SAFETY: path, arguments and environment are C strings that `self` and the program
            // itself hold, and both lists end with a null pointer.
            unsafe { libc::execve(program.as_ptr(), arguments, environment) };
            if !matches!(errno(), libc::ENOENT | libc::ENOTDIR) {
                return (EXEC, errno());
            }
        }
        (EXEC, libc::ENOENT)
    }

    fn enter(&self) -> libc::c_int {
        // SAFETY: the path is a C string.
        if unsafe { libc::chroot(self.root.as_ptr()) } < 0 {
            return -1;
        }
        // SAFETY: as above.
        unsafe { libc::chdir(c"/".as_ptr()) }
    }
}

fn mount(from: Option<&CString>, to: &std::ffi::CStr, flags: libc::c_ulong) -> libc::c_int {
    let from = from.map_or(ptr::null(), |from| from.as_ptr());
    // SAFETY: the paths are C strings, or none; binds and changes of propagation take no more.
    unsafe { libc::mount(from, to.as_ptr(), ptr::null(), flags, ptr::null()) }
}

fn redirect(input: RawFd, output: RawFd) -> libc::c_int {
    for (from, to) in [(input, 0), (output, 1), (output, 2)] {
        // SAFETY: both are open; the ends of the pipes are never 0 to 2, which the program's own
        // start has filled.
        if unsafe { libc::dup2(from, to) } < 0 {
            return -1;
        }
    }
    0
}

fn errno() -> i32 {
    io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// Returns a pipe, closed on exec: the end to read from, and the one to write to.
fn pipe() -> io::Result<(File, File)> {
    let mut ends = [0; 2];
    // SAFETY: the array has room for both ends.
    if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given them out, and nobody else has them.
    let [read, write] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
    Ok((read.into(), write.into()))
}

/// Reads until all who write have gone, or the time is over. What cannot be read is left out: how the
/// program ends is what counts.
fn collect(pipe: &mut File, deadline: Instant) -> Vec<u8> {
    let (mut said, mut part) = (Vec::new(), [0; 4096]);
    while matches!(is_readable(pipe.as_raw_fd(), deadline), Ok(true)) {
        let length = match pipe.read(&mut part) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        // The rest is read too, or the program would wait for somebody who does.
        let kept = length.min(MOST_OUTPUT - said.len());
        said.extend_from_slice(&part[..kept]);
    }
    said
}

/// Waits until a descriptor can be read, at most until `deadline`.
fn is_readable(descriptor: RawFd, deadline: Instant) -> io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut one = libc::pollfd { fd: descriptor, events: libc::POLLIN, revents: 0 };
        let left = i32::try_from(left.as_secs() * 1000 + u64::from(left.subsec_millis()) + 1)
            .unwrap_or(i32::MAX);
        // SAFETY: the structure outlives the call.
        match unsafe { libc::poll(&raw mut one, 1, left) } {
            0 if Instant::now() >= deadline => return Ok(false),
            0 => {}
            ready if ready > 0 => return Ok(true),
            _ if errno() == libc::EINTR => {}
            _ => return Err(io::Error::last_os_error()),
        }
    }
}

/// Waits for the end of a child, and kills it when the time is over.
fn wait(pid: libc::pid_t, deadline: Instant) -> io::Result<End> {
    // SAFETY: the call takes two numbers; the child has not been waited for, so the number is its.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    let watched = match RawFd::try_from(descriptor) {
        Ok(descriptor) if descriptor >= 0 => {
            // SAFETY: the kernel has just given it out, and nobody else has it.
            let owned = unsafe { OwnedFd::from_raw_fd(descriptor) };
            is_readable(owned.as_raw_fd(), deadline)
        }
        // A kernel before 5.3: nothing is closed early by what is run here.
        _ => Ok(Instant::now() < deadline),
    };
    // One that cannot be watched does not go on unwatched either.
    if !matches!(watched, Ok(true)) {
        // SAFETY: as above, the number is the child's.
        unsafe { libc::kill(pid, libc::SIGKILL) };
    }
    let mut status = 0;
    loop {
        // SAFETY: the status outlives the call.
        if unsafe { libc::waitpid(pid, &raw mut status, 0) } == pid {
            break;
        }
        if errno() != libc::EINTR {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(if !watched? {
        End::TimedOut
    } else if libc::WIFSIGNALED(status) {
        End::Signal(libc::WTERMSIG(status))
    } else {
        End::Exit(libc::WEXITSTATUS(status))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn shell(script: &str, patience: Duration) -> Option<Outcome> {
        // Mounts of its own are root's alone.
        // SAFETY: the call has no arguments.
        if unsafe { libc::geteuid() } != 0 {
            return None;
        }
        Some(run(Path::new("/"), "sh", &["-c", script], patience).unwrap())
    }

    #[test]
    fn returns_status_and_both_outputs() {
        let Some(outcome) = shell("echo one; echo $LC_ALL >&2; cat; exit 3", LONG) else { return };
        assert_eq!(outcome.end, End::Exit(3));
        assert_eq!(outcome.output, b"one\nC\n");
    }

    #[test]
    fn keeps_a_bounded_part_of_a_flood() {
        let Some(outcome) = shell("head -c 1000000 /dev/zero; kill -9 $$", LONG) else { return };
        assert_eq!((outcome.end, outcome.output.len()), (End::Signal(9), MOST_OUTPUT));
    }

    #[test]
    fn is_killed_when_the_time_is_over() {
        for script in ["exec sleep 60", "exec sleep 60 > /dev/null 2>&1"] {
            let Some(outcome) = shell(script, Duration::from_millis(300)) else { return };
            assert_eq!(outcome.end, End::TimedOut);
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_missing() {
        let outcome = run(Path::new("/"), "no-such-program", &[], LONG);
        assert!(outcome.is_err() || outcome.unwrap().end == End::Missing);
    }

    #[test]
    fn a_root_without_folders_to_bind_to_is_named() {
        let Some(_) = shell("true", LONG) else { return };
        let folder = std::env::temp_dir().join(format!("ebbtide-tool-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        let error = run(&folder, "true", &[], LONG).unwrap_err().to_string();
        std::fs::remove_dir(&folder).unwrap();
        assert!(error.contains("cannot bind /dev into the root"), "{error}");
    }
}
