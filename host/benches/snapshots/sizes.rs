//! A snapshot, a clone of it, a clone of the VM, and the way back, of roots of 1, 10 and 100 GiB.

use super::{
    Result, image, pool,
    shape::Shape,
    template,
    turns::{settle, timed, took},
};
use ebbtide::{
    name::VmName,
    pool::{Pool, driver::Ending, store::Unseen},
    vm::{self, Allow, Guard, Run, Snapshot, Taking},
};
use std::{fs, path::Path, time::Duration};

/// Sparse roots, of few extents and of many.
const SHAPES: [Shape; 6] = [
    Shape { gib: 1, extents: 1 },
    Shape { gib: 10, extents: 1 },
    Shape { gib: 100, extents: 1 },
    Shape { gib: 1, extents: 10_000 },
    Shape { gib: 10, extents: 10_000 },
    Shape { gib: 100, extents: 10_000 },
];

/// Measures all shapes in turn, `rounds` times.
pub(crate) fn measure(dir: &Path, rounds: usize) -> Result<()> {
    let images = dir.join("images");
    fs::create_dir_all(&images)?;
    let pool = pool(&dir.join("pool"))?;
    for shape in SHAPES {
        let image = image::make(&images, shape)?;
        template(&pool, &shape.to_string(), &image)?;
    }
    for round in 0..rounds {
        for shape in SHAPES {
            one(&pool, dir, shape, round)?;
        }
        eprintln!("round {} of {rounds}", round + 1);
    }
    Ok(())
}

/// Measures all of one shape once.
fn one(pool: &Pool, dir: &Path, shape: Shape, round: usize) -> Result<()> {
    let say = |what: &str, time: Duration| took("ours", &shape, time, what);
    let name: VmName = shape.to_string().parse()?;
    settle(dir)?;
    let (snapshot, time) = timed(|| take(pool, &name))?;
    say("snapshot create", time);

    let clone: VmName = format!("{name}-clone-{round}").parse()?;
    settle(dir)?;
    say("snapshot clone", timed(|| Ok(vm::clone_snapshot(pool, &snapshot, &clone)?))?.1);
    let clone: VmName = format!("{name}-copy-{round}").parse()?;
    settle(dir)?;
    say("vm clone", timed(|| Ok(vm::clone(pool, &name, &clone)?))?.1);

    let later = running(pool, dir, &name, round, &say)?;
    settle(dir)?;
    say("snapshot revert", timed(|| Ok(vm::revert_vm(pool, &snapshot)?))?.1);
    for snapshot in [snapshot, later] {
        settle(dir)?;
        let uuid = snapshot.uuid.to_string();
        say("snapshot remove", timed(|| Ok(vm::remove_snapshot(pool, &uuid)?))?.1);
    }
    Ok(())
}

/// Takes a snapshot as `ebbtide snapshot create` does.
pub(crate) fn take(pool: &Pool, name: &VmName) -> Result<Snapshot> {
    let guard = Guard::take(pool, name, "snapshot", Allow::Stopped)?;
    Ok(vm::snapshot(pool, &guard, None, None, &mut Unseen)?)
}

/// Takes one of a VM that is prepared and has written something, as its engine does, and commits.
fn running(
    pool: &Pool,
    dir: &Path,
    name: &VmName,
    round: usize,
    say: &impl Fn(&str, Duration),
) -> Result<Snapshot> {
    vm::precache(pool, name)?;
    let guard = Guard::take(pool, name, "start", Allow::Stopped)?;
    let disks = vm::prepare(pool, &guard, Run::new("bench")?)?;
    image::edit(&disks[0].path, round)?;
    settle(dir)?;
    let (mut taking, before) = timed(|| Ok(Taking::begin(pool, &guard, None, false)?))?;
    let ((), still) = timed(|| Ok(taking.hold(pool, None, &mut Unseen)?))?;
    let (snapshot, after) = timed(|| Ok(taking.finish(pool)?))?;
    say("snapshot of one that runs", before + still + after);
    say("of that it stands still", still);
    vm::release(pool, &guard, Ending::Commit)?;
    Ok(snapshot)
}
