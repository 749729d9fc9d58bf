//! Where QEMU is.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Returns the QEMU binary: `EBBTIDE_QEMU`, else the one in `PATH`.
///
/// # Errors
/// `Missing` when it is not there.
pub fn program() -> Result<PathBuf> {
    let wanted = std::env::var("EBBTIDE_QEMU").unwrap_or_else(|_| "qemu-system-x86_64".into());
    in_path(&wanted, "qemu-system-x86")
}

/// Returns the path of a program that Debian's `package` has.
///
/// # Errors
/// `Missing` when it is not in `PATH`.
pub fn in_path(program: &str, package: &'static str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Joining an absolute path gives that path.
    let mut candidates = std::env::split_paths(&path).map(|dir| dir.join(program));
    candidates
        .find(|file| Path::is_file(file))
        .ok_or_else(|| Error::Missing { program: program.to_owned(), package })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_package() {
        let error = in_path("no-such-qemu", "qemu-system-x86").unwrap_err();
        let text = error.to_string();
        assert!(text.contains("no-such-qemu") && text.contains("qemu-system-x86"), "{text}");
        assert_eq!(in_path("/bin/sh", "dash").unwrap(), Path::new("/bin/sh"));
    }
}
