//! A folder of transcripts, each a test.

use crate::{
    diff::Diff,
    script::{Around, Script},
};
use libtest_mimic::{Arguments, Failed, Trial};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Runs the transcripts of a folder of this package, or writes them anew.
pub(crate) fn run(folder: &str, around: Around) -> ExitCode {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
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
            Trial::test(name, move || run_one(&file, around).map_err(Failed::from))
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn run_one(file: &Path, around: Around) -> Result<(), String> {
    let wanted = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    if !(around.can_run)() {
        return Ok(());
    }
    let found = Script::parse(&wanted).run(around)?;
    if env::var_os("EBBTIDE_BLESS").is_some_and(|bless| bless == "1") {
        return fs::write(file, found).map_err(|e| format!("{}: {e}", file.display()));
    }
    if wanted == found {
        Ok(())
    } else {
        Err(format!("{}:\n{}", file.display(), Diff(&wanted, &found)))
    }
}
