//! Everything below a folder, to prove that nothing in it was changed.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// What stands at one path. A write of the same bytes shows in the time.
#[derive(PartialEq, Eq)]
struct Node {
    kind: Kind,
    mode: u32,
    modified: (i64, i64),
}

#[derive(PartialEq, Eq)]
enum Kind {
    Folder,
    File(Vec<u8>),
    Link(PathBuf),
}

/// All paths below a folder with what stands there.
pub(crate) struct Tree(BTreeMap<PathBuf, Node>);

impl Tree {
    /// Reads a folder with all that is in it.
    pub(crate) fn read(folder: &Path) -> Result<Self, String> {
        let mut nodes = BTreeMap::new();
        let mut left = vec![folder.to_path_buf()];
        while let Some(path) = left.pop() {
            let node =
                node(&path, &mut left).map_err(|error| format!("{}: {error}", path.display()))?;
            nodes.insert(path, node);
        }
        Ok(Self(nodes))
    }

    /// Names every path at which another tree differs.
    pub(crate) fn changes(&self, after: &Self) -> Vec<String> {
        let paths = self.0.keys().chain(after.0.keys().filter(|path| !self.0.contains_key(*path)));
        paths
            .filter(|path| self.0.get(*path) != after.0.get(*path))
            .map(|path| path.display().to_string())
            .collect()
    }
}

fn node(path: &Path, left: &mut Vec<PathBuf>) -> io::Result<Node> {
    let about = path.symlink_metadata()?;
    let kind = if about.is_symlink() {
        Kind::Link(fs::read_link(path)?)
    } else if about.is_dir() {
        for entry in fs::read_dir(path)? {
            left.push(entry?.path());
        }
        Kind::Folder
    } else {
        Kind::File(fs::read(path)?)
    };
    Ok(Node { kind, mode: about.mode(), modified: (about.mtime(), about.mtime_nsec()) })
}
