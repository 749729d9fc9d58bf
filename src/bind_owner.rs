//! Who owns what is made for a bind: names, looked up in the root's own texts.
//!
//! In: an owner as declared, `/etc/passwd` and `/etc/group` of the root. Out: two numbers.

use alloc::string::String;
use core::fmt;

/// A user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Account {
    /// By number.
    Number(u32),
    /// By its name in the root.
    Name(String),
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

/// Who owns what is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub user: Account,
    /// The group, where it is not the user's own.
    pub group: Option<Account>,
}

impl Owner {
    /// Looks both numbers up. The group of a user by number that `passwd` does not list is that of
    /// root.
    ///
    /// # Errors
    /// The account that is not there.
    pub fn numbers(&self, passwd: &str, group: &str) -> Result<(u32, u32), &Account> {
        let user = match &self.user {
            Account::Number(number) => (*number, group_of(passwd, *number).unwrap_or(0)),
            Account::Name(name) => user(passwd, name).ok_or(&self.user)?,
        };
        match &self.group {
            None => Ok(user),
            Some(Account::Number(number)) => Ok((user.0, *number)),
            Some(account @ Account::Name(name)) => {
                let line = line_of(group, name).ok_or(account)?;
                Ok((user.0, number(line, 1).ok_or(account)?))
            }
        }
    }
}

/// Returns what follows the name in the line of that name; in both files the name comes first.
fn line_of<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
}

/// Returns the number in a field that follows the name, counted from 0. The largest means "leave it"
/// to the kernel.
fn number(line: &str, field: usize) -> Option<u32> {
    let field = line.split(':').nth(field)?;
    let digits = !field.is_empty() && field.bytes().all(|b| b.is_ascii_digit());
    field.parse().ok().filter(|number| digits && *number != u32::MAX)
}

/// A line is `NAME:PASSWORD:UID:GID:…`.
fn user(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let line = line_of(passwd, name)?;
    Some((number(line, 1)?, number(line, 2)?))
}

fn group_of(passwd: &str, uid: u32) -> Option<u32> {
    passwd.lines().find_map(|line| (number(line, 2)? == uid).then(|| number(line, 3)).flatten())
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n\nbad\nuser:x:1000:100::/home/user:/bin/sh\n\
                          odd:x:-1:+5::/:\nlast:x:4294967295:1:::\nfew:x:7";
    const GROUP: &str = "root:x:0:\nstaff:x:50:user\nbad:x:\n";

    fn numbers(user: &str, group: Option<&str>) -> Option<(u32, u32)> {
        let account =
            |text: &str| text.parse().map_or_else(|_| Account::Name(text.into()), Account::Number);
        let owner = Owner { user: account(user), group: group.map(account) };
        owner.numbers(PASSWD, GROUP).ok()
    }

    #[test]
    fn a_user_has_its_own_group_unless_one_is_named() {
        assert_eq!(numbers("user", None), Some((1000, 100)));
        assert_eq!(numbers("user", Some("staff")), Some((1000, 50)));
        assert_eq!(numbers("1000", None), Some((1000, 100)));
        assert_eq!(numbers("1001", None), Some((1001, 0)));
        assert_eq!(numbers("1001", Some("7")), Some((1001, 7)));
    }

    #[test]
    fn what_is_not_listed_or_malformed_is_nobody() {
        for user in ["nobody", "use", "bad", "odd", "last", "few", "user:x"] {
            assert_eq!(numbers(user, None), None, "{user}");
        }
        for group in ["users", "bad", "staf"] {
            assert_eq!(numbers("user", Some(group)), None, "{group}");
        }
    }
}
