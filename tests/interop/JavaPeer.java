import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyFactory;
import java.security.PrivateKey;
import java.security.spec.PKCS8EncodedKeySpec;
import java.util.Arrays;
import java.util.Properties;
import java.util.Random;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

import net.i2p.I2PAppContext;
import net.i2p.client.I2PClient;
import net.i2p.client.I2PClientFactory;
import net.i2p.client.I2PSession;
import net.i2p.client.I2PSessionMuxedListener;
import net.i2p.client.datagram.I2PDatagramDissector;
import net.i2p.client.datagram.I2PDatagramMaker;
import net.i2p.client.streaming.I2PServerSocket;
import net.i2p.client.streaming.I2PSocket;
import net.i2p.client.streaming.I2PSocketManager;
import net.i2p.client.streaming.I2PSocketManagerFactory;
import net.i2p.client.streaming.I2PSocketOptions;
import net.i2p.crypto.SU3File;
import net.i2p.crypto.SigType;
import net.i2p.data.Destination;
import net.i2p.data.Hash;
import net.i2p.router.Router;

/**
 * The Java side of the interoperability checks.
 *
 * {@code JavaPeer router FOLDER WEB_PORT PROXY_PORT HOPS DATAGRAM_PORT} runs the router that FOLDER/router.config
 * describes, with one hidden service (FOLDER/web.dat) that leads to 127.0.0.1:WEB_PORT, and an HTTP proxy for plain GETs at
 * PROXY_PORT. At DATAGRAM_PORT it is told {@code PROTOCOL SIZE DESTINATION} in one line, sends a datagram of that many bytes
 * there, and says {@code OK} once it came back as it was.
 *
 * {@code JavaPeer sign KEY ZIP BUNDLE SIGNER} signs a reseed bundle with the RSA key (PKCS #8, DER) in KEY.
 */
public final class JavaPeer {
    private static final ExecutorService WORKERS = Executors.newCachedThreadPool(work -> {
        Thread worker = new Thread(work);
        worker.setDaemon(true);
        return worker;
    });

    private interface Work {
        void run() throws Exception;
    }

    public static void main(String[] words) throws Exception {
        switch (words[0]) {
            case "router" -> router(Path.of(words[1]), port(words[2]), port(words[3]), words[4], port(words[5]));
            case "sign" -> sign(Path.of(words[1]), Path.of(words[2]), Path.of(words[3]), words[4]);
            default -> throw new IllegalArgumentException(words[0]);
        }
    }

    private static int port(String word) {
        return Integer.parseInt(word);
    }

    private static void sign(Path key, Path zip, Path bundle, String signer) throws Exception {
        PrivateKey secret = KeyFactory.getInstance("RSA").generatePrivate(new PKCS8EncodedKeySpec(Files.readAllBytes(key)));
        String version = Long.toString(System.currentTimeMillis() / 1000);
        new SU3File(I2PAppContext.getGlobalContext(), bundle.toFile()).write(zip.toFile(), SU3File.TYPE_ZIP,
            SU3File.CONTENT_RESEED, version, signer, secret, SigType.RSA_SHA512_4096);
    }

    private static void router(Path folder, int web, int proxy, String hops, int datagrams) throws Exception {
        Path keys = folder.resolve("web.dat");
        if (Files.notExists(keys)) {
            ByteArrayOutputStream fresh = new ByteArrayOutputStream();
            I2PClientFactory.createClient().createDestination(fresh, SigType.EdDSA_SHA512_Ed25519);
            Files.write(keys, fresh.toByteArray());
        }
        Properties places = new Properties();
        for (String place : "base config router pid log app".split(" ")) {
            places.setProperty("i2p.dir." + place, folder.toString());
        }
        Router router = new Router(folder.resolve("router.config").toString(), places);
        router.setKillVMOnEnd(true);
        router.runRouter();
        while (!router.isRunning() || router.getRouterInfo() == null) {
            Thread.sleep(50);
        }
        Properties tunnels = new Properties();
        tunnels.setProperty("inbound.length", hops);
        tunnels.setProperty("outbound.length", hops);
        tunnels.setProperty("inbound.quantity", "2");
        tunnels.setProperty("outbound.quantity", "2");
        tunnels.setProperty("i2cp.leaseSetEncType", "4");
        tunnels.setProperty("i2cp.gzip", "false");
        spawn(() -> service(keys, tunnels, web));
        spawn(() -> proxy(tunnels, proxy));
        spawn(() -> datagrams(tunnels, datagrams));
    }

    /** A datagram as the library handed it out. */
    private record Arrival(int protocol, int from, int to, byte[] bytes) {
    }

    private static void datagrams(Properties tunnels, int port) throws Exception {
        I2PClient client = I2PClientFactory.createClient();
        ByteArrayOutputStream keys = new ByteArrayOutputStream();
        client.createDestination(keys, SigType.EdDSA_SHA512_Ed25519);
        I2PSession session = client.createSession(new ByteArrayInputStream(keys.toByteArray()), tunnels);
        BlockingQueue<Arrival> arrivals = new LinkedBlockingQueue<>();
        session.addMuxedSessionListener(new I2PSessionMuxedListener() {
            @Override
            public void messageAvailable(I2PSession session, int message, long size, int protocol, int from, int to) {
                spawn(() -> arrivals.add(new Arrival(protocol, from, to, session.receiveMessage(message))));
            }

            @Override
            public void messageAvailable(I2PSession session, int message, long size) {
            }

            @Override
            public void reportAbuse(I2PSession session, int severity) {
            }

            @Override
            public void disconnected(I2PSession session) {
            }

            @Override
            public void errorOccurred(I2PSession session, String message, Throwable error) {
                System.err.println(message);
            }
        }, I2PSession.PROTO_ANY, I2PSession.PORT_ANY);
        session.connect();
        try (ServerSocket door = new ServerSocket()) {
            door.bind(new InetSocketAddress("127.0.0.1", port));
            while (true) {
                try (Socket asker = door.accept()) {
                    String[] words = line(asker.getInputStream()).split(" ");
                    String outcome;
                    try {
                        outcome = echoed(session, arrivals, port(words[0]), port(words[1]), new Destination(words[2]));
                    } catch (Exception error) {
                        outcome = error.toString();
                    }
                    asker.getOutputStream().write((outcome + "\n").getBytes(StandardCharsets.UTF_8));
                } catch (Exception error) {
                    System.err.println(error);
                }
            }
        }
    }

    private static String line(InputStream in) throws IOException {
        StringBuilder line = new StringBuilder();
        for (int next = in.read(); next >= 0 && next != '\n'; next = in.read()) {
            line.append((char) next);
        }
        return line.toString();
    }

    /** Sends one datagram and waits 4 seconds for it to come back. */
    private static String echoed(I2PSession session, BlockingQueue<Arrival> arrivals, int protocol, int size,
                                 Destination to) throws Exception {
        byte[] payload = new byte[size];
        new Random().nextBytes(payload);
        boolean raw = protocol != I2PSession.PROTO_DATAGRAM;
        if (raw) { // it says to whom the answer goes
            System.arraycopy(session.getMyDestination().calculateHash().getData(), 0, payload, 0, Hash.HASH_LENGTH);
        }
        byte[] datagram = raw ? payload : new I2PDatagramMaker(session).makeI2PDatagram(payload);
        session.sendMessage(to, datagram, 0, datagram.length, null, null, protocol, 1234, 5678);
        for (Arrival came = next(arrivals); came != null; came = next(arrivals)) {
            byte[] back = came.bytes();
            if (!raw) {
                I2PDatagramDissector dissector = new I2PDatagramDissector();
                dissector.loadI2PDatagram(came.bytes());
                back = dissector.getPayload(); // throws where the signature is wrong
                if (!dissector.getSender().equals(to)) {
                    return "it came from another";
                }
            }
            if (Arrays.equals(back, payload)) {
                boolean swapped = came.from() == 5678 && came.to() == 1234 && came.protocol() == protocol;
                return swapped ? "OK" : "it came with other ports or another protocol: " + came;
            }
        }
        return "nothing came";
    }

    private static Arrival next(BlockingQueue<Arrival> arrivals) throws InterruptedException {
        return arrivals.poll(4, TimeUnit.SECONDS);
    }

    private static void service(Path keys, Properties tunnels, int web) throws Exception {
        I2PSocketManager manager;
        do {
            try (InputStream in = new FileInputStream(keys.toFile())) {
                manager = I2PSocketManagerFactory.createManager(in, "127.0.0.1", 0, tunnels);
            }
        } while (manager == null);
        for (I2PServerSocket door = manager.getServerSocket(); ; ) {
            I2PSocket visitor = door.accept();
            if (visitor != null) {
                spawn(() -> {
                    try (Socket site = new Socket(InetAddress.getLoopbackAddress(), web)) {
                        both(visitor, site);
                    }
                });
            }
        }
    }

    private static void proxy(Properties tunnels, int port) throws Exception {
        I2PSocketManager manager;
        do {
            manager = I2PSocketManagerFactory.createManager(tunnels);
        } while (manager == null);
        I2PSocketManager own = manager;
        try (ServerSocket door = new ServerSocket()) {
            door.bind(new InetSocketAddress("127.0.0.1", port));
            while (true) {
                Socket browser = door.accept();
                spawn(() -> {
                    try (browser) {
                        browse(browser, own);
                    }
                });
            }
        }
    }

    /** One request: {@code GET http://NAME/PATH}, whose head goes on with the path alone. */
    private static void browse(Socket browser, I2PSocketManager manager) throws Exception {
        String head = head(browser.getInputStream());
        int from = head.indexOf("http://") + "http://".length();
        int slash = head.indexOf('/', from);
        Destination site = manager.getSession().lookupDest(head.substring(from, slash), 15_000);
        I2PSocket stream = null;
        if (site != null) {
            I2PSocketOptions options = manager.buildOptions();
            options.setConnectTimeout(30_000);
            stream = manager.connect(site, options);
        }
        if (stream == null) {
            browser.getOutputStream().write("HTTP/1.0 504 Not Found\r\n\r\n".getBytes(StandardCharsets.US_ASCII));
            return;
        }
        String rest = head.substring(0, from - "http://".length()) + head.substring(slash);
        stream.getOutputStream().write(rest.getBytes(StandardCharsets.ISO_8859_1));
        stream.getOutputStream().flush();
        both(stream, browser);
    }

    private static String head(InputStream in) throws IOException {
        ByteArrayOutputStream head = new ByteArrayOutputStream();
        while (head.size() < 16_384 && !head.toString(StandardCharsets.ISO_8859_1).endsWith("\r\n\r\n")) {
            int next = in.read();
            if (next < 0) {
                throw new IOException("the request ended early");
            }
            head.write(next);
        }
        return head.toString(StandardCharsets.ISO_8859_1);
    }

    /** Carries bytes both ways; the socket's own end of stream ends its way alone. */
    private static void both(I2PSocket stream, Socket socket) throws Exception {
        spawn(() -> pour(socket.getInputStream(), stream.getOutputStream()));
        try {
            pour(stream.getInputStream(), socket.getOutputStream());
        } finally {
            socket.close();
            stream.close();
        }
    }

    private static void pour(InputStream from, OutputStream to) throws IOException {
        byte[] cup = new byte[16_384];
        for (int filled = from.read(cup); filled >= 0; filled = from.read(cup)) {
            to.write(cup, 0, filled);
            to.flush();
        }
    }

    private static void spawn(Work work) {
        WORKERS.execute(() -> {
            try {
                work.run();
            } catch (Exception error) {
                System.err.println(error);
            }
        });
    }
}
