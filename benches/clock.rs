//! Runs commands one after the other and says how long each took, from before its start to after its end.
//!
//! `clock COMMAND ARG… [--- COMMAND ARG…]…` prints a line `clock PROGRAM NANOSECONDS` for each and `clock total
//! NANOSECONDS` last; the first command that fails ends it. A single static file, so that it starts the same way in
//! every initramfs and needs nothing of it.

use std::process::{Command, ExitCode};
use std::time::Instant;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut lines = String::new();
    let mut failed = false;
    let began = Instant::now();
    for command in words.split(|word| word == "---") {
        let Some((program, args)) = command.split_first() else {
            continue;
        };
        let start = Instant::now();
        let status = Command::new(program).args(args).status();
        let took = start.elapsed().as_nanos();
        lines += &format!("clock {program} {took}\n");
        failed = !status.as_ref().is_ok_and(|status| status.success());
        if failed {
            eprintln!("clock: {program}: {status:?}");
            break;
        }
    }
    // Printed last: the terminal is none of the commands' time.
    print!("{lines}clock total {}\n", began.elapsed().as_nanos());
    ExitCode::from(u8::from(failed))
}
