//! A wait for a descriptor: a socket on which something was said, a process that has ended.

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use qemu::Deadline;
use std::os::fd::AsFd;

/// Waits until a descriptor can be read without waiting; `false` when the deadline comes first. It is looked at once, also
/// when that is over.
pub(super) fn is_readable(descriptor: &impl AsFd, deadline: Deadline) -> bool {
    loop {
        let left = deadline.left();
        let limit = PollTimeout::try_from(left.unwrap_or_default()).unwrap_or(PollTimeout::MAX);
        let mut descriptors = [PollFd::new(descriptor.as_fd(), PollFlags::POLLIN)];
        if poll(&mut descriptors, limit).is_ok_and(|ready| ready > 0) {
            return true;
        }
        if left.is_none() {
            return false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{io::Write as _, os::unix::net::UnixStream, time::Duration};

    #[test]
    fn what_is_there_is_seen_when_no_time_is_left() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let over = Deadline::exactly(Duration::ZERO);
        assert!(!is_readable(&ours, over));
        theirs.write_all(b"said").unwrap();
        assert!(is_readable(&ours, over));
        drop(theirs);
        assert!(is_readable(&ours, Deadline::exactly(Duration::from_secs(60))));
    }
}
