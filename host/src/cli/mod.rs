//! The command line: one verb, one file, each an `Options` that clap fills, a call of the library, and a print.

mod context;

pub use context::Context;
