# Sourced by run.sh of Elasticsearch 8 and newer, after prepare.sh. They load the HTTP transport as a module with a class
# loader of its own: the module's jars go into the module's folder, everything else onto the class path.
resolve "$servers/elasticsearch/pom.xml"
of_module='/io/netty/|/transport-netty4/|/elasticsearch-ssl-config/'
module=$(echo "$jars" | tr ':' '\n' | grep -E "$of_module" | paste -sd: -)
jars=$(echo "$jars" | tr ':' '\n' | grep -Ev "$of_module" | paste -sd: -)
compile "$servers/elasticsearch/ModuleFolder.java" "$here/Embedded.java"
launch "$jars" "-Dmodule.jars=$module" Launcher "$@"
