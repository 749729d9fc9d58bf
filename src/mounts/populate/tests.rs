//! First boots in temporary directories.

use super::*;
use ebbtide_format::guid::Guid;
use ebbtide_init::observed::{Identifiers, Mapper, Observed};
use std::{
    fs::{self, File},
    os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink},
    path::PathBuf,
};
use tempfile::{TempDir, tempdir};

/// A root and a private disk, as directories; `None` where files cannot be given to users.
struct Machine {
    dir: TempDir,
    options: Options,
    forgets: bool,
}

const USERS: &str = "root:x:0:0::/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n\
    inner:x:1001:1001::/home/jail/inner:/bin/sh\n";

impl Machine {
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            println!("skipped: only root can give files away");
            return None;
        }
        let machine = Self { dir: tempdir().unwrap(), options: Options::default(), forgets: true };
        for path in ["rw", "root/etc/skel/.config", "root/usr/local/bin"] {
            fs::create_dir_all(machine.at(path)).unwrap();
        }
        machine.write("root/etc/passwd", USERS);
        machine.write("root/etc/skel/.profile", "profile");
        machine.write("root/usr/local/bin/tool", "tool");
        fs::set_permissions(machine.at("root/etc/skel"), fs::Permissions::from_mode(0o755))
            .unwrap();
        Some(machine)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).unwrap();
    }

    fn volume(&self) -> Volume {
        Volume { root: File::open(self.at("rw")).unwrap().into(), read_only: false }
    }

    fn site(&self) -> Site {
        let none = Guid([0; 16]);
        let identifiers =
            Identifiers { disk: none, swap: none, cow: none, swap_area: none, mapped: none };
        let observed = Observed {
            page: 4096,
            identifiers,
            mapper: Mapper::Ready,
            crypt: false,
            link: None,
            ready: true,
            paths: Vec::new(),
            disks: Vec::new(),
            mapped: Vec::new(),
        };
        let mut site = Site::at(&self.at("root"), &observed).unwrap();
        site.forgets = self.forgets;
        site
    }

    /// Boots, and returns how much has failed.
    fn boot(&self) -> usize {
        let mut tally = Tally::default();
        first_boot(&self.options, &self.site(), &self.volume(), &mut tally);
        assert!(!self.at("rw/.ebbtide-aside").exists(), "something is left aside");
        tally.failed()
    }

    /// Returns mode and owner of something on the private disk, links not followed.
    fn owner(&self, path: &str) -> (u32, u32, u32) {
        let found = fs::symlink_metadata(self.at("rw").join(path)).unwrap();
        (found.mode() & 0o7777, found.uid(), found.gid())
    }

    /// Lists everything on the private disk with its owner and the time of its last change.
    fn state(&self) -> String {
        let mut command = std::process::Command::new("find");
        let output = command.arg(self.at("rw")).args(["-printf", "%P %y %m %U %G %T@ %C@ %i\n"]);
        String::from_utf8(output.output().unwrap().stdout).unwrap()
    }
}

#[test]
fn a_blank_disk_gets_homes_and_what_the_template_installed() {
    let Some(machine) = Machine::new() else { return };
    assert_eq!(machine.boot(), 0);
    for (path, wanted) in [
        ("home", (0o755, 0, 0)),
        ("home/user", (0o700, 1000, 1000)),
        ("home/user/.config", (0o755, 1000, 1000)),
        ("home/user/.profile", (0o644, 1000, 1000)),
        ("home/jail", (0o755, 0, 0)),
        ("home/jail/inner", (0o700, 1001, 1001)),
        ("usrlocal/bin/tool", (0o644, 0, 0)),
        ("config", (0o755, 0, 0)),
    ] {
        assert_eq!(machine.owner(path), wanted, "{path}");
    }
    assert_eq!(fs::read(machine.at("rw/home/user/.profile")).unwrap(), b"profile");
    assert_eq!(fs::read_dir(machine.at("rw")).unwrap().count(), 3);
}

#[test]
fn a_second_boot_changes_nothing() {
    let Some(machine) = Machine::new() else { return };
    machine.boot();
    machine.write("rw/home/user/.profile", "mine");
    machine.write("root/etc/skel/.new", "new");
    machine.write("root/usr/local/bin/new", "new");
    let before = machine.state();
    assert_eq!(machine.boot(), 0);
    assert_eq!(machine.state(), before);
}

#[test]
fn a_user_of_a_new_template_is_added_and_a_changed_number_is_followed() {
    let Some(machine) = Machine::new() else { return };
    machine.boot();
    machine.write("rw/home/user/mine", "mine");
    lchown(machine.at("rw/home/user/mine"), Some(1000), Some(1000)).unwrap();
    machine.write("rw/home/user/of-root", "of root");
    lchown(machine.at("rw/home/jail"), Some(0), Some(0)).unwrap();
    machine.write(
        "root/etc/passwd",
        "user:x:1500:1501::/home/user:\ninner:x:1001:1001::/home/jail/inner:\n\
         new:x:1000:1000::/home/new:\ndeep:x:1002:1002::/home/a/b/deep:\njail:x:7:7::/home/jail:\n",
    );
    assert_eq!(machine.boot(), 0);
    for (path, wanted) in [
        ("home/user", (0o700, 1500, 1501)),
        ("home/user/mine", (0o644, 1500, 1501)),
        ("home/user/of-root", (0o644, 0, 0)),
        ("home/user/.config", (0o755, 1500, 1501)),
        ("home/new", (0o700, 1000, 1000)),
        ("home/a/b", (0o755, 0, 0)),
        ("home/a/b/deep", (0o700, 1002, 1002)),
        // Root's, and root did not lose it.
        ("home/jail", (0o755, 0, 0)),
    ] {
        assert_eq!(machine.owner(path), wanted, "{path}");
    }
    assert_eq!(fs::read(machine.at("rw/home/user/mine")).unwrap(), b"mine");
}

#[test]
fn what_stands_in_the_way_is_refused_and_not_followed() {
    let Some(machine) = Machine::new() else { return };
    let outside = machine.at("outside");
    fs::create_dir(&outside).unwrap();
    lchown(&outside, Some(4000), Some(4000)).unwrap();
    for name in ["home", "usrlocal", "config"] {
        symlink(&outside, machine.at("rw").join(name)).unwrap();
    }
    assert_eq!(machine.boot(), 3);
    fs::remove_file(machine.at("rw/home")).unwrap();
    fs::create_dir(machine.at("rw/home")).unwrap();
    symlink(&outside, machine.at("rw/home/user")).unwrap();
    symlink(&outside, machine.at("rw/home/jail")).unwrap();
    assert_eq!(machine.boot(), 4);
    fs::remove_file(machine.at("rw/home/user")).unwrap();
    nix::unistd::mkfifo(&machine.at("rw/home/user"), Mode::S_IRWXU).unwrap();
    lchown(machine.at("rw/home/user"), Some(3), Some(3)).unwrap();
    assert_eq!(machine.boot(), 4);
    assert_eq!(machine.owner("home/user"), (0o700, 3, 3));
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    assert_eq!(fs::metadata(&outside).unwrap().uid(), 4000);
}

#[test]
fn a_template_keeps_its_own_usr_local() {
    let Some(mut machine) = Machine::new() else { return };
    machine.forgets = false;
    assert_eq!(machine.boot(), 0);
    assert!(machine.at("rw/home/user").exists() && !machine.at("rw/usrlocal").exists());
}

#[test]
fn what_is_not_bound_is_not_made() {
    let Some(mut machine) = Machine::new() else { return };
    machine.options.binds = vec!["/srv".into()];
    assert_eq!(machine.boot(), 0);
    let names: Vec<_> =
        fs::read_dir(machine.at("rw")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["config"]);
}

#[test]
fn a_disk_that_can_only_be_read_is_left_alone() {
    let Some(machine) = Machine::new() else { return };
    let (mut tally, volume) = (Tally::default(), Volume { read_only: true, ..machine.volume() });
    first_boot(&machine.options, &machine.site(), &volume, &mut tally);
    assert_eq!(fs::read_dir(machine.at("rw")).unwrap().count(), 0);
}

#[test]
fn a_root_without_users_and_skel_gets_empty_folders() {
    let Some(machine) = Machine::new() else { return };
    for path in ["root/etc", "root/usr"] {
        fs::remove_dir_all(machine.at(path)).unwrap();
    }
    assert_eq!(machine.boot(), 0);
    assert_eq!(machine.owner("home"), (0o755, 0, 0));
    assert_eq!(machine.owner("usrlocal"), (0o755, 0, 0));
}

/// The root's own links lead where they do for its programs.
#[test]
fn a_linked_usr_local_is_copied_from_where_it_is() {
    let Some(machine) = Machine::new() else { return };
    fs::create_dir(machine.at("root/var")).unwrap();
    fs::rename(machine.at("root/usr/local"), machine.at("root/var/local")).unwrap();
    symlink("/var/local", machine.at("root/usr/local")).unwrap();
    assert_eq!(machine.boot(), 0);
    assert!(machine.at("rw/usrlocal/bin/tool").exists());
}

#[test]
fn a_folder_that_a_cut_run_left_is_removed_by_a_run_with_nothing_to_do() {
    let Some(machine) = Machine::new() else { return };
    machine.boot();
    fs::create_dir_all(machine.at("rw/.ebbtide-aside/1/user")).unwrap();
    assert_eq!(machine.boot(), 0);
}

/// A home of which a part cannot be made is not there, and the others are.
#[test]
fn a_home_that_fails_is_left_out_whole() {
    let Some(machine) = Machine::new() else { return };
    machine.write(
        "root/etc/passwd",
        "a:x:1:1::/home/a:\nin-file:x:2:2::/home/a/.profile/x:\nb:x:3:3::/home/b:\n",
    );
    assert_eq!(machine.boot(), 1);
    assert_eq!(machine.owner("home/b"), (0o700, 3, 3));
    assert_eq!(fs::read(machine.at("rw/home/a/.profile")).unwrap(), b"profile");
}
