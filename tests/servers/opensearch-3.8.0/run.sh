#!/bin/sh
# run.sh PORT DATA_DIR [setting=value …] - one OpenSearch node in the foreground; see ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../prepare.sh"

resolve "$servers/opensearch/pom.xml"
compile "$here/Embedded.java"
os=org.opensearch
launch "$jars" "-Dplugins=$os.transport.Netty4ModulePlugin,$os.analysis.common.CommonAnalysisModulePlugin,\
$os.ingest.common.IngestCommonModulePlugin,$os.painless.PainlessModulePlugin,\
$os.index.mapper.MapperExtrasModulePlugin,$os.index.reindex.ReindexModulePlugin" Launcher "$@"
