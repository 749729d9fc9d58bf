//! New templates and VMs: built aside, and renamed into place.

use super::record::{Engine, RootCow};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::VmName,
    pool::{Pool, store::Progress},
};
use ebbtide_format::units::Bytes;
use std::path::PathBuf;

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

fn not_yet<T>() -> Result<T> {
    Err(Error::Refused(Refusal::new(RefusalKind::Unable, "VMs cannot be made yet")))
}

/// Makes a template. Durable when it returns; when it fails or is cut, the next command that makes or removes a VM
/// removes what is left of it.
///
/// # Errors
/// The name is taken; the image is not understood, or names other files.
pub fn create_template(
    _pool: &Pool,
    _name: &VmName,
    _new: &NewTemplate,
    _progress: &mut dyn Progress,
) -> Result<()> {
    not_yet()
}

/// Makes an AppVM. Durable when it returns.
///
/// # Errors
/// The name is taken; the template is missing, or is none.
pub fn create(_pool: &Pool, _name: &VmName, _new: &NewVm) -> Result<()> {
    not_yet()
}

/// Makes a VM with the disks and the settings of another one, copying nothing. Of a VM that runs it is the last
/// version of its disks. Returns what is to be said about that.
///
/// # Errors
/// The name is taken; the other one is missing.
pub fn clone(_pool: &Pool, _source: &VmName, _name: &VmName) -> Result<Vec<String>> {
    not_yet()
}
