"""Content under keys, in a network whose tunnels i2pd carries too: put on one node, which is then gone; get on others."""

import hashlib
import json
import os
import random
import re
import subprocess
import time

READY = 240  # seconds until every store has peers
PATIENCE = 150  # seconds for one command


class Failed(Exception):
    """A command did not do what it should."""


def run(router, *arguments, stdin=None, fails=False):
    """Runs `allium` at a router; gives what it printed."""
    command = [*router.command, "--data-dir", router.folder, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE, check=False)
    if (done.returncode != 0) != fails:
        said = (done.stdout + done.stderr).decode(errors="replace").strip()[-300:]
        raise Failed(f"{' '.join(arguments[:2])} at {router.name} ended with {done.returncode}: {said}")
    return (done.stderr if fails else done.stdout).decode(errors="replace")


def get(router, uri, target):
    """Fetches; at once, also after a router's end, when some of everybody's tunnels led through it."""
    return run(router, "get", uri, "-o", target)


def put(router, *arguments, **more):
    """Publishes; gives the URI, the last word that is printed."""
    words = run(router, "put", *arguments, **more).split()
    if not words or not words[-1].startswith("allium:"):
        raise Failed(f"put at {router.name} printed no URI: {words[-3:]}")
    return words[-1]


def make(path, length, seed):
    """A file of random bytes that are the same for the same seed."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(random.Random(seed).randbytes(length))
    return path


def write(folder, files):
    """A folder with these files, by path."""
    for path, data in files.items():
        whole = os.path.join(folder, path)
        os.makedirs(os.path.dirname(whole), exist_ok=True)
        with open(whole, "wb") as file:
            file.write(data)
    return folder


def digest(path):
    """What tells a file, or a folder with all in it, from others."""
    if os.path.isfile(path):
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    found = {}
    for folder, _, names in os.walk(path):
        for name in names:
            whole = os.path.join(folder, name)
            found[os.path.relpath(whole, path)] = digest(whole)
    return found


def wait_until_ready(routers, peers):
    end = time.monotonic() + READY
    for router in routers:
        while True:
            router.check_alive()
            try:
                status = json.loads(run(router, "content", "status", "--json"))
                store = status.get("store", status)
                if store.get("ready") and store.get("peers", 0) >= peers:
                    break
                said = store.get("why_not")
            except (Failed, ValueError, subprocess.TimeoutExpired) as error:
                said = str(error)
            if time.monotonic() > end:
                raise Failed(f"{router.name}'s store is not ready after {READY} s: {said}")
            time.sleep(1)


def publish(router, folder):
    """Publishes one of each kind; gives (name, URI, what it should be when it is fetched)."""
    small = make(os.path.join(folder, "small.txt"), 700, 1)
    large = make(os.path.join(folder, "large.bin"), 5_000_000, 2)
    site = os.path.join(folder, "site")
    make(os.path.join(site, "index.html"), 3_000, 3)
    make(os.path.join(site, "pictures", "one.png"), 400_000, 4)
    make(os.path.join(site, "pictures", "two.png"), 20, 5)
    keys = os.path.join(folder, "owner.key")
    run(router, "content", "keygen", keys)
    word = f"word-{random.randrange(1 << 60)}"
    return [
        ("a small file", put(router, small), small),
        ("a file of 5 MB", put(router, large), large),
        ("a private file", put(router, "--private", large), large),
        ("a folder", put(router, site), site),
        ("a document of an owner", put(router, "--ssk", keys, "--name", "paper", large), large),
        ("a folder that an owner updates", put(router, "--usk", keys, "--name", "site", site), site),
        ("a word", put(router, "--ksk", word, small), small),
    ]


def check(report, network, kind, folder):
    """All checks. The first node publishes and is killed; the others read."""
    routers = network.of(kind)
    first, second, third = routers[0], routers[1], routers[-1]
    os.makedirs(folder, exist_ok=True)
    try:
        begun = time.monotonic()
        wait_until_ready(routers, len(routers) - 2)
        published = publish(first, os.path.join(folder, "published"))
        report.check("every kind of key is published", [], f"after {time.monotonic() - begun:.0f} s")
    except (Failed, OSError, subprocess.TimeoutExpired) as error:
        report.check("every kind of key is published", [str(error)])
        return
    first.kill()
    for number, (name, uri, source) in enumerate(published):
        problems, begun = [], time.monotonic()
        for reader in (second, third):
            target = os.path.join(folder, f"got-{number}-{reader.name}")
            try:
                get(reader, uri, target)
                if digest(target) != digest(source):
                    problems.append(f"{reader.name} got something else")
            except (Failed, OSError, subprocess.TimeoutExpired) as error:
                problems.append(str(error))
        report.check(f"{name} is read when its publisher is gone", problems, f"{time.monotonic() - begun:.1f} s")
    updated(report, second, third, published, folder)
    absent(report, third, folder)


def updated(report, publisher, reader, published, folder):
    """Another node that has the owner's key publishes the next edition; who has the older key finds it."""
    problems = []
    try:
        (uri,) = [uri for name, uri, _ in published if "updates" in name]
        site = os.path.join(folder, "published", "site")
        make(os.path.join(site, "news.html"), 2_000, 6)
        keys = os.path.join(folder, "published", "owner.key")
        newer = put(publisher, "--usk", keys, "--name", "site", site)
        if newer == uri:
            problems.append(f"the next edition has the same key: {newer[-20:]}")
        target = os.path.join(folder, "got-newest")
        get(reader, re.sub(r"/(\d+)/?$", r"/-\1", uri), target)
        if digest(target) != digest(site):
            problems.append("the older edition came")
    except (Failed, OSError, ValueError, subprocess.TimeoutExpired) as error:
        problems.append(str(error))
    report.check("an update is found by a reader who has the older edition", problems)


def absent(report, reader, folder):
    """A key that nobody holds is an error within a minute, and leaves no file."""
    problems, begun = [], time.monotonic()
    target = os.path.join(folder, "nothing")
    key = "allium:CHK@" + "A" * 43 + "," + "B" * 42 + "A,oQABAAA"
    try:
        said = run(reader, "get", key, "-o", target, fails=True)
        if time.monotonic() - begun > 60:
            problems.append(f"it took {time.monotonic() - begun:.0f} s")
        if os.path.exists(target) or os.path.exists(target + ".part"):
            problems.append("a file was left")
        if "allium:" not in said:
            problems.append(f"no clear error: {said!r}")
    except (Failed, OSError, subprocess.TimeoutExpired) as error:
        problems.append(str(error))
    report.check("a key that nobody holds is an error within a minute", problems, f"{time.monotonic() - begun:.1f} s")
