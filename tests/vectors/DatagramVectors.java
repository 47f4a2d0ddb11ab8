import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Properties;

import net.i2p.I2PAppContext;
import net.i2p.client.I2PClient;
import net.i2p.client.I2PClientFactory;
import net.i2p.client.I2PSession;
import net.i2p.client.datagram.Datagram2;
import net.i2p.client.datagram.Datagram3;
import net.i2p.client.datagram.I2PDatagramDissector;
import net.i2p.client.datagram.I2PDatagramMaker;
import net.i2p.crypto.SigType;
import net.i2p.data.DataHelper;
import net.i2p.data.Signature;
import net.i2p.data.SigningPrivateKey;
import net.i2p.data.SigningPublicKey;
import net.i2p.data.SimpleDataStructure;

/**
 * Makes datagrams.json anew, with other keys: {@code java -cp 'i2p.jar:.' DatagramVectors datagrams.json}. Datagrams 2
 * and 3 need Java I2P 2.9.0 or newer.
 */
public final class DatagramVectors {
    private static final I2PAppContext CONTEXT = I2PAppContext.getGlobalContext();
    private static final I2PClient CLIENT = I2PClientFactory.createClient();
    private static final byte[] PAYLOAD = "What the payload says.".getBytes(StandardCharsets.US_ASCII);
    private static final Map<String, String> OUT = new LinkedHashMap<>();

    public static void main(String[] words) throws Exception {
        OUT.put("made_with", words[1]);
        byte[] alice = keys(SigType.EdDSA_SHA512_Ed25519);
        byte[] bob = keys(SigType.EdDSA_SHA512_Ed25519);
        byte[] carol = keys(SigType.ECDSA_SHA256_P256);
        byte[] dave = keys(SigType.EdDSA_SHA512_Ed25519);
        I2PSession from = open(alice), to = open(bob), elliptic = open(carol);
        put("alice_key_file", alice);
        put("bob_key_file", bob);
        put("payload", PAYLOAD);
        put("1_ed25519", one(from));
        put("1_p256", one(elliptic));
        Properties options = new Properties();
        options.setProperty("foo", "bar");
        options.setProperty("a", "b=c;");
        put("2_to_bob", two(from, to, null));
        put("2_to_bob_options", two(from, to, options));
        put("2_to_bob_p256", two(elliptic, to, null));
        put("2_to_bob_offline_ed25519", two(open(offline(dave, SigType.EdDSA_SHA512_Ed25519)), to, null));
        put("2_to_bob_offline_p256_options", two(open(offline(dave, SigType.ECDSA_SHA256_P256)), to, options));
        put("3", three(from, null));
        put("3_options", three(from, options));
        StringBuilder json = new StringBuilder("{\n");
        OUT.forEach((name, value) -> json.append("  \"").append(name).append("\": \"").append(value).append("\",\n"));
        json.setLength(json.length() - 2);
        Files.writeString(Path.of(words[0]), json.append("\n}\n"));
        System.exit(0);
    }

    private static byte[] one(I2PSession from) throws Exception {
        byte[] made = new I2PDatagramMaker(from).makeI2PDatagram(PAYLOAD);
        I2PDatagramDissector dissector = new I2PDatagramDissector();
        dissector.loadI2PDatagram(made);
        check(dissector.getPayload());
        return made;
    }

    private static byte[] two(I2PSession from, I2PSession to, Properties options) throws Exception {
        byte[] made = Datagram2.make(CONTEXT, from, PAYLOAD, to.getMyDestination().calculateHash(), options);
        check(Datagram2.load(CONTEXT, to, made).getPayload());
        return made;
    }

    private static byte[] three(I2PSession from, Properties options) throws Exception {
        byte[] made = Datagram3.make(CONTEXT, from, PAYLOAD, options);
        check(Datagram3.load(CONTEXT, from, made).getPayload());
        return made;
    }

    private static void check(byte[] payload) {
        if (!Arrays.equals(payload, PAYLOAD)) {
            throw new IllegalStateException("it does not load again");
        }
    }

    private static byte[] keys(SigType type) throws Exception {
        ByteArrayOutputStream file = new ByteArrayOutputStream();
        CLIENT.createDestination(file, type);
        return file.toByteArray();
    }

    /** The key file of the same destination with a transient key, to 2038, in place of its own. */
    private static byte[] offline(byte[] file, SigType type) throws Exception {
        int end = file.length - SigType.EdDSA_SHA512_Ed25519.getPrivkeyLen();
        SigningPrivateKey own =
            new SigningPrivateKey(SigType.EdDSA_SHA512_Ed25519, Arrays.copyOfRange(file, end, file.length));
        SimpleDataStructure[] pair = CONTEXT.keyGenerator().generateSigningKeys(type);
        ByteArrayOutputStream statement = new ByteArrayOutputStream();
        DataHelper.writeLong(statement, 4, 0x7fffffff);
        DataHelper.writeLong(statement, 2, type.getCode());
        statement.write(((SigningPublicKey) pair[0]).getData());
        Signature voucher = CONTEXT.dsa().sign(statement.toByteArray(), own);
        ByteArrayOutputStream out = new ByteArrayOutputStream();
        out.write(file, 0, end);
        out.write(new byte[file.length - end]);
        out.write(statement.toByteArray());
        out.write(voucher.getData());
        out.write(((SigningPrivateKey) pair[1]).getData());
        return out.toByteArray();
    }

    private static I2PSession open(byte[] file) throws Exception {
        try (InputStream in = new ByteArrayInputStream(file)) {
            return CLIENT.createSession(in, new Properties());
        }
    }

    private static void put(String name, byte[] value) {
        OUT.put(name, HexFormat.of().formatHex(value));
    }
}
