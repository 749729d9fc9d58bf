//! Whether file systems can be made and mounted here: the tier `root` needs it of every test.

use std::process::Command;

use crate::failure::{Failure, Result};
use crate::process;

/// Makes and mounts each file system of the tests once, where nobody else sees it.
const TRIAL: &str = r#"
folder=$(mktemp -d) || exit
trap 'rm -r "$folder"' EXIT
mkdir "$folder/at" || exit
for make in 'mkfs.btrfs -q' 'mkfs.xfs -q -m reflink=1' 'mkfs.ext4 -q -F'; do
    rm -f "$folder/image"
    truncate -s 512M "$folder/image" || exit
    $make "$folder/image" && mount -o loop "$folder/image" "$folder/at" && umount "$folder/at" || exit
done
"#;

/// Makes and mounts each file system of the tests.
///
/// # Errors
/// Says what is missing: the rights, loop devices, or a file system of the kernel.
pub(crate) fn try_out() -> Result<()> {
    if !process::is_root() {
        return Err(Failure::new("mounting needs root"));
    }
    process::output(Command::new("unshare").args(["--mount", "sh", "-c", TRIAL])).map(drop)
}
