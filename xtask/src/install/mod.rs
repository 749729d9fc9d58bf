//! `cargo xtask install`: a root folder flows in, the guest with its hooks, or the host's program, is installed below it.

mod host;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::failure::{Context, Failure, Result};
use crate::workspace::{self, Linking};

/// Where units of packages lie.
const SYSTEMD: &str = "usr/lib/systemd/system";

/// Units of the running system, and what wants each.
const UNITS: [(&str, &str); 2] =
    [("ebbtide-mounts.service", "local-fs.target"), ("ebbtide-watch.service", "multi-user.target")];

/// One part of the guest and where it goes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Item {
    /// What is put there.
    pub(crate) what: What,
    /// Its place below the root.
    pub(crate) to: PathBuf,
}

/// What can be put somewhere.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// A file of the repository, or the binary.
    File {
        /// Where it comes from.
        from: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// A file that belongs to the administrator once it is there.
    Settings {
        /// Where it comes from.
        from: PathBuf,
    },
    /// A symbolic link to this.
    Link(PathBuf),
    /// A folder; one that is there stays as it is.
    Folder,
}

impl What {
    /// Returns the file that it comes from.
    pub(crate) fn source(&self) -> Option<&Path> {
        match self {
            What::File { from, .. } | What::Settings { from } => Some(from),
            What::Link(_) | What::Folder => None,
        }
    }
}

/// Options of the verb.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    root: PathBuf,
    binary: Option<PathBuf>,
    host: bool,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let (mut root, mut binary, mut host) = (None, None, false);
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            if arg == "--host" {
                host = true;
                continue;
            }
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
        Ok(Options { root, binary, host })
    }
}

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    let binary = match options.binary {
        Some(binary) => binary,
        None if options.host => workspace::build_host()?,
        None => workspace::build_guest(Linking::Dynamic)?,
    };
    let written = if options.host {
        let completions = host::Completions::of(&binary)?;
        put_all(&options.root, host::items(&binary, &completions)?)?
    } else {
        install(&options.root, &binary)?
    };
    written.iter().for_each(|path| println!("{}", path.display()));
    Ok(())
}

/// Installs the guest below `root` and returns what was written.
pub(crate) fn install(root: &Path, binary: &Path) -> Result<Vec<PathBuf>> {
    put_all(root, items(binary)?)
}

/// Puts all parts in their places below `root` and returns what was written.
fn put_all(root: &Path, items: Vec<Item>) -> Result<Vec<PathBuf>> {
    if !root.is_dir() {
        return Err(Failure::new(format!("the root {} is not a folder", root.display())));
    }
    let mut written = Vec::new();
    for item in items {
        let to = root.join(&item.to);
        if put(&item.what, &to)? {
            written.push(to);
        }
    }
    Ok(written)
}

/// Returns every part of the guest, `binary` as its program.
pub(crate) fn items(binary: &Path) -> Result<Vec<Item>> {
    let repository = workspace::root();
    let item = |from: &str, to: &str, mode| Item {
        what: What::File { from: repository.join(from), mode },
        to: to.into(),
    };
    let folder = |to: &str| Item { what: What::Folder, to: to.into() };
    let mut items = vec![
        Item {
            what: What::File { from: binary.to_owned(), mode: 0o755 },
            to: "usr/sbin/ebbtide-init".into(),
        },
        item("initramfs/09-ebbtide.rules", "usr/lib/udev/rules.d/09-ebbtide.rules", 0o644),
        item("initramfs/hook", "usr/share/initramfs-tools/hooks/ebbtide", 0o755),
        item("initramfs/resume.conf", "usr/share/initramfs-tools/conf.d/ebbtide", 0o644),
        Item {
            what: What::Settings { from: repository.join("initramfs/init.conf") },
            to: "etc/ebbtide/init.conf".into(),
        },
        folder("etc/ebbtide/binds.d"),
        // Where the private disk is mounted: a root that is mounted read-only stays so.
        folder("rw"),
    ];
    for stage in ["local-top", "local-bottom"] {
        let to = format!("usr/share/initramfs-tools/scripts/{stage}/ebbtide");
        items.push(item(&format!("initramfs/{stage}"), &to, 0o755));
    }
    for (unit, target) in UNITS {
        items.push(item(&format!("systemd/{unit}"), &format!("{SYSTEMD}/{unit}"), 0o644));
        // As `systemctl enable` would, without a systemd in the root that could be asked.
        items.push(Item {
            what: What::Link(Path::new("..").join(unit)),
            to: format!("{SYSTEMD}/{target}.wants/{unit}").into(),
        });
    }
    for name in names(&repository.join("dracut/90ebbtide"))? {
        // dracut sources module-setup.sh and copies the rest; scripts among it must stay executable in the initramfs.
        let mode = if name.ends_with(".sh") { 0o755 } else { 0o644 };
        items.push(item(
            &format!("dracut/90ebbtide/{name}"),
            &format!("usr/lib/dracut/modules.d/90ebbtide/{name}"),
            mode,
        ));
    }
    items.extend(pages(|name| name != host::PAGE)?);
    items.extend(papers("usr/share/doc/ebbtide-init")?);
    Ok(items)
}

/// Returns the manual pages whose names are `wanted`.
fn pages(wanted: impl Fn(&str) -> bool) -> Result<Vec<Item>> {
    let folder = workspace::root().join("man");
    let names = names(&folder)?.into_iter().filter(|name| wanted(name));
    let item = |name: String| {
        // The last part of a name is its section.
        let section = name.rsplit('.').next().unwrap_or_default();
        let to = format!("usr/share/man/man{section}/{name}").into();
        Item { what: What::File { from: folder.join(name), mode: 0o644 }, to }
    };
    Ok(names.map(item).collect())
}

/// Returns what is to be read about all of it, for the folder `to`.
fn papers(to: &str) -> Result<Vec<Item>> {
    let repository = workspace::root();
    let names = names(&repository)?.into_iter().filter(|name| {
        name == "README.md" || name == "CHANGELOG.md" || name.starts_with("LICENSE")
    });
    let item = |name: String| Item {
        to: Path::new(to).join(&name),
        what: What::File { from: repository.join(name), mode: 0o644 },
    };
    Ok(names.map(item).collect())
}

/// Puts one part in its place and returns whether it was written.
fn put(what: &What, to: &Path) -> Result<bool> {
    let cannot = || format!("cannot install {}", to.display());
    match what {
        What::Settings { .. } if to.exists() => return Ok(false),
        What::Folder if to.is_dir() => return Ok(false),
        What::Folder => {
            fs::create_dir_all(to).context(cannot)?;
            fs::set_permissions(to, fs::Permissions::from_mode(0o755)).context(cannot)?;
        }
        What::Link(target) => {
            let folder = to.parent().unwrap_or(to);
            fs::create_dir_all(folder).context(cannot)?;
            if let Err(error) = fs::remove_file(to)
                && error.kind() != std::io::ErrorKind::NotFound
            {
                return Err(error).context(cannot);
            }
            std::os::unix::fs::symlink(target, to).context(cannot)?;
        }
        What::File { from, mode } => copy(from, *mode, to)?,
        What::Settings { from } => copy(from, 0o644, to)?,
    }
    Ok(true)
}

/// Writes one file aside and renames it into place: a running system never sees half a binary.
fn copy(from: &Path, mode: u32, to: &Path) -> Result<()> {
    let cannot = || format!("cannot install {} as {}", from.display(), to.display());
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).context(cannot)?;
    let mut aside = tempfile::NamedTempFile::new_in(folder).context(cannot)?;
    let mut source = fs::File::open(from).context(cannot)?;
    std::io::copy(&mut source, &mut aside).context(cannot)?;
    fs::set_permissions(aside.path(), fs::Permissions::from_mode(mode)).context(cannot)?;
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
        assert_eq!(
            options,
            Options { root: "/".into(), binary: Some("/tmp/x".into()), host: false }
        );
        assert!(Options::parse(&words("--host --root /")).unwrap().host);
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
        for item in items(&binary).unwrap() {
            let to = root.path().join(&item.to);
            let mode = || fs::symlink_metadata(&to).unwrap().permissions().mode() & 0o7777;
            match item.what {
                What::File { mode: wanted, .. } => assert_eq!(mode(), wanted, "{}", to.display()),
                What::Folder => assert!(to.is_dir() && mode() == 0o755, "{}", to.display()),
                What::Link(target) => assert_eq!(fs::read_link(&to).unwrap(), target),
                What::Settings { .. } => {}
            }
        }
    }

    #[test]
    fn a_second_installation_replaces_files_and_leaves_folders_alone() {
        let root = tempfile::tempdir().unwrap();
        let binary = root.path().join("built");
        fs::write(&binary, "old").unwrap();
        install(root.path(), &binary).unwrap();
        let declared = root.path().join("etc/ebbtide/binds.d");
        fs::set_permissions(&declared, fs::Permissions::from_mode(0o700)).unwrap();
        fs::write(&binary, "new").unwrap();

        let written = install(root.path(), &binary).unwrap();

        assert!(!written.contains(&declared) && !written.contains(&root.path().join("rw")));
        assert_eq!(fs::metadata(&declared).unwrap().permissions().mode() & 0o7777, 0o700);
        assert_eq!(fs::read(root.path().join("usr/sbin/ebbtide-init")).unwrap(), b"new");
    }

    #[test]
    fn every_unit_that_is_enabled_is_installed() {
        let items = items(Path::new("/built")).unwrap();
        let links = items.iter().filter_map(|item| match &item.what {
            What::Link(target) => Some(item.to.parent().unwrap().join(target)),
            _ => None,
        });
        let mut seen = 0;
        for link in links {
            let unit = link.file_name().unwrap();
            assert!(items.iter().any(|item| item.to == Path::new(SYSTEMD).join(unit)), "{unit:?}");
            seen += 1;
        }
        assert_eq!(seen, UNITS.len());
    }
}
