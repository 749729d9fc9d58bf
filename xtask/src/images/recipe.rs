//! Recipes of images: the text of `vm-images/*.toml` flows in, plain data flows out.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::failure::{Context, Failure, Result};
use crate::workspace;

/// An image: one bootable set of kernel, initramfs and root disk.
#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Recipe {
    /// Nothing but kernel modules, busybox and the guest binary; the root disk is only there to be wrapped.
    Stage(Stage),
    /// A Debian that boots to multi-user.
    Debian(Debian),
    /// A hypervisor, its first domain, and what another domain is made of.
    Xen(Xen),
}

/// The stage-only image.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stage {
    /// Base kernel command line.
    pub(crate) cmdline: String,
    /// The script that becomes `/init`, a file beside the recipe.
    #[serde(default = "stage_init")]
    pub(crate) init: String,
    /// Kernel modules that `/init` loads, with all that they need.
    pub(crate) modules: Vec<String>,
    /// Programs of the host that are copied in, with their libraries.
    pub(crate) programs: Vec<String>,
    /// Programs that are not installed on the host, and the package of each; their libraries are the host's.
    #[serde(default)]
    pub(crate) packaged: BTreeMap<String, String>,
    /// Programs of the host that the root has, with their libraries.
    #[serde(default)]
    pub(crate) root_programs: Vec<String>,
    /// The root disk.
    pub(crate) root: FileSystem,
    /// Content of the root disk: path and text.
    pub(crate) files: BTreeMap<String, String>,
}

fn stage_init() -> String {
    "stage-init".to_owned()
}

/// A machine of Xen; its kernel is that of all images.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Xen {
    /// Command line of the hypervisor.
    pub(crate) hypervisor: String,
    /// Kernel command line of the first domain.
    pub(crate) cmdline: String,
    /// Kernel modules that the first domain loads, with all that they need.
    pub(crate) modules: Vec<String>,
    /// Packages that the first domain consists of; what they depend on is not added.
    pub(crate) packages: Vec<String>,
    /// Patterns of paths that are not unpacked, as tar takes them.
    pub(crate) exclude: Vec<String>,
    /// Symbolic links of the first domain: path and target.
    pub(crate) links: BTreeMap<String, String>,
    /// Files of the first domain: path and text.
    pub(crate) files: BTreeMap<String, String>,
    /// Another domain.
    pub(crate) domu: Stage,
}

/// A Debian image; the tree is that of `vm-images/base/debian.toml`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Debian {
    /// Base kernel command line.
    pub(crate) cmdline: String,
    /// Which generator makes the initramfs.
    pub(crate) initramfs: Initramfs,
    /// Where there is one, the root file system lies in the last partition of a GPT.
    pub(crate) gpt: Option<Gpt>,
}

/// Generators of an initramfs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Initramfs {
    /// initramfs-tools, Debian's default.
    #[serde(rename = "initramfs-tools")]
    Tools,
    /// dracut with systemd in the initramfs.
    DracutSystemd,
    /// dracut with shell scripts only.
    Dracut,
    /// The guest alone, as process 1.
    Boot,
}

/// An ext4 file system, the same at every build.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileSystem {
    /// Size as mke2fs takes it, e.g. `64M`.
    pub(crate) size: String,
    /// UUID of the file system.
    pub(crate) uuid: String,
    /// Label of the file system.
    pub(crate) label: String,
    /// Seed of the directory hashes.
    pub(crate) hash_seed: String,
}

/// A partition table, the same at every build.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gpt {
    /// GUID of the disk.
    pub(crate) disk: String,
    /// The partitions in their order; the last one holds the root file system.
    pub(crate) partitions: Vec<Partition>,
}

/// One entry of a partition table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Partition {
    /// Name in the table.
    pub(crate) name: String,
    /// Type GUID.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// GUID of the partition.
    pub(crate) uuid: String,
    /// Size in MiB; the last partition takes the size of the file system.
    #[serde(default)]
    pub(crate) mib: u64,
}

/// The Debian tree that all Debian images share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tree {
    /// Release of Debian.
    pub(crate) suite: String,
    /// Packages beside the essential ones.
    pub(crate) packages: Vec<String>,
    /// Paths that dpkg leaves out.
    pub(crate) exclude: Vec<String>,
    /// Paths that dpkg keeps all the same.
    pub(crate) include: Vec<String>,
    /// The root disk.
    pub(crate) root: FileSystem,
}

/// The kernel that all images share.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Kernel {
    /// Package that depends on the kernel's.
    pub(crate) package: String,
    /// Modules and folders of modules that are kept, with all that they need.
    pub(crate) modules: Vec<String>,
}

/// Returns the folder of the recipes.
pub(crate) fn folder() -> PathBuf {
    workspace::root().join("vm-images")
}

/// Returns the names of all images, sorted.
pub(crate) fn names() -> Result<Vec<String>> {
    let folder = folder();
    let cannot = || format!("cannot list {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(&folder).context(cannot)? {
        let path = entry.context(cannot)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Reads the recipe of the image `name`.
///
/// # Errors
/// There is no such image; the text is malformed.
pub(crate) fn read(name: &str) -> Result<Recipe> {
    let known = names()?;
    if !known.iter().any(|other| other == name) {
        return Err(Failure::new(format!(
            "there is no image `{name}`; there are {}",
            known.join(", ")
        )));
    }
    read_file(&folder().join(format!("{name}.toml")))
}

/// Reads a recipe that several images share.
pub(crate) fn read_base<T: DeserializeOwned>(name: &str) -> Result<T> {
    read_file(&folder().join("base").join(format!("{name}.toml")))
}

fn read_file<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).context(|| format!("{} is not a recipe", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_recipe_of_the_repository() {
        for name in names().unwrap() {
            read(&name).unwrap();
        }
        read_base::<Tree>("debian").unwrap();
        read_base::<Kernel>("kernel").unwrap();
    }

    #[test]
    fn refuses_a_key_that_it_does_not_know() {
        let text = "kind = 'debian'\ncmdline = ''\ninitramfs = 'dracut'\ncolour = 'red'\n";
        let failure = toml::from_str::<Recipe>(text).unwrap_err().to_string();
        assert!(failure.contains("colour"), "{failure}");
    }

    #[test]
    fn refuses_an_image_that_does_not_exist_by_name() {
        let failure = read("../stage").unwrap_err().to_string();
        assert!(failure.contains("`../stage`"), "{failure}");
    }
}
