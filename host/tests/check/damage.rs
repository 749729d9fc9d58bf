//! What a damage is: how it is made, what it is called, and what becomes of it.

use crate::tree::Tree;
use ebbtide::pool::check::Severity;

/// A damage, what it is called, where it is found, and what a repair does about it.
pub(crate) struct Damage {
    pub(crate) make: fn(&Tree),
    /// Name of the problem and its path.
    pub(crate) found: &'static [(&'static str, &'static str)],
    pub(crate) severity: Severity,
    /// What is gone after a repair.
    pub(crate) gone: &'static [&'static str],
}

/// A damage that is mended by removing where it is found.
pub(crate) const fn mended(
    make: fn(&Tree),
    found: &'static [(&'static str, &'static str)],
    gone: &'static [&'static str],
) -> Damage {
    Damage { make, found, severity: Severity::Mendable, gone }
}

/// A damage that needs a decision.
pub(crate) const fn human(
    make: fn(&Tree),
    found: &'static [(&'static str, &'static str)],
) -> Damage {
    Damage { make, found, severity: Severity::Human, gone: &[] }
}

/// Something that is said, and nothing more.
pub(crate) const fn note(
    make: fn(&Tree),
    found: &'static [(&'static str, &'static str)],
) -> Damage {
    Damage { make, found, severity: Severity::Note, gone: &[] }
}
