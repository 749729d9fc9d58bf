//! What differs from run to run, replaced by its kind.

use std::path::Path;

/// A shape of text: `d` stands for a digit, `x` for a hexadecimal one, a point at the end for parts of a second,
/// everything else for itself.
const SHAPES: [(&str, &str); 4] = [
    ("xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx", "UUID"),
    ("dddd-dd-ddTdd:dd:ddZ", "TIME"),
    ("dddd-dd-ddTdd:dd:dd.", "TIME"),
    ("dddd-dd-dd dd:dd:dd", "TIME"),
];

/// What stands before numbers that are masked. One may have points in it, as that of a version has.
const NUMBERS: [(&str, &str); 6] = [
    ("\"inode\": ", "INODE"),
    ("\"allocated\": ", "ALLOCATED"),
    ("\"pid\": ", "PID"),
    (" qemu (process ", "PID"),
    (" qemu, process ", "PID"),
    ("QEMU 1.0 then, ", "VERSION"),
];

/// What stands behind the sizes of memories, in the last column of a table.
const BEHIND_MEMORY: [&str; 3] = ["  VERSIONS", "  current", "  older"];

/// Masks UUIDs, times, inodes, processes, what memories take, and the directory of the case.
pub(crate) fn mask(text: &str, here: &Path) -> String {
    let mut text = text.replace(&here.display().to_string(), "HERE");
    for (shape, name) in SHAPES {
        text = mask_shape(&text, shape, name);
    }
    for (before, name) in NUMBERS {
        text = mask_number(&text, before, name);
    }
    mask_memory(&text)
}

/// Masks what memories take, with the width of their column.
fn mask_memory(text: &str) -> String {
    let mask = |line: &str| {
        let end =
            BEHIND_MEMORY.iter().find_map(|end| Some((line.strip_suffix(end)?.trim_end(), *end)));
        match end.and_then(|(before, end)| Some((before.rsplit_once("  ")?, end))) {
            Some(((before, "TAKES"), end)) => format!("{before}  TAKES{end}"),
            Some(((before, _), end)) => format!("{before}  SIZE {end}"),
            None => line.to_owned(),
        }
    };
    text.split_inclusive('\n')
        .map(|line| match line.strip_suffix('\n') {
            Some(line) => mask(line) + "\n",
            None => mask(line),
        })
        .collect()
}

fn mask_shape(text: &str, shape: &str, name: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match_length(rest.as_bytes(), shape.as_bytes());
        if length == 0 {
            masked.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            masked.push_str(name);
            rest = &rest[length..];
            if shape.ends_with('.') {
                rest =
                    rest.trim_start_matches(|c: char| c.is_ascii_digit()).trim_start_matches('Z');
            }
        }
    }
    masked
}

/// Returns how many bytes `text` begins with that have this shape: all of it, or none.
fn match_length(text: &[u8], shape: &[u8]) -> usize {
    let fits = text.len() >= shape.len()
        && text.iter().zip(shape).all(|(byte, shape)| match shape {
            b'd' => byte.is_ascii_digit(),
            b'x' => byte.is_ascii_hexdigit(),
            other => byte == other,
        });
    if fits { shape.len() } else { 0 }
}

fn mask_number(text: &str, before: &str, name: &str) -> String {
    let mut parts = text.split(before);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let digits = part.bytes().take_while(|byte| byte.is_ascii_digit() || *byte == b'.').count();
        masked += before;
        masked += if digits == 0 { "" } else { name };
        masked += &part[digits..];
    }
    masked
}
