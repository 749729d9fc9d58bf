//! The packages that all Debian images share: a list of names flows in, `tree.tar` flows out.
//!
//! It takes half a minute and changes rarely, so it is kept apart from what changes with the guest binary.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::cache::{Cache, Force};
use super::fingerprint::Fingerprint;
use super::recipe::{self, Tree};
use crate::failure::{Failure, Result};
use crate::process::{self, Log};

/// Makes a merged `/usr` where the release expects one; without it perl comes in.
const MERGED_USR: &str = "/usr/share/mmdebstrap/hooks/maybe-merged-usr";

/// Returns what the tree depends on. The versions of the packages are not among it: `--force` brings newer ones.
pub(crate) fn fingerprint() -> Result<String> {
    let recipe = recipe::folder().join("base/debian.toml");
    Ok(Fingerprint::default()
        .add("builder", include_bytes!("base.rs"))
        .file("recipe", &recipe)?
        .digest())
}

/// Returns the archive of the tree, made where it is missing.
pub(crate) fn ensure(cache: &Cache, recipe: &Tree, force: &Force) -> Result<PathBuf> {
    let build = |folder: &Path, log: &Log| {
        log.step("mmdebstrap", || log.run(&mut mmdebstrap(recipe, &folder.join("tree.tar"))?))
    };
    Ok(cache.entry("debian-packages", &fingerprint()?, force, build)?.join("tree.tar"))
}

fn mmdebstrap(recipe: &Tree, archive: &Path) -> Result<Command> {
    let mut command = Command::new("mmdebstrap");
    command.args(["--variant=essential", "--skip=output/dev"]);
    command.arg(format!("--hook-dir={MERGED_USR}"));
    command.arg("--aptopt=APT::Install-Recommends \"false\"");
    for option in transport(&process::output(Command::new("apt-config").arg("dump"))?) {
        command.arg(format!("--aptopt={option}"));
    }
    for path in &recipe.exclude {
        command.arg(format!("--dpkgopt=path-exclude={path}"));
    }
    for path in &recipe.include {
        command.arg(format!("--dpkgopt=path-include={path}"));
    }
    command.arg(format!("--include={}", recipe.packages.join(",")));
    command.arg(&recipe.suite).arg(archive).args(sources(&recipe.suite)?);
    Ok(command)
}

/// Returns the lines of apt's configuration that say how to reach a mirror: proxies, certificates, clocks.
fn transport(dump: &str) -> Vec<String> {
    let wanted = ["Acquire::http", "Acquire::https", "Acquire::Check-", "Acquire::Retries"];
    let lines = dump.lines().filter(|line| wanted.iter().any(|prefix| line.starts_with(prefix)));
    lines
        .filter(|line| !line.ends_with("\"\";"))
        .map(|line| line.trim_end_matches(';').to_owned())
        .collect()
}

/// Returns the sources of `suite` that this machine's apt uses, or those at `EBBTIDE_MIRROR`.
fn sources(suite: &str) -> Result<Vec<String>> {
    if let Ok(mirror) = std::env::var("EBBTIDE_MIRROR") {
        return Ok(vec![format!("deb {mirror} {suite} main")]);
    }
    let mut ask = Command::new("apt-get");
    ask.args(["indextargets", "--format", "$(CREATED_BY) $(REPO_URI) $(RELEASE) $(COMPONENT)"]);
    let found = sources_of(suite, &process::output(&mut ask)?);
    if found.is_empty() {
        return Err(Failure::new(format!(
            "the apt of this machine has no source for Debian {suite}; set EBBTIDE_MIRROR to the address of a mirror"
        )));
    }
    Ok(found)
}

fn sources_of(suite: &str, targets: &str) -> Vec<String> {
    let mut sources = Vec::new();
    for line in targets.lines() {
        let [kind, uri, release, component] = line.split(' ').collect::<Vec<_>>()[..] else {
            continue;
        };
        let updates = [format!("{suite}-security"), format!("{suite}-updates")];
        let wanted = release == suite || updates.iter().any(|name| name == release);
        let source = format!("deb {uri} {release} {component}");
        if kind == "Packages" && component == "main" && wanted && !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_sources_of_the_suite_only() {
        let targets = "\
Packages http://m/debian/ bookworm main
DEP-11 http://m/debian/ bookworm main
Packages http://m/security/ bookworm-security main
Packages http://m/debian/ bookworm contrib
Packages http://other/ nodistro main
";
        let expected =
            ["deb http://m/debian/ bookworm main", "deb http://m/security/ bookworm-security main"];
        assert_eq!(sources_of("bookworm", targets), expected);
        assert!(sources_of("trixie", targets).is_empty());
    }

    #[test]
    fn passes_on_how_to_reach_a_mirror() {
        let dump = "APT::Foo \"1\";\nAcquire::http::Proxy \"http://p:1\";\nAcquire::https \"\";\nAcquire::Check-Date \"false\";\n";
        assert_eq!(
            transport(dump),
            ["Acquire::http::Proxy \"http://p:1\"", "Acquire::Check-Date \"false\""]
        );
    }
}
