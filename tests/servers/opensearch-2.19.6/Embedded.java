import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;

/**
 * A node of OpenSearch 2.
 *
 * <p>What a distribution loads from {@code modules/} stands on the class path here and is named by the system property
 * {@code plugins}.
 */
final class Embedded extends Node {
    Embedded(Map<String, String> settings, Path home) throws ClassNotFoundException {
        super(environment(settings, home), plugins(), false);
    }

    int port() {
        return injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
    }

    private static Environment environment(Map<String, String> settings, Path home) {
        return InternalSettingsPreparer.prepareEnvironment(
            Settings.builder().loadFromMap(settings).build(), Map.of(), home.resolve("config"), () -> "tests");
    }

    private static List<Class<? extends Plugin>> plugins() throws ClassNotFoundException {
        List<Class<? extends Plugin>> plugins = new ArrayList<>();
        for (String name : System.getProperty("plugins").split(",")) {
            plugins.add(Class.forName(name).asSubclass(Plugin.class));
        }
        return plugins;
    }
}
