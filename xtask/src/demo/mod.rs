//! `cargo xtask demo`: an image flows in, a story of claims with their proofs flows out.
//!
//! Everything shown is asked of the running guest, or of the files on the host, while you watch.

mod claims;
mod host;
mod story;

use std::time::Instant;

use story::Story;
use vmtest::{Accelerator, Disk, Image, Qemu, Size, Vm};

use crate::failure::{Context, Failure, Result};
use crate::images;

const IMAGE: &str = "debian-initramfs-tools";

/// Size of the volatile disk: 2 GiB.
const VOLATILE: Size = Size::gib(2);

/// What the host enlarges it to.
const ENLARGED: Size = Size::gib(3);

/// Size of the private disk: 512 MiB.
const PRIVATE: Size = Size::mib(512);

/// Lines of the console that a failure shows.
const TAIL: usize = 25;

/// Runs the verb.
pub(crate) fn main(args: &[String]) -> Result<()> {
    if let Some(unknown) = args.first() {
        return Err(Failure::usage(format!("demo: unknown argument {unknown}")));
    }
    let start = Instant::now();
    println!(
        "Ebbtide: a machine on a read-only root that may write anywhere, and forgets all but what it is to keep.\n"
    );

    let mut story = Story::default();
    story.part("make the image of a Debian 12, unless it is there", || images::ensure(&[IMAGE]))?;
    let image = Image::named(IMAGE).context(|| format!("no image {IMAGE}"))?;
    let before = story.part("take the checksum of its root", || host::sha256(&image.root()))?;
    let mut vm = story.part("boot it under QEMU", || boot(&image))?;
    introduce(&image, &vm, &before)?;

    let told = claims::tell(&mut story, &mut vm, &image, &before);
    if let Err(error) = &told {
        println!("\nThe story ends here: {error}");
    }
    let failed = story.failed() + usize::from(told.is_err());
    if failed > 0 {
        println!("\nThe last lines of the console:\n{}", tail(&vm.console()));
    }
    println!(
        "\n{} of {} claims hold; {:.0} s in all.",
        story.claims() - story.failed(),
        story.claims(),
        start.elapsed().as_secs_f64()
    );
    if failed > 0 { Err(Failure::told()) } else { Ok(()) }
}

fn boot(image: &Image) -> Result<Vm> {
    let vm = Qemu::boot(image)
        .root(Disk::read_only(image.root()))
        .private(Disk::empty(PRIVATE))
        .volatile(Disk::empty(VOLATILE))
        .start()
        .context(|| "cannot start the machine".to_owned())?;
    vm.wait_until_ready().context(|| "the machine does not come up".to_owned())?;
    Ok(vm)
}

fn introduce(image: &Image, vm: &Vm, checksum: &str) -> Result<()> {
    let size = |disk: &str| -> Result<String> {
        let path = vm.drive(disk).context(|| "a disk is missing".to_owned())?.path();
        let file = path.metadata().context(|| format!("cannot read {}", path.display()))?;
        Ok(host::mebibytes(Size::bytes(file.len())))
    };
    println!("\nThe machine has three disks:");
    println!("  root      {:>8}  read-only, shared: {}", size("root")?, image.root().display());
    println!("            {:>8}  sha256 {checksum}", "");
    println!("  private   {:>8}  blank, kept over power cycles", size("private")?);
    println!("  volatile  {:>8}  made empty and sparse at every start", size("volatile")?);
    println!(
        "{}",
        match vm.accelerator() {
            Accelerator::Kvm => "The CPU runs it, by KVM.",
            Accelerator::Tcg =>
                "QEMU emulates its CPU: there is no KVM here, so everything takes longer.",
        }
    );
    Ok(())
}

fn tail(console: &str) -> String {
    let lines: Vec<&str> = console.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].iter().map(|line| format!("  | {line}\n")).collect()
}
