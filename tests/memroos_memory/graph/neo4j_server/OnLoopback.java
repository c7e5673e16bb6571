import java.nio.file.Path;
import java.time.Duration;

import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementService;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;

/**
 * A Neo4j for tests: Bolt on 127.0.0.1 and nothing else, no users, small memory.
 *
 * <p>Arguments: the folder of its data, the port. It prints "listening" once it answers, and ends with its standard
 * input, so that it never outlives whoever started it.
 */
final class OnLoopback {
    private OnLoopback() {}

    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]);
        SocketAddress address = new SocketAddress("127.0.0.1", Integer.parseInt(arguments[1]));

        DatabaseManagementService server =
                new DatabaseManagementServiceBuilder(folder)
                        .setConfig(BoltConnector.enabled, true)
                        .setConfig(BoltConnector.listen_address, address)
                        .setConfig(BoltConnector.advertised_address, address)
                        .setConfig(GraphDatabaseSettings.auth_enabled, false)
                        .setConfig(GraphDatabaseSettings.udc_enabled, false) // it would send usage data out
                        .setConfig(GraphDatabaseSettings.pagecache_memory, 64L * 1024 * 1024)
                        .setConfig(GraphDatabaseSettings.check_point_interval_time, Duration.ofMinutes(15))
                        .build();

        System.out.println("listening");
        while (System.in.read() >= 0) {
            // Whatever comes is of no interest; the end of it is.
        }
        server.shutdown();
    }
}
