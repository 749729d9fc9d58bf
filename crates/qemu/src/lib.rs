//! QEMU from outside: where it is, what it can do on this machine, and the monitor of one that runs.
//!
//! In: a program, a connected socket. Out: plain values. What a machine consists of is the business of those who
//! start one.
//!
//! | variable | meaning |
//! |---|---|
//! | `EBBTIDE_QEMU` | the QEMU binary |
//! | `EBBTIDE_ACCEL` | `kvm` or `tcg`, else found out by running something |
//! | `EBBTIDE_TIME_SCALE` | factor for all limits |

mod accelerator;
mod boot_sector;
mod deadline;
mod error;
mod memory;
mod migration;
mod monitor;
mod plug;
mod process;
mod program;
mod sandbox;

pub use accelerator::Accelerator;
pub use deadline::Deadline;
pub use error::{Error, Result};
pub use monitor::{Event, Monitor};
pub use process::{Process, dies_with_us};
pub use program::{in_path, program};
pub use sandbox::sandbox_works;
