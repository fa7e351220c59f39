#!/usr/bin/env bash
# A PostgreSQL of its own for the tests: postgres.sh start|restart|stop FOLDER PORT. `start` prints its address.
set -euo pipefail
action=$1 folder=$2 port=$3
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1)
[ -n "$bin" ] || { echo "postgres.sh: expected PostgreSQL below /usr/lib/postgresql, got none; try apt-get install postgresql" >&2; exit 1; }
# the server refuses to run as root
as() { if [ "$(id -u)" = 0 ]; then runuser -u postgres -- "$@"; else "$@"; fi; }
# away from the caller's folder, which the server's user may not see
cd /
ctl() { as "$bin/pg_ctl" -D "$folder/data" -w -o "-p $port -k $folder -c listen_addresses=127.0.0.1 -c fsync=off" -l "$folder/log" "$@"; }
case $action in
  start)
    mkdir -p "$folder"
    [ "$(id -u)" != 0 ] || chown postgres "$folder"
    as "$bin/initdb" -D "$folder/data" -A trust -U unif2ace >/dev/null
    ctl start >/dev/null
    echo "postgres://unif2ace@127.0.0.1:$port/postgres"
    ;;
  restart) ctl -m immediate restart >/dev/null ;;
  stop) ctl -m immediate stop >/dev/null ;;
  *) echo "postgres.sh: expected start, restart or stop, got $action" >&2; exit 2 ;;
esac
