//! Waits until something about the devices changes, never longer than asked.
//!
//! Three sources: the kernel's own uevents (a disk or partition was added, after its partitions were
//! read), new nodes in `/dev`, and udev's records (a link such as `/dev/disk/by-id/x`, or the type
//! of a partition). Listening begins before the look that it follows, so nothing is missed between.

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::{
        inotify::{AddWatchFlags, InitFlags, Inotify},
        socket::{
            AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv,
            socket,
        },
    },
};
use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::Path,
    time::{Duration, Instant},
};

/// What is listened to.
#[derive(Debug)]
pub(crate) struct Events {
    nodes: Option<Inotify>,
    uevents: Option<OwnedFd>,
    /// Uevents about anything else are passed over.
    disks_alone: bool,
}

impl Events {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the kernel has no inotify. Without uevents (a container) the nodes alone must do.
    pub(crate) fn listen() -> io::Result<Self> {
        let nodes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let appears = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        nodes.add_watch("/dev", appears)?;
        // Without udev there is no such folder.
        let _ = nodes.add_watch("/run/udev/data", appears);
        Ok(Self { nodes: Some(nodes), uevents: kernel_uevents().ok(), disks_alone: false })
    }

    /// Begins to listen to the kernel's own uevents about disks alone: a disk that has another size is
    /// told of by one. Where there are none (a container), the deadline must do.
    pub(crate) fn of_disks() -> Self {
        Self { nodes: None, uevents: kernel_uevents().ok(), disks_alone: true }
    }

    /// Waits for the next change and returns true, or for `deadline` and returns false.
    ///
    /// # Errors
    /// What `poll` reports, other than an interruption.
    pub(crate) fn wait(&self, deadline: Instant) -> io::Result<bool> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up: a wait that ends a moment early would spin for the rest of it.
            let left = left.as_secs() * 1000
                + u64::from(left.subsec_millis())
                + u64::from(!left.is_zero());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
            let nodes = self.nodes.iter().map(AsFd::as_fd);
            let all = nodes.chain(self.uevents.iter().map(AsFd::as_fd));
            let mut sources: Vec<_> = all.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
            match poll(&mut sources, timeout) {
                Ok(0) if Instant::now() >= deadline => return Ok(false),
                Ok(0) | Err(nix::Error::EINTR) => {}
                Ok(_) if self.drain() => return Ok(true),
                // Others come by the hundred when a device is plugged in: they move no deadline.
                Ok(_) if Instant::now() >= deadline => return Ok(false),
                Ok(_) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Takes everything that has come, and tells whether the caller has to look again.
    fn drain(&self) -> bool {
        while self.nodes.as_ref().is_some_and(|nodes| nodes.read_events().is_ok()) {}
        let mut looks = !self.disks_alone;
        let mut message = [0; 8192];
        if let Some(uevents) = &self.uevents {
            loop {
                match recv(uevents.as_raw_fd(), &mut message, MsgFlags::MSG_DONTWAIT) {
                    Ok(length) => {
                        looks |= is_about_a_disk(message.get(..length).unwrap_or_default());
                    }
                    // Some were lost, and nobody knows which.
                    Err(nix::Error::ENOBUFS) => looks = true,
                    Err(_) => break,
                }
            }
        }
        looks
    }
}

/// Tells whether a uevent is about a disk or a partition: `ACTION@PATH` and `KEY=VALUE…`, each with a
/// zero behind it (lib/kobject_uevent.c).
fn is_about_a_disk(uevent: &[u8]) -> bool {
    uevent.split(|byte| *byte == 0).any(|field| field == b"SUBSYSTEM=block")
}

/// Calls `operation` until it is not refused because `device` is open elsewhere, after each close of
/// it by somebody, for at most `patience`.
///
/// A close is reported a moment before it takes effect; the look after a tenth of a second is for that.
///
/// # Errors
/// What the operation reports at last.
pub(crate) fn when_closed(
    device: &Path,
    patience: Duration,
    operation: impl Fn() -> io::Result<()>,
) -> io::Result<()> {
    let busy = |result: &io::Result<()>| {
        result.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ResourceBusy)
    };
    let mut result = operation();
    if !busy(&result) {
        return result;
    }
    let deadline = Instant::now() + patience;
    let nodes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
    nodes.add_watch(device, AddWatchFlags::IN_CLOSE)?;
    let closing = Events { nodes: Some(nodes), uevents: None, disks_alone: false };
    while busy(&result) && Instant::now() < deadline {
        closing.wait(deadline.min(Instant::now() + Duration::from_millis(100)))?;
        result = operation();
    }
    result
}

/// Opens the kernel's multicast group 1, where uevents go before udev has seen them.
fn kernel_uevents() -> nix::Result<OwnedFd> {
    let socket = socket(
        AddressFamily::Netlink,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        SockProtocol::NetlinkKObjectUEvent,
    )?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, 1))?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_disks_from_anything_else() {
        let size = b"change@/devices/vdb\0ACTION=change\0SUBSYSTEM=block\0RESIZE=1\0";
        let usb = b"add@/devices/usb1\0ACTION=add\0SUBSYSTEM=usb\0PRODUCT=SUBSYSTEM=block\0";
        assert!(is_about_a_disk(size));
        assert!(!is_about_a_disk(usb) && !is_about_a_disk(b""));
    }
}
