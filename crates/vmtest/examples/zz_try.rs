//! x
use vmtest::*;
fn main() -> Result<()> {
    let image = Image::named("debian-initramfs-tools")?;
        let vm = Qemu::boot(&image).cpu("Nehalem,+rdrand").root(Disk::read_only(image.root())).volatile(Disk::empty(Size::gib(2))).start()?;
        println!("{:?}", vm.wait_until_ready()?);
        println!("{}", vm.run("dmsetup status; du -xsm /usr/* /usr/lib/* | sort -n | tail -20; df -m /; for i in /usr/bin /usr/share /usr/lib/systemd /usr/lib/udev; do du -sm $i; find $i -type f | wc -l; done; time cp -a /usr/bin /usr/share /usr/lib/systemd /usr/lib/udev /root/; time sync; dmesg | grep ebbtide")?);
    Ok(())
}
