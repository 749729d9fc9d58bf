//! What all verbs are told, and how they find the pool.

use ebbtide::{
    Error, Result, VmName,
    error::{Refusal, RefusalKind},
    pool::Pool,
    vm::{Allow, Guard},
};
use serde::Deserialize;
use std::{
    env, fs, io,
    path::{Path, PathBuf},
};

/// The options that stand before every verb.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    /// `--pool`.
    pub(crate) pool: Option<PathBuf>,
    /// Whether data is printed as JSON.
    pub(crate) json: bool,
}

/// The user's configuration, `config.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Configuration {
    /// The pool's directory.
    pool: Option<PathBuf>,
}

/// Takes the lock of a VM, and says what was settled then.
pub(crate) fn take(pool: &Pool, name: &VmName, purpose: &str, allow: Allow) -> Result<Guard> {
    let guard = Guard::take(pool, name, purpose, allow)?;
    said(guard.said());
    Ok(guard)
}

/// Says what was settled on the way to what was asked for.
pub(crate) fn said(sentences: &[String]) {
    sentences.iter().for_each(|sentence| super::out::say(sentence));
}

impl Context {
    /// Returns the pool's directory: `--pool`, else `EBBTIDE_POOL`, else the user's configuration.
    ///
    /// # Errors
    /// None of them names one; the configuration cannot be read.
    pub(crate) fn dir(&self) -> Result<PathBuf> {
        if let Some(dir) = self.pool.clone().or_else(|| variable("EBBTIDE_POOL")) {
            return Ok(dir);
        }
        let file = configuration();
        let configured = file.as_deref().map(read).transpose()?.flatten();
        configured.ok_or_else(|| {
            let file = file.map_or("~/.config/ebbtide/config.toml".into(), |file| file.display().to_string());
            let text = format!(
                "no pool is named: there is no --pool, EBBTIDE_POOL is not set, and {file} names none"
            );
            Refusal::new(RefusalKind::Missing, text)
                .hint(format!(
                    "give --pool DIR, set EBBTIDE_POOL, or write `pool = \"DIR\"` to {file}; 'ebbtide pool create DIR' makes one"
                ))
                .into()
        })
    }

    /// Opens the pool.
    pub(crate) fn open(&self) -> Result<Pool> {
        Pool::open(&self.dir()?)
    }
}

/// Returns a variable of the environment; an empty one is none.
fn variable(name: &str) -> Option<PathBuf> {
    env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from)
}

/// Returns the path of the user's configuration.
fn configuration() -> Option<PathBuf> {
    variable("XDG_CONFIG_HOME")
        .filter(|dir| dir.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".config")))
        .map(|dir| dir.join("ebbtide/config.toml"))
}

/// Returns the pool that a configuration names; a file that is not there names none.
fn read(file: &Path) -> Result<Option<PathBuf>> {
    let text = match fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::doing(format!("read {}", file.display()))(error)),
    };
    let unreadable = |problem: String| Error::Unreadable { path: file.into(), problem };
    let configuration: Configuration = toml::from_str(&text).map_err(|error| {
        let start = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = text.as_bytes()[..start].iter().filter(|byte| **byte == b'\n').count() + 1;
        unreadable(format!("line {line}: {}", error.message().replace('\n', ", ")))
    })?;
    match configuration.pool {
        Some(pool) if !pool.is_absolute() => Err(unreadable(format!(
            "pool is {:?}; wanted an absolute path, as commands are run in any directory",
            pool.display().to_string()
        ))),
        pool => Ok(pool),
    }
}
