//! Commits of a template and starts of an AppVM's root, ours and the plain protocol's in turn, for each shape of image.

use super::{
    Result, image,
    ours::{self, Ours},
    plain::Plain,
    shape::{SHAPES, Shape},
    turns::{Protocol, settle, timed, took},
};
use std::{fs, path::Path, sync::mpsc, thread, time::Duration};

/// How many versions both keep: few, so that old ones go in most rounds.
const KEEP: u32 = 2;
/// How long after a commit something is started right after it.
const RIGHT_AFTER: Duration = Duration::from_millis(1);

/// Measures the shapes of these names in `dir`, all without a name, `rounds` times each.
pub(crate) fn measure(dir: &Path, rounds: usize, names: &[&str]) -> Result<()> {
    let images = dir.join("images");
    fs::create_dir_all(&images)?;
    let pool = ours::pool(&dir.join("pool"), KEEP)?;
    for shape in SHAPES {
        let name = shape.to_string();
        if !names.is_empty() && !names.contains(&name.as_str()) {
            continue;
        }
        let image = image::make(&images, shape)?;
        let ours = Ours::make(&pool, &name, &image)?;
        let plain = Plain::make(&dir.join("plain").join(&name), &image, KEEP)?;
        let both: [&dyn Protocol; 2] = [&ours, &plain];
        for protocol in both {
            protocol.afterwards()?;
        }
        for round in 0..rounds {
            // Who goes first is the one who goes after what the other left behind.
            for at in [round % 2, 1 - round % 2] {
                one(both[at], dir, shape, round)?;
            }
            eprintln!("{shape}: round {} of {rounds}", round + 1);
        }
    }
    Ok(())
}

/// Measures all operations of one protocol once.
fn one(protocol: &dyn Protocol, dir: &Path, shape: Shape, round: usize) -> Result<()> {
    let say = |what: &str, time: Duration| took(protocol.name(), &shape, time, what);
    settle(dir)?;
    let (dirty, time) = timed(|| protocol.start_template())?;
    say("template start", time);
    image::edit(&dirty, round)?;
    settle(dir)?;
    say("commit", timed(|| protocol.commit())?.1);

    let ((), alone) = while_busy(protocol, || Ok(()))?;
    say("after the commit", alone);

    image::edit(&protocol.start_template()?, round + 1)?;
    settle(dir)?;
    protocol.commit()?;
    let (time, _) = while_busy(protocol, || Ok(timed(|| protocol.start_root())?.1))?;
    say("root start right after a commit", time);
    protocol.stop_root()?;

    image::edit(&protocol.start_template()?, round + 2)?;
    settle(dir)?;
    protocol.commit()?;
    let (time, _) = while_busy(protocol, || Ok(timed(|| protocol.start_template())?.1))?;
    say("template start right after a commit", time);
    protocol.discard_template()?;
    protocol.afterwards()?;

    settle(dir)?;
    say("root start", timed(|| protocol.start_root())?.1);
    settle(dir)?;
    say("root stop", timed(|| protocol.stop_root())?.1);
    Ok(())
}

/// Does something while the background work of a commit runs; returns what came of it and how long the background work
/// took.
fn while_busy<T>(
    protocol: &dyn Protocol,
    work: impl FnOnce() -> Result<T>,
) -> Result<(T, Duration)> {
    let (begun, wait) = mpsc::channel();
    thread::scope(|scope| {
        let background = scope.spawn(move || {
            let _ = begun.send(());
            timed(|| protocol.afterwards())
        });
        wait.recv()?;
        thread::sleep(RIGHT_AFTER);
        let done = work();
        let ((), time) = background.join().map_err(|_| "the background work panicked")??;
        Ok((done?, time))
    })
}
