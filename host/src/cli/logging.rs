//! The log, on standard error: what goes on with a consequence always, each file operation with `-v`, the rest as
//! `RUST_LOG` says.

use super::printable::printable;
use env_logger::{Builder, Env};
use std::io::Write;

/// Begins to log.
pub(crate) fn init(verbose: bool) {
    let level = if verbose { "info" } else { "warn" };
    Builder::from_env(Env::default().default_filter_or(level))
        .format(|buffer, record| {
            let level = record.level().as_str().to_lowercase();
            let text = record.args().to_string();
            writeln!(buffer, "ebbtide: {level}: {}", printable(&text))
        })
        .init();
}
