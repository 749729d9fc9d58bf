//! A short run of every fuzz target: the targets of `fuzz/Cargo.toml` flow in, counts and the input of a crash flow out.
//!
//! libFuzzer and the stable compiler are enough: these flags are what `cargo fuzz` would give a nightly one, without
//! the sanitizers.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use serde::Deserialize;

use super::counts::Counts;
use super::options::Options;
use crate::failure::{Context, Result};
use crate::process::{self, Log};
use crate::workspace;

/// Counts edges and compared values, which is how libFuzzer finds its way.
const FLAGS: &str = "--cfg fuzzing -Ccodegen-units=1 -Cpasses=sancov-module \
    -Cllvm-args=-sanitizer-coverage-level=4 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table -Cllvm-args=-sanitizer-coverage-trace-compares";

/// With a target named, build scripts and macros go without [`FLAGS`].
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// What libFuzzer says before the path of an input that it keeps.
const KEPT: &str = "Test unit written to ";

/// How many targets run at once, as the test machines do.
const AT_ONCE: usize = 2;

#[derive(Deserialize)]
struct Manifest {
    bin: Vec<Binary>,
}

#[derive(Deserialize)]
struct Binary {
    name: String,
}

/// Returns the names of the targets that are wanted.
pub(crate) fn targets(options: &Options) -> Result<Vec<String>> {
    let path = folder().join("Cargo.toml");
    let text = fs::read_to_string(&path).context(|| format!("cannot read {}", path.display()))?;
    let manifest: Manifest =
        toml::from_str(&text).context(|| format!("{} lists no targets", path.display()))?;
    let names = manifest.bin.into_iter().map(|binary| binary.name);
    Ok(names.filter(|name| options.wants(name)).collect())
}

/// Returns a command for cargo in the workspace of the targets: whichever verb, what is built is the same.
pub(crate) fn cargo(verb: &str) -> Command {
    let mut command = workspace::cargo();
    command.current_dir(folder()).env("RUSTFLAGS", FLAGS).env("CXX", "g++");
    command.args([verb, "--quiet", "--release", "--target", TARGET, "--target-dir"]);
    command.arg(target_dir());
    command
}

/// Builds the wanted targets and runs each for the wanted time.
pub(crate) fn run(options: &Options) -> Result<Counts> {
    let targets = targets(options)?;
    let mut build = cargo("build");
    process::run(build.args(targets.iter().flat_map(|target| ["--bin", target])))?;
    let seconds = options.fuzz_seconds;
    Ok(targets.chunks(AT_ONCE).map(|some| together(some, seconds)).sum())
}

/// Runs a few targets at the same time: each takes one processor.
fn together(targets: &[String], seconds: u32) -> Counts {
    thread::scope(|scope| {
        let runs: Vec<_> =
            targets.iter().map(|target| scope.spawn(move || survives(target, seconds))).collect();
        runs.into_iter().map(|run| Counts::one(run.join().unwrap_or(false))).sum()
    })
}

/// Runs one target and says how it went.
fn survives(target: &str, seconds: u32) -> bool {
    let Err(failure) = fuzz(target, seconds) else {
        println!("{target}: nothing found in {seconds} s");
        return true;
    };
    let said = failure.chain();
    println!("{target}: FAILED\n{said}");
    if let Some(input) = kept(&said) {
        println!("{target}: the input is {input}");
    }
    false
}

fn fuzz(target: &str, seconds: u32) -> Result<()> {
    let (corpus, artifacts) =
        (folder().join("corpus").join(target), folder().join("artifacts").join(target));
    for folder in [&corpus, &artifacts] {
        fs::create_dir_all(folder).context(|| format!("cannot make {}", folder.display()))?;
    }
    let mut command = Command::new(target_dir().join(TARGET).join("release").join(target));
    command.arg(format!("-max_total_time={seconds}"));
    command.args(["-timeout=10", "-max_len=1024"]);
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    // New inputs go into the first folder; the second one is only read.
    let seeds = folder().join("seeds").join(target);
    command.arg(&corpus).args(seeds.is_dir().then_some(seeds));
    Log::create(&target_dir().join(format!("{target}.log")))?.run(&mut command)
}

fn kept(said: &str) -> Option<&str> {
    said.lines().find_map(|line| Some(line.split_once(KEPT)?.1.trim()))
}

fn folder() -> PathBuf {
    workspace::root().join("fuzz")
}

fn target_dir() -> PathBuf {
    workspace::target_dir().join("fuzz")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_input_in_what_libfuzzer_says() {
        let said = "    SUMMARY: libFuzzer: deadly signal\n    artifact_prefix='/f/'; \
            Test unit written to /f/crash-0a1b\n    Base64: AA==\n";
        assert_eq!(kept(said), Some("/f/crash-0a1b"));
        assert_eq!(kept("killed"), None);
    }

    #[test]
    fn the_manual_gives_the_same_flags() {
        let manual = fs::read_to_string(folder().join("README.md")).unwrap();
        for flag in FLAGS.split_whitespace() {
            assert!(manual.contains(flag), "{flag}");
        }
    }

    #[test]
    fn every_target_has_its_source() {
        let options = Options::parse(&[]).unwrap();
        for target in targets(&options).unwrap() {
            assert!(folder().join(format!("fuzz_targets/{target}.rs")).is_file(), "{target}");
        }
    }
}
