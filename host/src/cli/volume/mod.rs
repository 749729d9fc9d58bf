//! `ebbtide volume`: disks of VMs and templates.

mod changed;
mod commit;
mod content;
mod discard;
mod export;
mod export_end;
mod import;
mod resize;
mod revert;
mod revisions;
mod show;

use super::Context;
use clap::Subcommand;
use ebbtide::{
    Result,
    name::VolumeId,
    pool::{Pool, driver::Volume},
};

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Show(show::Options),
    Resize(resize::Options),
    Export(export::Options),
    ExportEnd(export_end::Options),
    Import(import::Options),
    Revisions(revisions::Options),
    Revert(revert::Options),
    Commit(commit::Options),
    Discard(discard::Options),
    Changed(changed::Options),
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Show(options) => show::run(context, options),
        Verb::Resize(options) => resize::run(context, options),
        Verb::Export(options) => export::run(context, options),
        Verb::ExportEnd(options) => export_end::run(context, options),
        Verb::Import(options) => import::run(context, options),
        Verb::Revisions(options) => revisions::run(context, options),
        Verb::Revert(options) => revert::run(context, options),
        Verb::Commit(options) => commit::run(context, options),
        Verb::Discard(options) => discard::run(context, options),
        Verb::Changed(options) => changed::run(context, options),
    }
}

/// Returns a volume as its VM's record describes it now.
fn find(pool: &Pool, id: &VolumeId) -> Result<Volume> {
    pool.vm(&id.vm)?.volume(pool, &id.volume)
}
