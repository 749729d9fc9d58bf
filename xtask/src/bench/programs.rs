//! What is measured on the host, built: the command line, and a benchmark of its package.

use std::path::PathBuf;

use crate::failure::{Failure, Result};
use crate::{process, workspace};

/// Both programs.
pub(super) struct Programs {
    pub(super) bench: PathBuf,
    pub(super) ebbtide: PathBuf,
}

impl Programs {
    /// Builds both with the profile of the host.
    pub(super) fn build(bench: &str) -> Result<Self> {
        let mut cargo = workspace::cargo();
        cargo.args(["build", "--quiet", "--profile", "host", "--package", "ebbtide"]);
        cargo.args(["--bin", "ebbtide", "--bench", bench, "--message-format", "json"]);
        let built = process::output(&mut cargo)?;
        let program = |name: &str| {
            executable(&built, name)
                .ok_or_else(|| Failure::new(format!("cargo does not say where it built {name}")))
        };
        Ok(Self { bench: program(bench)?, ebbtide: program("ebbtide")? })
    }
}

/// Returns the program of that name in cargo's messages.
fn executable(messages: &str, name: &str) -> Option<PathBuf> {
    let of = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let named = message.get("target")?.get("name")? == name;
        message.get("executable")?.as_str().filter(|_| named).map(PathBuf::from)
    };
    messages.lines().find_map(of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_the_program_among_libraries_of_that_name() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"ebbtide"},"executable":null}
{"reason":"compiler-artifact","target":{"name":"ebbtide"},"executable":"/t/host/ebbtide"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(executable(messages, "ebbtide"), Some("/t/host/ebbtide".into()));
        assert_eq!(executable(messages, "versions"), None);
    }
}
