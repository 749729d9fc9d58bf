#!/bin/dash -e
# Starts and stops an AppVM of a pool of driver dm with losetup and dmsetup, as a block hotplug script does, and makes the
# same: devices with the same names and tables, one loop device for each file, found by inode, and a version that is told
# to be in use by second names of its base and its store. What is under way is known by the same lock.
#
#     dm.sh start|stop root|all TEMPLATE APPVM        directories of the pool; `all` are root, private and volatile disk
#
# VOLATILE is the size of the volatile disk in bytes, CHUNK that of new stores in sectors.
export DM_DISABLE_UDEV=1
command=$1 what=$2 template=$3 vm=$4

exec 9>"$vm/../../.dm.lock"
flock 9

# Sets `loop` to the loop device over a file. A new one goes with its last user once it is detached, as `made` are.
loop_over() {
    loop=$(losetup --associated "$1")
    loop=${loop%%:*}
    [ -z "$loop" ] || return 0
    loop=$(losetup --find --show "$1")
    made="$made $loop"
}

detach_made() {
    [ -z "$made" ] || losetup --detach $made
    made=
}

inode() {
    stat --dereference --format %D:%i "$1"
}

# Sets `origin` and `version` to the names of the devices over a base and a store.
names() {
    base=$(inode "$1")
    origin=origin-$base version=snapshot-$base-$(inode "$2")
}

# Makes the version of a base and a store, unless it is there. What is written to the base is held back meanwhile.
map_version() {
    names "$1" "$2"
    [ ! -e "/dev/mapper/$version" ] || return 0
    loop_over "$1"
    over=$loop
    loop_over "$2"
    held=
    [ ! -e "/dev/mapper/$origin" ] || { dmsetup suspend "$origin" && held=yes; }
    dmsetup create "$version" --table "0 $(blockdev --getsz "$over") snapshot $over $loop P ${CHUNK-8}"
    [ -z "$held" ] || dmsetup resume "$origin"
}

start_root() {
    ln -f "$template/root.img" "$vm/root.img"
    ln -f "$template/root-cow.img" "$vm/root-snap.img"
    map_version "$vm/root.img" "$vm/root-snap.img"
    detach_made
}

# The store has the template's name and ours: another one is somebody else's.
stop_root() {
    if [ "$(stat --format %h "$vm/root-snap.img")" -le 2 ]; then
        names "$vm/root.img" "$vm/root-snap.img"
        dmsetup remove "$version"
    fi
    rm "$vm/root-snap.img" "$vm/root.img"
}

start_private() {
    ln -f "$vm/private.img" "$vm/private-dirty.img"
    sync "$vm"
    map_version "$vm/private.img" "$vm/private-cow.img"
    loop_over "$vm/private.img"
    dmsetup create "$origin" --table "0 $(blockdev --getsz "$loop") snapshot-origin $loop"
    detach_made
}

stop_private() {
    names "$vm/private.img" "$vm/private-cow.img"
    dmsetup remove "$origin"
    [ "$(stat --format %h "$vm/private-cow.img")" -gt 1 ] || dmsetup remove "$version"
    # What a commit would do is not here: nothing was written.
    first=$(od --address-radix n --format u8 --skip-bytes 4096 --read-bytes 16 "$vm/private-cow.img")
    case $first in *[!0\ ]*) echo "$vm was written to" >&2 && exit 1 ;; esac
    rm "$vm/private-dirty.img"
    sync "$vm"
}

start_volatile() {
    truncate --size "$VOLATILE" "$vm/volatile-dirty.img"
    loop_over "$vm/volatile-dirty.img"
    table="0 $(blockdev --getsz "$loop") linear $loop 0"
    dmsetup create "volatile-$(inode "$vm/volatile-dirty.img")" --table "$table"
    detach_made
}

stop_volatile() {
    dmsetup remove "volatile-$(inode "$vm/volatile-dirty.img")"
    rm "$vm/volatile-dirty.img"
}

"${command}_root"
[ "$what" = root ] || { "${command}_private" && "${command}_volatile"; }
