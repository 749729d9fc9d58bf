//! What is bound from the private disk, and what a hostile one cannot do.

use crate::machine::stage;
use std::process::Command;
use vmtest::{Disk, Image, Qemu, Result, Size, Vm, require};

/// A private disk with room for many small files.
fn private_disk() -> Disk {
    Disk::empty(Size::mib(256)).prepared_by(|path| {
        let made = Command::new("mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-N", "150000", "-E", "root_owner=0:0"])
            .arg(path)
            .status()?;
        assert!(made.success(), "mke2fs {}", path.display());
        Ok(())
    })
}

/// A machine whose root is mapped. What it holds is written by each test, over the snapshot.
fn machine(image: &Image) -> Qemu {
    stage(image).private(private_disk())
}

fn started(machine: Qemu) -> Result<Vm> {
    let vm = machine.start()?;
    vm.run("ebbtide-init root && mkdir -p /mnt /vol && mount -t ext4 /dev/mapper/dmroot /mnt")?;
    Ok(vm)
}

/// Takes everything down that a run has mounted.
const UNMOUNT: &str = "cd /; tac /proc/mounts | while read -r _ at _; do \
    case $at in /mnt/*) umount \"$(printf '%b' \"$(echo \"$at\" | sed 's/\\\\0/\\\\00/g')\")\";; esac; done; \
    rm -rf /run/ebbtide/mounts /run/ebbtide/binds";

/// Writes the root and the private disk anew.
fn prepare(vm: &Vm, root: &str, volume: &str) -> Result<()> {
    vm.run(&format!(
        "{UNMOUNT}\nrm -rf /mnt/*; mount -t ext4 /dev/$(private) /vol\n\
         rm -rf /vol/* /vol/.ebbtide*\nset -e\n\
         cd /mnt; mkdir -p home usr/local usr/bin usr/lib/qubes-bind-dirs.d etc/qubes-bind-dirs.d \
         etc/ebbtide/binds.d var/lib proc sys dev run rw\n\
         echo original > usr/bin/program; echo original > etc/passwd-\n\
         printf 'root:x:0:0::/root:/bin/sh\\nuser:x:1000:100::/home/user:/bin/sh\\n' > etc/passwd\n\
         printf 'staff:x:50:\\n' > etc/group\n{root}\n\
         cd /vol; mkdir -p home usrlocal config/qubes-bind-dirs.d config/ebbtide-binds.d\n{volume}\n\
         cd /; sync; umount /vol",
    )
    .replace("$(private)", "$(cd /sys/block; for d in vd*; do [ \"$(cat $d/serial)\" != private ] || echo $d; done)"))?;
    Ok(())
}

const MOUNTS: &str = "timeout 120 ebbtide-init mounts --root /mnt 2>&1";

/// Returns what is mounted in the root but the private disk: place, and place on the private disk.
fn bound(vm: &Vm) -> Result<Vec<String>> {
    let listed = vm.run(
        "awk '$5 ~ \"^/mnt/\" && $5 != \"/mnt/rw\" { print substr($5, 5) \" \" $4 }' \
         /proc/self/mountinfo | sort",
    )?;
    Ok(listed.lines().map(str::to_string).collect())
}

/// Returns everything about the root without what is mounted in it.
fn root_state(vm: &Vm) -> Result<String> {
    vm.run(
        "mkdir -p /bare && mount --bind /mnt /bare && cd /bare && \
         find . -exec stat -c '%n %f %u %g' {} + | sort && \
         find . -type f -exec md5sum {} + | sort; cd /; umount /bare",
    )
}

#[test]
fn binds_what_is_declared() -> Result<()> {
    let vm = require!(started(machine(&require!(Image::named("stage")))));
    prepare(
        &vm,
        "mkdir -p var/lib/tor/keys srv/real/in opt/a 'opt/my files'; echo torrc > etc/torrc\n\
         echo key > var/lib/tor/keys/k; chmod 700 var/lib/tor/keys; chown 7:8 var/lib/tor/keys\n\
         ln -s /srv/real srv/absolute; ln -s ../srv/real/in opt/relative; ln -s new srv/dangling\n\
         echo \"binds+=( '/var/lib/tor' '/etc/torrc' )\" > usr/lib/qubes-bind-dirs.d/40_a.conf\n\
         echo \"binds+=( '/opt/gone' )\" > etc/qubes-bind-dirs.d/40_b.conf\n\
         echo \"binds+=( /opt/linked )\" > opt/real.conf; ln -s /opt/real.conf etc/qubes-bind-dirs.d/50_c.conf\n\
         printf '%s\\n' '-/opt/gone' '/srv/absolute' '/opt/relative' '\"/opt/my files\"' \
         '/opt/new/dir dir user:staff 1770' '/opt/new/file file user 0600' '/srv/dangling' \
         > etc/ebbtide/binds.d/a.conf",
        "mkdir -p bind-dirs/opt/a; echo kept > bind-dirs/opt/a/x\n\
         echo \"binds+=( '/var/lib/tor/keys' )\" > config/qubes-bind-dirs.d/50_user.conf\n\
         printf '/opt/a/deep/er\\n/opt/a\\n/usr/local/lib\\n' > config/ebbtide-binds.d/u.conf",
    )?;
    let said = vm.try_run(MOUNTS)?;
    assert_eq!(said.status, 0, "{}", said.text());
    let expected = [
        "/etc/torrc /bind-dirs/etc/torrc",
        "/home /home",
        "/opt/a /bind-dirs/opt/a",
        "/opt/linked /bind-dirs/opt/linked",
        "/opt/my\\040files /bind-dirs/opt/my\\040files",
        "/opt/new/dir /bind-dirs/opt/new/dir",
        "/opt/new/file /bind-dirs/opt/new/file",
        "/srv/new /bind-dirs/srv/new",
        "/srv/real /bind-dirs/srv/real",
        "/usr/local /usrlocal",
        "/usr/local/lib /bind-dirs/usr/local/lib",
        "/var/lib/tor /bind-dirs/var/lib/tor",
    ];
    let found = bound(&vm)?;
    // The rest is nested in a bind and the same directory from inside.
    assert_eq!(found, expected);
    assert_eq!(
        vm.run("cat /mnt/opt/a/x /mnt/etc/torrc /mnt/var/lib/tor/keys/k")?,
        "kept\ntorrc\nkey"
    );
    let shapes = "cd /mnt; stat -c '%n %a %u %g' var/lib/tor/keys opt/new/dir opt/new/file opt/a/deep/er rw/bind-dirs/opt/new";
    assert_eq!(
        vm.run(shapes)?,
        "var/lib/tor/keys 700 7 8\nopt/new/dir 1770 1000 50\nopt/new/file 600 1000 100\n\
         opt/a/deep/er 755 0 0\nrw/bind-dirs/opt/new 755 0 0"
    );
    vm.run("cd /mnt/opt; echo 1 > new/file; echo 2 > relative/two; test -e /mnt/rw/bind-dirs/srv/real/in/two")?;
    let record = vm.run("cat /run/ebbtide/binds")?;
    for line in [
        "/home\t/rw/home\toptions\tbound\t/home",
        "/opt/a\t/rw/bind-dirs/opt/a\t/rw/config/ebbtide-binds.d/u.conf:2\tbound\t/opt/a",
        "/opt/relative\t/rw/bind-dirs/srv/real/in\t/etc/ebbtide/binds.d/a.conf:3\tbound\t/srv/real/in",
        "/etc/torrc\t/rw/bind-dirs/etc/torrc\t/usr/lib/qubes-bind-dirs.d/40_a.conf:1\tbound\t/etc/torrc",
    ] {
        assert!(record.lines().any(|found| found == line), "{line} is not in\n{record}");
    }
    assert!(!record.contains("gone"), "{record}");
    assert!(!vm.run("ls -A /mnt/rw")?.contains("aside"));
    // Without the marker it is a run that was cut at its end: nothing is bound twice.
    vm.run("rm /run/ebbtide/mounts")?;
    assert_eq!(vm.try_run(MOUNTS)?.status, 0);
    assert_eq!(bound(&vm)?, found);
    vm.kernel_log_is_clean()
}

#[test]
fn a_way_to_a_bind_is_no_copy_of_what_it_stands_for() -> Result<()> {
    let vm = require!(started(machine(&require!(Image::named("stage")))));
    prepare(
        &vm,
        "mkdir -p var/lib/tor/keys var/lib/dpkg/info var/lib/deep/er; echo 1 > var/lib/dpkg/status\n\
         echo template > var/lib/tor/id; echo deep > var/lib/deep/x; chmod 711 var/lib/deep\n\
         printf '/var/lib/tor\\n/var/lib/deep/er/est\\n' > etc/ebbtide/binds.d/a.conf",
        "",
    )?;
    assert_eq!(vm.try_run(MOUNTS)?.status, 0);
    vm.run("echo mine > /mnt/var/lib/tor/id; echo mine > /mnt/var/lib/deep/er/est/y")?;
    assert_eq!(vm.run("stat -c %a /mnt/rw/bind-dirs /mnt/rw/bind-dirs/var")?, "700\n755");
    // The whole of it is declared later, with more in it; and then a run is cut at each of its steps.
    vm.run(&format!(
        "{UNMOUNT}\nprintf '/var/lib\\n/var/lib/tor/new\\n/var/lib/none\\n' >> /mnt/etc/ebbtide/binds.d/a.conf"
    ))?;
    for (call, number) in [("renameat2", 3), ("fsetxattr", 1)] {
        let status = vm.try_run(&format!(
            "strace -o /run/trace -e trace={call} -e inject={call}:signal=SIGKILL:when={number} {MOUNTS}"
        ))?;
        assert_ne!(status.status, 0, "{call}");
        vm.run(UNMOUNT)?;
    }
    let said = vm.try_run(MOUNTS)?;
    assert_eq!(said.status, 0, "{}", said.text());
    assert_eq!(bound(&vm)?, ["/home /home", "/usr/local /usrlocal", "/var/lib /bind-dirs/var/lib"]);
    assert_eq!(
        vm.run("cd /mnt/var/lib; cat tor/id deep/er/est/y deep/x dpkg/status; stat -c %a deep; ls -d tor/new none dpkg/info")?,
        "mine\nmine\ndeep\n1\n711\ndpkg/info\nnone\ntor/new"
    );
    // What is removed now stays away.
    vm.run(&format!("rm /mnt/var/lib/dpkg/status; {UNMOUNT}"))?;
    assert_eq!(vm.try_run(MOUNTS)?.status, 0);
    vm.run("test ! -e /mnt/var/lib/dpkg/status")?;
    vm.kernel_log_is_clean()
}

#[test]
fn a_copy_that_does_not_fit_costs_itself_and_what_is_nested_in_it() -> Result<()> {
    let vm = require!(started(machine(&require!(Image::named("stage")))));
    prepare(
        &vm,
        "mkdir -p srv/a usr/share/b; dd if=/dev/zero of=srv/z bs=1M count=25 2>/dev/null\n\
         dd if=/dev/zero of=usr/share/b/z bs=1M count=10 2>/dev/null\n\
         printf '/srv\\n/srv/a\\n/usr/share/b\\n/var/x\\n' > etc/ebbtide/binds.d/a.conf",
        "dd if=/dev/zero of=home/y bs=1M count=16 2>/dev/null; dd if=/dev/zero of=home/z bs=1M 2>/dev/null || rm home/y",
    )?;
    let said = vm.try_run(MOUNTS)?;
    assert_eq!(said.status, 1);
    let text = said.text();
    assert!(
        text.contains("/srv is not bound, declared by /etc/ebbtide/binds.d/a.conf:1: z: "),
        "{text}"
    );
    assert!(
        text.contains(
            "/srv/a is not bound, declared by /etc/ebbtide/binds.d/a.conf:2: it is nested in /srv"
        ),
        "{text}"
    );
    // The order is by name: what follows has the room again.
    let failed = vm.run("cut -f1,4 /run/ebbtide/binds")?;
    for bound in ["/usr/share/b\tbound", "/var/x\tbound"] {
        assert!(failed.lines().any(|line| line == bound), "{failed}");
    }
    vm.run("test ! -e /mnt/rw/bind-dirs/srv && test ! -e /mnt/rw/.ebbtide-aside")?;
    Ok(())
}

#[test]
fn a_script_is_data_and_a_wrong_line_is_named() -> Result<()> {
    let vm = require!(started(machine(&require!(Image::named("stage")))));
    prepare(
        &vm,
        "printf '%s\\n' '/opt/x dir nobody' '/opt/y folder' '/opt/z' > etc/ebbtide/binds.d/a.conf",
        "cat > config/qubes-bind-dirs.d/50.conf <<'END'\n\
         touch /pwned\n\
         binds+=( $(touch /pwned) )\n\
         binds+=( \"`touch /pwned`\" )\n\
         legacy() { touch /pwned; }\n\
         binds+=( /usr/bin '/etc' /opt/good )\n\
         END\n",
    )?;
    let said = vm.try_run(MOUNTS)?;
    assert_eq!(said.status, 1);
    let text = said.text();
    for wanted in [
        "/etc/ebbtide/binds.d/a.conf:2: found \"folder\"; wanted the type dir or file",
        "/rw/config/qubes-bind-dirs.d/50.conf:1: found \"touch /pwned\"",
        "/rw/config/qubes-bind-dirs.d/50.conf:2: found \"$(touch /pwned) )\"",
        "/rw/config/qubes-bind-dirs.d/50.conf:3: found",
        "/rw/config/qubes-bind-dirs.d/50.conf:4: found",
        "/rw/config/qubes-bind-dirs.d/50.conf:5: found \"/usr/bin\"",
        "/rw/config/qubes-bind-dirs.d/50.conf:5: found \"/etc\"",
        "/opt/x is not bound, declared by /etc/ebbtide/binds.d/a.conf:1: found the owner nobody",
    ] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    assert_eq!(
        bound(&vm)?,
        [
            "/home /home",
            "/opt/good /bind-dirs/opt/good",
            "/opt/z /bind-dirs/opt/z",
            "/usr/local /usrlocal"
        ]
    );
    vm.run("test ! -e /pwned && test ! -e /mnt/pwned")?;
    vm.kernel_log_is_clean()
}

#[test]
fn a_root_that_keeps_what_is_written_gets_its_homes_alone() -> Result<()> {
    let vm = require!(machine(&require!(Image::named("stage"))).start());
    vm.run("mkdir -p /mnt /vol && mount -t tmpfs root /mnt")?;
    prepare(
        &vm,
        "echo /opt/x > etc/ebbtide/binds.d/a.conf",
        "echo /opt/y > config/ebbtide-binds.d/a.conf",
    )?;
    assert_eq!(vm.try_run(MOUNTS)?.status, 0);
    assert_eq!(bound(&vm)?, ["/home /home"]);
    Ok(())
}

#[test]
fn what_is_not_on_a_read_only_private_disk_is_named() -> Result<()> {
    let image = require!(Image::named("stage"));
    let disk = private_disk().prepared_by(|path| {
        let made = Command::new("debugfs").args(["-w", "-R", "mkdir home"]).arg(path).output()?;
        assert!(made.status.success());
        Ok(())
    });
    let vm = require!(started(stage(&image).private(disk.write_protected())));
    vm.run("cd /mnt; mkdir -p home usr/local etc/ebbtide/binds.d rw; echo /opt/x > etc/ebbtide/binds.d/a.conf")?;
    let said = vm.try_run(MOUNTS)?;
    assert_eq!(said.status, 1);
    assert!(said.text().contains(
        "/opt/x is not bound, declared by /etc/ebbtide/binds.d/a.conf:1: nothing to bind is there, \
         and the private disk can only be read"
    ), "{}", said.text());
    assert_eq!(bound(&vm)?, ["/home /home"]);
    Ok(())
}

/// Counts system calls of a first and of a second boot.
fn calls(vm: &Vm, binds: usize) -> Result<[usize; 2]> {
    prepare(
        vm,
        &format!(
            "for n in $(seq {binds}); do mkdir -p opt/app$n; echo $n > opt/app$n/file; \
             echo /opt/app$n >> etc/ebbtide/binds.d/a.conf; done"
        ),
        "",
    )?;
    let count = |vm: &Vm| -> Result<usize> {
        vm.run("strace -c -U calls,name -o /run/calls ebbtide-init mounts --root /mnt")?;
        assert_eq!(bound(vm)?.len(), binds + 2);
        let total = vm.run("awk '$2 == \"total\" { print $1 }' /run/calls")?;
        Ok(total.parse().expect("a number of calls"))
    };
    let first = count(vm)?;
    vm.run(UNMOUNT)?;
    Ok([first, count(vm)?])
}

#[test]
fn two_hundred_binds_take_ten_times_the_calls_of_twenty() -> Result<()> {
    let vm = require!(started(machine(&require!(Image::named("stage")))));
    let (few, many) = (calls(&vm, 20)?, calls(&vm, 200)?);
    for (boot, at) in [("first", 0), ("second", 1)] {
        let each = (many[at] - few[at]) as f64 / 180.0;
        println!("{boot} boot: 20 binds {} calls, 200 binds {}: {each:.1} each", few[at], many[at]);
        let rest = few[at] as f64 - 20.0 * each;
        // What a bind costs does not grow with their number: the line goes on to no binds at all.
        assert!(rest > 0.0 && rest < 2000.0, "{rest} calls beside the binds");
        assert!(each < if at == 0 { 60.0 } else { 20.0 }, "{each} calls for each bind");
    }
    Ok(())
}

const CUT_ROOT: &str = "mkdir -p opt/a/b opt/c; echo a > opt/a/b/x; echo c > opt/c/y; echo f > etc/f\n\
    printf '/opt/a\\n/opt/a/b\\n/opt/c\\n/etc/f\\n/opt/none\\n' > etc/ebbtide/binds.d/a.conf";

#[test]
fn a_run_that_is_killed_is_completed_by_the_next() -> Result<()> {
    let vm = require!(started(machine(&require!(Image::named("stage")))));
    let mut killed = 0;
    for call in ["move_mount", "renameat2", "mkdirat"] {
        for number in 1.. {
            prepare(&vm, CUT_ROOT, "")?;
            let status = vm.try_run(&format!(
                "strace -o /run/trace -e trace={call} -e inject={call}:signal=SIGKILL:when={number} {MOUNTS}"
            ))?;
            if status.status == 0 {
                break;
            }
            killed += 1;
            let again = vm.try_run(MOUNTS)?;
            assert_eq!(again.status, 0, "after {call} {number}: {}", again.text());
            let expected = [
                "/etc/f /bind-dirs/etc/f",
                "/home /home",
                "/opt/a /bind-dirs/opt/a",
                "/opt/c /bind-dirs/opt/c",
                "/opt/none /bind-dirs/opt/none",
                "/usr/local /usrlocal",
            ];
            assert_eq!(bound(&vm)?, expected, "after {call} {number}");
            assert_eq!(
                vm.run("cd /mnt; cat opt/a/b/x opt/c/y etc/f; ls -A rw | grep aside || :")?,
                "a\nc\nf"
            );
        }
    }
    println!("killed {killed} times");
    assert!(killed >= 15, "killed {killed} times only");
    Ok(())
}

/// Hostile private disks: what makes them, what is bound all the same, and what is said.
const HOSTILE: [(&str, &[&str], &str); 14] = [
    (
        "ln -s /etc bind-dirs; echo /etc/ssh > config/ebbtide-binds.d/a.conf",
        &[],
        "/etc/ssh is not bound",
    ),
    (
        "mkdir bind-dirs; ln -s /etc bind-dirs/etc; echo /etc/ssh > config/ebbtide-binds.d/a.conf",
        &[],
        "a symbolic link is in the way",
    ),
    (
        "mkdir -p bind-dirs/etc; ln -s /etc/passwd bind-dirs/etc/ssh; echo /etc/ssh > config/ebbtide-binds.d/a.conf",
        &[],
        "found a symbolic link; wanted",
    ),
    (
        "mkdir -p bind-dirs/etc; ln -s ssh bind-dirs/etc/ssh; echo /etc/ssh > config/ebbtide-binds.d/a.conf",
        &[],
        "found a symbolic link; wanted",
    ),
    (
        "printf '/opt/../etc\\n/../etc/ssh\\n/opt/./x\\n' > config/ebbtide-binds.d/a.conf",
        &[],
        "wanted a path without . and ..",
    ),
    (
        "printf '/usr/bin/program\\n/bin\\n/usr\\n/etc\\n/var\\n/proc/x\\n/rw/x\\n' > config/ebbtide-binds.d/a.conf",
        &[],
        "outside of the template's programs",
    ),
    (
        "echo /opt/programs/program > config/ebbtide-binds.d/a.conf",
        &[],
        "leads to \"/usr/bin/program\"; wanted",
    ),
    (
        "mkfifo config/ebbtide-binds.d/a.conf config/qubes-bind-dirs.d/b.conf",
        &[],
        "a.conf: not read: wanted a regular file",
    ),
    (
        "mkdir config/ebbtide-binds.d/a.conf; mknod config/ebbtide-binds.d/b.conf c 1 5",
        &[],
        "b.conf: not read: wanted a regular file",
    ),
    ("ln -s /etc/passwd config/ebbtide-binds.d/a.conf", &[], "a.conf: not read:"),
    ("rm -r config; ln -s /etc config", &[], "/rw/config/ebbtide-binds.d: not read"),
    (
        "mkdir -p bind-dirs/etc; mkfifo bind-dirs/etc/a; mknod bind-dirs/etc/b b 254 0; printf '/etc/a\\n/etc/b\\n' > config/ebbtide-binds.d/a.conf",
        &[],
        "found a device node; wanted",
    ),
    (
        "mkdir -p bind-dirs/etc/passwd; echo /etc/passwd > config/ebbtide-binds.d/a.conf",
        &[],
        "found a directory on the private disk; wanted a regular file",
    ),
    (
        "mkdir -p bind-dirs/opt/n; ln -s /etc bind-dirs/opt/n/e; ln -s ../../.. bind-dirs/opt/n/u; printf '/opt/n\\n/opt/n/e/x\\n/opt/n/u/x\\n' > config/ebbtide-binds.d/a.conf",
        &["/opt/n /bind-dirs/opt/n"],
        "a symbolic link is in the way",
    ),
];

#[test]
fn a_hostile_private_disk_changes_nothing_outside_of_itself() -> Result<()> {
    let vm = require!(started(machine(&require!(Image::named("stage")))));
    for (volume, binds, says) in HOSTILE {
        prepare(&vm, "mkdir -p opt/n; ln -s ../usr/bin opt/programs", volume)?;
        let before = root_state(&vm)?;
        let said = vm.try_run(MOUNTS)?;
        assert_eq!(said.status, 1, "{volume}: {}", said.text());
        assert!(said.text().contains(says), "{volume}: {says} is not in\n{}", said.text());
        let mut expected = vec!["/home /home", "/usr/local /usrlocal"];
        expected.splice(1..1, binds.iter().copied());
        assert_eq!(bound(&vm)?, expected, "{volume}");
        assert_eq!(root_state(&vm)?, before, "{volume}");
    }
    // Homes that lead elsewhere.
    prepare(&vm, "", "rm -r home usrlocal; ln -s /etc home; mkfifo usrlocal")?;
    let before = root_state(&vm)?;
    let said = vm.try_run(MOUNTS)?.text();
    assert!(
        said.contains("/home is not bound, declared by options: found a symbolic link"),
        "{said}"
    );
    assert!(said.contains("/usr/local is not bound, declared by options: found a pipe"), "{said}");
    assert_eq!(bound(&vm)?, [] as [&str; 0]);
    assert_eq!(root_state(&vm)?, before);
    vm.kernel_log_is_clean()
}

#[test]
fn a_crowded_private_disk_does_not_hold_up_the_boot() -> Result<()> {
    let vm = require!(started(machine(&require!(Image::named("stage")))));
    let timed = |vm: &Vm| -> Result<(String, f64)> {
        let said = vm.try_run(&format!("cat /proc/uptime; {MOUNTS}; cat /proc/uptime"))?.text();
        let mut times = said.lines().filter_map(|line| line.split(' ').next()?.parse::<f64>().ok());
        let (from, to) = (times.next().expect("a time"), times.next_back().expect("a time"));
        Ok((said, to - from))
    };
    prepare(
        &vm,
        "",
        "seq 100000 > config/ebbtide-binds.d/a.conf; seq 100000 | sed 's:^:/opt/none/:' > config/ebbtide-binds.d/b.conf; \
        seq 40000 | sed 's:^:/etc/passwd/:' > config/ebbtide-binds.d/c.conf",
    )?;
    let (said, took) = timed(&vm)?;
    println!("100,000 lines: {took} s");
    assert!(said.contains("b.conf: not read: it is larger than 1 MiB"), "{said}");
    assert!(said.contains("more lines that declare binds cannot be taken"), "{said}");
    assert!(said.contains("declarations of binds are left out; wanted at most 4096"), "{said}");
    assert!(said.contains("more paths are not bound"), "{said}");
    assert_eq!(bound(&vm)?, ["/home /home", "/usr/local /usrlocal"]);
    assert!(took < 60.0, "{took} s");
    assert!(said.lines().count() < 250, "{} lines on the console", said.lines().count());

    prepare(
        &vm,
        "",
        "cd config/ebbtide-binds.d; seq 100000 | sed 's/$/.conf/' | xargs touch; echo /opt/x > 0.conf; mkfifo 1.conf- 00.conf",
    )?;
    let (said, took) = timed(&vm)?;
    println!("100,000 names: {took} s");
    assert!(said.contains("ebbtide-binds.d: some of it is left out"), "{said}");
    assert_eq!(bound(&vm)?, ["/home /home", "/opt/x /bind-dirs/opt/x", "/usr/local /usrlocal"]);
    assert!(took < 30.0, "{took} s");
    vm.kernel_log_is_clean()
}

/// Swaps directories of the private disk with links to the outside for as long as it runs.
const SWAP: &str = "cat > /run/swap <<'END'\n\
    cd /mnt/rw/bind-dirs\n\
    while [ ! -e /run/stop ]; do\n\
    for n in 1 2 3 4 5 6 7 8; do mv -T opt/s$n opt/t; mv -T opt/l$n opt/s$n; mv -T opt/t opt/l$n; done\n\
    mv -T opt t; mv -T l opt; mv -T opt l; mv -T t opt\n\
    done\n\
    END\n";

#[test]
fn what_is_swapped_during_the_run_leads_nowhere() -> Result<()> {
    let vm = require!(started(machine(&require!(Image::named("stage")))));
    prepare(
        &vm,
        "for n in 1 2 3 4 5 6 7 8; do mkdir -p opt/s$n/in opt/none; done",
        "mkdir -p bind-dirs/opt; ln -s /etc bind-dirs/l\n\
         for n in 1 2 3 4 5 6 7 8; do mkdir -p bind-dirs/opt/s$n; ln -s /etc bind-dirs/opt/l$n; \
         echo /opt/s$n; echo /opt/s$n/in; echo /opt/none/$n; done > config/ebbtide-binds.d/a.conf",
    )?;
    // The private disk is there already, so that it can be written to during the run.
    vm.run(&format!("{MOUNTS}; {SWAP}"))?;
    let mut failed = 0;
    for round in 0..12 {
        vm.run(&format!(
            "{}; rm -rf /mnt/rw/bind-dirs/opt/none",
            UNMOUNT.replace("/mnt/*", "/mnt/[!r]*")
        ))?;
        let before = root_state(&vm)?;
        let said = vm.try_run(&format!(
            "rm -f /run/stop; sh /run/swap > /dev/null 2>&1 & {MOUNTS}; status=$?; touch /run/stop; wait; exit $status"
        ))?;
        assert!(said.status < 2, "round {round}: {}", said.text());
        failed += said.status;
        for line in bound(&vm)? {
            let (place, from) = line.split_once(' ').expect("two words");
            assert!(
                ["/home", "/usrlocal"].contains(&from) || from.starts_with("/bind-dirs/opt"),
                "round {round}: {place} is {from}"
            );
        }
        let after = root_state(&vm)?;
        assert_eq!(
            after.lines().filter(|line| !line.contains("/opt/none/")).collect::<Vec<_>>(),
            before.lines().filter(|line| !line.contains("/opt/none/")).collect::<Vec<_>>(),
            "round {round}"
        );
    }
    println!("{failed} of 12 rounds were disturbed");
    vm.kernel_log_is_clean()
}
