//! A new volume begins with the current version of another one, without a copy: versions are immutable.

use super::{Plan, Seen, sync_dir};
use crate::{
    error::{Refusal, RefusalKind},
    pool::{driver::Volume, step::Step},
};

/// Plans to give `to` the current version of `from`. A volume that has none of its own, because it does not keep
/// anything or was never started, gives nothing.
///
/// # Errors
/// `to` has another version, or something that a VM wrote.
pub fn plan(from: &Volume, theirs: &Seen, to: &Volume, ours: &Seen) -> Result<Plan<()>, Refusal> {
    let Some(version) = theirs.clean.filter(|_| to.role.is_kept() && from.role.is_kept()) else {
        return Ok(Plan::new(Vec::new(), ()));
    };
    match ours.clean.or(ours.dirty) {
        None => {
            let link = Step::Link { from: from.files.clean(), to: to.files.clean() };
            Ok(Plan::new(vec![link, sync_dir(to)], ()))
        }
        Some(same) if same.inode == version.inode => Ok(Plan::new(vec![sync_dir(to)], ())),
        Some(_) => {
            let text = format!("{} cannot become {}: it has something of its own", to.id, from.id);
            Err(Refusal::new(RefusalKind::Exists, text))
        }
    }
}
