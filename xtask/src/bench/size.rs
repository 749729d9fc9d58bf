//! `cargo xtask bench size`: how large the guest binary is, and what makes it so.
//!
//! Two answers: small programs that use one thing each, built with the profile of the guest (`benches/size`), and the
//! symbols of the guest itself, summed up by crate.

use std::fs;
use std::path::{Path, PathBuf};

use super::report::Report;
use super::symbols;
use crate::failure::{Context, Failure, Result};
use crate::process;
use crate::workspace::{self, Linking};

/// Goals, in units of a thousand bytes as `ls --si` and the package manager count.
const DYNAMIC_GOAL: u64 = 680_000;
const STATIC_GOAL: u64 = 1_450_000;

/// Where the name of a symbol is cut off.
const LONGEST_NAME: usize = 90;

/// The programs in `benches/size`, and which one each is compared to.
const PROGRAMS: [(&str, Option<&str>); 7] = [
    ("empty", None),
    ("files", Some("empty")),
    ("log", Some("files")),
    ("nix", Some("files")),
    ("mapper", Some("files")),
    ("gpt", Some("files")),
    ("threads", Some("files")),
];

/// What the programs may depend on, beside the standard library.
const DEPENDENCIES: &str = "\
log = { version = \"0.4\", default-features = false }
nix = { version = \"0.31\", default-features = false, features = [\"fs\", \"inotify\", \"net\", \"poll\", \"socket\"] }
";

/// Runs the benchmark.
pub(super) fn main() -> Result<()> {
    let mut report = Report::new("size");
    let dynamic = bytes(&workspace::build_guest(Linking::Dynamic)?)?;
    let fixed = bytes(&workspace::build_guest(Linking::Static)?)?;
    report.say("Bytes of the release binary of the guest");
    for (name, found, goal) in [("dynamic", dynamic, DYNAMIC_GOAL), ("static", fixed, STATIC_GOAL)]
    {
        report.goal(found <= goal, format!("{name}: {found}, at most {goal}"));
    }
    report.say("");

    let package = scratch()?;
    let dynamic = build(&package, Linking::Dynamic)?;
    let fixed = build(&package, Linking::Static)?;
    let mut rows = Vec::new();
    for (name, base) in PROGRAMS {
        let sizes = |name: &str| Ok((bytes(&dynamic.join(name))?, bytes(&fixed.join(name))?));
        let (d, f): (u64, u64) = sizes(name)?;
        let (d_base, f_base) = base.map_or(Ok((d, f)), sizes)?;
        rows.push(vec![
            name.to_owned(),
            d.to_string(),
            f.to_string(),
            base.unwrap_or_default().to_owned(),
            (d.cast_signed() - d_base.cast_signed()).to_string(),
            (f.cast_signed() - f_base.cast_signed()).to_string(),
        ]);
    }
    report.say("Programs that use one thing each (benches/size), same profile");
    report.table(&["", "dynamic", "static", "more than", "dynamic", "static"], &rows);
    attribute(&mut report, &dynamic)?;
    report.save()
}

/// Makes a package of the programs, outside the workspace but with its release profile and its lock file.
fn scratch() -> Result<PathBuf> {
    let root = workspace::root();
    let package = super::folder().join("size");
    let manifest = root.join("Cargo.toml");
    let text =
        fs::read_to_string(&manifest).context(|| format!("cannot read {}", manifest.display()))?;
    let profile = text
        .split("[profile.release]\n")
        .nth(1)
        .and_then(|rest| rest.split("\n\n").next())
        .ok_or_else(|| Failure::new("the workspace has no [profile.release]"))?;
    let mut made = format!(
        "[workspace]\n\n[package]\nname = \"size\"\nedition = \"2024\"\n\n[dependencies]\n{DEPENDENCIES}\
         ebbtide-format = {{ path = \"{0}/crates/format\", features = [\"gpt\"] }}\n\
         ebbtide-sys = {{ path = \"{0}/crates/sys\" }}\n\n[profile.release]\n{profile}\n",
        root.display()
    );
    for (name, _) in PROGRAMS {
        let path = super::sources().join(format!("size/{name}.rs"));
        made += &format!("\n[[bin]]\nname = \"{name}\"\npath = \"{}\"\n", path.display());
    }
    fs::create_dir_all(&package)
        .and_then(|()| fs::write(package.join("Cargo.toml"), made))
        .and_then(|()| fs::copy(root.join("Cargo.lock"), package.join("Cargo.lock")))
        .context(|| format!("cannot make {}", package.display()))?;
    Ok(package)
}

/// Builds the package and returns the folder of its programs.
fn build(package: &Path, linking: Linking) -> Result<PathBuf> {
    let mut cargo = workspace::cargo();
    cargo
        .args(["build", "--quiet", "--release", "--manifest-path"])
        .arg(package.join("Cargo.toml"));
    cargo.arg("--target-dir").arg(package.join("target"));
    let folder = match linking {
        Linking::Dynamic => "target/release",
        Linking::Static => {
            cargo.args(["--target", workspace::STATIC_TARGET]);
            cargo.env("RUSTFLAGS", "-C target-feature=+crt-static");
            "target/x86_64-unknown-linux-gnu/release"
        }
    };
    process::run(&mut cargo)?;
    Ok(package.join(folder))
}

/// Builds the guest once more with symbols, and adds up whose they are.
fn attribute(report: &mut Report, programs: &Path) -> Result<()> {
    let folder = super::folder().join("size/symbols");
    let mut cargo = workspace::cargo();
    cargo.args([
        "build",
        "--quiet",
        "--release",
        "--package",
        "ebbtide-init",
        "--bin",
        "ebbtide-init",
    ]);
    cargo.arg("--target-dir").arg(&folder).env("CARGO_PROFILE_RELEASE_STRIP", "none");
    cargo.env("RUSTFLAGS", "-C symbol-mangling-version=v0");
    process::run(&mut cargo)?;
    let guest = folder.join("release/ebbtide-init");

    let symbols = symbols::list(&guest)?;
    let rows: Vec<Vec<String>> = symbols::by_crate(&symbols)
        .into_iter()
        .map(|(name, size)| vec![name, size.to_string()])
        .collect();
    report.say("Symbols of the dynamic guest by crate (code of a generic type counts for the crate of the type)");
    report.table(&["crate", "bytes"], &rows);

    report.say("The largest symbols of it");
    let rows: Vec<Vec<String>> = symbols
        .into_iter()
        .take(25)
        .map(|(name, size)| vec![name.chars().take(LONGEST_NAME).collect(), size.to_string()])
        .collect();
    report.table(&["symbol", "bytes"], &rows);

    let (guest, empty) = (symbols::sections(&guest)?, symbols::sections(&programs.join("empty"))?);
    let rows: Vec<Vec<String>> = guest
        .iter()
        .map(|(name, size)| {
            let floor = empty.iter().find(|(other, _)| other == name).map_or(0, |(_, size)| *size);
            vec![name.clone(), size.to_string(), floor.to_string()]
        })
        .collect();
    report.say("Sections of at least 1000 bytes that are loaded");
    report.table(&["section", "guest", "empty"], &rows);
    Ok(())
}

fn bytes(path: &Path) -> Result<u64> {
    fs::metadata(path)
        .map(|metadata| metadata.len())
        .context(|| format!("cannot look at {}", path.display()))
}
