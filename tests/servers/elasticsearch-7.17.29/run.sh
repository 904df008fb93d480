#!/bin/sh
# run.sh PORT DATA_DIR [setting=value …] - one Elasticsearch node in the foreground; see ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../prepare.sh"

resolve "$here/pom.xml"
compile "$here/Embedded.java"
es=org.elasticsearch
launch "$jars" \
    "-Dplugins=$es.transport.Netty4Plugin,$es.index.mapper.MapperExtrasPlugin,$es.reindex.ReindexPlugin" \
    Launcher "$@"
