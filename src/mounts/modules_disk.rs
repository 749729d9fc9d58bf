//! The modules disk, at `/lib/modules/VERSION` of the root.

use super::{Site, Tally};
use ebbtide_init::{observed::Observed, options::Options};

/// Mounts the modules of the running kernel, when there is a disk with them and the root has none.
pub(crate) fn set_up(_options: &Options, _observed: &Observed, _site: &Site, _tally: &mut Tally) {}
