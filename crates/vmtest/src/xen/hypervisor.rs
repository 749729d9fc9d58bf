//! A hypervisor that QEMU's multiboot loader boots: an image goes in, its file, words and modules come out.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::image::Image;
use crate::qemu::Qemu;

/// The memory of dom0. Fixed, since what is left is for the other domains.
const DOM0: &str = "dom0_mem=640M,max:640M";

/// What is booted before the kernel.
#[derive(Debug, Clone)]
pub(crate) struct Hypervisor {
    pub(crate) path: PathBuf,
    pub(crate) words: Vec<String>,
}

impl Hypervisor {
    /// Takes the one of an image, with its command line.
    ///
    /// # Errors
    /// `Unavailable` when the image has none.
    pub(crate) fn of(image: &Image) -> Result<Self> {
        let path = image.file("xen")?;
        let file = image.file("xen.cmdline")?;
        let failed = Error::io(format!("reading {}", file.display()));
        let text = std::fs::read_to_string(&file).map_err(failed)?;
        let words = text.split_whitespace().chain([DOM0]).map(str::to_owned).collect();
        Ok(Self { path, words })
    }

    /// Returns the modules as `-initrd` takes them (hw/i386/multiboot.c): separated by commas, doubled inside, each a
    /// path up to the first space and a command line. The first one is the kernel, the second its initramfs.
    pub(crate) fn modules(&self, machine: &Qemu) -> String {
        let kernel = format!("{} {}", path(&machine.kernel), machine.kernel_words());
        [kernel, path(&machine.initrd)].map(|module| module.replace(',', ",,")).join(",")
    }
}

fn path(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::qemu::tests::machine;

    #[test]
    fn commas_are_doubled_inside_modules_only() {
        let hypervisor = Hypervisor { path: "/xen".into(), words: Vec::new() };
        let mut machine =
            machine("console=hvc0 a=1,2").kernel("/images/vmlinuz").initrd("/tmp/x,y");
        machine.hypervisor = Some(hypervisor.clone());
        let modules = hypervisor.modules(&machine);
        assert_eq!(modules, "/images/vmlinuz console=hvc0 a=1,,2,/tmp/x,,y");
    }
}
