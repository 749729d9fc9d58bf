//! One disk of one VM, as plain data: its role, its files' names, its kept versions.

pub mod changed;
pub mod files;
pub mod retention;
pub mod revision;
pub mod role;

pub use files::{FileKind, Files};
pub use retention::Retention;
pub use revision::Revision;
pub use role::Role;
