//! The name of a versioned VM: nobody's own, it means the newest version.
//!
//! ```text
//! debian-next    the working VM, whose record says that it is versioned
//! debian-v3      the newest version: what `debian` means
//! debian-v2      an older one
//! ```

use super::Pool;
use crate::{
    error::{Error, Result},
    name::VmName,
    vm::{Kind, Vm, record},
};
use std::path::Path;

/// What stands behind the name in that of the working VM.
const NEXT: &str = "-next";
/// And before the number in that of a version.
const VERSION: &str = "-v";

impl VmName {
    /// Returns the name of the working VM of a versioned one.
    ///
    /// # Errors
    /// The name is too long for that.
    pub(crate) fn next(&self) -> Result<Self> {
        Ok(format!("{self}{NEXT}").parse()?)
    }

    /// Returns the name of a version.
    ///
    /// # Errors
    /// The name is too long for that.
    pub(crate) fn version(&self, number: u64) -> Result<Self> {
        Ok(format!("{self}{VERSION}{number}").parse()?)
    }

    /// Returns the name that the versions of this working VM have in common, if its name is one of a working VM.
    pub(crate) fn of_next(&self) -> Option<Self> {
        self.as_str().strip_suffix(NEXT)?.parse().ok()
    }

    /// Returns the number in the name of a version of `self`.
    pub(crate) fn version_number(&self, version: &Self) -> Option<u64> {
        let digits = version.as_str().strip_prefix(self.as_str())?.strip_prefix(VERSION)?;
        let number: u64 = digits.parse().ok()?;
        (number.to_string() == digits).then_some(number)
    }
}

impl Pool {
    /// Returns the versions of a versioned VM, by the name that they have in common, the oldest first. One that waits to
    /// be removed counts too.
    ///
    /// # Errors
    /// A directory or a record cannot be read.
    pub(crate) fn versions_of(&self, name: &VmName) -> Result<Vec<(u64, Vm)>> {
        let mut found = Vec::new();
        for kind in [Kind::Template, Kind::AppVm] {
            for version in self.names_of(kind)? {
                let Some(number) = name.version_number(&version) else { continue };
                let vm = self.read_vm(kind, &version)?;
                let vm = vm.filter(|vm| vm.record.flags.version_of.as_ref() == Some(name));
                found.extend(vm.map(|vm| (number, vm)));
            }
        }
        found.sort_by_key(|(number, _)| *number);
        Ok(found)
    }

    /// Returns the newest version of the versioned VM that has a name, if there is such a VM.
    ///
    /// # Errors
    /// A directory or a record cannot be read.
    pub(crate) fn newest(&self, name: &VmName) -> Result<Option<Vm>> {
        match self.working(name)? {
            Some(_) => Ok(self.versions_of(name)?.pop().map(|(_, vm)| vm)),
            None => Ok(None),
        }
    }

    /// Returns the working VM of the versioned one that has a name, if there is such a VM.
    ///
    /// # Errors
    /// Its record cannot be read.
    pub(crate) fn working(&self, name: &VmName) -> Result<Option<Vm>> {
        let next = match name.next() {
            Ok(next) => self.named(&next)?,
            Err(_) => None,
        };
        Ok(next.filter(|next| next.record.versioned.is_some()))
    }

    /// Returns the name of the template that a name means, where its disks are. A name that means nothing is returned as
    /// it is.
    ///
    /// # Errors
    /// A directory or a record cannot be read.
    pub(crate) fn actual(&self, template: &VmName) -> Result<VmName> {
        let file = Path::new(Kind::Template.directory()).join(template).join(record::FILE);
        let found = self.store().stat(&file);
        match found.map_err(Error::doing(format!("look at {}", file.display())))? {
            Some(_) => Ok(template.clone()),
            None => Ok(self.newest(template)?.map_or_else(|| template.clone(), |vm| vm.name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_versions_are_told_from_others() {
        let name = |text: &str| text.parse::<VmName>().unwrap();
        let debian = name("debian");
        assert_eq!(debian.next().unwrap(), name("debian-next"));
        assert_eq!(name("debian-next").of_next(), Some(debian.clone()));
        assert_eq!(debian.of_next(), None);
        assert_eq!(debian.version_number(&debian.version(12).unwrap()), Some(12));
        for other in ["debian", "debian-v", "debian-v01", "debian-v1x", "debian-next", "deb-v1"] {
            assert_eq!(debian.version_number(&name(other)), None, "{other}");
        }
    }
}
