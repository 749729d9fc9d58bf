//! Settings of what an engine is told.

use super::{invalid, number, size};
use crate::{
    error::Refusal,
    vm::record::{Engine, Network},
};
use ebbtide_format::units::Bytes;

/// Changes one of them; `None` for a key that is none of these.
pub(super) fn change(engine: &mut Engine, key: &str, value: &str) -> Result<Option<()>, Refusal> {
    match key {
        "memory" => engine.memory = memory(value)?,
        "cpus" => {
            engine.cpus = number(key, value).and_then(|cpus| match cpus {
                0 => Err(invalid(key, value, "a number from 1")),
                cpus => Ok(cpus),
            })?;
        }
        "network" => {
            engine.network = match value {
                "none" => Network::None,
                "user" => Network::User,
                _ => return Err(invalid(key, value, "none or user")),
            }
        }
        "cmdline" if value.chars().any(char::is_control) => {
            return Err(invalid(key, value, "one line of text"));
        }
        "cmdline" => engine.cmdline = (!value.is_empty()).then(|| value.into()),
        "args" => {
            engine.args = words(value).ok_or_else(|| invalid(key, value, "each quote closed"))?;
        }
        _ => return Ok(None),
    }
    Ok(Some(()))
}

fn memory(value: &str) -> Result<Bytes, Refusal> {
    let memory = size("memory", value)?;
    check_memory(memory, value).map(|()| memory)
}

/// Refuses memory in which no guest runs. `found` is how it was given.
fn check_memory(memory: Bytes, found: &str) -> Result<(), Refusal> {
    match memory {
        Bytes(bytes) if bytes < 1 << 20 => Err(invalid("memory", found, "at least 1M")),
        _ => Ok(()),
    }
}

/// Refuses what [`set`] would not take.
pub(in crate::vm) fn check_engine(engine: &Engine) -> Result<(), Refusal> {
    check_memory(engine.memory, &engine.memory.to_string())?;
    if engine.cpus == 0 {
        return Err(invalid("cpus", "0", "a number from 1"));
    }
    match &engine.cmdline {
        Some(line) if line.chars().any(char::is_control) => {
            Err(invalid("cmdline", line, "one line of text"))
        }
        _ => Ok(()),
    }
}

/// Divides text at spaces, but for those in quotes of either kind; `None` when one is not closed.
fn words(text: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(char) = chars.next() {
        match char {
            '\'' | '"' => {
                let (inside, rest) = chars.as_str().split_once(char)?;
                word.get_or_insert_default().push_str(inside);
                chars = rest.chars();
            }
            char if char.is_whitespace() => words.extend(word.take()),
            char => word.get_or_insert_default().push(char),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_a_word_together() {
        let divided = |text| words(text).map(|words| words.join("|"));
        assert_eq!(divided(r#" -a  'b c' d"e  'f" "" "#).as_deref(), Some("-a|b c|de  'f|"));
        assert_eq!(divided("").as_deref(), Some(""));
        assert_eq!(divided("it's"), None);
    }
}
