//! The command line: one verb, one file, each an `Options` that clap fills, a call of the library, and a print.
//!
//! In: arguments, environment, the user's configuration. Out: text or JSON on standard output, what went wrong on
//! standard error, and the exit status: 0 done, 1 refused or failed, 2 not understood.

#![allow(dead_code, reason = "what verbs share comes before the verbs")]

mod background;
mod completions;
mod context;
mod failure;
mod human;
mod logging;
mod manual;
mod out;
mod progress;
mod table;
mod value;

use clap::{CommandFactory, Parser, Subcommand};
use context::Context;
use std::{path::PathBuf, process::ExitCode};

/// Templates, their versions, and the virtual machines that boot from them.
///
/// Many virtual machines share one root, each may write to it, and what it writes is gone when it stops; what is in
/// its private volume stays. A template is edited in a machine of its own and committed in constant time.
#[derive(Debug, Parser)]
#[command(name = "ebbtide", version, after_help = EXAMPLES, subcommand_required = true, max_term_width = 100)]
struct Cli {
    /// The pool's directory; else that of EBBTIDE_POOL, else that of the user's configuration
    #[arg(long, global = true, value_name = "DIR")]
    pool: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true)]
    json: bool,
    /// Say each operation on files
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Completions(completions::Options),
    #[command(hide = true)]
    Manual(manual::Options),
}

const EXAMPLES: &str = "\
Examples:
  ebbtide pool create /srv/ebbtide
  export EBBTIDE_POOL=/srv/ebbtide
  ebbtide template create debian --root debian.img
  ebbtide vm create work --template debian --private 10G
  ebbtide run work

  ebbtide template versions debian
  ebbtide template revert debian 3
  ebbtide vm list";

/// Does what the arguments say.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::usage(&error),
    };
    logging::init(cli.verbose);
    let context = Context { pool: cli.pool, json: cli.json };
    match run(&context, &cli.verb) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::report(&error),
    }
}

fn run(context: &Context, verb: &Verb) -> ebbtide::Result<()> {
    match verb {
        Verb::Completions(options) => completions::run(context, options),
        Verb::Manual(options) => manual::run(context, options),
    }
}

/// Returns the definition of the whole command line.
fn command() -> clap::Command {
    Cli::command()
}
