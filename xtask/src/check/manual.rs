//! The manual pages are sound, and name every file that is installed.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::Verdict;
use crate::failure::{Context, Failure, Result};
use crate::{install, process, workspace};

/// Has mandoc read the pages, and compares FILES with what is installed.
pub(crate) fn check() -> Result<Verdict> {
    let folder = workspace::root().join("man");
    let cannot = || format!("cannot read {}", folder.display());
    let mut pages = Vec::new();
    for entry in fs::read_dir(&folder).context(cannot)? {
        pages.push(entry.context(cannot)?.path());
    }
    pages.sort();
    let mut text = String::new();
    for page in &pages {
        text += &fs::read_to_string(page).context(|| format!("cannot read {}", page.display()))?;
    }
    let missing = missing(&text, &installed()?);
    if !missing.is_empty() {
        let list = missing.join("\n  ");
        return Err(Failure::new(format!("installed, and no page names it:\n  {list}")));
    }
    let Some(mandoc) = process::find("mandoc") else {
        return Ok(Verdict::NotHere("there is no mandoc".to_owned()));
    };
    process::run(Command::new(mandoc).args(["-T", "lint", "-W", "warning"]).args(&pages))?;
    Ok(Verdict::Fine(format!("{} pages", pages.len())))
}

/// Returns what is installed, the documentation left out.
fn installed() -> Result<Vec<String>> {
    let items = install::items(Path::new("ebbtide-init"))?;
    let paths = items.iter().map(|item| format!("/{}", item.to.display()));
    let of_reader =
        |path: &String| path.starts_with("/usr/share/doc/") || path.starts_with("/usr/share/man/");
    Ok(paths.filter(|path| !of_reader(path)).collect())
}

/// Returns those of `paths` that no line `.Pa` or `.It Pa` of a page names, alone or by a folder that it names
/// as one.
fn missing(pages: &str, paths: &[String]) -> Vec<String> {
    let named: Vec<_> = pages
        .lines()
        .filter_map(|line| {
            line.trim_start_matches(".It ").trim_start_matches('.').strip_prefix("Pa ")
        })
        .flat_map(|names| names.split([' ', ',']))
        .collect();
    let is_named = |path: &String| {
        named.iter().any(|name| match name.strip_suffix('/') {
            Some(folder) => path == folder || path.starts_with(name),
            None => path == name,
        })
    };
    paths.iter().filter(|path| !is_named(path)).cloned().collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_is_named_by_itself_or_by_its_folder() {
        let page = ".It Pa /etc/a.conf , /etc/b.conf\nsee /etc/c.conf\n.Pa /usr/lib/d/\n";
        let paths = ["/etc/a.conf", "/etc/b.conf", "/etc/c.conf", "/usr/lib/d/e", "/usr/lib/f"];
        let missing = super::missing(page, &paths.map(str::to_owned));
        assert_eq!(missing, ["/etc/c.conf", "/usr/lib/f"]);
    }
}
