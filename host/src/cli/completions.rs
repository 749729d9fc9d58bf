//! `ebbtide completions`.

use super::{Context, out};
use clap_complete::Shell;
use ebbtide::Result;

/// Print the completions for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The shell
    shell: Shell,
}

pub(crate) fn run(_: &Context, options: &Options) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut super::command(), "ebbtide", &mut script);
    out::text(&String::from_utf8_lossy(&script))
}
