//! The pool that is measured: a template with few AppVMs, which start and stop, and one with many that run all the while.

use super::{Result, memory};
use ebbtide::{
    name::VmName,
    pool::{Create, DriverName, Pool, driver::Ending, store::Unseen},
    vm::{self, Allow, Guard, NewTemplate, NewVm, RootSource, Run},
};
use ebbtide_format::units::Bytes;
use std::{
    fs::{self, File},
    os::unix::fs::FileExt as _,
    path::Path,
};

/// What the measured AppVMs begin from: one that nobody else uses, and one that all others use.
pub(crate) const ALONE: &str = "fresh";
pub(crate) const SHARED: &str = "debian";
/// The measured AppVMs: two of the first, one of the second.
pub(crate) const FIRST: &str = "fresh-1";
pub(crate) const SECOND: &str = "fresh-2";
pub(crate) const MORE: &str = "more";

/// Length of a template's root, all of which is data.
pub(crate) const ROOT: Bytes = Bytes::mib(64);
/// Length of a private disk.
const PRIVATE: Bytes = Bytes::mib(64);

/// Makes the pool unless it is there, and has `count` AppVMs run in it, with all their disks. Says what memory has then, as
/// `dm memory` does.
pub(crate) fn make(dir: &Path, count: usize) -> Result<()> {
    let pool = if dir.join("pool.toml").exists() { Pool::open(dir)? } else { new(dir)? };
    for at in 0..count {
        let name = name(at)?;
        if !dir.join("appvms").join(&name).exists() {
            app(&pool, &name, SHARED)?;
            prepare(&pool, &name)?;
        }
    }
    memory::say(&format!("{count}-with-all-disks"))
}

fn new(dir: &Path) -> Result<Pool> {
    let pool = Pool::create(dir, &Create { driver: Some(DriverName::Dm), ..Create::default() })?;
    template(&pool, ALONE, ROOT)?;
    template(&pool, SHARED, ROOT)?;
    for (name, template) in [(FIRST, ALONE), (SECOND, ALONE), (MORE, SHARED)] {
        let name = name.parse()?;
        app(&pool, &name, template)?;
        // The first start makes what later ones find.
        prepare(&pool, &name)?;
        release(&pool, &name)?;
    }
    Ok(pool)
}

/// Makes a template whose root is data from one end to the other.
pub(crate) fn template(pool: &Pool, name: &str, root: Bytes) -> Result<()> {
    let image = pool.dir().join("image");
    let file = File::create(&image)?;
    for mib in 0..root.0 >> 20 {
        file.write_all_at(&vec![mib as u8 | 1; 1 << 20], mib << 20)?;
    }
    let new = NewTemplate {
        private: PRIVATE,
        swap: Bytes::mib(16),
        ..NewTemplate::new(RootSource::Image(image.clone()))
    };
    vm::create_template(pool, &name.parse()?, &new, &mut Unseen)?;
    Ok(fs::remove_file(image)?)
}

/// Makes an AppVM.
pub(crate) fn app(pool: &Pool, name: &VmName, template: &str) -> Result<()> {
    let new = NewVm { private: PRIVATE, swap: Bytes::mib(16), ..NewVm::new(template.parse()?) };
    Ok(vm::create(pool, name, &new)?)
}

/// Returns the name of one of the many.
pub(crate) fn name(at: usize) -> Result<VmName> {
    Ok(format!("work-{at:03}").parse()?)
}

/// Does what `ebbtide vm prepare` does.
pub(crate) fn prepare(pool: &Pool, name: &VmName) -> Result<()> {
    let guard = Guard::take(pool, name, "prepare", Allow::Stopped)?;
    vm::prepare(pool, &guard, Run::new(vm::PREPARE)?)?;
    Ok(())
}

/// Does what `ebbtide vm release` does.
pub(crate) fn release(pool: &Pool, name: &VmName) -> Result<()> {
    let guard = Guard::take(pool, name, "release", Allow::Prepared)?;
    vm::release(pool, &guard, Ending::Commit)?;
    Ok(())
}
