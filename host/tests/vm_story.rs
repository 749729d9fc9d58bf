//! Two VMs of one template, from their start to what is left of them.

mod machines;

use machines::{Host, hears_its_power_button, is_gone, qemu_is_there};
use vmtest::{Guest, Image, Result, require};

/// Puts the copy-on-write over the root, and mounts it.
fn mounts_its_root(guest: &Guest) -> Result<()> {
    guest.run("ebbtide-init root && mkdir -p /mnt && mount -t ext4 /dev/mapper/dmroot /mnt")?;
    Ok(())
}

const MARK: &str = "echo kept on purpose | dd of=/dev/vdb bs=512 seek=100 conv=fsync 2>&1";
const READ_MARK: &str = "dd if=/dev/vdb bs=512 skip=100 count=1 2>/dev/null | head -n 1";

#[test]
fn two_vms_share_a_root_forget_what_they_wrote_to_it_and_keep_what_is_private() -> Result<()> {
    require!(qemu_is_there());
    let host = Host::new().booting(&require!(Image::named("stage")), &["a", "b"]);
    let (a, b) = (host.start("a"), host.start("b"));
    assert_eq!((host.state("a").as_str(), host.state("b").as_str()), ("running", "running"));

    let qemu = host.qemu("a").to_string();
    host.refuses(&["start", "a"], &["a runs", &qemu, "ebbtide stop a"]);
    host.refuses(&["volume", "import", "a:private", "/dev/null"], &["a runs", &qemu]);
    host.refuses(&["volume", "resize", "a:root", "1G"], &["t:root"]);

    mounts_its_root(&a)?;
    mounts_its_root(&b)?;
    a.run("echo changed > /mnt/srv/original && sync")?;
    assert_eq!(b.run("cat /mnt/srv/original")?, "as it was");
    assert_eq!(a.run("cat /sys/block/vda/ro /sys/block/vdb/ro")?, "1\n0");

    host.must(&["volume", "resize", "a:private", "96M"]);
    assert_eq!(a.run("cat /sys/block/vdb/size")?, (96 * 2048).to_string());

    a.run(MARK)?;
    hears_its_power_button(&a)?;
    let said = host.must(&["stop", "a"]);
    assert!(said.out.contains("a:private: new version"), "{}{}", said.out, said.err);
    host.until("a", "stopped");
    for gone in ["root.img", "private-dirty.img", "volatile-dirty.img", "run.toml"] {
        assert!(is_gone(&host.vm("a").join(gone)), "{gone}");
    }

    // This guest listens to no button.
    b.run(MARK)?;
    host.refuses(&["stop", "b", "--timeout", "1"], &["has not shut down within 1 s", "--force"]);
    assert_eq!((host.state("b").as_str(), b.run("echo alive")?.as_str()), ("running", "alive"));
    let said = host.must(&["stop", "b", "--force"]);
    assert!(said.out.contains("b:private: what was written stays"), "{}{}", said.out, said.err);

    // `a` begins anew, with what is private; `b` goes on from where the plug was pulled.
    let (a, b) = (host.start("a"), host.start("b"));
    mounts_its_root(&a)?;
    assert_eq!(a.run("cat /mnt/srv/original")?, "as it was");
    assert_eq!(a.run("cat /sys/block/vdb/size")?, (96 * 2048).to_string());
    for guest in [&a, &b] {
        assert_eq!(guest.run(READ_MARK)?, "kept on purpose");
    }
    hears_its_power_button(&a)?;
    let said = host.must(&["stop", "a", "--discard"]);
    assert!(!said.out.contains("new version"), "{}", said.out);
    // It ends by itself, and nobody asks: that is a version too.
    let _ = b.try_run("(sleep 1; poweroff -f) </dev/null >/dev/null 2>&1 &");
    host.until("b", "stopped");
    assert!(is_gone(&host.vm("b").join("private-dirty.img")));
    let revisions = host.must(&["volume", "revisions", "b:private"]).out;
    assert!(revisions.lines().any(|line| line.starts_with("1 ")), "{revisions}");
    host.must(&["pool", "check"]);
    assert_eq!(host.sockets(), Vec::<std::path::PathBuf>::new());
    Ok(())
}
