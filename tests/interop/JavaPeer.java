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
import java.util.Properties;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

import net.i2p.I2PAppContext;
import net.i2p.client.I2PClientFactory;
import net.i2p.client.streaming.I2PServerSocket;
import net.i2p.client.streaming.I2PSocket;
import net.i2p.client.streaming.I2PSocketManager;
import net.i2p.client.streaming.I2PSocketManagerFactory;
import net.i2p.client.streaming.I2PSocketOptions;
import net.i2p.crypto.SU3File;
import net.i2p.crypto.SigType;
import net.i2p.data.Destination;
import net.i2p.router.Router;

/**
 * The Java side of the interoperability checks.
 *
 * {@code JavaPeer router FOLDER WEB_PORT PROXY_PORT HOPS} runs the router that FOLDER/router.config describes, with one
 * hidden service (FOLDER/web.dat) that leads to 127.0.0.1:WEB_PORT, and an HTTP proxy for plain GETs at PROXY_PORT.
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
            case "router" -> router(Path.of(words[1]), port(words[2]), port(words[3]), words[4]);
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

    private static void router(Path folder, int web, int proxy, String hops) throws Exception {
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
