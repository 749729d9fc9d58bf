//! Kernel modules of the initramfs, loaded.
//!
//! What every boot needs is listed in `/etc/ebbtide/modules`. Anything else (another file system, a
//! cipher) the kernel asks for by itself when it meets the need: it runs the program that
//! `/proc/sys/kernel/modprobe` names, and while process 1 boots that is this one.

use crate::{kmsg, root::Root};
use ebbtide_init::module_order::{Modules, name_of, parameters};
use nix::{
    errno::Errno,
    kmod::{ModuleInitFlags, finit_module},
    sys::utsname::uname,
};
use std::{
    ffi::{CString, OsString},
    fs::{self, File},
};

const LISTED: &str = "etc/ebbtide/modules";
/// The program that the kernel runs to have a module loaded.
const ASKED: &str = "/proc/sys/kernel/modprobe";
/// `MODULE_INIT_COMPRESSED_FILE` in include/uapi/linux/module.h.
const COMPRESSED: u32 = 4;

/// While it lives the kernel asks this program for modules.
#[derive(Debug)]
pub(super) struct Asked(String);

impl Asked {
    fn from_now_on(machine: &Root) -> Self {
        let before = machine.read(ASKED.trim_start_matches('/')).unwrap_or_default();
        // A kernel that cannot load modules has no such file.
        let _ = fs::write(ASKED, "/init");
        Self(before)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        if !self.0.is_empty()
            && let Err(error) = fs::write(ASKED, &self.0)
        {
            log::warn!("{ASKED} stays /init, so the kernel gets no modules: {error}");
        }
    }
}

/// Loads what is listed. A module that cannot be loaded is named in the log; whether it is missed,
/// what needs it will say.
pub(super) fn load_listed(machine: &Root, command_line: &str) -> Asked {
    let asked = Asked::from_now_on(machine);
    let index = Index::read(machine);
    let listed = match machine.read(LISTED) {
        Ok(text) => text,
        Err(error) => {
            log::warn!("no listed module is loaded: {error}");
            String::new()
        }
    };
    // Xen says what it is there; its disks are nobody's to ask for.
    let xen = machine.has("sys/hypervisor/type").then_some("xen-blkfront");
    let mut loaded = Vec::new();
    let names = xen.into_iter().chain(listed.lines().map(str::trim));
    for name in names.filter(|name| !name.is_empty() && !name.starts_with('#')) {
        match index.modules().order(&[name]) {
            Ok(files) => {
                for file in files {
                    if !loaded.contains(&file) {
                        index.load(file, command_line);
                        loaded.push(file);
                    }
                }
            }
            Err(error) => log::warn!("{error}, in {}", index.folder),
        }
    }
    log::info!("boot: {} modules are loaded", loaded.len());
    asked
}

/// Returns the module that the kernel runs this program for: `-q -- NAME`, `call_modprobe` in
/// kernel/module/kmod.c.
pub(crate) fn asked_by_the_kernel(words: &[OsString]) -> Option<&str> {
    match words {
        [quiet, end, name] if quiet == "-q" && end == "--" => name.to_str(),
        _ => None,
    }
}

/// Loads it; the kernel asks on a guess, so a name that nothing answers to is no news. Returns the exit
/// status.
pub(crate) fn answer(name: &str) -> u8 {
    let machine = Root::at("/");
    let index = Index::read(&machine);
    let Ok(files) = index.modules().order(&[name]) else {
        return 1;
    };
    kmsg::init();
    let command_line = machine.read("proc/cmdline").unwrap_or_default();
    for file in files {
        index.load(file, &command_line);
    }
    0
}

/// The texts about the modules of the running kernel.
struct Index {
    folder: String,
    needs: String,
    asks: String,
    aliases: String,
    built_in: String,
}

impl Index {
    fn read(machine: &Root) -> Self {
        let release = uname().map(|names| names.release().to_string_lossy().into_owned());
        let folder = format!("lib/modules/{}", release.unwrap_or_default());
        let text = |name: &str| match machine.read(format!("{folder}/{name}")) {
            Ok(text) => text,
            Err(error) => {
                log::warn!("{error}");
                String::new()
            }
        };
        Self {
            needs: text("modules.dep"),
            asks: text("modules.softdep"),
            aliases: text("modules.alias"),
            built_in: text("modules.builtin"),
            folder,
        }
    }

    fn modules(&self) -> Modules<'_> {
        Modules {
            needs: &self.needs,
            asks: &self.asks,
            aliases: &self.aliases,
            built_in: &self.built_in,
        }
    }

    fn load(&self, file: &str, command_line: &str) {
        let path = format!("/{}/{file}", self.folder);
        let parameters = parameters(command_line, name_of(file));
        // The kernel unpacks what is packed, where it can.
        let flags = if file.ends_with(".ko") {
            ModuleInitFlags::empty()
        } else {
            ModuleInitFlags::from_bits_retain(COMPRESSED)
        };
        let done = File::open(&path).and_then(|opened| {
            let parameters = CString::new(parameters).unwrap_or_default();
            Ok(finit_module(&opened, &parameters, flags)?)
        });
        match done.map_err(|error| (error.raw_os_error().map(Errno::from_raw), error)) {
            Ok(()) | Err((Some(Errno::EEXIST), _)) => {}
            // As a driver, or a faster cipher, says on most machines.
            Err((Some(Errno::ENODEV), _)) => {
                log::info!("boot: module {} is not for this machine", name_of(file));
            }
            Err((_, error)) => {
                log::warn!("module {}: wanted it loaded from {path}; found {error}", name_of(file));
            }
        }
    }
}
