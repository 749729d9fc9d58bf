//! The kernel's part of an initramfs: a kernel's folder of modules flows in, the few that a boot needs flow out, unpacked,
//! with what the guest has to know about them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use ebbtide_init::module_order::{Modules, name_of, same};

use super::archive::Archive;
use crate::failure::{Context, Failure, Result};

/// Loaded at every boot, so the kernel must have them.
const ALWAYS: [&str; 5] = ["virtio_pci", "virtio_blk", "dm_mod", "dm_snapshot", "ext4"];

/// Loaded when the kernel asks for them, or on Xen; a kernel without one of them cannot do what it is for, unless it
/// does that by other means: newer ones have the checksums built in under other names.
const ON_DEMAND: [&str; 19] = [
    "xen_blkfront",
    "dm_crypt",
    "xts",
    "ecb",
    "cbc",
    "essiv",
    "aes_generic",
    "aesni_intel",
    "sha256_generic",
    "crc32c_generic",
    "crc32c_intel",
    "xfs",
    "btrfs",
    "f2fs",
    "overlay",
    "squashfs",
    "erofs",
    "isofs",
    "loop",
];

/// How a packed module is unpacked.
const PACKED: [(&str, &[&str]); 3] =
    [(".xz", &["xz", "-dc"]), (".zst", &["zstd", "-dcq"]), (".gz", &["gzip", "-dc"])];

/// A kernel's folder, `…/lib/modules/VERSION`.
pub(crate) struct Kernel {
    folder: PathBuf,
    version: String,
    needs: String,
    asks: String,
    aliases: String,
    built_in: String,
}

impl Kernel {
    /// Reads what `depmod` wrote into `modules/VERSION`.
    ///
    /// # Errors
    /// There is no such kernel; then with those that there are.
    pub(crate) fn read(modules: &Path, version: &str) -> Result<Self> {
        let folder = modules.join(version);
        if version.is_empty() || !folder.join("modules.dep").is_file() {
            return Err(Failure::new(format!(
                "kernel {version}: wanted {}; found {}",
                folder.join("modules.dep").display(),
                versions(modules)
            )));
        }
        let text = |name| {
            let path = folder.join(name);
            if path.exists() { fs::read_to_string(&path) } else { Ok(String::new()) }
                .context(|| format!("cannot read {}", path.display()))
        };
        Ok(Kernel {
            version: version.to_owned(),
            needs: text("modules.dep")?,
            asks: text("modules.softdep")?,
            aliases: text("modules.alias")?,
            built_in: text("modules.builtin")?,
            folder,
        })
    }

    /// Puts the modules into an archive; those of `add` are loaded at every boot too.
    ///
    /// # Errors
    /// One that every boot needs is unknown, or cannot be unpacked.
    pub(crate) fn pack(&self, add: &[String], archive: &mut Archive) -> Result<()> {
        let mut always: Vec<&str> = ALWAYS.to_vec();
        always.extend(add.iter().map(String::as_str));
        let modules = Modules {
            needs: &self.needs,
            asks: &self.asks,
            aliases: &self.aliases,
            built_in: &self.built_in,
        };
        let mut files = modules.order(&always).map_err(|error| self.cannot(&error))?;
        for name in ON_DEMAND {
            match modules.order(&[name]) {
                Ok(more) => files.extend(more),
                Err(_) => {
                    eprintln!("the kernel lists no module {name}, apart or built in")
                }
            }
        }
        files.sort_unstable();
        files.dedup();
        let folder = format!("lib/modules/{}", self.version);
        for file in &files {
            archive.file(&format!("{folder}/{}", plain(file)), 0o644, self.unpacked(file)?);
        }
        for (name, text) in [
            ("modules.dep", self.reduced_needs(&files)),
            ("modules.softdep", reduced(&self.asks, |words| is_one_of(&files, words.get(1)))),
            (
                "modules.alias",
                reduced(&self.aliases, |words| {
                    // The others are patterns for devices, and the guest looks for none.
                    let by_name = words.get(1).is_some_and(|alias| !alias.contains([':', '*']));
                    by_name && is_one_of(&files, words.get(2))
                }),
            ),
            (
                "modules.builtin",
                reduced(&self.built_in, |words| {
                    let name = words.first().map_or("", |file| name_of(file));
                    always.iter().chain(&ON_DEMAND).any(|wanted| same(wanted, name))
                }),
            ),
        ] {
            archive.file(&format!("{folder}/{name}"), 0o644, text);
        }
        let list = "# Loaded at every boot, in this order, with what they need.\n".to_owned();
        archive.file("etc/ebbtide/modules", 0o644, list + &always.join("\n") + "\n");
        Ok(())
    }

    fn cannot(&self, error: &ebbtide_init::module_order::OrderError) -> Failure {
        Failure::new(format!("kernel {}: {error}", self.version))
    }

    fn reduced_needs(&self, files: &[&str]) -> String {
        let mut text = String::new();
        for line in self.needs.lines() {
            let Some((file, needs)) = line.split_once(':') else { continue };
            if files.contains(&file.trim()) {
                let needs: String =
                    needs.split_whitespace().map(|n| format!(" {}", plain(n))).collect();
                text.push_str(&format!("{}:{needs}\n", plain(file.trim())));
            }
        }
        text
    }

    fn unpacked(&self, file: &str) -> Result<Vec<u8>> {
        let path = self.folder.join(file);
        let cannot = || format!("cannot read the module {}", path.display());
        let Some((_, command)) = PACKED.iter().find(|(suffix, _)| file.ends_with(suffix)) else {
            return fs::read(&path).context(cannot);
        };
        let mut program = Command::new(command[0]);
        let output = program.args(&command[1..]).arg(&path).output().context(cannot)?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Failure::new(format!("{}: {}: {}", cannot(), command.join(" "), said.trim())))
    }
}

/// Returns the path without what says how the file is packed.
fn plain(file: &str) -> &str {
    let suffix = PACKED.iter().find_map(|(suffix, _)| file.strip_suffix(suffix));
    suffix.unwrap_or(file)
}

fn is_one_of(files: &[&str], name: Option<&&str>) -> bool {
    name.is_some_and(|name| files.iter().any(|file| same(name_of(file), name)))
}

/// Returns the lines whose words are wanted.
fn reduced(text: &str, wanted: impl Fn(&[&str]) -> bool) -> String {
    let is_wanted = |line: &&str| wanted(&line.split_whitespace().collect::<Vec<_>>());
    text.lines().filter(is_wanted).map(|line| format!("{line}\n")).collect()
}

fn versions(modules: &Path) -> String {
    let entries = fs::read_dir(modules).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter(|entry| entry.path().join("modules.dep").is_file())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    if names.is_empty() {
        "no kernel there".to_owned()
    } else {
        format!("only {}", names.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ebbtide_format::signature::Kind;
    use ebbtide_init::boot_words::ROOT_TYPES;

    /// The driver of a file system, as its module is called.
    fn module(kind: Kind) -> &'static str {
        match kind {
            // One driver for all three.
            Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => "ext4",
            Kind::Iso9660 => "isofs",
            Kind::Xfs | Kind::Btrfs | Kind::Squashfs | Kind::Erofs => kind.word(),
        }
    }

    #[test]
    fn every_file_system_that_the_guest_mounts_has_its_driver() {
        let has = |name: &str| ALWAYS.contains(&name) || ON_DEMAND.contains(&name);
        for kind in ROOT_TYPES {
            assert!(has(kind), "{kind} of a root");
        }
        for kind in [
            Kind::Ext2,
            Kind::Ext3,
            Kind::Ext4,
            Kind::Xfs,
            Kind::Btrfs,
            Kind::Squashfs,
            Kind::Erofs,
            Kind::Iso9660,
        ] {
            assert!(has(module(kind)), "{}", kind.word());
        }
    }
}
