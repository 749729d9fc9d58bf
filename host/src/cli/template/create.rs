//! `ebbtide template create`.

use super::recipe;
use crate::cli::{Context, engine::EngineOptions, place::PlaceOptions, progress::Bar, value};
use ebbtide::{
    Result, VmName,
    vm::{NewTemplate, RootSource, create_template},
};
use ebbtide_format::units::Bytes;
use std::path::{Path, PathBuf};

/// Make a template from an image of a disk, or a blank one to install to
///
/// The image is taken in as it is now: raw, qcow2, vmdk, vdi, vhdx or vhd, also compressed by gzip, xz or zstd. With a
/// kernel beside the root the engine boots that; else the boot loader of the image boots.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("content").required(true).args(["root", "from_recipe"]))]
pub(crate) struct Options {
    /// Its name
    name: VmName,
    /// An image, or the size of a blank disk, such as 10G; a file that is called so is ./10G
    #[arg(long, value_name = "IMAGE|SIZE")]
    root: Option<PathBuf>,
    /// A folder with root.img, vmlinuz, initrd.img and cmdline, or its name below EBBTIDE_IMAGES
    #[arg(long, value_name = "RECIPE", conflicts_with_all = ["root", "kernel", "initrd", "cmdline"])]
    from_recipe: Option<PathBuf>,
    /// A kernel to boot directly
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Its initial file system
    #[arg(long, value_name = "FILE", requires = "kernel")]
    initrd: Option<PathBuf>,
    /// Its command line
    #[arg(long, value_name = "TEXT", requires = "kernel")]
    cmdline: Option<String>,
    /// Size of its private disk, 2G by default; 0 for none
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    private: Option<Bytes>,
    /// Room for swap on its volatile disk, 1G by default
    #[arg(long, value_name = "SIZE", value_parser = value::size)]
    swap: Option<Bytes>,
    /// How many versions of each disk are kept beside the current one, if not as the pool says
    #[arg(long, value_name = "N")]
    keep: Option<u32>,
    #[command(flatten)]
    engine: EngineOptions,
    #[command(flatten)]
    place: PlaceOptions,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let mut new = match (&options.from_recipe, &options.root) {
        (Some(name), _) => recipe::read(name)?,
        (None, root) => NewTemplate::new(source(root.as_deref().unwrap_or(Path::new("")))),
    };
    new.kernel = options.kernel.clone().or(new.kernel);
    new.initrd = options.initrd.clone().or(new.initrd);
    new.engine.cmdline = options.cmdline.clone().or(new.engine.cmdline);
    new.private = options.private.unwrap_or(new.private);
    new.swap = options.swap.unwrap_or(new.swap);
    new.keep = options.keep;
    options.engine.apply(&mut new.engine);
    let mut bar = Bar::new(format!("create {}", options.name));
    create_template(&pool, &options.name, &new, &mut bar)?;
    options.place.apply(&pool, &options.name)
}

/// Tells a size from the path of an image.
fn source(root: &Path) -> RootSource {
    match root.to_str().and_then(Bytes::parse) {
        Some(size) => RootSource::Blank(size),
        None => RootSource::Image(root.into()),
    }
}
