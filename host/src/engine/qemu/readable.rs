//! A wait for a descriptor: a socket on which something was said, a process that has ended.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use qemu::Deadline;
use std::os::fd::AsFd;

/// Waits until a descriptor can be read without waiting; `false` when the deadline comes first.
pub(super) fn is_readable(descriptor: &impl AsFd, deadline: Deadline) -> bool {
    while let Some(left) = deadline.left() {
        let limit = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        let mut descriptors = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
        if poll(&mut descriptors, limit).is_ok_and(|ready| ready > 0) {
            return true;
        }
    }
    false
}
