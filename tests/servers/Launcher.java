import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/**
 * One embedded node: {@code Launcher PORT DATA_DIR [setting=value …]}.
 *
 * <p>What is the same for all of them. Each server brings an {@code Embedded} of its own, which makes the node out of
 * settings and knows the port that it took. The system property {@code ca.file} says that it speaks TLS.
 */
final class Launcher {
    private static final int NOT_YET = 503;

    public static void main(String[] args) throws Exception {
        Path home = Files.createDirectories(Path.of(args[1]).toAbsolutePath());
        for (String part : List.of("config", "lib", "modules", "plugins")) {
            Files.createDirectories(home.resolve(part));
        }

        Embedded node = new Embedded(settings(home, args), home);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> close(node)));
        node.start();

        String ca = System.getProperty("ca.file");
        String address = (ca == null ? "http://127.0.0.1:" : "https://localhost:") + node.port();
        awaitRequests(URI.create(address), ca);
        System.out.println("READY " + address);
        Thread.currentThread().join();
    }

    private static Map<String, String> settings(Path home, String[] args) {
        Map<String, String> settings = new TreeMap<>(Map.of(
            "path.home", home.toString(),
            "path.data", home.resolve("data").toString(),
            "path.logs", home.resolve("logs").toString(),
            "cluster.name", "logweir-tests",
            "node.name", "node-1",
            "discovery.type", "single-node",
            "network.host", "127.0.0.1",
            "http.port", args[0],
            "transport.port", "0",
            // A developer's disk is often fuller than a node likes.
            "cluster.routing.allocation.disk.threshold_enabled", "false"));
        for (int i = 2; i < args.length; i++) {
            String[] setting = args[i].split("=", 2);
            settings.put(setting[0], setting[1]);
        }
        return settings;
    }

    /** A node with security answers before it knows its users, and then says so. */
    private static void awaitRequests(URI address, String ca) throws Exception {
        HttpClient.Builder client = HttpClient.newBuilder();
        if (ca != null) {
            client.sslContext(trusting(Path.of(ca)));
        }
        HttpRequest request = HttpRequest.newBuilder(address).build();
        while (client.build().send(request, HttpResponse.BodyHandlers.discarding()).statusCode() == NOT_YET) {
            Thread.sleep(100);
        }
    }

    private static SSLContext trusting(Path ca) throws Exception {
        KeyStore trusted = KeyStore.getInstance(KeyStore.getDefaultType());
        trusted.load(null, null);
        try (var pem = Files.newInputStream(ca)) {
            trusted.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(pem));
        }
        TrustManagerFactory trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(trusted);
        SSLContext context = SSLContext.getInstance("TLS");
        context.init(null, trust.getTrustManagers(), null);
        return context;
    }

    private static void close(Embedded node) {
        try {
            node.close();
        } catch (Exception e) {
            e.printStackTrace();
        }
    }
}
