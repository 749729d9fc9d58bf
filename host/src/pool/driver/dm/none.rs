//! No device-mapper: this program was built without it, and says so.

use super::{
    devices::{Change, Devices, Found},
    name::Name,
};
use crate::pool::store::Inode;
use std::{io, path::PathBuf};

/// Fails.
#[derive(Debug)]
pub(super) struct None;

fn unable<T>() -> io::Result<T> {
    let text = "this ebbtide was built without the feature dm, which pools of driver dm need";
    Err(io::Error::new(io::ErrorKind::Unsupported, text))
}

impl Devices for None {
    fn found(&self, _which: &dyn Fn(&Name) -> bool) -> io::Result<Vec<Found>> {
        unable()
    }

    fn apply(&self, _change: &Change) -> io::Result<()> {
        unable()
    }

    fn path(&self, name: &Name) -> PathBuf {
        PathBuf::from("/dev/mapper").join(name.to_string())
    }

    fn holders(&self, _name: &Name) -> Vec<String> {
        Vec::new()
    }

    fn loops(&self, _file: Inode) -> io::Result<Vec<String>> {
        unable()
    }

    fn files(&self, _name: &Name) -> Vec<PathBuf> {
        Vec::new()
    }
}
