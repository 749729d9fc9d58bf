//! An existing pool, and the VMs in it.

use super::{
    Pool,
    config::{self, Config, DriverName},
    driver::{Commit, DmDriver, dm, files::FileDriver, linux::LinuxStore},
    store::{Kind as FileKind, Store},
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    vm::{Kind, Record, Vm, record},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// The VMs of a pool.
#[derive(Debug, Default)]
pub struct Vms {
    /// Those whose record can be read, by name.
    pub vms: Vec<Vm>,
    /// Why others cannot.
    pub unreadable: Vec<Error>,
}

impl Pool {
    /// Opens a pool.
    ///
    /// # Errors
    /// There is none; its configuration names a newer format, or is not understood.
    pub fn open(dir: &Path) -> Result<Self> {
        let dir =
            std::path::absolute(dir).map_err(Error::doing(format!("find {}", dir.display())))?;
        let file = dir.join(config::FILE);
        let text = match fs::read(&file) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(no_pool(&dir).into());
            }
            text => text.map_err(Error::doing(format!("read {}", file.display())))?,
        };
        let config = Config::parse(&text, &file)?;
        Ok(Self::over(dir, &config))
    }

    /// Returns the pool with the files of a directory.
    pub(super) fn over(dir: PathBuf, config: &Config) -> Self {
        let store: Arc<dyn Store> = match config.driver {
            DriverName::Reflink => Arc::new(LinuxStore::reflink(&dir)),
            DriverName::Copy | DriverName::Dm => Arc::new(LinuxStore::copy(&dir)),
        };
        let driver: Box<dyn Commit> = match config.driver {
            DriverName::Reflink | DriverName::Copy => Box::new(FileDriver::new(Arc::clone(&store))),
            DriverName::Dm => Box::new(DmDriver::new(Arc::clone(&store), dm::devices(), dm::CHUNK)),
        };
        Self::with(dir, config.keep, store, driver)
    }

    /// Returns the VMs. What has no record, such as the remains of a VM that is being removed, is none.
    ///
    /// # Errors
    /// A directory cannot be read.
    pub fn vms(&self) -> Result<Vms> {
        let mut vms = Vms::default();
        for kind in [Kind::Template, Kind::AppVm] {
            for name in self.names_of(kind)? {
                match self.read_vm(kind, &name) {
                    Ok(vm) => vms.vms.extend(vm),
                    Err(error) => vms.unreadable.push(error),
                }
            }
        }
        vms.vms.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(vms)
    }

    /// Returns the VM that a name means: the one that has it, else the newest version of the versioned VM that has.
    ///
    /// # Errors
    /// There is none of that name; its record cannot be read.
    pub fn vm(&self, name: &VmName) -> Result<Vm> {
        match self.named(name)? {
            Some(vm) => Ok(vm),
            None => self.newest(name)?.map_or_else(|| Err(self.missing(name)?.into()), Ok),
        }
    }

    /// Returns the VM that has a name itself.
    ///
    /// # Errors
    /// Its record cannot be read.
    pub(crate) fn named(&self, name: &VmName) -> Result<Option<Vm>> {
        match self.read_vm(Kind::Template, name)? {
            Some(vm) => Ok(Some(vm)),
            None => self.read_vm(Kind::AppVm, name),
        }
    }

    /// Returns the names of directories that may be of VMs.
    pub(crate) fn names_of(&self, kind: Kind) -> Result<Vec<VmName>> {
        let dir = Path::new(kind.directory());
        let names = match self.store().names(dir) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            names => names.map_err(Error::doing(format!("list {}", dir.display())))?,
        };
        Ok(names.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
    }

    /// Returns the VM with the record in the directory of that name, if there is one.
    pub(super) fn read_vm(&self, kind: Kind, name: &VmName) -> Result<Option<Vm>> {
        let dir: PathBuf = Path::new(kind.directory()).join(name);
        // A link to another VM's directory would be that VM again: its removal would be that of both.
        let stat = self.store().stat(&dir);
        let stat = stat.map_err(Error::doing(format!("look at {}", dir.display())))?;
        if stat.is_none_or(|stat| stat.kind != FileKind::Directory) {
            return Ok(None);
        }
        let file = dir.join(record::FILE);
        let text = match self.store().read(&file) {
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            text => text.map_err(Error::doing(format!("read {}", file.display())))?,
        };
        let record = Record::parse(&text, &self.store().real(&file), kind)?;
        Ok(Some(Vm { name: name.clone(), dir, record }))
    }

    /// Returns the refusal for a name that no VM has.
    fn missing(&self, name: &VmName) -> Result<Refusal> {
        let mut names = self.names_of(Kind::Template)?;
        names.extend(self.names_of(Kind::AppVm)?);
        let refusal = Refusal::new(
            RefusalKind::Missing,
            format!("there is no template and no VM named {name} in {}", self.dir().display()),
        );
        // A directory of that very name is no VM: it has no record.
        names.retain(|other| other != name);
        let near = crate::near::nearest(name.as_str(), names.iter().map(VmName::as_str));
        Ok(match near.as_slice() {
            [] => refusal.hint("'ebbtide vm list' and 'ebbtide template list' show what is there"),
            near => refusal.hint(format!("is it {}?", near.join(" or "))),
        })
    }
}

/// Returns the refusal of a directory without a configuration.
fn no_pool(dir: &Path) -> Refusal {
    let text = match dir.is_dir() {
        true => format!("{} is no pool: it has no {}", dir.display(), config::FILE),
        false => format!("there is no pool {}", dir.display()),
    };
    let refusal = Refusal::new(RefusalKind::Missing, text);
    match dir.join(Kind::AppVm.directory()).is_dir() {
        true => {
            refusal.hint(format!("'ebbtide pool adopt {}' takes a tree of images", dir.display()))
        }
        false if dir.read_dir().is_ok_and(|mut entries| entries.next().is_some()) => refusal
            .hint("it is not empty: 'ebbtide pool create DIR' makes one in a directory of its own"),
        false => refusal.hint(format!("'ebbtide pool create {}' makes one", dir.display())),
    }
}
