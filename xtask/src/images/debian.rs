//! Debian images: packages, kernel, guest and hooks flow in; a root disk and an initramfs that was made in that very
//! root flow out.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::{Cache, Force};
use super::fingerprint::Fingerprint;
use super::recipe::{self, Debian, Tree};
use super::{base, disk, initramfs, kernel};
use crate::failure::{Context, Result};
use crate::install;
use crate::process::{self, Log};
use crate::workspace;

/// Name of the cache entry with the root that all Debian images share.
const ROOT: &str = "debian-root";

/// Where the agent lies in the root.
const AGENT: &str = "usr/lib/ebbtide-test/agent";

/// The guest, as an image has it.
pub(crate) struct Guests<'a> {
    /// In the root, and in the initramfs that is made there.
    pub(crate) root: &'a Path,
    /// In an initramfs of its own; static.
    pub(crate) process_1: Option<&'a Path>,
}

/// Returns what an image depends on, beside its recipe.
pub(crate) fn fingerprint(guest: &Path, process_1: Option<&Path>) -> Result<Fingerprint> {
    let inputs = Fingerprint::default()
        .add("initramfs", include_bytes!("initramfs.rs"))
        .add("disk", include_bytes!("disk.rs"))
        .add("root", root_fingerprint(guest)?.as_bytes());
    match process_1 {
        None => Ok(inputs),
        Some(process_1) => inputs
            .tree(&workspace::root().join("xtask/src/initramfs"))?
            .add("order", include_bytes!("../../../src/module_order.rs"))
            .file("process 1", process_1),
    }
}

/// Fills the folder of an image.
pub(crate) fn build(
    recipe: &Debian,
    guests: &Guests<'_>,
    cache: &Cache,
    force: &Force,
    folder: &Path,
    log: &Log,
) -> Result<()> {
    let kernel = kernel::ensure(cache, force)?;
    let root = ensure_root(&kernel, guests.root, cache, force)?;
    log.step("initramfs", || match guests.process_1 {
        Some(binary) => initramfs::alone(&kernel.modules(), binary, folder),
        None => {
            initramfs::build(recipe.initramfs, &root.join("tree"), &kernel.release, folder, log)
        }
    })?;
    let (from, to) = (root.join("root.img"), folder.join("root.img"));
    match &recipe.gpt {
        None => fs::hard_link(&from, &to).context(|| format!("cannot link {}", to.display()))?,
        Some(gpt) => {
            log.step("partitioned root.img", || disk::partitioned(gpt, &from, &to, log))?
        }
    }
    kernel.install(folder)
}

fn root_fingerprint(guest: &Path) -> Result<String> {
    let mut inputs = Fingerprint::default()
        .add("builder", include_bytes!("debian.rs"))
        .add("disk", include_bytes!("disk.rs"))
        .add("packages", base::fingerprint()?.as_bytes())
        .add("kernel", kernel::fingerprint()?.as_bytes())
        .tree(&recipe::folder().join("base"))?
        .file("agent", &recipe::folder().join("agent"))?;
    for item in install::items(guest)? {
        let to = item.to.to_string_lossy();
        inputs = match item.what.source() {
            Some(from) => inputs.file(&to, from)?,
            None => inputs.add(&to, format!("{:?}", item.what).as_bytes()),
        };
    }
    Ok(inputs.digest())
}

/// Returns the entry with the finished root, as `tree` and as `root.img`.
fn ensure_root(
    kernel: &kernel::Unpacked,
    guest: &Path,
    cache: &Cache,
    force: &Force,
) -> Result<PathBuf> {
    let recipe: Tree = recipe::read_base("debian")?;
    let packages = base::ensure(cache, &recipe, force)?;
    cache.entry(ROOT, &root_fingerprint(guest)?, force, |folder, log| {
        let tree = folder.join("tree");
        fs::create_dir(&tree).context(|| format!("cannot make {}", tree.display()))?;
        log.step("unpack packages", || {
            log.run(process::as_root("tar").arg("-C").arg(&tree).arg("-xf").arg(&packages))
        })?;
        log.step("add kernel, guest, settings", || add(&tree, kernel, guest, log))?;
        log.step("root.img", || disk::ext4(&recipe.root, &tree, &folder.join("root.img"), log))
    })
}

fn add(tree: &Path, kernel: &kernel::Unpacked, guest: &Path, log: &Log) -> Result<()> {
    let (modules, dev) = (tree.join("usr/lib/modules"), tree.join("dev"));
    for folder in [&modules, &dev] {
        fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
    }
    copy(&kernel.modules(), &modules, log)?;
    copy(&kernel.config(), &tree.join("boot").join(format!("config-{}", kernel.release)), log)?;
    let base = recipe::folder().join("base");
    copy(&base.join("debian/."), tree, log)?;
    let agent = tree.join(AGENT);
    fs::create_dir_all(agent.parent().unwrap_or(tree))
        .context(|| format!("cannot make {AGENT}"))?;
    copy(&recipe::folder().join("agent"), &agent, log)?;
    install::install(tree, guest)?;

    let script = base.join("debian-setup");
    let text =
        fs::read_to_string(&script).context(|| format!("cannot read {}", script.display()))?;
    log.run(initramfs::in_tree(tree, tree).args(["sh", "-ec", &text]))
}

/// Copies files as root's, whoever owns them here.
fn copy(from: &Path, to: &Path, log: &Log) -> Result<()> {
    log.run(
        Command::new("cp")
            .args(["-R", "--preserve=mode,links", "--no-dereference"])
            .arg(from)
            .arg(to),
    )
}
