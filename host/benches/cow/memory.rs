//! How much memory a program takes at most.

use crate::{Result, run::quietly};
use nix::sys::resource::{UsageWho, getrusage};
use std::process::{Command, Stdio};

/// Runs a program to its end and says how much was in memory at once, in bytes. The kernel counts all children together,
/// and what a child had before it became the program; so this process is small and runs one.
pub(crate) fn of(program: &str, args: &[&str]) -> Result<()> {
    quietly(Command::new(program).args(args))?;
    println!("{}", u64::try_from(getrusage(UsageWho::RUSAGE_CHILDREN)?.max_rss())? * 1024);
    Ok(())
}

/// Does so in a process of its own, and returns what it says.
pub(crate) fn taken(command: &Command) -> Result<u64> {
    let mut outer = Command::new(std::env::current_exe()?);
    outer.arg("memory").arg(command.get_program()).args(command.get_args());
    let output = outer.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(format!("{outer:?}: {}", output.status).into());
    }
    Ok(String::from_utf8(output.stdout)?.trim().parse()?)
}
