//! The description of a machine: image, disks, command line, memory; [`Qemu::start`] makes it a [`Vm`].

use std::path::PathBuf;

use crate::disk::{Content, Disk, Renewal, Serial};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::size::Size;
use crate::vm::Vm;
use crate::xen::{Added, Hypervisor};
use ::qemu::Accelerator;

/// The longest serial that a virtio disk carries.
const LONGEST_SERIAL: usize = 20;

/// A machine that can be started.
#[derive(Debug, Clone)]
pub struct Qemu {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
    pub(crate) name: String,
    pub(crate) words: Vec<String>,
    pub(crate) disks: Vec<Disk>,
    pub(crate) memory: Size,
    pub(crate) cpus: u32,
    pub(crate) cpu: Option<String>,
    pub(crate) accelerator: Option<Accelerator>,
    pub(crate) random: bool,
    pub(crate) extra: Vec<String>,
    pub(crate) fatal: Vec<String>,
    pub(crate) hypervisor: Option<Hypervisor>,
    pub(crate) files: Vec<Added>,
}

impl Qemu {
    /// A machine with one CPU, 512 MiB and no disks that boots `image` with its own command line.
    pub fn boot(image: &Image) -> Self {
        Self {
            kernel: image.kernel(),
            initrd: image.initrd(),
            name: image.name().to_owned(),
            words: words(image.cmdline()),
            disks: Vec::new(),
            memory: Size::mib(512),
            cpus: 1,
            cpu: None,
            accelerator: None,
            random: false,
            extra: Vec::new(),
            fatal: vec!["Kernel panic - not syncing".into()],
            hypervisor: None,
            files: Vec::new(),
        }
    }

    /// Attaches the next disk; disks appear in the guest in the order in which they are attached.
    pub fn disk(mut self, disk: Disk) -> Self {
        self.disks.push(disk);
        self
    }

    /// Attaches the root disk, with serial `root` unless it has its own.
    pub fn root(self, disk: Disk) -> Self {
        self.disk(disk.in_role("root", Renewal::WithMachine))
    }

    /// Attaches the private disk, with serial `private` unless it has its own.
    pub fn private(self, disk: Disk) -> Self {
        self.disk(disk.in_role("private", Renewal::WithMachine))
    }

    /// Attaches the volatile disk, with serial `volatile` unless it has its own; made anew at every
    /// start unless it is to be [kept](Disk::kept).
    pub fn volatile(self, disk: Disk) -> Self {
        self.disk(disk.in_role("volatile", Renewal::EveryStart))
    }

    /// Appends words to the kernel command line.
    pub fn cmdline(mut self, text: &str) -> Self {
        self.words.extend(words(text));
        self
    }

    /// Removes the words that begin with `prefix` from the command line as it is so far.
    pub fn cmdline_without(mut self, prefix: &str) -> Self {
        self.words.retain(|word| !word.starts_with(prefix));
        self
    }

    /// Boots another kernel.
    pub fn kernel(self, path: impl Into<PathBuf>) -> Self {
        Self { kernel: path.into(), ..self }
    }

    /// Boots with another initramfs.
    pub fn initrd(self, path: impl Into<PathBuf>) -> Self {
        Self { initrd: path.into(), ..self }
    }

    /// Sets the size of memory.
    pub fn memory(self, memory: Size) -> Self {
        Self { memory, ..self }
    }

    /// Sets the number of CPUs.
    pub fn cpus(self, cpus: u32) -> Self {
        Self { cpus, ..self }
    }

    /// Sets QEMU's CPU model.
    pub fn cpu(self, model: impl Into<String>) -> Self {
        Self { cpu: Some(model.into()), ..self }
    }

    /// Sets the accelerator, which is probed for otherwise.
    pub fn accelerator(self, accelerator: Accelerator) -> Self {
        Self { accelerator: Some(accelerator), ..self }
    }

    /// Adds a virtio random number generator.
    pub fn random(self) -> Self {
        Self { random: true, ..self }
    }

    /// Appends arguments of QEMU.
    pub fn qemu_args<'a>(mut self, args: impl IntoIterator<Item = &'a str>) -> Self {
        self.extra.extend(args.into_iter().map(str::to_owned));
        self
    }

    /// Ends every wait soon after the console shows `text`, as it does after a kernel panic.
    pub fn gives_up_at(mut self, text: &str) -> Self {
        self.fatal.push(text.to_owned());
        self
    }

    /// Makes the disks and switches the machine on.
    ///
    /// # Errors
    /// `Unavailable` without QEMU, `Description` when the machine makes no sense, and when a disk
    /// cannot be made or QEMU does not start.
    pub fn start(self) -> Result<Vm> {
        self.check()?;
        let program = program()?;
        let accelerator = match self.accelerator {
            Some(accelerator) => accelerator,
            None => Accelerator::probe(&program)?,
        };
        Vm::start(self, &program, accelerator)
    }

    /// Returns the kernel command line.
    pub(crate) fn kernel_words(&self) -> String {
        let mut words: Vec<&str> = self.words.iter().map(String::as_str).collect();
        // Below a hypervisor the first serial line is that one's, and the console is what it makes of it.
        if self.hypervisor.is_none() && !words.contains(&"console=ttyS0") {
            words.push("console=ttyS0");
        }
        words.join(" ")
    }

    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |text: String| Err(Error::Description(text));
        if self.words.iter().any(|word| word == "quiet") {
            return wrong(
                "`quiet` on the command line would leave nothing to read of a hang".into(),
            );
        }
        let mut serials: Vec<&str> = Vec::new();
        for disk in &self.disks {
            if let Serial::Is(serial) = &disk.serial {
                if serial.len() > LONGEST_SERIAL {
                    return wrong(format!("serial {serial} is longer than {LONGEST_SERIAL} bytes"));
                }
                serials.push(serial);
            }
            if let Content::Empty(size) = disk.content
                && (size == Size::default() || size.as_bytes() % u64::from(disk.logical_block) != 0)
            {
                let block = disk.logical_block;
                return wrong(format!("a disk of {size} is not made of blocks of {block} bytes"));
            }
        }
        serials.sort_unstable();
        match serials.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(twice) => wrong(format!("two disks have the serial {}", twice[0])),
            None => Ok(()),
        }
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// Returns the QEMU binary, where what starts it is there too.
pub(crate) fn program() -> Result<PathBuf> {
    ::qemu::in_path("setpriv", "util-linux")?;
    Ok(::qemu::program()?)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A description that needs no image.
    pub(crate) fn machine(cmdline: &str) -> Qemu {
        let dir = tempfile::tempdir().unwrap();
        for file in ["vmlinuz", "initrd.img", "root.img"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        std::fs::write(dir.path().join("cmdline"), cmdline).unwrap();
        Qemu::boot(&Image::at(dir.path()).unwrap())
    }

    fn refusal(machine: &Qemu) -> String {
        machine.check().unwrap_err().to_string()
    }

    #[test]
    fn command_lines_grow_at_the_end_and_have_one_console() {
        let line = |machine: Qemu| machine.kernel_words();
        assert_eq!(
            line(machine("ro panic=-1\n").cmdline("a=1  b")),
            "ro panic=-1 a=1 b console=ttyS0"
        );
        assert_eq!(line(machine("console=ttyS0 ro")), "console=ttyS0 ro");
        assert_eq!(line(machine("root=x ro").cmdline_without("root=")), "ro console=ttyS0");
    }

    #[test]
    fn descriptions_without_sense_are_refused_by_name() {
        assert!(refusal(&machine("ro").cmdline("quiet")).contains("quiet"));
        let disk = || Disk::empty(Size::mib(1));
        let twice = machine("ro").volatile(disk()).disk(disk().serial("volatile"));
        assert!(refusal(&twice).contains("two disks have the serial volatile"));
        let long = machine("ro").disk(disk().serial("a-serial-of-21-bytes."));
        assert!(refusal(&long).contains("longer than 20"));
        let odd = machine("ro").disk(Disk::empty(Size::bytes(5120)).logical_block(4096));
        assert!(refusal(&odd).contains("5 KiB"));
        assert!(machine("ro").disk(disk()).disk(disk().without_serial()).check().is_ok());
    }

    #[test]
    fn a_missing_program_is_unavailable() {
        let error = Error::from(::qemu::in_path("no-such-qemu", "qemu-system-x86").unwrap_err());
        assert!(matches!(error, Error::Unavailable { .. }));
        assert!(error.to_string().contains("apt-get install qemu-system-x86"));
    }
}
