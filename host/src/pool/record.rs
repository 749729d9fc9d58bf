//! Small files of a pool, replaced as a whole.

use super::{
    step::{self, Step},
    store::{Store, Unseen},
};
use crate::{
    error::{Error, Result},
    file::aside,
};
use std::path::Path;

/// Replaces a small file: after it, and after a cut at any place, the file is the old one or the new one, whole.
/// Durable when it returns. Whoever calls keeps other writers away.
///
/// # Errors
/// Names the operation that failed; the file is the old one then.
pub(crate) fn replace(store: &dyn Store, file: &Path, content: Vec<u8>) -> Result<()> {
    let aside = aside(file);
    let left = store.stat(&aside).map_err(Error::doing(format!("look at {}", aside.display())))?;
    let mut steps: Vec<Step> = left.map(|_| Step::Remove(aside.clone())).into_iter().collect();
    let dir = file.parent().unwrap_or(Path::new("")).to_path_buf();
    steps.extend([
        Step::WriteNew { path: aside.clone(), content },
        Step::SyncFile(aside.clone()),
        Step::Rename { from: aside, to: file.into() },
        Step::SyncDir(dir),
    ]);
    step::apply(&steps, store, &mut Unseen)
}
