//! The grammar of a file in `binds.d`: a line each, `PATH [TYPE [OWNER [MODE]]]` or `-PATH`.
//!
//! Blanks in a path stand in double quotes or behind a backslash. `#` begins a comment, at the start of
//! a line or after a blank.

use crate::{
    bind_owner::{Account, Owner},
    binds::{Declared, Kind, Place, Source, Wishes},
};
use alloc::{
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};

const WANTED: &str = "PATH [TYPE [OWNER [MODE]]] or -PATH";

/// Reads a file into `declared`.
pub(crate) fn read(text: &str, source: &Rc<Source>, declared: &mut Declared) {
    for (at, line) in text.lines().enumerate() {
        let place = Place { source: source.clone(), line: at + 1 };
        let Some(words) = words(line) else {
            declared.mistake(line, "an end of the quotes, and something after a backslash", place);
            continue;
        };
        match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            [] => {}
            [path] if path.starts_with('-') => declared.take_away(&path[1..], place),
            [path, ref wishes @ ..] if wishes.len() <= 3 && !path.starts_with('-') => {
                match read_wishes(wishes) {
                    Ok(wishes) => declared.bind(path, wishes, place),
                    Err((found, wanted)) => declared.mistake(found, wanted, place),
                }
            }
            _ => declared.mistake(line, WANTED, place),
        }
    }
}

/// Reads what follows the path; or what is wrong with it.
fn read_wishes<'w>(words: &[&'w str]) -> Result<Wishes, (&'w str, &'static str)> {
    let mut wishes = Wishes::default();
    if let Some(word) = words.first() {
        wishes.kind = Some(match *word {
            "dir" => Kind::Directory,
            "file" => Kind::File,
            _ => return Err((word, "the type dir or file")),
        });
    }
    if let Some(word) = words.get(1) {
        let owner = owner(word).ok_or((*word, "an owner, as USER or USER:GROUP"))?;
        wishes.owner = Some(owner);
    }
    if let Some(word) = words.get(2) {
        let digits = (3..=5).contains(&word.len()) && word.bytes().all(|b| b.is_ascii_digit());
        let mode = u32::from_str_radix(word, 8).ok().filter(|mode| digits && *mode <= 0o7777);
        wishes.mode = Some(mode.ok_or((*word, "an octal mode, such as 0755"))?);
    }
    Ok(wishes)
}

fn owner(word: &str) -> Option<Owner> {
    let (user, group) = match word.split_once(':') {
        Some((user, group)) => (user, Some(account(group)?)),
        None => (word, None),
    };
    Some(Owner { user: account(user)?, group })
}

fn account(word: &str) -> Option<Account> {
    if !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit()) {
        // The largest number means "nobody, leave it" to the kernel.
        return word.parse().ok().filter(|n| *n != u32::MAX).map(Account::Number);
    }
    let named = !word.is_empty() && !word.contains([':', ',']);
    named.then(|| Account::Name(word.to_string()))
}

/// Splits a line; `None` when quotes or a backslash stand open at its end.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let (mut word, mut begun, mut quoted) = (String::new(), false, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                word.push(chars.next()?);
                begun = true;
            }
            '"' => {
                quoted = !quoted;
                begun = true;
            }
            '#' if !begun => break,
            c if c.is_ascii_whitespace() && !quoted => {
                if begun {
                    words.push(core::mem::take(&mut word));
                }
                begun = false;
            }
            c => {
                word.push(c);
                begun = true;
            }
        }
    }
    if quoted {
        return None;
    }
    if begun {
        words.push(word);
    }
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binds::{Bind, Grammar};

    fn parse(text: &str) -> (Vec<Bind>, Vec<String>) {
        let mut declared = Declared::by_options(&[], "/rw");
        let source = Source { name: "a.conf".to_string(), on_volume: false };
        declared.read(source, Grammar::Conf, text);
        let mistakes = declared.mistakes().iter().map(ToString::to_string).collect();
        (declared.binds(), mistakes)
    }

    fn named(name: &str) -> Account {
        Account::Name(name.to_string())
    }

    #[test]
    fn reads_all_that_a_line_can_say() {
        let (binds, mistakes) = parse(
            "# kept\n\n/srv/a  # a comment\n\t/srv/b\tdir\n/srv/c file user\n\
             /srv/d dir user:staff 1770\n/srv/e file 1000:50 0600\r\n/srv/f#not\n",
        );
        assert_eq!(mistakes, [] as [&str; 0]);
        let wishes: Vec<_> = binds.iter().map(|bind| &bind.wishes).collect();
        assert_eq!(binds.len(), 6);
        assert_eq!(wishes[0], &Wishes::default());
        assert_eq!(wishes[1].kind, Some(Kind::Directory));
        assert_eq!(wishes[2].owner, Some(Owner { user: named("user"), group: None }));
        assert_eq!(wishes[3].owner.as_ref().unwrap().group, Some(named("staff")));
        assert_eq!(wishes[3].mode, Some(0o1770));
        let group = Some(Account::Number(50));
        assert_eq!(wishes[4].owner, Some(Owner { user: Account::Number(1000), group }));
        assert_eq!(binds[5].path, "/srv/f#not");
    }

    #[test]
    fn blanks_stand_in_quotes_or_behind_a_backslash() {
        let (binds, mistakes) =
            parse("\"/srv/my files\" dir\n/srv/my\\ other\n/srv/\"a b\"c\n\"/srv/\\\"q\\\\\"\n");
        assert_eq!(mistakes, [] as [&str; 0]);
        let paths: Vec<_> = binds.iter().map(|bind| bind.path.as_str()).collect();
        assert_eq!(paths, ["/srv/\"q\\", "/srv/a bc", "/srv/my files", "/srv/my other"]);
    }

    #[test]
    fn a_wrong_line_is_named_and_the_others_count() {
        let (binds, mistakes) = parse(
            "srv/x\n/srv/y folder\n/srv/z dir a:b:c\n/srv/z dir 0 9\n/srv/z dir 0 99999\n\
             /srv/z dir 0 0755 more\n-/srv/z dir\n\"/srv/open\n/srv/open\\\n-\n/srv/good\n\
             /srv/z dir 4294967295\n/srv/z dir user: 0755\n/srv/z dir 0 +755\n",
        );
        assert_eq!(binds.len(), 1);
        let lines: Vec<_> = mistakes.iter().map(|m| m.split(": found").next().unwrap()).collect();
        let expected: Vec<_> =
            (1..=14).filter(|n| *n != 11).map(|n| alloc::format!("a.conf:{n}")).collect();
        assert_eq!(lines, expected);
        assert_eq!(mistakes[1], "a.conf:2: found \"folder\"; wanted the type dir or file");
    }
}
