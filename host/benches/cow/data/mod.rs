//! One case in the formats of all who are measured.

pub(crate) mod qcow2;
pub(crate) mod store;
pub(crate) mod uml;
