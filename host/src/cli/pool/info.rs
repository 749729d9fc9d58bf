//! `ebbtide pool info`.

use crate::cli::{Context, human, out, table};
use ebbtide::{Result, pool::Pool};
use serde::Serialize;
use std::path::Path;

/// Show what is in the pool and how much room there is
#[derive(Debug, clap::Args)]
pub(crate) struct Options {}

pub(crate) fn run(context: &Context, _: &Options) -> Result<()> {
    print(context, &context.open()?)
}

/// The pool in numbers; sizes in bytes.
#[derive(Debug, Serialize)]
struct Info<'a> {
    dir: &'a Path,
    driver: String,
    keep: u32,
    file_system: String,
    size: u64,
    free: u64,
    templates: u64,
    vms: u64,
    snapshots: u64,
    savestates: u64,
    unreadable: u64,
    images: u64,
    length: u64,
    allocated: u64,
}

/// Prints a pool in numbers.
pub(super) fn print(context: &Context, pool: &Pool) -> Result<()> {
    let info = pool.info()?;
    if context.json {
        return out::json(&Info {
            dir: pool.dir(),
            driver: info.driver.to_string(),
            keep: info.keep,
            file_system: info.file_system,
            size: info.size.0,
            free: info.free.0,
            templates: info.templates,
            vms: info.appvms,
            snapshots: info.snapshots,
            savestates: info.savestates,
            unreadable: info.unreadable,
            images: info.images,
            length: info.length.0,
            allocated: info.allocated.0,
        });
    }
    let room = format!("{} free of {}", human::size(info.free), human::size(info.size));
    let images = format!(
        "{}, {} long, {} allocated",
        info.images,
        human::size(info.length),
        human::size(info.allocated)
    );
    let mut fields = vec![
        ("pool", pool.dir().display().to_string()),
        ("driver", info.driver.to_string()),
        ("keeps", format!("{} versions of each disk beside the current one", info.keep)),
        ("file system", format!("{}, {room}", info.file_system)),
        ("templates", info.templates.to_string()),
        ("VMs", info.appvms.to_string()),
        ("images", images),
    ];
    if info.snapshots > 0 {
        fields.push(("snapshots", info.snapshots.to_string()));
    }
    if info.savestates > 0 {
        fields.push(("savestates", info.savestates.to_string()));
    }
    if info.unreadable > 0 {
        fields.push(("unreadable", format!("{}: 'ebbtide pool check' says why", info.unreadable)));
    }
    out::text(&table::fields(&fields))
}
