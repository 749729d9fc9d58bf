//! Any kernel command line with any `init.conf`: no panic, and an error that names what stands there.
//!
//! The input is split at its first zero byte: command line, then file.

#![no_main]

use ebbtide_init::options::{Options, Place};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (line, conf) = text.split_once('\0').unwrap_or((text, ""));
    // Quotes may stand anywhere in a word, and go.
    let unquoted = line.replace('"', "");
    match Options::parse(&format!("root=dmroot {line}"), conf) {
        // The line names another root after ours: then nothing is ours to read.
        Ok(options) if !options.wanted => assert_eq!(options, Options::default()),
        Ok(options) => {
            // What is in neither text was not made up: the same file and an empty line agree on all
            // but what the line says.
            if !unquoted.contains("ebbtide.") {
                let alone =
                    Options::parse("root=dmroot", conf).expect("the file alone is no worse");
                assert_eq!(options, alone);
            }
        }
        Err(error) => {
            let found = match error.place {
                Place::CommandLine => unquoted.contains(&error.found),
                Place::ConfLine(at) => {
                    conf.lines().nth(at - 1).is_some_and(|line| line.trim() == error.found)
                }
            };
            assert!(found, "{error} is not what stands there");
        }
    }
});
