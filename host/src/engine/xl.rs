//! A machine as a configuration of Xen's `xl`.

use super::machine::{Boot, Machine, text};
use crate::{
    error::{Refusal, RefusalKind, Result},
    pool::driver::Disk,
    vm::record::Network,
};
use std::fmt::Write as _;

/// Returns the configuration.
///
/// # Errors
/// A path that is no text; a disk that has no name in Xen.
pub fn config(machine: &Machine) -> Result<String> {
    let mut lines = vec![
        "# The disks are there between 'ebbtide vm prepare' and 'ebbtide vm release': run the first before each".into(),
        "# 'xl create', the second when the domain has ended.".into(),
        setting("name", &machine.name),
        setting("uuid", &machine.uuid.to_string()),
        format!("memory = {}", machine.memory.0.div_ceil(1 << 20)),
        format!("vcpus = {}", machine.cpus),
        setting("type", "pvh"),
    ];
    match &machine.boot {
        Boot::Kernel { kernel, initrd, cmdline } => {
            lines.push(setting("kernel", text(kernel)?));
            if let Some(initrd) = initrd {
                lines.push(setting("ramdisk", text(initrd)?));
            }
            lines.push(setting("cmdline", cmdline));
        }
        // It takes the kernel out of the root disk.
        Boot::Disk => lines.push(setting("bootloader", "pygrub")),
    }
    lines.push("disk = [".into());
    for disk in &machine.disks {
        lines.push(format!("    {},", quoted(&specification(disk)?)));
    }
    lines.push("]".into());
    if machine.network == Network::User {
        lines.push(
            "# The VM has the network 'user', which Xen has not: add a vif of a bridge of yours."
                .into(),
        );
    }
    if !machine.args.is_empty() {
        lines.push("# Arguments of QEMU in the VM's record are left out.".into());
    }
    lines.push("on_crash = \"destroy\"".into());
    Ok(lines.into_iter().map(|line| line + "\n").collect())
}

/// Returns a disk in the words of `xl-disk-configuration(5)`: `target` stands last and takes the rest as it is.
fn specification(disk: &Disk) -> Result<String> {
    // The names by which the guest finds them where there are no serials.
    let name = match disk.id.volume.as_str() {
        "root" => "xvda",
        "private" => "xvdb",
        "volatile" => "xvdc",
        _ => {
            let text = format!("{} has no name in Xen", disk.id);
            return Err(Refusal::new(RefusalKind::Unable, text).into());
        }
    };
    let access = if disk.read_only { "ro" } else { "rw" };
    Ok(format!("format=raw, vdev={name}, access={access}, target={}", text(&disk.path)?))
}

fn setting(name: &str, value: &str) -> String {
    format!("{name} = {}", quoted(value))
}

/// Returns a string of xl's grammar (Xen's `libxlu_cfg.c`).
fn quoted(text: &str) -> String {
    let mut string = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => string.extend(['\\', character]),
            '\n' => string.push_str("\\n"),
            '\0'..='\x1f' | '\x7f' => {
                let _ = write!(string, "\\x{:02x}", u32::from(character));
            }
            other => string.push(other),
        }
    }
    string.push('"');
    string
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::machine;
    use super::*;

    #[test]
    fn disks_have_the_names_by_which_a_guest_finds_them() {
        let config = config(&machine("work", "/pool")).unwrap();
        for line in [
            "\"format=raw, vdev=xvda, access=ro, target=/pool/root.img\",",
            "\"format=raw, vdev=xvdb, access=rw, target=/pool/private-dirty.img\",",
            "\"format=raw, vdev=xvdc, access=rw, target=/pool/volatile-dirty.img\",",
            "memory = 512",
            "bootloader = \"pygrub\"",
        ] {
            assert!(config.lines().any(|found| found.trim() == line), "{line}\n{config}");
        }
        assert!(config.starts_with("# The disks are there between 'ebbtide vm prepare'"));
    }

    #[test]
    fn nasty_names_stay_what_they_are() {
        let mut machine = machine("a\"b\\c'", "/p, target=x\n\"'\x01");
        machine.boot =
            Boot::Kernel { kernel: "/k".into(), initrd: None, cmdline: "a=\"b c\"".into() };
        let config = config(&machine).unwrap();
        for line in [
            r#"name = "a\"b\\c'""#,
            r#"cmdline = "a=\"b c\"""#,
            r#""format=raw, vdev=xvda, access=ro, target=/p, target=x\n\"'\x01/root.img","#,
        ] {
            assert!(config.lines().any(|found| found.trim() == line), "{line}\n{config}");
        }
    }
}
