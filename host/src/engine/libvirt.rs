//! A machine as a domain of libvirt.

use super::machine::{Boot, Machine, text};
use crate::{
    error::{Refusal, RefusalKind, Result},
    name::VolumeName,
    pool::driver::{Disk, Given},
    vm::record::Network,
};
use std::fmt::Write as _;

/// Returns the domain's XML. `kind` is libvirt's: `kvm`, or `qemu` for emulation.
///
/// # Errors
/// A text that XML cannot hold, a path that is none, or more disks than letters.
pub fn domain(machine: &Machine, kind: &str) -> Result<String> {
    let mut xml = String::from(
        "<!-- The disks are there between 'ebbtide vm prepare' and 'ebbtide vm release': run the first before each\n     \
         start of the domain, the second when it has ended. They are not given to another user, as the root is the file of\n     \
         all that boot from it: the user that libvirt runs QEMU as needs access to them, to read root, to write the others.\n     \
         Where this host has no KVM, the type of the domain is 'qemu'. -->\n",
    );
    let mut line = |depth: usize, text: String| {
        let _ = writeln!(xml, "{:1$}{text}", "", depth * 2);
    };
    let qemu = if machine.args.is_empty() {
        ""
    } else {
        " xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'"
    };
    line(0, format!("<domain type='{kind}'{qemu}>"));
    line(1, format!("<name>{}</name>", escaped(&machine.name)?));
    line(1, format!("<uuid>{}</uuid>", machine.uuid));
    line(1, format!("<memory unit='bytes'>{}</memory>", machine.memory.0));
    line(1, format!("<vcpu>{}</vcpu>", machine.cpus));
    line(1, "<os>".into());
    line(2, "<type arch='x86_64' machine='q35'>hvm</type>".into());
    if let Boot::Kernel { kernel, initrd, cmdline } = &machine.boot {
        line(2, format!("<kernel>{}</kernel>", escaped(text(kernel)?)?));
        if let Some(initrd) = initrd {
            line(2, format!("<initrd>{}</initrd>", escaped(text(initrd)?)?));
        }
        line(2, format!("<cmdline>{}</cmdline>", escaped(cmdline)?));
    }
    line(1, "</os>".into());
    line(1, "<features><acpi/></features>".into());
    line(1, "<on_crash>destroy</on_crash>".into());
    line(1, "<devices>".into());
    for (disk, letter) in machine.disks.iter().zip('a'..='z') {
        for text in disk_lines(disk, letter, &machine.boot)? {
            line(2, text);
        }
    }
    if machine.network == Network::User {
        line(2, "<interface type='user'><model type='virtio'/></interface>".into());
    }
    line(2, "<serial type='pty'><target port='0'/></serial>".into());
    line(2, "<console type='pty'><target type='serial' port='0'/></console>".into());
    line(2, "<rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>".into());
    line(2, "<panic model='isa'/>".into());
    line(1, "</devices>".into());
    if !machine.args.is_empty() {
        line(1, "<qemu:commandline>".into());
        for arg in &machine.args {
            line(2, format!("<qemu:arg value='{}'/>", escaped(arg)?));
        }
        line(1, "</qemu:commandline>".into());
    }
    line(0, "</domain>".into());
    Ok(xml)
}

fn disk_lines(disk: &Disk, letter: char, boot: &Boot) -> Result<Vec<String>> {
    let volatile = disk.id.volume == VolumeName::volatile();
    // As under our own engine: the host's cache, and no flush of what does not outlive the run.
    let cache = if volatile { "unsafe" } else { "writeback" };
    let discard = if disk.read_only { "ignore" } else { "unmap" };
    let (kind, source) = match disk.given {
        Given::File => ("file", "file"),
        Given::Device => ("block", "dev"),
    };
    let mut lines = vec![
        format!("<disk type='{kind}' device='disk'>"),
        format!("  <driver name='qemu' type='raw' cache='{cache}' discard='{discard}'/>"),
        format!("  <source {source}='{}'>", escaped(text(&disk.path)?)?),
        "    <seclabel model='dac' relabel='no'/>".into(),
        "  </source>".into(),
        format!("  <target dev='vd{letter}' bus='virtio'/>"),
    ];
    if disk.read_only {
        lines.push("  <readonly/>".into());
    }
    lines.push(format!("  <serial>{}</serial>", escaped(disk.id.volume.as_str())?));
    if *boot == Boot::Disk && disk.id.volume == VolumeName::root() {
        lines.push("  <boot order='1'/>".into());
    }
    lines.push("</disk>".into());
    Ok(lines)
}

/// Returns text for between tags and quotes. XML 1.0 has no way to write most control characters.
fn escaped(text: &str) -> Result<String> {
    let mut xml = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\'' => xml.push_str("&apos;"),
            '\t' | '\n' | '\r' => {
                let _ = write!(xml, "&#{};", u32::from(character));
            }
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => {
                let text = format!("{text:?} has a character that XML cannot hold");
                return Err(Refusal::new(RefusalKind::Unable, text).into());
            }
            other => xml.push(other),
        }
    }
    Ok(xml)
}

#[cfg(test)]
mod tests {
    use super::super::machine::tests::machine;
    use super::*;

    #[test]
    fn disks_have_their_paths_serials_and_rights() {
        let xml = domain(&machine("work", "/pool"), "kvm").unwrap();
        for part in [
            "<domain type='kvm'>",
            "<source file='/pool/root.img'>\n        <seclabel model='dac' relabel='no'/>\n      </source>\n      <target dev='vda' bus='virtio'/>\n      <readonly/>\n      \
             <serial>root</serial>\n      <boot order='1'/>",
            "<source file='/pool/private-dirty.img'>\n        <seclabel model='dac' relabel='no'/>\n      </source>\n      <target dev='vdb' bus='virtio'/>\n      \
             <serial>private</serial>\n    </disk>",
            "cache='unsafe' discard='unmap'/>\n      <source file='/pool/volatile-dirty.img'>",
            "'ebbtide vm prepare'",
        ] {
            assert!(xml.contains(part), "{part}\n{xml}");
        }
        assert_eq!(xml.matches("<readonly/>").count(), 1);
        assert!(!xml.contains("<kernel>") && !xml.contains("interface") && !xml.contains("qemu:"));
    }

    #[test]
    fn nasty_names_stay_what_they_are() {
        let mut machine = machine("a<b>&\"c'--\u{fc}", "/p<o>&'l\n\"");
        machine.boot = Boot::Kernel {
            kernel: "/k&<".into(),
            initrd: None,
            cmdline: "a=\"x y\" b='<&>'".into(),
        };
        machine.args = vec!["-device".into(), "x='y'".into()];
        let xml = domain(&machine, "qemu").unwrap();
        for part in [
            "<name>a&lt;b&gt;&amp;&quot;c&apos;--\u{fc}</name>",
            "<source file='/p&lt;o&gt;&amp;&apos;l&#10;&quot;/root.img'>",
            "<kernel>/k&amp;&lt;</kernel>",
            "<cmdline>a=&quot;x y&quot; b=&apos;&lt;&amp;&gt;&apos;</cmdline>",
            "<qemu:arg value='x=&apos;y&apos;'/>",
        ] {
            assert!(xml.contains(part), "{part}\n{xml}");
        }
        assert!(!xml.contains("<boot order"));
        machine.name = "bell\u{7}".into();
        assert!(domain(&machine, "qemu").unwrap_err().to_string().contains("XML cannot hold"));
    }
}
