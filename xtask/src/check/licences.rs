//! Every dependency, of every target, has a licence that `deny.toml` allows and comes from crates.io.
//!
//! `cargo deny` does it where it is installed; to compile it takes longer than all tests together.

use std::fs;

use serde::Deserialize;

use super::{Verdict, run, spdx};
use crate::failure::{Context, Failure, Result};
use crate::{process, workspace};

/// The workspaces, each with its own lock file.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "fuzz/Cargo.toml"];

/// The only registry, as cargo writes it.
const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

#[derive(Deserialize)]
struct Deny {
    licenses: Licenses,
}

#[derive(Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    version: String,
    license: Option<String>,
    /// None for what lies in this repository.
    source: Option<String>,
}

/// Checks both workspaces.
pub(crate) fn check() -> Result<Verdict> {
    if process::find("cargo-deny").is_some() {
        for manifest in MANIFESTS {
            let mut deny = workspace::cargo();
            deny.args(["deny", "--manifest-path", manifest, "check", "--config"]);
            deny.arg(workspace::root().join("deny.toml"));
            run(deny.args(["licenses", "bans", "sources"]))?;
        }
        return Ok(Verdict::Fine("by cargo deny".to_owned()));
    }
    let path = workspace::root().join("deny.toml");
    let text = fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
    let deny: Deny = toml::from_str(&text)
        .context(|| format!("{} has no `[licenses] allow`", path.display()))?;
    let (mut number, mut wrong) = (0, Vec::new());
    for manifest in MANIFESTS {
        let packages = dependencies(manifest)?;
        number += packages.len();
        wrong.extend(packages.iter().flat_map(|package| complaints(package, &deny.licenses.allow)));
    }
    if wrong.is_empty() {
        return Ok(Verdict::Fine(format!("{number} crates")));
    }
    Err(Failure::new(format!("deny.toml does not allow:\n  {}", wrong.join("\n  "))))
}

/// Returns what the lock file of a workspace names, whatever target uses it.
fn dependencies(manifest: &str) -> Result<Vec<Package>> {
    let mut metadata = workspace::cargo();
    metadata.args(["metadata", "--format-version", "1", "--locked", "--manifest-path", manifest]);
    let text = process::output(&mut metadata)?;
    let metadata: Metadata = serde_json::from_str(&text)
        .context(|| format!("cannot read the metadata of {manifest}"))?;
    Ok(metadata.packages)
}

/// Returns a line for the licence and one for the source, where they are not allowed.
fn complaints(package: &Package, allowed: &[String]) -> Vec<String> {
    let Package { name, version, license, source } = package;
    let Some(source) = source else { return Vec::new() };
    let mut lines = Vec::new();
    if source != CRATES_IO {
        lines.push(format!("{name} {version}: from {source}; allowed: crates.io"));
    }
    let allows = match license {
        Some(expression) => spdx::allows(expression, allowed),
        None => Err("no licence in its manifest".to_owned()),
    };
    let found = match allows {
        Ok(true) => return lines,
        Ok(false) => license.clone().unwrap_or_default(),
        Err(malformed) => malformed,
    };
    lines.push(format!("{name} {version}: {found}; allowed: {}", allowed.join(", ")));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(license: Option<&str>, source: Option<&str>) -> Package {
        let [license, source] = [license, source].map(|text| text.map(str::to_owned));
        Package { name: "x".into(), version: "1.2.3".into(), license, source }
    }

    #[test]
    fn names_crate_found_and_allowed() {
        let allowed = ["MIT".to_owned(), "NCSA".to_owned()];
        let found = complaints(&package(Some("GPL-3.0-only"), Some(CRATES_IO)), &allowed);
        assert_eq!(found, ["x 1.2.3: GPL-3.0-only; allowed: MIT, NCSA"]);
        let none = complaints(&package(None, Some(CRATES_IO)), &allowed);
        assert!(none[0].contains("no licence"), "{none:?}");
        assert!(complaints(&package(Some("MIT"), Some(CRATES_IO)), &allowed).is_empty());
    }

    #[test]
    fn only_crates_io_and_this_repository_are_sources() {
        let allowed = ["MIT".to_owned()];
        let git = complaints(&package(Some("MIT"), Some("git+https://example.org/x")), &allowed);
        assert!(git[0].contains("git+https://example.org/x"), "{git:?}");
        assert!(complaints(&package(None, None), &allowed).is_empty());
    }
}
