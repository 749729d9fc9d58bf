//! Initramfs generators as a user of the distribution runs them: a root tree flows in, `initrd.img` flows out.

use std::path::Path;
use std::process::Command;

use super::recipe::Initramfs;
use crate::failure::{Context, Failure, Result};
use crate::initramfs::Parts;
use crate::process::{self, Log};
use crate::workspace;

/// Mounts what programs expect, in a mount namespace that ends with them; nothing of it reaches the tree.
const ENTER: &str = r#"
tree=$1 out=$2; shift 2
mount -t proc proc "$tree/proc"
mount --rbind /dev "$tree/dev"
for folder in tmp var/tmp run; do mount -t tmpfs -o mode=1777 tmpfs "$tree/$folder"; done
mount --bind "$out" "$tree/mnt"
exec env -i PATH=/usr/sbin:/usr/bin LC_ALL=C.UTF-8 chroot "$tree" "$@"
"#;

/// Modules of dracut that need systemd in the initramfs.
const SYSTEMD: &str = "systemd systemd-initrd dracut-systemd";

/// Returns a command in the tree, to which its program is to be added; `/mnt` there is `out`.
pub(crate) fn in_tree(tree: &Path, out: &Path) -> Command {
    let mut command = process::as_root("sh");
    command.args(["-ec", ENTER, "sh"]).arg(tree).arg(out);
    command
}

/// Makes `initrd.img` in `folder`, uncompressed: the emulated CPU is slower at unpacking than QEMU at loading.
pub(crate) fn build(
    kind: Initramfs,
    tree: &Path,
    release: &str,
    folder: &Path,
    log: &Log,
) -> Result<()> {
    let mut command = in_tree(tree, folder);
    if kind == Initramfs::Tools {
        log.run(command.args(["mkinitramfs", "-c", "gzip", "-o", "/mnt/initrd.img.gz", release]))?;
        return log.run(Command::new("gzip").arg("-d").arg(folder.join("initrd.img.gz")));
    }
    command.args(["dracut", "--force", "--no-hostonly", "--no-compress", "--no-early-microcode"]);
    // Its busybox cannot hand over to the new root: its switch_root moves no mounts.
    command.args(["--omit", "busybox"]);
    match kind {
        Initramfs::DracutSystemd => command.args(["--add", "systemd-initrd dracut-systemd"]),
        _ => command.args(["--omit", SYSTEMD]),
    };
    log.run(command.args(["/mnt/initrd.img", release]))
}

/// Makes `initrd.img` in `folder` of the static guest and the modules in `modules`, `…/lib/modules/RELEASE`: nothing of the
/// root is needed.
pub(crate) fn alone(modules: &Path, binary: &Path, folder: &Path) -> Result<()> {
    let release = modules.file_name().and_then(|name| name.to_str());
    let (Some(above), Some(kernel)) = (modules.parent(), release) else {
        return Err(Failure::new(format!("{} is no folder of modules", modules.display())));
    };
    let conf = workspace::root().join("initramfs/init.conf");
    let parts = Parts { modules: above, kernel, add: &[], binary, conf: &conf };
    let image = folder.join("initrd.img");
    std::fs::write(&image, parts.archive()?).context(|| format!("cannot write {}", image.display()))
}
