//! Machines of Xen: a hypervisor, its first domain with disks and files, and what other domains are made of.
//!
//! It is a [`Qemu`] machine that boots a hypervisor instead of a kernel. The first domain, dom0, has Xen's tools in an
//! initramfs and takes the commands; its console is the machine's. Other domains are what tests make with `xl`:
//!
//! | path in dom0 | what it is |
//! |---|---|
//! | `/boot/domu-vmlinuz` `/boot/domu-initrd.img` `/boot/domu-cmdline` | what a paravirtual domain is made of |
//! | `/usr/sbin/domu NAME` | runs the script that is its standard input in a domain |
//! | `/var/log/xen/console/guest-NAME.log` | the console of a domain |
//! | `/etc/xen/scripts` | hotplug scripts |
//!
//! A paravirtual domain of these needs 128 MiB. It takes commands on its console, by [`XenVm::run_in`], and shuts down for
//! `xl shutdown`; the `xl` that made it then cleans up. `flock /run/NAME.lock xl create …` leaves the lock with that one,
//! so `flock /run/NAME.lock true` waits until nothing of the domain is left.

mod files;
mod hypervisor;
mod vm;

use std::path::PathBuf;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::qemu::Qemu;
use crate::size::Size;
pub(crate) use files::{Added, with_files};
pub(crate) use hypervisor::Hypervisor;
pub use vm::XenVm;

/// What a file of the image is in dom0: name and path.
const DOMU: [(&str, &str); 3] = [
    ("vmlinuz", "/boot/domu-vmlinuz"),
    ("domu/initrd.img", "/boot/domu-initrd.img"),
    ("domu/cmdline", "/boot/domu-cmdline"),
];

/// A machine of Xen that can be started.
#[derive(Debug, Clone)]
pub struct Xen {
    qemu: Qemu,
    image: Image,
    files: Vec<Added>,
}

impl Xen {
    /// A machine with one CPU, 1 GiB and no disks that boots `image`; dom0 takes 640 MiB.
    pub fn boot(image: &Image) -> Self {
        let qemu = Qemu::boot(image).memory(Size::gib(1));
        let qemu = qemu.gives_up_at("Panic on CPU").gives_up_at("Initramfs unpacking failed");
        Self { qemu, image: image.clone(), files: Vec::new() }
    }

    /// Attaches the next disk to dom0: `/dev/vda`, `/dev/vdb` and so on.
    pub fn disk(self, disk: Disk) -> Self {
        Self { qemu: self.qemu.disk(disk), ..self }
    }

    /// Puts a copy of a file of this machine into dom0, with its mode; links in `path` are only those that lead from
    /// the root to `/usr`.
    pub fn file(mut self, file: impl Into<PathBuf>, path: &str) -> Self {
        self.files.push(Added::new(file, path));
        self
    }

    /// Sets the size of memory; what dom0 does not take is for other domains, and about 20 MiB for Xen.
    pub fn memory(self, memory: Size) -> Self {
        Self { qemu: self.qemu.memory(memory), ..self }
    }

    /// Appends words to the kernel command line of dom0.
    pub fn cmdline(self, text: &str) -> Self {
        Self { qemu: self.qemu.cmdline(text), ..self }
    }

    /// Boots it, and waits until dom0 takes commands.
    ///
    /// # Errors
    /// `Unavailable` without QEMU or a part of the image, `Description` when the machine makes no sense, and `Waited`
    /// when it does not get so far.
    pub fn start(self) -> Result<XenVm> {
        XenVm::start(self.machine()?)
    }

    fn machine(self) -> Result<Qemu> {
        let mut machine = self.qemu;
        machine.hypervisor = Some(Hypervisor::of(&self.image)?);
        for (name, path) in DOMU {
            machine.files.push(Added::new(self.image.file(name)?, path));
        }
        // Behind those of the image, so that a test may replace them.
        machine.files.extend(self.files);
        if let Some(added) = machine.files.iter().find(|added| !added.path_is_whole()) {
            let path = added.path();
            return Err(Error::Description(format!("{path} is no path from the root of dom0")));
        }
        Ok(machine)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> (tempfile::TempDir, Image) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("domu")).unwrap();
        for file in ["vmlinuz", "initrd.img", "root.img", "xen", "domu/initrd.img"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        std::fs::write(dir.path().join("cmdline"), "console=hvc0 a=1,2").unwrap();
        std::fs::write(dir.path().join("domu/cmdline"), "console=hvc0").unwrap();
        std::fs::write(dir.path().join("xen.cmdline"), "console=com1 com1=115200,8n1\n").unwrap();
        let image = Image::at(dir.path()).unwrap();
        (dir, image)
    }

    #[test]
    fn files_of_a_test_come_behind_those_of_the_image() {
        let (_dir, image) = image();
        let machine = Xen::boot(&image).file("/a", "/boot/domu-initrd.img").machine().unwrap();
        let paths: Vec<&str> = machine.files.iter().map(Added::path).collect();
        assert_eq!(paths[1], paths[3]);
        assert_eq!(machine.kernel_words(), "console=hvc0 a=1,2");
        assert!(machine.check().is_ok());
    }

    #[test]
    fn odd_paths_and_missing_parts_are_named() {
        let (dir, image) = image();
        for path in ["a", "/a/../b", "/a//b", "/", "/a/"] {
            let error = Xen::boot(&image).file("/a", path).machine().unwrap_err();
            assert!(error.to_string().contains(path), "{error}");
        }
        std::fs::remove_file(dir.path().join("xen")).unwrap();
        let error = Xen::boot(&image).machine().unwrap_err();
        assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    }
}
