//! `ebbtide template`: roots that VMs boot from, and their versions.

mod commit;
mod create;
mod list;
mod pin;
mod recipe;
mod revert;
mod unpin;
mod versions;

use super::Context;
use clap::Subcommand;
use ebbtide::{
    Result, VmName, VolumeName,
    error::{Refusal, RefusalKind},
    name::VolumeId,
    pool::Pool,
    vm::Kind,
};

/// The verbs.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Create(Box<create::Options>),
    List(list::Options),
    Versions(versions::Options),
    Commit(commit::Options),
    Revert(revert::Options),
    Pin(pin::Options),
    Unpin(unpin::Options),
}

pub(crate) fn run(context: &Context, verb: &Verb) -> Result<()> {
    match verb {
        Verb::Create(options) => create::run(context, options),
        Verb::List(options) => list::run(context, options),
        Verb::Versions(options) => versions::run(context, options),
        Verb::Commit(options) => commit::run(context, options),
        Verb::Revert(options) => revert::run(context, options),
        Verb::Pin(options) => pin::run(context, options),
        Verb::Unpin(options) => unpin::run(context, options),
    }
}

/// Returns the root of a template.
///
/// # Errors
/// There is no VM of that name, or it is none.
fn root(pool: &Pool, name: &VmName) -> Result<VolumeId> {
    let vm = pool.vm(name)?;
    let id = VolumeId { vm: name.clone(), volume: VolumeName::root() };
    match (vm.record.kind, vm.record.template) {
        (Kind::Template, _) => Ok(id),
        (Kind::AppVm, template) => {
            let refusal = Refusal::new(
                RefusalKind::Rule,
                format!("{name} is no template, but a VM that boots from one"),
            );
            Err(match template {
                Some(template) => refusal.hint(format!("its template is {template}")),
                None => refusal,
            }
            .into())
        }
    }
}
