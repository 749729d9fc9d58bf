//! COW files of user-mode Linux beside the field's own tools, and under a real kernel.

#![allow(clippy::unwrap_used, reason = "a test may end here")]

#[path = "../flips/mod.rs"]
mod flips;
#[path = "../kernels/mod.rs"]
mod kernels;
mod peer;

use kernels::{Folder, Pieces, Random, must, refuses, same, text};
use peer::Version;
use std::fs;
use vmtest::{Result, Uml, require};

/// Merges a COW file by ours and by `uml_moo`, to new files and copies in place, and returns what all of them hold; theirs
/// in the first `told` bytes.
fn merged(folder: &Folder, cow: &str, backing: &str, told: u64) -> Vec<u8> {
    let told = usize::try_from(told).unwrap();
    let (cow_at, backing_at) = (folder.at(cow), folder.at(backing));
    let before = (folder.read(cow), folder.read(backing));
    must(&["cow", "merge", text(&cow_at), text(&folder.at("ours"))]);
    peer::merge(&cow_at, &backing_at, &folder.at("theirs"));
    let ours = folder.read("ours");
    let theirs = folder.read("theirs");
    assert_eq!(ours.len(), theirs.len(), "{cow}");
    same(&format!("{cow} beside uml_moo"), &ours[..told], &theirs[..told]);

    let copies =
        |name: &str| (folder.copy(cow, &format!("{name}.cow")), folder.copy(backing, name));
    let ((our_cow, our_backing), (their_cow, their_backing)) = (copies("ours"), copies("theirs"));
    // The copies of the COW file name the backing file itself, too: nothing of it is given up here.
    must(&["cow", "merge", "--in-place", "--backing", text(&our_backing), text(&our_cow)]);
    peer::merge_in_place(&their_cow, &their_backing);
    let theirs = folder.read("theirs");
    same(&format!("{cow} in place beside uml_moo"), &ours[..told], &theirs[..told]);
    same(&format!("{cow} in place"), &folder.read("ours"), &ours);
    let time = |file| fs::metadata(folder.at(file)).unwrap().modified().unwrap();
    assert_eq!(time("ours"), time(backing), "{cow} in place: the time of its backing");

    assert!(
        (folder.read(cow), folder.read(backing)) == before,
        "{cow}: a merge changed its sources"
    );
    folder.remove("ours");
    folder.remove("theirs");
    ours
}

#[test]
fn merges_agree_with_uml_moo_for_every_version_and_size() {
    let mut random = Random::new(5);
    let folder = Folder::new();
    // Sectors: one, a byte of the bitmap and one more, some that fit nothing, and a page of it and one more.
    for sectors in [1, 8, 9, 1954, 4096 * 8 + 1] {
        let content = random.bytes(sectors * 512);
        let backing = folder.write("backing", &content);
        for version in Version::ALL {
            let cow = folder.at("c.cow");
            let wanted = version.write(&cow, &backing, &content, &mut random);
            // Of the last sectors an older version may have no bits, and uml_moo looks behind its bitmap for them.
            let told = version.told(sectors * 512);
            let merged = merged(&folder, "c.cow", "backing", told);
            same(&format!("{version:?} of {sectors} sectors"), &merged, &wanted);
        }
    }
}

/// What the guest runs; here it does nothing.
#[test]
fn writer() {
    kernels::write_in_the_guest();
}

/// What the kernel writes over a file of a file system.
const FILE: &str = "kept on purpose";

/// Bytes of it: a number of sectors that fits no bitmap.
const FILE_SYSTEM: u64 = (24 << 20) + 13 * 512;

/// Makes an ext4 with a file in it.
fn file_system(folder: &Folder, name: &str) -> std::path::PathBuf {
    let (tree, image) = (folder.at("tree"), folder.at(name));
    fs::create_dir_all(&tree).unwrap();
    fs::write(tree.join("file"), "as it was\n").unwrap();
    fs::File::create(&image).unwrap().set_len(FILE_SYSTEM).unwrap();
    let made = std::process::Command::new("mke2fs")
        .args(["-q", "-t", "ext4", "-d"])
        .args([&tree, &image])
        .status();
    assert!(made.unwrap().success());
    image
}

/// Reads a file of an ext4.
fn debugfs(image: &[u8], folder: &Folder, command: &str) -> String {
    let image = folder.write("looked-at", image);
    let said = std::process::Command::new("debugfs").args(["-R", command]).arg(&image).output();
    let checked =
        std::process::Command::new("e2fsck").args(["-f", "-n"]).arg(&image).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    String::from_utf8(said.unwrap().stdout).unwrap()
}

/// One boot. A file system on a COW file of ours, mounted and written; the same on one of `uml_mkcow` and on one that the
/// kernel makes itself; and sectors here and there of a device of an odd size. While the kernel has a COW file, nobody
/// may merge or move it.
#[test]
fn what_a_kernel_writes_merges_as_with_uml_moo() -> Result<()> {
    let (folder, mut random) = (Folder::new(), Random::new(6));
    let names = ["ours", "mkcow", "kernel"]
        .map(|name| (format!("by-{name}.cow"), format!("on-{name}.img")));
    for (_, backing) in &names {
        file_system(&folder, backing);
    }
    let sectors = 1954 + 8 * 512;
    let content = random.bytes(sectors * 512);
    folder.write("odd.img", &content);
    let at = |name: &str| folder.at(name);
    let (ours, mkcow) = (&names[0], &names[1]);
    must(&["cow", "create", "--format", "uml", text(&at(&ours.0)), text(&at(&ours.1))]);
    must(&["cow", "create", "--format", "uml", text(&at("odd.cow")), text(&at("odd.img"))]);
    peer::make(&at(&mkcow.0), &at(&mkcow.1));
    let pieces = Pieces::draw(&mut random, sectors, 200, 20);
    pieces.save(&at("pieces"));

    let uml = Uml::sharing(folder.dir());
    let uml = names.iter().fold(uml, |uml, (cow, backing)| uml.cow(&at(cow), &at(backing)));
    let vm = require!(uml.cow(&at("odd.cow"), &at("odd.img")).start());
    let mut script = "set -e\nmkdir /run/at\n".to_owned();
    for disk in ["ubda", "ubdb", "ubdc"] {
        script += &format!(
            "mount -t ext4 /dev/{disk} /run/at\n\
             echo '{FILE}' > /run/at/file\n\
             head -c 3000000 /dev/zero | tr '\\0' {disk} > /run/at/large\n\
             umount /run/at\n"
        );
    }
    script += &Pieces::written(&at("pieces"), "/dev/ubdd");
    vm.run(&script)?;

    vm.run("mount -t ext4 /dev/ubda /run/at")?;
    let (cow, backing) = (at(&ours.0), at(&ours.1));
    let who = format!("linux.uml (process {})", vm.pid()?);
    let texts = [who.as_str(), text(&cow)];
    refuses(&["cow", "merge", text(&cow), text(&at("out"))], &texts);
    refuses(&["cow", "merge", "--in-place", text(&cow)], &[&who]);
    refuses(&["cow", "move", text(&cow), text(&backing)], &[&who]);
    assert!(!at("out").exists());
    vm.run("umount /run/at")?;
    vm.power_off()?;

    for (cow, backing) in &names {
        let merged = merged(&folder, cow, backing, FILE_SYSTEM);
        assert_eq!(debugfs(&merged, &folder, "cat /file"), format!("{FILE}\n"), "{cow}");
        assert!(debugfs(&merged, &folder, "ls -l /").contains("3000000"), "{cow}");
        assert_eq!(debugfs(&folder.read(backing), &folder, "cat /file"), "as it was\n", "{cow}");
    }
    let mut wanted = content;
    pieces.onto(&mut wanted);
    same("odd.cow", &merged(&folder, "odd.cow", "odd.img", sectors * 512), &wanted);
    flips::is_an_error_or_right(&at("odd.cow"), &at("odd.img"), 200);
    Ok(())
}

/// Two boots. The kernel takes no backing whose time is another than the COW file records, nor any that is not there; and
/// takes it after a move, by its name in the COW file alone, whatever the version. It takes what is exported, too.
#[test]
fn the_kernel_takes_a_backing_again_after_a_move() -> Result<()> {
    let (folder, mut random) = (Folder::new(), Random::new(7));
    let at = |name: &str| folder.at(name);
    let names = ["record", "touch", "path"];
    let mut wanted = Vec::new();
    for (name, version) in names.iter().zip(Version::ALL) {
        // All versions have bits for as many sectors.
        let content = random.bytes(1952 * 512);
        let (backing, cow) = (format!("{name}.img"), format!("{name}.cow"));
        folder.write(&backing, &content);
        wanted.push(version.write(&at(&cow), &at(&backing), &content, &mut random));
    }
    // What happens to a backing file that is copied or restored, and to one that is moved.
    let other = std::time::SystemTime::now() - std::time::Duration::from_secs(1000);
    for name in &names[..2] {
        let file = fs::File::options().write(true).open(at(&format!("{name}.img"))).unwrap();
        file.set_modified(other).unwrap();
    }
    fs::create_dir(at("elsewhere")).unwrap();
    fs::rename(at("path.img"), at("elsewhere/path.img")).unwrap();

    let read = |names: &[&str]| {
        let uml = Uml::sharing(folder.dir());
        // By the COW file alone: the backing is what it names.
        names.iter().fold(uml, |uml, name| uml.disk(&at(&format!("{name}.cow")))).start()
    };
    let vm = require!(read(&names));
    for disk in ["ubda", "ubdb", "ubdc"] {
        let opened = vm.try_run(&format!("dd if=/dev/{disk} of=/dev/null bs=512 count=1"))?;
        assert_ne!(opened.status, 0, "{disk}: {}", opened.text());
    }
    for disk in ["record", "touch"] {
        vm.run(&format!("dmesg | grep -B1 'Failed to open.*{disk}.cow' | grep 'mtime mismatch'"))?;
    }
    vm.power_off()?;
    for (name, why) in names.iter().zip(["last written to", "last written to", "missing"]) {
        let cow = at(&format!("{name}.cow"));
        refuses(&["cow", "merge", text(&cow), text(&at("out"))], &[why]);
    }

    let moves = [("record", "record.img"), ("touch", "touch.img"), ("keep", "elsewhere/path.img")];
    for (name, (mtime, backing)) in names.iter().zip(moves) {
        let cow = at(&format!("{name}.cow"));
        must(&["cow", "move", "--mtime", mtime, text(&cow), text(&at(backing))]);
    }
    let exported = at("exported.cow");
    must(&["cow", "export", "--format", "uml", text(&at("record.cow")), text(&exported)]);
    wanted.push(wanted[0].clone());
    let names = ["record", "touch", "path", "exported"];
    let vm = read(&names)?;
    for (disk, name) in ["ubda", "ubdb", "ubdc", "ubdd"].iter().zip(names) {
        // Sector by sector: this kernel reads wrongly over runs that are shorter than a page.
        let to = at(&format!("{name}.shown"));
        vm.run(&format!("dd if=/dev/{disk} of={} bs=512 iflag=direct status=none", to.display()))?;
    }
    vm.power_off()?;
    for (name, wanted) in names.into_iter().zip(wanted) {
        same(&format!("{name} under the kernel"), &folder.read(&format!("{name}.shown")), &wanted);
        must(&["cow", "merge", text(&at(&format!("{name}.cow"))), text(&at("out"))]);
        same(name, &folder.read("out"), &wanted);
        folder.remove("out");
    }
    Ok(())
}
