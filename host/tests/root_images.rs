//! Templates from images of every format, and pools on every file system.

#![allow(clippy::unwrap_used, reason = "a beginning that cannot be made fails its test")]

mod loopfs;

use ebbtide::{
    VmName,
    pool::{
        Create, DriverName, Pool,
        store::{Progress, Unseen},
    },
    vm::{self, NewTemplate, RootSource},
};
use ebbtide_format::units::Bytes;
use loopfs::{Kind, LoopFs, run};
use std::{
    fs::{self, File},
    os::unix::fs::{FileExt as _, MetadataExt as _},
    path::Path,
    process::Command,
};

fn template(pool: &Pool, name: &str, image: &Path) -> ebbtide::Result<()> {
    let name: VmName = name.parse().unwrap();
    let new = NewTemplate::new(RootSource::Image(image.into()));
    vm::create_template(pool, &name, &new, &mut Unseen)
}

/// A sparse disk of 16 MiB with something at both ends.
fn disk(path: &Path) -> Vec<u8> {
    let file = File::create(path).unwrap();
    file.set_len(16 << 20).unwrap();
    file.write_all_at(b"beginning", 0).unwrap();
    file.write_all_at(b"end", (16 << 20) - 3).unwrap();
    fs::read(path).unwrap()
}

#[test]
fn root_images_of_every_format_become_the_same_disk() {
    let fs = LoopFs::new(Kind::Btrfs);
    let pool = Pool::create(&fs.dir().join("pool"), &Create::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // Names tell nothing.
    let raw = dir.path().join("disk.qcow2");
    let content = disk(&raw);
    let mut images = vec![raw.clone()];
    for (number, format) in ["qcow2", "vmdk", "vdi", "vhdx"].into_iter().enumerate() {
        let image = dir.path().join(format!("image{number}.raw"));
        run(Command::new("qemu-img")
            .args(["convert", "-f", "raw", "-O", format])
            .args([&raw, &image]));
        images.push(image);
    }
    for packer in ["gzip", "xz", "zstd"] {
        for (number, image) in [&raw, &dir.path().join("image0.raw")].into_iter().enumerate() {
            let packed = dir.path().join(format!("{packer}{number}"));
            let output = File::create(&packed).unwrap();
            run(Command::new("sh")
                .args(["-c", "exec \"$0\" -c < \"$1\" > \"$2\"", packer])
                .args([image, &packed]));
            drop(output);
            images.push(packed);
        }
    }
    for (number, image) in images.iter().enumerate() {
        let name = format!("t{number}");
        template(&pool, &name, image)
            .unwrap_or_else(|error| panic!("{}: {error}", image.display()));
        let root = pool.dir().join(format!("vm-templates/{name}/root.img"));
        assert!(fs::read(&root).unwrap() == content, "{}", image.display());
        let allocated = fs::metadata(&root).unwrap().blocks() * 512;
        assert!(allocated <= 1 << 20, "{}: {allocated} bytes", image.display());
        assert_eq!(fs::metadata(&root).unwrap().mode() & 0o777, 0o600, "{}", image.display());
        let left: Vec<_> = loopfs::names(root.parent().unwrap());
        assert!(left.iter().all(|name| !name.contains("aside")), "{left:?}");
    }
}

#[test]
fn root_images_that_lead_to_other_files_are_refused() {
    let fs = LoopFs::new(Kind::Btrfs);
    let pool = Pool::create(&fs.dir().join("pool"), &Create::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("secret");
    disk(&raw);
    let at = |name: &str| dir.path().join(name);
    let image = |arguments: &[&str], path: &Path, size: &[&str]| {
        run(Command::new("qemu-img").arg("create").args(arguments).arg(path).args(size));
    };
    let secret = raw.to_str().unwrap();
    image(&["-f", "qcow2", "-b", secret, "-F", "raw"], &at("backing"), &[]);
    let data = format!("data_file={},data_file_raw=on", at("data").display());
    image(&["-f", "qcow2", "-o", &data], &at("external"), &["16M"]);
    image(&["-f", "vmdk", "-o", "subformat=monolithicFlat"], &at("flat"), &["16M"]);
    image(&["-f", "vmdk"], &at("base"), &["16M"]);
    let base = at("base");
    image(&["-f", "vmdk", "-b", base.to_str().unwrap(), "-F", "vmdk"], &at("child"), &[]);
    run(Command::new("sh")
        .args(["-c", "gzip -c < \"$0\" > \"$1\""])
        .args([at("backing"), at("packed")]));
    for name in ["backing", "external", "flat", "child", "packed"] {
        let error = template(&pool, "hostile", &at(name)).unwrap_err();
        assert!(error.hint().unwrap_or_default().contains("raw"), "{name}: {error}");
        let left = loopfs::names(&pool.dir().join("vm-templates"));
        assert!(left.is_empty(), "{name}: {left:?}");
    }
    fs::write(at("broken"), [b"\x1f\x8b\x08".as_slice(), &[7; 500]].concat()).unwrap();
    let error = template(&pool, "broken", &at("broken")).unwrap_err();
    assert!(error.to_string().starts_with("gzip: "), "{error}");
    assert!(loopfs::names(&pool.dir().join("vm-templates")).is_empty());
}

/// An owner who makes an image another one as soon as it was looked at.
struct Owner<'a> {
    hostile: &'a Path,
    image: &'a Path,
}

impl Progress for Owner<'_> {
    fn bytes(&mut self, _done: Bytes, _whole: Bytes) {
        if self.hostile.exists() {
            fs::rename(self.hostile, self.image).unwrap();
        }
    }
}

#[test]
fn root_images_are_converted_as_they_were_looked_at() {
    let fs = LoopFs::new(Kind::Btrfs);
    let pool = Pool::create(&fs.dir().join("pool"), &Create::default()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let content = disk(&at("raw"));
    run(Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "vmdk"])
        .args([at("raw"), at("image")]));
    fs::write(at("secret"), vec![b's'; 16 << 20]).unwrap();
    let extent = format!("RW 32768 FLAT \"{}\" 0", at("secret").display());
    let head = "# Disk DescriptorFile\nversion=1\nCID=1\nparentCID=ffffffff\ncreateType=\"monolithicFlat\"\n";
    fs::write(at("hostile"), format!("{head}{extent}\n")).unwrap();
    let (name, new) = ("t".parse().unwrap(), NewTemplate::new(RootSource::Image(at("image"))));
    let mut owner = Owner { hostile: &at("hostile"), image: &at("image") };
    vm::create_template(&pool, &name, &new, &mut owner).unwrap();
    assert!(!at("hostile").exists());
    let root = fs::read(pool.dir().join("vm-templates/t/root.img")).unwrap();
    assert!(root == content);
}

#[test]
fn root_pools_clone_where_the_file_system_can() {
    for kind in Kind::ALL {
        let fs = LoopFs::new(kind);
        let dir = fs.dir().join("pool");
        let made = Pool::create(&dir, &Create::default());
        if kind == Kind::Ext4 {
            let error = made.unwrap_err();
            assert!(error.to_string().contains("ext4"), "{error}");
            assert!(error.hint().unwrap().contains("--allow-copy"), "{error}");
            assert!(!dir.exists());
            continue;
        }
        let info = made.unwrap().info().unwrap();
        assert_eq!(info.driver, DriverName::Reflink);
        assert_eq!(info.file_system, format!("{kind:?}").to_lowercase());
    }
}
