//! What an image depends on, as one short hash: recipes, files and trees flow in, sixteen hexadecimal digits flow out.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::failure::{Context, Result};

/// Digits of a hash in the name of a cache entry.
pub(crate) const DIGITS: usize = 16;

/// A hash over named inputs; their order and their names count.
#[derive(Default)]
pub(crate) struct Fingerprint {
    hasher: Sha256,
}

impl Fingerprint {
    /// Adds bytes that are known already.
    pub(crate) fn add(mut self, name: &str, content: &[u8]) -> Self {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        for part in [name.as_bytes(), content] {
            self.hasher.update((part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
        self
    }

    /// Adds a file below a name: its content and whether it may be executed.
    pub(crate) fn file(self, name: &str, path: &Path) -> Result<Self> {
        let cannot = || format!("cannot read {}, which goes into an image", path.display());
        let content = fs::read(path).context(cannot)?;
        let executable = fs::metadata(path).context(cannot)?.permissions().mode() & 0o111 != 0;
        Ok(self.add(name, &content).add("executable", &[executable.into()]))
    }

    /// Adds all files of a folder, below their paths in it.
    pub(crate) fn tree(mut self, folder: &Path) -> Result<Self> {
        for path in files(folder)? {
            let name = path.strip_prefix(folder).unwrap_or(&path).to_string_lossy().into_owned();
            self = if path.is_symlink() {
                let target =
                    fs::read_link(&path).context(|| format!("cannot read {}", path.display()))?;
                self.add(&name, target.as_os_str().as_encoded_bytes())
            } else {
                self.file(&name, &path)?
            };
        }
        Ok(self)
    }

    /// Returns the hash.
    pub(crate) fn digest(self) -> String {
        let digest = self.hasher.finalize();
        digest.iter().flat_map(|byte| [byte >> 4, byte & 15]).take(DIGITS).map(hex).collect()
    }
}

fn hex(nibble: u8) -> char {
    char::from(b"0123456789abcdef"[usize::from(nibble)])
}

/// Returns the files and symbolic links below `folder`, sorted.
fn files(folder: &Path) -> Result<Vec<std::path::PathBuf>> {
    let mut found = Vec::new();
    let entries = fs::read_dir(folder).context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry.context(|| format!("cannot list {}", folder.display()))?.path();
        if path.is_dir() && !path.is_symlink() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digest_depends_on_names_contents_and_their_border() {
        let digest =
            |name: &str, content: &[u8]| Fingerprint::default().add(name, content).digest();
        assert_eq!(digest("a", b"bc"), digest("a", b"bc"));
        assert_ne!(digest("a", b"bc"), digest("ab", b"c"));
        assert_ne!(digest("a", b"bc"), digest("b", b"bc"));
        assert_eq!(digest("a", b"").len(), DIGITS);
    }

    #[test]
    fn tree_sees_content_name_and_mode() {
        let folder = tempfile::tempdir().unwrap();
        let digest = || Fingerprint::default().tree(folder.path()).unwrap().digest();
        let file = folder.path().join("hook");
        fs::write(&file, "1").unwrap();
        let first = digest();
        assert_eq!(first, digest());
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        let second = digest();
        assert_ne!(first, second);
        fs::rename(&file, folder.path().join("hook2")).unwrap();
        assert_ne!(second, digest());
    }
}
