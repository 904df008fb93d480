#!/bin/sh
# run.sh PORT DATA_DIR [setting=value …] - one Elasticsearch node in the foreground; see ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
JAVA_HOME=${JAVA_HOME:-}
. "$here/../prepare.sh"

# Elasticsearch loads its HTTP transport as a module with a class loader of its own: the module's jars go into the
# module's folder, everything else onto the class path.
of_module='/io/netty/|/transport-netty4/|/elasticsearch-ssl-config/'
server=$(echo "$CLASSPATH_ALL" | tr ':' '\n' | grep -Ev "$of_module" | paste -sd: -)
module=$(echo "$CLASSPATH_ALL" | tr ':' '\n' | grep -E "$of_module" | paste -sd: -)

exec "$JAVA" -Xms256m "-Xmx${HEAP:-512m}" -XX:+UseSerialGC \
    -Dlog4j2.disable.jmx=true "-Dlog4j.configurationFile=$here/../log4j2.properties" \
    "-Dmodule.jars=$module" -cp "$CACHE/classes:$server" Launcher "$@"
