# Sourced by each server's run.sh, which has set `here` to its own folder. Leaves in CACHE:
#   classpath    the server's jars, joined by ':', as Maven resolved them from pom.xml
#   classes/     the compiled Launcher
# and sets CLASSPATH_ALL and JAVA. Done once: the class path anew when pom.xml is newer, the classes when Launcher.java is.

name=$(basename "$here")
CACHE=${CACHE:-$here/../../../target/servers/$name}
mkdir -p "$CACHE"
CACHE=$(cd "$CACHE" && pwd)

if [ -n "$JAVA_HOME" ]; then JAVA=$JAVA_HOME/bin/java JAVAC=$JAVA_HOME/bin/javac; else JAVA=java JAVAC=javac; fi
for tool in "$JAVA" "$JAVAC" mvn; do
    command -v "$tool" >/dev/null || {
        echo "$name: $tool is not there; on Debian: apt-get install default-jdk-headless maven" >&2
        exit 69
    }
done

# Two starts at once may both do this work: each writes to a name of its own and moves it into place.
if [ ! -s "$CACHE/classpath" ] || [ "$here/pom.xml" -nt "$CACHE/classpath" ]; then
    echo "$name: resolving the artefacts with Maven"
    mvn --batch-mode --quiet --file "$here/pom.xml" dependency:build-classpath -Dmdep.outputFile="$CACHE/classpath.$$"
    mv "$CACHE/classpath.$$" "$CACHE/classpath"
fi
CLASSPATH_ALL=$(cat "$CACHE/classpath")

if [ ! -e "$CACHE/classes" ] || [ "$here/Launcher.java" -nt "$CACHE/classes" ]; then
    echo "$name: compiling the launcher"
    "$JAVAC" -nowarn -proc:none -cp "$CLASSPATH_ALL" -d "$CACHE/classes.$$" "$here/Launcher.java"
    rm -rf "$CACHE/classes"
    mv -T "$CACHE/classes.$$" "$CACHE/classes" || rm -rf "$CACHE/classes.$$"
fi
