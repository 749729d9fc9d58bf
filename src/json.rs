//! JSON, written as it comes: no tree, no numbers but whole ones and tenths.
//!
//! Source: RFC 8259. A text is UTF-8, with `"`, `\` and control characters escaped.

use alloc::{format, string::String};
use core::fmt;

/// An object that is being written; [`Object::line`] makes one.
#[derive(Debug)]
pub struct Object<'a> {
    out: &'a mut String,
    begun: bool,
}

impl Object<'_> {
    /// Returns one object on a line of its own, with what `fill` puts into it.
    #[must_use]
    pub fn line(fill: impl FnOnce(&mut Object<'_>)) -> String {
        let mut out = String::new();
        within(&mut out, fill);
        out.push('\n');
        out
    }

    /// Writes a text, or `null`.
    pub fn text(&mut self, key: &str, text: Option<&str>) {
        self.key(key);
        match text {
            Some(text) => quote(self.out, text),
            None => self.out.push_str("null"),
        }
    }

    /// Writes a whole number, or `null`.
    pub fn number(&mut self, key: &str, number: Option<u64>) {
        self.plain(key, &number.as_ref().map(|n| n as &dyn fmt::Display));
    }

    /// Writes a number of tenths, or `null`.
    pub fn tenths(&mut self, key: &str, tenths: Option<u16>) {
        let text = tenths.map(|n| format!("{}.{}", n / 10, n % 10));
        self.plain(key, &text.as_ref().map(|t| t as &dyn fmt::Display));
    }

    /// Writes true or false.
    pub fn flag(&mut self, key: &str, flag: bool) {
        self.plain(key, &Some(&flag));
    }

    /// Writes an object.
    pub fn object(&mut self, key: &str, fill: impl FnOnce(&mut Object<'_>)) {
        self.key(key);
        within(self.out, fill);
    }

    /// Writes a list of objects.
    pub fn list<T>(&mut self, key: &str, items: &[T], fill: impl Fn(&T, &mut Object<'_>)) {
        self.key(key);
        self.out.push('[');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            within(self.out, |object| fill(item, object));
        }
        self.out.push(']');
    }

    fn plain(&mut self, key: &str, value: &Option<&dyn fmt::Display>) {
        self.key(key);
        match value {
            Some(value) => self.out.push_str(&format!("{value}")),
            None => self.out.push_str("null"),
        }
    }

    fn key(&mut self, key: &str) {
        if core::mem::replace(&mut self.begun, true) {
            self.out.push(',');
        }
        quote(self.out, key);
        self.out.push(':');
    }
}

fn within(out: &mut String, fill: impl FnOnce(&mut Object<'_>)) {
    out.push('{');
    fill(&mut Object { out, begun: false });
    out.push('}');
}

fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\0'..' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            _ => out.push(c),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn read(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn another_reader_reads_what_was_written() {
        let line = Object::line(|o| {
            o.text("text", Some("a"));
            o.text("none", None);
            o.number("number", Some(u64::MAX));
            o.tenths("percent", Some(1005));
            o.flag("flag", true);
            o.object("empty", |_| {});
            o.list("list", &[1, 2], |n, o| o.number("n", Some(*n)));
            o.list("nothing", &[], |(), _| {});
        });
        let wanted = json!({
            "text": "a", "none": null, "number": u64::MAX, "percent": 100.5, "flag": true,
            "empty": {}, "list": [{"n": 1}, {"n": 2}], "nothing": [],
        });
        assert_eq!(read(&line), wanted);
        assert!(line.ends_with('\n') && line.matches('\n').count() == 1);
    }

    proptest! {
        #[test]
        fn any_text_comes_back(key: String, text: String) {
            let line = Object::line(|o| o.text(&key, Some(&text)));
            prop_assert_eq!(read(&line), json!({ key: text }));
        }
    }
}
