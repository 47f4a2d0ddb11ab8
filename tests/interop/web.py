"""The sites behind the hidden services, and a browser that asks for them through proxies."""

import hashlib
import http.client
import http.server
import random
import socket
import threading


def body_of(name, size):
    """A site's body of that size: always the same bytes."""
    return random.Random(name).randbytes(size)


class Site(http.server.ThreadingHTTPServer):
    """GET /page names the site, GET /body/SIZE is so many bytes, POST /sum answers the SHA-256 of what it was sent."""

    daemon_threads = True

    def __init__(self, name):
        super().__init__(("127.0.0.1", 0), Visit)
        self.name, self.port = name, self.server_address[1]
        threading.Thread(target=self.serve_forever, daemon=True).start()


class Visit(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/page":
            self.answer(page_of(self.server.name))
        else:
            self.answer(body_of(self.server.name, int(self.path.rpartition("/")[2])))

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.answer(hashlib.sha256(body).hexdigest().encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def page_of(name):
    return f"This is {name}'s hidden service.\n".encode()


def fetch(port, host, path, seconds, socks=False, upload=None):
    """The body of an answer with status 200, through the proxy at this port of 127.0.0.1."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        if socks:
            connection.sock = _socks_connect(port, host, seconds)
        url = path if socks else f"http://{host}{path}"
        connection.request("GET" if upload is None else "POST", url, upload, {"Host": host, "Connection": "close"})
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 200:
            raise OSError(f"status {answer.status}")
        return body
    finally:
        connection.close()


def _socks_connect(port, host, seconds):
    """A SOCKS5 connection to port 80 of a named host, without authentication."""
    name = host.encode()
    stream = socket.create_connection(("127.0.0.1", port), seconds)
    try:
        stream.sendall(b"\x05\x01\x00" + b"\x05\x01\x00\x03" + bytes([len(name)]) + name + (80).to_bytes(2, "big"))
        answer = b""
        while len(answer) < 2 + 4:
            answer += _some(stream, 2 + 4 - len(answer))
        if answer[:2] != b"\x05\x00" or answer[3] != 0:
            raise OSError(f"SOCKS answer {answer.hex()}")
        left = {1: 4, 4: 16}[answer[5]] + 2
        while left:
            left -= len(_some(stream, left))
        return stream
    except BaseException:
        stream.close()
        raise


def _some(stream, most):
    data = stream.recv(most)
    if not data:
        raise OSError("the SOCKS proxy closed the connection")
    return data
