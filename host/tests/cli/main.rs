//! What the program prints: a test is a transcript, `cases/NAME.txt`.
//!
//! A line `$ COMMAND` is run by sh in an empty directory of the case, in which `ebbtide` is the program that is
//! shipped. What follows is standard output, then standard error with `! ` before each line, then `[exit N]` unless it
//! is 0. Lines that begin with `# ` are for readers. UUIDs, times, inodes and the directory are masked. With
//! `EBBTIDE_BLESS=1` the transcripts are written from what the program says: read the difference.

#[path = "../background/mod.rs"]
mod background;
#[path = "../../../tests/plan/diff.rs"]
mod diff;
mod mask;
mod script;

use diff::Diff;
use libtest_mimic::{Arguments, Failed, Trial};
use script::Script;
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

fn main() -> ExitCode {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/cases");
    let mut files = fs::read_dir(&cases)
        .unwrap_or_else(|e| panic!("{}: {e}", cases.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect::<Vec<PathBuf>>();
    files.sort();
    let trials = files
        .into_iter()
        .map(|file| {
            let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            Trial::test(name, move || run(&file).map_err(Failed::from))
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn run(file: &Path) -> Result<(), String> {
    let wanted = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let found = Script::parse(&wanted).run()?;
    if env::var_os("EBBTIDE_BLESS").is_some_and(|bless| bless == "1") {
        return fs::write(file, found).map_err(|e| format!("{}: {e}", file.display()));
    }
    if wanted == found {
        Ok(())
    } else {
        Err(format!("{}:\n{}", file.display(), Diff(&wanted, &found)))
    }
}
