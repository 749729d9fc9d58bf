//! Test machines: an image, disks and a command line go in, a guest to talk to comes out.
//!
//! ```no_run
//! use vmtest::{Disk, Image, Qemu, Size};
//!
//! # fn main() -> vmtest::Result<()> {
//! let image = Image::named("debian-initramfs-tools")?;
//! let mut vm = Qemu::boot(&image)
//!     .root(Disk::read_only(image.root()))
//!     .volatile(Disk::empty(Size::gib(2)))
//!     .cmdline("ebbtide.swap=64M")
//!     .start()?;
//! vm.expect_console("step 1/")?;
//! assert_eq!(vm.run("findmnt -no SOURCE /")?, "/dev/mapper/dmroot");
//! vm.power_cycle()?;
//! vm.power_off()?;
//! vm.kernel_log_is_clean()
//! # }
//! ```
//!
//! [`Uml`] is the machine for the host's side: user-mode Linux on the host's own root, with a folder that
//! both may write to, its device-mapper, and its COW files. [`Xen`] is a hypervisor whose first domain takes the
//! commands and starts other domains.
//!
//! Every wait has a limit, multiplied by `EBBTIDE_TIME_SCALE`, and ends early when the kernel panics or
//! QEMU stops; the error says what was waited for, how long, and what the console said last. A test
//! that fails shows the console. Nothing outlives its test: QEMU is killed on drop and, by the
//! kernel, when the test process is gone.
//!
//! | variable | meaning |
//! |---|---|
//! | `EBBTIDE_IMAGES` | folder of the images, else `target/vm-images` |
//! | `EBBTIDE_ACCEL` | `kvm` or `tcg`, else found out by running something |
//! | `EBBTIDE_QEMU` | the QEMU binary |
//! | `EBBTIDE_TIME_SCALE` | factor for all limits |
//! | `EBBTIDE_VM_LOGS` | folder of the console logs, else `target/vm-logs` |
//! | `EBBTIDE_KEEP_LOGS` | keep the logs of tests that passed |

mod agent;
mod args;
mod disk;
mod error;
mod guest;
mod image;
mod limit;
mod log;
mod outcome;
mod qemu;
mod run;
mod scan;
mod search;
mod size;
mod skip;
mod sparse;
mod stats;
mod talk;
mod uml;
mod vm;
mod wire;
mod xen;

pub use ::qemu::Accelerator;
pub use agent::Reply;
pub use disk::{Disk, Drive};
pub use error::{Error, Result};
pub use guest::Guest;
pub use image::Image;
pub use outcome::{Ending, Evidence, Outcome};
pub use qemu::Qemu;
pub use scan::complaints;
pub use size::Size;
pub use skip::{TestEnd, if_available};
pub use stats::DiskStats;
pub use uml::{Uml, UmlVm};
pub use vm::Vm;
pub use xen::{Xen, XenVm};
