#!/bin/sh
# run.sh PORT DATA_DIR [setting=value …] - one Elasticsearch node in the foreground; see ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../prepare.sh"

# Elasticsearch loads its HTTP transport as a module with a class loader of its own: the module's jars go into the
# module's folder, everything else onto the class path.
resolve "$here/pom.xml"
of_module='/io/netty/|/transport-netty4/|/elasticsearch-ssl-config/'
module=$(echo "$jars" | tr ':' '\n' | grep -E "$of_module" | paste -sd: -)
jars=$(echo "$jars" | tr ':' '\n' | grep -Ev "$of_module" | paste -sd: -)
compile "$here/ModuleFolder.java" "$here/Embedded.java"
launch "$jars" "-Dmodule.jars=$module" Launcher "$@"
