//! Where things are in the repository, and the guest binary as cargo builds it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::Result;
use crate::process;

/// The target of a static binary: naming one keeps its flags from build scripts.
pub(crate) const STATIC_TARGET: &str = "x86_64-unknown-linux-gnu";

/// How the guest binary is linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Linking {
    /// Against the C library of the system that it is installed in.
    Dynamic,
    /// Against nothing: runs in an initramfs that holds nothing else.
    Static,
}

/// Returns the root of the repository.
pub(crate) fn root() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.parent().unwrap_or(manifest).to_owned()
}

/// Returns the folder that cargo builds in.
pub(crate) fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns a command for the cargo that runs this task, in the root of the repository.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    command
}

/// Builds the release binary of the guest and returns its path.
///
/// `EBBTIDE_GUEST` names a finished one to use instead: to compare two versions, or while the source does not compile.
pub(crate) fn build_guest(linking: Linking) -> Result<PathBuf> {
    if let Some(finished) = std::env::var_os("EBBTIDE_GUEST") {
        return Ok(finished.into());
    }
    let target_dir = target_dir();
    let mut build = cargo();
    build.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "ebbtide-init",
        "--bin",
        "ebbtide-init",
    ]);
    build.arg("--target-dir").arg(&target_dir);
    let folder = match linking {
        Linking::Dynamic => target_dir.join("release"),
        Linking::Static => {
            build.args(["--target", STATIC_TARGET]);
            build.env("RUSTFLAGS", "-C target-feature=+crt-static");
            target_dir.join(STATIC_TARGET).join("release")
        }
    };
    process::run(&mut build)?;
    Ok(folder.join("ebbtide-init"))
}

/// Builds the program of the host and returns its path.
pub(crate) fn build_host() -> Result<PathBuf> {
    let target_dir = target_dir();
    let mut build = cargo();
    build.args(["build", "--quiet", "--profile", "host", "--package", "ebbtide"]);
    process::run(build.arg("--target-dir").arg(&target_dir))?;
    Ok(target_dir.join("host/ebbtide"))
}
