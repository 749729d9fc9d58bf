//! What all verbs are told.

use std::path::PathBuf;

/// The options that stand before every verb.
#[derive(Debug, Clone)]
pub struct Context {
    /// The pool's directory: `--pool`, else `EBBTIDE_POOL`, else the user's configuration.
    pub pool: Option<PathBuf>,
    /// Whether data is printed as JSON.
    pub json: bool,
}
