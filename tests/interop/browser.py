#!/usr/bin/env python3
"""The gateway, as a browser sees it: headless Chromium reads a site and publishes a file.

Usage: tests/interop/browser.py GATEWAY SITE
  GATEWAY  the gateway's address, such as 127.0.0.1:8888
  SITE     the key of a site, or "-" to publish one by the gateway's form first

The site's front page has to be like PAGE: a text, an image, and much that must not happen. Standard library only.
"""

import base64
import http.client
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.parse

TEXT = "Read through the gateway"
# One black dot.
IMAGE = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGD4DwABBAEAX+XDSwAAAABJRU5ErkJggg==")
SECONDS = 120


def page_of(elsewhere):
    """A front page that tries what it may not: to run, and to reach `elsewhere` (an origin) in every usual way."""
    return f"""<!DOCTYPE html><html><head><meta charset="utf-8"><title>before</title>
<meta http-equiv="refresh" content="1; url={elsewhere}/refresh">
<link rel="stylesheet" href="{elsewhere}/style.css"><link rel="prefetch" href="{elsewhere}/prefetch">
<script src="{elsewhere}/script.js"></script><script src="run.js"></script>
<script>document.title = "the script ran"; fetch("{elsewhere}/fetch")</script></head>
<body onload="document.title = 'the handler ran'" background="{elsewhere}/background.png">
<p id="text">{TEXT}</p><img id="image" src="dot.png"><img id="other" src="{elsewhere}/image.png">
<iframe src="{elsewhere}/frame"></iframe><object data="{elsewhere}/object"></object>
<link rel="preconnect" href="{elsewhere}"><iframe srcdoc="&lt;link rel=preconnect href={elsewhere}&gt;"></iframe>
<video src="{elsewhere}/video.mp4" autoplay></video>
<svg><script>document.title = "the script in the image ran"</script></svg></body></html>
""".encode()


def site_of(elsewhere):
    """The files of the site, by path."""
    return {"index.html": page_of(elsewhere), "dot.png": IMAGE, "run.js": b'document.title = "the file ran"'}


class Elsewhere:
    """An origin that must not be reached: counts who connects."""

    def __init__(self):
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.origin = f"http://127.0.0.1:{self.socket.getsockname()[1]}"
        self.seen = []
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self):
        while True:
            try:
                client, _ = self.socket.accept()
            except OSError:
                return
            with client:
                client.settimeout(2)
                try:
                    line = client.recv(4096).split(b"\r\n")[0].decode(errors="replace")
                except OSError:
                    line = ""
                self.seen.append(line or "a connection")
                try:
                    client.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                except OSError:
                    pass


class Socket:
    """A client's side of a WebSocket (RFC 6455), for whole text messages."""

    def __init__(self, url, seconds):
        parts = urllib.parse.urlsplit(url)
        self.socket = socket.create_connection((parts.hostname, parts.port), seconds)
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall((f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\n"
                             f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\n"
                             "Sec-WebSocket-Version: 13\r\n\r\n").encode())
        self.stream = self.socket.makefile("rb")
        if b" 101 " not in self.stream.readline():
            raise OSError("no WebSocket there")
        while self.stream.readline().strip():
            pass

    def send(self, text):
        """Sends a message."""
        self._frame(1, text.encode())

    def _frame(self, opcode, data):
        mask = os.urandom(4)
        if len(data) < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | len(data))
        elif len(data) < 1 << 16:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, len(data))
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, len(data))
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.socket.sendall(head + mask + masked)

    def receive(self, seconds):
        """The next message."""
        self.socket.settimeout(seconds)
        whole = b""
        while True:
            first, second = self._take(2)
            length = second & 127
            if length == 126:
                length = struct.unpack("!H", self._take(2))[0]
            elif length == 127:
                length = struct.unpack("!Q", self._take(8))[0]
            data = self._take(length)
            opcode = first & 15
            if opcode == 8:
                raise OSError("the browser closed the connection")
            if opcode == 9:
                self._frame(10, data)
            if opcode in (0, 1, 2):
                whole += data
                if first & 0x80:
                    return whole.decode()

    def _take(self, length):
        data = self.stream.read(length)
        if len(data) < length:
            raise OSError("the browser is gone")
        return data


class Browser:
    """Headless Chromium with one tab, driven by its DevTools protocol."""

    def __init__(self, program, folder):
        self.folder = folder
        self.log = open(os.path.join(folder, "log"), "wb")
        self.process = subprocess.Popen([
            program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
            "--disable-background-networking", "--disable-component-update", "--disable-sync",
            "--disable-dev-shm-usage", "--remote-debugging-port=0", f"--user-data-dir={folder}/profile",
            "--window-size=900,1000", "about:blank"], stdout=self.log, stderr=self.log)
        try:
            port = self._port()
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/json/list")
            tabs = json.load(connection.getresponse())
            tab = next(tab for tab in tabs if tab["type"] == "page")
            self.socket = Socket(tab["webSocketDebuggerUrl"], 20)
            self.number = 0
            for domain in ("Page", "DOM", "Runtime", "Network"):
                self.ask(f"{domain}.enable")
        except BaseException:
            self.close()
            raise

    def _port(self):
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                with open(os.path.join(self.folder, "profile", "DevToolsActivePort"), encoding="ascii") as file:
                    return int(file.readline())
            except (OSError, ValueError):
                if self.process.poll() is not None:
                    raise OSError("chromium ended at once") from None
                time.sleep(0.1)
        raise OSError("chromium did not start")

    def ask(self, method, **params):
        """Calls a method, and returns what it answers."""
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "method": method, "params": params}))
        while True:
            message = json.loads(self.socket.receive(SECONDS))
            if message.get("id") == self.number:
                if "error" in message:
                    raise OSError(f"{method}: {message['error']['message']}")
                return message["result"]

    def run(self, expression):
        """The value of an expression in the page (the debugger's own, which no policy stops)."""
        answer = self.ask("Runtime.evaluate", expression=expression, returnByValue=True)
        return answer["result"].get("value")

    def wait(self, expression, seconds=SECONDS):
        """Waits until an expression is true in the page; whether it became so."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                if self.run(expression):
                    return True
            except OSError as error:
                # While a page is being left there is none to ask.
                if "context" not in str(error) and "navigat" not in str(error):
                    raise
            time.sleep(0.2)
        return False

    def open(self, url):
        """Opens a page and waits for all of it."""
        answer = self.ask("Page.navigate", url=url)
        if answer.get("errorText"):
            raise OSError(f"{url}: {answer['errorText']}")
        if not self.wait("location.href != 'about:blank' && document.readyState == 'complete'"):
            raise OSError(f"{url} did not load")

    def choose(self, selector, path):
        """Chooses a file in a form."""
        root = self.ask("DOM.getDocument")["root"]["nodeId"]
        node = self.ask("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.ask("DOM.setFileInputFiles", nodeId=node, files=[path])

    def picture(self, path):
        """Saves what the tab shows."""
        picture = self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        with open(path, "wb") as file:
            file.write(base64.b64decode(picture["data"]))

    def close(self):
        """Ends the browser."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


def local(gateway):
    """The gateway by the name at which each site gets an origin of its own."""
    return "localhost:" + gateway.rsplit(":", 1)[1]


def get(gateway, path):
    """Status and body of a GET."""
    connection = http.client.HTTPConnection(gateway, timeout=SECONDS)
    connection.request("GET", path)
    reply = connection.getresponse()
    return reply.status, reply.read()


def publish_site(gateway, elsewhere):
    """Publishes the site by the gateway's form, as a browser would send it; its key."""
    connection = http.client.HTTPConnection(gateway, timeout=SECONDS)
    connection.request("GET", "/")
    token = re.search(r'name="token" value="([^"]+)"', connection.getresponse().read().decode())[1]
    parts = [b'--xyz\r\nContent-Disposition: form-data; name="token"\r\n\r\n' + token.encode()]
    for name, data in site_of(elsewhere).items():
        head = f'--xyz\r\nContent-Disposition: form-data; name="files"; filename="site/{name}"\r\n\r\n'
        parts.append(head.encode() + data)
    body = b"\r\n".join(parts) + b"\r\n--xyz--\r\n"
    connection.request("POST", "/-/publish", body, {"Content-Type": "multipart/form-data; boundary=xyz"})
    reply = connection.getresponse()
    reply.read()
    job = reply.headers["Location"]
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        found = re.search(r'id="open" href="/([^"]+)"', get(gateway, job)[1].decode())
        if found:
            return found[1]
        time.sleep(0.5)
    raise OSError("the site was not published in time")


def read_site(browser, url, elsewhere):
    """What is wrong with the site as the browser shows it."""
    browser.open(url)
    problems = []
    if browser.run("document.querySelector('#text')?.textContent") != TEXT:
        problems.append(f"the text is not there: {str(browser.run('document.body.innerText'))[:200]!r}")
    if not browser.wait("document.querySelector('#image')?.naturalWidth == 1", 30):
        problems.append("the image did not load")
    # The page's own refresh would come after one second.
    time.sleep(2)
    if browser.run("document.title") != "before":
        problems.append(f"a script ran: {browser.run('document.title')}")
    at = browser.run("location.href")
    if urllib.parse.urlsplit(at).path != urllib.parse.urlsplit(url).path:
        problems.append(f"the page led to {at}")
    if elsewhere:
        problems += [f"the page reached another origin: {line}" for line in elsewhere.seen]
    return problems


def paste_key(browser, gateway, bare):
    """What is wrong with opening a key by the front page."""
    browser.open(f"http://{local(gateway)}/")
    browser.run(f"document.querySelector('form input[name=key]').value = {json.dumps('allium:' + bare)}")
    browser.run("document.querySelector('form button').click()")
    if browser.wait(f"document.querySelector('#text')?.textContent == {json.dumps(TEXT)}", 60):
        return []
    return [f"{browser.run('location.href')} is shown: {str(browser.run('document.body.innerText'))[:200]!r}"]


def publish_file(browser, gateway, folder):
    """What is wrong with publishing a file by the front page."""
    data = b"published by a browser\n" * 20000 + os.urandom(8).hex().encode()
    path = os.path.join(folder, "from a browser.txt")
    with open(path, "wb") as file:
        file.write(data)
    browser.open(f"http://{gateway}/")
    browser.choose("input[name=file]", path)
    browser.run("document.querySelector('input[name=file]').form.querySelector('button').click()")
    if not browser.wait("location.pathname.startsWith('/-/jobs/') && !!document.querySelector('#key')"):
        return [f"no key was shown: {str(browser.run('document.body.innerText'))[:300]!r}"]
    link = browser.run("document.querySelector('#open').getAttribute('href')")
    status, body = get(gateway, link)
    if status != 200 or body != data:
        return [f"{link} gives status {status} and {len(body)} bytes, not the {len(data)} that were published"]
    return []


def check(gateway, site, report, elsewhere=None):
    """Checks the gateway at an address with the key of a site; each verdict goes to `report`."""
    program = shutil.which("chromium")
    if not program:
        report.line("SKIP", "the gateway in a browser is left out: there is no chromium")
        return
    bare = site.removeprefix("allium:")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        browser = None
        try:
            browser = Browser(program, folder)
            for host in (gateway, local(gateway)):
                problems = read_site(browser, f"http://{host}/{bare}", elsewhere)
                report.check(f"a site in a browser, by {host.rsplit(':', 1)[0]}", problems)
            label = browser.run("location.hostname")
            report.check("the site has an origin of its own", [] if label.endswith(".localhost") else [
                f"it is shown on {label}"])
            report.check("a key pasted in the front page", paste_key(browser, gateway, bare))
            problems = publish_file(browser, gateway, folder)
            report.check("a file published by the form in a browser", problems)
        except (OSError, ValueError, StopIteration) as error:
            report.check("the gateway in a browser", [f"{type(error).__name__}: {error}"])
        finally:
            if browser:
                browser.close()


class _Lines:
    """A report on the terminal."""

    failed = False

    def line(self, verdict, text):
        print(f"{verdict} {text}", flush=True)

    def check(self, name, problems, note=""):
        self.failed |= bool(problems)
        self.line("FAIL" if problems else "ok  ", f"{name}{': ' if note else ''}{note}")
        for problem in problems:
            print(f"     {problem}", flush=True)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    gateway, site = sys.argv[1:]
    report, elsewhere = _Lines(), Elsewhere()
    if site == "-":
        site = publish_site(gateway, elsewhere.origin)
    check(gateway, site, report, elsewhere)
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
