//! `ebbtide-init(8)` against the help and the source.

use crate::{
    help,
    page::{self, Page, items, typed_words},
    source,
};
use ebbtide_init::options::Options;
use std::collections::BTreeSet;

const PROGRAM: &str = "ebbtide-init.8";

#[test]
fn the_synopsis_is_that_of_the_help() {
    let page = Page::read(PROGRAM);
    let mut lines: Vec<String> = Vec::new();
    for line in page.section("SYNOPSIS") {
        let (request, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = rest.replace("Fl -", "--").replace("Ar ", "");
        match request {
            ".Nm" => lines.push("ebbtide-init".to_owned()),
            ".Op" => *lines.last_mut().expect("a name") += &format!(" [{words}]"),
            _ => *lines.last_mut().expect("a name") += &format!(" {words}"),
        }
    }
    let lines: Vec<_> = lines.iter().map(|line| line.to_lowercase()).collect();
    assert_eq!(lines, help::usage());
}

#[test]
fn every_command_and_flag_of_the_help_is_in_the_manual_and_no_other() {
    let page = Page::read(PROGRAM);
    let commands: Vec<_> = items(page.section("COMMANDS"))
        .iter()
        .flat_map(|item| typed_words(item.head.iter().map(|word| &**word)))
        .map(str::to_owned)
        .collect();
    assert_eq!(commands, help::commands());

    let words = |line: &String| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let flags: BTreeSet<_> = page
        .lines()
        .iter()
        .flat_map(|line| {
            let words = words(line);
            let pairs = words.windows(2).filter(|pair| pair[0].trim_start_matches('.') == "Fl");
            pairs.map(|pair| format!("-{}", pair[1])).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(flags, help::flags());
}

#[test]
fn a_message_that_the_manual_explains_is_one_that_is_said() {
    let source = source::text();
    let page = Page::read(PROGRAM);
    let messages = items(page.section("DIAGNOSTICS"));
    assert!(!messages.is_empty());
    for message in messages {
        let message = page::typed(&message.head.join(" "));
        for piece in without_capitals(&message).iter().filter(|piece| piece.len() > 3) {
            assert!(source.contains(*piece), "nothing says \"{piece}\", of \"{message}\"");
        }
    }
}

/// Returns what stands between capitals: a word in them stands for something.
fn without_capitals(message: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = message;
    while let Some(at) = rest.find(|c: char| c.is_ascii_uppercase()) {
        pieces.push(rest[..at].trim());
        rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_uppercase());
    }
    pieces.push(rest.trim());
    pieces
}

#[test]
fn the_words_of_a_command_line_in_the_manual_can_be_read() {
    let mut number = 0;
    for line in Page::read(PROGRAM).lines() {
        let line = page::typed(line);
        let words = line.split([' ', '\'', '"']).filter(|word| word.starts_with("ebbtide."));
        for word in words.filter(|word| word.contains('=')) {
            let parsed = Options::parse(&format!("root=/dev/mapper/dmroot {word}"), "");
            assert!(parsed.is_ok(), "{word}: {parsed:?}");
            number += 1;
        }
    }
    assert!(number > 0, "no example has one");
}
