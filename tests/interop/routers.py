"""Routers of a private network on this machine: each on a loopback /16 of its own, with one hidden service."""

import base64
import contextlib
import ctypes
import hashlib
import os
import signal
import socket
import subprocess
import time

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1


def i2p_base64(data):
    return base64.b64encode(data, altchars=b"-~").decode()


def identity_hash(data):
    """SHA-256 of the identity (or destination) that `data` begins with: 387 bytes and its certificate's rest."""
    end = 387 + int.from_bytes(data[385:387], "big")
    return hashlib.sha256(data[:end]).digest()


def read(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return b""


def _ports():
    """Ports that nobody listens on, below those that systems hand out by themselves."""
    for port in range(12000 + os.getpid() % 8000, 32000):
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        yield port


PORTS = _ports()


class Network:
    """Routers of one network id that know one another from the start."""

    def __init__(self, folder, net_id, first_address, hops, ssu2=False, content=False):
        self.folder, self.net_id, self.first_address, self.hops = folder, net_id, first_address, hops
        self.content = content  # whether allium's nodes have stores
        self.ssu2 = ssu2  # whether those that can speak it do
        self.routers = []

    def add(self, kind, command, site, **more):
        address = f"127.{self.first_address + len(self.routers)}.0.1"
        name = f"{kind.NAME}{sum(isinstance(router, kind) for router in self.routers)}"
        router = kind(os.path.join(self.folder, name), command, self, address, site, **more)
        self.routers.append(router)
        return router

    def of(self, kind):
        return [router for router in self.routers if isinstance(router, kind)]


def bring_up(networks, seconds):
    """Starts every router once, to have its identity; then again, each knowing its network's others."""
    routers = [router for network in networks for router in network.routers]
    for router in routers:
        router.prepare()
        router.start()
    end = time.monotonic() + seconds
    while not all(router.is_known() for router in routers):
        for router in routers:
            router.check_alive()
        if time.monotonic() > end:
            late = [router.name for router in routers if not router.is_known()]
            raise RuntimeError(f"no router.info after {seconds} s from {', '.join(late)}")
        time.sleep(0.2)
    for router in routers:
        router.kill()
    for network in networks:
        infos = [read(router.path("router.info")) for router in network.routers]
        for router, own in zip(network.routers, infos):
            router.prepare()
            router.learn(info for info in infos if info is not own)
            router.start()
    while not all(router.host() for router in routers):
        for router in routers:
            router.check_alive()
        if time.monotonic() > end:
            raise RuntimeError("not every router made its service's keys")
        time.sleep(0.2)


class Router:
    """One router's folder, configuration and process."""

    NAME = ""

    def __init__(self, folder, command, network, address, site, floodfill=False):
        self.folder, self.command, self.network = folder, command, network
        self.address, self.site, self.floodfill = address, site, floodfill
        self.name = os.path.basename(folder)
        self.port, self.udp, self.http, self.socks, self.sam, self.sam_udp, self.gateway, self.fcp = (
            next(PORTS) for _ in range(8))
        self.process = None
        os.makedirs(folder)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w") as file:
            file.write(text)

    def hash(self):
        """The router's hash in base64, as other routers' logs name it."""
        return i2p_base64(identity_hash(read(self.path("router.info"))))

    def destination(self):
        """The hidden service's destination, or what is there of it yet."""
        keys = read(self.path("web.dat"))
        return keys[:387 + int.from_bytes(keys[385:387], "big")]

    def host(self, keys="web.dat"):
        """The host name of the hidden service (or of what else has these keys), once its keys are there."""
        keys = read(self.path(keys))
        if len(keys) < 387:
            return None
        return base64.b32encode(identity_hash(keys)).decode().lower().rstrip("=") + ".b32.i2p"

    def is_known(self):
        """Whether others can be told of this router."""
        return len(read(self.path("router.info"))) > 387

    def learn(self, infos):
        for info in infos:
            name = i2p_base64(identity_hash(info))
            folder = self.path(os.path.join("netDb", "r" + name[0]))
            os.makedirs(folder, exist_ok=True)
            with open(os.path.join(folder, f"routerInfo-{name}.dat"), "wb") as file:
                file.write(info)

    def launch(self, arguments, **environment):
        def die_with_parent():
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)

        with open(self.path("output.log"), "ab") as output:
            self.process = subprocess.Popen([*self.command, *arguments], cwd=self.folder, stdin=subprocess.DEVNULL,
                                            stdout=output, stderr=output, env={**os.environ, **environment},
                                            preexec_fn=die_with_parent)

    def check_alive(self):
        if self.process.poll() is not None:
            last = read(self.path("output.log")).decode(errors="replace")[-600:]
            raise RuntimeError(f"{self.name} ended with status {self.process.returncode}: {last}")

    def kill(self):
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()

    def logs(self):
        """The lines of everything that the router wrote down."""
        for name in sorted(os.listdir(self.folder)):
            if name.endswith(".log"):
                yield from read(self.path(name)).decode(errors="replace").splitlines()


class Allium(Router):
    NAME = "allium"

    def prepare(self, reseed="urls = []"):
        hops = self.network.hops
        self.write("allium.toml", f"""
[network]
id = {self.network.net_id}
allow_local = true
floodfill = {str(self.floodfill).lower()}

[reseed]
{reseed}

[ntcp2]
bind = "{self.address}:{self.port}"
publish = "{self.address}:{self.port}"

[client]
inbound_length = {hops}
outbound_length = {hops}

[http_proxy]
listen = "127.0.0.1:{self.http}"

[socks]
listen = "127.0.0.1:{self.socks}"

[[service]]
name = "web"
target = "127.0.0.1:{self.site.port}"
keys = "web.dat"
inbound_length = {hops}
outbound_length = {hops}
{self.content()}""")

    def content(self):
        """The store's section: each node is told of the first ones, once those have keys."""
        if not self.network.content:
            return ""
        hosts = [router.host("content.dat") for router in self.network.of(Allium)[:3]]
        known = ", ".join(f'"{host}"' for host in hosts if host)
        return f"""
[content]
enabled = true
quota = "1 GiB"
bootstrap = [{known}]
gateway = "127.0.0.1:{self.gateway}"
fcp = "127.0.0.1:{self.fcp}"
"""

    def start(self):
        self.launch(["run", "--data-dir", self.folder, "--config", self.path("allium.toml")],
                    ALLIUM_LOG=os.environ.get("ALLIUM_LOG", "debug"))


class Echo(Router):
    """A program of its own on allium's router, whose destination sends datagrams back."""

    NAME = "echo"

    def prepare(self):
        pass

    def start(self):
        self.launch([self.folder, f"{self.address}:{self.port}", str(self.network.net_id), str(self.network.hops)],
                    ALLIUM_LOG=os.environ.get("ALLIUM_LOG", "debug"))


class I2pd(Router):
    NAME = "i2pd"

    def prepare(self):
        switch = {True: "true", False: "false"}
        sections = {
            "": {
                "log": "file", "logfile": self.path("router.log"), "loglevel": "debug",
                "netid": self.network.net_id, "floodfill": switch[self.floodfill], "reservedrange": "false",
                "host": self.address, "address4": self.address, "port": self.port,
                "ipv4": "true", "ipv6": "false", "nat": "false", "bandwidth": "X", "share": 100,
            },
            "ntcp2": {"enabled": "true", "published": "true", "port": self.port},
            "ssu2": {"enabled": switch[self.network.ssu2], "published": switch[self.network.ssu2], "port": self.udp},
            "http": {"enabled": "false"}, "i2cp": {"enabled": "false"},
            "sam": {"enabled": "true", "address": "127.0.0.1", "port": self.sam, "portudp": self.sam_udp},
            "httpproxy": {"address": "127.0.0.1", "port": self.http},
            "socksproxy": {"enabled": "false"},
            "reseed": {"threshold": 0, "urls": "", "yggurls": ""},
            "nettime": {"enabled": "false"},
            "addressbook": {"defaulturl": "http://127.0.0.1:9/"},
        }
        lines = []
        for section, settings in sections.items():
            lines += [f"[{section}]"] if section else []
            lines += [f"{key} = {value}" for key, value in settings.items()]
        self.write("i2pd.conf", "\n".join(lines) + "\n")
        self.write("tunnels.conf", f"[web]\ntype = server\nhost = 127.0.0.1\nport = {self.site.port}\nkeys = web.dat\n"
                   f"inbound.length = {self.network.hops}\noutbound.length = {self.network.hops}\n")

    def start(self):
        self.launch([f"--datadir={self.folder}", f"--conf={self.path('i2pd.conf')}",
                     f"--tunconf={self.path('tunnels.conf')}"])


class Java(Router):
    NAME = "java"
    EARLY_BAN = "Banlist cause: No transports"

    def __init__(self, *arguments, library, **more):
        super().__init__(*arguments, **more)
        self.library = library

    def prepare(self):
        settings = dict(line.split("=", 1) for line in read(self.path("router.config")).decode().splitlines()
                        if "=" in line and not line.startswith("#"))  # its transport keys are kept there
        settings.update({
            "router.networkID": self.network.net_id, "i2np.allowLocal": "true", "router.blocklist.enable": "false",
            "router.floodfillParticipant": str(self.floodfill).lower(), "router.rejectStartupTime": 1,
            "router.reseedDisable": "true", "router.updateDisabled": "true", "time.disabled": "true",
            "i2cp.disableInterface": "true", "i2np.upnp.enable": "false", "i2np.laptopMode": "false",
            "i2np.udp.enable": str(self.network.ssu2).lower(), "i2np.udp.host": self.address,
            "i2np.udp.addressSources": "hidden", "i2np.udp.port": self.udp, "i2np.udp.internalPort": self.udp,
            "i2np.udp.fixedPort": "true", "i2np.udp.bindInterface": self.address, "i2np.udp.status": "ok",
            "i2np.udp.ipv6": "false", "i2np.ntcp.ipv6": "false", "i2np.ntcp.autoip": "false",
            "i2np.ntcp.autoport": "false", "i2np.ntcp.hostname": self.address, "i2np.ntcp.port": self.port,
            "i2np.ntcp.bindInterface": self.address, "router.sharePercentage": 100,
            "router.maxParticipatingTunnels": 5000, "router.minThrottleTunnels": 5000,
        })
        for way in ("inbound", "outbound"):
            settings.update({f"i2np.bandwidth.{way}KBytesPerSecond": 50000,
                             f"i2np.bandwidth.{way}BurstKBytesPerSecond": 50000,
                             f"i2np.bandwidth.{way}BurstKBytes": 100000})
        self.write("router.config", "".join(f"{key}={value}\n" for key, value in settings.items()))
        self.write("logger.config", f"logger.defaultLevel={os.environ.get('JAVA_LOG', 'WARN')}\nlogger.logFileName={self.folder}/router-@.log\n"
                   "logger.displayOnScreen=false\nlogger.record.net.i2p.router.Banlist=INFO\n")

    def start(self):
        with contextlib.suppress(FileNotFoundError):  # of a router that was killed, whose end it would wait for
            os.remove(self.path("router.ping"))
        self.launch(["router", self.folder, str(self.site.port), str(self.http), str(self.network.hops), str(self.sam)],
                    LD_PRELOAD=self.library, OWN_ADDRESS=self.address)

    def steady(self, seconds):
        """Waits until it runs. While it starts it may ban whom it can't send to yet, for minutes: then it starts again."""
        for _ in range(5):
            end = time.monotonic() + seconds
            while time.monotonic() < end and not any(" to RUNNING" in line for line in self.logs()):
                self.check_alive()
                time.sleep(0.5)
            time.sleep(5)
            if not any(self.EARLY_BAN in line for line in self.logs()):
                return
            self.kill()
            for name in os.listdir(self.folder):
                if name.startswith("router-") and name.endswith(".log"):
                    os.remove(self.path(name))
            self.start()

    def is_known(self):
        """Its first router.info names no address yet."""
        info, config = read(self.path("router.info")), read(self.path("router.config"))
        transports = (b"ntcp2", b"ssu2") if self.network.ssu2 else (b"ntcp2",)
        return all(name.upper() in info and name + b".sp=" in config for name in transports)
