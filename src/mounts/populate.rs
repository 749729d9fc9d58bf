//! The first boot of a private disk: homes and `/usr/local`.

use super::{Site, Tally, Volume};
use ebbtide_init::options::Options;

/// Makes what is missing, and follows users whose number has changed.
pub(crate) fn first_boot(_options: &Options, _site: &Site, _volume: &Volume, _tally: &mut Tally) {}
