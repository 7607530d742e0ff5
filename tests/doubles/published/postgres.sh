#!/bin/sh
# Creates the database of an empty volume as the container's user, then runs the server.
set -eu
if [ "$1" = postgres ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    chmod 700 "$PGDATA"
    initdb --pgdata="$PGDATA" --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" \
        --auth-local=trust --auth-host=scram-sha-256 --locale=C.UTF-8 --no-sync
    echo "host all all all scram-sha-256" >> "$PGDATA/pg_hba.conf"
    pg_ctl --pgdata="$PGDATA" --wait --options="-c listen_addresses='' -k /run/postgresql" start
    createdb --host=/run/postgresql --username="$POSTGRES_USER" \
        "${POSTGRES_DB:-$POSTGRES_USER}"
    pg_ctl --pgdata="$PGDATA" --wait --mode=fast stop
fi
if [ "$1" = postgres ]; then
    set -- "$@" -c "listen_addresses=*" -k /run/postgresql
fi
exec "$@"
