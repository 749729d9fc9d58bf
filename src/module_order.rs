//! Kernel modules in the order of loading.
//!
//! In: the texts that `depmod` writes below `/lib/modules/VERSION`, and names. Out: files, each after
//! all that it needs, each once; or the name that cannot be answered for.

use crate::options::words;
use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;

/// What `depmod` wrote; any of the texts may be empty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Modules<'a> {
    /// `modules.dep`: `FILE: FILE…`, what each needs.
    pub needs: &'a str,
    /// `modules.softdep`: `softdep NAME pre: NAME… post: NAME…`, what a module asks for later, by name.
    pub asks: &'a str,
    /// `modules.alias`: `alias ALIAS NAME`; patterns in it stand for devices and are not looked at.
    pub aliases: &'a str,
    /// `modules.builtin`: files that are part of the kernel.
    pub built_in: &'a str,
}

/// Why there is no order.
#[derive(Clone, PartialEq, Eq)]
pub enum OrderError {
    /// No module has the name.
    Unknown(String),
    /// A module needs a file that is not listed.
    Missing {
        /// The file.
        file: String,
        /// What needs it.
        needed_by: String,
    },
    /// A module needs itself, through those between.
    Cycle(Vec<String>),
}

impl fmt::Display for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => {
                write!(f, "module {name}: wanted it in modules.dep or modules.builtin; found none")
            }
            Self::Missing { file, needed_by } => {
                write!(f, "module {needed_by} needs {file}: wanted it in modules.dep; found none")
            }
            Self::Cycle(files) => {
                f.write_str("modules that need each other: ")?;
                for file in files {
                    write!(f, "{} needs ", name_of(file))?;
                }
                f.write_str(files.first().map_or("", |file| name_of(file)))
            }
        }
    }
}

/// The text of the error: derived code would be larger than the errors are worth.
impl fmt::Debug for OrderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for OrderError {}

/// Returns the name of the module in a file: no folder, nothing from the first dot on.
#[must_use]
pub fn name_of(file: &str) -> &str {
    let file = file.rsplit('/').next().unwrap_or(file);
    file.split('.').next().unwrap_or(file)
}

/// Tells whether two names are one module's: `-` and `_` are the same.
#[must_use]
pub fn same(one: &str, other: &str) -> bool {
    let folded = |byte: u8| if byte == b'-' { b'_' } else { byte };
    one.len() == other.len() && one.bytes().map(folded).eq(other.bytes().map(folded))
}

/// Returns what the kernel command line says to a module, as `NAME.KEY=VALUE`: the kernel itself reads
/// such words only for what is built in. What is behind `--` is for the init. The kernel splits the text
/// again, so a value with blanks stands in quotes.
#[must_use]
pub fn parameters(command_line: &str, name: &str) -> String {
    let mut found = String::new();
    let words = words(command_line);
    for word in words.iter().take_while(|word| *word != "--") {
        let Some((of, parameter)) = word.split_once('.') else { continue };
        if !same(of, name) {
            continue;
        }
        if !found.is_empty() {
            found.push(' ');
        }
        match parameter.split_once('=') {
            Some((key, value)) if value.contains(|c: char| c.is_ascii_whitespace()) => {
                found.extend([key, "=\"", value, "\""]);
            }
            _ => found.push_str(parameter),
        }
    }
    found
}

impl<'a> Modules<'a> {
    /// Returns the files of `wanted` and of all that they need, in the order of loading. What is built
    /// into the kernel needs no loading. A name may be an alias, which several modules may have.
    ///
    /// # Errors
    /// The first name that is unknown, or whose needs cannot be met.
    pub fn order(&self, wanted: &[&str]) -> Result<Vec<&'a str>, OrderError> {
        let mut walk = Walk { modules: self, done: Vec::new(), open: Vec::new() };
        for name in wanted {
            let files = self.files(name);
            if files.is_empty() && !self.is_built_in(name) {
                return Err(OrderError::Unknown(name.to_string()));
            }
            for file in files {
                walk.visit(file)?;
            }
        }
        Ok(walk.done)
    }

    /// Returns what a module asks for by name before it is loaded.
    fn asked_before(&self, name: &str) -> Vec<&'a str> {
        let mut asked = Vec::new();
        for line in self.asks.lines() {
            let mut words = line.split_ascii_whitespace();
            if words.next() == Some("softdep") && words.next().is_some_and(|of| same(of, name)) {
                let before = words.skip_while(|word| *word != "pre:").skip(1);
                asked.extend(before.take_while(|word| *word != "post:"));
            }
        }
        asked
    }

    /// Returns the files of the module of this name, or of those behind the alias.
    fn files(&self, name: &str) -> Vec<&'a str> {
        let of = |name: &str| lines(self.needs).find(|(file, _)| same(name_of(file), name));
        if let Some((file, _)) = of(name) {
            return alloc::vec![file];
        }
        let behind = |line: &'a str| {
            let mut words = line.split_ascii_whitespace();
            let found = words.next() == Some("alias") && same(words.next()?, name);
            words.next().filter(|_| found)
        };
        let modules = self.aliases.lines().filter_map(behind);
        modules.filter_map(|module| of(module).map(|(file, _)| file)).collect()
    }

    fn is_built_in(&self, name: &str) -> bool {
        self.built_in.lines().any(|file| same(name_of(file.trim()), name))
    }
}

/// A walk over modules, deepest need first.
struct Walk<'m, 'a> {
    modules: &'m Modules<'a>,
    done: Vec<&'a str>,
    /// Those whose needs are being visited, outermost first.
    open: Vec<&'a str>,
}

impl<'a> Walk<'_, 'a> {
    fn visit(&mut self, file: &'a str) -> Result<(), OrderError> {
        if self.done.contains(&file) {
            return Ok(());
        }
        if let Some(from) = self.open.iter().position(|open| *open == file) {
            let cycle = self.open.iter().skip(from).map(|file| file.to_string());
            return Err(OrderError::Cycle(cycle.collect()));
        }
        let Some((_, needs)) = lines(self.modules.needs).find(|(listed, _)| *listed == file) else {
            let needed_by = self.open.last().map_or("", |file| name_of(file)).to_string();
            return Err(OrderError::Missing { file: file.to_string(), needed_by });
        };
        self.open.push(file);
        for name in self.modules.asked_before(name_of(file)) {
            // What is asked for, not needed, may be missing, and may ask back.
            for asked in self.modules.files(name) {
                if !self.open.contains(&asked) {
                    let before = self.done.len();
                    let depth = self.open.len();
                    if self.visit(asked).is_err() {
                        self.done.truncate(before);
                        self.open.truncate(depth);
                    }
                }
            }
        }
        for need in needs.split_ascii_whitespace() {
            self.visit(need)?;
        }
        self.open.pop();
        self.done.push(file);
        Ok(())
    }
}

fn lines(dep: &str) -> impl Iterator<Item = (&str, &str)> {
    dep.lines().filter_map(|line| line.split_once(':')).map(|(file, needs)| (file.trim(), needs))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use proptest::{collection::vec, prelude::*};

    const MODULES: Modules<'static> = Modules {
        needs: "\
kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/mbcache.ko kernel/fs/jbd2/jbd2.ko
kernel/fs/jbd2/jbd2.ko:
kernel/fs/mbcache.ko:
kernel/lib/crc16.ko.xz:
kernel/arch/x86/crypto/crc32c-intel.ko.zst:
kernel/crypto/crc32c_generic.ko.gz:
kernel/drivers/md/dm-snapshot.ko: kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-bufio.ko: kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-mod.ko:
",
        asks: "# Soft dependencies\nsoftdep ext4 pre: crc32c nothing-like-it post: dm-mod\n",
        aliases: "alias crc32c crc32c_intel\nalias crc32c crc32c_generic\n\
            alias fs-ext4 ext4\nalias pci:v0* gone\n",
        built_in: "kernel/crypto/aes_generic.ko\n",
    };

    fn names(wanted: &[&str]) -> Vec<&'static str> {
        MODULES.order(wanted).unwrap().into_iter().map(name_of).collect()
    }

    #[test]
    fn each_is_loaded_after_all_that_it_needs_and_once() {
        assert_eq!(names(&["dm_snapshot"]), ["dm-mod", "dm-bufio", "dm-snapshot"]);
        assert_eq!(names(&["dm-snapshot", "dm_mod", "dm-mod"]), names(&["dm_snapshot"]));
    }

    #[test]
    fn what_is_only_asked_for_goes_before_and_may_be_missing() {
        assert_eq!(
            names(&["ext4"]),
            ["crc32c-intel", "crc32c_generic", "crc16", "mbcache", "jbd2", "ext4"]
        );
    }

    #[test]
    fn an_alias_stands_for_all_that_have_it() {
        assert_eq!(names(&["crc32c"]), ["crc32c-intel", "crc32c_generic"]);
        assert_eq!(names(&["fs-ext4"]).last(), Some(&"ext4"));
    }

    #[test]
    fn a_module_gets_its_words_of_the_command_line() {
        let line = "ro dm_mod.x=1 dm-mod.y=\"a b\" dm_model.z=2 dm_mod=3 \"dm_mod.w=c d\" dm_mod.v -- dm_mod.u=1";
        assert_eq!(parameters(line, "dm-mod"), "x=1 y=\"a b\" w=\"c d\" v");
        assert_eq!(parameters(line, "ext4"), "");
    }

    #[test]
    fn what_is_built_in_is_not_loaded() {
        assert_eq!(names(&["aes-generic", "dm-mod"]), ["dm-mod"]);
    }

    #[test]
    fn an_unknown_name_is_named() {
        let error = MODULES.order(&["dm-mod", "dm-snap"]).unwrap_err();
        assert!(error.to_string().starts_with("module dm-snap: wanted"), "{error}");
    }

    #[test]
    fn a_need_that_is_not_listed_is_named_with_who_needs_it() {
        let modules = Modules { needs: "a/x.ko: a/y.ko\n", ..Modules::default() };
        let error = modules.order(&["x"]).unwrap_err();
        assert!(error.to_string().starts_with("module x needs a/y.ko"), "{error}");
    }

    #[test]
    fn a_cycle_is_named() {
        let modules =
            Modules { needs: "x.ko: y.ko\ny.ko: z.ko\nz.ko: y.ko\n", ..Modules::default() };
        let error = modules.order(&["x"]).unwrap_err();
        assert_eq!(error.to_string(), "modules that need each other: y needs z needs y");
    }

    #[test]
    fn modules_that_ask_for_each_other_are_both_loaded() {
        let modules = Modules {
            needs: "x.ko:\ny.ko:\n",
            asks: "softdep x pre: y\nsoftdep y pre: x\n",
            ..Modules::default()
        };
        assert_eq!(modules.order(&["x"]).unwrap(), ["y.ko", "x.ko"]);
    }

    proptest! {
        /// Module N needs some of those below it; the lines stand in any order.
        #[test]
        fn every_order_is_one_in_which_all_can_be_loaded(
            needs in vec(any::<u16>(), 1..16),
            from in any::<usize>(),
            wanted in vec(any::<usize>(), 1..5),
        ) {
            let count = needs.len();
            let needed = |n: usize| (0..n).filter(move |below| needs[n] >> below & 1 == 1);
            let mut dep = String::new();
            for n in (0..count).map(|n| (n + from % count) % count) {
                dep.push_str(&format!("k/m-{n}.ko:"));
                for below in needed.clone()(n) {
                    dep.push_str(&format!(" k/m-{below}.ko"));
                }
                dep.push('\n');
            }
            let modules = Modules { needs: &dep, ..Modules::default() };
            let names: Vec<String> = wanted.iter().map(|n| format!("m_{}", n % count)).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let order = modules.order(&names).unwrap();
            for (at, file) in order.iter().enumerate() {
                prop_assert!(!order[..at].contains(file), "{file} twice");
                let n: usize = name_of(file)[2..].parse().unwrap();
                for below in needed.clone()(n) {
                    let below = format!("k/m-{below}.ko");
                    prop_assert!(order[..at].contains(&below.as_str()), "{below} after {file}");
                }
            }
            prop_assert!(names.iter().all(|name| order.iter().any(|f| same(name_of(f), name))));
        }

        #[test]
        fn takes_any_text(
            needs in "([a-c. :/]{0,12}\n){0,6}",
            asks in "(softdep [a-c] pre: [a-c] [a-c]\n){0,4}",
            aliases in "(alias [a-c] [a-c]\n){0,4}",
        ) {
            let modules = Modules { needs: &needs, asks: &asks, aliases: &aliases, built_in: &needs };
            let _ = modules.order(&["a", "b", "c"]).map_err(|error| error.to_string());
        }
    }
}
