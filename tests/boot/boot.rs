//! `ebbtide-init` as process 1 of an initramfs with nothing else in it: does it boot, and what does it say
//! when it cannot?

use crate::{
    debian::{
        ENCRYPT, forgets_the_root_and_keeps_homes, grows, keeps_a_writable_root, with_homes,
        with_writable_root,
    },
    machine::{debian, small_root},
};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf, process::Command, time::Duration};
use tempfile::{NamedTempFile, TempDir};
use vmtest::{Disk, Ending, Image, Qemu, Result, Size, Vm, require};

/// Longer than a screen is shown.
const LIMIT: Duration = Duration::from_secs(60);

/// Encrypted at its second start: what is in no list is loaded when the kernel asks for it, ciphers here, and
/// the root's own mkfs has formatted the private disk.
#[test]
fn process_1_forgets_the_root_and_keeps_homes_and_leaves_nothing_of_the_initramfs() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let mut vm = require!(with_homes(&image).start());
    forgets_the_root_and_keeps_homes(&mut vm, &image, ENCRYPT, |vm| {
        assert!(vm.run("dmsetup table")?.contains("crypt"), "nothing is encrypted");
        has_left_nothing_of_the_initramfs(vm)
    })
}

fn has_left_nothing_of_the_initramfs(vm: &Vm) -> Result<()> {
    // The files of an initramfs are pages that cannot be evicted, MiBs of them.
    let kept = vm.run("sed -n 's/^Unevictable: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo")?;
    assert!(kept.parse::<u64>().is_ok_and(|kib| kib < 1024), "{kept} KiB");
    vm.run("dmesg | grep -q 'ebbtide: boot: [1-9][0-9]* files of the initramfs are gone'")?;
    // The kernel asks the root's own program again.
    assert_eq!(vm.run("cat /proc/sys/kernel/modprobe")?, "/sbin/modprobe");
    assert_eq!(vm.run("cat /proc/1/comm")?, "systemd");
    assert_eq!(vm.run("test -e /run/ebbtide/ready && findmnt -no FSTYPE /run")?, "tmpfs");
    assert_eq!(vm.run("findmnt -no FSTYPE /dev")?, "devtmpfs");
    assert_eq!(vm.try_run("findmnt /sysroot")?.status, 1);
    reads_its_arguments_in_a_container(vm)
}

/// In a container nothing is an initramfs, and the arguments are somebody's.
fn reads_its_arguments_in_a_container(vm: &Vm) -> Result<()> {
    let said = vm.run("unshare --pid --fork ebbtide-init --version")?;
    assert!(said.starts_with("ebbtide-init "), "{said}");
    let said = vm.try_run("unshare --pid --fork ebbtide-init boot")?;
    assert!(said.text().contains("found a root that is not one"), "{}", said.text());
    Ok(())
}

/// With a module in its list that is nowhere, which is a warning, and with file systems in no list, which the
/// kernel asks process 1's program for as they are met.
#[test]
fn a_writable_root_is_kept_and_grows_with_process_1_that_misses_a_module() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let list = "no-such\nvirtio-pci\nvirtio_blk\ndm_mod\ndm_snapshot\next4\n";
    let with = Added::to(&image, &[("etc/ebbtide/modules", Content::Text(list))]);
    let machine = with_writable_root(&image)
        .initrd(&with.initrd)
        .cmdline("rootfstype=squashfs,overlay,ext4 rootflags=noatime");
    let mut vm = require!(machine.start());
    vm.expect_console(
        "ebbtide: module no-such: wanted it in modules.dep or modules.builtin; found none",
    )?;
    keeps_a_writable_root(&mut vm, "vda", grows)?;
    vm.run("grep -q '^squashfs ' /proc/modules && grep -q '^overlay ' /proc/modules")?;
    Ok(())
}

#[test]
fn the_init_of_the_command_line_gets_the_words_of_the_kernel() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let script = "init=/bin/sh -- -c \"echo init $$ got $0 $1; exec busybox poweroff -f\" a b";
    let vm = require!(debian(&image).cmdline(script).start());
    vm.expect_console("init 1 got a b")?;
    ends(&vm, &Ending::PoweredOff)
}

#[test]
fn an_init_that_is_not_there_is_named() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let vm = require!(debian(&image).cmdline("init=/no/such").start());
    shows(
        &vm,
        &["init: ", "wanted a program in the root", "found /no/such: No such file", "init= on the"],
    )?;
    ends(&vm, &Ending::PoweredOff)
}

#[test]
fn a_root_without_an_init_is_named() -> Result<()> {
    let (image, other) = (require!(Image::named("debian-boot")), require!(Image::named("stage")));
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(other.root()))
        .volatile(Disk::empty(Size::mib(512)))
        .cmdline("ebbtide.failure=reboot");
    let vm = require!(machine.start());
    let found = "found /sbin/init: No such file or directory (os error 2); /etc/init: No such";
    shows(&vm, &["wanted a program in the root", found, "the machine starts again in 5 s"])?;
    ends(&vm, &Ending::Reset)
}

/// After the switch the settings of the initramfs are gone, and count all the same.
#[test]
fn an_init_that_cannot_be_started_ends_as_the_settings_of_the_initramfs_say() -> Result<()> {
    let (image, other) = (require!(Image::named("debian-boot")), require!(Image::named("stage")));
    let with = Added::to(&image, &[("etc/ebbtide/init.conf", Content::Text("failure = reboot\n"))]);
    let root = root_with_an_init_of_no_format(&other);
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(root.path()))
        .volatile(Disk::empty(Size::mib(512)))
        .initrd(&with.initrd)
        .cmdline("init=/broken");
    let vm = require!(machine.start());
    shows(
        &vm,
        &["wanted /broken started", "found ENOEXEC", "Now:   the machine starts again in 5 s"],
    )?;
    ends(&vm, &Ending::Reset)
}

#[test]
fn a_root_of_somebody_else_is_refused() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let vm = require!(debian(&image).cmdline("root=/dev/vda").start());
    shows(&vm, &["boots no other root", "found root=/dev/vda", "the distribution's initramfs"])?;
    ends(&vm, &Ending::PoweredOff)
}

#[test]
fn without_a_volatile_disk_the_screen_says_so_and_the_power_goes_off() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let vm = require!(no_volatile(&image).start());
    shows(
        &vm,
        &[
            "What:  volatile disk is missing",
            "wanted serial=volatile, xvdc or ubdc",
            "found vda serial=root",
            "Hint:  attach the disk with that serial",
            "Now:   the power goes off in 5 s",
            "The last lines of the kernel log:",
            "ebbtide: waiting up to 2 s for the volatile disk",
        ],
    )?;
    ends(&vm, &Ending::PoweredOff)
}

#[test]
fn a_failure_with_a_bad_option_still_does_what_is_asked_for() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let machine = debian(&image).cmdline("ebbtide.failure=reboot ebbtide.speed=high");
    let vm = require!(machine.start());
    shows(&vm, &["What:  kernel command line: found \"speed=high\"", "Hint:  correct it"])?;
    ends(&vm, &Ending::Reset)
}

/// A shell is started when there is one, as a child: its end is not that of process 1.
#[test]
fn a_failure_runs_the_shell_of_the_initramfs_and_starts_again() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let with = Added::to(
        &image,
        &[
            ("bin/busybox", Content::File("/bin/busybox")),
            ("bin/sh", Content::Text("#!/bin/busybox sh\necho $PATH of process $$\n")),
        ],
    );
    let machine = no_volatile(&image).cmdline("ebbtide.failure=shell").initrd(&with.initrd);
    let vm = require!(machine.start());
    shows(&vm, &["Now:   a shell follows", "/usr/sbin:/usr/bin:/sbin:/bin of process "])?;
    assert!(!vm.console().contains(" of process 1\n"), "process 1 became the shell");
    ends(&vm, &Ending::Reset)
}

#[test]
fn without_a_shell_the_power_goes_off() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let vm = require!(no_volatile(&image).cmdline("ebbtide.failure=shell").start());
    shows(&vm, &["Now:   there is no shell here; the power goes off"])?;
    ends(&vm, &Ending::PoweredOff)
}

#[test]
fn a_module_that_is_damaged_is_on_the_screen_with_what_misses_it() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let module = module(&image, "virtio_blk.ko");
    let with = Added::to(&image, &[(&module, Content::Text("no module at all"))]);
    let machine = debian(&image).initrd(&with.initrd).cmdline("ebbtide.timeout=1s");
    let vm = require!(machine.start());
    vm.expect_console("ebbtide: module virtio_blk: wanted it loaded from /lib/modules/")?;
    vm.expect_console("virtio_blk.ko; found Exec format error")?;
    shows(
        &vm,
        &["What:  root disk is missing", "found no disk", "ebbtide: module virtio_blk: wanted"],
    )?;
    ends(&vm, &Ending::PoweredOff)
}

/// Whatever the root is not formatted with is tried in silence; what cannot be mounted is told.
#[test]
fn a_root_that_is_no_file_system_is_named() -> Result<()> {
    let image = require!(Image::named("debian-boot"));
    let machine = Qemu::boot(&image)
        .root(Disk::read_only(image.kernel()))
        .volatile(Disk::empty(Size::mib(512)));
    let vm = require!(machine.start());
    shows(
        &vm,
        &[
            "What:  /dev/mapper/dmroot",
            "wanted it mounted read-only",
            "found ext4: Invalid argument",
        ],
    )?;
    ends(&vm, &Ending::PoweredOff)
}

fn no_volatile(image: &Image) -> Qemu {
    Qemu::boot(image).root(Disk::read_only(image.root())).cmdline("ebbtide.timeout=2s")
}

/// The texts are on the screen, once it is whole.
fn shows(vm: &Vm, texts: &[&str]) -> Result<()> {
    vm.expect_console("Ebbtide cannot boot this machine")?;
    vm.expect_console("The last lines of the kernel log:")?;
    let outcome = vm.wait_for_end(LIMIT);
    let screen = outcome.console.rsplit("Ebbtide cannot boot").next().unwrap_or_default();
    for text in texts {
        assert!(screen.contains(text), "wanted {text}; found {screen}");
    }
    Ok(())
}

/// It ends by itself, so, and without a complaint of the kernel.
fn ends(vm: &Vm, ending: &Ending) -> Result<()> {
    let outcome = vm.wait_for_end(LIMIT);
    assert_eq!(&outcome.ending, ending, "{}", outcome.console);
    vm.kernel_log_is_clean()
}

/// A root with a program `/broken` that no kernel starts, and places for what goes along to it.
fn root_with_an_init_of_no_format(image: &Image) -> NamedTempFile {
    let root = small_root(image, Size::mib(64));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (program, requests) = (folder.path().join("program"), folder.path().join("requests"));
    fs::write(&program, "no format that the kernel knows").expect("a file is written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("it may run");
    let text = format!(
        "mkdir dev\nmkdir proc\nmkdir sys\nmkdir run\nwrite {} broken\n",
        program.display()
    );
    fs::write(&requests, text).expect("a file is written");
    let mut debugfs = Command::new("debugfs");
    debugfs.arg("-w").arg("-f").arg(&requests).arg(root.path());
    assert!(debugfs.status().expect("debugfs runs").success(), "the root was not changed");
    root
}

/// What a file of an initramfs is made of.
enum Content {
    File(&'static str),
    Text(&'static str),
}

/// An initramfs with more files, or others, in it.
struct Added {
    initrd: PathBuf,
    _folder: TempDir,
}

impl Added {
    /// The kernel unpacks archives one after the other.
    fn to(image: &Image, files: &[(&str, Content)]) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tree = folder.path().join("tree");
        for (path, content) in files {
            let to = tree.join(path);
            fs::create_dir_all(to.parent().expect("it has a folder")).expect("a folder is made");
            match content {
                Content::File(from) => drop(fs::copy(from, &to).expect("a file is copied")),
                Content::Text(text) => fs::write(&to, text).expect("a file is written"),
            }
            fs::set_permissions(&to, fs::Permissions::from_mode(0o755)).expect("it may run");
        }
        let initrd = folder.path().join("initrd");
        let pack =
            "cp \"$1\" \"$2\"; cd tree; find . -mindepth 1 | cpio --quiet -o -H newc >> \"$2\"";
        let mut sh = Command::new("sh");
        sh.args(["-ec", pack, "sh"]).arg(image.initrd()).arg(&initrd).current_dir(folder.path());
        assert!(sh.status().expect("sh runs").success(), "the initramfs was not packed");
        Self { initrd, _folder: folder }
    }
}

/// Returns the path of a file in the initramfs.
fn module(image: &Image, name: &str) -> String {
    let list = format!("cpio --quiet -t < '{}' | grep '/{name}$'", image.initrd().display());
    let output = Command::new("sh").args(["-c", &list]).output().expect("sh runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
