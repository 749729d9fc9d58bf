//! A machine as a configuration of Xen's `xl`.

use super::machine::{Boot, Machine, text};
use crate::{
    error::{Refusal, RefusalKind, Result},
    name::VolumeId,
    pool::driver::Disk,
    vm::record::Network,
};
use std::{fmt::Write as _, path::Path};

/// How the toolstack gets the disks.
#[derive(Debug, Clone, Copy)]
pub enum Disks<'a> {
    /// They are the machine's, made ready before.
    Ready,
    /// Its block script makes each of these ready, out of this pool, and ends that.
    Script(&'a Path, &'a [VolumeId]),
}

const READY: [&str; 2] = [
    "# The disks are there between 'ebbtide vm prepare' and 'ebbtide vm release': run the first before each",
    "# 'xl create', the second when the domain has ended.",
];
const SCRIPT: [&str; 2] = [
    "# The script block-ebbtide has the disks made ready when the domain starts, and committed when it has shut down:",
    "# it belongs into /etc/xen/scripts.",
];

/// Returns the configuration.
///
/// # Errors
/// A path that is no text, or not absolute; a disk that has no name in Xen.
pub fn config(machine: &Machine, disks: Disks<'_>) -> Result<String> {
    let head = match disks {
        Disks::Ready => READY,
        Disks::Script(..) => SCRIPT,
    };
    let mut lines: Vec<String> = head.map(Into::into).into();
    lines.extend([
        setting("name", &machine.name),
        setting("uuid", &machine.uuid.to_string()),
        format!("memory = {}", machine.memory.0.div_ceil(1 << 20)),
        format!("vcpus = {}", machine.cpus),
        setting("type", "pvh"),
    ]);
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
    let specifications: Vec<String> = match disks {
        Disks::Ready => machine.disks.iter().map(ready).collect::<Result<_>>()?,
        Disks::Script(pool, volumes) => {
            volumes.iter().map(|volume| by_script(pool, volume, machine)).collect::<Result<_>>()?
        }
    };
    lines.extend(specifications.iter().map(|text| format!("    {},", quoted(text))));
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
fn ready(disk: &Disk) -> Result<String> {
    let (name, access) = (name(&disk.id)?, access(disk.read_only));
    Ok(format!("format=raw, vdev={name}, access={access}, target={}", text(&disk.path)?))
}

/// Returns a disk that the block script attaches.
fn by_script(pool: &Path, volume: &VolumeId, machine: &Machine) -> Result<String> {
    let is_read_only = |disk: &Disk| disk.id == *volume && disk.read_only;
    let (name, access) = (name(volume)?, access(machine.disks.iter().any(is_read_only)));
    let pool = text(pool)?;
    Ok(format!(
        "format=raw, vdev={name}, access={access}, backendtype=phy, script=block-ebbtide, target={pool}/{volume}"
    ))
}

const fn access(read_only: bool) -> &'static str {
    if read_only { "ro" } else { "rw" }
}

/// Returns the name by which the guest finds a disk where there are no serials.
fn name(disk: &VolumeId) -> Result<&'static str> {
    match disk.volume.as_str() {
        "root" => Ok("xvda"),
        "private" => Ok("xvdb"),
        "volatile" => Ok("xvdc"),
        _ => {
            let text = format!("{disk} has no name in Xen");
            Err(Refusal::new(RefusalKind::Unable, text).into())
        }
    }
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
        let config = config(&machine("work", "/pool"), Disks::Ready).unwrap();
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
    fn the_block_script_is_told_pool_and_volume() {
        let machine = machine("work", "/dev/mapper");
        let volumes: Vec<VolumeId> = machine.disks.iter().map(|disk| disk.id.clone()).collect();
        let config = config(&machine, Disks::Script(Path::new("/srv/pool"), &volumes)).unwrap();
        for line in [
            "\"format=raw, vdev=xvda, access=ro, backendtype=phy, script=block-ebbtide, target=/srv/pool/work:root\",",
            "\"format=raw, vdev=xvdc, access=rw, backendtype=phy, script=block-ebbtide, target=/srv/pool/work:volatile\",",
        ] {
            assert!(config.lines().any(|found| found.trim() == line), "{line}\n{config}");
        }
        assert!(config.starts_with("# The script block-ebbtide"));
    }

    #[test]
    fn nasty_names_stay_what_they_are() {
        let mut machine = machine("a\"b\\c'", "/p, target=x\n\"'\x01");
        machine.boot =
            Boot::Kernel { kernel: "/k".into(), initrd: None, cmdline: "a=\"b c\"".into() };
        let config = config(&machine, Disks::Ready).unwrap();
        for line in [
            r#"name = "a\"b\\c'""#,
            r#"cmdline = "a=\"b c\"""#,
            r#""format=raw, vdev=xvda, access=ro, target=/p, target=x\n\"'\x01/root.img","#,
        ] {
            assert!(config.lines().any(|found| found.trim() == line), "{line}\n{config}");
        }
    }
}
