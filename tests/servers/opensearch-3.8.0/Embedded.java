import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.opensearch.Version;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.http.HttpServerTransport;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.PluginInfo;

/**
 * A node of OpenSearch 3.
 *
 * <p>What a distribution loads from {@code modules/} stands on the class path here and is named by the system property
 * {@code plugins}.
 */
final class Embedded extends Node {
    Embedded(Map<String, String> settings, Path home) {
        super(environment(settings, home), plugins(), false);
    }

    int port() {
        return injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
    }

    private static Environment environment(Map<String, String> settings, Path home) {
        return InternalSettingsPreparer.prepareEnvironment(
            Settings.builder().loadFromMap(settings).build(), Map.of(), home.resolve("config"), () -> "tests");
    }

    private static List<PluginInfo> plugins() {
        return Arrays.stream(System.getProperty("plugins").split(","))
            .map(name -> new PluginInfo(
                name, "on the class path", "NA", Version.CURRENT, "11", name, null, List.of(), false))
            .toList();
    }
}
