//! The command line of QEMU: a machine and its drives go in, arguments come out.

use std::os::fd::RawFd;

use serde_json::{Value, json};

use crate::disk::{Drive, Serial};
use crate::qemu::Qemu;
use ::qemu::Accelerator;

/// Sockets that QEMU inherits.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sockets {
    /// For ttyS0.
    pub(crate) console: RawFd,
    /// For ttyS1.
    pub(crate) channel: RawFd,
    /// For QMP.
    pub(crate) monitor: RawFd,
}

/// Returns the arguments for one start.
pub(crate) fn arguments(
    machine: &Qemu,
    drives: &[Drive],
    accelerator: Accelerator,
    sockets: Sockets,
) -> Vec<String> {
    let mut args = Args(Vec::new());
    args.flags(&["-nodefaults", "-no-user-config", "-no-reboot"]);
    args.option("-display", "none");
    args.option("-M", "q35");
    args.option("-accel", accelerator.argument());
    args.option("-cpu", cpu(machine, accelerator));
    args.option("-smp", machine.cpus.to_string());
    args.option("-m", format!("{}M", machine.memory.as_mib()));

    for (id, fd) in
        [("console", sockets.console), ("channel", sockets.channel), ("monitor", sockets.monitor)]
    {
        args.option("-chardev", format!("socket,id={id},fd={fd}"));
    }
    args.option("-serial", "chardev:console");
    args.option("-serial", "chardev:channel");
    args.option("-mon", "chardev=monitor,mode=control");

    for drive in drives {
        args.option("-blockdev", blockdev(drive).to_string());
        args.option("-device", device(drive).to_string());
    }
    if machine.random {
        args.option("-object", "rng-random,id=random,filename=/dev/urandom");
        args.option("-device", "virtio-rng-pci,rng=random");
    }
    match &machine.hypervisor {
        None => {
            args.option("-kernel", machine.kernel.display().to_string());
            args.option("-initrd", machine.initrd.display().to_string());
            args.option("-append", machine.kernel_words());
        }
        Some(hypervisor) => {
            args.option("-kernel", hypervisor.path.display().to_string());
            args.option("-initrd", hypervisor.modules(machine));
            args.option("-append", hypervisor.words.join(" "));
        }
    }
    args.0.extend(machine.extra.iter().cloned());
    args.0
}

fn cpu(machine: &Qemu, accelerator: Accelerator) -> String {
    machine.cpu.clone().unwrap_or_else(|| accelerator.cpu().to_owned())
}

struct Args(Vec<String>);

impl Args {
    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(|&flag| flag.to_owned()));
    }

    fn option(&mut self, name: &str, value: impl Into<String>) {
        self.0.extend([name.to_owned(), value.into()]);
    }
}

/// Returns the host's side of a disk, in JSON since that needs no escapes in paths.
fn blockdev(drive: &Drive) -> Value {
    let read_only = drive.disk.read_only;
    let discard = if read_only { "ignore" } else { "unmap" };
    json!({
        "driver": "raw",
        "node-name": drive.node,
        "read-only": read_only,
        "discard": discard,
        // Nothing here has to survive a power cut of the host.
        "cache": {"direct": false, "no-flush": !read_only},
        "file": {
            "driver": "file",
            "filename": drive.path().display().to_string(),
            "read-only": read_only,
            "discard": discard,
            "cache": {"direct": false, "no-flush": !read_only},
        },
    })
}

/// Returns the guest's side of a disk.
fn device(drive: &Drive) -> Value {
    let mut device = json!({
        "driver": "virtio-blk-pci",
        "id": format!("{}-device", drive.node),
        "drive": drive.node,
        "logical_block_size": drive.disk.logical_block,
        "physical_block_size": drive.disk.physical_block,
    });
    if let Serial::Is(serial) = &drive.disk.serial {
        device["serial"] = json!(serial);
    }
    device
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Disk;
    use crate::qemu::tests::machine;
    use crate::size::Size;

    fn args_of(machine: &Qemu, accelerator: Accelerator) -> Vec<String> {
        let disks = machine.disks.iter().cloned().enumerate();
        let drives: Vec<Drive> =
            disks.map(|(n, disk)| Drive::new(disk, n, Path::new("/tmp/a, b"))).collect();
        arguments(machine, &drives, accelerator, Sockets { console: 7, channel: 8, monitor: 9 })
    }

    fn values<'a>(args: &'a [String], name: &str) -> Vec<&'a str> {
        args.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1].as_str()).collect()
    }

    #[test]
    fn a_plain_machine_is_the_one_that_was_measured() {
        let args = args_of(&machine("ro"), Accelerator::Tcg);
        let start = "-nodefaults -no-user-config -no-reboot -display none -M q35 \
             -accel tcg,thread=multi -cpu Nehalem,+rdrand -smp 1 -m 512M";
        assert!(args.join(" ").starts_with(start), "{args:?}");
        assert_eq!(values(&args, "-append"), ["ro console=ttyS0"]);
        assert_eq!(values(&args, "-chardev")[1], "socket,id=channel,fd=8");
        assert!(values(&args, "-device").is_empty());
    }

    #[test]
    fn kvm_uses_the_cpu_of_the_host_unless_told_otherwise() {
        assert_eq!(values(&args_of(&machine("ro"), Accelerator::Kvm), "-cpu"), ["host"]);
        let args = args_of(&machine("ro").cpu("max").cpus(2), Accelerator::Kvm);
        assert_eq!((values(&args, "-cpu"), values(&args, "-smp")), (vec!["max"], vec!["2"]));
    }

    #[test]
    fn disks_keep_their_order_their_serials_and_their_blocks() {
        let machine = machine("ro")
            .root(Disk::read_only("/images/root.img"))
            .volatile(Disk::empty(Size::mib(64)).logical_block(4096))
            .disk(Disk::empty(Size::mib(1)).without_serial());
        let args = args_of(&machine, Accelerator::Tcg);
        let parsed = |name| {
            let values = values(&args, name).into_iter();
            values.map(|text| serde_json::from_str(text).unwrap()).collect::<Vec<Value>>()
        };
        let devices = parsed("-device");
        let serials: Vec<&Value> = devices.iter().map(|device| &device["serial"]).collect();
        assert_eq!(serials, [&json!("root"), &json!("volatile"), &Value::Null]);
        assert_eq!(devices[1]["logical_block_size"], 4096);
        assert_eq!(devices[1]["physical_block_size"], 4096);
        let files = parsed("-blockdev");
        assert_eq!(files[0]["read-only"], true);
        assert_eq!(files[1]["discard"], "unmap");
        assert_eq!(files[1]["file"]["filename"], "/tmp/a, b/disk1.img");
    }
}
