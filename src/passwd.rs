//! The users whose homes are kept, as the root's `/etc/passwd` names them.
//!
//! In: its text. Out: the homes below `/home` with their owners. What cannot be a user of this machine
//! is left out, as `getpwent(3)` leaves it out; of two with one name or one home the first counts.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};

/// Where homes are that are kept.
pub const HOMES: &str = "/home/";
/// Every home is compared with every other: no machine has more, and a file with more costs no time.
pub const MOST_HOMES: usize = 4096;
/// The deepest home, counted in directories below `/home`.
pub const DEEPEST_HOME: usize = 8;
/// The longest path of a home; the kernel takes 4096 bytes with what it stands in.
const LONGEST_PATH: usize = 1024;
/// The longest name of a file.
const LONGEST_PART: usize = 255;

/// A user with a home below `/home`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Home {
    /// Name of the user.
    pub user: String,
    /// Number of the user, never 0.
    pub uid: u32,
    /// Number of the user's group.
    pub gid: u32,
    /// The home below `/home`: one or more names with one slash between them, none of them `.` or `..`.
    pub path: String,
    /// Whether the user's shell is one; else it is a service, and few of those have the home they name.
    pub logs_in: bool,
}

impl Home {
    /// Returns how many directories below `/home` it is.
    #[must_use]
    pub fn depth(&self) -> usize {
        self.path.split('/').count()
    }

    /// Returns its parent below `/home`, if it is not `/home` itself, and its own name.
    #[must_use]
    pub fn split(&self) -> (Option<&str>, &str) {
        match self.path.rsplit_once('/') {
            Some((parent, name)) => (Some(parent), name),
            None => (None, &self.path),
        }
    }

    /// Parses `NAME:PASSWORD:UID:GID:COMMENT:HOME:SHELL`.
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let user = fields.next().filter(|name| is_name(name))?;
        let uid = fields.nth(1).and_then(number).filter(|uid| *uid != 0)?;
        let gid = fields.next().and_then(number)?;
        let path = below_home(fields.nth(1)?)?;
        // The shell may be empty, which is a shell; without its field it is no entry.
        let shell = fields.next()?;
        let logs_in = !shell.ends_with("nologin") && !shell.ends_with("/false");
        Some(Self { user: user.to_string(), uid, gid, path, logs_in })
    }
}

/// Returns the homes in `text`, and how many entries with a home are left out since there are too many.
/// One that does not log in has a home only if the root has it, as `has_home` says.
#[must_use]
pub fn homes(text: &str, has_home: impl Fn(&Home) -> bool) -> (Vec<Home>, usize) {
    let (mut homes, mut left_out) = (Vec::<Home>::new(), 0);
    let parsed = text.lines().filter_map(Home::parse);
    for home in parsed.filter(|home| home.logs_in || has_home(home)) {
        if homes.len() >= MOST_HOMES {
            left_out += 1;
        } else if !homes.iter().any(|known| known.user == home.user || known.path == home.path) {
            homes.push(home);
        }
    }
    (homes, left_out)
}

/// Lines of NIS begin with a sign and name nobody.
fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.starts_with(['+', '-', '#'])
}

/// The kernel's "no user" is no number of a user.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten().filter(|number| *number != u32::MAX)
}

fn below_home(path: &str) -> Option<String> {
    let below = path.strip_prefix(HOMES)?;
    // What was no UTF-8 has lost what it said.
    if path.len() > LONGEST_PATH || below.contains(|c: char| c.is_control() || c == '\u{fffd}') {
        return None;
    }
    let mut clean = String::new();
    for part in below.split('/').filter(|part| !part.is_empty()) {
        if matches!(part, "." | "..") || part.len() > LONGEST_PART {
            return None;
        }
        if !clean.is_empty() {
            clean.push('/');
        }
        clean.push_str(part);
    }
    let depth = clean.split('/').count();
    (!clean.is_empty() && depth <= DEEPEST_HOME).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, vec};
    use proptest::prelude::*;

    const DEBIAN: &str = "root:x:0:0:root:/root:/bin/bash\n\
        daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
        user:x:1000:1000:,,,:/home/user:/bin/bash\n\
        sftp:x:1001:100::/home/jail/sftp/:\n";

    fn home(user: &str, uid: u32, gid: u32, path: &str) -> Home {
        Home { user: user.to_string(), uid, gid, path: path.to_string(), logs_in: true }
    }

    #[test]
    fn homes_below_home_with_their_owners() {
        let wanted = vec![home("user", 1000, 1000, "user"), home("sftp", 1001, 100, "jail/sftp")];
        assert_eq!(homes(DEBIAN, |_| false), (wanted.clone(), 0));
        assert_eq!(wanted[0].split(), (None, "user"));
        assert_eq!((wanted[1].split(), wanted[1].depth()), ((Some("jail"), "sftp"), 2));
    }

    #[test]
    fn what_is_no_user_of_this_machine_is_left_out() {
        for line in [
            "",
            "#user:x:1000:1000::/home/user:/bin/sh",
            "+user:x:1000:1000::/home/user:/bin/sh",
            ":x:1000:1000::/home/user:/bin/sh",
            "user:x:1000:1000::/home/user",
            "user:x::1000::/home/user:/bin/sh",
            "user:x:+1000:1000::/home/user:/bin/sh",
            "user:x:0:0::/home/user:/bin/sh",
            "user:x:4294967295:1000::/home/user:/bin/sh",
            "user:x:4294967296:1000::/home/user:/bin/sh",
            "user:x:99999999999999999999999:1000::/home/user:/bin/sh",
            "user:x:1000:4294967295::/home/user:/bin/sh",
            "user:x:1000:1000::/home:/bin/sh",
            "user:x:1000:1000::/home/:/bin/sh",
            "user:x:1000:1000::/homes/user:/bin/sh",
            "user:x:1000:1000::home/user:/bin/sh",
            "user:x:1000:1000::/home/../etc:/bin/sh",
            "user:x:1000:1000::/home/a/./b:/bin/sh",
            "user:x:1000:1000::/home/a\tb:/bin/sh",
            "user:x:1000:1000::/home/a/b/c/d/e/f/g/h/i:/bin/sh",
        ] {
            assert_eq!(homes(line, |_| true), (vec![], 0), "{line}");
        }
    }

    #[test]
    fn a_service_has_a_home_only_where_the_root_has_it() {
        let text = "syslog:x:101:101::/home/syslog:/usr/sbin/nologin\n\
            build:x:102:102::/home/build:/bin/false\n\
            real:x:103:103::/home/real:/sbin/nologin\n\
            other:x:1000:1000::/home/syslog:/bin/falsetto\n";
        let users = |has: &str| -> Vec<String> {
            homes(text, |home| home.path == has).0.into_iter().map(|home| home.user).collect()
        };
        assert_eq!(users("real"), ["real", "other"]);
        assert_eq!(users("none"), ["other"]);
    }

    #[test]
    fn the_first_of_one_name_or_one_home_counts() {
        let text = "a:x:1:1::/home/a:\na:x:2:2::/home/b:\nc:x:3:3::/home//a/:\nd:x:4:4::/home/d:\n";
        assert_eq!(homes(text, |_| false).0, [home("a", 1, 1, "a"), home("d", 4, 4, "d")]);
    }

    #[test]
    fn more_homes_than_anybody_has_are_counted() {
        let text: String =
            (0..5000).map(|n| format!("u{n}:x:{}:1::/home/u{n}:\n", n + 1)).collect();
        let (found, left_out) = homes(&text, |_| false);
        assert_eq!((found.len(), left_out), (MOST_HOMES, 5000 - MOST_HOMES));
    }

    proptest! {
        #[test]
        fn a_home_never_leads_out(text in "([a-c.:/0-9\n]|/home/|:1:1:){0,80}", line in any::<String>()) {
            for text in [text, format!("u:x:1:1::/home/{line}:")] {
                for home in homes(&text, |_| false).0 {
                    prop_assert!(home.uid != 0 && home.depth() <= DEEPEST_HOME);
                    for part in home.path.split('/') {
                        prop_assert!(!matches!(part, "" | "." | ".."), "{:?}", home.path);
                    }
                }
            }
        }
    }
}
