"""A reseed server: bundles of RouterInfos, signed by a signer made on the spot, over HTTPS of an authority made too."""

import http.server
import os
import ssl
import subprocess
import threading
import time
import zipfile

from routers import i2p_base64, identity_hash, read

SIGNER = "tester@mail.i2p"


def openssl(*words, folder, data=None):
    done = subprocess.run(["openssl", *words], cwd=folder, input=data, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, timeout=120)
    if done.returncode:
        raise RuntimeError(f"openssl {words[0]}: {done.stderr.decode(errors='replace')[-300:]}")
    return done.stdout


class Reseed:
    """A folder with an authority, a server's certificate, a signer, bundles, and the server itself."""

    def __init__(self, folder, java=None):
        self.folder, self.java = folder, java
        os.makedirs(folder)
        key = ["-newkey", "rsa:2048", "-nodes", "-days", "2"]
        openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=Test authority",
                "-addext", "basicConstraints=critical,CA:TRUE", folder=folder)
        openssl("req", *key[:3], "-keyout", "server.key", "-out", "server.csr", "-subj", "/CN=localhost", folder=folder)
        with open(self.path("server.ext"), "w") as file:
            file.write("subjectAltName=IP:127.0.0.1\nextendedKeyUsage=serverAuth\n")
        openssl("x509", "-req", "-in", "server.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                "-days", "2", "-extfile", "server.ext", "-out", "server.pem", folder=folder)
        openssl("req", "-x509", "-newkey", "rsa:4096", "-nodes", "-days", "2", "-keyout", "signer.key",
                "-out", self.signer, "-subj", f"/CN={SIGNER}", folder=folder)
        openssl("pkcs8", "-topk8", "-nocrypt", "-in", "signer.key", "-outform", "DER", "-out", "signer.der", folder=folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    @property
    def signer(self):
        """The signer's certificate, in a file with the signer's name."""
        return self.path(SIGNER.replace("@", "_at_") + ".crt")

    @property
    def authority(self):
        return self.path("ca.pem")

    def bundle(self, infos, name):
        """A signed bundle of these RouterInfos: made by Java I2P's own SU3File where it is there."""
        content = self.path(name + ".zip")
        with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as pack:
            for info in infos:
                pack.writestr(f"routerInfo-{i2p_base64(identity_hash(info))}.dat", info)
        path = self.path(name)
        if self.java:
            done = subprocess.run([*self.java, "sign", self.path("signer.der"), content, path, SIGNER],
                                  cwd=self.folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=120)
            if done.returncode:
                raise RuntimeError(done.stdout.decode(errors="replace")[-300:])
        else:
            with open(path, "wb") as file:
                file.write(self._su3(read(content)))
        return read(path)

    def _su3(self, content):
        """SU3: a header of 40 bytes, a version, the signer's name, the content, RSA of the bare SHA-512 of all that."""
        version = str(int(time.time())).encode().ljust(16, b"\0")
        signer = SIGNER.encode()
        number = lambda value, size: value.to_bytes(size, "big")
        signed = (b"I2Psu3\0\0" + number(6, 2) + number(512, 2) + b"\0" + number(len(version), 1) + b"\0"
                  + number(len(signer), 1) + number(len(content), 8) + b"\0\0\0\x03" + bytes(12)
                  + version + signer + content)
        digest = openssl("dgst", "-sha512", "-binary", folder=self.folder, data=signed)
        return signed + openssl("pkeyutl", "-sign", "-inkey", "signer.key", "-pkeyopt", "rsa_padding_mode:pkcs1",
                                folder=self.folder, data=digest)

    def serve(self, bundle):
        """Serves the bundle; returns the URL to configure and the paths that were asked for, as they come."""
        asked = []

        class Answer(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                self.send_response(200)
                self.send_header("Content-Length", str(len(bundle)))
                self.end_headers()
                self.wfile.write(bundle)

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        server.daemon_threads = True
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path("server.pem"), self.path("server.key"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"https://127.0.0.1:{server.server_address[1]}/", asked
