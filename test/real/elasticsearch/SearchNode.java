import java.nio.file.Path;
import java.util.Map;
import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/**
 * One node of Elasticsearch on loopback, started on the class path: SearchNode HOME HTTP_PORT TRANSPORT_PORT.
 * Prints READY once it answers, and ends when its standard input ends, so that it never outlives its test.
 */
public final class SearchNode {
  public static void main(String[] arguments) throws Exception {
    Path home = Path.of(arguments[0]).toAbsolutePath();
    LogConfigurator.configureESLogging();
    Settings settings = Settings.builder()
        .put("path.home", home.toString())
        .put("path.data", home.resolve("data").toString())
        .put("cluster.name", "test")
        .put("node.name", "test-0")
        .put("http.host", "127.0.0.1")
        .put("http.port", Integer.parseInt(arguments[1]))
        .put("transport.host", "127.0.0.1")
        .put("transport.port", Integer.parseInt(arguments[2]))
        .put("discovery.type", "single-node")
        .put("cluster.routing.allocation.disk.threshold_enabled", false)
        .put("node.store.allow_mmap", false)
        .build();
    Environment environment =
        InternalSettingsPreparer.prepareEnvironment(settings, Map.of(), home.resolve("config"), () -> "test-0");
    LogConfigurator.configure(environment, true);
    PluginsLoader plugins = PluginsLoader.createPluginsLoader(
        PluginsLoader.loadModulesBundles(environment.modulesDir()),
        PluginsLoader.loadPluginsBundles(environment.pluginsDir()),
        Map.of(),
        false);
    Node node = new Node(environment, plugins);
    node.start();
    System.out.println("READY");
    while (System.in.read() >= 0) {
      // The test keeps it open for as long as it runs.
    }
    node.close();
    System.exit(0);
  }
}
