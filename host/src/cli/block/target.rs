//! Which disk of which pool, and by whom.

use super::xenstore::Backend;
use ebbtide::{
    Result,
    error::{Refusal, RefusalKind},
    name::VolumeId,
    pool::{Pool, driver::Given},
};
use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
};

/// A disk of a pool: `POOL/VM:VOLUME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) pool: PathBuf,
    pub(super) volume: VolumeId,
}

/// Divided at the last slash, which no name of a VM has.
impl FromStr for Target {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let (pool, volume) = match text.rsplit_once('/') {
            Some((pool, volume)) if pool.starts_with('/') => (pool, volume),
            _ => {
                let text = format!("{text:?} is no disk of a pool: wanted /POOL/VM:VOLUME");
                return Err(Refusal::new(RefusalKind::Invalid, text));
            }
        };
        Ok(Self { pool: pool.into(), volume: volume.parse()? })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pool.display(), self.volume)
    }
}

/// Who asks.
#[derive(Debug)]
pub(super) enum By {
    /// Xen's toolstack, for a disk of a domain.
    Xen(Backend),
    /// Somebody who names the disk.
    Other(String),
}

impl By {
    /// Returns who asks: Xen's toolstack where it says so in the environment.
    pub(super) fn of(name: Option<&str>) -> Self {
        match (name, Backend::of_environment()) {
            (None, Some(backend)) => Self::Xen(backend),
            (name, _) => Self::Other(name.unwrap_or("hand").into()),
        }
    }

    /// Returns the disk that is meant: the operand, or what the toolstack was configured with.
    pub(super) fn target(&self, operand: Option<&Target>) -> Result<Target> {
        match (operand, self) {
            (Some(target), _) => Ok(target.clone()),
            (None, Self::Xen(backend)) => Ok(backend.read("params")?.parse()?),
            (None, Self::Other(_)) => {
                let text =
                    "no disk is named: there is no operand, and no XENBUS_PATH of Xen's toolstack";
                Err(Refusal::new(RefusalKind::Missing, text).hint("give /POOL/VM:VOLUME").into())
            }
        }
    }
}

/// The name that is recorded.
impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Xen(backend) => f.write_str(backend.path()),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Opens a pool whose disks are devices.
pub(super) fn open(dir: &Path) -> Result<Pool> {
    let pool = Pool::open(dir)?;
    match pool.driver().given() {
        Given::Device => Ok(pool),
        Given::File => {
            let text = format!("{} gives its disks as files, not as devices", dir.display());
            Err(Refusal::new(RefusalKind::Unable, text)
                .hint("'ebbtide vm prepare' prints them, for engines that take files")
                .into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_divided_at_its_last_slash() {
        let target: Target = "/srv/a:b/pool/w:rk:root".parse().unwrap();
        assert_eq!(target.pool, Path::new("/srv/a:b/pool"));
        assert_eq!((target.volume.vm.as_str(), target.volume.volume.as_str()), ("w:rk", "root"));
        assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        for text in ["work:root", "srv/pool/work:root", "/srv/pool/work", "/srv/pool/", ""] {
            text.parse::<Target>().unwrap_err();
        }
    }
}
