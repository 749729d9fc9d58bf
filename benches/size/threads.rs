//! The tool with files, and a thread that is waited for with a limit.

use std::error::Error;
use std::sync::mpsc;
use std::time::Duration;
use std::{fs, thread};

#[path = "files.rs"]
mod files;

fn main() -> Result<(), Box<dyn Error>> {
    files::main()?;
    let (send, receive) = mpsc::channel();
    thread::spawn(move || send.send(fs::read("/dev/null")));
    receive.recv_timeout(Duration::from_secs(1))??;
    Ok(())
}
