//! The host's program, its manual page, and what shells complete.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::{Item, What, pages, papers};
use crate::failure::{Context, Result};
use crate::{process, workspace};

/// The manual page of the program.
pub(super) const PAGE: &str = "ebbtide.1";

/// Each shell, and where its completions are looked for.
const SHELLS: [(&str, &str); 3] = [
    ("bash", "usr/share/bash-completion/completions/ebbtide"),
    ("zsh", "usr/share/zsh/vendor-completions/_ebbtide"),
    ("fish", "usr/share/fish/vendor_completions.d/ebbtide.fish"),
];

/// The completions, as the program itself writes them.
pub(super) struct Completions(TempDir);

impl Completions {
    /// Has `binary` write them.
    pub(super) fn of(binary: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context(|| "cannot make a folder".to_owned())?;
        for (shell, _) in SHELLS {
            let script = process::output(Command::new(binary).args(["completions", shell]))?;
            std::fs::write(folder.path().join(shell), script)
                .context(|| format!("cannot write the completions of {shell}"))?;
        }
        Ok(Self(folder))
    }

    fn file(&self, shell: &str) -> PathBuf {
        self.0.path().join(shell)
    }
}

/// Returns every part, `binary` as the program.
pub(super) fn items(binary: &Path, completions: &Completions) -> Result<Vec<Item>> {
    let program = What::File { from: binary.to_owned(), mode: 0o755 };
    let mut items = vec![Item { what: program, to: "usr/bin/ebbtide".into() }];
    items.extend(SHELLS.map(|(shell, to)| Item {
        what: What::File { from: completions.file(shell), mode: 0o644 },
        to: to.into(),
    }));
    let script = workspace::root().join("host/xen/block-ebbtide");
    let script = What::File { from: script, mode: 0o755 };
    items.push(Item { what: script, to: "etc/xen/scripts/block-ebbtide".into() });
    items.extend(pages(|name| name == PAGE)?);
    items.extend(papers("usr/share/doc/ebbtide")?);
    Ok(items)
}
