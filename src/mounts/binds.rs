//! What is bound from the private disk.

use super::{Site, Tally, Volume};
use ebbtide_init::options::Options;

/// Binds what the options and the declarations name.
pub(crate) fn set_up(_options: &Options, _site: &Site, _volume: &Volume, _tally: &mut Tally) {}
