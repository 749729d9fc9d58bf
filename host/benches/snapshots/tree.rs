//! A thousand snapshots: lists and trees, each a whole command.

use super::{
    Result, image, pool,
    shape::Shape,
    sizes::take,
    template,
    turns::{timed, took},
};
use ebbtide::{
    name::VmName,
    pool::Pool,
    vm::{self, NewVm, Snapshot},
};
use ebbtide_format::units::Bytes;
use std::{
    path::Path,
    process::{Command, Stdio},
};

/// How many there are, and how many come one after the other before the VM goes back.
const ALL: usize = 1000;
const WAY: usize = 50;
/// The commands, and what each is called.
const COMMANDS: [(&str, &[&str]); 6] = [
    ("snapshot list", &["snapshot", "list"]),
    ("snapshot list work", &["snapshot", "list", "work"]),
    ("snapshot list --json", &["snapshot", "list", "--json"]),
    ("snapshot tree", &["snapshot", "tree", "work"]),
    ("snapshot tree --json", &["snapshot", "tree", "work", "--json"]),
    ("snapshot tree --svg", &["snapshot", "tree", "work", "--svg"]),
];

/// Measures a tree of ways of 50, and 1,000 one after the other, in `dir`.
pub(crate) fn measure(dir: &Path, rounds: usize, ebbtide: &Path) -> Result<()> {
    let image = image::make(dir, Shape { gib: 1, extents: 1 })?;
    for shape in ["tree", "chain"] {
        let root = dir.join(shape);
        let pool = pool(&root)?;
        let template = template(&pool, "debian", &image)?;
        let work: VmName = "work".parse()?;
        let new = NewVm { private: Bytes::mib(64), ..NewVm::new(template) };
        vm::create(&pool, &work, &new)?;
        grow(&pool, &work, shape == "tree")?;
        for _ in 0..rounds.max(5) {
            for (what, words) in COMMANDS {
                let ((), time) = timed(|| show(&root, ebbtide, words))?;
                took("ours", &shape, time, what);
            }
        }
        eprintln!("{shape}");
    }
    Ok(())
}

/// Takes snapshots; for a tree the VM goes back now and then.
fn grow(pool: &Pool, work: &VmName, goes_back: bool) -> Result<()> {
    let mut taken: Vec<Snapshot> = Vec::new();
    for number in 0..ALL {
        if goes_back && number % WAY == 0 && number > 0 {
            vm::revert_vm(pool, &taken[number / 3])?;
        }
        let (snapshot, time) = timed(|| take(pool, work))?;
        if !goes_back && [(0..10), (ALL - 10..ALL)].iter().any(|range| range.contains(&number)) {
            let stage = if number < 10 { "first ten" } else { "last ten" };
            took("ours", &stage.replace(' ', "-"), time, "snapshot create");
        }
        taken.push(snapshot);
    }
    Ok(())
}

/// Runs a command from its start to its end.
fn show(root: &Path, ebbtide: &Path, words: &[&str]) -> Result<()> {
    let mut command = Command::new(ebbtide);
    command.arg("--pool").arg(root).args(words).stderr(Stdio::inherit());
    let output = command.output()?;
    let text = String::from_utf8(output.stdout)?;
    // Each has a UUID of its own, whatever else is printed.
    if output.status.success() && text.matches("-4").count() >= ALL {
        return Ok(());
    }
    Err(format!("{}: {}, {} bytes", words.join(" "), output.status, text.len()).into())
}
