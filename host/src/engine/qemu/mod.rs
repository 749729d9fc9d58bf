//! QEMU as the engine.
//!
//! A VM is run by a process of its own, the [`supervise`]r: it takes the VM's lock, makes the volumes ready, starts QEMU,
//! which inherits the lock, waits for its end, and stops the volumes as that end was. Whoever starts, stops or asks is a
//! client of it, by lines of JSON, or of QEMU's monitor; none of them is needed for the VM to go on. When the supervisor is
//! killed, QEMU goes on with the lock, and the next command after its end settles what is left.

pub mod args;
mod begin;
mod child;
mod client;
mod control;
mod ending;
mod events;
mod fit;
mod freeze;
mod holders;
mod hot;
mod memory;
mod news;
mod nic;
mod readable;
mod ready;
mod runtime;
mod start;
mod stop;
mod supervisor;
mod take;
mod written;

pub use begin::How;
pub use client::{Attached, attach, hand_over, monitor, paused, resize, savestate, snapshot};
pub use hot::{Need, refresh};
pub use news::Report;
pub use ready::{Handed, count_ready, end_ready, is_due, last_failure, refill, take_ready};
pub use start::{Ready, Watch, start};
pub use stop::{Stop, Stopped, settle, stop, watch};
pub use supervisor::{Hooks, forget, supervise};

use crate::error::{Error, Refusal, RefusalKind};

/// The engine's name in `run.toml`.
pub const ENGINE: &str = "qemu";

/// Says what went wrong between us and QEMU as this library does.
fn told(error: qemu::Error) -> Error {
    match error {
        qemu::Error::Missing { program, package } => {
            Refusal::new(RefusalKind::Unable, format!("{program} is not in PATH"))
                .hint(format!("install it; on Debian, 'apt-get install {package}'"))
                .into()
        }
        qemu::Error::Variable { name, problem } => {
            Refusal::new(RefusalKind::Invalid, format!("{name} is {problem}")).into()
        }
        qemu::Error::Io { doing, source } => {
            Error::Failed { doing: format!("run QEMU: {doing}"), source }
        }
        qemu::Error::Monitor { command, answer } => {
            Error::Program { program: "QEMU".into(), said: format!("refused {command}: {answer}") }
        }
        qemu::Error::Agent { did } => {
            Error::Program { program: "the guest's agent".into(), said: did }
        }
    }
}
