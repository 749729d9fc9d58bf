//! What is bound from the private disk: declarations of several sources, made one list.
//!
//! In: the paths that the options name, and the texts of files, in the order in which they count. Out:
//! [`Bind`]s, a parent before what is nested in it, and the [`Mistake`]s, which cost a line each and
//! nothing else. Files on the private disk are written by whoever used the machine: they say what is
//! kept, and cannot name the trees of the template's programs (`bind_rules`).

use crate::{bind_conf, bind_dirs, bind_owner::Owner, bind_rules};
use alloc::{
    rc::Rc,
    string::{String, ToString},
    vec::Vec,
};
use core::{cmp::Ordering, fmt};

/// More binds than that are left out: each is a mount, and takes a moment of every boot.
pub const MOST_BINDS: usize = 4096;
/// More mistakes than that are only counted: a console is slow.
pub const MOST_MISTAKES: usize = 64;
/// More than the kernel takes as a path.
const LONGEST_PATH: usize = 4095;
const LONGEST_NAME: usize = 255;
/// Each part may be a directory that is made in the root, whose store it takes.
const MOST_PARTS: usize = 32;
/// What of a mistake is shown.
const LONGEST_FOUND: usize = 80;

/// What is bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory,
    /// A regular file.
    File,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Directory => "a directory",
            Self::File => "a regular file",
        })
    }
}

/// What is asked for beside the path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Its kind; else what is there already.
    pub kind: Option<Kind>,
    /// Its owner when it is made.
    pub owner: Option<Owner>,
    /// Its permissions when it is made.
    pub mode: Option<u32>,
}

/// Who declares something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Path of the file, or `options`.
    pub name: String,
    /// Whether it is a file on the private disk.
    pub on_volume: bool,
}

/// Where something is declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, or the options.
    pub source: Rc<Source>,
    /// Its line, counted from 1; 0 for the options, which have none.
    pub line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.name)?;
        if self.line == 0 { Ok(()) } else { write!(f, ":{}", self.line) }
    }
}

/// One path that is to be bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bind {
    /// The path, absolute and without empty parts, `.` and `..`; a part of it may be a link.
    pub path: String,
    /// What else is asked for.
    pub wishes: Wishes,
    /// Where it is declared.
    pub by: Place,
}

/// A line that cannot be taken.
#[derive(Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where it stands.
    pub place: Place,
    /// What stands there.
    pub found: String,
    /// What can stand there.
    pub wanted: &'static str,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, found, wanted } = self;
        write!(f, "{place}: found \"")?;
        // It may come from anybody: no control character reaches a terminal.
        found.chars().take(LONGEST_FOUND).try_for_each(|c| write!(f, "{}", c.escape_debug()))?;
        write!(f, "\"; wanted {wanted}")
    }
}

/// The text: derived code would be larger than mistakes are worth.
impl fmt::Debug for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// A line each: path, type, owner, mode.
    Conf,
    /// Arrays of a shell, as Qubes has them.
    BindDirs,
}

/// What has been declared so far.
#[derive(Clone, Debug)]
pub struct Declared {
    binds: Vec<Bind>,
    mistakes: Vec<Mistake>,
    unsaid: usize,
    left_out: usize,
    rw: String,
}

impl Declared {
    /// Begins with what the options name; the private disk is mounted at `rw`.
    #[must_use]
    pub fn by_options(paths: &[String], rw: &str) -> Self {
        let (binds, mistakes) = (Vec::new(), Vec::new());
        let mut declared = Self { binds, mistakes, unsaid: 0, left_out: 0, rw: rw.to_string() };
        let source = Rc::new(Source { name: "options".to_string(), on_volume: false });
        for path in paths {
            let by = Place { source: source.clone(), line: 0 };
            declared.bind(path, Wishes::default(), by);
        }
        declared
    }

    /// Adds what a file says; a later file wins over an earlier one, and a later line too.
    pub fn read(&mut self, source: Source, grammar: Grammar, text: &str) {
        let source = Rc::new(source);
        match grammar {
            Grammar::Conf => bind_conf::read(text, &source, self),
            Grammar::BindDirs => bind_dirs::read(text, &source, self),
        }
    }

    /// Declares one path.
    pub(crate) fn bind(&mut self, path: &str, wishes: Wishes, by: Place) {
        let plain = match plain(path) {
            Ok(path) => path,
            Err(wanted) => return self.mistake(path, wanted, by),
        };
        if let Some(wanted) = bind_rules::refusal(&plain, &self.rw, by.source.on_volume) {
            return self.mistake(path, wanted, by);
        }
        let bind = Bind { path: plain, wishes, by };
        match self.find(&bind.path) {
            Ok(at) => self.binds[at] = bind,
            Err(_) if self.binds.len() == MOST_BINDS => self.left_out += 1,
            Err(at) => self.binds.insert(at, bind),
        }
    }

    /// Takes an earlier declaration away.
    pub(crate) fn take_away(&mut self, path: &str, by: Place) {
        let at = plain(path).map(|path| self.find(&path));
        match at {
            Ok(Ok(at)) => drop(self.binds.remove(at)),
            Ok(Err(_)) => self.mistake(path, "a path that has been declared before", by),
            Err(wanted) => self.mistake(path, wanted, by),
        }
    }

    pub(crate) fn mistake(&mut self, found: &str, wanted: &'static str, place: Place) {
        if self.mistakes.len() == MOST_MISTAKES {
            self.unsaid += 1;
            return;
        }
        let found = found.chars().take(LONGEST_FOUND).collect();
        self.mistakes.push(Mistake { place, found, wanted });
    }

    fn find(&self, path: &str) -> Result<usize, usize> {
        self.binds.binary_search_by(|bind| order(&bind.path, path))
    }

    /// Returns the first [`MOST_MISTAKES`] mistakes.
    #[must_use]
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }

    /// Returns how many more there were.
    #[must_use]
    pub const fn unsaid(&self) -> usize {
        self.unsaid
    }

    /// Returns how many declarations came after [`MOST_BINDS`] others.
    #[must_use]
    pub const fn left_out(&self) -> usize {
        self.left_out
    }

    /// Returns the binds, a parent before what is nested in it.
    #[must_use]
    pub fn binds(self) -> Vec<Bind> {
        self.binds
    }
}

/// Orders paths part by part, so that all that is nested in a path follows it at once.
#[must_use]
pub fn order(one: &str, other: &str) -> Ordering {
    one.split('/').cmp(other.split('/'))
}

/// Returns what of `path` lies below `above`: nothing for the same path, `None` for another.
#[must_use]
pub fn below<'p>(path: &'p str, above: &str) -> Option<&'p str> {
    let rest = path.strip_prefix(above)?;
    if rest.is_empty() { Some(rest) } else { rest.strip_prefix('/') }
}

/// Returns the place on the private disk that a path is bound from, relative to its root. `resolved`
/// is the path without links.
#[must_use]
pub fn place_on_volume(declared: &str, resolved: &str) -> String {
    match (declared, resolved) {
        ("/home", _) | (_, "/home") => "home".to_string(),
        ("/usr/local", _) | (_, "/usr/local") => "usrlocal".to_string(),
        _ => ["bind-dirs", resolved].concat(),
    }
}

/// Checks a path and spells it in one way: without empty parts.
fn plain(path: &str) -> Result<String, &'static str> {
    if !path.starts_with('/') {
        return Err("an absolute path");
    }
    // What was not UTF-8 has become U+FFFD.
    if path.chars().any(|c| c.is_control() || c == char::REPLACEMENT_CHARACTER) {
        return Err("a path in UTF-8 without control characters");
    }
    let mut plain = String::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        if matches!(part, "." | "..") {
            return Err("a path without . and ..");
        }
        if part.len() > LONGEST_NAME {
            return Err("names of at most 255 bytes");
        }
        plain.push('/');
        plain.push_str(part);
    }
    if plain.len() > LONGEST_PATH {
        return Err("a path of at most 4095 bytes");
    }
    if plain.matches('/').count() > MOST_PARTS {
        return Err("a path of at most 32 names");
    }
    if plain.is_empty() { Err(bind_rules::NOT_THE_ROOT) } else { Ok(plain) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, on_volume: bool) -> Source {
        Source { name: name.to_string(), on_volume }
    }

    fn paths(declared: Declared) -> Vec<String> {
        declared.binds().into_iter().map(|bind| bind.path).collect()
    }

    fn of(texts: &[&str]) -> Declared {
        let mut declared = Declared::by_options(&["/home".into(), "/usr/local".into()], "/rw");
        for text in texts {
            declared.read(file("t.conf", false), Grammar::Conf, text);
        }
        declared
    }

    #[test]
    fn a_parent_precedes_what_is_nested_in_it_in_any_declared_order() {
        let declared = of(&["/srv/a/b\n/srv/a-b\n/srv/a\n/srv\n", "/srv/a.b\n/home/user/x\n"]);
        let expected =
            ["/home", "/home/user/x", "/srv", "/srv/a", "/srv/a/b", "/srv/a-b", "/srv/a.b"];
        assert_eq!(paths(declared)[..7], expected);
    }

    #[test]
    fn the_last_declaration_wins_and_duplicates_are_one() {
        let declared = of(&["/srv/x file\n/srv//x/\n", "/srv/x dir 7\n"]);
        let binds = declared.binds();
        assert_eq!(binds.len(), 3);
        let bind = binds.iter().find(|bind| bind.path == "/srv/x").unwrap();
        assert_eq!(bind.wishes.kind, Some(Kind::Directory));
        assert_eq!(bind.by.to_string(), "t.conf:1");
        assert_eq!(binds[0].by.to_string(), "options");
    }

    #[test]
    fn a_path_and_what_is_built_in_are_taken_away_and_declared_again() {
        let declared = of(&["/srv/x\n-/srv/x\n-/usr/local/\n-/home\n/home\n-/nothing\n"]);
        assert_eq!(
            declared.mistakes()[0].to_string(),
            "t.conf:6: found \"/nothing\"; wanted a path that has been declared before"
        );
        assert_eq!(paths(declared), ["/home"]);
    }

    #[test]
    fn a_refused_line_of_the_private_disk_leaves_the_templates_alone() {
        let mut declared = of(&["/usr/share/x dir 5\n"]);
        declared.read(file("/rw/config/a.conf", true), Grammar::Conf, "/usr/share/x\n/etc\n/etc/x");
        assert_eq!(declared.mistakes().len(), 2);
        assert_eq!(paths(declared), ["/etc/x", "/home", "/usr/local", "/usr/share/x"]);
    }

    #[test]
    fn more_than_4096_are_left_out_and_counted() {
        let text: String = (0..5000).map(|n| alloc::format!("/srv/{n}\n")).collect();
        let declared = of(&[&text, "/srv/1 file\n"]);
        assert_eq!(declared.left_out(), 5000 + 2 - MOST_BINDS);
        assert_eq!(declared.binds().len(), MOST_BINDS);
    }

    #[test]
    fn mistakes_are_counted_when_there_are_too_many_to_say() {
        let declared = of(&["x\n".repeat(100_000).as_str()]);
        assert_eq!(declared.mistakes().len() + declared.unsaid(), 100_000);
        assert_eq!(declared.mistakes().len(), MOST_MISTAKES);
    }

    #[test]
    fn a_mistake_shows_no_control_characters() {
        let declared = of(&["/srv/\u{1b}[2J\n"]);
        let text = declared.mistakes()[0].to_string();
        assert!(text.starts_with("t.conf:1: found \"/srv/\\u{1b}[2J\"; wanted"), "{text}");
    }

    #[test]
    fn refuses_paths_that_lead_elsewhere() {
        for path in ["srv", "/srv/../etc", "/./srv", "//", "/srv/\u{fffd}", "/srv/\u{85}"] {
            assert!(plain(path).is_err(), "{path:?}");
        }
        assert!(plain(&["/", &"x".repeat(256)].concat()).is_err());
        assert!(plain(&["/", &"x".repeat(254)].concat().repeat(17)).is_err());
        assert!(plain(&"/x".repeat(33)).is_err() && plain(&"//x".repeat(32)).is_ok());
        assert_eq!(plain("//srv///x/").unwrap(), "/srv/x");
    }

    #[test]
    fn knows_where_a_path_is_kept() {
        for (declared, resolved, place) in [
            ("/home", "/home", "home"),
            ("/home", "/var/home", "home"),
            ("/usr/local", "/usr/local", "usrlocal"),
            ("/usr/local/bin", "/usr/local/bin", "bind-dirs/usr/local/bin"),
            ("/var/link", "/var/lib/x", "bind-dirs/var/lib/x"),
            ("/link", "/home", "home"),
        ] {
            assert_eq!(place_on_volume(declared, resolved), place);
        }
    }

    #[test]
    fn below_is_by_parts() {
        assert_eq!(below("/srv/a/b", "/srv/a"), Some("b"));
        assert_eq!(below("/srv/a", "/srv/a"), Some(""));
        assert_eq!(below("/srv/ab", "/srv/a"), None);
        assert_eq!(below("/srv", "/srv/a"), None);
    }
}
