#!/bin/sh
# Bounds the access logs in the shared volume. The image of nginx has no logrotate, so this file is mounted into
# /docker-entrypoint.d, from which the image starts it before nginx. It goes on in the background, as a child of nginx.
#
# A log of LOG_BYTES or more becomes *.log.1 and replaces the previous one. So each log takes at most twice that, and what
# nginx writes in LOG_SECONDS. logweir follows the rename, and reads a replaced file to its end if it is behind.
set -eu
bytes=${LOG_BYTES:-67108864}
seconds=${LOG_SECONDS:-10}

rotate() {
    rotated=
    for log in /var/log/nginx/*.log; do
        if [ -f "$log" ] && [ "$(stat -c %s "$log")" -ge "$bytes" ]; then
            mv -f "$log" "$log.1"
            rotated=yes
        fi
    done
    # Until it opens its logs again, nginx writes into the renamed files.
    [ -z "$rotated" ] || nginx -s reopen 2>/dev/null
}

while sleep "$seconds"; do
    rotate || echo "rotate.sh: the logs could not be rotated; trying again" >&2
done &
