//! What a binary consists of: the output of `nm` and `size` flows in, bytes by crate and section flow out.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use crate::failure::Result;
use crate::process;

/// Returns the symbols that take room in the file, the largest first.
pub(crate) fn list(binary: &Path) -> Result<Vec<(String, u64)>> {
    let mut nm = Command::new("nm");
    nm.args(["--demangle", "--print-size", "--size-sort", "--reverse-sort", "--radix=d"]);
    Ok(parse(&process::output(nm.arg(binary))?))
}

/// Parses lines of `ADDRESS SIZE KIND NAME`; what is zero at the start (`b`) takes no room.
fn parse(text: &str) -> Vec<(String, u64)> {
    let symbol = |line: &str| {
        let mut words = line.splitn(4, ' ');
        let size = words.nth(1)?.parse().ok()?;
        let kind = words.next()?;
        (!matches!(kind, "b" | "B")).then_some(())?;
        Some((words.next()?.to_owned(), size))
    };
    text.lines().filter_map(symbol).collect()
}

/// Adds the sizes up by crate, the largest first.
pub(crate) fn by_crate(symbols: &[(String, u64)]) -> Vec<(String, u64)> {
    let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, size) in symbols {
        *sums.entry(krate(name)).or_default() += size;
    }
    let mut sums: Vec<(String, u64)> =
        sums.into_iter().map(|(name, size)| (name.to_owned(), size)).collect();
    sums.sort_by_key(|(name, size)| (std::cmp::Reverse(*size), name.clone()));
    sums
}

/// Returns the crate that a demangled name belongs to. Glue such as `core::ptr::drop_in_place::<T>` is of T's crate, an
/// implementation `<T as Trait>` too.
fn krate(name: &str) -> &str {
    let inner = name.strip_prefix("core::ptr::drop_in_place::<").unwrap_or(name);
    let start = inner.trim_start_matches(['<', '&', '[', '(', '*', ' ']);
    let start = ["mut ", "const ", "dyn ", "impl "]
        .iter()
        .fold(start, |text, word| text.strip_prefix(word).unwrap_or(text))
        .trim_start_matches('<');
    match start.split_once("::") {
        Some((krate, _)) if krate.chars().all(|c| c.is_alphanumeric() || c == '_') => krate,
        _ => "C, start and primitive types",
    }
}

/// Returns the loaded sections of at least 1000 bytes, the largest first.
pub(crate) fn sections(binary: &Path) -> Result<Vec<(String, u64)>> {
    let text = process::output(Command::new("size").args(["-A", "-d"]).arg(binary))?;
    let section = |line: &str| {
        let mut words = line.split_whitespace();
        let (name, size) = (words.next()?, words.next()?.parse::<u64>().ok()?);
        // Debug sections, which stripping removes, have no address.
        (words.next()? != "0" && name != ".bss" && size >= 1000).then(|| (name.to_owned(), size))
    };
    let mut sections: Vec<_> = text.lines().filter_map(section).collect();
    sections.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
    Ok(sections)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_the_crate_of_their_type() {
        for (name, owner) in [
            ("std::rt::lang_start::<()>", "std"),
            ("<gpt::header::Header as core::fmt::Debug>::fmt", "gpt"),
            ("<&mut ebbtide_init::plan::Plan as core::fmt::Display>::fmt", "ebbtide_init"),
            ("core::ptr::drop_in_place::<nix::errno::Errno>", "nix"),
            ("<<alloc::vec::Vec<u8>>::into_iter>", "alloc"),
            ("memcpy", "C, start and primitive types"),
            ("<u8 as core::fmt::Debug>::fmt", "C, start and primitive types"),
        ] {
            assert_eq!(krate(name), owner, "{name}");
        }
    }

    #[test]
    fn what_takes_no_room_is_left_out() {
        let found = parse("0001 0030 t std::x::<a b>\n0002 0090 b std::zero\n     U write\n");
        assert_eq!(found, [("std::x::<a b>".to_owned(), 30)]);
    }
}
