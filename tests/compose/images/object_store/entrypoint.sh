#!/bin/sh
# As the vendor's: every command is one of `weed`; started as root, it gives the data to `seaweed` and goes on as that.
set -eu
if [ "$(id -u)" = 0 ]; then
  chown seaweed:seaweed /data
  exec setpriv --reuid=seaweed --regid=seaweed --clear-groups "$0" "$@"
fi
exec weed "$@"
