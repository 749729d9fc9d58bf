//! `ebbtide pool create`.

use super::info;
use crate::cli::Context;
use clap::ValueEnum;
use ebbtide::{
    Result,
    pool::{Create, DriverName, Pool},
};
use std::path::PathBuf;

/// Make a pool
///
/// Versions share what they have in common where the file system clones files (btrfs, XFS). Elsewhere they are copies,
/// and that has to be allowed, or differences that device-mapper keeps (--driver dm).
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Its directory; made where it is missing, else it must be empty
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// How versions share what they have in common, if not as the file system can
    #[arg(long, value_enum)]
    driver: Option<Driver>,
    /// Take copies where files cannot be cloned
    #[arg(long)]
    allow_copy: bool,
    /// How many versions of each disk are kept beside the current one
    #[arg(long, value_name = "N", default_value_t = Create::default().keep)]
    keep: u32,
}

/// How versions share what they have in common.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Driver {
    /// The file system clones files
    Reflink,
    /// Each version is a sparse copy
    Copy,
    /// Device-mapper keeps what changes between versions, on any file system; needs root
    Dm,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let driver = options.driver.map(|driver| match driver {
        Driver::Reflink => DriverName::Reflink,
        Driver::Copy => DriverName::Copy,
        Driver::Dm => DriverName::Dm,
    });
    let create = Create { driver, allow_copy: options.allow_copy, keep: options.keep };
    let pool = Pool::create(&options.dir, &create)?;
    info::print(context, &pool)
}
