"""What an answer with a token in hand costs the daemon: exact counts, of system calls by strace, of
allocations by failing.c. Until the answer is out five calls do, three where the connection is
kept, and nothing is allocated: the answer waits for no memory."""
import contextlib
import itertools
import os
import pathlib
import re
import shutil
import socket
import subprocess
import time

import pytest

import failing
import rig

ALONE = ["epoll_wait", "accept4", "getsockopt", "recvfrom", "sendmsg"]
# right behind another: whether there are more is asked first
IN_A_CROWD = ["epoll_wait", "accept4", "accept4", "getsockopt", "recvfrom", "sendmsg"]
# the request comes once the daemon has looked at the connection
LATE = [["epoll_wait", *between, "recvfrom", "epoll_ctl", "epoll_wait", "recvfrom", "sendmsg"]
        for between in (["accept4", "getsockopt"], ["accept4", "accept4", "getsockopt"])]
KEPT = ["epoll_wait", "recvfrom", "sendmsg"]
# others are there as well: who it is has to be asked
KEPT_BESIDE_OTHERS = ["epoll_wait", "epoll_wait", "recvfrom", "sendmsg"]


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    return failing.build(tmp_path_factory.mktemp("failing"))


class Bench:
    """A daemon with a token of profile p in hand, whose allocations are counted."""

    def __init__(self, home, daemon, fake, library, tmp_path):
        self.home, self.daemon, self.trace = home, daemon, tmp_path / "trace"
        self.control = failing.Control(tmp_path, library)
        home.configure(fake.profile("p"))
        home.settle()

    def start(self):
        self.home.environment.update(self.control.environment)
        return self.run()

    def run(self):
        self.daemon.start()
        for name in self.control.environment:
            self.home.environment.pop(name, None)
        self.ask("get token p once")
        process = pathlib.Path(f"/proc/{self.daemon.process.pid}")
        children = process / "task" / process.name / "children"
        rig.wait_until(lambda: not children.read_text(), "the fetcher's end")
        return self

    def start_traced(self):
        """With the tracer as a grandchild, so that the daemon has the pid that systemd told it."""
        variables = [f"-E{name}={value}" for name, value in self.control.environment.items()]
        self.daemon.program = shutil.which("strace")
        self.daemon.arguments = ["-D", "-s", "100", *variables, "-o", self.trace,
                                 rig.BUILD / "kubetokend"]
        self.run()
        rig.wait_until(self.forgets_the_fetcher, "no look at what it may have started")
        return self

    def forgets_the_fetcher(self):
        """For a second it is looked for among the peers."""
        mark = f"n=fetcher-{time.monotonic()}"
        self.ask(f"get token p once {mark}")
        return "getpgid" not in self.calls(mark)

    def settle(self):
        self.control.settle(lambda: self.daemon.alive)

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.daemon.process.pid}/fd"))

    @contextlib.contextmanager
    def connection(self, request=""):
        """All of the request is there before the daemon looks; without one it has looked."""
        self.settle()
        before = self.descriptors()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(rig.PATIENCE)
            with self.control.held():
                s.connect(str(self.home.socket_path))
                s.sendall(request.encode())
            if not request:
                rig.wait_until(lambda: self.descriptors() > before, "the connection")
                self.settle()
            yield s
        rig.wait_until(lambda: self.descriptors() == before, "its end of the connection")
        self.settle()

    @staticmethod
    def read(s):
        """One answer, the whole of which is the header and a token."""
        answer = b""
        while answer.count(b"\n") < 2:
            chunk = s.recv(65536)
            assert chunk, answer
            answer += chunk
        assert answer.startswith(b"ok "), answer

    def ask(self, request):
        with self.connection(request + "\n") as s:
            self.read(s)

    def ask_late(self, request):
        with self.connection() as s:
            s.sendall(request.encode() + b"\n")
            self.read(s)

    def ask_often(self, requests):
        """All on one connection, each once the one before is answered."""
        with self.connection() as s:
            for request in requests:
                s.sendall(request.encode() + b"\n")
                self.read(s)
                self.settle()

    def calls(self, mark, accepted=True):
        """From the wake-up that tells of the request, or of its connection, to the answer."""
        lines = [line for line in self.trace.read_text().splitlines()
                 if not line.startswith(("clock_nanosleep", "---"))]  # failing.c's
        end = next(i for i, line in enumerate(lines) if f"{mark}\\n" in line)
        begin = end
        fd = re.match(r"recvfrom\(([0-9]+)", lines[end])[1]
        wanted = rf"accept4\(.* = {fd}$" if accepted else "epoll_wait"
        while not re.match(wanted, lines[begin]):
            begin -= 1
        while not re.match(r"epoll_wait\(.*, -1\) ", lines[begin]):
            begin -= 1
        while not lines[end].startswith("sendmsg"):
            end += 1
        return [re.match(r"\w+", line)[0] for line in lines[begin:end + 1]]


@pytest.fixture
def bench(home, daemon, fake, library, tmp_path):
    return Bench(home, daemon, fake, library, tmp_path)


def may_trace():
    strace = shutil.which("strace")
    return strace and subprocess.run([strace, "-o", "/dev/null", "true"],
                                     capture_output=True).returncode == 0


@pytest.mark.skipif(not may_trace(), reason="strace is not installed, or not permitted")
def test_the_system_calls_until_the_answer_is_out(bench):
    bench.start_traced()
    with bench.connection():
        bench.ask_often(["get token p n=1", "get token p n=2"])
        bench.ask("get token p once n=3")
        bench.ask("get exec/v1 p client-go=1 tell once n=4")
    bench.ask_late("get token p once n=5")
    bench.ask_often(["get token p n=6", "get json p n=7"])
    bench.ask("get header p n=8")
    bench.daemon.close()
    rig.wait_until(lambda: "+++ exited" in bench.trace.read_text(), "the end of the trace")
    assert bench.calls("n=2", accepted=False) == KEPT_BESIDE_OTHERS
    assert bench.calls("n=3") in (ALONE, IN_A_CROWD)
    assert bench.calls("n=4") in (ALONE, IN_A_CROWD)
    assert bench.calls("n=5") in LATE
    assert bench.calls("n=7", accepted=False) == KEPT
    assert bench.calls("n=8")[:-1] in ([*ALONE[:-1], "epoll_ctl"], [*IN_A_CROWD[:-1], "epoll_ctl"])


@pytest.mark.parametrize("form", ["token", "exec/v1", "json"])
def test_no_answer_allocates(bench, form):
    """Whoever asks, and also once it was looked at who that was."""
    bench.start()
    nobody = itertools.count(5_000_000)  # no pid is as high; one that comes again looks rejected

    def count(ask, request):
        """The least of some: now and then systemd is told what the daemon does."""
        counts = []
        for _ in range(5):
            bench.control.count()
            ask(f"get {form} p {request}".format(next(nobody)))
            counts.append(bench.control.counted(failing.ALLOCATIONS))
        return min(counts)
    for request in "once", "client-go={} once":
        assert count(bench.ask, request) == 0
        # for the next client that has to stay, once this one has gone
        assert count(bench.ask_late, request) == 1
    for request in "", "client-go={}":
        assert count(lambda request: bench.ask_often([request, request.replace("=5", "=6")]),
                     request) == 1


def test_an_answer_waits_for_no_memory(bench):
    """Nobody is told that there is none who could be served without."""
    bench.start()
    bench.ask_late("get token p once")
    bench.control.fail(failing.ALLOCATIONS, 1, until=failing.FOREVER)
    bench.ask("get token p once")
    bench.ask_often(["get token p", "get exec/v1 p client-go=1", "get json p"])
    assert bench.control.end(), "the memory for the next client"
    bench.ask_late("get token p once")
