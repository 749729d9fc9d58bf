//! Who uses a COW file: user-mode Linux is seen by us, and we by user-mode Linux; QEMU likewise.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

mod machines;

use ebbtide::{
    Error,
    cow::{
        Disk,
        in_use::{Others, User, hold, user},
    },
    error::RefusalKind,
};
use machines::qemu_is_there;
use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};
use vmtest::{Uml, require};

/// A backing file of 1 MiB, and where its COW file is to be.
fn files(dir: &Path) -> (PathBuf, PathBuf) {
    let (cow, backing) = (dir.join("c.cow"), dir.join("backing.img"));
    File::create(&backing).unwrap().set_len(1 << 20).unwrap();
    (cow, backing)
}

fn info(cow: &Path) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_ebbtide")).args(["cow", "info"]).arg(cow).output();
    String::from_utf8(output.unwrap().stdout).unwrap()
}

#[test]
fn user_mode_linux_is_named_while_it_has_the_files_and_gets_none_that_we_hold() -> vmtest::Result<()>
{
    let dir = tempfile::tempdir().unwrap();
    let (cow, backing) = files(dir.path());
    let uml = Uml::sharing(dir.path()).cow(&cow, &backing);
    let vm = require!(uml.start());
    vm.run("(exec 7<>/dev/ubda; sleep 600) >/dev/null 2>&1 & sleep 1")?;
    let uml_itself = Some(User::Process { pid: vm.pid()?, name: "linux.uml".into() });
    let (of_cow, of_backing) = (Disk::open(&cow).unwrap(), Disk::open(&backing).unwrap());
    assert_eq!(user(&of_cow, Others::MayRead).unwrap(), uml_itself);
    assert_eq!(user(&of_backing, Others::MayRead).unwrap(), None);
    assert_eq!(user(&of_backing, Others::MayNot).unwrap(), uml_itself);
    let refused = hold(&of_cow, Others::MayRead).unwrap_err();
    assert!(matches!(&refused, Error::Refused(why) if why.kind == RefusalKind::Busy), "{refused}");
    let said = info(&cow);
    let who = format!("linux.uml (process {})", vm.pid()?);
    assert!(said.contains(&format!("in use:       by {who}\n")), "{said}");
    assert!(said.contains(&format!("its user:     {who}\n")), "{said}");
    drop((of_cow, of_backing));
    vm.power_off()?;

    let of_cow = Disk::open(&cow).unwrap();
    let held = hold(&of_cow, Others::MayRead).unwrap();
    let vm = uml.start()?;
    let opened = vm.try_run("exec 7<>/dev/ubda")?;
    assert_ne!(opened.status, 0, "{}", opened.text());
    assert!(vm.console().contains("F_SETLK failed"), "{}", vm.console());
    drop((held, of_cow));
    vm.run("exec 7<>/dev/ubda")?;

    let of_backing = Disk::open_to_write(&backing).unwrap();
    let _held = hold(&of_backing, Others::MayNot).unwrap();
    assert_ne!(vm.try_run("exec 7<>/dev/ubda")?.status, 0);
    Ok(())
}

#[test]
fn user_mode_linux_that_was_told_to_share_is_seen_too() -> vmtest::Result<()> {
    let dir = tempfile::tempdir().unwrap();
    let (cow, backing) = files(dir.path());
    let vm = require!(
        Uml::sharing(dir.path())
            .cmdline(&format!("ubd0c={},{}", cow.display(), backing.display()))
            .start()
    );
    vm.run("(exec 7<>/dev/ubda; sleep 600) >/dev/null 2>&1 & sleep 1")?;
    let uml_itself = Some(User::Process { pid: vm.pid()?, name: "linux.uml".into() });
    assert_eq!(user(&Disk::open(&cow).unwrap(), Others::MayRead).unwrap(), uml_itself);
    assert_eq!(user(&Disk::open(&backing).unwrap(), Others::MayNot).unwrap(), uml_itself);
    Ok(())
}

/// QEMU with a disk and nothing to run.
struct Qemu(Child);

impl Qemu {
    /// Starts one; what it said when it gets no lock.
    fn start(disk: &Path, options: &str) -> Result<Self, String> {
        let drive = format!("if=virtio,format=raw,file={}{options}", disk.display());
        let mut child = Command::new("qemu-system-x86_64")
            .args([
                "-M",
                "q35",
                "-m",
                "16",
                "-accel",
                "tcg",
                "-nodefaults",
                "-display",
                "none",
                "-S",
            ])
            .args(["-qmp", "stdio", "-drive", &drive])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It greets before its disks are open, and answers when they are.
        // One that is refused may have ended.
        let _ = child.stdin.as_mut().unwrap().write_all(b"{\"execute\": \"qmp_capabilities\"}\n");
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        if lines.map_while(io::Result::ok).any(|line| line.contains("return")) {
            return Ok(Self(child));
        }
        Err(String::from_utf8(child.wait_with_output().unwrap().stderr).unwrap())
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn qemu_is_named_while_it_writes_and_may_read_what_we_only_read() {
    require!(qemu_is_there());
    let dir = tempfile::tempdir().unwrap();
    let (_, image) = files(dir.path());
    let who = |others| user(&Disk::open(&image).unwrap(), others).unwrap();
    let name = |user: Option<User>, qemu: &Qemu| match user {
        Some(User::Process { pid, name }) => pid == qemu.0.id() && name.starts_with("qemu-system"),
        _ => false,
    };

    let qemu = Qemu::start(&image, "").unwrap();
    assert!(name(who(Others::MayRead), &qemu), "{:?}", who(Others::MayRead));
    assert!(name(who(Others::MayNot), &qemu));
    drop(qemu);

    let qemu = Qemu::start(&image, ",readonly=on").unwrap();
    assert_eq!(who(Others::MayRead), None);
    assert!(name(who(Others::MayNot), &qemu));
    drop(qemu);
    assert_eq!(who(Others::MayNot), None);

    let disk = Disk::open(&image).unwrap();
    let held = hold(&disk, Others::MayRead).unwrap();
    Qemu::start(&image, ",readonly=on").unwrap();
    let refused = Qemu::start(&image, "").err().unwrap();
    assert!(refused.contains("lock"), "{refused}");
    drop((held, disk));

    let disk = Disk::open_to_write(&image).unwrap();
    let _held = hold(&disk, Others::MayNot).unwrap();
    let refused = Qemu::start(&image, ",readonly=on").err().unwrap();
    assert!(refused.contains("lock"), "{refused}");
}
