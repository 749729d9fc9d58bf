#!/bin/dash -e
# The same as root.sh, written the way such scripts usually are: values are read by cat and blockdev, lists walked by
# pipes, tables piped into the tools, and the node of the mapped device made by a call of its own.
find_disk() {
    for disk in /sys/class/block/vd?; do
        if [ "$(cat "$disk/serial")" = "$1" ]; then
            basename "$disk"
            return
        fi
    done
}

root=$(find_disk root)
volatile=$(find_disk volatile)
size=$(blockdev --getsz "/dev/$volatile")
mib=2048 # sectors
swap=$((size / 4 / mib * mib))
[ "$swap" -le $((1024 * mib)) ] || swap=$((1024 * mib))
cow=$(((size - 34) / mib * mib - mib - swap))

blkdiscard "/dev/$volatile"
sfdisk --quiet --lock "/dev/$volatile" <<TABLE
label: gpt
start=$mib, size=$swap, type=S
start=$((mib + swap)), size=$cow, type=6B8A1C02-7F4E-4D0B-9D55-0EBB71DE0C03
TABLE
mkswap "/dev/${volatile}1" >/dev/null
swapon "/dev/${volatile}1"
echo "0 $(blockdev --getsz "/dev/$root") snapshot /dev/$root /dev/${volatile}2 N ${CHUNK-8}" |
    dmsetup create dmroot --noudevsync
dmsetup mknodes dmroot
