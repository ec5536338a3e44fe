"""Who resolves names, and what of this machine can be reached from the process that meets the
network: nothing. In a mount namespace, where the machine's names come from a service behind a
Unix socket (nss_service.c) and from a name server of the test's own."""
import contextlib
import os
import pathlib
import re
import shutil
import socket
import struct
import subprocess
import threading

import pytest

import rig
import scripted
from test_fetcher_program import Fetch

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace takes root"),
    pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed"),
    pytest.mark.skipif(not shutil.which("cc"), reason="no compiler is installed")]

NAME_SERVER = "127.61.52.53"


class Service:
    """Tells addresses over a Unix socket; `asked` has the names."""

    def __init__(self, path, addresses):
        self.addresses, self.asked = addresses, []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen()
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                with client, client.makefile("rw") as file:
                    name = file.readline().rstrip("\n")
                    self.asked.append(name)
                    file.write("".join(a + "\n" for a in self.addresses.get(name, ())))

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


class NameServer:
    """DNS over UDP for the A records of these names; others do not exist (RFC 1035 §4)."""

    def __init__(self, addresses):
        self.addresses, self.asked = addresses, []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((NAME_SERVER, 53))
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while True:
            question, client = self.socket.recvfrom(4096)
            if not question:
                return
            self.socket.sendto(self._answer(question), client)

    def _answer(self, question):
        labels, at = [], 12
        while question[at]:
            labels.append(question[at + 1:at + 1 + question[at]].decode())
            at += 1 + question[at]
        name = ".".join(labels)
        kind, = struct.unpack_from(">H", question, at + 1)
        self.asked.append(name)
        address = self.addresses.get(name)
        records = b"" if kind != 1 or not address else struct.pack(
            ">HHHIH4s", 0xc00c, 1, 1, 60, 4, socket.inet_aton(address))
        return (question[:2] + struct.pack(">HHHHH", 0x8180 if address else 0x8183, 1,
                                           bool(records), 0, 0) + question[12:at + 5] + records)

    def stop(self):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
            s.sendto(b"", (NAME_SERVER, 53))
        self.thread.join()
        self.socket.close()


class Machine:
    """Its names come from /etc/hosts, the service and the name server; its sockets that an
    attacker would like are those of `hostile`."""

    def __init__(self, folder):
        self.folder = folder
        self.trace = folder / "trace"
        self.service_path = folder / "service"
        self.hostile = {}
        for name in ("bus", "private", "kubetoken"):  # user's bus, his systemd, ours
            self.hostile[folder / name] = listener = socket.socket(socket.AF_UNIX)
            listener.bind(str(folder / name))
            listener.listen()
            listener.setblocking(False)
        self.module = folder / "module.so"
        subprocess.run(
            ["cc", "-shared", "-fPIC", "-o", self.module, f'-DSERVICE="{self.service_path}"',
             "-DHOSTILE=" + ",".join(f'"{p}"' for p in self.hostile),
             rig.TOP / "tests" / "integration" / "nss_service.c"], check=True)
        (folder / "nsswitch.conf").write_text("hosts: files compat dns\n")
        (folder / "resolv.conf").write_text(
            f"nameserver {NAME_SERVER}\noptions timeout:5 attempts:1\n")

    def close(self):
        for listener in self.hostile.values():
            listener.close()

    def command(self):
        """Runs the fetcher in there, and has its sockets written down."""
        library = next(p for p in pathlib.Path("/usr/lib").glob("*/libnss_compat.so.2"))
        places = {self.module: library, self.folder / "nsswitch.conf": "/etc/nsswitch.conf",
                  self.folder / "resolv.conf": "/etc/resolv.conf"}
        mounts = " && ".join(f"mount --bind {a} {b}" for a, b in places.items())
        return ["unshare", "-m", "sh", "-ec",
                "PATH=/usr/sbin:/usr/bin:/sbin:/bin; "
                f"mount --make-rprivate / && {mounts} && exec strace -f -o {self.trace} "
                f"-e trace=read,clone,clone3,socket,connect {rig.BUILD}/kubetoken-fetch"]

    def knocked(self):
        """At which of the hostile sockets somebody was."""
        def was(listener):
            try:
                listener.accept()[0].close()
                return True
            except BlockingIOError:
                return False
        return [p.name for p, listener in self.hostile.items() if was(listener)]


@pytest.fixture
def machine(tmp_path):
    m = Machine(tmp_path)
    yield m
    m.close()


@contextlib.contextmanager
def serving(*servers):
    try:
        yield servers
    finally:
        for s in servers:
            s.stop()


def calls(trace):
    """Process and call, in the order of their ends."""
    begun = {}
    for line in trace.read_text().splitlines():
        pid, text = line.split(None, 1)
        if text.endswith(" <unfinished ...>"):
            begun[pid] = text[:-len(" <unfinished ...>")]
            continue
        if text.startswith("<... "):
            text = begun.pop(pid) + text.partition(" resumed>")[2]
        yield pid, text


def split(trace):
    """The lines of the process that resolves names, and of the one (with its threads) that meets
    the network, in order."""
    lines = list(calls(trace))
    forks = [re.search(r"= (\d+)$", text)[1] for _, text in lines
             if text.startswith("clone") and "CLONE_THREAD" not in text and text[-1].isdigit()]
    assert len(forks) == 1, lines
    return ([t for pid, t in lines if pid == forks[0]], [t for pid, t in lines if pid != forks[0]])


def test_who_meets_the_network_reaches_no_socket_of_the_machine(fake, machine):
    """First and second are known to the service alone, third to the name server: it is asked for
    when a document of the provider names it, after the first byte from the network, by the process
    that meets it; and there the module is an attacker."""
    names = [f"{n}.kt.test" for n in ("first", "second", "third")]
    first, second, third = (f"https://{n}:{fake.port}" for n in names)
    fake.certify(names=names)
    fake.issuer = first
    document = {**fake.discovery(), "token_endpoint": second + "/oauth/token",
                "jwks_uri": third + "/.well-known/jwks.json"}
    fake.answers["/.well-known/openid-configuration"] = scripted.json_answer(document)
    service = Service(machine.service_path, {names[0]: ["127.0.0.1"],
                                             names[1]: ["::1", "127.0.0.1"]})
    fetch = Fetch(fake)
    fetch.program = machine.command()
    with serving(service, NameServer({names[2]: "127.0.0.1"})) as (_, dns):
        assert fetch() == "token" and fetch.result["verified"] == b"1"
    assert service.asked == [names[0], names[2], names[1]]
    assert set(dns.asked) == {names[2]}

    resolving, meeting = split(machine.trace)
    assert machine.knocked() == []
    fork = next(i for i, t in enumerate(meeting) if t.startswith("clone("))
    job = next(i for i, t in enumerate(meeting) if t.startswith("read(0,"))
    assert fork < job  # so that it has no copy of the password
    opened = [t for t in resolving if t.startswith("socket(") and "= -1" not in t]
    assert opened and all("AF_UNIX" in t for t in opened)
    asked = [t for t in resolving if t.startswith("connect(")]
    assert all(str(machine.service_path) in t or "/nscd/" in t for t in asked)
    assert not any("sun_path" in t for t in meeting)
    attempts = [i for i, t in enumerate(meeting) if t.startswith("socket(AF_UNIX")]
    assert all("EPERM" in meeting[i] for i in attempts)
    byte = next(i for i, t in enumerate(meeting) if f"htons({fake.port})" in t)
    assert len([i for i in attempts if i > byte]) >= len(machine.hostile)


def test_a_proxys_name_is_resolved_likewise_and_nothing_else(fake, machine):
    """Whom a proxy asks is for the proxy to resolve, and may be unknown here."""
    fake.certify(names=("first.kt.test",))
    fake.base = fake.issuer = f"https://first.kt.test:{fake.port}"
    proxy = scripted.Proxy()
    proxy.hosts["first.kt.test"] = "127.0.0.1"
    service = Service(machine.service_path, {"proxy.kt.test": ["127.0.0.1"]})
    fetch = Fetch(fake)
    fetch.program = machine.command()
    with serving(service, proxy):
        assert fetch(proxy=f"http://proxy.kt.test:{proxy.port}") == "token"
    assert set(service.asked) == {"proxy.kt.test"}
    _, meeting = split(machine.trace)
    assert not any(t.startswith("socket(AF_UNIX") for t in meeting)
