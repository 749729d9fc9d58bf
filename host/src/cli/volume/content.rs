//! Something that has the content of a disk: a version of a volume, or an image anywhere.

use crate::cli::Context;
use ebbtide::{
    Error, Result,
    error::{Refusal, RefusalKind},
    name::VolumeId,
    pool::Pool,
    vm::{Pick, Versions, versions},
    volume::{FileKind, Files},
};
use std::{fmt, fs::File, path::PathBuf, str::FromStr};

/// Where content is.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// A volume's file.
    Volume(VolumeId, Which),
    /// An image.
    Image(PathBuf),
}

/// Which file of a volume.
#[derive(Debug, Clone)]
pub(super) enum Which {
    /// The current version.
    Current,
    /// What is uncommitted.
    Dirty,
    /// A kept version.
    Kept(Pick),
}

/// What has a slash or no colon is a path, everything else `VM:VOL`, `VM:VOL@REV`, `VM:VOL@LABEL` or `VM:VOL@dirty`.
impl FromStr for Content {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        let colon = match text.rfind(':') {
            Some(colon) if !text.contains('/') => colon,
            _ => return Ok(Self::Image(text.into())),
        };
        let (volume, which) = match text[colon..].split_once('@') {
            Some((volume, "dirty")) => (&text[..colon + volume.len()], Which::Dirty),
            Some((volume, version)) => {
                (&text[..colon + volume.len()], Which::Kept(version.parse()?))
            }
            None => (text, Which::Current),
        };
        Ok(Self::Volume(volume.parse()?, which))
    }
}

/// As it is read.
impl fmt::Display for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Image(path) => write!(f, "{}", path.display()),
            Self::Volume(id, Which::Current) => write!(f, "{id}"),
            Self::Volume(id, Which::Dirty) => write!(f, "{id}@dirty"),
            Self::Volume(id, Which::Kept(Pick::Newest)) => write!(f, "{id}@"),
            Self::Volume(id, Which::Kept(Pick::Number(number))) => write!(f, "{id}@{number}"),
            Self::Volume(id, Which::Kept(Pick::Label(label))) => write!(f, "{id}@{label}"),
        }
    }
}

impl Content {
    /// Opens it. An open version stays what it is, whatever becomes of its volume.
    ///
    /// # Errors
    /// It is not there.
    pub(super) fn open(&self, context: &Context) -> Result<File> {
        let open = |path: PathBuf| {
            File::open(&path).map_err(Error::doing(format!("open {}", path.display())))
        };
        match self {
            Self::Image(path) => open(path.clone()),
            Self::Volume(id, which) => {
                let pool = context.open()?;
                let volume = super::find(&pool, id)?;
                match kind(&pool, id, &volume.files, which)? {
                    FileKind::Revision(revision) => pool.driver().open(&volume, Some(revision)),
                    FileKind::Clean => pool.driver().open(&volume, None),
                    other => open(pool.store().real(&volume.files.path(&other))),
                }
            }
        }
    }
}

/// Returns which file of a volume it is.
fn kind(pool: &Pool, id: &VolumeId, files: &Files, which: &Which) -> Result<FileKind> {
    let Versions { current, dirty, kept } = versions(pool, id)?;
    let missing = |text: String| Err(Refusal::new(RefusalKind::Missing, text).into());
    let pick = match which {
        Which::Current if current.is_some() => return Ok(FileKind::Clean),
        Which::Dirty if dirty.is_some() => return Ok(FileKind::Dirty),
        Which::Current => {
            return missing(format!(
                "{id} has no version: there is no {}",
                files.clean().display()
            ));
        }
        Which::Dirty => return missing(format!("nothing of {id} is uncommitted")),
        Which::Kept(pick) => pick,
    };
    let found = kept.iter().rev().find(|version| match pick {
        Pick::Newest => true,
        Pick::Number(number) => version.revision.number == Some(*number),
        Pick::Label(label) => version.label.as_ref() == Some(label),
    });
    match found {
        Some(version) => Ok(FileKind::Revision(version.revision)),
        None => {
            let refusal = format!("{} is not kept", Content::Volume(id.clone(), which.clone()));
            Err(Refusal::new(RefusalKind::Missing, refusal)
                .hint(format!("'ebbtide volume revisions {id}' lists what is"))
                .into())
        }
    }
}
