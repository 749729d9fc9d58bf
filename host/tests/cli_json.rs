//! `docs/json.md` against the program: its commands are run in order, and each prints the members of its example.
//!
//! A heading `` ### `ebbtide …` `` is a command, the next block of JSON its example; `<!-- $ COMMAND -->` is run between
//! them. With `EBBTIDE_BLESS=1` examples that have become wrong are written anew.

mod background;

use serde_json::Value;
use std::{env, fs, path::Path, process::Command};

const PROGRAM: &str = env!("CARGO_BIN_EXE_ebbtide");

/// A piece of the document.
enum Piece<'a> {
    /// Text, and the lines around examples.
    Text(&'a str),
    /// A command between examples.
    Setup(&'a str),
    /// A command with its example.
    Example(&'a str, String),
}

#[test]
fn every_command_prints_the_members_that_are_documented() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/json.md");
    let document = fs::read_to_string(&path).expect("docs/json.md");
    let room = tempfile::tempdir().expect("a temporary directory");
    let (mut blessed, mut wrong, mut examples) = (String::new(), Vec::new(), 0);
    for piece in pieces(&document) {
        match piece {
            Piece::Text(line) => blessed += &format!("{line}\n"),
            Piece::Setup(command) => {
                run(command, room.path());
                blessed += &format!("<!-- $ {command} -->\n");
            }
            Piece::Example(command, example) => {
                let printed = run(command, room.path());
                let value: Value = serde_json::from_str(&printed)
                    .unwrap_or_else(|error| panic!("{command}: {error}: {printed}"));
                let documented = serde_json::from_str(&example).unwrap_or(Value::Null);
                let is_same = example.trim() != "" && same(&documented, &value);
                examples += 1;
                if is_same {
                    blessed += &example;
                } else {
                    wrong.push(format!("{command}: printed is\n{printed}"));
                    blessed += &printed.replace(&room.path().display().to_string(), "/srv");
                }
            }
        }
    }
    if env::var_os("EBBTIDE_BLESS").is_some_and(|bless| bless == "1") {
        fs::write(&path, blessed).expect("docs/json.md");
    } else {
        assert!(
            wrong.is_empty(),
            "docs/json.md is not what the program prints: {}",
            wrong.join("\n")
        );
    }
    assert!(examples > 15, "{examples} examples were found");
}

/// Divides the document. The text of an example is all between its fences.
fn pieces(document: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let (mut command, mut example) = (None, None);
    for line in document.lines() {
        if let Some(text) = &mut example {
            if line == "```" {
                let text = std::mem::take(text);
                example = None;
                pieces.extend(command.take().map(|command| Piece::Example(command, text)));
                pieces.push(Piece::Text(line));
            } else {
                *text += &format!("{line}\n");
            }
            continue;
        }
        if let Some(setup) = line.strip_prefix("<!-- $ ").and_then(|rest| rest.strip_suffix(" -->"))
        {
            pieces.push(Piece::Setup(setup));
            continue;
        }
        pieces.push(Piece::Text(line));
        command = line.strip_prefix("### `").and_then(|rest| rest.strip_suffix('`')).or(command);
        if line == "```json" {
            example = Some(String::new());
        }
    }
    pieces
}

/// Returns whether both have the same members, and values of the same types. `null` is of any type; of an array it is the
/// first element that counts.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Null, _) | (_, Value::Null) => true,
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|found| same(value, found)))
        }
        (Value::Array(one), Value::Array(other)) => match (one.first(), other.first()) {
            (Some(one), Some(other)) => same(one, other),
            (one, other) => one.is_none() == other.is_none(),
        },
        (one, other) => std::mem::discriminant(one) == std::mem::discriminant(other),
    }
}

/// Runs a command and all that it leaves in the background to their end, and returns standard output.
fn run(command: &str, room: &Path) -> String {
    let programs = Path::new(PROGRAM).parent().unwrap_or(Path::new("/"));
    let path = env::var("PATH").unwrap_or_default();
    let wrapped = "test ! -e env || . ./env; eval \"$1\" > out 2> err";
    let said = Command::new("sh")
        .args(["-c", wrapped, "sh", command])
        .current_dir(room)
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("HOME", room)
        .env_remove("EBBTIDE_POOL")
        .output()
        .expect("sh");
    background::wait(room);
    let read = |name: &str| fs::read_to_string(room.join(name)).unwrap_or_default();
    // A check that finds something is no failure here.
    let is_done = said.status.success() || !read("out").is_empty();
    assert!(is_done, "{command}: {}", read("err"));
    read("out")
}

#[test]
fn a_member_that_is_missing_or_new_or_of_another_type_is_seen() {
    let value = |text: &str| serde_json::from_str::<Value>(text).expect(text);
    let documented = value(r#"[{"name": "a", "size": 1, "pid": null}]"#);
    assert!(same(&documented, &value(r#"[{"name": "b", "size": 2, "pid": 7}]"#)));
    for wrong in
        [r#"[{"name": "b", "size": 2}]"#, r#"[{"name": "b", "size": "2", "pid": 7}]"#, "[]", "{}"]
    {
        assert!(!same(&documented, &value(wrong)), "{wrong}");
    }
}
