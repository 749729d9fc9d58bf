//! `cargo xtask images`: recipes flow in, bootable images below `target/vm-images` flow out.
//!
//! Every image is kept under a hash of all that went into it, so asking again costs next to nothing.

mod base;
mod cache;
mod debian;
mod disk;
mod fingerprint;
mod initramfs;
mod kernel;
mod modules;
mod packaged;
mod packages;
mod recipe;
mod stage;
mod vmlinux;
mod xen;

use std::fs;
use std::path::PathBuf;

pub(crate) use cache::base;
use cache::{Cache, Force};
use recipe::Recipe;
pub(crate) use recipe::names;
use tempfile::TempPath;

use crate::failure::{Context, Failure, Result};
use crate::setup;
use crate::workspace::{self, Linking};

/// What `images` was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Options {
    names: Vec<String>,
    force: bool,
    list: bool,
}

impl Options {
    fn parse(args: &[String]) -> Result<Self> {
        let mut options = Options::default();
        for arg in args {
            match arg.as_str() {
                "--force" => options.force = true,
                "--list" => options.list = true,
                other if other.starts_with('-') => {
                    return Err(Failure::usage(format!("images: unknown option {other}")));
                }
                name => options.names.push(name.to_owned()),
            }
        }
        Ok(options)
    }
}

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> Result<()> {
    let options = Options::parse(args)?;
    if options.list {
        for name in recipe::names()? {
            let path = cache::base().join(&name);
            println!(
                "{name:<24} {}",
                if path.join("cmdline").is_file() { "built" } else { "not built" }
            );
        }
        return Ok(());
    }
    let names = if options.names.is_empty() { recipe::names()? } else { options.names };
    setup::ensure()?;
    let force = Force::new(options.force);
    for name in &names {
        println!("{}", build(name, &force)?.display());
    }
    Ok(())
}

/// Makes sure that these images are there and made from what the repository holds now.
pub(crate) fn ensure(names: &[&str]) -> Result<()> {
    setup::ensure()?;
    names.iter().try_for_each(|name| build(name, &Force::new(false)).map(drop))
}

/// Builds one image where it is missing or outdated, and returns its folder.
fn build(name: &str, force: &Force) -> Result<PathBuf> {
    let recipe = recipe::read(name)?;
    let recipe_file = recipe::folder().join(format!("{name}.toml"));
    let image = cache::base().join(name);
    let (guest, process_1, inputs, cmdline) = match &recipe {
        Recipe::Stage(stage) => {
            let guest = guest(Linking::Static)?;
            let inputs = stage::fingerprint(stage, &guest)?;
            (guest, None, inputs, &stage.cmdline)
        }
        Recipe::Debian(debian) => {
            let dynamic = guest(Linking::Dynamic)?;
            let is_boot = debian.initramfs == recipe::Initramfs::Boot;
            let process_1 = is_boot.then(|| guest(Linking::Static)).transpose()?;
            let inputs = debian::fingerprint(&dynamic, process_1.as_deref())?;
            (dynamic, process_1, inputs, &debian.cmdline)
        }
        Recipe::Xen(xen) => {
            let guest = guest(Linking::Static)?;
            let inputs = xen::fingerprint(xen, &guest, &recipe_file)?;
            (guest, None, inputs, &xen.cmdline)
        }
    };
    let hash = inputs.file("recipe", &recipe_file)?.digest();
    if !force.is_wanted() && cache::is_current(name, &hash) {
        return Ok(image);
    }
    let cache = Cache::lock()?;
    cache.entry(name, &hash, force, |folder, log| {
        match &recipe {
            Recipe::Stage(stage) => stage::build(stage, &guest, &cache, force, folder, log)?,
            Recipe::Debian(debian) => {
                let guests = debian::Guests { root: &guest, process_1: process_1.as_deref() };
                debian::build(debian, &guests, &cache, force, folder, log)?;
            }
            Recipe::Xen(xen) => {
                xen::build(xen, &guest, &recipe_file, (&cache, force), folder, log)?;
            }
        }
        let path = folder.join("cmdline");
        fs::write(&path, format!("{cmdline}\n"))
            .context(|| format!("cannot write {}", path.display()))
    })?;
    cache.publish(name, &hash)?;
    Ok(image)
}

/// Builds the guest and returns a copy of its own: the next cargo may replace the binary at any moment, and hash and
/// image must be of the same one.
fn guest(linking: Linking) -> Result<TempPath> {
    let built = workspace::build_guest(linking)?;
    let copy =
        tempfile::NamedTempFile::new().context(|| "cannot make a temporary file".to_owned())?;
    fs::copy(&built, copy.path()).context(|| format!("cannot copy {}", built.display()))?;
    Ok(copy.into_temp_path())
}
