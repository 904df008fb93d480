import java.nio.file.Path;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.http.HttpServerTransport;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/** A node of Elasticsearch 8. */
final class Embedded extends Node {
    Embedded(Map<String, String> settings, Path home) {
        super(environment(settings, home), plugins(home));
    }

    int port() {
        return injector().getInstance(HttpServerTransport.class).boundAddress().publishAddress().getPort();
    }

    private static Environment environment(Map<String, String> settings, Path home) {
        LogConfigurator.configureESLogging();
        return InternalSettingsPreparer.prepareEnvironment(
            Settings.builder().loadFromMap(settings).build(), Map.of(), home.resolve("config"), () -> "tests");
    }

    private static PluginsLoader plugins(Path home) {
        ModuleFolder.layOut(home.resolve("modules"));
        return PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(home.resolve("modules")),
            PluginsLoader.loadPluginsBundles(home.resolve("plugins")),
            Map.of(), false);
    }
}
