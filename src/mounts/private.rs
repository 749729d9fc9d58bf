//! The private disk: looked at, formatted when blank, checked, mounted, grown.

use super::{Site, Tally, Volume};
use ebbtide_init::{observed::Observed, options::Options};

/// Mounts the private disk at its place; `None` when there is none, or when it cannot be used, which
/// has been told then.
pub(crate) fn set_up(
    _options: &Options,
    _observed: &Observed,
    _site: &Site,
    _tally: &mut Tally,
) -> Option<Volume> {
    None
}
