//! The stage-only image: kernel modules, busybox, a few programs and the static guest binary flow in, an initramfs whose
//! `/init` serves the command channel flows out.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::{Cache, Force};
use super::fingerprint::Fingerprint;
use super::recipe::{self, Stage};
use super::{disk, kernel, packaged};
use crate::failure::{Context, Failure, Result};
use crate::process::{self, Log};

/// Folders of the initramfs beside those that files bring with them.
const FOLDERS: [&str; 10] =
    ["dev", "etc", "mnt", "proc", "root", "run", "sys", "tmp", "usr/bin", "usr/sbin"];

/// Folders of a root that programs run in.
const ROOT_FOLDERS: [&str; 8] = ["dev", "etc", "proc", "run", "sys", "tmp", "usr/bin", "usr/sbin"];

/// Links of a merged `/usr`, so that a library or program is found at any of its names.
const MERGED: [&str; 4] = ["bin", "sbin", "lib", "lib64"];

/// Returns what the image depends on, beside its recipe.
pub(crate) fn fingerprint(recipe: &Stage, guest: &Path) -> Result<Fingerprint> {
    let mut inputs = Fingerprint::default()
        .add("builder", include_bytes!("stage.rs"))
        .add("disk", include_bytes!("disk.rs"))
        .add("kernel", kernel::fingerprint()?.as_bytes())
        .file("guest", guest)?
        .file("init", &recipe::folder().join(&recipe.init))?
        .file("agent", &recipe::folder().join("agent"))?
        .file("busybox", &program("busybox")?)?;
    for name in recipe.programs.iter().chain(&recipe.root_programs) {
        inputs = inputs.file(name, &program(name)?)?;
    }
    for (name, package) in &recipe.packaged {
        inputs = inputs.add(name, packaged::fingerprint(package).as_bytes());
    }
    Ok(inputs)
}

/// Fills the folder of the image.
pub(crate) fn build(
    recipe: &Stage,
    guest: &Path,
    cache: &Cache,
    force: &Force,
    folder: &Path,
    log: &Log,
) -> Result<()> {
    let kernel = kernel::ensure(cache, force)?;
    let tree = tempfile::tempdir_in(folder).context(|| "cannot make a folder".to_owned())?;
    log.step("initramfs tree", || fill(recipe, guest, &kernel, tree.path()))?;
    for (name, package) in &recipe.packaged {
        let unpacked = packaged::ensure(package, cache, force)?;
        copy_program(&packaged::program(name, &unpacked)?, tree.path())?;
    }
    log.step("cpio", || archive(tree.path(), &folder.join("initrd.img"), log))?;

    let content = tempfile::tempdir_in(folder).context(|| "cannot make a folder".to_owned())?;
    for (path, text) in &recipe.files {
        write(&content.path().join(path), text.as_bytes(), 0o644)?;
    }
    if !recipe.root_programs.is_empty() {
        make_folders(&ROOT_FOLDERS, content.path())?;
        copy_programs(&recipe.root_programs, content.path())?;
    }
    log.step("root.img", || {
        disk::ext4(&recipe.root, content.path(), &folder.join("root.img"), log)
    })?;
    kernel.install(folder)
}

fn fill(recipe: &Stage, guest: &Path, kernel: &kernel::Unpacked, tree: &Path) -> Result<()> {
    make_folders(&FOLDERS, tree)?;
    install(guest, &tree.join("usr/sbin/ebbtide-init"), 0o755)?;
    install(&recipe::folder().join(&recipe.init), &tree.join("init"), 0o755)?;
    install(&recipe::folder().join("agent"), &tree.join("usr/sbin/agent"), 0o755)?;

    let order = kernel.dependencies()?.load_order(&recipe.modules)?;
    let modules = tree.join("usr/lib/modules");
    let mut list = String::new();
    for path in &order {
        let name = path.rsplit('/').next().unwrap_or(path);
        install(&kernel.modules().join(path), &modules.join(name), 0o644)?;
        list.push_str(&format!("/lib/modules/{name}\n"));
    }
    write(&modules.join("order"), list.as_bytes(), 0o644)?;

    copy_programs(&recipe.programs, tree)?;
    let busybox = program("busybox")?;
    install(&busybox, &tree.join("usr/bin/busybox"), 0o755)?;
    for applet in process::output(Command::new(&busybox).arg("--list"))?.lines() {
        // A real program that was asked for goes first.
        if applet != "busybox" && !recipe.programs.iter().any(|name| name == applet) {
            link("busybox", &tree.join("usr/bin").join(applet))?;
        }
    }
    Ok(())
}

/// Makes the folders of a tree, and the links of a merged `/usr`.
pub(super) fn make_folders(names: &[&str], tree: &Path) -> Result<()> {
    for name in names {
        make_folder(&tree.join(name))?;
    }
    for name in MERGED {
        make_folder(&tree.join("usr").join(name))?;
        link(&format!("usr/{name}"), &tree.join(name))?;
    }
    Ok(())
}

/// Copies programs of this machine, with their libraries, to where they are here.
fn copy_programs(names: &[String], tree: &Path) -> Result<()> {
    names.iter().try_for_each(|name| copy_program(&program(name)?, tree))
}

/// Copies a program, with the libraries of this machine that it needs.
fn copy_program(from: &Path, tree: &Path) -> Result<()> {
    let folder = if from.parent().is_some_and(|p| p.ends_with("sbin")) { "sbin" } else { "bin" };
    install(
        from,
        &tree.join("usr").join(folder).join(from.file_name().unwrap_or_default()),
        0o755,
    )?;
    for library in libraries(from)? {
        let below =
            library.strip_prefix("/usr").or_else(|_| library.strip_prefix("/")).unwrap_or(&library);
        install(&library, &tree.join("usr").join(below), 0o755)?;
    }
    Ok(())
}

/// Packs `tree` as an uncompressed archive: the emulated CPU is slower at unpacking than QEMU at loading.
pub(super) fn archive(tree: &Path, image: &Path, log: &Log) -> Result<()> {
    let script = "cd \"$1\" && find . -print0 | LC_ALL=C sort -z | cpio --null --create --quiet --format=newc \
                  --reproducible --owner=0:0 > \"$2\"";
    log.run(Command::new("sh").args(["-c", script, "sh"]).arg(tree).arg(image))
}

fn program(name: &str) -> Result<PathBuf> {
    process::find(name)
        .ok_or_else(|| Failure::new(format!("{name} is not installed; run `cargo xtask setup`")))
}

/// Returns the libraries of a program, by their paths on this machine.
fn libraries(program: &Path) -> Result<Vec<PathBuf>> {
    let said = process::output(Command::new("ldd").arg(program))?;
    if let Some(missing) = said.lines().find(|line| line.contains("=> not found")) {
        let (program, missing) = (program.display(), missing.trim());
        return Err(Failure::new(format!("a library of {program} is not here: {missing}")));
    }
    Ok(said.lines().filter_map(library).map(PathBuf::from).collect())
}

/// Returns the path in a line of `ldd`: `NAME => PATH (ADDRESS)`, or `PATH (ADDRESS)` for the loader.
fn library(line: &str) -> Option<&str> {
    let line = line.split_once("=>").map_or(line, |(_, path)| path);
    line.split_whitespace().next().filter(|path| path.starts_with('/'))
}

/// Copies a file, with the folders above it.
pub(super) fn install(from: &Path, to: &Path, mode: u32) -> Result<()> {
    let content = fs::read(from).context(|| format!("cannot read {}", from.display()))?;
    write(to, &content, mode)
}

/// Writes a file, with the folders above it.
pub(super) fn write(path: &Path, content: &[u8], mode: u32) -> Result<()> {
    path.parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, content))
        .and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)))
        .context(|| format!("cannot write {}", path.display()))
}

fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).context(|| format!("cannot make {}", path.display()))
}

/// Makes a symbolic link.
pub(super) fn link(target: &str, path: &Path) -> Result<()> {
    symlink(target, path).context(|| format!("cannot link {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn library_is_found_in_each_form_of_line() {
        assert_eq!(
            library("\tlibc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x7f)"),
            Some("/lib/x86_64-linux-gnu/libc.so.6")
        );
        assert_eq!(
            library("\t/lib64/ld-linux-x86-64.so.2 (0x7f)"),
            Some("/lib64/ld-linux-x86-64.so.2")
        );
        assert_eq!(library("\tlinux-vdso.so.1 (0x7f)"), None);
        assert_eq!(library("\tnot a dynamic executable"), None);
    }
}
