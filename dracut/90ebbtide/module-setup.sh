#!/bin/bash
# Puts ebbtide-init, its settings, its udev rules and the modules that it needs into an initramfs of dracut.

# called by dracut
check() {
    require_binaries ebbtide-init || return 1
    return 0
}

# The rules of "dm" keep udev's record of the device over switch_root; without them systemd waits for it for ever.
depends() {
    echo dm
}

# called by dracut
installkernel() {
    hostonly='' instmods dm_mod dm_snapshot virtio_pci virtio_blk xen-blkfront
    # Loaded by the kernel itself when encryption is asked for: the target, and its cipher by the names of its parts.
    hostonly='' instmods dm_crypt aes_generic aesni_intel ecb xts
    # What private disks and modules disks are made of; the large ones where the root has the tools for such a disk.
    hostonly='' instmods ext4 overlay squashfs isofs erofs
    local kind
    for kind in xfs btrfs; do
        if find_binary "mkfs.$kind" >/dev/null; then
            hostonly='' instmods "$kind"
        fi
    done
}

# called by dracut
install() {
    inst_multiple ebbtide-init modprobe
    inst_multiple -o /etc/ebbtide/init.conf
    inst_rules 09-ebbtide.rules
    local unit
    if dracut_module_included "systemd"; then
        inst_multiple udevadm
        for unit in ebbtide-root.service ebbtide-mounts.service; do
            inst_simple "$moddir/$unit" "$systemdsystemunitdir/$unit"
        done
        $SYSTEMCTL -q --root "$initdir" add-requires initrd-root-device.target ebbtide-root.service
        # Wanted, not required: a boot without what is kept is better than none.
        $SYSTEMCTL -q --root "$initdir" add-wants initrd-root-fs.target ebbtide-mounts.service
    else
        inst_simple "$moddir/ebbtide-root.sh" /lib/ebbtide-root.sh
        inst_rules "$moddir/70-ebbtide-root.rules"
        inst_hook pre-pivot 50 "$moddir/ebbtide-mounts.sh"
    fi
}
