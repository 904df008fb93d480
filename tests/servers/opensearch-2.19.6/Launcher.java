import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.opensearch.analysis.common.CommonAnalysisPlugin;
import org.opensearch.common.settings.Settings;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.index.mapper.MapperExtrasPlugin;
import org.opensearch.index.reindex.ReindexPlugin;
import org.opensearch.ingest.common.IngestCommonPlugin;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.painless.PainlessPlugin;
import org.opensearch.plugins.Plugin;
import org.opensearch.transport.Netty4Plugin;

/**
 * One embedded OpenSearch node: {@code Launcher PORT DATA_DIR [setting=value …]}.
 *
 * <p>What a distribution loads from {@code modules/} stands on the class path here and is named below.
 */
final class Launcher {
    private static final List<Class<? extends Plugin>> MODULES = List.of(
        Netty4Plugin.class, CommonAnalysisPlugin.class, IngestCommonPlugin.class, PainlessPlugin.class,
        MapperExtrasPlugin.class, ReindexPlugin.class);

    /** Node's constructor that takes its plugins as classes is for subclasses. */
    private static final class Embedded extends Node {
        Embedded(Settings settings, Path config) {
            super(InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), config, () -> "tests"), MODULES, false);
        }
    }

    public static void main(String[] args) throws Exception {
        Path home = Files.createDirectories(Path.of(args[1]).toAbsolutePath());
        for (String part : List.of("config", "modules", "plugins")) {
            Files.createDirectories(home.resolve(part));
        }

        Node node = new Embedded(settings(home, args), home.resolve("config"));
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
            // A developer's disk is often fuller than OpenSearch likes.
            .put("cluster.routing.allocation.disk.threshold_enabled", false);
        for (int i = 2; i < args.length; i++) {
            String[] setting = args[i].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        return settings.build();
    }

    private static void close(Node node) {
        try {
            node.close();
        } catch (Exception e) {
            e.printStackTrace();
        }
    }
}
