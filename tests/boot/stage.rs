//! The init stage alone: no distribution, no udev, one shell.

use vmtest::{Disk, Image, Qemu, Result, Size, require};

fn stage(image: &Image) -> Qemu {
    Qemu::boot(image).root(Disk::read_only(image.root())).volatile(Disk::empty(Size::mib(512)))
}

#[test]
fn makes_a_read_only_root_writable() -> Result<()> {
    let vm = require!(stage(&require!(Image::named("stage"))).start());
    println!("{}", vm.run("ebbtide-init plan")?);
    println!("{}", vm.run("ebbtide-init root")?);
    println!("{}", vm.run("dmesg | grep ebbtide")?);
    println!("{}", vm.run("mkdir -p /mnt; mount /dev/mapper/dmroot /mnt && ls -la /mnt; echo x > /mnt/x; sync; cat /proc/swaps /proc/partitions; blkid; ls -l /dev/mapper; ebbtide-init root")?);
    vm.power_off()?;
    vm.kernel_log_is_clean()
}
