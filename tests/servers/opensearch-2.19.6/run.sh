#!/bin/sh
# run.sh PORT DATA_DIR [setting=value …] - one OpenSearch node in the foreground; see ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
JAVA_HOME=${JAVA_HOME:-}
. "$here/../prepare.sh"

exec "$JAVA" -Xms256m "-Xmx${HEAP:-512m}" -XX:+UseSerialGC \
    -Dlog4j2.disable.jmx=true "-Dlog4j.configurationFile=$here/../log4j2.properties" \
    -cp "$CACHE/classes:$CLASSPATH_ALL" Launcher "$@"
