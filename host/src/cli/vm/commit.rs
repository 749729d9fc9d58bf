//! `ebbtide vm commit`.

use crate::cli::{Context, background, context::said, out, outcome};
use ebbtide::{
    Result, VmName,
    vm::{commit, follow_up, make_version},
};

/// Make a version of a VM: of a versioned one NAME-vN, and of what a cut left uncommitted
///
/// A versioned VM with versioned=auto makes one at each clean stop by itself.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template; of a versioned one NAME-next
    name: VmName,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let name = &options.name;
    let (sentences, outcomes) = commit(&pool, name, None)?;
    said(&sentences);
    if pool.vm(name)?.record.versioned.is_some() {
        match make_version(&pool, name)? {
            Some(version) => out::say(&format!("{version} is the newest version of {name}")),
            None => out::say(&format!("the newest version of {name} has what it has")),
        }
    }
    said(&follow_up(&pool)?);
    background::precache(&pool, name);
    outcome::print(context, &outcomes)
}
