#!/bin/sh
# Mounts what is kept, below the root, which is mounted by now; sourced by dracut before it hands over. A boot without
# it is better than none. What failed is on the console through the kernel log.

ebbtide-init mounts --root "$NEWROOT" >/dev/null || :
