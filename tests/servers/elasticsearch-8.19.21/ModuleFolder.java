import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.FileSystem;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;

/**
 * The HTTP transport, which a distribution keeps in {@code modules/transport-netty4} and a
 * node loads with a class loader of its own.
 *
 * <p>The same folder is laid out from the jars named by the system property {@code module.jars}; the descriptor and the
 * policy that belong beside them are taken out of the module's own jar.
 */
final class ModuleFolder {
    private static final String MODULE = "transport-netty4";

    static void layOut(Path modules) {
        try {
            layOutIn(Files.createDirectories(modules.resolve(MODULE)));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static void layOutIn(Path folder) throws IOException {
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
}
