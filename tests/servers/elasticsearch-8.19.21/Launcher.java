import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * One embedded Elasticsearch node: {@code Launcher PORT DATA_DIR [setting=value …]}.
 *
 * <p>A distribution keeps its HTTP transport in {@code modules/transport-netty4}. Here the same folder is laid out under
 * DATA_DIR from the jars named by the system property {@code module.jars}; the descriptor and the policy that belong
 * beside them are taken out of the module's own jar.
 */
final class Launcher {
    private static final String MODULE = "transport-netty4";

    public static void main(String[] args) throws Exception {
        Path home = Files.createDirectories(Path.of(args[1]).toAbsolutePath());
        for (String part : List.of("config", "lib", "modules", "plugins")) {
            Files.createDirectories(home.resolve(part));
        }
        layOutModule(home.resolve("modules").resolve(MODULE));
        LogConfigurator.configureESLogging();

        Environment environment = InternalSettingsPreparer.prepareEnvironment(
            settings(home, args), Map.of(), home.resolve("config"), () -> "tests");
        PluginsLoader plugins = PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(home.resolve("modules")),
            PluginsLoader.loadPluginsBundles(home.resolve("plugins")),
            Map.of(), false);
        Node node = new Node(environment, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();

        int port = node.injector().getInstance(HttpServerTransport.class)
            .boundAddress().publishAddress().getPort();
        System.out.println("READY http://127.0.0.1:" + port);
        Thread.currentThread().join();
    }

    private static Settings settings(Path home, String[] args) {
        Settings.Builder settings = Settings.builder()
            .put("path.home", home)
            .put("path.data", home.resolve("data"))
            .put("path.logs", home.resolve("logs"))
            .put("cluster.name", "logweir-tests")
            .put("node.name", "node-1")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", args[0])
            .put("transport.port", "0")
            .put("http.type", "netty4")
            .put("transport.type", "netty4")
            // A developer's disk is often fuller than Elasticsearch likes.
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (int i = 2; i < args.length; i++) {
            String[] setting = args[i].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        return settings.build();
    }

    private static void layOutModule(Path folder) throws Exception {
        Files.createDirectories(folder);
        for (String name : System.getProperty("module.jars").split(":")) {
            Path jar = Path.of(name);
            Files.copy(jar, folder.resolve(jar.getFileName()), StandardCopyOption.REPLACE_EXISTING);
            if (!jar.getFileName().toString().startsWith(MODULE + "-")) {
                continue;
            }
            try (FileSystem inside = FileSystems.newFileSystem(jar)) {
                Path from = inside.getPath("META-INF/es-plugins", MODULE);
                // The server stands on the class path, an unnamed module, which a named one cannot read.
                String descriptor = Files.readString(from.resolve("plugin-descriptor.properties"))
                    .replaceAll("(?m)^modulename=.*$", "");
                Files.writeString(folder.resolve("plugin-descriptor.properties"), descriptor);
                Files.copy(from.resolve("entitlement-policy.yaml"), folder.resolve("entitlement-policy.yaml"),
                    StandardCopyOption.REPLACE_EXISTING);
            }
        }
    }

    private static void close(Node node) {
        try {
            node.close();
        } catch (Exception e) {
            e.printStackTrace();
        }
    }
}
