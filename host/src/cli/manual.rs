//! `ebbtide manual`: writes the manual pages, one for the program and one for each verb.

use super::Context;
use clap::Command;
use ebbtide::{Error, Result};
use std::{fs, path::PathBuf};

/// Write the manual pages to a directory
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The directory; it must exist
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

pub(crate) fn run(_: &Context, options: &Options) -> Result<()> {
    let mut command = super::command();
    command.build();
    write(&command, options)
}

/// Writes the page of a command and those below it.
fn write(command: &Command, options: &Options) -> Result<()> {
    let page = clap_mangen::Man::new(command.clone());
    let mut text = Vec::new();
    page.render(&mut text).map_err(Error::doing("render a manual page"))?;
    let path = options.dir.join(page.get_filename());
    fs::write(&path, text).map_err(Error::doing(format!("write {}", path.display())))?;
    let verbs = command.get_subcommands().filter(|verb| !verb.is_hide_set());
    verbs.filter(|verb| verb.get_name() != "help").try_for_each(|verb| write(verb, options))
}
