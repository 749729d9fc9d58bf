#!/bin/sh
# Sets the root up, once; sourced by dracut's main loop after udev has settled, so that "die" ends the boot.

if [ ! -e /run/ebbtide/root-done ]; then
    modprobe -b -q dm_snapshot
    if ebbtide-init root >/dev/null; then
        mkdir -p /run/ebbtide
        : >/run/ebbtide/root-done
    else
        die "ebbtide: the root could not be set up; the reason is above, on a line with \"ebbtide:\""
    fi
fi
