//! A thousand AppVMs on one template: what one more costs, and what a list of them costs.

use super::{
    Result, image, ours,
    shape::SHAPES,
    turns::{timed, took},
};
use ebbtide::{
    name::VmName,
    pool::{Pool, driver::Ending},
    vm::{self, Allow, Guard, NewVm, Run},
};
use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// After how many VMs it is measured.
const STAGES: [usize; 3] = [10, 100, 1000];
/// How many VMs are measured at each: the last ones.
const LAST: usize = 10;

/// Measures in `dir`; lists are printed by the program `ebbtide`.
pub(crate) fn measure(dir: &Path, rounds: usize, ebbtide: &Path) -> Result<()> {
    let root = dir.join("many");
    let image = image::make(dir, SHAPES[0])?;
    let pool = ours::pool(&root, 2)?;
    let template = ours::template(&pool, "debian", &image)?;
    let mut made = 0;
    for stage in STAGES {
        let say = |what: &str, time: Duration| took("ours", &stage, time, what);
        while made < stage {
            let (name, new) = (name(made)?, NewVm::new(template.clone()));
            let ((), time) = timed(|| Ok(vm::create(&pool, &name, &new)?))?;
            if made + LAST >= stage {
                say("create", time);
            }
            made += 1;
        }
        for at in stage - LAST..stage {
            let name = name(at)?;
            say("prepare", timed(|| prepare(&pool, &name))?.1);
            say("release", timed(|| release(&pool, &name))?.1);
        }
        for _ in 0..rounds.max(3) {
            say("list", timed(|| list(&pool, stage))?.1);
            say("vm list", timed(|| show(&root, ebbtide, stage))?.1);
        }
        eprintln!("{stage} VMs");
    }
    all_at_once(&pool, rounds, &root, ebbtide)
}

/// Prepares all VMs, lists them, and releases them.
fn all_at_once(pool: &Pool, rounds: usize, root: &Path, ebbtide: &Path) -> Result<()> {
    let all = STAGES[STAGES.len() - 1];
    for at in 0..all {
        let name = name(at)?;
        let ((), time) = timed(|| prepare(pool, &name))?;
        if let Some(stage) = STAGES.iter().find(|stage| at < **stage && at + LAST >= **stage) {
            took("ours", stage, time, "prepare, those before stay");
        }
    }
    for _ in 0..rounds.max(3) {
        let ((), time) = timed(|| show(root, ebbtide, all))?;
        took("ours", &all, time, "vm list, all prepared");
    }
    for at in 0..all {
        release(pool, &name(at)?)?;
    }
    Ok(())
}

/// Returns the name of a VM.
pub(crate) fn name(at: usize) -> Result<VmName> {
    Ok(format!("work-{at:04}").parse()?)
}

/// Does what `ebbtide vm prepare` does.
pub(crate) fn prepare(pool: &Pool, name: &VmName) -> Result<()> {
    let guard = Guard::take(pool, name, "prepare", Allow::Stopped)?;
    vm::prepare(pool, &guard, Run::new(vm::PREPARE)?)?;
    Ok(())
}

/// Does what `ebbtide vm release` does.
pub(crate) fn release(pool: &Pool, name: &VmName) -> Result<()> {
    let guard = Guard::take(pool, name, "release", Allow::Prepared)?;
    vm::release(pool, &guard, Ending::Commit)?;
    Ok(())
}

fn list(pool: &Pool, wanted: usize) -> Result<()> {
    let listing = vm::list(pool)?;
    match (listing.vms.len(), listing.unreadable.first()) {
        // The template is one too.
        (found, None) if found == wanted + 1 => Ok(()),
        (found, error) => Err(format!("{found} VMs are listed: {error:?}").into()),
    }
}

/// Runs `ebbtide vm list` as a process, from its start to its end.
fn show(root: &Path, ebbtide: &Path, wanted: usize) -> Result<()> {
    let mut command = Command::new(ebbtide);
    command.arg("--pool").arg(root).args(["vm", "list"]).stderr(Stdio::inherit());
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    let found = text.lines().filter(|line| line.contains("work-")).count();
    if output.status.success() && found == wanted {
        return Ok(());
    }
    Err(format!("vm list: {}, {found} VMs of {wanted}", output.status).into())
}
