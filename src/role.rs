//! The four disks and what each is for.

use core::fmt;

/// Which of the disks is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The template's root.
    Root,
    /// What is kept.
    Private,
    /// What may be overwritten.
    Volatile,
    /// Kernel modules.
    Modules,
}

impl Role {
    /// All of them, in the order of the letters that Xen gives them: `xvda` to `xvdd`.
    pub const ALL: [Self; 4] = [Self::Root, Self::Private, Self::Volatile, Self::Modules];

    /// Returns the word for it: the virtio serial and the name of its option.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Root => "root",
            Self::Private => "private",
            Self::Volatile => "volatile",
            Self::Modules => "modules",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
