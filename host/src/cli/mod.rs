//! The command line: one verb, one file, each an `Options` that clap fills, a call of the library, and a print.
//!
//! In: arguments, environment, the user's configuration. Out: text or JSON on standard output, what went wrong on
//! standard error, and the exit status: 0 done, 1 refused or failed, 2 not understood.

mod background;
mod block;
mod completions;
mod console;
mod context;
mod cow;
mod engine;
mod export_config;
mod failure;
mod human;
mod logging;
mod manual;
mod out;
mod outcome;
mod place;
mod pool;
mod printable;
mod progress;
mod refresh;
mod run;
mod savestate;
mod shown;
mod snapshot;
mod start;
mod stop;
mod supervise;
mod table;
mod template;
mod terminal;
mod value;
mod versions;
mod vm;
mod volume;
mod volumes;

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
    #[arg(long, global = true, value_name = "DIR", help_heading = EVERYWHERE)]
    pool: Option<PathBuf>,
    /// Print data as JSON
    #[arg(long, global = true, help_heading = EVERYWHERE)]
    json: bool,
    /// Say each operation on files
    #[arg(short, long, global = true, help_heading = EVERYWHERE)]
    verbose: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Pools: the directory that everything is in
    #[command(subcommand)]
    Pool(pool::Verb),
    /// Templates: roots that VMs boot from, and their versions
    #[command(subcommand)]
    Template(template::Verb),
    /// Virtual machines that boot from templates
    #[command(subcommand)]
    Vm(vm::Verb),
    /// Disks of virtual machines and templates
    #[command(subcommand)]
    Volume(volume::Verb),
    /// Machines that others go on from: memory and disks of one moment
    #[command(subcommand)]
    Savestate(savestate::Verb),
    /// Snapshots: the disks and the settings that a virtual machine had at one instant
    #[command(subcommand)]
    Snapshot(snapshot::Verb),
    /// Copy-on-write files: what was written over a backing file or a disk
    #[command(subcommand)]
    Cow(cow::Verb),
    /// Disks for a toolstack that attaches one after the other, such as Xen's
    #[command(subcommand)]
    Block(block::Verb),
    Run(run::Options),
    Start(start::Options),
    Stop(stop::Options),
    Console(console::Options),
    ExportConfig(export_config::Options),
    Completions(completions::Options),
    #[command(hide = true)]
    Manual(manual::Options),
    #[command(hide = true)]
    Precache(background::Options),
    #[command(hide = true)]
    Refresh(refresh::Options),
    #[command(hide = true)]
    Supervise(supervise::Options),
}

/// The heading of the options that stand before or after every verb.
const EVERYWHERE: &str = "Options of every verb";

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
        Verb::Pool(verb) => pool::run(context, verb),
        Verb::Template(verb) => template::run(context, verb),
        Verb::Vm(verb) => vm::run(context, verb),
        Verb::Volume(verb) => volume::run(context, verb),
        Verb::Savestate(verb) => savestate::run(context, verb),
        Verb::Snapshot(verb) => snapshot::run(context, verb),
        Verb::Cow(verb) => cow::run(context, verb),
        Verb::Block(verb) => block::run(context, verb),
        Verb::Run(options) => run::run(context, options),
        Verb::Start(options) => start::run(context, options),
        Verb::Stop(options) => stop::run(context, options),
        Verb::Console(options) => console::run(context, options),
        Verb::ExportConfig(options) => export_config::run(context, options),
        Verb::Completions(options) => completions::run(context, options),
        Verb::Manual(options) => manual::run(context, options),
        Verb::Precache(options) => background::run(context, options),
        Verb::Refresh(options) => refresh::run(context, options),
        Verb::Supervise(options) => supervise::run(context, options),
    }
}

/// Returns the definition of the whole command line.
fn command() -> clap::Command {
    Cli::command()
}
