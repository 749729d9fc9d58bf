//! Properties of the grammar: no text is too odd for it, and what is written is read again.

use ebbtide_format::units::{Bytes, Chunk};
use ebbtide_init::options::{Choice, Format, OnFailure, Options, Overflow, Place, SwapSize};
use proptest::prelude::*;
use std::time::Duration;

/// Words that look like options, for the parser to get further than the first letter.
const ALMOST: &str = "(ebbtide\\.)?(root|private|volatile|modules|swap|chunk|overflow|timeout|encrypt|rw|binds|format|failure|x)?\
                      [ =]{0,2}(auto|serial=|PARTLABEL=|/dev/|[0-9]{0,21}[KMGTiBs]{0,3}|N|PO|yes|no|(/[a-z.]{0,3}){0,3}(,/[a-z]{0,2})?|\\PC{0,4})";

fn names() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9_.=:-]{1,20}( [a-z]{1,8})?"
}

fn choices() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::Auto),
        "/dev/[a-z][a-z0-9_-]{0,8}(/[a-z0-9_-]{1,12}){0,2}".prop_map(Choice::Path),
        names().prop_map(Choice::Serial),
        names().prop_map(Choice::PartLabel),
    ]
}

fn plain_paths() -> impl Strategy<Value = String> {
    "(/[a-z][a-z0-9._-]{0,6}){1,3}"
}

prop_compose! {
    fn mounts()(
        encrypt in any::<bool>(), volume_binds in any::<bool>(), disposable in any::<bool>(),
        rw in plain_paths(), binds in prop::collection::vec(plain_paths(), 0..4),
        format in prop_oneof![
            Just(Format::Ext4), Just(Format::Xfs), Just(Format::Btrfs), Just(Format::No),
        ],
        failure in prop_oneof![
            Just(OnFailure::PowerOff), Just(OnFailure::Reboot), Just(OnFailure::Shell),
        ],
    ) -> Options {
        let defaults = Options::default();
        Options { encrypt, rw, binds, volume_binds, format, disposable, failure, ..defaults }
    }
}

prop_compose! {
    fn options()(
        mounts in mounts(),
        wanted in any::<bool>(),
        root in choices(), private in choices(), volatile in choices(), modules in choices(),
        swap in prop_oneof![
            Just(SwapSize::Auto),
            any::<u64>().prop_map(|bytes| SwapSize::Fixed(Bytes(bytes))),
        ],
        chunk in (12..=20u32).prop_filter_map("a chunk", |shift| Chunk::from_bytes(Bytes(1 << shift))),
        overflow in prop_oneof![
            Just(Overflow::Auto), Just(Overflow::Transient), Just(Overflow::PersistentOverflow),
        ],
        timeout in (0..=3600u64).prop_map(Duration::from_secs),
    ) -> Options {
        Options { wanted, root, private, volatile, modules, swap, chunk, overflow, timeout, ..mounts }
    }
}

/// Writes options as statements `KEY = VALUE`, in the spelling of the manual.
fn statements(options: &Options, between: &str) -> Vec<String> {
    let Options {
        wanted: _, root, private, volatile, modules, swap, chunk, overflow, timeout, ..
    } = options;
    let Options { encrypt, rw, binds, volume_binds, format, disposable, failure, .. } = options;
    let yes_or_no = |yes: &bool| if *yes { "yes" } else { "no" }.to_string();
    let failure = match failure {
        OnFailure::PowerOff => "poweroff",
        OnFailure::Reboot => "reboot",
        OnFailure::Shell => "shell",
    };
    let swap = match swap {
        SwapSize::Auto => "auto".to_string(),
        SwapSize::Fixed(size) => size.0.to_string(),
    };
    let overflow = match overflow {
        Overflow::Auto => "auto",
        Overflow::Transient => "N",
        Overflow::PersistentOverflow => "PO",
    };
    [
        ("root", root.to_string()),
        ("private", private.to_string()),
        ("volatile", volatile.to_string()),
        ("modules", modules.to_string()),
        ("swap", swap),
        ("chunk", format!("{}K", chunk.bytes().0 / 1024)),
        ("overflow", overflow.to_string()),
        ("timeout", format!("{}s", timeout.as_secs())),
        ("encrypt", yes_or_no(encrypt)),
        ("rw", rw.clone()),
        ("binds", if binds.is_empty() { "no".to_string() } else { binds.join(",") }),
        ("volume-binds", yes_or_no(volume_binds)),
        ("format", format.word().to_string()),
        ("disposable", yes_or_no(disposable)),
        ("failure", failure.to_string()),
    ]
    .map(|(key, value)| format!("{key}{between}{value}"))
    .to_vec()
}

fn command_line(options: &Options) -> String {
    let quoted = |statement: String| format!("\"ebbtide.{statement}\"");
    let mut words: Vec<_> = statements(options, "=").into_iter().map(quoted).collect();
    words.push(if options.wanted { "root=/dev/mapper/dmroot" } else { "root=/dev/vda1" }.into());
    words.join(" ")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2048))]

    #[test]
    fn no_text_is_too_odd(line in any::<String>(), conf in any::<String>()) {
        let _ = Options::parse(&format!("root=dmroot {line}"), &conf);
    }

    #[test]
    fn no_text_that_is_almost_an_option_is_too_odd(
        words in prop::collection::vec(ALMOST, 0..6), blank in "[ \t\n\"]{1,3}",
    ) {
        let text = words.join(&blank);
        let _ = Options::parse(&format!("root=dmroot {text}"), "");
        let _ = Options::parse("root=dmroot", &text);
    }

    #[test]
    fn what_is_written_on_the_command_line_is_read(options in options()) {
        let expected = if options.wanted { options.clone() } else { Options::default() };
        prop_assert_eq!(Options::parse(&command_line(&options), ""), Ok(expected));
    }

    #[test]
    fn what_is_written_in_the_file_is_read(options in options(), between in " {0,2}= {0,2}") {
        let conf = statements(&options, &between).join("\n");
        let options = Options { wanted: true, ..options };
        prop_assert_eq!(Options::parse("root=/dev/mapper/dmroot", &conf), Ok(options));
        // Another root is not ours: whatever the file says, right or wrong, it says nothing.
        prop_assert_eq!(Options::parse("root=/dev/vda", &conf), Ok(Options::default()));
    }

    #[test]
    fn the_command_line_wins(options in options(), other in options()) {
        let conf = statements(&other, "=").join("\n");
        let expected = if options.wanted { options.clone() } else { Options::default() };
        prop_assert_eq!(Options::parse(&command_line(&options), &conf), Ok(expected));
    }

    #[test]
    fn an_error_names_the_line_and_what_stands_there(
        options in options(), at in 0..9usize, bad in "[a-z]{1,8}( = [a-z]{1,3})?",
    ) {
        let mut lines = statements(&options, " = ");
        lines.insert(at.min(lines.len()), format!("speed{bad}"));
        let error = Options::parse("root=/dev/mapper/dmroot", &lines.join("\n")).expect_err("an unknown option");
        prop_assert_eq!(error.place, Place::ConfLine(at + 1));
        prop_assert!(error.to_string().contains(&format!("speed{bad}")), "{}", error);
    }

    #[test]
    fn words_of_others_mean_nothing(words in prop::collection::vec("[a-df-z][a-z.]{0,9}(=[a-z0-9]{0,4})?", 0..8)) {
        prop_assume!(words.iter().all(|word| !word.starts_with("root=")));
        let line = format!("{} root=dmroot", words.join(" "));
        let nothing = Options { wanted: true, ..Options::default() };
        prop_assert_eq!(Options::parse(&line, ""), Ok(nothing));
    }
}

/// The administrator reads the file, so it has every option, and its lines that are commented out are what they say.
#[test]
fn the_settings_file_shows_every_option_with_its_default() {
    let shown = include_str!("../initramfs/init.conf");
    let lines = shown.lines().filter_map(|line| line.strip_prefix('#'));
    let conf = lines.filter(|line| !line.starts_with(' ')).collect::<Vec<_>>().join("\n");
    let options = Options::parse("root=/dev/mapper/dmroot", &conf).unwrap();
    assert_eq!(options, Options { wanted: true, ..Options::default() });

    let unknown = Options::parse("root=/dev/mapper/dmroot ebbtide.x=1", "").unwrap_err();
    let keys = unknown.wanted.strip_prefix("one of ").and_then(|text| text.split_once(", as "));
    for key in keys.expect("the error lists the options").0.split(", ") {
        assert!(conf.lines().any(|line| line.starts_with(&format!("{key} = "))), "{key}");
    }
}
