# Sourced by run.sh of the Elasticsearch servers with security, after prepare.sh. Security is a module of the
# distribution and no artefact of its own: this starts the small distribution that Elasticsearch's own tests use.
certify
if [ ! -d "$CACHE/distribution" ]; then
    maven --file "$servers/elasticsearch/distribution.pom.xml" "-Dserver.version=$version" \
        dependency:unpack-dependencies "-DoutputDirectory=$CACHE/unpacked.$$"
    mv -T "$CACHE/unpacked.$$/elasticsearch-$version" "$CACHE/distribution" || rm -rf "$CACHE/unpacked.$$"
fi

port=$1
mkdir -p "$2/config" "$2/tmp" "$2/data" "$2/logs"
data=$(cd "$2" && pwd)
shift 2
config=$data/config
cp -r "$CACHE"/distribution/config/. "$config/"
cp "$certificates/node.pem" "$certificates/node.key" "$servers/log4j2.properties" \
    "$servers"/elasticsearch/security/* "$config/"
# A name of the log beside standard output, for the watcher below.
cat >>"$config/log4j2.properties" <<LOG
appender.file.type = File
appender.file.name = file
appender.file.fileName = $data/logs/node.log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %c %m%n
rootLogger.appenderRef.file.ref = file
LOG
# No files beside the log, and nothing that another Java does not know.
sed -i '/HeapDump\|gc\.log\|hs_err\|incubator/d' "$config/jvm.options"
{
    cat <<SETTINGS
cluster.name: logweir-tests
node.name: node-1
path.data: $data/data
path.logs: $data/logs
discovery.type: single-node
network.host: 127.0.0.1
http.port: $port
transport.port: "0"
cluster.routing.allocation.disk.threshold_enabled: false
xpack.security.enabled: true
xpack.security.autoconfiguration.enabled: false
xpack.security.http.ssl.enabled: true
xpack.security.http.ssl.key: node.key
xpack.security.http.ssl.certificate: node.pem
SETTINGS
    for setting in "$@"; do echo "${setting%%=*}: ${setting#*=}"; done
} >"$config/elasticsearch.yml"

ES_JAVA_HOME=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}
log=$data/logs/node.log
: >"$log"
export ES_JAVA_HOME "ES_PATH_CONF=$config" "ES_TMPDIR=$data/tmp" "HOME=$data"
export "ES_JAVA_OPTS=-Xms128m -Xmx${HEAP:-512m}" CLI_JAVA_OPTS="-Xmx64m -XX:+UseSerialGC"

# Elasticsearch refuses to run as root. The one whom it runs as instead may not be allowed to come here, under
# /root for one: the right to do so is all that it keeps of root's.
as=
if [ "$(id -u)" -eq 0 ]; then
    chown -R nobody "$data"
    as="setpriv --reuid=nobody --regid=nogroup --clear-groups --pdeathsig=TERM --securebits=+no_setuid_fixup
        --inh-caps=+dac_override --ambient-caps=+dac_override"
fi

# It has no word of its own for this: watches its log, and ends with it.
while kill -0 $$ 2>/dev/null; do
    if grep -q '^org.elasticsearch.node.Node started' "$log"; then
        sed -n 's/^.*HttpServerTransport publish_address {127.0.0.1:\([0-9]*\)}.*/READY https:\/\/localhost:\1/p' "$log"
        break
    fi
    sleep 0.2
done &

exec $as "$CACHE/distribution/bin/elasticsearch"
