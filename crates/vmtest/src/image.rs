//! Images to boot: a name goes in, the paths of its kernel, initramfs, root disk and command line come out.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Returns a folder of the repository's `target`, whatever folder Cargo builds in.
pub(crate) fn in_target(name: &str) -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    workspace.unwrap_or(Path::new(".")).join("target").join(name)
}

/// A folder with `vmlinuz`, `initrd.img`, `root.img` and `cmdline`.
#[derive(Debug, Clone)]
pub struct Image {
    name: String,
    folder: PathBuf,
    cmdline: String,
}

impl Image {
    /// Finds an image that `cargo xtask images` makes: below `EBBTIDE_IMAGES`, else `target/vm-images`.
    ///
    /// # Errors
    /// `Unavailable` when it has not been made.
    pub fn named(name: &str) -> Result<Self> {
        let base = std::env::var_os("EBBTIDE_IMAGES")
            .map_or_else(|| in_target("vm-images"), PathBuf::from);
        Self::at(&base.join(name))
    }

    /// Takes the image in `folder`.
    ///
    /// # Errors
    /// `Unavailable` when a file of it is missing.
    pub fn at(folder: &Path) -> Result<Self> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let missing = |why: String| Error::Unavailable {
            what: format!("image {name}"),
            why,
            make: format!("cargo xtask images {name}"),
        };
        // The name is a link to a cached folder: hold on to that one, even if the link moves on.
        let folder = folder.canonicalize().map_err(|e| missing(format!("{folder:?}: {e}")))?;
        for file in ["vmlinuz", "initrd.img", "root.img"] {
            if !folder.join(file).is_file() {
                return Err(missing(format!("there is no {file} in {}", folder.display())));
            }
        }
        let cmdline = std::fs::read_to_string(folder.join("cmdline"))
            .map_err(|error| missing(format!("its command line: {error}")))?;
        Ok(Self { name: name.clone(), cmdline: cmdline.trim().to_owned(), folder })
    }

    /// Returns the name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the compressed kernel.
    pub fn kernel(&self) -> PathBuf {
        self.folder.join("vmlinuz")
    }

    /// Returns the initramfs.
    pub fn initrd(&self) -> PathBuf {
        self.folder.join("initrd.img")
    }

    /// Returns the root disk, which many machines share: attach it read-only, or a copy of it.
    pub fn root(&self) -> PathBuf {
        self.folder.join("root.img")
    }

    /// Returns another file of the image.
    ///
    /// # Errors
    /// `Unavailable` when there is none.
    pub(crate) fn file(&self, name: &str) -> Result<PathBuf> {
        let path = self.folder.join(name);
        if path.is_file() {
            return Ok(path);
        }
        Err(Error::Unavailable {
            what: format!("image {}", self.name),
            why: format!("there is no {name} in {}", self.folder.display()),
            make: format!("cargo xtask images {}", self.name),
        })
    }

    /// Returns the kernel command line that the image is made for.
    pub fn cmdline(&self) -> &str {
        &self.cmdline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_whole_or_unavailable_with_the_command_that_makes_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("stage");
        std::fs::create_dir(&folder).unwrap();
        for file in ["vmlinuz", "initrd.img", "root.img", "cmdline"] {
            let error = Image::at(&folder).unwrap_err();
            assert!(matches!(error, Error::Unavailable { .. }), "{error}");
            assert!(error.to_string().ends_with("cargo xtask images stage"), "{error}");
            std::fs::write(folder.join(file), "console=ttyS0 ro\n").unwrap();
        }
        let image = Image::at(&folder).unwrap();
        assert_eq!((image.name(), image.cmdline()), ("stage", "console=ttyS0 ro"));
    }
}
