//! The command line of QEMU: a machine goes in, arguments come out.

use super::{
    super::machine::{Boot, Machine, text},
    nic,
};
use crate::{
    error::Result,
    name::VolumeName,
    pool::driver::{Disk, Given},
    vm::{Memory, record::Network},
};
use qemu::Accelerator;
use serde_json::{Value, json};
use std::{ffi::OsString, os::fd::RawFd, path::Path};
use uuid::Uuid;

/// What QEMU gives up, where the kernel lets it: it needs no rights, starts no programs, and keeps its share of the
/// processors.
pub const SANDBOX: &str = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/// What QEMU knows the port of the guest's agent by.
pub(super) const AGENT: &str = "qga";

/// What this host offers.
#[derive(Debug, Clone, Copy)]
pub struct Host {
    /// What runs the guest's instructions.
    pub accelerator: Accelerator,
    /// Whether QEMU starts with [`SANDBOX`].
    pub sandbox: bool,
}

/// The sockets of one run.
#[derive(Debug, Clone, Copy)]
pub struct Sockets<'a> {
    /// Where the first serial port listens.
    pub console: &'a Path,
    /// Where a monitor listens, for one client at a time.
    pub monitor: &'a Path,
    /// Where the port of the guest's agent listens.
    pub agent: &'a Path,
    /// A connected socket that QEMU inherits: the monitor of whoever supervises it.
    pub supervisor: RawFd,
}

/// Where a machine begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begins<'a> {
    /// At its first instruction.
    Cold,
    /// Where the one stood whose memory this is: it is read when a monitor says so.
    Incoming(&'a Memory),
}

/// Returns the arguments. The machine does not run until a monitor says `cont`. `extra` stands last, so that it
/// wins where QEMU takes an option's last value.
///
/// # Errors
/// A path that is no text.
pub fn arguments(
    machine: &Machine,
    host: Host,
    sockets: Sockets<'_>,
    begins: Begins<'_>,
    extra: &[OsString],
) -> Result<Vec<OsString>> {
    let mut args = Args(Vec::new());
    args.flags(&["-nodefaults", "-no-user-config", "-S"]);
    args.option("-name", format!("guest={}", escaped(&machine.name)));
    args.option("-uuid", machine.uuid.to_string());
    args.option("-display", "none");
    args.option("-M", "q35");
    args.option("-accel", host.accelerator.argument());
    args.option("-cpu", host.accelerator.cpu());
    args.option("-smp", machine.cpus.to_string());
    args.option("-m", memory(machine.memory.0));
    let own_sandbox = extra.iter().any(|arg| arg == "-sandbox")
        || machine.args.iter().any(|arg| arg == "-sandbox");
    if host.sandbox && !own_sandbox {
        args.option("-sandbox", SANDBOX);
    }

    let listening =
        [("console", sockets.console), ("monitor", sockets.monitor), (AGENT, sockets.agent)];
    for (id, path) in listening {
        let path = escaped(text(path)?);
        args.option("-chardev", format!("socket,id={id},server=on,wait=off,path={path}"));
    }
    args.option("-chardev", format!("socket,id=supervisor,fd={}", sockets.supervisor));
    args.option("-serial", "chardev:console");
    args.option("-mon", "chardev=monitor,mode=control");
    args.option("-mon", "chardev=supervisor,mode=control");

    for disk in &machine.disks {
        args.option("-blockdev", blockdev(disk)?.to_string());
        args.option("-device", device(disk, &machine.boot).to_string());
    }
    args.option("-object", "rng-builtin,id=random");
    args.option("-device", "virtio-rng-pci,rng=random");
    // A kernel that panics says so, and the machine ends, instead of standing still for ever.
    args.option("-device", "pvpanic");
    // Another number in each run: a kernel that finds one after it was resumed makes its random numbers anew.
    args.option("-device", format!("vmgenid,guid={}", Uuid::new_v4()));
    args.option(
        "-device",
        json!({"driver": "pcie-root-port", "id": nic::PORT, "chassis": 1}).to_string(),
    );
    if machine.network == Network::User {
        args.option("-netdev", "user,id=net");
    }
    match (begins, nic::device(machine)) {
        (Begins::Incoming(_), _) => args.option("-incoming", "defer"),
        (Begins::Cold, Some(card)) => args.option("-device", card.to_string()),
        (Begins::Cold, None) => {}
    }
    args.option("-device", "virtio-serial-pci");
    args.option(
        "-device",
        format!("virtserialport,id={AGENT},chardev={AGENT},name=org.qemu.guest_agent.0"),
    );
    if let Boot::Kernel { kernel, initrd, cmdline } = &machine.boot {
        args.option("-kernel", text(kernel)?);
        if let Some(initrd) = initrd {
            args.option("-initrd", text(initrd)?);
        }
        if !cmdline.is_empty() {
            args.option("-append", cmdline);
        }
    }
    args.0.extend(machine.args.iter().map(OsString::from));
    args.0.extend_from_slice(extra);
    Ok(args.0)
}

/// Returns the name of a volume's node in QEMU, for its monitor.
#[must_use]
pub fn node(volume: &VolumeName) -> &str {
    volume.as_str()
}

struct Args(Vec<OsString>);

impl Args {
    fn flags(&mut self, flags: &[&str]) {
        self.0.extend(flags.iter().map(OsString::from));
    }

    fn option(&mut self, name: &str, value: impl AsRef<str>) {
        self.0.extend([name, value.as_ref()].map(OsString::from));
    }
}

/// Doubles commas, which divide the parts of an option's value.
fn escaped(text: &str) -> String {
    text.replace(',', ",,")
}

/// Returns a size of memory in the largest unit that is exact.
fn memory(bytes: u64) -> String {
    let mebibyte = 1 << 20;
    if bytes.is_multiple_of(mebibyte) {
        format!("{}M", bytes / mebibyte)
    } else {
        format!("{bytes}B")
    }
}

/// Returns the host's side of a disk, as JSON, which needs no escapes in paths. The format is said: what a guest
/// writes to its disk must not choose it.
///
/// The host's page cache is used, not direct I/O: many guests read one version, and it is in memory once. What the
/// guest flushes is flushed, but for the volatile disk, which has nothing that survives its run.
fn blockdev(disk: &Disk) -> Result<Value> {
    let discard = if disk.read_only { "ignore" } else { "unmap" };
    let no_flush = disk.read_only || disk.id.volume == VolumeName::volatile();
    // A version is one file that many read and nobody writes: nothing to lock. A disk that is written belongs to
    // one machine; QEMU's lock keeps off whoever goes around ours.
    let locking = if disk.read_only { "off" } else { "auto" };
    let driver = match disk.given {
        Given::File => "file",
        Given::Device => "host_device",
    };
    let cache = json!({"direct": false, "no-flush": no_flush});
    Ok(json!({
        "driver": "raw",
        "node-name": node(&disk.id.volume),
        "read-only": disk.read_only,
        "discard": discard,
        "cache": cache,
        "file": {
            "driver": driver,
            "filename": text(&disk.path)?,
            "read-only": disk.read_only,
            "discard": discard,
            "cache": cache,
            "locking": locking,
        },
    }))
}

/// Returns the guest's side of a disk.
fn device(disk: &Disk, boot: &Boot) -> Value {
    let volume = node(&disk.id.volume);
    let mut device = json!({
        "driver": "virtio-blk-pci",
        "id": format!("disk-{volume}"),
        "drive": volume,
        "serial": volume,
    });
    if *boot == Boot::Disk && disk.id.volume == VolumeName::root() {
        device["bootindex"] = json!(0);
    }
    device
}

#[cfg(test)]
mod tests {
    use super::super::super::machine::tests::machine;
    use super::*;
    use ebbtide_format::units::Bytes;

    const SOCKETS: fn() -> Sockets<'static> = || Sockets {
        console: Path::new("/run/ebbtide/7/console"),
        monitor: Path::new("/run/ebbtide/7/qmp"),
        agent: Path::new("/run/ebbtide/7/agent"),
        supervisor: 5,
    };

    fn args_with(machine: &Machine, sandbox: bool, extra: &[&str]) -> Vec<String> {
        let host = Host { accelerator: Accelerator::Tcg, sandbox };
        let extra: Vec<OsString> = extra.iter().map(OsString::from).collect();
        let args = arguments(machine, host, SOCKETS(), Begins::Cold, &extra).unwrap();
        args.into_iter().map(|arg| arg.into_string().unwrap()).collect()
    }

    fn args_of(machine: &Machine) -> Vec<String> {
        args_with(machine, true, &[])
    }

    fn values<'a>(args: &'a [String], name: &str) -> Vec<&'a str> {
        args.windows(2).filter(|pair| pair[0] == name).map(|pair| pair[1].as_str()).collect()
    }

    fn json_values(args: &[String], name: &str) -> Vec<Value> {
        values(args, name).iter().filter_map(|text| serde_json::from_str(text).ok()).collect()
    }

    #[test]
    fn a_plain_machine_waits_for_its_supervisor_and_has_nothing_that_was_not_asked_for() {
        let args = args_of(&machine("work", "/pool"));
        let start = "-nodefaults -no-user-config -S -name guest=work \
             -uuid 00000000-0000-0000-0000-000000000007 -display none -M q35 \
             -accel tcg,thread=multi -cpu Nehalem,+rdrand -smp 1 -m 512M -sandbox on,";
        assert!(args.join(" ").starts_with(start), "{args:?}");
        assert_eq!(
            values(&args, "-chardev"),
            [
                "socket,id=console,server=on,wait=off,path=/run/ebbtide/7/console",
                "socket,id=monitor,server=on,wait=off,path=/run/ebbtide/7/qmp",
                "socket,id=qga,server=on,wait=off,path=/run/ebbtide/7/agent",
                "socket,id=supervisor,fd=5",
            ]
        );
        for absent in ["-kernel", "-initrd", "-append", "-netdev"] {
            assert_eq!(values(&args, absent), Vec::<&str>::new(), "{absent}");
        }
    }

    #[test]
    fn the_root_is_read_only_and_shared_and_the_volatile_disk_is_never_flushed() {
        let args = args_of(&machine("work", "/pool"));
        let [root, private, volatile] = json_values(&args, "-blockdev").try_into().unwrap();
        for (disk, read_only, locking, no_flush, discard) in [
            (&root, true, "off", true, "ignore"),
            (&private, false, "auto", false, "unmap"),
            (&volatile, false, "auto", true, "unmap"),
        ] {
            assert_eq!(disk["driver"], "raw");
            assert_eq!(disk["file"]["locking"], locking);
            for layer in [disk, &disk["file"]] {
                assert_eq!(layer["read-only"], read_only);
                assert_eq!(layer["discard"], discard);
                assert_eq!(layer["cache"], json!({"direct": false, "no-flush": no_flush}));
            }
        }
        let devices = json_values(&args, "-device");
        let devices: Vec<_> =
            devices.iter().filter(|device| device["drive"] != json!(null)).collect();
        let serials: Vec<&Value> = devices.iter().map(|device| &device["serial"]).collect();
        assert_eq!(serials, ["root", "private", "volatile"]);
        assert!(devices.iter().all(|device| device["drive"] == device["serial"]));
    }

    #[test]
    fn a_disk_boots_where_there_is_no_kernel() {
        let mut machine = machine("work", "/pool");
        let index = |machine: &Machine| {
            let devices = json_values(&args_of(machine), "-device");
            let disks = devices.iter().filter(|device| device["drive"] != json!(null));
            disks.map(|disk| disk["bootindex"].clone()).collect::<Vec<_>>()
        };
        assert_eq!(index(&machine), [json!(0), Value::Null, Value::Null]);
        machine.boot = Boot::Kernel {
            kernel: "/pool/a, b/kernel".into(),
            initrd: Some("/pool/a, b/initrd".into()),
            cmdline: "root=/dev/mapper/dmroot ro x=a,b".into(),
        };
        assert_eq!(index(&machine), [Value::Null, Value::Null, Value::Null]);
        let args = args_of(&machine);
        assert_eq!(values(&args, "-kernel"), ["/pool/a, b/kernel"]);
        assert_eq!(values(&args, "-initrd"), ["/pool/a, b/initrd"]);
        assert_eq!(values(&args, "-append"), ["root=/dev/mapper/dmroot ro x=a,b"]);
    }

    #[test]
    fn any_name_and_any_path_of_text_is_one_value() {
        let nasty = "/p, o:o\"l/json:{}/fat:\u{fc} %s\\";
        let args = args_of(&machine("a,b=c \"d\"", nasty));
        assert_eq!(values(&args, "-name"), ["guest=a,,b=c \"d\""]);
        let disks = json_values(&args, "-blockdev");
        assert_eq!(disks[0]["file"]["filename"], format!("{nasty}/root.img"));
        assert_eq!(disks.len(), 3);
    }

    #[test]
    fn a_path_that_is_no_text_is_refused() {
        use std::os::unix::ffi::OsStringExt;
        let mut machine = machine("work", "/pool");
        machine.disks[0].path = OsString::from_vec(b"/pool/\xff/root.img".into()).into();
        let host = Host { accelerator: Accelerator::Tcg, sandbox: true };
        let error = arguments(&machine, host, SOCKETS(), Begins::Cold, &[]).unwrap_err();
        assert!(error.to_string().contains("is no UTF-8 text"), "{error}");
    }

    #[test]
    fn further_arguments_stand_last_the_records_before_those_of_this_start() {
        let mut machine = machine("work", "/pool");
        machine.args = vec!["-cpu".into(), "max".into()];
        machine.network = Network::User;
        let args = args_with(&machine, true, &["-m", "1G"]);
        assert_eq!(args[args.len() - 4..], ["-cpu", "max", "-m", "1G"]);
        assert_eq!(values(&args, "-netdev"), ["user,id=net"]);
    }

    #[test]
    fn no_sandbox_where_there_is_none_and_where_another_one_is_asked_for() {
        let machine = machine("work", "/pool");
        assert_eq!(values(&args_with(&machine, false, &[]), "-sandbox"), Vec::<&str>::new());
        assert_eq!(values(&args_with(&machine, true, &["-sandbox", "off"]), "-sandbox"), ["off"]);
    }

    #[test]
    fn memory_is_exact() {
        assert_eq!(memory(Bytes::mib(512).0), "512M");
        assert_eq!(memory(Bytes::gib(3).0), "3072M");
        assert_eq!(memory(1_500_000), "1500000B");
    }
}
