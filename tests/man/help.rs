//! What the program says of itself.

use std::{collections::BTreeSet, process::Command};

fn help() -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ebbtide-init")).arg("--help").output();
    String::from_utf8(output.expect("the program runs").stdout).expect("text")
}

/// Returns the paragraph that begins with `title`, without it.
fn paragraph(title: &str) -> String {
    let help = help();
    let found = help.split("\n\n").find_map(|part| part.strip_prefix(title));
    found.unwrap_or_else(|| panic!("the help says nothing of {title}")).to_owned()
}

/// Returns the ways to call it, in lower case.
pub(crate) fn usage() -> Vec<String> {
    let usage = paragraph("Usage:");
    usage.lines().map(|line| line.trim().to_lowercase()).collect()
}

/// Returns the names of the commands.
pub(crate) fn commands() -> Vec<String> {
    let commands = paragraph("Commands:");
    let names = commands.lines().filter_map(|line| line.strip_prefix("  "));
    let names = names.filter(|line| !line.starts_with(' '));
    names.filter_map(|line| line.split(' ').next().map(str::to_owned)).collect()
}

/// Returns every flag.
pub(crate) fn flags() -> BTreeSet<String> {
    let help = help();
    let words = help.split([' ', '\n', ',', '[', ']']);
    words.filter(|word| word.starts_with('-')).map(str::to_owned).collect()
}

/// Returns the options in the table of settings, each with what is said of it; of several that stand
/// together, the last one has the text.
pub(crate) fn settings() -> Vec<(String, String)> {
    /// Where the text begins.
    const TEXT: usize = 23;
    let mut settings: Vec<(String, String)> = Vec::new();
    for line in paragraph("Settings").lines().filter(|line| line.starts_with("  ")) {
        let (keys, text) = line.split_at(TEXT);
        let keys = keys.split([' ', ',']).filter(|key| !key.is_empty());
        settings.extend(keys.map(|key| (key.to_owned(), String::new())));
        let (_, told) = settings.last_mut().expect("a key before its text");
        *told = format!("{told} {text}").trim().to_owned();
    }
    settings
}
