//! What a COW file can be written over.

use crate::{
    Result,
    cow::{
        Disk, Kind,
        marker::{self, Marker},
        nested::{Nested, nested},
    },
    error::{Refusal, RefusalKind},
};
use ebbtide_format::units::Bytes;
use std::path::Path;

/// Refuses what nothing can be written over.
pub(in crate::cow) fn may_be_backing(backing: &Disk) -> Result<()> {
    let path = backing.path.display();
    if backing.size == Bytes(0) {
        let text = format!("{path} is empty: there is no device of 0 bytes");
        return Err(Refusal::new(RefusalKind::Rule, text).into());
    }
    if let Some(found) = nested(backing)? {
        let text = format!("{path} is {found}, and there are no COW files of COW files");
        let backing = if found == Nested::Uml { "" } else { "--backing FILE " };
        let hint = format!("merge it first: 'ebbtide cow merge {backing}{path} OUT'");
        return Err(Refusal::new(RefusalKind::Rule, text).hint(hint).into());
    }
    if backing.kind == Kind::File {
        is_merged(&backing.path)?;
    }
    Ok(())
}

/// Refuses a backing into which a merge is unfinished.
pub(in crate::cow) fn is_merged(backing: &Path) -> Result<()> {
    let file = marker::of(backing)?;
    let Some(marker) = marker::read(&file)?.filter(Marker::is_unfinished) else {
        return Ok(());
    };
    Err(marker.unfinished(&file).into())
}
