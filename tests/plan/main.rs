//! Plans of whole machines: a test is a folder that looks like `/` of one, beside what is to be said.
//!
//! In `NN-name/` stand `proc`, `sys`, `dev`, `etc` and `run`, as far as the observer reads them, and
//! one of two files: `expected`, what `ebbtide-init plan --root` prints, or `refused`, its error. The
//! program that is shipped runs on it; afterwards not one byte, link or time in it has changed.
//! With `EBBTIDE_BLESS=1` the file is written from what the program says: read the difference.

mod diff;
mod tree;

use diff::Diff;
use libtest_mimic::{Arguments, Failed, Trial};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};
use tree::Tree;

const PROGRAM: &str = env!("CARGO_BIN_EXE_ebbtide-init");
const EXPECTED: &str = "expected";
const REFUSED: &str = "refused";

fn main() -> ExitCode {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plan");
    let mut folders = fs::read_dir(&cases)
        .unwrap_or_else(|e| panic!("{}: {e}", cases.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.is_dir())
        .collect::<Vec<_>>();
    folders.sort();
    let trials = folders
        .into_iter()
        .map(|folder| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Trial::test(name, move || run(&folder).map_err(Failed::from))
        })
        .collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// What the program said, and which of the two files it belongs in.
struct Answer {
    file: &'static str,
    text: String,
}

fn run(folder: &Path) -> Result<(), String> {
    let before = Tree::read(folder)?;
    let answer = ask(folder)?;
    let changes = before.changes(&Tree::read(folder)?);
    if !changes.is_empty() {
        return Err(format!("planning changed the machine:\n  {}", changes.join("\n  ")));
    }
    if env::var_os("EBBTIDE_BLESS").is_some_and(|bless| bless == "1") {
        return bless(folder, &answer);
    }
    let (file, wanted) = wanted(folder)?;
    if file != answer.file {
        let Answer { file: found, text } = answer;
        return Err(format!("wanted what {file} says; found {found}:\n{text}"));
    }
    if wanted == answer.text {
        Ok(())
    } else {
        Err(format!("{}:\n{}", folder.join(file).display(), Diff(&wanted, &answer.text)))
    }
}

fn ask(folder: &Path) -> Result<Answer, String> {
    let output = Command::new(PROGRAM)
        .args(["plan", "--root"])
        .arg(folder)
        .env_clear()
        .output()
        .map_err(|e| format!("{PROGRAM}: {e}"))?;
    let text = |bytes| String::from_utf8(bytes).map_err(|e| format!("{PROGRAM}: {e}"));
    let (out, err) = (text(output.stdout)?, text(output.stderr)?);
    match output.status.code() {
        Some(0) if err.is_empty() => Ok(Answer { file: EXPECTED, text: out }),
        Some(1) if out.is_empty() => Ok(Answer { file: REFUSED, text: err }),
        _ => Err(format!(
            "wanted exit status 0 with output alone, or 1 with an error alone; found {}\n\
             output:\n{out}error:\n{err}",
            output.status
        )),
    }
}

fn wanted(folder: &Path) -> Result<(&'static str, String), String> {
    let files: Vec<(_, PathBuf)> = [EXPECTED, REFUSED]
        .map(|file| (file, folder.join(file)))
        .into_iter()
        .filter(|(_, path)| path.exists())
        .collect();
    let [(file, path)] = files.as_slice() else {
        return Err(format!(
            "{}: wanted one of the files {EXPECTED} and {REFUSED}; found {}",
            folder.display(),
            if files.is_empty() { "neither" } else { "both" }
        ));
    };
    let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok((file, text))
}

fn bless(folder: &Path, answer: &Answer) -> Result<(), String> {
    for file in [EXPECTED, REFUSED] {
        let path = folder.join(file);
        let done = if file == answer.file {
            fs::write(&path, &answer.text)
        } else if path.exists() {
            fs::remove_file(&path)
        } else {
            Ok(())
        };
        done.map_err(|e| format!("{}: {e}", path.display()))?;
    }
    Ok(())
}
