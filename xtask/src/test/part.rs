//! The parts that the tests consist of: what each needs, how large it is and how it runs.

use std::fmt;

use super::counts::Counts;
use super::options::Options;
use super::{doc, fuzz, mounts, nextest};
use crate::failure::Result;
use crate::{images, setup};

/// What is run and counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Unit tests, properties and fixture folders.
    Pure,
    /// Examples in the documentation.
    Doc,
    /// Fuzz targets, for a short while.
    Fuzz,
    /// Tests that mount file systems of their own.
    Root,
    /// Tests that boot machines.
    Vm,
}

/// What the system has by now, or why it has not.
pub(crate) struct Prepared {
    setup: std::result::Result<(), String>,
}

impl Prepared {
    /// Installs what is missing of the system packages.
    pub(crate) fn new() -> Self {
        let setup = setup::ensure().map(drop);
        Prepared { setup: setup.map_err(|failure| failure.chain()) }
    }
}

impl Part {
    /// Returns what is in it, for people.
    pub(crate) fn what(self) -> &'static str {
        match self {
            Part::Pure => "all that needs neither root nor machine",
            Part::Doc => "examples in the documentation",
            Part::Fuzz => "random input, for a short while",
            Part::Root => "mounts file systems of its own",
            Part::Vm => "boots test machines, three at once",
        }
    }

    /// Returns how many of its tests are wanted.
    pub(crate) fn size(self, options: &Options) -> Result<usize> {
        match self {
            Part::Pure => nextest::list(nextest::Tests::Pure, options),
            Part::Root => nextest::list(nextest::Tests::Root, options),
            Part::Vm => nextest::list(nextest::Tests::Machines, options),
            Part::Fuzz => fuzz::targets(options).map(|targets| targets.len()),
            // What rustdoc finds is known only once it has run.
            Part::Doc => Ok(1),
        }
    }

    /// Makes what it needs, or says why that cannot be had here.
    pub(crate) fn prepare(self, prepared: &Prepared) -> std::result::Result<(), String> {
        match self {
            Part::Pure | Part::Doc => Ok(()),
            Part::Fuzz => prepared.setup.clone(),
            Part::Root => {
                prepared.setup.clone()?;
                mounts::try_out().map_err(|failure| failure.chain())
            }
            Part::Vm => {
                prepared.setup.clone()?;
                make_images().map_err(|failure| failure.chain())
            }
        }
    }

    /// Runs it.
    pub(crate) fn run(self, options: &Options) -> Result<Counts> {
        match self {
            Part::Pure => nextest::run(nextest::Tests::Pure, options),
            Part::Root => nextest::run(nextest::Tests::Root, options),
            Part::Vm => nextest::run(nextest::Tests::Machines, options),
            Part::Doc => doc::run(options),
            Part::Fuzz => fuzz::run(options),
        }
    }
}

fn make_images() -> Result<()> {
    let names = images::names()?;
    images::ensure(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::Pure => "pure",
            Part::Doc => "doc",
            Part::Fuzz => "fuzz",
            Part::Root => "root",
            Part::Vm => "vm",
        })
    }
}
