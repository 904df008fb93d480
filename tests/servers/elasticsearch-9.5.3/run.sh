#!/bin/sh
# run.sh PORT DATA_DIR [setting=value …] - one Elasticsearch node in the foreground; see ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../prepare.sh"
security=no
. "$servers/elasticsearch/distribution.sh"
