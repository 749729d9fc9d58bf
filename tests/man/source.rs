//! The source of the program: what it can say.

use std::fs;
use std::path::Path;

/// Returns every file below `src`, with the texts that go on over a line's end in one piece, and quotes
/// as they are said.
pub(crate) fn text() -> String {
    let mut text = String::new();
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut text);
    let mut whole = String::new();
    for part in text.split("\\\n") {
        whole.push_str(if whole.is_empty() { part } else { part.trim_start() });
    }
    whole.replace("\\\"", "\"")
}

/// Returns one file of it.
pub(crate) fn file(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src").join(name);
    fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn read(folder: &Path, text: &mut String) {
    let entries = fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    for path in entries.map(|entry| entry.expect("an entry").path()) {
        if path.is_dir() {
            read(&path, text);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("text"));
        }
    }
}
