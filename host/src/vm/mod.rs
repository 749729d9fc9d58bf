//! A VM: its record, and its volumes through its life.

pub mod record;

pub use record::{Kind, Record};
