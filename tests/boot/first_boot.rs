//! The first boot of a private disk: what is made on it, what is kept, and what a cut leaves.

use std::{fs, io, path::Path, process::Command};
use tempfile::{NamedTempFile, TempDir};
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

const USERS: &str = "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n";

/// Returns a root with these users, something for new homes, and something in `/usr/local`.
fn root_with(users: &str) -> NamedTempFile {
    let tree = TempDir::new().expect("a temporary folder");
    let write = |path: &str, text: &[u8]| {
        let path = tree.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
        fs::write(path, text).expect("the file is written");
    };
    write("etc/passwd", users.as_bytes());
    write("etc/hostname", b"first-boot\n");
    write("etc/skel/.profile", b"profile");
    write("etc/skel/.config/app", b"app");
    for n in 0..20 {
        write(&format!("usr/local/lib/{n}"), &vec![b'a' + n; 40_000]);
    }
    write("usr/local/bin/tool", b"tool");
    for empty in ["home", "rw", "srv"] {
        fs::create_dir(tree.path().join(empty)).expect("the folder is made");
    }
    let image = NamedTempFile::new().expect("a temporary file");
    file_system(image.path(), Some(tree.path()), "64M").expect("the root is made");
    image
}

/// Makes a file system with what is in a folder.
fn file_system(image: &Path, content: Option<&Path>, size: &str) -> io::Result<()> {
    let mut command = Command::new("mke2fs");
    command.args(["-q", "-F", "-t", "ext4", "-E", "root_owner=0:0", "-N", "25000"]);
    if let Some(content) = content {
        command.arg("-d").arg(content);
    }
    let output = command.arg(image).arg(size).output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()))
}

/// A machine with this root and this private disk.
fn machine(image: &Image, root: &Path, private: Disk) -> Qemu {
    Qemu::boot(image)
        .root(Disk::read_only(root))
        .private(private)
        .volatile(Disk::empty(Size::mib(512)))
}

/// A private disk with an empty file system.
fn blank() -> Disk {
    Disk::empty(Size::mib(64)).prepared_by(|path| file_system(path, None, "64M"))
}

/// Maps and mounts the root as an initramfs does.
const ROOT: &str = "ebbtide-init root && mkdir -p /sysroot && \
    busybox mount -t ext4 -o ro /dev/mapper/dmroot /sysroot";
/// The stage that is looked at.
const MOUNTS: &str = "ebbtide-init mounts --root /sysroot";
/// Takes down what the stage has mounted, so that it can run again in the same machine.
const TAKE_DOWN: &str = "grep -o ' /sysroot/[^ ]*' /proc/mounts | busybox tac | \
    while read -r at; do umount \"$at\"; done; rm -f /run/ebbtide/mounts /run/ebbtide/binds";
/// The private disk without the stage.
const PRIVATE: &str = "mkdir -p /p && busybox mount -t ext4 /dev/disk-private /p";
/// Everything on a private disk that is mounted at `/p`: kind, mode, owner, size and content.
const CONTENT: &str = "cd /p && find . -path ./lost+found -prune -o -print | busybox sort | \
    while read -r at; do busybox stat -c '%n %F %a %u %g' \"$at\"; done; \
    find . -type f | busybox sort | busybox xargs md5sum; cd / && umount /p";

fn start(image: &Image, root: &Path, private: Disk) -> Result<Vm> {
    let vm = machine(image, root, private).start()?;
    name_private(&vm)?;
    Ok(vm)
}

/// Makes a node for the private disk wherever it is.
fn name_private(vm: &Vm) -> Result<()> {
    vm.run(
        "for disk in /sys/block/vd*; do test \"$(cat $disk/serial)\" != private || \
         busybox mknod /dev/disk-private b $(tr : ' ' < $disk/dev); done",
    )?;
    Ok(())
}

fn content(vm: &Vm) -> Result<String> {
    vm.run(&format!("{PRIVATE} && {{ {CONTENT}; }}"))
}

#[test]
fn a_private_disk_is_filled_once_and_then_kept() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = root_with(USERS);
    let mut vm = require!(start(&image, root.path(), blank()));
    vm.run(ROOT)?;
    vm.run(MOUNTS)?;
    vm.expect_line("ebbtide: /rw/home is made")?;
    vm.expect_line("ebbtide: /rw/usrlocal is made")?;
    let found = vm.run(
        "cd /sysroot/rw && busybox stat -c '%n %a %u %g' . * home/* home/user/.* usrlocal/bin/tool",
    )?;
    for line in [
        "home 755 0 0",
        "usrlocal 755 0 0",
        "config 755 0 0",
        "home/user 700 1000 1000",
        "home/user/.profile 644 1000 1000",
        "usrlocal/bin/tool 644 0 0",
    ] {
        assert!(found.lines().any(|found| found == line), "no {line} in {found}");
    }

    // A user writes; a new template has another number for the user, one more user, and more to copy.
    vm.run("cd /sysroot/rw/home/user && echo mine > .profile && mkdir docs && echo kept > docs/file && \
            chown -R 1000:1000 . && echo root > of-root && ln -s /etc/hostname link && chown -h 1000 link && cd / && sync")?;
    vm.pull_the_plug();
    let users = "user:x:1500:1500::/home/user:/bin/sh\nnew:x:1000:1000::/home/new:/bin/sh\n";
    fs::copy(root_with(users).path(), root.path()).expect("the template is replaced");
    vm.power_cycle()?;
    vm.run(ROOT)?;
    let outside =
        "cd /sysroot && find . -xdev -exec busybox stat -c '%n %a %u %g %s' {} + | md5sum";
    let before = vm.run(outside)?;
    vm.run(MOUNTS)?;
    assert_eq!(vm.run("cd /sysroot/rw/home/user && cat .profile docs/file")?, "mine\nkept");
    let found = vm.run(
        "cd /sysroot/rw/home && busybox stat -c '%n %a %u %g' user/* user/docs/* * new/.profile",
    )?;
    for line in [
        "user 700 1500 1500",
        "user/docs/file 644 1500 1500",
        "user/of-root 644 0 0",
        "user/link 777 1500 0",
        "new 700 1000 1000",
        "new/.profile 644 1000 1000",
    ] {
        assert!(found.lines().any(|found| found == line), "no {line} in {found}");
    }
    vm.run(TAKE_DOWN)?;
    assert_eq!(vm.run(outside)?, before, "the root has changed");
    vm.kernel_log_is_clean()
}

/// The calls of a first boot after which something else is true.
const CALLS: [(&str, usize); 5] =
    [("renameat2", 4), ("syncfs", 3), ("mkdirat", 12), ("sendfile", 4), ("unlinkat", 2)];

#[test]
fn a_first_boot_that_is_killed_is_finished_by_the_next() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = root_with(USERS);
    let vm = require!(start(&image, root.path(), blank()));
    vm.run(ROOT)?;
    vm.run(MOUNTS)?;
    vm.run(TAKE_DOWN)?;
    let whole = content(&vm)?;
    assert!(whole.contains("./usrlocal/bin/tool") && whole.contains("./home/user/.profile"));
    let blank = format!(
        "{PRIVATE} && rm -rf /p/home /p/usrlocal /p/config /p/bind-dirs /p/.ebb* && umount /p"
    );
    let mut killed = 0;
    for (call, most) in CALLS {
        for number in 1..=most {
            vm.run(&blank)?;
            let trace = format!(
                "strace -o /run/trace -e trace={call} -e inject={call}:signal=SIGKILL:when={number} {MOUNTS}"
            );
            let _ = vm.try_run(&trace)?;
            if vm.try_run("grep -c SIGKILL /run/trace")?.text() == "0" {
                vm.run(TAKE_DOWN)?;
                break;
            }
            killed += 1;
            vm.run(TAKE_DOWN)?;
            appears_whole(&content(&vm)?, &whole, &format!("{call} {number}"));
            vm.run(MOUNTS)?;
            vm.run(TAKE_DOWN)?;
            assert_eq!(content(&vm)?, whole, "after {call} {number}");
        }
    }
    assert!(killed >= 12, "only {killed} calls were hit");
    Ok(())
}

/// Each of the folders is there as it is to be, or not at all.
fn appears_whole(found: &str, whole: &str, when: &str) {
    for folder in ["./home", "./usrlocal", "./config"] {
        let of = |text: &str| {
            let lines = text.lines().filter(|line| {
                let path = line.split_whitespace().find(|word| word.starts_with("./"));
                path.is_some_and(|path| path == folder || path.starts_with(&format!("{folder}/")))
            });
            lines.map(str::to_string).collect::<Vec<_>>()
        };
        let found = of(found);
        assert!(
            found.is_empty() || found == of(whole),
            "{folder} is half there, {when}: {found:?}"
        );
    }
}

/// The plug is pulled when the journal has committed the rename, and long before the kernel would have
/// written the files by itself.
#[test]
fn what_has_appeared_when_the_plug_is_pulled_is_whole() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = root_with(USERS);
    let vm = require!(start(&image, root.path(), blank()));
    vm.run(ROOT)?;
    vm.run(MOUNTS)?;
    vm.run(TAKE_DOWN)?;
    let whole = content(&vm)?;
    vm.pull_the_plug();
    for (number, folder) in [(1, "home"), (2, "usrlocal")] {
        let mut vm = require!(start(&image, root.path(), blank()));
        vm.run(ROOT)?;
        vm.run(&format!(
            "strace -o /run/trace -e trace=renameat2 -e inject=renameat2:delay_exit=60000000:when={number} \
             {MOUNTS} > /dev/null 2>&1 & \
             until test -e /sysroot/rw/{folder}; do sleep 0.1; done; sleep 10"
        ))?;
        vm.power_cycle()?;
        name_private(&vm)?;
        let found = content(&vm)?;
        assert!(found.contains(&format!("./{folder}")), "{folder} has not appeared: {found}");
        appears_whole(&found, &whole, folder);
        vm.run(ROOT)?;
        vm.run(MOUNTS)?;
        vm.run(TAKE_DOWN)?;
        assert_eq!(content(&vm)?, whole);
    }
    Ok(())
}

/// Everything outside of the private disk that somebody might want to change.
const OUTSIDE: &str = "cd /sysroot && \
    find . -xdev -exec busybox stat -c '%n %a %u %g %s %Y' {} + | md5sum; \
    find . -xdev -type f | busybox sort | busybox xargs md5sum | md5sum; \
    busybox stat -c '%n %a %u %g' / /etc /dev /run /sysroot/etc";

#[test]
fn links_and_pipes_where_folders_are_looked_for_are_named_and_not_followed() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = root_with(USERS);
    let vm = require!(start(&image, root.path(), blank()));
    vm.run(ROOT)?;
    let before = vm.run(OUTSIDE)?;
    let links = "ln -s /sysroot/etc /p/home && mkfifo /p/usrlocal && ln -s ../../run /p/config && \
        ln -s /sysroot/srv /p/.ebbtide-aside && umount /p";
    vm.run(&format!("{PRIVATE} && {links}"))?;
    let reply = vm.try_run(MOUNTS)?;
    assert_eq!(reply.status, 1, "{}", reply.text());
    for text in [
        "/rw/home is a symbolic link; wanted a directory",
        "/rw/usrlocal is a pipe; wanted a directory",
        "/rw/config is a symbolic link; wanted a directory",
    ] {
        assert!(reply.text().contains(text), "{}", reply.text());
    }
    vm.run(TAKE_DOWN)?;
    assert_eq!(vm.run(OUTSIDE)?, before);
    vm.kernel_log_is_clean()
}

/// A home of a user who had another number: many files, one deeper than anybody looks, links, a pipe,
/// a device, and a name that becomes a link and a folder in turns.
#[test]
fn a_hostile_home_is_followed_and_nothing_outside_of_it() -> Result<()> {
    let image = require!(Image::named("stage"));
    let root = root_with(USERS);
    let vm = require!(start(&image, root.path(), blank()));
    vm.run(ROOT)?;
    let before = vm.run(OUTSIDE)?;
    let more = "mkdir -p /p/home/user/many /p/home/user/swap && cd /p/home/user/many && \
        busybox seq 20000 | busybox xargs touch && cd .. && ln -s /sysroot/etc to-etc && ln -s ../../../.. up && \
        mkdir -p $(busybox yes d/ | busybox head -n 400 | busybox tr -d '\\n') && mkfifo pipe && busybox mknod null c 1 3 && busybox chown -h -R 4242:4242 . && \
        cd / && umount /p";
    vm.run(&format!("{PRIVATE} && {more}"))?;
    let swaps = "while :; do test -d swap && mv swap x && ln -s /sysroot/etc swap && rm -f swap && \
        mv x swap; done";
    let reply = vm.try_run(&format!(
        "(until cd /sysroot/rw/home/user; do :; done; {swaps}) > /dev/null 2>&1 & busy=$!; \
         {MOUNTS}; status=$?; kill $busy; wait $busy; exit $status"
    ))?;
    assert!(reply.text().contains("nested deeper than"), "{}", reply.text());
    assert!(reply.text().contains("1 files keep their old owner"), "{}", reply.text());
    let owners = "cd /sysroot/rw/home/user && \
        busybox stat -c '%u %g' . many many/1 many/20000 to-etc up pipe null d d/d | busybox sort -u";
    assert_eq!(vm.run(owners)?, "1000 1000");
    vm.run(TAKE_DOWN)?;
    assert_eq!(vm.run(OUTSIDE)?, before);
    vm.kernel_log_is_clean()
}
