//! Licence expressions: the text in a manifest and a list of allowed licences flow in, yes or no flows out.
//!
//! The grammar is that of SPDX 2.3, annex D; crates from before its time write `/` for `OR`.

/// Returns whether the allowed licences are enough for `expression`.
///
/// An exception belongs to the name: `Apache-2.0 WITH LLVM-exception` has to be allowed in these words.
///
/// # Errors
/// The expression is malformed: what was found instead of what was wanted.
pub(crate) fn allows(expression: &str, allowed: &[String]) -> Result<bool, String> {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut parser = Parser { words: spaced.split_whitespace().collect(), at: 0, allowed };
    let result = parser.or()?;
    match parser.peek() {
        None => Ok(result),
        Some(word) => Err(format!("`{expression}`: `{word}` where it should end")),
    }
}

struct Parser<'a> {
    words: Vec<&'a str>,
    at: usize,
    allowed: &'a [String],
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<&'a str> {
        self.words.get(self.at).copied()
    }

    fn take(&mut self, wanted: &str) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Result<bool, String> {
        let mut result = self.and()?;
        while self.take("OR") {
            // Both sides are always read.
            result |= self.and()?;
        }
        Ok(result)
    }

    fn and(&mut self) -> Result<bool, String> {
        let mut result = self.one()?;
        while self.take("AND") {
            result &= self.one()?;
        }
        Ok(result)
    }

    fn one(&mut self) -> Result<bool, String> {
        if self.take("(") {
            let result = self.or()?;
            return if self.take(")") { Ok(result) } else { Err(self.instead_of("`)`")) };
        }
        let name = self.name()?;
        if !self.take("WITH") {
            return Ok(self.allowed.iter().any(|allowed| allowed == name));
        }
        let whole = format!("{name} WITH {}", self.name()?);
        Ok(self.allowed.contains(&whole))
    }

    fn name(&mut self) -> Result<&'a str, String> {
        let word = self.peek().filter(|word| !["AND", "OR", "WITH", "(", ")"].contains(word));
        self.at += usize::from(word.is_some());
        word.ok_or_else(|| self.instead_of("a licence"))
    }

    fn instead_of(&self, wanted: &str) -> String {
        let found = self.peek().map_or("the end".to_owned(), |word| format!("`{word}`"));
        format!("`{}`: {found} instead of {wanted}", self.words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    fn allows(expression: &str) -> Result<bool, String> {
        let allowed = ["MIT", "Unicode-3.0", "Apache-2.0 WITH LLVM-exception"];
        super::allows(expression, &allowed.map(str::to_owned))
    }

    #[test]
    fn one_side_of_or_is_enough_and_both_of_and_are_needed() {
        for (expression, wanted) in [
            ("MIT", true),
            ("GPL-3.0-only", false),
            ("MIT OR Apache-2.0", true),
            ("Apache-2.0/MIT", true),
            ("Unlicense/Apache-2.0", false),
            ("MIT AND GPL-2.0-only", false),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("(MIT OR Apache-2.0) AND NCSA", false),
            ("MIT OR (Apache-2.0 AND (NCSA OR Zlib))", true),
        ] {
            assert_eq!(allows(expression), Ok(wanted), "{expression}");
        }
    }

    #[test]
    fn and_binds_closer_than_or() {
        assert_eq!(allows("MIT OR Zlib AND NCSA"), Ok(true));
        assert_eq!(allows("Zlib AND NCSA OR MIT"), Ok(true));
        assert_eq!(allows("(MIT OR Zlib) AND NCSA"), Ok(false));
    }

    #[test]
    fn an_exception_is_part_of_the_licence() {
        assert_eq!(allows("Apache-2.0 WITH LLVM-exception OR NCSA"), Ok(true));
        assert_eq!(allows("Apache-2.0"), Ok(false));
        assert_eq!(allows("MIT WITH LLVM-exception"), Ok(false));
    }

    #[test]
    fn refuses_what_is_no_expression() {
        for malformed in ["", "MIT OR", "(MIT", "MIT)", "MIT Apache-2.0", "AND", "MIT WITH", "()"] {
            let error = allows(malformed).unwrap_err();
            assert!(error.contains(malformed.trim_matches(['(', ')'])), "{malformed}: {error}");
        }
    }
}
