//! The machines that the tests boot.

use std::{
    fs::{self, File},
    path::Path,
    process::Command,
};
use tempfile::{NamedTempFile, TempDir};
use vmtest::{Disk, Image, Qemu, Result, Size, Vm};

/// Name of the mapped root in device-mapper.
pub(crate) const MAPPED: &str = "dmroot";

/// A Debian guest: its root read-only, and a volatile disk that its root cannot fill.
pub(crate) fn debian(image: &Image) -> Qemu {
    Qemu::boot(image)
        .root(Disk::read_only(image.root()))
        .volatile(Disk::empty(Size::gib(2)))
        .gives_up_at("Generating \"/run/initramfs/rdsosreport.txt\"")
}

/// The init stage alone, with a small root.
pub(crate) fn stage(image: &Image) -> Qemu {
    Qemu::boot(image).root(Disk::read_only(image.root())).volatile(Disk::empty(Size::mib(512)))
}

/// Has the guest read these words at the end of its kernel command line, as if it had been started with them
/// and without those of an earlier call.
pub(crate) fn with_words(vm: &Vm, words: &str) -> Result<()> {
    vm.run(&format!(
        "! grep -q ' /proc/cmdline ' /proc/mounts || busybox umount /proc/cmdline; \
         echo \"$(cat /proc/cmdline) {words}\" > /run/cmdline && \
         busybox mount --bind /run/cmdline /proc/cmdline"
    ))?;
    Ok(())
}

/// Returns the image's root on a disk of another size; the file system keeps its own.
pub(crate) fn small_root(image: &Image, size: Size) -> NamedTempFile {
    let file = NamedTempFile::new().expect("a temporary file");
    fs::copy(image.root(), file.path()).expect("the root is copied");
    let root = File::options().write(true).open(file.path()).expect("the copy opens");
    root.set_len(size.as_bytes()).expect("the copy is resized");
    file
}

/// Returns a folder with `initrd`, the image's initramfs with one script more, or instead of another.
pub(crate) fn with_script(image: &Image, place: &str, text: &str) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let script = folder.path().join(place);
    fs::create_dir_all(script.parent().expect("it has a folder")).expect("a folder is made");
    fs::write(&script, text).expect("a script is written");
    // An archive behind another goes over it.
    let pack = "chmod +x \"$2\"; cp \"$1\" initrd; echo \"$2\" | cpio --quiet -o -H newc >> initrd";
    let packed = Command::new("sh")
        .args(["-ec", pack, "sh"])
        .arg(image.initrd())
        .arg(place)
        .current_dir(folder.path())
        .status()
        .expect("sh runs");
    assert!(packed.success(), "the initramfs was not packed");
    folder
}

/// Returns the checksum of a file, by another program than ours.
pub(crate) fn sha256(path: &Path) -> String {
    let output = Command::new("sha256sum").arg(path).output().expect("sha256sum runs");
    assert!(output.status.success(), "sha256sum {}", path.display());
    String::from_utf8_lossy(&output.stdout).split(' ').next().unwrap_or_default().to_string()
}
