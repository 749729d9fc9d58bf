//! The image of a Xen machine: Debian's packages flow in, a hypervisor, the initramfs of its first domain and the parts
//! of another domain flow out.
//!
//! The first domain changes rarely and is kept apart from the other, which has the guest in it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::{Cache, Force};
use super::fingerprint::Fingerprint;
use super::recipe::{self, Xen};
use super::{kernel, packages, stage};
use crate::failure::{Context, Failure, Result};
use crate::process::{self, Log};

/// Name of the cache entry with the hypervisor and its first domain.
const DOM0: &str = "xen-dom0";

/// Folders of the first domain beside those that packages bring with them.
const FOLDERS: [&str; 10] =
    ["dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "usr/bin", "var/lib"];

/// Scripts of the first domain: name in the repository and path.
const SCRIPTS: [(&str, &str); 3] =
    [("dom0-init", "init"), ("agent", "usr/sbin/agent"), ("domu", "usr/sbin/domu")];

/// Returns what the image depends on, beside its recipe.
pub(crate) fn fingerprint(recipe: &Xen, guest: &Path, file: &Path) -> Result<Fingerprint> {
    let inputs = stage::fingerprint(&recipe.domu, guest)?;
    Ok(inputs.add("dom0", dom0_fingerprint(file)?.as_bytes()))
}

/// Fills the folder of the image.
pub(crate) fn build(
    recipe: &Xen,
    guest: &Path,
    file: &Path,
    (cache, force): (&Cache, &Force),
    folder: &Path,
    log: &Log,
) -> Result<()> {
    let kernel = kernel::ensure(cache, force)?;
    let dom0 = cache.entry(DOM0, &dom0_fingerprint(file)?, force, |folder, log| {
        build_dom0(recipe, &kernel, folder, log)
    })?;
    // A machine has one root, and one kernel for all of its domains: `initrd.img` of this folder is the first one's.
    let domu = folder.join("domu");
    fs::create_dir(&domu).context(|| format!("cannot make {}", domu.display()))?;
    stage::build(&recipe.domu, guest, cache, force, &domu, log)?;
    for name in ["root.img", "vmlinuz"] {
        fs::rename(domu.join(name), folder.join(name)).context(|| format!("cannot move {name}"))?;
    }
    for name in ["xen", "initrd.img"] {
        fs::hard_link(dom0.join(name), folder.join(name))
            .context(|| format!("cannot link {name}"))?;
    }
    for (path, words) in
        [("xen.cmdline", &recipe.hypervisor), ("domu/cmdline", &recipe.domu.cmdline)]
    {
        stage::write(&folder.join(path), format!("{words}\n").as_bytes(), 0o644)?;
    }
    Ok(())
}

fn dom0_fingerprint(recipe: &Path) -> Result<String> {
    let mut inputs = Fingerprint::default()
        .add("builder", include_bytes!("xen.rs"))
        .add("packages", include_bytes!("packages.rs"))
        .add("kernel", kernel::fingerprint()?.as_bytes())
        .file("recipe", recipe)?;
    for (name, _) in SCRIPTS {
        inputs = inputs.file(name, &recipe::folder().join(name))?;
    }
    Ok(inputs.digest())
}

fn build_dom0(recipe: &Xen, kernel: &kernel::Unpacked, folder: &Path, log: &Log) -> Result<()> {
    let cannot = || "cannot make a folder".to_owned();
    let fetched = tempfile::tempdir_in(folder).context(cannot)?;
    let tree = tempfile::tempdir_in(folder).context(cannot)?;
    log.step(&format!("fetch {} packages", recipe.packages.len()), || {
        packages::fetch(&recipe.packages, fetched.path(), log)
    })?;
    log.step("unpack them", || {
        stage::make_folders(&FOLDERS, tree.path())?;
        packages::unpack(fetched.path(), tree.path(), &recipe.exclude, log)
    })?;
    hypervisor(&tree.path().join("boot"), &folder.join("xen"))?;
    log.step("add modules and scripts", || add(recipe, kernel, tree.path(), log))?;
    log.step("cpio", || stage::archive(tree.path(), &folder.join("initrd.img"), log))
}

/// Takes the hypervisor out of `/boot`, unpacked as QEMU wants it, and everything else with it.
fn hypervisor(boot: &Path, to: &Path) -> Result<()> {
    let packed: PathBuf = packages::only(boot, "xen-", ".gz")?;
    let cannot = || format!("cannot unpack {}", packed.display());
    let output = Command::new("gzip").arg("-dc").arg(&packed).output().context(cannot)?;
    if !output.status.success() {
        return Err(Failure::new(format!("{}: gzip: {}", cannot(), output.status)));
    }
    stage::write(to, &output.stdout, 0o644)?;
    fs::remove_dir_all(boot).context(|| format!("cannot remove {}", boot.display()))
}

fn add(recipe: &Xen, kernel: &kernel::Unpacked, tree: &Path, log: &Log) -> Result<()> {
    let modules = tree.join("usr/lib/modules").join(&kernel.release);
    let order = kernel.dependencies()?.load_order(&recipe.modules)?;
    let lists = ["modules.order", "modules.builtin", "modules.builtin.modinfo"];
    for path in order.iter().map(String::as_str).chain(lists) {
        stage::install(&kernel.modules().join(path), &modules.join(path), 0o644)?;
    }
    let depmod = process::find("depmod").unwrap_or_else(|| "depmod".into());
    log.run(Command::new(depmod).arg("-b").arg(tree).arg(&kernel.release))?;
    let names = recipe.modules.join("\n") + "\n";
    stage::write(&tree.join("etc/modules"), names.as_bytes(), 0o644)?;

    for (name, path) in SCRIPTS {
        stage::install(&recipe::folder().join(name), &tree.join(path), 0o755)?;
    }
    for (path, text) in &recipe.files {
        stage::write(&tree.join(path), text.as_bytes(), 0o644)?;
    }
    recipe.links.iter().try_for_each(|(path, target)| stage::link(target, &tree.join(path)))
}
