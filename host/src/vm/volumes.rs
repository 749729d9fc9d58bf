//! The volumes that a VM's record describes.

use super::{Kind, Vm, record::RootCow};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    name::{VolumeId, VolumeName},
    pool::{
        Pool,
        driver::{Access, Retention, Volume},
    },
    volume::{Files, Role},
};
use ebbtide_format::{
    exception_store::room_for_all,
    units::{Bytes, Chunk},
};
use std::path::Path;

/// Room for the partition table at both ends, and for partitions that begin and end at whole MiB.
const TABLE: Bytes = Bytes::mib(4);

impl Vm {
    /// Returns the volumes of the VM, in the order in which they are started: `root`, `private` unless it has none,
    /// `volatile`.
    ///
    /// # Errors
    /// The template is missing or cannot be read.
    pub fn volumes(&self, pool: &Pool) -> Result<Vec<Volume>> {
        let names = self.shown().chain([VolumeName::volatile()]);
        names.map(|name| self.volume(pool, &name)).collect()
    }

    /// Returns the names of its volumes but for the volatile one.
    pub(crate) fn shown(&self) -> impl Iterator<Item = VolumeName> + use<> {
        let private = self.has_private().then(VolumeName::private);
        [VolumeName::root()].into_iter().chain(private)
    }

    /// Returns a volume of the VM.
    ///
    /// # Errors
    /// The VM has no such volume.
    pub fn volume(&self, pool: &Pool, name: &VolumeName) -> Result<Volume> {
        let (role, size) = match name.as_str() {
            "root" => (self.root_role(), Bytes(0)),
            "private" if self.has_private() => (Role::Origin, self.record.private.size),
            "volatile" => {
                (Role::Volatile, volatile_size(self.root_size(pool)?, self.record.volatile.swap))
            }
            _ => return Err(self.no_such(name).into()),
        };
        let source = match role.source() {
            Some(of) => {
                let dir = Path::new(Kind::Template.directory()).join(pool.actual(&of.vm)?);
                Some(Files::new(&dir, of.volume.clone()))
            }
            None => None,
        };
        Ok(Volume {
            id: VolumeId { vm: self.name.clone(), volume: name.clone() },
            files: Files::new(&self.dir, name.clone()),
            role,
            source,
            size,
            retention: self.retention(pool, name),
        })
    }

    /// Returns how its root is given to the guest.
    #[must_use]
    pub fn root_access(&self) -> Access {
        match self.record.root.cow {
            RootCow::Guest => Access::Shared,
            RootCow::Host => Access::Copy,
        }
    }

    /// Returns a volume whose versions are its own.
    ///
    /// # Errors
    /// The VM has no such volume; it keeps nothing, or is its template's.
    pub fn kept_volume(&self, pool: &Pool, name: &VolumeName) -> Result<Volume> {
        let volume = self.volume(pool, name)?;
        let refuse = |text: String| Refusal::new(RefusalKind::Rule, text);
        match &volume.role {
            Role::Snapshot { of } => Err(refuse(format!(
                "{} is no volume of its own: it is the current version of {of} at every start",
                volume.id
            ))
            .hint(format!("name {of}"))
            .into()),
            Role::Volatile => {
                Err(refuse(format!("{} has no versions: it is empty at every start", volume.id))
                    .into())
            }
            Role::Origin | Role::OriginSnapshot { .. } => Ok(volume),
        }
    }

    fn has_private(&self) -> bool {
        self.record.private.size != Bytes(0)
    }

    fn root_role(&self) -> Role {
        let of = |vm: &crate::VmName| VolumeId { vm: vm.clone(), volume: VolumeName::root() };
        match &self.record.template {
            Some(template) if self.record.root.own => Role::OriginSnapshot { of: of(template) },
            Some(template) => Role::Snapshot { of: of(template) },
            None => Role::Origin,
        }
    }

    /// Returns the size of the root: what a guest writes to, or of the version that it starts on.
    fn root_size(&self, pool: &Pool) -> Result<Bytes> {
        let root = Files::new(&self.dir, VolumeName::root());
        let template = match &self.record.template {
            Some(template) => {
                let dir = Path::new(Kind::Template.directory()).join(pool.actual(template)?);
                Some(Files::new(&dir, VolumeName::root()).clean())
            }
            None => None,
        };
        for path in [Some(root.dirty()), Some(root.clean()), template].into_iter().flatten() {
            let stat = pool.store().stat(&path);
            if let Some(stat) = stat.map_err(Error::doing(format!("look at {}", path.display())))? {
                return Ok(stat.size);
            }
        }
        Ok(Bytes(0))
    }

    fn retention(&self, pool: &Pool, name: &VolumeName) -> Retention {
        let pins = self.record.pins.get(name.as_str());
        Retention {
            keep: self.record.keep.unwrap_or(pool.keep()),
            pinned: pins
                .into_iter()
                .flatten()
                .map(|(label, number)| (*number, label.clone()))
                .collect(),
        }
    }

    fn no_such(&self, name: &VolumeName) -> Refusal {
        let has =
            if self.has_private() { "root, private and volatile" } else { "root and volatile" };
        Refusal::new(
            RefusalKind::Missing,
            format!("{} has no volume {name}; it has {has}", self.name),
        )
    }
}

/// Returns the size of a volatile disk that cannot fill: swap, room for a copy of the whole root whatever the chunk, and
/// the partition table.
#[must_use]
pub fn volatile_size(root: Bytes, swap: Bytes) -> Bytes {
    let sectors = Bytes(root.0.saturating_add(511)).sectors();
    let room = [Chunk::MIN, Chunk::MAX].map(|chunk| room_for_all(sectors, chunk).bytes().0);
    let room = room[0].max(room[1]);
    let whole = room.saturating_add(swap.0).saturating_add(TABLE.0);
    Bytes(whole.div_ceil(1 << 20).saturating_mul(1 << 20))
}
