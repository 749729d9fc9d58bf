//! The savestates of a pool.

use super::{FILE, FORMAT, SAVESTATES, Savestate};
use crate::{
    error::{Error, Refusal, RefusalKind, Result},
    pool::Pool,
    record as text,
    vm::instant::MEMORY,
};
use ebbtide_format::units::Bytes;
use std::{io, path::Path};
use uuid::Uuid;

/// The shortest beginning of a UUID that is taken for one.
const SHORTEST: usize = 4;

/// Returns the savestates of a pool, oldest first, and why others cannot be read.
///
/// # Errors
/// The directory cannot be read.
pub fn list(pool: &Pool) -> Result<(Vec<Savestate>, Vec<Error>)> {
    let (mut found, mut unreadable) = (Vec::new(), Vec::new());
    for dir in pool.uuid_dirs(SAVESTATES)? {
        match read(pool, &dir) {
            Ok(savestate) => found.push(savestate),
            Err(error) => unreadable.push(error),
        }
    }
    found.sort_by_key(|savestate: &Savestate| (savestate.time, savestate.uuid));
    Ok((found, unreadable))
}

/// Returns the savestate with that UUID, or the one whose UUID begins so.
///
/// # Errors
/// There is none, or there are several.
pub fn find(pool: &Pool, id: &str) -> Result<Savestate> {
    let (found, unreadable) = list(pool)?;
    for error in unreadable {
        log::warn!("{}", error.chain());
    }
    let mut found = matching(found, |savestate| savestate.uuid, id);
    match (found.pop(), found.len()) {
        (Some(savestate), 0) => Ok(savestate),
        (None, _) => {
            let text = format!("there is no savestate {id}");
            Err(Refusal::new(RefusalKind::Missing, text)
                .hint("'ebbtide savestate list' shows what is there")
                .into())
        }
        (Some(_), more) => {
            let text = format!("{id} is the beginning of {} savestates", more + 1);
            Err(Refusal::new(RefusalKind::Invalid, text).hint("give more of it").into())
        }
    }
}

/// Returns what the memory of a savestate takes; 0 when it is gone.
///
/// # Errors
/// It cannot be looked at.
pub fn size(pool: &Pool, savestate: &Savestate) -> Result<Bytes> {
    let file = savestate.dir().join(MEMORY);
    let stat = pool.store().stat(&file);
    let stat = stat.map_err(Error::doing(format!("look at {}", file.display())))?;
    Ok(stat.map_or(Bytes(0), |stat| stat.size))
}

/// Keeps what has that UUID, or one that begins so.
pub(super) fn matching<T>(mut found: Vec<T>, uuid: impl Fn(&T) -> Uuid, id: &str) -> Vec<T> {
    let id = id.to_ascii_lowercase();
    found.retain(|one| id.len() >= SHORTEST && uuid(one).to_string().starts_with(&id));
    found
}

fn read(pool: &Pool, dir: &Path) -> Result<Savestate> {
    let file = dir.join(FILE);
    let real = pool.store().real(&file);
    let content = match pool.store().read(&file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Unreadable { path: real, problem: "it is missing".into() });
        }
        content => content.map_err(Error::doing(format!("read {}", file.display())))?,
    };
    parse(&content, dir, &real)
}

/// Reads the record of the savestate in a directory. `file` is for messages.
pub(crate) fn parse(content: &[u8], dir: &Path, file: &Path) -> Result<Savestate> {
    let savestate: Savestate = text::parse(content, file, FORMAT)?;
    if !dir.ends_with(savestate.uuid.to_string()) {
        let problem = format!("it has the uuid {}, and its directory another one", savestate.uuid);
        return Err(Error::Unreadable { path: file.into(), problem });
    }
    Ok(savestate)
}
