"""Looks through the memory of a process for secrets, in all the forms in which they may lie there,
and says in which mapping each was found and whether that one is locked and left out of dumps."""
import base64
import collections
import contextlib
import json
import os
import pathlib
import re
import socket
import subprocess
import threading
import urllib.parse

import pytest

import rig

PART = 12  # characters of a secret that are one themselves

# locked: never in swap; left_out: never in a core dump. Of the whole mapping.
Mapping = collections.namedtuple("Mapping", "start end access name locked left_out")


class Finding(collections.namedtuple("Finding", "secret form at mapping")):
    def __str__(self):
        m = self.mapping
        return (f"{self.secret} ({self.form}) at {self.at:#x} in {m.name or 'anonymous memory'} "
                f"{m.start:#x}-{m.end:#x} {m.access}, {'' if m.locked else 'not '}locked, "
                f"{'left out of' if m.left_out else 'part of'} dumps")


# ---- what is looked for ------------------------------------------------------------------------


def base64_forms(secret):
    """However many bytes stand before it: of the characters that are of the secret alone."""
    for before in range(3):
        text = base64.b64encode(b"\0" * before + secret)
        yield text[(8 * before + 5) // 6:8 * (before + len(secret)) // 6]


def forms(secret):
    """The name of each form, and its bytes."""
    text = secret.decode()
    quoted = urllib.parse.quote_plus(text, safe="-._~")
    escaped = json.dumps(text)[1:-1]
    every = {"plain": secret, "form-encoded": quoted.encode(),
             "form-encoded, lower case": re.sub("%..", lambda m: m[0].lower(), quoted).encode(),
             "JSON-escaped": escaped.encode(),
             "JSON-escaped a little": json.dumps(text, ensure_ascii=False)[1:-1].encode(),
             "JSON-escaped with slashes": escaped.replace("/", "\\/").encode(),
             "hex": secret.hex().encode(), "HEX": secret.hex().upper().encode(),
             "UTF-16LE": text.encode("utf-16-le"), "UTF-16BE": text.encode("utf-16-be"),
             f"first {PART}": text[:PART].encode(), f"last {PART}": text[-PART:].encode()}
    for n, encoded in enumerate(base64_forms(secret)):
        every[f"base64 + {n}"] = encoded
        every[f"base64url + {n}"] = encoded.translate(bytes.maketrans(b"+/", b"-_"))
    seen = {}
    for name, needle in every.items():
        seen.setdefault(needle, name)
    return {name: needle for needle, name in seen.items()}


def token_forms(token):
    """Of a token the signature is the secret: what stands before it anybody can write."""
    signature = token.rpartition(b".")[2]
    raw = base64.urlsafe_b64decode(signature + b"=" * (-len(signature) % 4))
    return {**{f"{name} of the signature": needle for name, needle in forms(signature).items()},
            "decoded signature": raw, f"decoded signature, first {PART}": raw[:PART]}


def needles(secrets):
    """(name of the secret, name of the form, bytes), for a dict of names and secrets."""
    for name, secret in secrets.items():
        secret = secret.encode() if isinstance(secret, str) else secret
        of = token_forms if secret.count(b".") == 2 and secret.startswith(b"eyJ") else forms
        for form, needle in of(secret).items():
            assert len(needle) >= PART, (name, form)
            yield name, form, needle


# ---- where ---------------------------------------------------------------------------------------


def mappings(pid):
    """All that may hold something of the process's own: of a file that is mapped, only where it
    has written to it."""
    head, anonymous, there = None, 0, 0
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as smaps:
        for line in smaps:
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ \d+ *(.*)$", line)
            if m:
                head, anonymous, there = m, 0, 0
            elif line.startswith("Anonymous:"):
                anonymous = int(line.split()[1])
            elif line.startswith(("Rss:", "Swap:")):
                there += int(line.split()[1])
            elif line.startswith("VmFlags:"):
                flags, name = line.split()[1:], head[4]
                is_file = name.startswith("/") and not name.startswith("/memfd:")
                if anonymous or (there and not is_file):
                    yield Mapping(int(head[1], 16), int(head[2], 16), head[3], name,
                                  "lo" in flags, "dd" in flags)


PAGE = 4096


def runs(memory, mapping):
    """(address, bytes) of each run of pages that are not all zeros: most are."""
    memory.seek(mapping.start)
    run, at = [], mapping.start
    for address in range(mapping.start, mapping.end, PAGE):
        try:
            page = memory.read(PAGE)
        except OSError:  # what it may not read itself
            break
        if page.count(0) < PAGE:
            run.append(page)
            continue
        if run:
            yield at, b"".join(run)
        run, at = [], address + PAGE
    if run:
        yield at, b"".join(run)


class Image:
    """The memory of a process, as it was when this was made."""

    def __init__(self, pid):
        with open(f"/proc/{pid}/mem", "rb", buffering=64 * PAGE) as memory:
            self.parts = [(mapping, at, content) for mapping in mappings(pid)
                          for at, content in runs(memory, mapping)]

    def find(self, secrets):
        return [Finding(name, form, at + content.find(needle), mapping)
                for name, form, needle in needles(secrets)
                for mapping, at, content in self.parts if needle in content]

    def core(self):
        """What a debugger, or the kernel if it were allowed to, would write into a core."""
        return b"".join(content for mapping, _, content in self.parts if not mapping.left_out)


def scan(pid, secrets):
    return Image(pid).find(secrets)


def plant(pid, leak):
    """Has the process hold those bytes in ordinary memory: at the far end of its stack."""
    stack = next(m for m in mappings(pid) if m.name == "[stack]")
    with open(f"/proc/{pid}/mem", "r+b", buffering=0) as memory:
        memory.seek(stack.start + 64)
        assert memory.write(leak) == len(leak)


def exposed(findings, lockable=True):
    """Those that lie where they must not. Where memory cannot be locked (lockable=False) it still
    is left out of dumps."""
    return [str(f) for f in findings
            if not f.mapping.left_out or (lockable and not f.mapping.locked)]


def copies(findings):
    """Those that are not in memory for secrets, which has no name but that of the store."""
    return [str(f) for f in findings if f.mapping.name and not f.mapping.name.startswith("/memfd:")]


# ---- at its end ----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def stopper(tmp_path_factory):
    """stop_at_exit, built."""
    path = tmp_path_factory.mktemp("stop") / "stop_at_exit"
    source = pathlib.Path(__file__).with_name("stop_at_exit.c")
    subprocess.run(["cc", "-o", path, source], check=True)
    return path


class Ends:
    """The ends of our processes among a process (-p PID) or command and what it starts:
    (program, what `look(pid)` returned) of each."""

    def __init__(self, stopper, look, *what, **kwargs):
        self.seen = []
        self.look = look
        self.control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [stopper, str(theirs.fileno()), "kubetoken", *map(str, what)],
                pass_fds=[theirs.fileno()], **kwargs)
        self.lines = self.control.makefile("r")
        if what[0] == "-p" and self.lines.readline() != "0\n":
            self.close()
            pytest.skip("this machine lets nobody trace")
        self.thread = threading.Thread(target=self._hold)
        self.thread.start()

    def _hold(self):
        for line in self.lines:
            try:
                program = os.path.basename(os.readlink(f"/proc/{int(line)}/exe"))
                self.seen.append((program, self.look(int(line))))
            except Exception as e:  # pylint: disable=broad-exception-caught
                self.seen.append((None, e))
            with contextlib.suppress(OSError):  # nobody waits any more
                self.control.send(b".")

    def of(self, program, n=1):
        """Waits until n processes of that program have ended; returns what was seen of each."""
        def found():
            for name, seen in self.seen:
                if name is None:
                    raise seen
            those = [seen for name, seen in self.seen if name == program]
            return those if len(those) >= n else None
        return rig.wait_until(found, f"the end of {n} {program}")

    def close(self):
        self.control.shutdown(socket.SHUT_RDWR)
        self.process.kill()  # what it follows goes on by itself
        self.process.wait()
        if hasattr(self, "thread"):
            self.thread.join()
        self.lines.close()
        self.control.close()


@contextlib.contextmanager
def ends_of(stopper, look, *what, **kwargs):
    ends = Ends(stopper, look, *what, **kwargs)
    try:
        yield ends
    finally:
        ends.close()


def skip_where_memory_is_closed():
    """The memory of a process that is not dumpable is root's, and not that of every root."""
    if os.geteuid() != 0:
        pytest.skip("root alone reads the memory of another process that is not dumpable")
    with subprocess.Popen(["sleep", "60"]) as other:
        try:
            with open(f"/proc/{other.pid}/mem", "rb"):
                pass
        except OSError as e:
            pytest.skip(f"this root may read no memory: {e}")
        finally:
            other.kill()
