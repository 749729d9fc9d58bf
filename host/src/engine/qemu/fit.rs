//! What a machine is made of, as far as whoever goes on from its memory has to be the same.

use super::super::machine::{Boot, Machine};
use crate::{
    error::{Refusal, RefusalKind},
    vm::Memory,
};
use qemu::Accelerator;
use std::fs;

/// Returns what a machine is made of, a line for each thing. What a line is about is its first word, and the second one where
/// the first is `disk`.
pub(super) fn lines(machine: &Machine, accelerator: Accelerator) -> Vec<String> {
    let mut lines = vec![
        format!("memory {}", machine.memory),
        format!("cpus {}", machine.cpus),
        format!("accelerator {}", accelerator.name()),
        format!("processor {}", processor(accelerator)),
    ];
    lines.push(boots(&machine.boot));
    for disk in &machine.disks {
        let access = if disk.read_only { ", read-only" } else { "" };
        lines.push(format!("disk {} of {}{access}", disk.id.volume, disk.size));
    }
    if !machine.args.is_empty() {
        lines.push(format!("arguments {:?}", machine.args));
    }
    lines
}

/// Returns the line of what a machine boots.
pub(super) fn boots(boot: &Boot) -> String {
    match boot {
        Boot::Disk => "boot from its disk".into(),
        Boot::Kernel { cmdline, .. } => format!("boot by a kernel with {cmdline:?}"),
    }
}

/// Returns the model that the guest sees; where that is the host's own, which one it is.
fn processor(accelerator: Accelerator) -> String {
    match accelerator {
        Accelerator::Tcg => accelerator.cpu().into(),
        Accelerator::Kvm => {
            let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix("model name"));
            let name = line.map_or("", |rest| rest.trim_start_matches([' ', '\t', ':']));
            format!("{} {name}", accelerator.cpu()).trim_end().to_owned()
        }
    }
}

/// Refuses to go on from a memory of another machine than the one that there is now, and names each difference.
pub(super) fn check(name: &str, then: &Memory, now: &Memory) -> Result<(), Refusal> {
    let misfits = misfits(then, now);
    if misfits.is_empty() {
        return Ok(());
    }
    let text = format!("{name} is not the machine whose memory was saved: {}", misfits.join("; "));
    Err(Refusal::new(RefusalKind::Rule, text))
}

fn misfits(then: &Memory, now: &Memory) -> Vec<String> {
    let mut misfits = Vec::new();
    if then.qemu != now.qemu {
        misfits.push(format!("QEMU {} then, {} now", then.qemu, now.qemu));
    }
    let value = |of: &Memory, wanted: &str| {
        let mut lines = of.machine.iter().map(|line| parts(line));
        lines.find(|(about, _)| *about == wanted).map(|(_, value)| value.to_owned())
    };
    let mut about: Vec<&str> = then.machine.iter().map(|line| parts(line).0).collect();
    let more = now.machine.iter().map(|line| parts(line).0);
    let more: Vec<&str> = more.filter(|more| !about.contains(more)).collect();
    about.extend(more);
    for about in about {
        let (then, now) = (value(then, about), value(now, about));
        if then != now {
            let none = || "none".to_owned();
            let (then, now) = (then.unwrap_or_else(none), now.unwrap_or_else(none));
            misfits.push(format!("{about} {then} then, {now} now"));
        }
    }
    misfits
}

/// Divides a line into what it is about, and what it says of that.
fn parts(line: &str) -> (&str, &str) {
    let end = match line.strip_prefix("disk ") {
        Some(rest) => "disk ".len() + rest.find(' ').unwrap_or(rest.len()),
        None => line.find(' ').unwrap_or(line.len()),
    };
    let (about, value) = line.split_at(end);
    (about, value.trim_start())
}

#[cfg(test)]
mod tests {
    use super::super::super::machine::tests::machine;
    use super::*;
    use ebbtide_format::units::Bytes;

    fn memory(machine: &Machine) -> Memory {
        Memory { qemu: "7.2.1".into(), machine: lines(machine, Accelerator::Tcg) }
    }

    #[test]
    fn the_same_machine_fits_wherever_its_disks_are() {
        let (then, now) = (machine("work", "/pool"), machine("other", "/elsewhere"));
        check("other", &memory(&then), &memory(&now)).unwrap();
    }

    #[test]
    fn each_difference_is_named() {
        let then = machine("work", "/pool");
        let mut now = machine("work", "/pool");
        now.memory = Bytes::gib(1);
        now.cpus = 2;
        now.disks.remove(1);
        now.disks[0].read_only = false;
        now.args = vec!["-vga".into()];
        let now = Memory { qemu: "8.0.0".into(), ..memory(&now) };
        let text = check("work", &memory(&then), &now).unwrap_err().to_string();
        for difference in [
            "QEMU 7.2.1 then, 8.0.0 now",
            "memory 512 MiB then, 1 GiB now",
            "cpus 1 then, 2 now",
            "disk root of 1 GiB, read-only then, of 1 GiB now",
            "disk private of 1 GiB then, none now",
            "arguments none then, [\"-vga\"] now",
        ] {
            assert!(text.contains(difference), "{difference}: {text}");
        }
        assert_eq!(text.matches(" then, ").count(), 6, "{text}");
    }
}
