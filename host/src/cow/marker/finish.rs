//! What is said of a merge in place that is unfinished, and the command that finishes it.

use super::{Identity, Marker, place};
use crate::{
    cow::Cow,
    error::{Refusal, RefusalKind},
};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

impl Marker {
    /// Returns the refusal of whatever an unfinished merge is in the way of, as the marker in `file` tells of it.
    pub(crate) fn unfinished(&self, file: &Path) -> Refusal {
        let (cow, backing) = self.both(file);
        let (cow, backing) = (cow.display(), backing.display());
        let text = format!(
            "the merge of {cow} into {backing} is unfinished, says {}: {backing} is neither what it was nor what it is to be",
            file.display()
        );
        Refusal::new(RefusalKind::Rule, text).hint(self.finish(file))
    }

    /// Returns what whoever wants the merge to end can do, as a hint. It looks at the COW file for that.
    pub(crate) fn finish(&self, file: &Path) -> String {
        let (cow, backing) = self.both(file);
        match Cow::look(&cow) {
            Err(error) if error.io_kind() == Some(io::ErrorKind::NotFound) => format!(
                "{} is not there: if it was moved, merge it in place from where it is; if it is gone, restore {} from a copy and remove {}",
                cow.display(),
                backing.display(),
                file.display()
            ),
            found => {
                let recorded = found.ok().and_then(|cow| cow.recorded());
                let leads = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.into());
                let names_it = recorded.is_some_and(|recorded| {
                    // A relative one leads elsewhere from every directory.
                    recorded.backing.is_absolute() && leads(&recorded.backing) == leads(&backing)
                });
                // Without quotes around it: there may be some in it.
                format!("finish it: {}", self.command(file, names_it))
            }
        }
    }

    /// Returns the command that finishes the merge; `names_it` is whether the COW file names the backing itself.
    fn command(&self, file: &Path, names_it: bool) -> String {
        let (cow, backing) = self.both(file);
        let mut words = vec!["ebbtide cow merge --in-place".to_owned()];
        if !names_it {
            words.push(format!("--backing {}", quoted(&backing)));
        }
        if is_device(&self.cow) && is_device(&self.backing) {
            words.push(format!("--marker {}", quoted(file)));
        }
        words.push(quoted(&cow));
        words.join(" ")
    }

    /// Returns where COW file and backing are: a marker is moved together with the file beside which it lies.
    fn both(&self, file: &Path) -> (PathBuf, PathBuf) {
        let beside = || place::beside_which(file);
        let (cow, backing) = (self.cow.path.clone(), self.backing.path.clone());
        match (is_device(&self.cow), is_device(&self.backing)) {
            (_, false) => (cow, beside().unwrap_or(backing)),
            (false, true) => (beside().unwrap_or(cow), backing),
            (true, true) => (cow, backing),
        }
    }
}

const fn is_device(identity: &Identity) -> bool {
    identity.inode.is_none()
}

/// Returns a path as one word of a shell.
fn quoted(path: &Path) -> String {
    let path = path.to_string_lossy();
    let is_plain =
        |character: char| character.is_alphanumeric() || "/._-+,:=@%".contains(character);
    if !path.is_empty() && path.chars().all(is_plain) {
        return path.into_owned();
    }
    format!("'{}'", path.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cow::marker::State;

    fn marker(cow: &str, backing: &str) -> Marker {
        let identity = |path: &str| Identity {
            path: path.into(),
            size: 4096,
            inode: (!path.starts_with("/dev/")).then_some(7),
            created: None,
            modified: None,
            changed: None,
        };
        Marker {
            state: State::Merging,
            cow: identity(cow),
            format: String::new(),
            backing: identity(backing),
            earlier: Vec::new(),
        }
    }

    #[test]
    fn the_command_names_what_the_cow_file_and_the_place_do_not() {
        let beside_root = "/srv/root.img.ebbtide-merge";
        for (cow, backing, file, names_it, wanted) in [
            ("/srv/a.cow", "/srv/root.img", beside_root, true, "/srv/a.cow"),
            ("/srv/a", "/srv/root.img", beside_root, false, "--backing /srv/root.img /srv/a"),
            // Both went elsewhere together.
            ("/srv/a", "/old/root.img", beside_root, false, "--backing /srv/root.img /srv/a"),
            ("/old/a", "/dev/vg/r", "/srv/a.ebbtide-merge", false, "--backing /dev/vg/r /srv/a"),
            ("/dev/vg/a", "/dev/vg/r", "/m", false, "--backing /dev/vg/r --marker /m /dev/vg/a"),
            ("/dev/vg/a", "/srv/root.img", beside_root, false, "--backing /srv/root.img /dev/vg/a"),
        ] {
            let found = marker(cow, backing).command(Path::new(file), names_it);
            assert_eq!(found, format!("ebbtide cow merge --in-place {wanted}"));
        }
    }

    #[test]
    fn a_shell_takes_a_path_as_one_word() {
        for path in ["/srv/a.cow", "/srv/a b", "/it's", "/$(x)`y`\"z\"\\", "/*?[~", "/ä", "/a\nb"]
        {
            let script = format!("printf %s {}", quoted(Path::new(path)));
            let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), path);
        }
        assert_eq!(quoted(Path::new("/srv/a-1_b.cow")), "/srv/a-1_b.cow");
    }
}
