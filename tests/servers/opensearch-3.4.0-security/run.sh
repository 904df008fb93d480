#!/bin/sh
# run.sh PORT DATA_DIR [setting=value …] - one OpenSearch node with its security plugin; see ../README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../prepare.sh"
certify

resolve "$servers/opensearch/pom.xml" -Psecurity -Dlog4j.version=2.21.0
unpack "org.opensearch.plugin:opensearch-security:$version.0:zip" "$CACHE/security"
# The plugin's own jars, less those that the class path has already.
for jar in "$CACHE"/security/*.jar; do
    case "$jars:" in *"/$(basename "$jar"):"*) ;; *) jars=$jars:$jar ;; esac
done
compile "$servers/opensearch-3.8.0/Embedded.java"

port=$1 data=$2
shift 2
config=$data/config
mkdir -p "$config/opensearch-security"
cp "$CACHE"/security/config/*.yml "$config/opensearch-security/"
cat >"$config/opensearch-security/internal_users.yml" <<USERS
_meta: {type: internalusers, config_version: 2}
admin: {hash: "$admin_hash", backend_roles: [admin]}
USERS
cp "$certificates/ca.pem" "$certificates/node.pem" "$certificates/node.key" "$config/"
chmod 700 "$config" "$config/opensearch-security"
chmod 600 "$config"/node.* "$config"/opensearch-security/*

os=org.opensearch tls=plugins.security.ssl
set -- "$@" plugins.security.nodes_dn=CN=localhost plugins.security.allow_default_init_securityindex=true \
    plugins.security.restapi.roles_enabled=all_access \
    $tls.http.enabled=true $tls.transport.enforce_hostname_verification=false
for side in http transport; do
    set -- "$@" $tls.$side.pemcert_filepath=node.pem $tls.$side.pemkey_filepath=node.key \
        $tls.$side.pemtrustedcas_filepath=ca.pem
done
launch "$jars" "-Dca.file=$certificates/ca.pem" \
    "-Dplugins=$os.transport.Netty4ModulePlugin,$os.analysis.common.CommonAnalysisModulePlugin,\
$os.index.mapper.MapperExtrasModulePlugin,$os.index.reindex.ReindexModulePlugin,\
$os.security.OpenSearchSecurityPlugin" Launcher "$port" "$data" "$@"
