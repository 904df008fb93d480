# Sourced by the run.sh of some Elasticsearch servers, after prepare.sh, with `security` set to yes or no. What they need,
# security and native libraries, is no artefact of its own: this starts the small distribution that Elasticsearch's own
# tests use.
distribution=$(dirname "$CACHE")/distribution-$version
unpack "org.elasticsearch.distribution.integ-test-zip:elasticsearch:$version:zip" "$distribution"
distribution=$distribution/elasticsearch-$version
module=$distribution/modules/security-analysis
(
    exec 9>"$distribution.lock"
    flock 9
    ! made "$module" "$servers/elasticsearch/SecurityAnalysis.java" || exit 0
    rm -rf "$module"
    mkdir -p "$module/classes"
    cd "$module"
    "$JAVAC" --release 17 -nowarn -proc:none -cp "$distribution/lib/*" -d classes \
        "$servers/elasticsearch/SecurityAnalysis.java"
    "$JAR" --create --file security-analysis.jar -C classes .
    rm -rf classes
    printf '%s\n' name=security-analysis description=tests version=1 java.version=17 \
        "elasticsearch.version=$version" classname=SecurityAnalysis >plugin-descriptor.properties
)

port=$1
mkdir -p "$2/config" "$2/tmp" "$2/data" "$2/logs"
data=$(cd "$2" && pwd)
shift 2
config=$data/config
log=$data/logs/node.log
cp -r "$distribution"/config/. "$config/"
# To a file beside standard output, for the watcher below.
cat "$servers/log4j2.properties" - >"$config/log4j2.properties" <<LOG
appender.file.type = File
appender.file.name = file
appender.file.fileName = $log
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %c %m%n
rootLogger.appenderRef.file.ref = file
LOG
: >"$log"
# No files beside the log, and nothing that another Java does not know.
sed -i '/HeapDump\|gc\.log\|hs_err\|incubator/d' "$config/jvm.options"
if [ "$security" = yes ]; then
    certify
    cp "$certificates/node.pem" "$certificates/node.key" "$config/"
    echo "admin:$admin_hash" >"$config/users"
    echo superuser:admin >"$config/users_roles"
    address=https://localhost
    set -- xpack.security.enabled=true xpack.security.http.ssl.enabled=true \
        xpack.security.http.ssl.key=node.key xpack.security.http.ssl.certificate=node.pem "$@"
else
    address=http://127.0.0.1
    set -- xpack.security.enabled=false "$@"
fi
for setting in cluster.name=logweir-tests node.name=node-1 "path.data=$data/data" "path.logs=$data/logs" \
    discovery.type=single-node network.host=127.0.0.1 "http.port=$port" transport.port=0 \
    cluster.routing.allocation.disk.threshold_enabled=false xpack.security.autoconfiguration.enabled=false "$@"; do
    echo "${setting%%=*}: \"${setting#*=}\""
done >"$config/elasticsearch.yml"

ES_JAVA_HOME=${JAVA_HOME:-$(dirname "$(dirname "$(readlink -f "$(command -v java)")")")}
export ES_JAVA_HOME "ES_PATH_CONF=$config" "ES_TMPDIR=$data/tmp" "HOME=$data"
export "ES_JAVA_OPTS=-Xms128m -Xmx${HEAP:-512m} -XX:-AlwaysPreTouch" "CLI_JAVA_OPTS=-Xmx64m"

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
        sed -n "s|^.*HttpServerTransport publish_address {127.0.0.1:\([0-9]*\)}.*|READY $address:\1|p" "$log"
        break
    fi
    sleep 0.2
done &

exec $as "$distribution/bin/elasticsearch"
