//! The files of the repository, those that are not committed yet among them.

use std::path::PathBuf;
use std::process::Command;

use crate::failure::Result;
use crate::{process, workspace};

/// Returns the path of every file that git knows or would add.
pub(crate) fn files() -> Result<Vec<PathBuf>> {
    let root = workspace::root();
    let mut list = Command::new("git");
    list.current_dir(&root).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    // A container often runs as another user than the owner of the checkout.
    list.env("GIT_CONFIG_COUNT", "1").env("GIT_CONFIG_KEY_0", "safe.directory");
    list.env("GIT_CONFIG_VALUE_0", &root);
    let names = process::output(&mut list)?;
    let paths = names.split('\0').filter(|name| !name.is_empty()).map(|name| root.join(name));
    // A file may be deleted and the deletion not be committed.
    Ok(paths.filter(|path| path.is_file() && !path.is_symlink()).collect())
}
