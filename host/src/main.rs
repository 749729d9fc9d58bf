//! The host's command line.

mod cli;

fn main() {}
