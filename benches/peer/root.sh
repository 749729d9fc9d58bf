#!/bin/dash -e
# The `root` stage as a script of usual tools. It finds the disks by serial and makes what `ebbtide-init root` makes by
# default: swap of a quarter of the volatile disk and at most 1 GiB, the rest for copy-on-write, both aligned to 1 MiB,
# and over the root a snapshot with chunks of $CHUNK sectors in a store that cannot overflow.
#
# Everything that needs no tool is done by the shell itself, so nothing is forked but the tools. TIMED may be a command
# that runs each tool and says how long it took.
mib=2048 # sectors

for disk in /sys/class/block/vd?; do
    serial=
    read -r serial <"$disk/serial" || :
    case $serial in
    root) root=${disk##*/} ;;
    volatile) volatile=${disk##*/} ;;
    esac
done
read -r root_size <"/sys/class/block/$root/size"
read -r size <"/sys/class/block/$volatile/size"

swap=$((size / 4 / mib * mib))
[ "$swap" -le $((1024 * mib)) ] || swap=$((1024 * mib))
cow=$(((size - 34) / mib * mib - mib - swap))

${TIMED-} blkdiscard "/dev/$volatile"
${TIMED-} sfdisk --quiet --lock "/dev/$volatile" <<TABLE
label: gpt
start=$mib, size=$swap, type=S
start=$((mib + swap)), size=$cow, type=6B8A1C02-7F4E-4D0B-9D55-0EBB71DE0C03
TABLE
${TIMED-} mkswap "/dev/${volatile}1" >/dev/null
${TIMED-} swapon "/dev/${volatile}1"
DM_DISABLE_UDEV=1 ${TIMED-} dmsetup create dmroot --noudevsync --table \
    "0 $root_size snapshot /dev/$root /dev/${volatile}2 N ${CHUNK-8}"
