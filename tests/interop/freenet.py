#!/usr/bin/env python3
"""pyFreenet's programs against the FCP ports of two nodes: what one publishes, the other reads.

    tests/interop/freenet.py HOST:PORT HOST:PORT [FOLDER]

pyFreenet3 is installed from PyPI into FOLDER/pyfreenet (target/interop/freenet) and nothing in it is changed. Prints a
line PASS, FAIL or SKIP for each check; ends with 1 if one failed, with 77 if pyFreenet can't be had.
"""

import contextlib
import os
import random
import re
import shutil
import subprocess
import sys
import time

PACKAGE = "pyFreenet3==0.7.0"
PATIENCE = 180  # seconds for each run of a program
KEY = r"[A-Za-z0-9~-]{43},[A-Za-z0-9~-]{43},[A-Za-z0-9~-]{7}"
# A key of Freenet's own network: an example from pyFreenet's documentation.
FOREIGN = ("CHK@FR~anQPhpw7lZjxl96o1b875tem~5xExPTiSa6K3Wus,yuGOWhpqFY5N9i~N4BjM0Oh6Bk~Kkb7sE4l8GAsdBEs,"
           "AAMC--8/sitemap.html")


class Programs:
    """pyFreenet's programs, run with a home of their own."""

    def __init__(self, folder):
        self.root, self.home = os.path.join(folder, "pyfreenet"), os.path.join(folder, "home")
        shutil.rmtree(self.home, ignore_errors=True)
        os.makedirs(self.home)
        if not os.path.exists(os.path.join(self.root, "bin", "fcpput")):
            shutil.rmtree(self.root, ignore_errors=True)
            self._run([sys.executable, "-m", "venv", self.root], 120)
            self._run([os.path.join(self.root, "bin", "pip"), "install", "--quiet",
                       "--disable-pip-version-check", PACKAGE], 240)

    def _run(self, command, seconds):
        done = subprocess.run(command, timeout=seconds, text=True, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode:
            raise OSError((done.stdout.strip().splitlines() or ["no word"])[-1][:200])

    def __call__(self, node, program, *arguments, said="", fails=False):
        """What a program writes; `node` is the HOST:PORT that it talks to."""
        host, _, port = node.rpartition(":")
        environment = {**os.environ, "HOME": self.home, "FCP_HOST": host, "FCP_PORT": port}
        done = subprocess.run([os.path.join(self.root, "bin", program), *arguments], env=environment, cwd=self.home,
                              timeout=PATIENCE, input=said.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        problems = done.stderr.decode(errors="replace").strip()
        if "Traceback" in problems or bool(done.returncode) != fails:
            last = (problems.splitlines() or ["no word"])[-1]
            raise OSError(f"{program} ended with {done.returncode}: {last[:300]}")
        return done.stdout

    def key(self, node, program, *arguments, said=""):
        """The key that a program writes at the end."""
        written = self(node, program, *arguments, said=said).decode().split()
        if not written or "@" not in written[-1]:
            raise OSError(f"{program} wrote no key: {' '.join(written)[-200:]!r}")
        return written[-1]


def same(got, wanted, what):
    if got != wanted:
        raise OSError(f"{what}: {len(got)} bytes that are not the {len(wanted)} that were published")


class Check:
    """The checks: what is published with the first node is read with the second."""

    def __init__(self, programs, first, second, folder):
        self.run, self.first, self.second = programs, first, second
        self.folder = os.path.join(folder, "files")
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.seed = str(time.time_ns())

    def file(self, name, size):
        """A file of new bytes: its path and they."""
        path, body = os.path.join(self.folder, name), random.Random(self.seed + name).randbytes(size)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(body)
        return path, body

    def fetched(self, uri):
        return self.run(self.second, "fcpget", uri)

    def put_and_get(self):
        """fcpput and fcpget: a file under its own key"""
        for name, size in (("small.txt", 5_000), ("large.bin", 3_000_000)):
            path, body = self.file(name, size)
            uri = self.run.key(self.first, "fcpput", "CHK@", path)
            same(self.fetched(uri), body, name)
            again = self.run.key(self.first, "fcpput", "--chkonly", "CHK@", path)
            if again != uri:
                raise OSError(f"fcpput --chkonly says {again}, and fcpput {uri}")

    def standard_input(self):
        """fcpput and fcpget: standard input, under a word"""
        word = f"KSK@allium-{self.seed}.txt"
        same(self.run.key(self.first, "fcpput", word, said="from standard input"), word, "the key")
        same(self.fetched(word), b"from standard input", word)

    def from_disk(self):
        """fcpput --disk and fcpupload: files that the node reads itself"""
        path, body = self.file("disk.bin", 200_000)
        self.run(self.first, "fcpput", "--disk", "CHK@", path)
        # It does not say which key that was.
        uri = self.run.key(self.first, "fcpput", "--chkonly", "CHK@/disk.bin", path)
        same(self.fetched(uri), body, "fcpput --disk")
        path, body = self.file("upload.bin", 100_000)
        same(self.fetched(self.run.key(self.first, "fcpupload", "--wait", path)), body, "fcpupload")

    def keys(self):
        """fcpgenkey: documents under an owner's key, SSK and USK"""
        public, private = self.run(self.first, "fcpgenkey").decode().split()
        for key in (public, private):
            if not re.fullmatch(rf"SSK@{KEY}/", key):
                raise OSError("fcpgenkey wrote something else than keys")
        path, body = self.file("document.txt", 4_000)
        same(self.run.key(self.first, "fcpput", f"{private}document", path), f"{public}document", "the key")
        same(self.fetched(f"{public}document"), body, "SSK")
        updated = [key.replace("SSK@", "USK@") + "news" for key in (public, private)]
        for edition in range(2):
            path, body = self.file(f"news-{edition}.txt", 40_000)
            uri = self.run.key(self.first, "fcpput", f"{updated[1]}/{edition}", path)
            same(uri, f"{updated[0]}/{edition}", "the key")
            same(self.fetched(uri), body, f"edition {edition}")
        same(self.fetched(f"{updated[0]}/0"), body, "the newest edition, asked for by an old one's key")

    def invert(self):
        """fcpinvertkey: the public key of a private one"""
        public, private = self.run(self.first, "fcpgenkey").decode().split()
        same(self.run.key(self.first, "fcpinvertkey", f"{private}name"), f"{public}name", "the key")

    def failures(self):
        """fcpget: a key that nobody has, and one of Freenet's"""
        uri = self.run.key(self.first, "fcpput", "--chkonly", "CHK@", self.file("nowhere.txt", 3_000)[0])
        for missing in (uri, FOREIGN):
            self.run(self.second, "fcpget", missing, fails=True)

    def site(self):
        """freesitemgr: a site, and its next edition"""
        name = f"site{self.seed[-6:]}"
        page = b"<!DOCTYPE html><title>A site</title><a href='sub/large.bin'>large</a><a href='style.css'>style</a>\n"
        folder = os.path.join(self.folder, name)
        _, large = self.file(f"{name}/sub/large.bin", 2_500_000)
        _, style = self.file(f"{name}/style.css", 3_000)
        with open(os.path.join(folder, "index.html"), "wb") as file:
            file.write(page)
        self.run(self.first, "freesitemgr", "add", folder, said="\n")
        uri = self.published(name, 0)
        for path, body in (("index.html", page), ("style.css", style), ("sub/large.bin", large), ("", page)):
            same(self.fetched(f"{uri}{path}"), body, path or "the default document")
        page += b"<p>News.\n"
        with open(os.path.join(folder, "index.html"), "wb") as file:
            file.write(page)
        self.run(self.first, "freesitemgr", "update", name)
        newer = self.published(name, 1)
        same(self.fetched(f"{newer}index.html"), page, "the next edition")
        same(self.fetched(f"{newer}sub/large.bin"), large, "what did not change")
        same(self.fetched(f"{uri}index.html"), page, "the next edition, by the first one's key")

    def published(self, name, edition):
        """The key of a site's edition, once freesitemgr knows that all of it is published."""
        until = time.monotonic() + PATIENCE
        while True:
            self.run(self.first, "freesitemgr", "--no-insert", "update", name)
            listed = self.run(self.first, "freesitemgr", "list", name).decode()
            uri = re.search(rf"uri: (USK@{KEY}/{name}/{edition}/)", listed)
            if "state: idle" in listed and uri:
                return uri.group(1)
            if time.monotonic() > until:
                raise OSError(f"edition {edition} is not published: {listed.split('privkey')[0][-200:]!r}")
            time.sleep(1)


def check(fcp_address_a, fcp_address_b, work_dir, report):
    """All checks between two nodes; `report.check(name, problems)` and `report.line(verdict, text)` take the results."""
    try:
        programs = Programs(work_dir)
    except (OSError, subprocess.SubprocessError) as error:
        report.line("SKIP", f"pyFreenet: {str(error)[:200]}")
        return False
    checks = Check(programs, fcp_address_a, fcp_address_b, work_dir)
    for one in (checks.put_and_get, checks.standard_input, checks.from_disk, checks.keys, checks.invert,
                checks.failures, checks.site):
        problems = []
        try:
            one()
        except (OSError, ValueError, subprocess.SubprocessError) as error:
            problems.append(f"{type(error).__name__}: {error}")
        report.check(f"pyFreenet's {one.__doc__}", problems)
    return True


class Report:
    """Prints results; tests/interop/run has its own."""

    def __init__(self):
        self.failed = False

    def line(self, verdict, text):
        print(verdict, text, flush=True)

    def check(self, name, problems):
        self.failed |= bool(problems)
        self.line("FAIL" if problems else "PASS", name)
        for problem in problems:
            print(f"     {problem}", flush=True)


def main():
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    report = Report()
    folder = os.path.abspath(sys.argv[3] if len(sys.argv) == 4 else os.path.join("target", "interop", "freenet"))
    os.makedirs(folder, exist_ok=True)
    with contextlib.suppress(KeyboardInterrupt):
        if not check(sys.argv[1], sys.argv[2], folder, report):
            return 77
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
