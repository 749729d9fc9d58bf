//! `cargo xtask demo`: an image flows in, a story of claims with their proofs flows out.
//!
//! Everything shown is asked of the running guests, of the program `ebbtide`, or of the pool's files, while you
//! watch. In the end everything is removed.

mod host;
mod machines;
mod place;
mod story;
mod versions;

use std::sync::Arc;
use std::time::Instant;

pub(crate) use host::Host;
use nix::sys::signal::{SigSet, Signal};
pub(crate) use place::Place;
use place::Sharing;
use story::Story;
use vmtest::Accelerator;

use crate::failure::{Context, Failure, Result};
use crate::images;

/// The image that becomes the template.
const IMAGE: &str = "debian-initramfs-tools";

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> Result<()> {
    if let Some(unknown) = args.first() {
        return Err(Failure::usage(format!("demo: unknown argument {unknown}")));
    }
    let start = Instant::now();
    println!(
        "Ebbtide: machines that share one root. Each may write anywhere, and forgets all but what it is to keep.\n"
    );
    let mut story = Story::default();
    story.part("make the image of a Debian 12, unless it is there", || images::ensure(&[IMAGE]))?;
    let (place, sharing) = story.part("make a place for the pool", Place::make)?;
    let host = story.part("build the program", || Host::new(place, images::base()))?;
    let host = Arc::new(host);
    clear_when_interrupted(&host)?;
    introduce(sharing)?;

    let told = tell(&mut story, &host, sharing);
    if let Err(error) = &told {
        println!("\nThe story ends here: {}", error.chain());
    }
    host.clear();
    let failed = story.failed() + usize::from(told.is_err());
    println!(
        "\n{} of {} claims hold; {:.0} s in all. Everything is removed.",
        story.claims() - story.failed(),
        story.claims(),
        start.elapsed().as_secs_f64()
    );
    if failed > 0 { Err(Failure::told()) } else { Ok(()) }
}

fn tell(story: &mut Story, host: &Host, sharing: Sharing) -> Result<()> {
    let first = machines::make(story, host, sharing)?;
    let (work, mail) = machines::write(story, host)?;
    drop(work);
    let work = machines::restart(story, host)?;
    versions::edit(story, host, &work, &mail)?;
    drop(work);
    versions::restart(story, host, &mail)?;
    drop(mail);
    versions::crash(story, host)?;
    versions::end(story, host, &first)
}

/// Has Ctrl-C end the machines too: they run in the background, and would stay.
fn clear_when_interrupted(host: &Arc<Host>) -> Result<()> {
    let mut signals = SigSet::empty();
    [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .for_each(|signal| signals.add(signal));
    signals.thread_block().context(|| "cannot wait for signals".to_owned())?;
    let host = Arc::clone(host);
    std::thread::spawn(move || {
        if let Ok(signal) = signals.wait() {
            println!("\n{signal}: the machines are stopped, everything is removed");
            host.clear();
            std::process::exit(128 + signal as i32);
        }
    });
    Ok(())
}

fn introduce(sharing: Sharing) -> Result<()> {
    println!(
        "\n{}",
        match sharing {
            Sharing::Clones => "The pool is on a file system that clones files.",
            Sharing::Copies =>
                "The pool is on a file system that copies files: only root can make another for this.",
        }
    );
    let program = std::env::var("EBBTIDE_QEMU").unwrap_or_else(|_| "qemu-system-x86_64".into());
    let accelerator = Accelerator::probe(std::path::Path::new(&program))
        .context(|| "cannot find out what runs a guest".to_owned())?;
    println!(
        "{}",
        match accelerator {
            Accelerator::Kvm => "The CPU runs the machines, by KVM.",
            Accelerator::Tcg =>
                "QEMU emulates the machines' CPUs: there is no KVM here, so everything takes longer.",
        }
    );
    Ok(())
}
