# Sourced by the servers' scripts, which have set `here` to the server's own folder. Sets
#   name, version     of the server, by its folder
#   servers           this folder
#   CACHE             what is made once for this server, kept
#   admin_hash        bcrypt's of `changeme`, the password of the only user, `admin`, where there are users
#   JAVA, JAVAC, JAR  the JDK's programs
# and gives the steps that the servers' scripts are made of.

servers=$(cd "$here/.." && pwd)
name=$(basename "$here")
version=$(expr "$name" : '[a-z]*-\([0-9.]*\)')
CACHE=${CACHE:-$servers/../../target/servers/$name}
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd)

if [ -n "${JAVA_HOME:-}" ]; then bin=$JAVA_HOME/bin/; else bin=; fi
JAVA=${bin}java JAVAC=${bin}javac JAR=${bin}jar
admin_hash='$2a$04$logweirlogweirlogweireRjX.WznI/QXpC3faxlcUFj0fTnbs.hi'

# needs TOOL…: ends unless they are all there.
needs() {
    for tool in "$@"; do
        command -v "$tool" >/dev/null || {
            echo "$name: $tool is not there; on Debian: apt-get install default-jdk-headless maven openssl" >&2
            exit 69
        }
    done
}
needs "$JAVA" "$JAVAC" "$JAR" mvn flock

# made FILE SOURCE…: whether FILE is there and not older than what it is made of.
made() {
    file=$1
    shift
    [ -e "$file" ] || return 1
    for source in "$@"; do
        [ ! "$source" -nt "$file" ] || return 1
    done
}

# maven ARGUMENTS…: one at a time, because Maven's local repository is not made for several, and with the JDK that
# Maven itself likes best.
maven() {
    echo "$name: Maven fetches the artefacts"
    env -u JAVA_HOME flock "$CACHE/../maven.lock" mvn --batch-mode --quiet "$@"
}

# resolve POM ARGUMENTS…: leaves the jars' names in $CACHE/classpath and in `jars`, joined by ':'.
resolve() {
    pom=$1
    shift
    jars=$(cat "$CACHE/classpath" 2>/dev/null || :)
    # A repository may have been emptied since.
    if ! made "$CACHE/classpath" "$pom" || [ ! -e "${jars%%:*}" ]; then
        maven --file "$pom" dependency:build-classpath "-Dserver.version=$version" "$@" \
            -Dmdep.includeTypes=jar "-Dmdep.outputFile=$CACHE/classpath.$$"
        mv "$CACHE/classpath.$$" "$CACHE/classpath"
    fi
    jars=$(cat "$CACHE/classpath")
}

# unpack ARTIFACT FOLDER: what is in a zip. Two servers may share a folder: the second waits for the first.
unpack() (
    [ ! -d "$2" ] || exit 0
    exec 9>"$2.lock"
    flock 9
    [ ! -d "$2" ] || exit 0
    rm -rf "$2.new"
    mkdir "$2.new"
    cd "$2.new"
    maven org.apache.maven.plugins:maven-dependency-plugin:3.8.1:unpack "-Dartifact=$1" "-DoutputDirectory=content"
    mv content "$2"
    rm -rf "$2.new"
)

# compile SOURCE…: the launcher, with what is this server's own, into $CACHE/classes. Two starts at once may both do
# this: each writes to a name of its own and moves it into place.
compile() {
    set -- "$servers/Launcher.java" "$@"
    if ! made "$CACHE/classes" "$@" "$CACHE/classpath"; then
        echo "$name: compiling the launcher"
        "$JAVAC" --release 17 -nowarn -proc:none -cp "$jars" -d "$CACHE/classes.$$" "$@"
        rm -rf "$CACHE/classes"
        mv -T "$CACHE/classes.$$" "$CACHE/classes" || [ -d "$CACHE/classes" ]
    fi
}

# launch JARS ARGUMENTS…: becomes the node.
launch() {
    classpath=$CACHE/classes:$1
    shift
    exec "$JAVA" -Xms128m "-Xmx${HEAP:-512m}" -XX:+UseSerialGC \
        -Dlog4j2.disable.jmx=true "-Dlog4j.configurationFile=$servers/log4j2.properties" -cp "$classpath" "$@"
}

# certify: makes an authority and a key pair for the name `localhost` (and for no address), once for all servers, into
# `certificates`: ca.pem, node.pem, node.key.
certify() {
    needs openssl
    certificates=$CACHE/../certificates
    [ -e "$certificates/node.pem" ] || flock "$CACHE/../certificates.lock" sh -eu -c '
        [ ! -e "$1/node.pem" ] || exit 0
        mkdir -p "$1" && cd "$1"
        openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=logweir tests" -keyout ca.key -out ca.pem
        openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout node.key -out node.csr
        printf "%s\n" subjectAltName=DNS:localhost extendedKeyUsage=serverAuth,clientAuth >extensions
        openssl x509 -req -in node.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 3650 -extfile extensions \
            -out node.new
        mv node.new node.pem
    ' certify "$certificates" 2>"$CACHE/openssl.log" || { cat "$CACHE/openssl.log" >&2; exit 70; }
    certificates=$(cd "$certificates" && pwd)
}
