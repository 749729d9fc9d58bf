//! `cargo xtask initramfs`: a kernel's modules and the static guest flow in, an initramfs with nothing else in it flows out.

mod archive;
mod modules;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

pub(crate) use archive::Archive;
use modules::Kernel;

use crate::failure::{Context, Failure, Result};
use crate::process;
use crate::workspace::{self, Linking};

/// What an initramfs is made of.
pub(crate) struct Parts<'a> {
    /// The folder that has the folder of the kernel's version.
    pub(crate) modules: &'a Path,
    /// The kernel's version.
    pub(crate) kernel: &'a str,
    /// Modules beside those that every boot needs.
    pub(crate) add: &'a [String],
    /// The guest, linked against nothing.
    pub(crate) binary: &'a Path,
    /// Its settings.
    pub(crate) conf: &'a Path,
}

impl Parts<'_> {
    /// Returns the archive, uncompressed.
    pub(crate) fn archive(&self) -> Result<Vec<u8>> {
        let read =
            |path: &Path| fs::read(path).context(|| format!("cannot read {}", path.display()));
        let binary = read(self.binary)?;
        if names_a_loader(&binary) {
            return Err(Failure::new(format!(
                "{}: wanted a static program; found one that needs a loader and libraries",
                self.binary.display()
            )));
        }
        let mut archive = Archive::default();
        archive.file("init", 0o755, binary);
        archive.file("etc/ebbtide/init.conf", 0o644, read(self.conf)?);
        for folder in ["dev", "proc", "run", "sys", "sysroot"] {
            archive.folder(folder);
        }
        // The kernel opens it for its first process before that can mount a devtmpfs.
        archive.character("dev/console", 5, 1);
        archive.character("dev/null", 1, 3);
        Kernel::read(self.modules, self.kernel)?.pack(self.add, &mut archive)?;
        Ok(archive.bytes())
    }
}

/// Returns whether an ELF file of 64 bits has a program header `PT_INTERP` (3): e_phoff at 32, e_phentsize at 54, e_phnum
/// at 56 (elf.h).
fn names_a_loader(elf: &[u8]) -> bool {
    let number = |at: usize, length: usize| {
        let bytes = elf.get(at..at + length)?;
        Some(bytes.iter().rev().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)))
    };
    let headers = || Some((number(32, 8)?, number(54, 2)?, number(56, 2)?));
    let Some((start, size, count)) = headers() else { return false };
    (0..count).any(|at| number(start + at * size, 4) == Some(3))
}

/// How the archive is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Packing {
    Zstd,
    Gzip,
    None,
}

impl Packing {
    /// The best that this machine can do.
    fn usual() -> Self {
        if process::find("zstd").is_some() { Packing::Zstd } else { Packing::Gzip }
    }

    /// Returns the command, which makes the same of the same at every run.
    fn command(self) -> Option<&'static [&'static str]> {
        match self {
            Packing::Zstd => Some(&["zstd", "-19", "-q", "-c"]),
            Packing::Gzip => Some(&["gzip", "-9", "-n", "-c"]),
            Packing::None => None,
        }
    }

    fn pack(self, archive: Vec<u8>) -> Result<Vec<u8>> {
        let Some(command) = self.command() else { return Ok(archive) };
        let cannot = || format!("cannot pack the initramfs by {}", command.join(" "));
        let mut child = Command::new(command[0])
            .args(&command[1..])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context(cannot)?;
        let input = child.stdin.take();
        let output = std::thread::scope(|scope| {
            scope.spawn(|| input.map(|mut pipe| pipe.write_all(&archive)));
            child.wait_with_output()
        });
        let output = output.context(cannot)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(Failure::new(format!("{}: {}", cannot(), output.status)))
    }
}

/// What the verb was asked for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    kernel: String,
    modules: PathBuf,
    add: Vec<String>,
    output: PathBuf,
    binary: Option<PathBuf>,
    conf: PathBuf,
    packing: Packing,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut kernel = None;
        let mut options = Options {
            kernel: String::new(),
            modules: PathBuf::from("/lib/modules"),
            add: Vec::new(),
            output: PathBuf::new(),
            binary: None,
            conf: workspace::root().join("initramfs/init.conf"),
            packing: Packing::usual(),
        };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let needs = || Failure::usage(format!("initramfs: {arg} needs a value"));
            let mut value = || args.next().cloned().ok_or_else(needs);
            match arg.as_str() {
                "--kernel" => kernel = Some(value()?),
                "--modules-dir" => options.modules = value()?.into(),
                "--add" => options.add.extend(value()?.split(',').map(str::to_owned)),
                "--output" => options.output = value()?.into(),
                "--binary" => options.binary = Some(value()?.into()),
                "--conf" => options.conf = value()?.into(),
                "--compress" => {
                    options.packing = match value()?.as_str() {
                        "zstd" => Packing::Zstd,
                        "gzip" => Packing::Gzip,
                        "none" => Packing::None,
                        other => {
                            return Err(Failure::usage(format!(
                                "initramfs: --compress wants zstd, gzip or none, not `{other}`"
                            )));
                        }
                    }
                }
                other => {
                    return Err(Failure::usage(format!("initramfs: unknown argument {other}")));
                }
            }
        }
        options.kernel = kernel.ok_or_else(|| {
            Failure::usage(
                "initramfs: --kernel VERSION is needed; `uname -r` says the running one's",
            )
        })?;
        if options.output.as_os_str().is_empty() {
            options.output = format!("ebbtide-initramfs-{}.img", options.kernel).into();
        }
        Ok(options)
    }
}

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    let binary = match options.binary {
        Some(binary) => binary,
        None => workspace::build_guest(Linking::Static)?,
    };
    let parts = Parts {
        modules: &options.modules,
        kernel: &options.kernel,
        add: &options.add,
        binary: &binary,
        conf: &options.conf,
    };
    let packed = options.packing.pack(parts.archive()?)?;
    let cannot = || format!("cannot write {}", options.output.display());
    // Aside and renamed: a machine that is started meanwhile finds the old one or the new one.
    let folder = options.output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let mut aside =
        tempfile::NamedTempFile::new_in(folder.unwrap_or(Path::new("."))).context(cannot)?;
    aside.write_all(&packed).context(cannot)?;
    fs::set_permissions(aside.path(), fs::Permissions::from_mode(0o644)).context(cannot)?;
    aside.persist(&options.output).context(cannot)?;
    println!("{}: {} KiB", options.output.display(), packed.len().div_ceil(1024));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    /// A kernel whose modules are text files, one of them packed.
    fn kernel(folder: &Path) {
        let modules = folder.join("6.1-test");
        fs::create_dir_all(modules.join("kernel")).unwrap();
        let names = ["virtio_pci", "dm-mod", "dm-snapshot", "ext4", "crc32c_generic"];
        for name in names {
            fs::write(modules.join(format!("kernel/{name}.ko")), name).unwrap();
        }
        let gzip = Command::new("gzip").arg(modules.join("kernel/ext4.ko")).status().unwrap();
        assert!(gzip.success());
        let dep = "kernel/virtio_pci.ko:\nkernel/dm-mod.ko:\nkernel/ext4.ko.gz:\nkernel/crc32c_generic.ko:\n\
                   kernel/dm-snapshot.ko: kernel/dm-mod.ko\nkernel/unwanted.ko:\n";
        fs::write(modules.join("modules.dep"), dep).unwrap();
        fs::write(modules.join("modules.softdep"), "softdep ext4 pre: crc32c\n").unwrap();
        let alias = "alias crc32c crc32c_generic\nalias pci:v1* virtio_pci\n";
        fs::write(modules.join("modules.alias"), alias).unwrap();
        fs::write(modules.join("modules.builtin"), "kernel/virtio_blk.ko\nkernel/x.ko\n").unwrap();
    }

    fn made(folder: &Path, add: &[&str]) -> Result<String> {
        let (binary, conf) = (folder.join("binary"), folder.join("conf"));
        fs::write(&binary, "ELF").unwrap();
        fs::write(&conf, "swap=0\n").unwrap();
        let add: Vec<String> = add.iter().map(|&name| name.to_owned()).collect();
        let parts =
            Parts { modules: folder, kernel: "6.1-test", add: &add, binary: &binary, conf: &conf };
        parts.archive().map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    #[test]
    fn kernel_must_be_said_and_values_must_follow() {
        assert!(Options::parse(&[]).unwrap_err().is_usage());
        assert!(Options::parse(&words("--kernel")).unwrap_err().is_usage());
        assert!(Options::parse(&words("--kernel 6 --compress lzma")).unwrap_err().is_usage());
        let options = Options::parse(&words("--kernel 6 --add a,b --compress none")).unwrap();
        assert_eq!(options.add, ["a", "b"]);
        assert_eq!(options.output, Path::new("ebbtide-initramfs-6.img"));
    }

    #[test]
    fn packs_what_is_needed_unpacked_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        kernel(folder.path());
        let archive = made(folder.path(), &[]).unwrap();
        assert!(archive.contains("lib/modules/6.1-test/kernel/ext4.ko\0"));
        assert!(archive.contains("kernel/dm-snapshot.ko: kernel/dm-mod.ko\n"));
        assert!(archive.contains("kernel/ext4.ko:\n") && !archive.contains(".gz"));
        assert!(archive.contains("alias crc32c crc32c_generic\n") && !archive.contains("pci:v1"));
        assert!(archive.contains("kernel/virtio_blk.ko\n") && !archive.contains("unwanted"));
        assert!(archive.contains("swap=0\n"));
        assert_eq!(archive, made(folder.path(), &[]).unwrap());
    }

    #[test]
    fn what_is_not_there_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let Err(failure) = Kernel::read(folder.path(), "7.0") else { panic!("there is none") };
        assert!(failure.to_string().contains("found no kernel there"), "{failure}");
        kernel(folder.path());
        let Err(failure) = Kernel::read(folder.path(), "7.0") else { panic!("there is none") };
        assert!(failure.to_string().contains("found only 6.1-test"), "{failure}");
        let failure = made(folder.path(), &["nvme"]).unwrap_err();
        assert!(failure.to_string().contains("module nvme: wanted"), "{failure}");
        fs::remove_file(folder.path().join("6.1-test/kernel/dm-mod.ko")).unwrap();
        let failure = made(folder.path(), &[]).unwrap_err();
        assert!(failure.to_string().contains("cannot read the module"), "{failure}");
    }

    #[test]
    fn a_program_that_needs_libraries_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        kernel(folder.path());
        let parts = Parts {
            modules: folder.path(),
            kernel: "6.1-test",
            add: &[],
            binary: Path::new("/bin/sh"),
            conf: Path::new("/dev/null"),
        };
        let failure = parts.archive().unwrap_err().to_string();
        assert!(failure.contains("wanted a static program"), "{failure}");
    }
}
