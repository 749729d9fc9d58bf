//! What `cargo xtask test` was asked for.

use super::part::Part;
use crate::failure::{Failure, Result};

/// Options of the verb.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    tier: Option<Tier>,
    /// Seconds for each fuzz target.
    pub(crate) fuzz_seconds: u32,
    /// Part of the names of the tests to run.
    pub(crate) filter: Option<String>,
}

/// The tiers, by what they need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tier {
    /// Nothing.
    Pure,
    /// Root and loop devices.
    Root,
    /// QEMU and images.
    Vm,
}

impl Options {
    /// Reads the command line.
    pub(crate) fn parse(args: &[String]) -> Result<Self> {
        let mut options = Options { tier: None, fuzz_seconds: 10, filter: None };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--tier" => options.tier = Some(Tier::parse(args.next())?),
                "--fuzz-seconds" => options.fuzz_seconds = seconds(args.next())?,
                filter if !filter.starts_with('-') && options.filter.is_none() => {
                    options.filter = Some(filter.to_owned());
                }
                other => return Err(Failure::usage(format!("test: unknown argument {other}"))),
            }
        }
        Ok(options)
    }

    /// Returns the parts to run, the quick ones first.
    pub(crate) fn parts(&self) -> Vec<Part> {
        let pure = [Part::Pure, Part::Doc, Part::Fuzz];
        let wanted = |tier| self.tier.is_none_or(|only| only == tier);
        let pure = pure.into_iter().filter(|_| wanted(Tier::Pure));
        let others = [(Tier::Root, Part::Root), (Tier::Vm, Part::Vm)];
        let others = others.into_iter().filter(|(tier, _)| wanted(*tier)).map(|(_, part)| part);
        pure.chain(others).collect()
    }

    /// Returns whether a test of this name is wanted.
    pub(crate) fn wants(&self, name: &str) -> bool {
        self.filter.as_ref().is_none_or(|filter| name.contains(filter.as_str()))
    }
}

impl Tier {
    fn parse(word: Option<&String>) -> Result<Self> {
        match word.map(String::as_str) {
            Some("pure") => Ok(Tier::Pure),
            Some("root") => Ok(Tier::Root),
            Some("vm") => Ok(Tier::Vm),
            other => Err(Failure::usage(format!(
                "test: --tier wants `pure`, `root` or `vm`, not `{}`",
                other.unwrap_or_default()
            ))),
        }
    }
}

fn seconds(word: Option<&String>) -> Result<u32> {
    let text = word.map_or("", String::as_str);
    text.parse().ok().filter(|seconds| *seconds > 0).ok_or_else(|| {
        Failure::usage(format!("test: --fuzz-seconds wants a number above 0, not `{text}`"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Options> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Options::parse(&words)
    }

    #[test]
    fn a_tier_is_its_parts() {
        let all = [Part::Pure, Part::Doc, Part::Fuzz, Part::Root, Part::Vm];
        assert_eq!(parse("").unwrap().parts(), all);
        assert_eq!(parse("--tier pure").unwrap().parts(), [Part::Pure, Part::Doc, Part::Fuzz]);
        assert_eq!(parse("--tier root").unwrap().parts(), [Part::Root]);
        assert_eq!(parse("--tier vm stage").unwrap().parts(), [Part::Vm]);
    }

    #[test]
    fn a_filter_is_part_of_a_name() {
        let options = parse("swap --fuzz-seconds 5").unwrap();
        assert!(options.wants("too_small_for_swap") && !options.wants("layout"));
        assert_eq!(options.fuzz_seconds, 5);
        assert!(parse("").unwrap().wants("anything"));
    }

    #[test]
    fn refuses_what_it_does_not_know() {
        for line in ["--tier", "--tier fast", "--fuzz-seconds 0", "--quick", "one two"] {
            assert!(parse(line).unwrap_err().is_usage(), "{line}");
        }
    }
}
