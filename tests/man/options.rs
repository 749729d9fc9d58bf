//! `ebbtide.conf(5)` against the parser, and what else shows the options: the help and the file that is
//! installed.

use crate::{
    help,
    page::{Item, Page, items, literals, typed_words},
};
use ebbtide_init::options::{KEYS, Options};
use std::{collections::BTreeSet, fs, path::Path};

const CONF: &str = "ebbtide.conf.5";

fn parse(conf: &str) -> Result<Options, String> {
    Options::parse("root=/dev/mapper/dmroot", conf).map_err(|error| error.to_string())
}

fn defaults() -> Options {
    Options { wanted: true, ..Options::default() }
}

/// Returns the items `KEY = VALUE` of the page.
fn options(page: &Page) -> Vec<(String, Item)> {
    let items = items(page.section("OPTIONS")).into_iter();
    let is_option = |item: &Item| matches!(&item.head[..], [cm, _, no, equals, ..] if (&**cm, &**no, &**equals) == ("Cm", "No", "="));
    items.filter(is_option).map(|item| (item.head[1].clone(), item)).collect()
}

/// Returns what follows "The default is" in the text of an item.
fn default_of(item: &Item) -> &str {
    let at = item.text.iter().position(|line| line.ends_with("The default is"));
    let line = at.and_then(|at| item.text.get(at + 1)).map_or("", |line| &**line);
    typed_words(line.split_whitespace()).first().copied().unwrap_or("")
}

#[test]
fn every_option_is_in_the_manual_and_no_other() {
    let mut described: Vec<_> =
        options(&Page::read(CONF)).into_iter().map(|(key, _)| key).collect();
    let mut known = KEYS.to_vec();
    // The page has them by what they are about.
    described.sort();
    known.sort();
    assert_eq!(described, known);
}

#[test]
fn every_option_is_in_the_help_and_no_other() {
    let told: Vec<_> = help::settings().into_iter().map(|(key, _)| key).collect();
    assert_eq!(told, KEYS);
}

#[test]
fn the_file_that_is_installed_shows_every_option_with_its_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("initramfs/init.conf");
    let text = fs::read_to_string(path).expect("the file");
    assert_eq!(parse(&text), Ok(defaults()), "nothing in it is in force");

    let shown: Vec<_> = text
        .lines()
        .filter_map(|line| line.strip_prefix('#').filter(|rest| !rest.starts_with(' ')))
        .collect();
    let keys: Vec<_> = shown.iter().filter_map(|line| line.split(" = ").next()).collect();
    assert_eq!(keys, KEYS);
    for line in shown {
        assert_eq!(parse(line), Ok(defaults()), "{line}");
    }
}

#[test]
fn a_default_in_the_manual_and_in_the_help_is_the_one_in_the_code() {
    // An option sets nothing but itself: with any other value something would differ.
    for (key, item) in options(&Page::read(CONF)) {
        let statement = format!("{key} = {}", default_of(&item));
        assert_eq!(parse(&statement), Ok(defaults()), "{statement}");
    }
    for (key, text) in help::settings() {
        if let Some((_, default)) = text.split_once("default ") {
            assert_eq!(parse(&format!("{key} = {default}")), Ok(defaults()), "{key}: {text}");
        }
    }
}

#[test]
fn every_value_that_the_manual_names_can_be_given() {
    for (key, item) in options(&Page::read(CONF)) {
        for value in typed_words(item.head[3..].iter().map(|word| &**word)) {
            let statement = format!("{key} = {value}");
            assert!(parse(&statement).is_ok(), "{statement}: {:?}", parse(&statement));
        }
    }
}

#[test]
fn the_settings_in_the_manual_can_be_read() {
    let page = Page::read(CONF);
    let examples = literals(page.section("OPTIONS"));
    let mut shown = BTreeSet::new();
    for line in examples.iter().flat_map(|example| example.lines()) {
        assert!(parse(line).is_ok(), "{line}: {:?}", parse(line));
        shown.extend(line.split_once(" = ").map(|(key, _)| key.to_owned()));
    }
    let keys: BTreeSet<_> = KEYS.iter().map(|key| (*key).to_owned()).collect();
    assert_eq!(shown, keys, "each option has an example");
}
