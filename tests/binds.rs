//! Properties of declarations: no text is too odd, what is written is read, and nothing that the private
//! disk says reaches the template's programs.

use ebbtide_init::binds::{Declared, Grammar, MOST_BINDS, Source, below, order};
use proptest::prelude::*;

/// Words that look like declarations, for the parsers to get further than the first letter.
const ALMOST: &str = "-?(/(usr|etc|var|lib64|bin|rw|run|srv|a|\\.\\.|\\.|\\PC)){0,4}/?|dir|file|user:|[0-9]{1,5}\
                      |binds\\+?=\\(|\\)|'|\"|\\\\|#|\\$\\(x\\)|\n| |\\PC";

fn source(on_volume: bool) -> Source {
    Source { name: "a.conf".to_string(), on_volume }
}

fn read(text: &str, grammar: Grammar, on_volume: bool) -> Declared {
    let mut declared = Declared::by_options(&["/home".to_string()], "/rw");
    declared.read(source(on_volume), grammar, text);
    declared
}

/// Checks what must hold of any list.
fn check(declared: Declared, on_volume: bool) -> Result<(), TestCaseError> {
    for mistake in declared.mistakes() {
        let text = mistake.to_string();
        prop_assert!(!text.chars().any(char::is_control), "{text:?}");
    }
    let binds = declared.binds();
    prop_assert!(binds.len() <= MOST_BINDS);
    for pair in binds.windows(2) {
        prop_assert!(order(&pair[0].path, &pair[1].path).is_lt(), "{pair:?}");
    }
    for path in binds.iter().map(|bind| bind.path.as_str()) {
        prop_assert!(path.starts_with('/') && path.len() > 1, "{path:?}");
        let odd = |part: &str| matches!(part, "" | "." | "..");
        prop_assert!(!path[1..].split('/').any(odd), "{path:?}");
        prop_assert!(!path.chars().any(char::is_control), "{path:?}");
        prop_assert!(path.matches('/').count() <= 32, "{path:?}");
        for never in ["/proc", "/sys", "/dev", "/run", "/rw"] {
            prop_assert!(below(path, never).is_none(), "{path:?}");
        }
        let programs = [
            "/usr",
            "/bin",
            "/sbin",
            "/lib",
            "/lib64",
            "/boot",
            "/etc/ebbtide",
            "/etc/alternatives",
        ];
        let of_programs = programs.iter().any(|tree| below(path, tree).is_some());
        let local = below(path, "/usr/local").is_some();
        prop_assert!(!on_volume || local || !of_programs, "{path:?}");
        prop_assert!(!on_volume || !["/etc", "/var"].contains(&path), "{path:?}");
    }
    Ok(())
}

fn paths() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("(/[a-z #'\"\\\\$*;é]{1,6}){1,4}", 1..20).prop_map(|paths| {
        let mut paths: Vec<String> =
            paths.into_iter().map(|path| ["/srv", &path].concat()).collect();
        paths.sort_by(|one, other| order(one, other));
        paths.dedup();
        paths
    })
}

fn found(declared: Declared) -> Vec<String> {
    let paths = declared.binds().into_iter().map(|bind| bind.path);
    paths.filter(|path| path != "/home").collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_text_is_too_odd(text in any::<String>(), on_volume in any::<bool>()) {
        for grammar in [Grammar::Conf, Grammar::BindDirs] {
            check(read(&text, grammar, on_volume), on_volume)?;
        }
    }

    #[test]
    fn no_text_that_is_almost_a_declaration_is_too_odd(
        words in prop::collection::vec(ALMOST, 0..12), on_volume in any::<bool>(),
    ) {
        for text in [words.concat(), words.join(" ")] {
            for grammar in [Grammar::Conf, Grammar::BindDirs] {
                check(read(&text, grammar, on_volume), on_volume)?;
            }
        }
    }

    #[test]
    fn a_flipped_byte_costs_no_more_than_its_line(
        paths in paths(), at in any::<prop::sample::Index>(), flip in 1u8..,
    ) {
        let lines: Vec<String> = paths.iter().map(|path| quoted(path)).collect();
        let mut bytes = lines.join("\n").into_bytes();
        let at = at.index(bytes.len());
        // Its own line end, or a new one, would make it two lines' worth.
        prop_assume!(bytes[at] != b'\n' && bytes[at] ^ flip != b'\n');
        bytes[at] ^= flip;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let found = found(read(&text, Grammar::Conf, true));
        let lost = paths.iter().filter(|path| !found.contains(path)).count();
        prop_assert!(lost <= 1, "{lost} lost of {paths:?}, found {found:?} in {text:?}");
        check(read(&text, Grammar::BindDirs, true), true)?;
    }

    #[test]
    fn what_is_written_in_a_conf_is_read(paths in paths()) {
        let text: String = paths.iter().map(|path| quoted(path) + " dir 1:2 0755\n").collect();
        let declared = read(&text, Grammar::Conf, true);
        prop_assert_eq!(declared.mistakes(), []);
        prop_assert_eq!(found(declared), paths);
    }

    #[test]
    fn what_is_written_for_qubes_is_read(paths in paths(), between in "[ \t\n]{1,3}|  # note\n") {
        let words: Vec<String> =
            paths.iter().map(|path| format!("'{}'", path.replace('\'', "'\\''"))).collect();
        let text = format!("binds+=( {}{between})\n", words.join(&between));
        let declared = read(&text, Grammar::BindDirs, true);
        prop_assert_eq!(declared.mistakes(), []);
        prop_assert_eq!(found(declared), paths);
    }

    #[test]
    fn what_is_taken_away_is_gone(paths in paths(), at in any::<prop::sample::Index>()) {
        let gone = &paths[at.index(paths.len())];
        let mut text: String = paths.iter().map(|path| quoted(path) + "\n").collect();
        text += &format!("-{}\n", quoted(gone));
        let declared = read(&text, Grammar::Conf, false);
        prop_assert_eq!(declared.mistakes(), []);
        let left: Vec<String> = paths.iter().filter(|path| *path != gone).cloned().collect();
        prop_assert_eq!(found(declared), left);
    }
}

fn quoted(path: &str) -> String {
    format!("\"{}\"", path.replace('\\', "\\\\").replace('"', "\\\""))
}
