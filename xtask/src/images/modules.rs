//! Kernel modules: the text of `modules.dep` flows in, the modules that are needed flow out in the order of loading.

use std::collections::{BTreeMap, BTreeSet};

use crate::failure::{Failure, Result};

/// Which module needs which, as `depmod` found out; paths are relative to `/lib/modules/VERSION`.
pub(crate) struct Dependencies {
    needs: BTreeMap<String, Vec<String>>,
    built_in: Vec<String>,
}

impl Dependencies {
    /// Parses the texts of `modules.dep` and `modules.builtin`.
    pub(crate) fn parse(dep: &str, built_in: &str) -> Self {
        let needs = dep.lines().filter_map(|line| line.split_once(':')).map(|(module, needs)| {
            (module.to_owned(), needs.split_whitespace().map(str::to_owned).collect())
        });
        Dependencies {
            needs: needs.collect(),
            built_in: built_in.lines().map(str::to_owned).collect(),
        }
    }

    /// Returns the modules asked for and all that they need, each one after what it needs.
    ///
    /// A name with a slash at its end is a folder and stands for every module in it, any other name is that of a module,
    /// where `-` and `_` are the same. What is built into the kernel needs no loading.
    ///
    /// # Errors
    /// A name that is neither a folder with modules nor a module.
    pub(crate) fn load_order(&self, wanted: &[String]) -> Result<Vec<String>> {
        let mut order = Vec::new();
        let mut seen = BTreeSet::new();
        for name in wanted {
            let found: Vec<&String> =
                self.needs.keys().filter(|path| matches(path, name)).collect();
            if found.is_empty() && !self.built_in.iter().any(|path| matches(path, name)) {
                return Err(Failure::new(format!(
                    "the kernel has no module `{name}`, loadable or built in; has it another name?"
                )));
            }
            for path in found {
                self.visit(path, &mut seen, &mut order);
            }
        }
        Ok(order)
    }

    fn visit(&self, path: &str, seen: &mut BTreeSet<String>, order: &mut Vec<String>) {
        if !seen.insert(path.to_owned()) {
            return;
        }
        for needed in self.needs.get(path).into_iter().flatten() {
            self.visit(needed, seen, order);
        }
        order.push(path.to_owned());
    }
}

fn matches(path: &str, name: &str) -> bool {
    if name.ends_with('/') {
        return path.starts_with(name);
    }
    let file = path.rsplit('/').next().unwrap_or(path);
    let stem = file.split('.').next().unwrap_or(file);
    stem.replace('-', "_") == name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
kernel/fs/ext4/ext4.ko: kernel/lib/crc16.ko kernel/fs/mbcache.ko kernel/fs/jbd2/jbd2.ko
kernel/fs/jbd2/jbd2.ko:
kernel/fs/mbcache.ko:
kernel/lib/crc16.ko:
kernel/drivers/md/dm-snapshot.ko: kernel/drivers/md/dm-bufio.ko kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-bufio.ko: kernel/drivers/md/dm-mod.ko
kernel/drivers/md/dm-mod.ko:
";

    fn order(wanted: &[&str]) -> Vec<String> {
        let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
        Dependencies::parse(TEXT, "kernel/crypto/aes_generic.ko\n").load_order(&wanted).unwrap()
    }

    #[test]
    fn loads_a_module_after_all_that_it_needs_and_once() {
        let md = |name| format!("kernel/drivers/md/{name}.ko");
        let expected = [md("dm-mod"), md("dm-bufio"), md("dm-snapshot")];
        assert_eq!(order(&["dm_snapshot"]), expected);
        assert_eq!(order(&["dm-snapshot", "dm-mod"]), expected);
    }

    #[test]
    fn folder_stands_for_its_modules() {
        assert_eq!(order(&["kernel/drivers/md/"]).len(), 3);
        assert_eq!(order(&["kernel/fs/ext4/"]).len(), 4);
    }

    #[test]
    fn built_in_module_is_not_loaded() {
        assert_eq!(order(&["aes-generic", "dm-mod"]), ["kernel/drivers/md/dm-mod.ko"]);
    }

    #[test]
    fn refuses_unknown_module_by_name() {
        let failure = Dependencies::parse(TEXT, "kernel/crypto/aes_generic.ko\n")
            .load_order(&["dm-snap".to_owned()])
            .unwrap_err();
        assert!(failure.to_string().contains("`dm-snap`"));
    }
}
