//! The plain protocol of clones: a version is kept as a clone of the clean image, the next dirty image is a clone, and what
//! an AppVM gets as its root is a clone.
//!
//! The same system calls as ours for the same promise, and no more: a commit is durable when it returns, clones that a
//! start can make again are not synced.

use super::{Result, turns::Protocol};
use ebbtide_sys::reflink;
use std::{
    cell::Cell,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

/// A template's root and an AppVM on it, each in a directory.
pub(crate) struct Plain {
    template: PathBuf,
    app: PathBuf,
    keep: u64,
    next: Mutex<Cell<u64>>,
    /// Held while the next dirty image is made.
    making: Mutex<()>,
}

impl Plain {
    /// Makes both in `dir`, with a clone of `image`.
    pub(crate) fn make(dir: &Path, image: &Path, keep: u32) -> Result<Self> {
        let (template, app) = (dir.join("template"), dir.join("app"));
        fs::create_dir_all(&template)?;
        fs::create_dir_all(&app)?;
        clone(image, &template.join("root.img"), true)?;
        sync_dir(&template)?;
        Ok(Self {
            template,
            app,
            keep: keep.into(),
            next: Mutex::new(Cell::new(1)),
            making: Mutex::new(()),
        })
    }

    fn clean(&self) -> PathBuf {
        self.template.join("root.img")
    }

    fn dirty(&self) -> PathBuf {
        self.template.join("root-dirty.img")
    }

    fn precache(&self) -> PathBuf {
        self.template.join("root-precache.img")
    }

    fn revision(&self, number: u64) -> PathBuf {
        self.template.join(format!("root.img.{number}"))
    }
}

impl Protocol for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn start_template(&self) -> Result<PathBuf> {
        let _made = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        match fs::rename(self.precache(), self.dirty()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                clone(&self.clean(), &self.dirty(), false)?;
            }
            ended => ended?,
        }
        // What the guest has flushed is to be found by that name after a power cut.
        sync_dir(&self.template)?;
        Ok(self.dirty())
    }

    fn discard_template(&self) -> Result<()> {
        Ok(fs::remove_file(self.dirty())?)
    }

    fn commit(&self) -> Result<()> {
        let next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let number = next.replace(next.get() + 1);
        File::open(self.dirty())?.sync_all()?;
        clone(&self.clean(), &self.revision(number), true)?;
        fs::rename(self.dirty(), self.clean())?;
        sync_dir(&self.template)
    }

    fn afterwards(&self) -> Result<()> {
        let number = self.next.lock().unwrap_or_else(PoisonError::into_inner).get();
        if let Some(oldest) = number.checked_sub(self.keep + 1).filter(|number| *number > 0) {
            match fs::remove_file(self.revision(oldest)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                ended => ended?,
            }
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.dirty().exists() && !self.precache().exists() {
            clone(&self.clean(), &self.precache(), false)?;
        }
        Ok(())
    }

    fn start_root(&self) -> Result<()> {
        clone(&self.clean(), &self.app.join("root-dirty.img"), false)
    }

    fn stop_root(&self) -> Result<()> {
        Ok(fs::remove_file(self.app.join("root-dirty.img"))?)
    }
}

/// Makes `to` a clone of `from`, beside it first, as everything that may be cut on the way.
fn clone(from: &Path, to: &Path, sync: bool) -> Result<()> {
    let aside = to.with_extension("aside");
    let (source, file) = (File::open(from)?, File::create_new(&aside)?);
    reflink::clone(&source, &file)?;
    if sync {
        file.sync_all()?;
    }
    Ok(fs::rename(aside, to)?)
}

fn sync_dir(dir: &Path) -> Result<()> {
    Ok(File::open(dir)?.sync_all()?)
}
