#!/bin/sh
# As the vendor's: the first start makes the cluster, the user and the database, on a server that only the socket reaches.
set -eu

[ "$1" = postgres ] || exec "$@"
shift

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$PGDATA" && chown -R postgres "$PGDATA" /var/run/postgresql
  exec setpriv --reuid=postgres --regid=postgres --clear-groups "$0" postgres "$@"
fi

if [ ! -s "$PGDATA/PG_VERSION" ]; then
  : "${POSTGRES_PASSWORD:?Error: Database is uninitialized and superuser password is not specified.}"
  user="${POSTGRES_USER:-postgres}"
  mkdir -p "$PGDATA" && chmod 700 "$PGDATA"
  printf %s "$POSTGRES_PASSWORD" >/tmp/password
  # shellcheck disable=SC2086  the variable holds several options
  initdb -D "$PGDATA" -U "$user" --pwfile=/tmp/password --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
  rm /tmp/password
  echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"
  pg_ctl -D "$PGDATA" -w -s -o "-c listen_addresses= -c unix_socket_directories=/var/run/postgresql" start
  if [ "${POSTGRES_DB:-$user}" != postgres ]; then
    psql -U "$user" -d postgres -q -c "CREATE DATABASE \"${POSTGRES_DB:-$user}\""
  fi
  pg_ctl -D "$PGDATA" -w -s -m fast stop
fi

exec postgres -D "$PGDATA" -c "listen_addresses=*" -c unix_socket_directories=/var/run/postgresql "$@"
