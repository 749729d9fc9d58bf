//! System calls that a program is to do without.

use crate::outcome::check;
use std::{io, mem::offset_of, os::unix::process::CommandExt, process::Command};

/// Has one request of `ptrace` fail with `EINVAL`, for `command` and whatever it starts.
///
/// It gets no more rights than it has, by programs of another owner either.
pub fn refuse_ptrace(command: &mut Command, request: libc::c_uint) {
    let mut filter = filter(request);
    let refuse = move || {
        // SAFETY: the numbers are those that the option takes; it concerns this process only.
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })?;
        install(&mut filter)
    };
    // SAFETY: between fork and exec it only makes calls that may be made there, and takes no memory.
    unsafe { command.pre_exec(refuse) };
}

fn install(filter: &mut [libc::sock_filter; 6]) -> io::Result<()> {
    let program = libc::sock_fprog { len: 6, filter: filter.as_mut_ptr() };
    let mode = libc::SECCOMP_MODE_FILTER;
    // SAFETY: the program has as many instructions as it says; the kernel copies and checks them.
    check(unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const program) })
}

/// Returns the program that looks at each system call: the call's number, then the lower half of its first argument.
#[allow(
    clippy::cast_possible_truncation,
    reason = "the structure has 64 bytes, an instruction's code 16 bits"
)]
fn filter(request: libc::c_uint) -> [libc::sock_filter; 6] {
    let load =
        |from: usize| instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, from as u32, 0);
    let unless =
        |value, skip| instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, skip);
    let answer = |value| instruction(libc::BPF_RET | libc::BPF_K, value, 0);
    [
        load(offset_of!(libc::seccomp_data, nr)),
        unless(libc::SYS_ptrace as u32, 3),
        load(offset_of!(libc::seccomp_data, args)),
        unless(request, 1),
        answer(libc::SECCOMP_RET_ERRNO | libc::EINVAL.cast_unsigned()),
        answer(libc::SECCOMP_RET_ALLOW),
    ]
}

#[allow(clippy::cast_possible_truncation, reason = "the code of an instruction has 16 bits")]
const fn instruction(code: u32, k: u32, skip: u8) -> libc::sock_filter {
    libc::sock_filter { code: code as u16, jt: 0, jf: skip, k }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_does_without_one_request_and_keeps_the_others() {
        let asks = || {
            // SAFETY: no memory is handed over; process 0, which is none, is asked for.
            let asked = unsafe { libc::ptrace(libc::PTRACE_GETREGSET, 0, 0, 0) };
            check(if asked < 0 { -1 } else { 0 })
        };
        let refusals =
            [(libc::PTRACE_GETREGSET, libc::EINVAL), (libc::PTRACE_PEEKUSER, libc::ESRCH)];
        for (refused, error) in refusals {
            let mut command = Command::new("true");
            refuse_ptrace(&mut command, refused);
            // SAFETY: it makes a call that may be made there, and takes no memory.
            unsafe { command.pre_exec(asks) };
            assert_eq!(command.status().unwrap_err().raw_os_error(), Some(error));
        }
    }
}
