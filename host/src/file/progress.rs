//! Whoever wants to know how far a long operation is.

use ebbtide_format::units::Bytes;

/// How far a long operation is.
pub trait Progress {
    /// `done` of `whole` bytes are copied. Called now and then, and at the end.
    fn bytes(&mut self, done: Bytes, whole: Bytes);
}

/// Nobody looks.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unseen;

impl Progress for Unseen {
    fn bytes(&mut self, _done: Bytes, _whole: Bytes) {}
}
