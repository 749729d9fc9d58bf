//! New templates and VMs: built aside, and renamed into place.

use super::{
    Kind, Vm,
    aside::Aside,
    image,
    record::{self, Engine, Record, Root, RootCow},
    set::{check_engine, new_template},
    sweep,
};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::{VmName, VolumeName},
    pool::{
        Pool,
        step::{self, Step},
        store::{Lock, Progress},
    },
    volume::{FileKind, files::file_name},
};
use ebbtide_format::units::Bytes;
use std::{
    io,
    path::{Path, PathBuf},
};

/// What the root of a new template is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RootSource {
    /// The content of an image. Its format is told by its content: raw, qcow2, vmdk, vdi, vhdx or vhd, as it is or
    /// compressed by gzip, xz or zstd.
    Image(PathBuf),
    /// Zeros.
    Blank(Bytes),
}

/// A new template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTemplate {
    /// Its root.
    pub root: RootSource,
    /// A kernel that the engine boots directly.
    pub kernel: Option<PathBuf>,
    /// Its initial file system.
    pub initrd: Option<PathBuf>,
    /// Size of its private disk; 0 for none.
    pub private: Bytes,
    /// Room for swap on its volatile disk.
    pub swap: Bytes,
    /// How many versions of each disk are kept; the pool's number where it is missing.
    pub keep: Option<u32>,
    /// What an engine is told; the command line needs a kernel.
    pub engine: Engine,
}

impl NewTemplate {
    /// Returns one with the defaults of everything but its root.
    #[must_use]
    pub fn new(root: RootSource) -> Self {
        Self {
            root,
            kernel: None,
            initrd: None,
            private: Bytes::gib(2),
            swap: Bytes::gib(1),
            keep: None,
            engine: Engine::default(),
        }
    }
}

/// A new AppVM.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVm {
    /// Its template.
    pub template: VmName,
    /// Size of its private disk; 0 for none.
    pub private: Bytes,
    /// Room for swap on its volatile disk.
    pub swap: Bytes,
    /// Who keeps what it writes to its root until it ends.
    pub root_cow: RootCow,
    /// Whether its root is the template's at the first start only.
    pub own_root: bool,
    /// How many versions of each disk are kept; the pool's number where it is missing.
    pub keep: Option<u32>,
    /// What an engine is told; the template's where it is missing.
    pub engine: Option<Engine>,
}

impl NewVm {
    /// Returns one with the defaults of everything but its template.
    #[must_use]
    pub fn new(template: VmName) -> Self {
        Self {
            template,
            private: Bytes::gib(2),
            swap: Bytes::gib(1),
            root_cow: RootCow::Guest,
            own_root: false,
            keep: None,
            engine: None,
        }
    }
}

/// Makes a template. Durable when it returns; when it fails or is cut, the next command that makes or removes a VM
/// removes what is left of it.
///
/// # Errors
/// The name is taken; the image is not understood, or names other files.
pub fn create_template(
    pool: &Pool,
    name: &VmName,
    new: &NewTemplate,
    progress: &mut dyn Progress,
) -> Result<()> {
    check(new)?;
    let mut record = Record::new(Kind::Template, None);
    record.keep = new.keep;
    record.private.size = new.private;
    record.volatile.swap = new.swap;
    record.engine = new.engine.clone();
    let target = Path::new(Kind::Template.directory()).join(name);
    let aside = {
        let lock = pool.lock()?;
        begin(pool, name, &target, &lock)?
    };
    // The pool is not locked meanwhile: this may take minutes.
    let vm = Vm { name: name.clone(), dir: aside.dir.clone(), record };
    let made = fill(pool, &vm, new, progress).and_then(|()| {
        let lock = pool.lock()?;
        free(pool, name, &target, &lock)?;
        aside.finish(pool.store(), record::FILE, vm.record.print()?, &lock)
    });
    if made.is_err() {
        aside.discard(pool);
    }
    made
}

/// Refuses what cannot be a template.
fn check(new: &NewTemplate) -> Result<(), Refusal> {
    check_engine(&new.engine)?;
    let refuse = |text: &str| Err(Refusal::new(RefusalKind::Invalid, text));
    match new {
        NewTemplate { root: RootSource::Blank(Bytes(0)), .. } => {
            refuse("the root of a template has no bytes; wanted a size such as 4G")
        }
        NewTemplate { kernel: None, initrd: Some(_), .. } => {
            refuse("an initial file system is for a kernel; wanted one too, found none")
        }
        NewTemplate { kernel: None, engine: Engine { cmdline: Some(_), .. }, .. } => {
            refuse("a command line is for a kernel; wanted one too, found none")
        }
        _ => Ok(()),
    }
}

/// Makes the files of a template.
fn fill(pool: &Pool, vm: &Vm, new: &NewTemplate, progress: &mut dyn Progress) -> Result<()> {
    let root = vm.dir.join(file_name(&VolumeName::root(), &FileKind::Clean));
    match &new.root {
        RootSource::Blank(size) => {
            let step = Step::MakeImage { path: root.clone(), size: *size };
            step::apply(&[step], pool.store(), progress)?;
        }
        RootSource::Image(image) => image::take_in(pool.store(), image, &root, progress)?,
    }
    let mut steps = vec![Step::SyncFile(root)];
    for (file, name) in [(&new.kernel, "kernel"), (&new.initrd, "initrd")] {
        if let Some(outside) = file {
            let to = vm.dir.join(name);
            steps.push(Step::TakeIn { outside: outside.clone(), to: to.clone() });
            steps.push(Step::SyncFile(to));
        }
    }
    step::apply(&steps, pool.store(), progress)?;
    pool.driver().begin(&vm.volume(pool, &VolumeName::root())?)?;
    make_private(pool, vm)
}

/// Makes the private disk of a new VM, unless it has none.
fn make_private(pool: &Pool, vm: &Vm) -> Result<()> {
    match vm.record.private.size {
        Bytes(0) => Ok(()),
        _ => pool.driver().create(&vm.volume(pool, &VolumeName::private())?),
    }
}

/// Begins to build a VM, where leftovers and names do not hinder it.
fn begin(pool: &Pool, name: &VmName, target: &Path, pool_is_locked: &Lock) -> Result<Aside> {
    for sentence in sweep::asides(pool, pool_is_locked)? {
        log::warn!("{sentence}");
    }
    free(pool, name, target, pool_is_locked)?;
    Aside::begin(pool, target, pool_is_locked)
}

/// Refuses a name that is taken, and a directory with files that are not ours.
pub(super) fn free(pool: &Pool, name: &VmName, target: &Path, pool_is_locked: &Lock) -> Result<()> {
    for (kind, what) in [(Kind::Template, "template"), (Kind::AppVm, "VM")] {
        let dir = Path::new(kind.directory()).join(name);
        if sweep::is_there(pool, &dir.join(record::FILE))? {
            let text = format!("there is a {what} named {name} already: {}", dir.display());
            return Err(Refusal::new(RefusalKind::Exists, text).into());
        }
    }
    if let Some(working) = pool.working(name)? {
        let means = pool.newest(name)?.unwrap_or(working).name;
        let text = format!("{name} is the name of the newest version of a versioned VM, {means}");
        return Err(Refusal::new(RefusalKind::Exists, text).into());
    }
    sweep::finish_removal(pool, target, pool_is_locked)?;
    if !sweep::is_there(pool, target)? {
        return Ok(());
    }
    let left = match pool.store().names(target) {
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => vec!["no directory".into()],
        names => names.map_err(Error::doing(format!("list {}", target.display())))?,
    };
    match left.first() {
        // What a removal left that was cut before its last step: a new directory takes its place.
        None => Ok(()),
        Some(first) => {
            let real = pool.store().real(target);
            let text = format!("{} holds what is not ours: {}", real.display(), first.display());
            Err(Refusal::new(RefusalKind::Exists, text)
                .hint("move it away, or choose another name")
                .into())
        }
    }
}

/// Makes an AppVM. Durable when it returns.
///
/// # Errors
/// The name is taken; the template is missing, or is none.
pub fn create(pool: &Pool, name: &VmName, new: &NewVm) -> Result<()> {
    let lock = pool.lock()?;
    let template = new_template(pool, &new.template)?;
    let mut record = Record::new(Kind::AppVm, Some(new.template.clone()));
    record.keep = new.keep;
    record.root = Root { own: new.own_root, cow: new.root_cow };
    record.private.size = new.private;
    record.volatile.swap = new.swap;
    // The kernel is the template's, and so is what it is told.
    let inherited = Engine { cmdline: None, ..template.record.engine };
    record.engine = new.engine.clone().unwrap_or(inherited);
    check_engine(&record.engine)?;
    let target = Path::new(Kind::AppVm.directory()).join(name);
    let aside = begin(pool, name, &target, &lock)?;
    let vm = Vm { name: name.clone(), dir: aside.dir.clone(), record };
    let made = make_private(pool, &vm)
        .and_then(|()| vm.record.print())
        .and_then(|text| aside.finish(pool.store(), record::FILE, text, &lock));
    if made.is_err() {
        aside.discard(pool);
    }
    made
}
