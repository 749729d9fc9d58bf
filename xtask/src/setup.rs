//! `cargo xtask setup`: what the tasks need flows in as a table, what is missing here is installed.

use std::path::Path;
use std::process::Command;

use crate::failure::{Failure, Result};
use crate::process;

/// A system package, how to see that it is there, and what for.
struct Need {
    package: &'static str,
    /// A command, or a file when it has a slash in it; a star stands for the rest of a directory's name.
    proof: &'static str,
    why: &'static str,
}

const fn need(package: &'static str, proof: &'static str, why: &'static str) -> Need {
    Need { package, proof, why }
}

/// Everything beside a Rust toolchain, by the name of Debian's package.
const NEEDS: &[Need] = &[
    need("qemu-system-x86", "qemu-system-x86_64", "runs the test machines"),
    need("mmdebstrap", "mmdebstrap", "makes the Debian tree"),
    need(
        "debian-archive-keyring",
        "/usr/share/keyrings/debian-archive-keyring.gpg",
        "checks its packages",
    ),
    need("uidmap", "newuidmap", "builds images without root"),
    need("util-linux", "unshare", "keeps mounts of the build to itself; blkid in the stage images"),
    need("tar", "tar", "unpacks the Debian tree"),
    need("dpkg", "dpkg-deb", "unpacks the kernel"),
    need("xz-utils", "xz", "unpacks the kernel image"),
    need("zstd", "zstd", "unpacks the image of newer kernels"),
    need("kmod", "depmod", "finds out which kernel module needs which"),
    need(
        "e2fsprogs",
        "mke2fs",
        "makes root disks; e2fsck in the stage images; file systems of the tests",
    ),
    need(
        "xfsprogs",
        "mkfs.xfs",
        "formats private disks in the stage images; file systems of the tests",
    ),
    need(
        "btrfs-progs",
        "mkfs.btrfs",
        "formats private disks in the stage images; file systems of the tests",
    ),
    need("qemu-utils", "qemu-img", "converts the images that templates are made from"),
    need("fdisk", "sfdisk", "makes partition tables; the shell version of the stage"),
    need("gdisk", "sgdisk", "checks our partition tables with other eyes"),
    need("squashfs-tools", "mksquashfs", "makes a modules disk for the tests"),
    need("cpio", "cpio", "packs an initramfs"),
    need("busybox-static", "busybox", "the shell of the stage images"),
    need("dash", "dash", "the shell version of the stage"),
    need("dmsetup", "dmsetup", "the shell version of the stage"),
    need("mount", "losetup", "the shell version of the stage"),
    need(
        "strace",
        "strace",
        "counts system calls in the stage images; kills and fails the host in the tests",
    ),
    need("user-mode-linux", "linux.uml", "a kernel for COW files and device-mapper in the tests"),
    need("uml-utilities", "uml_moo", "merges COW files, to be compared with"),
    need("libc-bin", "ldd", "finds the libraries of what goes into the stage images"),
    need("g++", "g++", "builds libFuzzer"),
    need("mandoc", "mandoc", "checks the manual"),
    need("libdevmapper-dev", "/usr/include/libdevmapper.h", "device-mapper for the host's program"),
    need("libclang-dev", "/usr/lib/llvm-*/lib/libclang.so", "reads its headers"),
];

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> Result<()> {
    if let Some(unknown) = args.first() {
        return Err(Failure::usage(format!("setup: unknown argument {unknown}")));
    }
    if !ensure()? {
        println!("all that the tasks need is here; nothing to do");
    }
    Ok(())
}

/// Installs what is missing and returns whether anything was.
///
/// # Errors
/// This is no Debian: the error names what is missing. An installation failed.
pub(crate) fn ensure() -> Result<bool> {
    let missing = missing(is_here);
    if !missing.is_empty() {
        install(&missing)?;
    }
    let nextest = process::find("cargo-nextest").is_none();
    if nextest {
        println!("installing cargo-nextest: runs the tests");
        process::run(crate::workspace::cargo().args(["install", "cargo-nextest", "--locked"]))?;
    }
    Ok(!missing.is_empty() || nextest)
}

fn missing(is_here: impl Fn(&str) -> bool) -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| !is_here(need.proof)).collect()
}

fn is_here(proof: &str) -> bool {
    if let Some((before, after)) = proof.split_once('*') {
        let (above, start) = before.rsplit_once('/').unwrap_or((".", before));
        let above = if above.is_empty() { "/" } else { above };
        let dirs = std::fs::read_dir(above).into_iter().flatten().flatten();
        return dirs
            .filter(|dir| dir.file_name().to_string_lossy().starts_with(start))
            .any(|dir| dir.path().join(after.trim_start_matches('/')).exists());
    }
    if proof.contains('/') {
        return Path::new(proof).exists();
    }
    match process::find(proof) {
        // The stage images hold nothing that a dynamic busybox could be linked against.
        Some(busybox) if proof == "busybox" => is_static(&busybox),
        found => found.is_some(),
    }
}

fn is_static(program: &Path) -> bool {
    process::output(Command::new("ldd").arg(program)).is_err()
}

fn install(missing: &[&Need]) -> Result<()> {
    install_once(missing)?;
    // What was here of another release may have gone with what came: QEMU's tools with its emulator.
    let gone = self::missing(is_here);
    let was_here = |need: &&&Need| !missing.iter().any(|other| other.package == need.package);
    if !gone.is_empty() && gone.iter().all(|need| was_here(&need)) {
        install_once(&gone)?;
    }
    match self::missing(is_here)[..] {
        [] => Ok(()),
        ref still => Err(Failure::new(format!(
            "installed, and yet there is no\n{}is PATH right?",
            listed(still)
        ))),
    }
}

fn install_once(missing: &[&Need]) -> Result<()> {
    if process::find("apt-get").is_none() {
        return Err(Failure::new(format!(
            "this is no Debian, so install by hand:\n{}",
            listed(missing)
        )));
    }
    println!("installing\n{}", listed(missing));
    process::run(apt_get()?.args(["update", "--quiet=2"]))?;
    let mut command = apt_get()?;
    command.args([
        "install",
        "-o",
        "Dpkg::Use-Pty=0",
        "--quiet=2",
        "--yes",
        "--no-install-recommends",
    ]);
    process::run(command.args(missing.iter().map(|need| need.package)))
}

fn listed(needs: &[&Need]) -> String {
    needs
        .iter()
        .map(|need| format!("  {:<24} {:<20} {}\n", need.package, need.proof, need.why))
        .collect()
}

/// Returns apt-get with the rights to install.
fn apt_get() -> Result<Command> {
    let mut command = if process::is_root() {
        Command::new("env")
    } else if process::find("sudo").is_some() {
        let mut sudo = Command::new("sudo");
        sudo.arg("env");
        sudo
    } else {
        return Err(Failure::new(
            "packages are missing, and this is neither root nor is there sudo",
        ));
    };
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get"]);
    Ok(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_exactly_what_is_missing() {
        let names = |is_here: &dyn Fn(&str) -> bool| -> Vec<&str> {
            missing(is_here).iter().map(|need| need.package).collect()
        };
        assert!(names(&|_| true).is_empty());
        assert_eq!(names(&|proof| proof != "depmod"), ["kmod"]);
        assert_eq!(names(&|_| false).len(), NEEDS.len());
    }

    #[test]
    fn proof_by_file_and_by_command() {
        assert!(is_here("/proc/self/exe") && !is_here("/proc/self/no-such-file"));
        assert!(is_here("sh") && !is_here("no-such-command"));
        assert!(is_here("/pro*/self/exe") && !is_here("/pro*/self/no-such-file"));
    }

    #[test]
    fn a_dynamic_program_is_not_static() {
        assert!(!is_static(Path::new("/bin/sh")));
    }
}
