//! What the program prints where machines run: transcripts as in `../cli`, which says how they are read.
//!
//! The machines find nothing to boot. `functions.sh` is what transcripts have to wait for work in the background.

#[path = "../background/mod.rs"]
mod background;
#[path = "../../../tests/plan/diff.rs"]
mod diff;
#[path = "../machines/mod.rs"]
mod machines;
#[path = "../cli/mask.rs"]
mod mask;
#[path = "../cli/script.rs"]
mod script;
#[path = "../cli/trials.rs"]
mod trials;

use script::Around;
use std::process::ExitCode;

fn main() -> ExitCode {
    let around = Around {
        can_run: || vmtest::if_available(machines::qemu_is_there()).is_some(),
        functions: include_str!("functions.sh"),
        end: machines::end_below,
    };
    trials::run("tests/vm_cli/cases", around)
}
