//! Machines of user-mode Linux: files as disks and a folder go in, a kernel to talk to comes out.
//!
//! The root is the host's, read-only, so every program of the host is there, and as root. There is no
//! udev: `/dev` is the kernel's own, and dmsetup makes what it maps. A boot takes about two seconds.

mod vm;

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::size::Size;
pub use vm::UmlVm;

/// What the C library of the guest's programs does without: the kernel keeps no registers but those of SSE, since
/// writing back more fails where there are more than it knows of. Others would lose halves at page faults.
const WITHOUT: &str =
    "-XSAVE,-XSAVEC,-AVX,-AVX2,-AVX512F,-AVX512VL,-AVX_Fast_Unaligned_Load,-Prefer_No_VZEROUPPER";

/// A machine of user-mode Linux that can be started.
#[derive(Debug, Clone)]
pub struct Uml {
    share: PathBuf,
    disks: Vec<String>,
    modules: Vec<String>,
    memory: Size,
    words: Vec<String>,
}

impl Uml {
    /// A machine with 256 MiB and no disks, whose guest may write to `share`, a folder of the host, by
    /// the path that it has there.
    pub fn sharing(share: &Path) -> Self {
        let share = share.to_owned();
        let (disks, modules, words) = (Vec::new(), Vec::new(), Vec::new());
        Self { share, disks, modules, memory: Size::mib(256), words }
    }

    /// Attaches a file as the next disk: `/dev/ubda`, `/dev/ubdb` and so on.
    pub fn disk(mut self, file: &Path) -> Self {
        self.disks.push(file.display().to_string());
        self
    }

    /// Attaches a COW file over its backing file as the next disk; the kernel makes the COW file when
    /// there is none.
    pub fn cow(mut self, cow: &Path, backing: &Path) -> Self {
        self.disks.push(format!("{},{}", cow.display(), backing.display()));
        self
    }

    /// Loads kernel modules, by name and in this order.
    pub fn modules(mut self, names: &[&str]) -> Self {
        self.modules.extend(names.iter().map(|&name| name.to_owned()));
        self
    }

    /// Sets the size of memory.
    pub fn memory(self, memory: Size) -> Self {
        Self { memory, ..self }
    }

    /// Appends words to the kernel command line.
    pub fn cmdline(mut self, text: &str) -> Self {
        self.words.extend(text.split_whitespace().map(str::to_owned));
        self
    }

    /// Boots it, and waits until it takes commands.
    ///
    /// # Errors
    /// `Unavailable` without user-mode Linux or root, `Description` when the machine makes no sense, and
    /// `Waited` when it does not get so far.
    pub fn start(&self) -> Result<UmlVm> {
        self.check()?;
        let program = ::qemu::in_path("linux.uml", "user-mode-linux")?;
        for (needed, package) in [("setpriv", "util-linux"), ("unshare", "util-linux")] {
            ::qemu::in_path(needed, package)?;
        }
        if !nix::unistd::geteuid().is_root() {
            return Err(Error::Unavailable {
                what: "a machine of user-mode Linux".into(),
                why: "this is not root, as its guest is to be".into(),
                make: "sudo".into(),
            });
        }
        UmlVm::start(self, &program)
    }

    fn check(&self) -> Result<()> {
        // The kernel takes 16, and a comma or a space ends a name.
        if self.disks.len() > 16 {
            return Err(Error::Description(format!("{} disks, and 16 may be", self.disks.len())));
        }
        let share = self.share.display().to_string();
        let odd = |text: &&String| text.contains(char::is_whitespace);
        let commas = |text: &&String| text.matches(',').count() > 1;
        match self.disks.iter().chain([&share]).find(|text| odd(text) || commas(text)) {
            Some(text) => Err(Error::Description(format!("`{text}` has a space or a comma"))),
            None => Ok(()),
        }
    }

    /// Returns the kernel's command line, for a machine whose own files are in `dir` and whose channel
    /// is a descriptor.
    fn arguments(&self, dir: &Path, channel: i32) -> Vec<String> {
        let dir = dir.display();
        let mut words = vec![
            format!("mem={}M", self.memory.as_mib()),
            format!("uml_dir={dir}/"),
            "umid=uml".into(),
            "root=/dev/root rootfstype=hostfs rootflags=/ ro".into(),
            format!("init={dir}/init"),
            "con=null con0=null,fd:1 ssl=null".into(),
            format!("ssl0=fd:{channel}"),
            format!("GLIBC_TUNABLES=glibc.cpu.hwcaps={WITHOUT}"),
        ];
        words.extend(self.disks.iter().enumerate().map(|(n, disk)| format!("ubd{n}={disk}")));
        let words = words.iter().chain(&self.words);
        words.flat_map(|word| word.split(' ')).map(str::to_owned).collect()
    }

    /// Returns the script that the kernel starts: file systems, modules, and the commands of the channel.
    fn init(&self, dir: &Path) -> String {
        let (share, dir) = (self.share.display(), dir.display());
        let load = self.modules.iter().map(|name| {
            format!("insmod \"$(find /usr/lib/uml/modules/$(uname -r) -name {name}.ko)\"\n")
        });
        format!(
            "#!/bin/sh\n\
             export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
             export DM_DISABLE_UDEV=1\n\
             mount -t proc proc /proc\n\
             mount -t sysfs sys /sys\n\
             mount -t tmpfs run /run\n\
             mount -t hostfs -o {share} share {share}\n\
             {}\
             exec sh {dir}/agent /dev/ttyS0\n",
            load.collect::<String>()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disks_are_numbered_and_commands_come_from_the_channel() {
        let uml = Uml::sharing(Path::new("/share"))
            .disk(Path::new("/a"))
            .cow(Path::new("/b.cow"), Path::new("/b"))
            .modules(&["dm-mod", "dm-snapshot"]);
        let words = uml.arguments(Path::new("/own"), 7);
        assert_eq!(words[words.len() - 2..], ["ubd0=/a", "ubd1=/b.cow,/b"]);
        assert!(words.contains(&"ssl0=fd:7".to_owned()) && words.contains(&"ro".to_owned()));
        let init = uml.init(Path::new("/own"));
        assert!(init.find("dm-mod.ko") < init.find("dm-snapshot.ko"), "{init}");
    }

    #[test]
    fn names_that_the_kernel_would_not_take_are_refused() {
        let uml = || Uml::sharing(Path::new("/share"));
        assert!(uml().disk(Path::new("/a b")).start().unwrap_err().to_string().contains("/a b"));
        assert!(uml().cow(Path::new("/a,b"), Path::new("/c")).start().is_err());
        let many = (0..17).fold(uml(), |uml, _| uml.disk(Path::new("/a")));
        assert!(many.start().unwrap_err().to_string().contains("17"));
    }
}
