//! Makes a pool of a tree that a Qubes file-reflink pool has left: records beside the images, and no image touched.
//!
//! In: a directory, and whose template each AppVM has. Out: `pool.toml`, a `vm.toml` for each VM, and what was done. What
//! is found is plain data ([`found`]), and what is written is decided from it ([`plan`]) before anything is changed. A
//! VM that has a record keeps it, so an adoption that was cut is finished by the next one; `pool.toml` comes last.

pub mod found;
mod moves;
pub mod plan;
mod templates;
mod vms;

pub use plan::{Adopt, AdoptedVm, Left};

use super::{
    Pool,
    config::{self, Config, DriverName},
    create::choose,
    driver::linux,
    record, step,
    store::Unseen,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::Create,
};
use std::{fs, path::Path};

/// What an adoption came to.
#[derive(Debug, Clone, Default)]
pub struct Adopted {
    /// Each VM, by its directory.
    pub vms: Vec<AdoptedVm>,
    /// What was left alone.
    pub left: Vec<Left>,
}

/// Adopts the tree in `dir`. Durable when it returns.
///
/// # Errors
/// The file system cannot clone files and copies are not allowed; a VM runs; an AppVM's template is not known. Nothing
/// is changed then.
pub fn adopt(dir: &Path, options: &Adopt) -> Result<Adopted> {
    let doing = |what: &str| format!("{what} {}", dir.display());
    let dir = fs::canonicalize(dir).map_err(Error::doing(doing("find")))?;
    let (config, is_new) = configuration(&dir, options)?;
    refuse_attached(&dir)?;
    into(&Pool::over(dir, &config), is_new.then_some(&config), options)
}

/// Adopts the tree that `pool` is over. `config` is written when there is none yet.
///
/// # Errors
/// See [`adopt`].
pub fn into(pool: &Pool, config: Option<&Config>, options: &Adopt) -> Result<Adopted> {
    let store = pool.store();
    // Looked at before the lock, too: a refusal makes no file.
    plan::plan(&found::find(pool)?, options)?;
    let _lock = pool.lock()?;
    let plan = plan::plan(&found::find(pool)?, options)?;
    step::apply(&plan.moves, store, &mut Unseen)?;
    for (file, record) in &plan.records {
        record::replace(store, file, record.print()?)?;
    }
    if let Some(config) = config {
        record::replace(store, Path::new(config::FILE), config.print()?)?;
    }
    Ok(Adopted { vms: plan.vms, left: plan.left })
}

/// Returns what the pool is, and whether that is new.
fn configuration(dir: &Path, options: &Adopt) -> Result<(Config, bool)> {
    let file = dir.join(config::FILE);
    match fs::read(&file) {
        Ok(text) => return Ok((Config::parse(&text, &file)?, false)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(Error::doing(format!("read {}", file.display()))(error)),
    }
    let found = linux::probe(dir)
        .map_err(Error::doing(format!("write a test file in {}", dir.display())))?;
    let create = Create { driver: None, allow_copy: options.allow_copy, keep: options.keep };
    let driver: DriverName = choose(dir, &create, &found)?;
    Ok((Config { format: config::FORMAT, driver, keep: options.keep }, true))
}

/// Refuses a tree of which an image is attached to a loop device: a VM runs on it.
fn refuse_attached(dir: &Path) -> Result<()> {
    let devices = match fs::read_dir("/sys/block") {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        devices => devices.map_err(Error::doing("list /sys/block"))?,
    };
    for device in devices.flatten() {
        let Ok(text) = fs::read_to_string(device.path().join("loop/backing_file")) else {
            continue;
        };
        let file = Path::new(text.trim_end());
        if file.starts_with(dir) {
            let device = device.file_name();
            let text = format!(
                "{} is attached to {}: a VM runs on it",
                file.display(),
                Path::new("/dev").join(device).display()
            );
            return Err(Refusal::new(RefusalKind::Busy, text).hint("stop all VMs first").into());
        }
    }
    Ok(())
}
