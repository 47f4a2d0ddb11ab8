"""Datagrams to a destination that sends them back: by SAM sessions of i2pd, and by Java's library."""

import base64
import hashlib
import itertools
import os
import socket
import threading
import time

from routers import i2p_base64

OVER_UDP, OVER_TCP = "over UDP", "over its socket"
# i2pd's SAM takes 32 KiB in one UDP packet, and less over its socket.
SAM_WAYS = (
    ("DATAGRAM", OVER_UDP, (1, 600, 10_000, 30_000)),
    ("RAW", OVER_UDP, (32, 600, 10_000, 30_000)),
    ("DATAGRAM", OVER_TCP, (1, 600, 4_000)),
    ("RAW", OVER_TCP, (32, 600, 4_000)),
)
JAVA_KINDS = {"Datagram 1": (1, 600, 10_000, 30_000), "Raw datagrams": (32, 600, 10_000, 30_000)}
JAVA_PROTOCOLS = {"Datagram 1": 17, "Raw datagrams": 18}
NUMBERS = itertools.count()


class Sam:
    """A SAM session of style DATAGRAM or RAW at an i2pd."""

    def __init__(self, router, style, way, until):
        self.style, self.way, self.name = style, way, f"session{next(NUMBERS)}"
        self.control = _connect(router.sam, until)
        self.turn = threading.Lock()
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.1", 0))
        self.udp_door = "127.0.0.1", router.sam_udp
        self._ask("HELLO VERSION MIN=3.1 MAX=3.1")
        forward = f"HOST=127.0.0.1 PORT={self.udp.getsockname()[1]}" if way == OVER_UDP else "PORT=0"  # i2pd 2.56 wants one
        hops = router.network.hops
        self._ask(f"SESSION CREATE STYLE={style} ID={self.name} DESTINATION=TRANSIENT SIGNATURE_TYPE=7 {forward} "
                  f"inbound.length={hops} outbound.length={hops} i2cp.leaseSetEncType=4")
        own = self._ask("NAMING LOOKUP NAME=ME").split("VALUE=")[1].split()[0]
        self.hash = hashlib.sha256(base64.b64decode(own, altchars=b"-~")).digest()

    def close(self):
        self.control.close()
        self.udp.close()

    def _ask(self, line):
        self.control.sendall(line.encode() + b"\n")
        answer = self._line().strip()
        if "RESULT=OK" not in answer:
            raise OSError(f"SAM: {line.split(' ID')[0]}: {answer!r}")
        return answer

    def echo(self, echo, size):
        """A task that sends a datagram of that size, and waits for it to come back."""
        to = i2p_base64(echo.destination())

        def task(seconds):
            with self.turn:
                exchange(seconds)

        def exchange(seconds):
            payload = os.urandom(size)
            if self.style == "RAW":
                payload = self.hash + payload[32:]  # it says to whom the answer goes
            if self.way == OVER_UDP:
                self.udp.sendto(f"3.0 {self.name} {to}\n".encode() + payload, self.udp_door)
            else:
                self.control.sendall(f"{self.style} SEND DESTINATION={to} SIZE={len(payload)}\n".encode() + payload)
            end, came = time.monotonic() + min(seconds, 5), None
            while came != payload:
                sender, came = self._receive(end)
            if self.style != "RAW" and sender != to:
                raise OSError("it came back from another")
        return task

    def _receive(self, end):
        """The next datagram, and whom it is from."""
        if self.way == OVER_UDP:
            self.udp.settimeout(max(0.01, end - time.monotonic()))
            packet = self.udp.recv(65536)
            if self.style == "RAW":
                return None, packet
            sender, _, payload = packet.partition(b"\n")
            return sender.decode().split()[0], payload
        self.control.settimeout(max(0.01, end - time.monotonic()))
        head = self._line().split()
        said = dict(word.split("=", 1) for word in head[2:])
        return said.get("DESTINATION"), self._exactly(int(said["SIZE"]))

    def _line(self):
        line = b""
        while not line.endswith(b"\n"):
            line += self._exactly(1)
        return line.decode()

    def _exactly(self, size):
        data = b""
        while len(data) < size:
            more = self.control.recv(size - len(data))
            if not more:
                raise OSError("SAM closed the session")
            data += more
        return data


def _connect(port, until):
    """A connection, as soon as somebody listens there."""
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), max(5, until - time.monotonic()))
        except ConnectionRefusedError:
            if time.monotonic() > until:
                raise
            time.sleep(0.2)


def java(router, kind):
    """What makes tasks that have Java send a datagram of this kind to an echo."""
    def task_of(echo, size):
        def task(seconds):
            with socket.create_connection(("127.0.0.1", router.sam), seconds) as door:
                door.settimeout(60)  # it does one after the other
                door.sendall(f"{JAVA_PROTOCOLS[kind]} {size} {i2p_base64(echo.destination())}\n".encode())
                answer = door.makefile().readline().strip()
            if answer != "OK":
                raise OSError(answer)
        return task
    return task_of
