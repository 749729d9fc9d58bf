//! `cargo xtask install`: a root folder flows in, the guest with its hooks is installed below it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Result};
use crate::workspace::{self, Linking};

/// One file of the guest and where it goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// The file in the repository, or the binary.
    pub(crate) from: PathBuf,
    /// Its place below the root.
    pub(crate) to: PathBuf,
    mode: u32,
    /// An administrator's file is never overwritten.
    keep: bool,
}

/// Options of the verb.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    root: PathBuf,
    binary: Option<PathBuf>,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let (mut root, mut binary) = (None, None);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let target = match arg.as_str() {
                "--root" => &mut root,
                "--binary" => &mut binary,
                other => return Err(Failure::usage(format!("install: unknown argument {other}"))),
            };
            let value = args
                .next()
                .ok_or_else(|| Failure::usage(format!("install: {arg} needs a path")))?;
            *target = Some(PathBuf::from(value));
        }
        let root = root.ok_or_else(|| {
            Failure::usage("install: --root DIR is needed; `--root /` installs on this system")
        })?;
        Ok(Options { root, binary })
    }
}

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    let binary = match options.binary {
        Some(binary) => binary,
        None => workspace::build_guest(Linking::Dynamic)?,
    };
    for path in install(&options.root, &binary)? {
        println!("{}", path.display());
    }
    Ok(())
}

/// Installs the guest below `root` and returns what was written.
pub(crate) fn install(root: &Path, binary: &Path) -> Result<Vec<PathBuf>> {
    if !root.is_dir() {
        return Err(Failure::new(format!("the root {} is not a folder", root.display())));
    }
    let mut written = Vec::new();
    for item in items(binary)? {
        let to = root.join(&item.to);
        if item.keep && to.exists() {
            continue;
        }
        put(&item, &to)?;
        written.push(to);
    }
    Ok(written)
}

/// Returns every file of the guest, `binary` as its program.
pub(crate) fn items(binary: &Path) -> Result<Vec<Item>> {
    let repository = workspace::root();
    let item = |from: &str, to: &str, mode| Item {
        from: repository.join(from),
        to: to.into(),
        mode,
        keep: false,
    };
    let mut items = vec![
        Item { from: binary.to_owned(), ..item("", "usr/sbin/ebbtide-init", 0o755) },
        item("initramfs/50-ebbtide.rules", "usr/lib/udev/rules.d/50-ebbtide.rules", 0o644),
        item("initramfs/hook", "usr/share/initramfs-tools/hooks/ebbtide", 0o755),
        item("initramfs/local-top", "usr/share/initramfs-tools/scripts/local-top/ebbtide", 0o755),
        item("initramfs/resume.conf", "usr/share/initramfs-tools/conf.d/ebbtide", 0o644),
        Item { keep: true, ..item("initramfs/init.conf", "etc/ebbtide/init.conf", 0o644) },
    ];
    for name in names(&repository.join("dracut/90ebbtide"))? {
        // dracut sources module-setup.sh and copies the rest; scripts among it must stay executable in the initramfs.
        let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
        items.push(item(
            &format!("dracut/90ebbtide/{name}"),
            &format!("usr/lib/dracut/modules.d/90ebbtide/{name}"),
            mode,
        ));
    }
    for name in names(&repository)? {
        if name == "README.md" || name == "CHANGELOG.md" || name.starts_with("LICENSE") {
            items.push(item(&name, &format!("usr/share/doc/ebbtide-init/{name}"), 0o644));
        }
    }
    Ok(items)
}

/// Writes one file aside and renames it into place: a running system never sees half a binary.
fn put(item: &Item, to: &Path) -> Result<()> {
    let cannot = || format!("cannot install {} as {}", item.from.display(), to.display());
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).context(cannot)?;
    let mut aside = tempfile::NamedTempFile::new_in(folder).context(cannot)?;
    let mut source = fs::File::open(&item.from).context(cannot)?;
    std::io::copy(&mut source, &mut aside).context(cannot)?;
    fs::set_permissions(aside.path(), fs::Permissions::from_mode(item.mode)).context(cannot)?;
    aside.persist(to).context(cannot).map(drop)
}

/// Returns the names of the files in `folder`, sorted.
fn names(folder: &Path) -> Result<Vec<String>> {
    let cannot = || format!("cannot list {}", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).context(cannot)? {
        let entry = entry.context(cannot)?;
        if entry.path().is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn root_must_be_said() {
        assert!(Options::parse(&[]).unwrap_err().is_usage());
        assert!(Options::parse(&words("--root")).unwrap_err().is_usage());
        let options = Options::parse(&words("--root / --binary /tmp/x")).unwrap();
        assert_eq!(options, Options { root: "/".into(), binary: Some("/tmp/x".into()) });
    }

    #[test]
    fn installs_with_right_modes_and_keeps_the_configuration() {
        let root = tempfile::tempdir().unwrap();
        let binary = root.path().join("built");
        fs::write(&binary, "ELF").unwrap();
        let conf = root.path().join("etc/ebbtide/init.conf");
        fs::create_dir_all(conf.parent().unwrap()).unwrap();
        fs::write(&conf, "swap=0").unwrap();

        let written = install(root.path(), &binary).unwrap();

        assert!(!written.contains(&conf));
        assert_eq!(fs::read_to_string(&conf).unwrap(), "swap=0");
        for item in items(&binary).unwrap().iter().filter(|item| !item.keep) {
            let mode = fs::metadata(root.path().join(&item.to)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, item.mode, "{}", item.to.display());
        }
    }
}
