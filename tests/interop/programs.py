"""The other routers: brought into a folder of their own, nothing is installed."""

import os
import shutil
import subprocess

JAVA_VERSION = "2.7.0"
JAVA_JARS = ("net.i2p:i2p", "net.i2p:router", "net.i2p.client:mstreaming", "net.i2p.client:streaming")
I2PD_PACKAGES = (
    "i2pd libboost-program-options1.83.0 libc6 libgcc-s1 libminiupnpc18 libssl3t64 libstdc++6 libzstd1 zlib1g"
).split()
HERE = os.path.dirname(os.path.abspath(__file__))


class Missing(Exception):
    """A program that can't be had here; the text says why."""


def run(command, what, seconds, folder=None):
    """Runs a command to its end, or raises Missing with the last line of what it said."""
    try:
        done = subprocess.run(command, cwd=folder, timeout=seconds, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except FileNotFoundError:
        raise Missing(f"{what}: there is no {command[0]} here") from None
    except subprocess.TimeoutExpired:
        raise Missing(f"{what}: no end after {seconds} s") from None
    if done.returncode:
        said = [line.strip() for line in done.stdout.splitlines() if line.strip()]
        raise Missing(f"{what}: {said[-1][:200] if said else f'status {done.returncode}'}")
    return done.stdout


def i2pd(folder):
    """The command that runs i2pd: $I2PD, or Debian trixie's package, unpacked in `folder`."""
    if os.environ.get("I2PD"):
        return os.environ["I2PD"].split()
    root = os.path.join(folder, "root")
    if not os.path.isdir(root):
        _unpack(folder, root)
    libraries, loader = None, None
    for place, _, files in os.walk(os.path.join(root, "usr")):
        if "libssl.so.3" in files:
            libraries = place
        loader = next((os.path.join(place, name) for name in files if name.startswith("ld-linux")), loader)
    command = [loader, "--library-path", libraries, os.path.join(root, "usr", "bin", "i2pd")]
    if None in command:
        raise Missing("i2pd: its package holds no program for this machine")
    run([*command, "--version"], "i2pd", 30)
    return command


def _unpack(folder, root):
    """Debian's packages from the archive that this system's apt knows, but of the release trixie."""
    work = os.path.join(folder, "apt")
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(os.path.join(work, "lists", "partial"))
    sites = run(["apt-get", "indextargets", "--format", "$(SITE)"], "apt", 60).split()
    archive = next((site for site in sites if site.rstrip("/").endswith("/debian")), None)
    if archive is None:
        raise Missing("i2pd: this system's apt knows no Debian archive")
    sources = os.path.join(work, "sources.list")
    with open(sources, "w") as file:
        file.write(f"deb {archive} trixie main\n")
    apt = ["apt-get", "-qq", "-o", f"Dir::Etc::SourceList={sources}", "-o", "Dir::Etc::SourceParts=-",
           "-o", f"Dir::State::Lists={work}/lists", "-o", "Acquire::Retries=2", "-o", "APT::Sandbox::User="]
    run([*apt, "update"], "Debian's archive", 180)
    run([*apt, "download", *I2PD_PACKAGES], "Debian's archive", 180, work)
    part = root + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    for name in sorted(os.listdir(work)):
        if name.endswith(".deb"):
            run(["dpkg-deb", "--extract", os.path.join(work, name), part], "dpkg-deb", 60)
    os.rename(part, root)
    shutil.rmtree(work)


def java(folder):
    """The command that runs JavaPeer beside Java I2P's jars: those in $JAVA_I2P_JARS, or Maven's."""
    jars = os.environ.get("JAVA_I2P_JARS") or os.path.join(folder, "jars")
    os.makedirs(folder, exist_ok=True)
    run(["javac", "-version"], "Java I2P", 60)
    if not os.path.isdir(jars):
        _maven(folder, jars)
    classes = os.path.join(folder, "classes")
    run(["javac", "-nowarn", "-d", classes, "-cp", f"{jars}/*", os.path.join(HERE, "JavaPeer.java")], "javac", 120)
    return ["java", "-Xmx320m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.net.preferIPv4Stack=true",
            "-cp", f"{jars}/*:{classes}", "JavaPeer"]


def _maven(folder, jars):
    wanted = "".join(
        f"<dependency><groupId>{group}</groupId><artifactId>{name}</artifactId><version>{JAVA_VERSION}</version>"
        "<exclusions><exclusion><groupId>*</groupId><artifactId>*</artifactId></exclusion></exclusions></dependency>"
        for group, name in (jar.split(":") for jar in JAVA_JARS))
    with open(os.path.join(folder, "pom.xml"), "w") as file:
        file.write("<project><modelVersion>4.0.0</modelVersion><groupId>allium</groupId>"
                   "<artifactId>java-peer</artifactId><version>0</version>"
                   f"<dependencies>{wanted}</dependencies></project>")
    part = jars + ".part"
    shutil.rmtree(part, ignore_errors=True)
    run(["mvn", "-q", "-B", "-f", os.path.join(folder, "pom.xml"),
         "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies", f"-DoutputDirectory={part}"],
        "Maven", 300)
    os.rename(part, jars)


def own_address(folder):
    """The library that makes a router dial from its own address, compiled."""
    os.makedirs(folder, exist_ok=True)
    library = os.path.join(folder, "own-address.so")
    run(["cc", "-shared", "-fPIC", "-O1", "-o", library, os.path.join(HERE, "own-address.c"), "-ldl"], "cc", 60)
    return library
