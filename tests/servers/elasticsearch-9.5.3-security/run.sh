#!/bin/sh
# run.sh PORT DATA_DIR [setting=value …] - one Elasticsearch node with security; see ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../prepare.sh"
security=yes
. "$servers/elasticsearch/distribution.sh"
