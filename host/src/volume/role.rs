//! What becomes of a volume at start and at stop.

use crate::name::VolumeId;

/// The role of a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// Empty and sparse at every start, removed at stop.
    Volatile,
    /// The source's current version at every start, by a hard link; removed at stop.
    Snapshot {
        /// The source.
        of: VolumeId,
    },
    /// Its own: written to beside the clean image, and committed at stop.
    Origin,
    /// The source's current version at the first start, its own from then on.
    OriginSnapshot {
        /// The source.
        of: VolumeId,
    },
}

impl Role {
    /// Returns the volume that this one begins from, if it does.
    #[must_use]
    pub fn source(&self) -> Option<&VolumeId> {
        match self {
            Self::Snapshot { of } | Self::OriginSnapshot { of } => Some(of),
            Self::Volatile | Self::Origin => None,
        }
    }

    /// Returns whether what is written to it is kept.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        matches!(self, Self::Origin | Self::OriginSnapshot { .. })
    }
}
