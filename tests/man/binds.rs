//! What `ebbtide.conf(5)` says of declarations against their parsers.

use crate::page::{Page, literals};
use ebbtide_init::{
    binds::{Declared, Grammar, Kind, MOST_BINDS, Source},
    options::Options,
};

const CONF: &str = "ebbtide.conf.5";

/// Reads the one example of a part, after what is bound by default.
fn declared(part: &str, grammar: Grammar) -> Declared {
    let options = Options::default();
    let mut declared = Declared::by_options(&options.binds, &options.rw);
    let examples = literals(Page::read(CONF).section(part));
    let [example] = &examples[..] else {
        panic!("{part}: wanted one example; found {}", examples.len());
    };
    declared.read(Source { name: part.to_owned(), on_volume: true }, grammar, example);
    assert!(declared.mistakes().is_empty(), "{:?}", declared.mistakes());
    declared
}

#[test]
fn the_lines_in_the_manual_can_be_read_and_say_what_it_says() {
    let binds = declared("Lines", Grammar::Conf).binds();
    let paths: Vec<_> = binds.iter().map(|bind| bind.path.as_str()).collect();
    let key = "/etc/ssh/ssh_host_ed25519_key";
    assert_eq!(paths, [key, "/home", "/srv/my files", "/var/lib/containers"]);
    assert_eq!(binds[0].wishes.kind, Some(Kind::File));
    assert_eq!(binds[2].wishes.mode, Some(0o750));
}

#[test]
fn the_lists_in_the_manual_can_be_read() {
    let binds = declared("Files of Qubes", Grammar::BindDirs).binds();
    let paths: Vec<_> = binds.iter().map(|bind| bind.path.as_str()).collect();
    assert_eq!(paths, ["/etc/wireguard", "/home", "/srv/my files", "/usr/local", "/var/lib/tor"]);
}

#[test]
fn what_the_manual_refuses_is_refused() {
    let page = Page::read(CONF);
    let part = page.section("What cannot be bound");
    let at = part.iter().position(|line| line.starts_with("A file on the private disk"));
    let (nobody, volume) = part.split_at(at.expect("what a file on the private disk cannot"));
    let refused = |path: &str, on_volume| {
        let mut declared = Declared::by_options(&[], "/rw");
        declared.read(Source { name: String::new(), on_volume }, Grammar::Conf, path);
        !declared.mistakes().is_empty()
    };
    let paths = |lines: &[String]| -> Vec<String> {
        let named = lines.iter().filter_map(|line| line.strip_prefix(".Pa "));
        named
            .flat_map(|names| names.split(" , "))
            .map(|name| name.trim_end_matches([' ', '.', ',', ';']).to_owned())
            .collect()
    };
    for path in paths(nobody) {
        assert!(refused(&path, false), "{path}");
    }
    for path in paths(volume) {
        let allowed = path == "/usr/local";
        assert_eq!(refused(&path, true), !allowed, "{path}");
        assert!(!refused(&path, false), "{path}");
    }
    let bound = format!("{MOST_BINDS} binds");
    assert!(page.section("BINDS").iter().any(|line| line.contains(&bound)), "{bound}");
}
