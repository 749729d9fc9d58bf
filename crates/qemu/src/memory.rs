//! Answers that hold until the host boots again: asked for once, kept in a small file.

use std::{
    io::Write,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use nix::unistd::Uid;

use crate::error::Result;

/// Returns the file with the answer to `question` for this boot of the host and this user, `None` where boots
/// have no number.
pub(crate) fn file(question: &str) -> Option<PathBuf> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let name = format!("ebbtide-{question}-{}-{}", Uid::effective(), boot.trim());
    Some(std::env::temp_dir().join(name))
}

/// Returns the answer in `file`, or asks and writes it there.
pub(crate) fn remembered<T>(
    file: Option<&Path>,
    parse: impl FnOnce(&str) -> Option<T>,
    ask: impl FnOnce() -> Result<T>,
    text: impl FnOnce(&T) -> String,
) -> Result<T> {
    let known =
        file.filter(|file| is_ours(file)).and_then(|file| std::fs::read_to_string(file).ok());
    if let Some(answer) = known.as_deref().and_then(parse) {
        return Ok(answer);
    }
    let answer = ask()?;
    if let Some(file) = file {
        // Somebody may read at this moment: they see the whole answer or none. Failing to write one costs
        // the next who asks a probe.
        let _ = write(file, &text(&answer));
    }
    Ok(answer)
}

/// Returns whether we wrote the file: where it is, others may write too.
fn is_ours(file: &Path) -> bool {
    let owner = std::fs::symlink_metadata(file).map(|found| (found.is_file(), found.uid()));
    owner.is_ok_and(|(is_file, owner)| is_file && owner == Uid::effective().as_raw())
}

fn write(file: &Path, text: &str) -> std::io::Result<()> {
    let mut aside = tempfile::NamedTempFile::new_in(file.parent().unwrap_or(Path::new(".")))?;
    aside.write_all(text.as_bytes())?;
    aside.persist(file).map_err(|error| error.error)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn an_answer_is_asked_for_once_and_nonsense_is_asked_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("answer");
        let asked = Cell::new(0);
        let remember = || {
            let parse = |text: &str| text.parse::<u32>().ok();
            let ask = || {
                asked.set(asked.get() + 1);
                Ok(7)
            };
            remembered(Some(&file), parse, ask, u32::to_string).unwrap()
        };
        assert_eq!([remember(), remember(), remember()], [7; 3]);
        assert_eq!(asked.get(), 1);
        std::fs::write(&file, "warp").unwrap();
        assert_eq!((remember(), asked.get()), (7, 2));
        std::fs::remove_file(&file).unwrap();
        std::os::unix::fs::symlink("/dev/null", &file).unwrap();
        assert_eq!((remember(), asked.get()), (7, 3), "a link of somebody is not followed");
        assert!(file.symlink_metadata().unwrap().is_file());
    }
}
