//! Any declarations of binds, from the template and from the private disk: no panic, a list in order,
//! and nothing in it that may not be bound.
//!
//! The input is split at its first zero byte: a file in `binds.d` of the template, then a file of Qubes
//! on the private disk.

#![no_main]

use ebbtide_init::{
    bind_rules::refusal,
    binds::{Declared, Grammar, MOST_BINDS, MOST_MISTAKES, Source, order},
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (conf, bind_dirs) = text.split_once('\0').unwrap_or((text, text));
    let mut declared = Declared::by_options(&["/home".into(), "/usr/local".into()], "/rw");
    let source = |name: &str, on_volume| Source { name: name.into(), on_volume };
    declared.read(source("a.conf", false), Grammar::Conf, conf);
    declared.read(source("b.conf", true), Grammar::BindDirs, bind_dirs);
    assert!(declared.mistakes().len() <= MOST_MISTAKES);
    for mistake in declared.mistakes() {
        let said = mistake.to_string();
        assert!(!said.chars().any(char::is_control), "{said:?}");
        let lines = conf.lines().count().max(bind_dirs.lines().count());
        assert!((1..=lines).contains(&mistake.place.line), "{said}");
    }
    let binds = declared.binds();
    assert!(binds.len() <= MOST_BINDS);
    assert!(binds.windows(2).all(|pair| order(&pair[0].path, &pair[1].path).is_lt()));
    for bind in &binds {
        let said = refusal(&bind.path, "/rw", bind.by.source.on_volume);
        assert_eq!(said, None, "{}", bind.path);
        let odd = |part: &str| matches!(part, "" | "." | "..");
        assert!(!bind.path[1..].split('/').any(odd), "{}", bind.path);
    }
});
