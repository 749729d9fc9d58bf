//! The tool with files, and what is called through `nix`: a lock, inotify, a socket of uevents, poll.

use std::error::Error;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{Flock, FlockArg};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, socket,
};

#[path = "files.rs"]
mod files;

fn main() -> Result<(), Box<dyn Error>> {
    files::main()?;
    let lock = Flock::lock(File::open("/dev/null")?, FlockArg::LockExclusiveNonblock);
    let _lock = lock.map_err(|(_, error)| error)?;
    let nodes = Inotify::init(InitFlags::IN_CLOEXEC)?;
    nodes.add_watch("/dev", AddWatchFlags::IN_CREATE)?;
    let family = SockProtocol::NetlinkKObjectUEvent;
    let uevents =
        socket(AddressFamily::Netlink, SockType::Datagram, SockFlag::SOCK_CLOEXEC, family)?;
    bind(uevents.as_raw_fd(), &NetlinkAddr::new(0, 1))?;
    let mut sources =
        [nodes.as_fd(), uevents.as_fd()].map(|source| PollFd::new(source, PollFlags::POLLIN));
    poll(&mut sources, PollTimeout::from(1_000_u16))?;
    println!("{:?}", nodes.read_events()?.len());
    println!("{}", recv(uevents.as_raw_fd(), &mut [0; 8192], MsgFlags::MSG_DONTWAIT)?);
    Ok(())
}
