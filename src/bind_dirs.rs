//! The arrays of Qubes' `bind-dirs` files, read as data: `binds+=( '/path' … )`.
//!
//! For Qubes such a file is a script that root runs. Here nothing is run: statements that only list
//! paths are read, over as many lines as they take; any other line is a mistake, and so is a list with
//! a variable, a command or a pattern in it. Conditions and functions are other lines: what is listed
//! between them counts.

use crate::binds::{Declared, Place, Source, Wishes};
use alloc::{rc::Rc, string::String, vec::Vec};

const STATEMENT: &str = "binds+=( '/path' ), which is read and never run";
const WORD: &str = "paths without variables, commands and patterns";
const END: &str = "a ) and nothing after it";

/// What a shell gives a meaning to, outside of quotes.
const SPECIAL: [char; 17] =
    ['$', '`', '*', '?', '[', ']', '{', '}', '~', '!', '&', '|', ';', '<', '>', '(', '"'];

/// Reads a file into `declared`. Both `+=` and `=` add: a file takes away nothing of another.
pub(crate) fn read(text: &str, source: &Rc<Source>, declared: &mut Declared) {
    let mut lines = Lines { rest: text, number: 0, source };
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let Some(list) = opened(line) else {
            declared.mistake(line, STATEMENT, lines.place());
            continue;
        };
        let mut list = List { rest: list, words: Vec::new() };
        if let Err(wanted) = list.read(&mut lines) {
            declared.mistake(list.rest.trim(), wanted, lines.place());
            lines.leave_list(list.rest);
            continue;
        }
        for (word, line) in &list.words {
            let place = Place { line: *line, ..lines.place() };
            declared.bind(word, Wishes::default(), place);
        }
    }
}

/// Returns what follows the opening of a list.
fn opened(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("binds")?;
    let rest = rest.strip_prefix('+').unwrap_or(rest);
    rest.strip_prefix('=')?.strip_prefix('(')
}

/// The lines of a file that have not been read.
struct Lines<'t> {
    rest: &'t str,
    number: usize,
    source: &'t Rc<Source>,
}

impl<'t> Lines<'t> {
    fn next(&mut self) -> Option<&'t str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.number += 1;
        Some(line)
    }

    fn place(&self) -> Place {
        Place { source: self.source.clone(), line: self.number }
    }

    /// Skips the rest of a list that has a mistake, up to the first parenthesis: it may close something
    /// else, and then there is one mistake more, but no line is read as what it is not.
    fn leave_list(&mut self, rest: &'t str) {
        let mut line = Some(rest);
        while line.is_some_and(|line| !line.contains(')')) {
            line = self.next();
        }
    }
}

/// A list that is being read.
struct List<'t> {
    /// What of the line has not been read.
    rest: &'t str,
    /// The words, with their lines.
    words: Vec<(String, usize)>,
}

impl<'t> List<'t> {
    /// Reads up to the closing parenthesis and what may follow it.
    fn read(&mut self, lines: &mut Lines<'t>) -> Result<(), &'static str> {
        loop {
            self.rest = self.rest.trim_start();
            match self.rest.chars().next() {
                None | Some('#') => self.rest = lines.next().ok_or(END)?,
                Some(')') => {
                    self.rest = &self.rest[1..];
                    let after = self.rest.trim_start().trim_start_matches(';').trim();
                    let comment = after.starts_with('#') && self.rest.starts_with([' ', '\t', ';']);
                    return if after.is_empty() || comment { Ok(()) } else { Err(END) };
                }
                Some(_) => {
                    let word = self.word()?;
                    self.words.push((word, lines.number));
                }
            }
        }
    }

    /// Reads one word: pieces in quotes and pieces without, one after the other.
    fn word(&mut self) -> Result<String, &'static str> {
        let mut word = String::new();
        let mut rest = self.rest;
        while let Some(c) = rest.chars().next() {
            let after = &rest[c.len_utf8()..];
            rest = match c {
                '\'' => {
                    let (piece, after) = after.split_once('\'').ok_or(WORD)?;
                    word.push_str(piece);
                    after
                }
                '"' => quoted(after, &mut word).ok_or(WORD)?,
                '\\' => {
                    let escaped = after.chars().next().ok_or(WORD)?;
                    word.push(escaped);
                    &after[escaped.len_utf8()..]
                }
                ')' => break,
                c if c.is_ascii_whitespace() => break,
                c if SPECIAL.contains(&c) => return Err(WORD),
                c => {
                    word.push(c);
                    after
                }
            };
        }
        self.rest = rest;
        Ok(word)
    }
}

/// Reads what stands between double quotes, where a shell still looks for variables and commands;
/// returns what follows them.
fn quoted<'t>(text: &'t str, word: &mut String) -> Option<&'t str> {
    let mut chars = text.chars();
    loop {
        match chars.next()? {
            '"' => return Some(chars.as_str()),
            '$' | '`' => return None,
            '\\' => match chars.next()? {
                c @ ('"' | '\\' | '$' | '`') => word.push(c),
                c => word.extend(['\\', c]),
            },
            c => word.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binds::Grammar;
    use alloc::string::ToString;

    fn parse(text: &str) -> (Vec<String>, Vec<String>) {
        let mut declared = Declared::by_options(&[], "/rw");
        let source = Source { name: "50_user.conf".to_string(), on_volume: false };
        declared.read(source, Grammar::BindDirs, text);
        let mistakes = declared.mistakes().iter().map(ToString::to_string).collect();
        (declared.binds().into_iter().map(|bind| bind.path).collect(), mistakes)
    }

    #[test]
    fn reads_lists_as_qubes_writes_them() {
        let (paths, mistakes) = parse(
            "#!/bin/bash\n\n  # kept\nbinds+=( '/var/lib/tor' )\nbinds+=( '/etc/a' \"/etc/b\" /etc/c )\n\
             binds=('/srv/d')\nbinds+=(/srv/e) ; # five\nbinds+=(\n  '/srv/f'  # six\n\n  # none\n\
             \t/srv/g\\ h\n)\nbinds+=( '/srv/it'\\''s' /srv/\"a b\"c )\nbinds+=()\nbinds+=( /srv/z )",
        );
        assert_eq!(mistakes, [] as [&str; 0]);
        let expected = [
            "/etc/a",
            "/etc/b",
            "/etc/c",
            "/srv/a bc",
            "/srv/d",
            "/srv/e",
            "/srv/f",
            "/srv/g h",
            "/srv/it's",
            "/srv/z",
            "/var/lib/tor",
        ];
        assert_eq!(paths, expected);
    }

    #[test]
    fn a_line_that_would_do_something_is_named_and_never_read() {
        for line in [
            "binds+=( $(touch /pwned) )",
            "binds+=( `touch /pwned` )",
            "binds+=( \"$(touch /pwned)\" )",
            "binds+=( \"/srv/$HOME\" )",
            "binds+=( ${x:-/srv/x} )",
            "binds+=( /srv/* )",
            "binds+=( /srv/{a,b} )",
            "binds+=( ~/x )",
            "binds+=( <(touch /pwned) )",
            "binds+=( /srv/a ) && touch /pwned",
            "binds+=( /srv/a ); touch /pwned",
            "binds+=( /srv/a ) | touch /pwned",
            "binds+=( /srv/a )#x",
            "binds+=( /srv/a & touch /pwned )",
            "binds+=( '/srv/a\\' )'",
            "binds+='/srv/a'",
            "binds +=( /srv/a )",
            "rm -rf / ; binds+=( /srv/a )",
            "legacy() { touch /pwned; }",
            "export X=1",
            "binds+=( /srv/a",
            "binds+=( 'open",
        ] {
            let (paths, mistakes) = parse(&["\n", line].concat());
            assert_eq!(paths, [] as [&str; 0], "{line}");
            assert_eq!(mistakes.len(), 1, "{line}: {mistakes:?}");
            assert!(mistakes[0].starts_with("50_user.conf:2: found "), "{mistakes:?}");
        }
    }

    #[test]
    fn the_lists_around_a_mistake_count() {
        let (paths, mistakes) = parse(
            "binds+=( /srv/a )\nif true; then\nbinds+=( /srv/b )\nfi\nbinds+=(\n/srv/c\n$(x)\n/srv/d\n)\n\
             binds+=( relative )\nbinds+=( /srv/e )\n",
        );
        assert_eq!(paths, ["/srv/a", "/srv/b", "/srv/e"]);
        let lines: Vec<_> = mistakes.iter().map(|m| m.split(": found").next().unwrap()).collect();
        // After a parenthesis nobody can say where the list ends, so what follows is a mistake too.
        assert_eq!(lines, [2, 4, 7, 8, 9, 10].map(|n| alloc::format!("50_user.conf:{n}")));
    }

    #[test]
    fn a_path_is_declared_where_it_stands() {
        let mut declared = Declared::by_options(&[], "/rw");
        let source = Source { name: "x".to_string(), on_volume: true };
        declared.read(source, Grammar::BindDirs, "binds+=( /srv/a\n/srv/b )\n");
        let places: Vec<_> = declared.binds().iter().map(|bind| bind.by.to_string()).collect();
        assert_eq!(places, ["x:1", "x:2"]);
    }
}
