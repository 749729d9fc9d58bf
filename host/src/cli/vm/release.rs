//! `ebbtide vm release`.

use crate::cli::{
    Context, background,
    context::{said, take},
    outcome,
};
use ebbtide::{
    Result, VmName,
    error::{Refusal, RefusalKind},
    pool::{Pool, driver::Ending},
    vm::{Allow, Guard, follow_up, look, release},
};

/// End what `vm prepare` began, and commit what the guest wrote
///
/// Of a VM that is not prepared, or was cut off since, nothing is committed: nobody knows that it ended as it should.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The VM or the template
    name: VmName,
    /// Drop what it wrote
    #[arg(long)]
    discard: bool,
    /// It did not end as it should: keep what it wrote uncommitted, for its next start
    #[arg(long, conflicts_with = "discard")]
    keep: bool,
}

pub(crate) fn run(context: &Context, options: &Options) -> Result<()> {
    let pool = context.open()?;
    let ending = match (options.discard, options.keep) {
        (true, _) => Ending::Discard,
        (false, true) => Ending::Keep,
        (false, false) => Ending::Commit,
    };
    let guard = take(&pool, &options.name, "release", Allow::Prepared)?;
    if !guard.is_prepared() {
        return Err(refusal(&pool, &guard)?.into());
    }
    let outcomes = release(&pool, &guard, ending)?;
    drop(guard);
    said(&follow_up(&pool)?);
    background::precache(&pool, &options.name);
    outcome::print(context, &outcomes)
}

/// Returns the refusal of a VM that is not prepared, or not any more.
fn refusal(pool: &Pool, guard: &Guard) -> Result<Refusal> {
    let vm = guard.vm();
    let refusal = Refusal::new(RefusalKind::Rule, format!("{} is not prepared", vm.name));
    // What was settled just now, said so.
    let is_to_say = guard.said().is_empty() && look(pool, vm.clone())?.uncommitted;
    Ok(match is_to_say {
        true => refusal.hint(format!(
            "what a cut left of it is uncommitted: 'ebbtide volume commit {0}:VOL' commits it, 'ebbtide volume discard \
             {0}:VOL' drops it",
            vm.name
        )),
        false => refusal,
    })
}
