//! A template and an AppVM of a pool, in the same hands as the plain protocol.

use super::{Result, turns::Protocol};
use ebbtide::{
    name::{VmName, VolumeName},
    pool::{
        Create, Pool,
        driver::{Access, Ending, Outcome, Volume},
        store::Unseen,
    },
    vm::{self, NewTemplate, NewVm, RootSource},
};
use ebbtide_format::units::Bytes;
use std::path::{Path, PathBuf};

/// The volumes of one template and of one AppVM.
pub(crate) struct Ours<'a> {
    pool: &'a Pool,
    template: Volume,
    app: Volume,
}

/// Makes a pool in `dir`.
pub(crate) fn pool(dir: &Path, keep: u32) -> Result<Pool> {
    Ok(Pool::create(dir, &Create { keep, ..Create::default() })?)
}

/// Makes a template whose root is `image`.
pub(crate) fn template(pool: &Pool, name: &str, image: &Path) -> Result<VmName> {
    let name: VmName = name.parse()?;
    let new =
        NewTemplate { private: Bytes(0), ..NewTemplate::new(RootSource::Image(image.into())) };
    vm::create_template(pool, &name, &new, &mut Unseen)?;
    Ok(name)
}

impl<'a> Ours<'a> {
    /// Makes both, with a clone of `image`.
    pub(crate) fn make(pool: &'a Pool, name: &str, image: &Path) -> Result<Self> {
        let template = template(pool, name, image)?;
        let app: VmName = format!("{name}-app").parse()?;
        vm::create(pool, &app, &NewVm::new(template.clone()))?;
        let root = |name: &VmName| pool.vm(name)?.volume(pool, &VolumeName::root());
        Ok(Self { pool, template: root(&template)?, app: root(&app)? })
    }
}

impl Protocol for Ours<'_> {
    fn name(&self) -> &'static str {
        "ours"
    }

    fn start_template(&self) -> Result<PathBuf> {
        Ok(self.pool.driver().start(&self.template, Access::Copy)?.path)
    }

    fn discard_template(&self) -> Result<()> {
        self.pool.driver().stop(&self.template, Ending::Discard)?;
        Ok(())
    }

    fn commit(&self) -> Result<()> {
        match self.pool.driver().stop(&self.template, Ending::Commit)? {
            Outcome::Committed(_) => Ok(()),
            other => Err(format!("a commit came to {other:?}").into()),
        }
    }

    fn afterwards(&self) -> Result<()> {
        Ok(self.pool.driver().precache(&self.template, &mut Unseen)?)
    }

    fn start_root(&self) -> Result<()> {
        self.pool.driver().start(&self.app, Access::Shared)?;
        Ok(())
    }

    fn stop_root(&self) -> Result<()> {
        self.pool.driver().stop(&self.app, Ending::Discard)?;
        Ok(())
    }
}
