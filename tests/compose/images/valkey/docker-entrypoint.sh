#!/bin/sh
# As the vendor's: options alone mean the server, and root becomes `valkey`; a password for the client is passed on; its
# server is built without protected mode, which refuses whoever comes from another container without a password.
set -eu
case "${1:-}" in -* | *.conf) set -- valkey-server "$@" ;; esac
if [ "$1" = valkey-server ] && [ "$(id -u)" = 0 ]; then
  chown valkey /data
  exec setpriv --reuid=valkey --regid=valkey --clear-groups "$0" "$@"
fi
if [ "$1" = valkey-server ]; then
  shift
  set -- valkey-server --protected-mode no "$@"
fi
exec "$@"
