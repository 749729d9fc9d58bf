//! The kernel that all images share: a Debian package flows in, its image and the modules that machines need flow out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::{Cache, Force};
use super::fingerprint::Fingerprint;
use super::modules::Dependencies;
use super::recipe::{self, Kernel};
use super::vmlinux;
use crate::failure::{Context, Failure, Result};
use crate::process::{self, Log};

/// Name of the cache entry.
const NAME: &str = "kernel";

/// A kernel in the cache.
pub(crate) struct Unpacked {
    folder: PathBuf,
    /// Release as `uname -r` says it.
    pub(crate) release: String,
}

impl Unpacked {
    /// Puts the kernel image into the folder of an image, without a copy of its own.
    pub(crate) fn install(&self, folder: &Path) -> Result<()> {
        fs::hard_link(self.folder.join("vmlinuz"), folder.join("vmlinuz"))
            .context(|| format!("cannot link the kernel into {}", folder.display()))
    }

    /// Returns the folder of the modules, `…/lib/modules/RELEASE`.
    pub(crate) fn modules(&self) -> PathBuf {
        self.folder.join("lib/modules").join(&self.release)
    }

    /// Returns the configuration that the kernel was built with.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder.join("config")
    }

    /// Returns which module needs which.
    pub(crate) fn dependencies(&self) -> Result<Dependencies> {
        dependencies(&self.modules())
    }
}

/// Returns what the kernel depends on.
pub(crate) fn fingerprint() -> Result<String> {
    let recipe = recipe::folder().join("base/kernel.toml");
    Ok(Fingerprint::default()
        .add("builder", include_bytes!("kernel.rs"))
        .add("vmlinux", include_bytes!("vmlinux.rs"))
        .file("recipe", &recipe)?
        .digest())
}

/// Returns the kernel, fetched where it is missing.
pub(crate) fn ensure(cache: &Cache, force: &Force) -> Result<Unpacked> {
    let recipe: Kernel = recipe::read_base("kernel")?;
    let folder =
        cache.entry(NAME, &fingerprint()?, force, |folder, log| build(&recipe, folder, log))?;
    let path = folder.join("release");
    let release =
        fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
    Ok(Unpacked { folder, release })
}

fn build(recipe: &Kernel, folder: &Path, log: &Log) -> Result<()> {
    let scratch = tempfile::tempdir_in(folder).context(|| "cannot make a folder".to_owned())?;
    let package = concrete_package(&recipe.package, log)?;
    let mut download = Command::new("apt-get");
    // Without this apt warns that its own user cannot write here.
    download
        .args(["-o", "APT::Sandbox::User=root", "download", &package])
        .current_dir(scratch.path());
    log.step(&format!("fetch {package}"), || log.run(&mut download))?;
    let archive = only_file(scratch.path())?;
    let unpacked = scratch.path().join("unpacked");
    log.step("unpack it", || {
        log.run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&unpacked))
    })?;

    let modules = only_file(&unpacked.join("lib/modules"))?;
    let release = modules.file_name().unwrap_or_default().to_string_lossy().into_owned();
    depmod(&unpacked, &release, log)?;
    let kept = dependencies(&modules)?.load_order(&recipe.modules)?;
    let target = folder.join("lib/modules").join(&release);
    for file in kept.iter().map(String::as_str).chain([
        "modules.order",
        "modules.builtin",
        "modules.builtin.modinfo",
    ]) {
        copy(&modules.join(file), &target.join(file))?;
    }
    depmod(folder, &release, log)?;
    log.step("unpack the kernel image", || {
        let packed = unpacked.join("boot").join(format!("vmlinuz-{release}"));
        let image = fs::read(&packed).context(|| format!("cannot read {}", packed.display()))?;
        write(&folder.join("vmlinuz"), &vmlinux::extract(&image)?)
    })?;
    copy(&unpacked.join("boot").join(format!("config-{release}")), &folder.join("config"))?;
    write(&folder.join("release"), release.as_bytes())
}

/// Returns the package with the kernel in it, which the one of a stable name depends on.
fn concrete_package(name: &str, log: &Log) -> Result<String> {
    let ask = || process::output(Command::new("apt-cache").args(["depends", "--important", name]));
    let found = match ask().ok().and_then(|text| dependency(&text)) {
        Some(package) => Some(package),
        None if process::is_root() => {
            // The package lists may never have been fetched, as in a fresh container.
            log.run(Command::new("apt-get").arg("update"))?;
            dependency(&ask()?)
        }
        None => None,
    };
    found.ok_or_else(|| {
        Failure::new(format!(
            "apt does not know what {name} depends on; does `apt-get update` help?"
        ))
    })
}

fn dependency(depends: &str) -> Option<String> {
    let lines = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: "));
    lines.map(str::to_owned).find(|package| package.starts_with("linux-image-"))
}

fn depmod(root: &Path, release: &str, log: &Log) -> Result<()> {
    let program = process::find("depmod").unwrap_or_else(|| "depmod".into());
    log.run(Command::new(program).arg("-b").arg(root).arg(release))
}

fn dependencies(modules: &Path) -> Result<Dependencies> {
    let read = |name| {
        let path = modules.join(name);
        fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))
    };
    Ok(Dependencies::parse(&read("modules.dep")?, &read("modules.builtin")?))
}

fn only_file(folder: &Path) -> Result<PathBuf> {
    let cannot = || format!("cannot list {}", folder.display());
    let mut entries = fs::read_dir(folder).context(cannot)?;
    let first =
        entries.next().ok_or_else(|| Failure::new(format!("{} is empty", folder.display())))?;
    Ok(first.context(cannot)?.path())
}

fn write(path: &Path, content: &[u8]) -> Result<()> {
    fs::write(path, content).context(|| format!("cannot write {}", path.display()))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    to.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::copy(from, to))
        .map(drop)
        .context(|| format!("cannot copy {} to {}", from.display(), to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_package_behind_the_stable_name() {
        let text = "linux-image-amd64\n  Depends: linux-image-6.1.0-56-amd64\n";
        assert_eq!(dependency(text).as_deref(), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(dependency("linux-image-amd64\n"), None);
    }
}
