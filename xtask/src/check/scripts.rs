//! Shell scripts parse in the shell that their first line names.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Verdict, tree};
use crate::failure::{Context, Failure, Result};
use crate::process;

/// Parses every script, and says which ones do not.
pub(crate) fn check() -> Result<Verdict> {
    let (mut number, mut wrong) = (0, Vec::new());
    for path in tree::files()? {
        let bytes = fs::read(&path).context(|| format!("cannot read {}", path.display()))?;
        if let Some(shell) = shell(&bytes) {
            number += 1;
            wrong.extend(parse(shell, &path).err().map(|failure| failure.chain()));
        }
    }
    if wrong.is_empty() {
        return Ok(Verdict::Fine(format!("{number} of them")));
    }
    Err(Failure::new(wrong.join("\n")))
}

fn parse(shell: &str, path: &Path) -> Result<()> {
    process::output(Command::new(shell).arg("-n").arg(path)).map(drop)
}

/// Returns the shell that parses like the one in the first line.
fn shell(bytes: &[u8]) -> Option<&'static str> {
    let line = bytes.strip_prefix(b"#!")?.split(|byte| *byte == b'\n').next()?;
    let line = String::from_utf8_lossy(line);
    match line.split([' ', '/']).rfind(|word| !word.is_empty() && !word.starts_with('-'))? {
        // busybox's shell descends from dash.
        "sh" | "dash" => Some("dash"),
        "bash" => Some("bash"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_line_names_the_shell() {
        for (line, wanted) in [
            ("#!/bin/sh\n:", Some("dash")),
            ("#!/bin/busybox sh\n", Some("dash")),
            ("#!/usr/bin/env bash\n", Some("bash")),
            ("#!/bin/bash -e", Some("bash")),
            ("#!/usr/bin/python3\n", None),
            ("#![no_std]\n", None),
            ("# sh\n", None),
        ] {
            assert_eq!(shell(line.as_bytes()), wanted, "{line}");
        }
    }

    #[test]
    fn a_script_that_does_not_parse_is_named_with_the_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hook");
        fs::write(&path, "if true; then\n").unwrap();
        let failure = parse("dash", &path).unwrap_err().to_string();
        assert!(failure.contains("hook") && failure.contains("yntax"), "{failure}");
    }
}
