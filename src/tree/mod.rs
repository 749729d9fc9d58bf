//! Trees of files: copied, removed, given to somebody else, built aside; and paths of the root.
//!
//! In: open directories and names. Out: what is beneath them, changed. Whoever made a tree may have
//! nested it without end, put links and pipes into it and swap them while it is walked: everything is
//! done by descriptor, no link is followed, no mount is crossed, and nothing recurses
//! without a bound.

pub(crate) mod aside;
pub(crate) mod copy;
#[cfg(test)]
mod deep;
pub(crate) mod open;
pub(crate) mod owner;
pub(crate) mod remove;
pub(crate) mod resolve;
mod walk;
pub(crate) mod way;
