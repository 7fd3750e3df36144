// A server that speaks MongoDB's wire protocol, for the tests: keeps its data in a file, and has
// every acknowledged write there before it answers, so that killing it loses none.
//
// Arguments: the data file, "-" for the same in memory, or "hash" for the library's own tables in
// memory, which cost least and are what benchmarks use; the port, 0 for any; "5.0" or "3.6". It prints
// "ready PORT", and ends when its standard input does, so that it never outlives the tests.

import de.bwaldvogel.mongo.MongoBackend;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.ServerVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.backend.memory.MemoryBackend;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.wire.message.MongoMessage;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Set;
import org.h2.mvstore.MVStore;

public final class Launcher {
    private static final Set<String> WRITES = Set.of(
        "insert", "update", "delete", "findAndModify", "createIndexes", "create", "drop", "dropDatabase");

    /** The wire version that the driver asks for; the library's own 5.0 names an older one. */
    private static final MongoVersion FIVE = new MongoVersion() {
        @Override
        public List<Integer> getVersionArray() {
            return List.of(5, 0, 0, 0);
        }

        @Override
        public int getWireVersion() {
            return 13;
        }
    };

    /** Writes the store out before a write is answered. */
    private static final class Durable extends H2Backend {
        private final boolean file;

        Durable(MVStore store, boolean file) {
            super(store);
            this.file = file;
        }

        @Override
        public Document handleMessage(MongoMessage message) {
            Document answer = super.handleMessage(message);
            String command = message.getDocument().keySet().iterator().next();
            if (file && WRITES.contains(command)) {
                commit();
            }
            return answer;
        }
    }

    private static MongoBackend backend(String where, MongoVersion version) {
        if (where.equals("hash")) {
            MemoryBackend backend = new MemoryBackend();
            backend.version(version);
            return backend;
        }
        boolean file = !where.equals("-");
        MVStore store = new MVStore.Builder().fileName(file ? where : null).open();
        Durable backend = new Durable(store, file);
        backend.version(version);
        return backend;
    }

    public static void main(String[] arguments) throws Exception {
        MongoVersion version = arguments[2].equals("5.0") ? FIVE : ServerVersion.MONGO_3_6;
        MongoServer server = new MongoServer(backend(arguments[0], version));
        server.bind(new InetSocketAddress("127.0.0.1", Integer.parseInt(arguments[1])));
        System.out.println("ready " + server.getLocalAddress().getPort());
        while (System.in.read() >= 0) {
            // Nothing is said to it; it waits for the end.
        }
        Runtime.getRuntime().halt(0);
    }
}
