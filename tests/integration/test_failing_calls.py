"""Each allocation, and each system call, fails once, through all that the programs do (failing.c).
Whatever it is: the daemon lives, a token in hand is served, what was left out is an error and never
half an answer, descriptors, children and locked memory are as before, and the next request goes on.

`make check` fails some of the calls, always the same; `make check-faults` every one."""
import json
import os
import pathlib
import socket
import subprocess

import pytest

import failing
import rig
from failing import ERRORS_MOST, FULL, KINDS, numbers


# Requests that change nothing, or the same each time; %d: a number of its own.
REQUESTS = {
    "status": b"status text * once\n",
    "status-json": b"status json * once\n",
    "metrics": b"status metrics * with-user once\n",
    "names": b"status name * once\n",
    "quiet": b"status quiet * once\n",
    "log": b"log text * once\n",
    "log-json": b"log json * once\n",
    "why": b"why json p once\n",
    "version": b"version text * once\n",
    "no-such-profile": b"get token nobody once\n",
    "no-request": b"hello\n",
    "pipeline": b"version\nprofile text p\nget json p\n",
    "inspect": b"inspect text p once\n",
    "inspect-given": b"inspect text * secret=5 once\nhello",
    "reload": b"reload text * once\n",
    "logout": b"logout text typed once\n",
}


class Bench:
    """A daemon whose calls fail, with a token of profile p in hand."""

    def __init__(self, home, daemon, fake, library, tmp_path):
        self.home, self.daemon, self.fake = home, daemon, fake
        self.control = failing.Control(tmp_path, library)
        fake.members = {"refresh_token": "canary-refresh"}
        self.maps = ""

    def configure(self, extra=""):
        self.home.configure(
            "[defaults]\n" + "\n".join([f"issuer = {self.fake.issuer}",
                                        f"ca-file = {self.fake.ca_file}", "client-id = client"]) +
            "\n[profile p]\nusername = someone\npassword = canary-pw\n" +
            "[profile typed]\nusername = typed\n" + extra)
        self.home.settle()

    def spawn(self, fail=None):
        """Starts the daemon; fail: (kind, number, choice)."""
        self.control.renew()
        if fail:
            self.control.fail(*fail)
        kept = dict(self.home.environment)
        self.home.environment.update(self.control.environment)
        try:
            with open(self.daemon.log, "ab") as log:
                self.daemon.process = rig._Forked(self.daemon._become_activated, log)
        finally:
            self.home.environment.clear()
            self.home.environment.update(kept)

    def hear(self):
        """Takes what the daemon has told systemd: what is not read would hold it up."""
        self.daemon.notify.settimeout(0)
        try:
            self.daemon.wait_for("what it never says")
        except BlockingIOError:
            pass
        finally:
            self.daemon.notify.settimeout(rig.PATIENCE)

    def starts(self):
        """Whether it comes to wait for clients; else it has ended. That systemd is told so may be
        what fails."""
        self.control.settle(lambda: self.daemon.alive)
        self.hear()
        if self.daemon.process.poll() is None:
            self.maps = pathlib.Path(f"/proc/{self.daemon.process.pid}/maps").read_text()
            return True
        return False

    def start(self):
        self.configure()
        self.spawn()
        assert self.starts()
        self.token = self.get()
        return self

    def ask(self, request):
        """The answer; b"" where the daemon closed before it. All of the request comes with the
        connection, so that the calls are the same ones each time."""
        answer = b""
        self.hear()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(rig.PATIENCE)
            try:
                with self.control.held():
                    s.connect(str(self.home.socket_path))
                    s.sendall(request)
                    s.shutdown(socket.SHUT_WR)
                while chunk := s.recv(65536):
                    answer += chunk
            except ConnectionError:
                answer = b""
            except TimeoutError:
                self.must(False, f"no answer to {request[:40]}, but {answer}")
        self.control.settle(lambda: self.daemon.alive)
        return answer

    def get(self, name="p"):
        answer = self.ask(f"get token {name} once\n".encode())
        assert answer.startswith(b"ok "), answer
        return answer

    def house(self):
        """What must not grow."""
        process = pathlib.Path(f"/proc/{self.daemon.process.pid}")
        children = process / "task" / process.name / "children"
        rig.wait_until(lambda: not children.read_text() and not any(
            "pidfd" in os.path.realpath(fd) for fd in (process / "fd").iterdir()),
                       "the end of all children")
        locked = next(line.split()[1] for line in (process / "status").read_text().splitlines()
                      if line.startswith("VmLck"))
        return (sorted(os.listdir(process / "fd")),
                children.read_text(), int(locked))

    def must(self, holds, what):
        if not holds:  # to name the lines of the source takes a while
            raise AssertionError(f"{what}: {self.control.what(self.maps)}")

    def check(self, house, locked=True):
        self.must(self.daemon.alive, "it is gone")
        self.must(self.ask(b"get token p once\n") == self.token, "the token in hand is not served")
        now = self.house()
        self.must(now[:2] == house[:2] and (now[2] <= house[2] or not locked),
                  f"left behind: {house}, {now}")


@pytest.fixture
def bench(home, daemon, fake, library, tmp_path):
    return Bench(home, daemon, fake, library, tmp_path)


def keys(value):
    """Of JSON: what its schema promises."""
    if isinstance(value, dict):
        return {k: keys(v) for k, v in value.items() if k not in ("error", "warnings")}
    return [keys(v) for v in value] if isinstance(value, list) else None


def is_whole(answer, whole):
    """Nothing, an error, or what the answer was without a fault: of each line of JSON the members,
    of other text the number of lines. What a table or a log says may be more by now."""
    if answer == b"" or answer.startswith(b"error ") or b"\nerror internal" in answer:
        return True
    mine, other = shape(answer), shape(whole)
    if b'"event":' in answer:  # of a log there may be more lines by now, each of them whole
        return all({"id", "timestamp", "event", "count"} <= set(line) for line in mine)
    if b"\nok " in whole and mine == other[:len(mine)]:
        return True  # of several answers the rest is lost, and the connection with it
    return mine == other or (len(mine) >= len(other) > 1 and b"{" not in answer)


def shape(answer):
    """Of an answer that is one: what of it is the same each time."""
    lines = answer.decode().splitlines()
    return [keys(json.loads(line)) if line.startswith("{") else len(line.split()[:1])
            for line in lines if not line.startswith("ok ") and "rror" not in line]


def failures(control, kind, total, most):
    """Has each of the calls fail in turn, in each of its ways. That there are as many as were
    counted is a check: there is no further one."""
    for number in numbers(total, most):
        for choice in range(ERRORS_MOST if kind == failing.SYSTEM_CALLS else 1):
            control.fail(kind, number, choice)
            yield number
            if not control.end():
                break


@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_request_with_a_call_that_fails(bench, name, kind):
    request, kind = REQUESTS[name], KINDS[kind]
    bench.start()
    for _ in range(3):  # what is made once is there
        bench.ask(request)
    bench.control.count()
    whole = bench.ask(request)
    total = bench.control.counted(kind)
    bench.get()
    house = bench.house()
    failed = 0
    for _ in failures(bench.control, kind, total, 8):
        answer = bench.ask(request)
        failed += bench.control.end()
        bench.check(house)
        bench.must(is_whole(answer, whole), f"half an answer: {answer}")
    print(f"{name}: {total} counted, {failed} failed")
    bench.ask(request)  # the memory for the next client, if that was the last to fail
    bench.control.fail(kind, total + 1)
    bench.ask(request)
    # A log grows; how often a fetcher is listened to is chance, and so is whether a request is
    # there when its peer is taken, which is a matter of system calls.
    steady = kind != failing.SYSTEM_CALLS and not name.startswith(("log", "inspect"))
    assert not (bench.control.end() and steady), "one more than was counted"


@pytest.mark.parametrize("form", ["token", "exec/v1"])
def test_a_get_of_a_token_in_hand_allocates_nothing(bench, form):
    bench.start()
    bench.control.count()
    assert bench.ask(f"get {form} p once\n".encode()).startswith(b"ok ")
    assert bench.control.counted(failing.ALLOCATIONS) == 0
    assert 0 < bench.control.counted(failing.SYSTEM_CALLS) < 10


# ---- a token is fetched -------------------------------------------------------------------------


def people(n):
    """Profiles with an account each, so that none is told to slow down."""
    return "".join(f"[profile n{i:03}]\nusername = n{i:03}\npassword = canary-pw\n"
                   for i in range(n))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("how", ["get", "login"])
def test_a_first_token_with_a_call_that_fails(bench, how, kind):
    """The client is told, or served after all; and whoever asks next gets the token."""
    kind = KINDS[kind]
    request = {"get": b"get token n%03d once\n",
               "login": b"login text n%03d secret=9 once\ncanary-pw"}[how]
    bench.start()
    bench.configure(people(600 if FULL else 60))
    bench.ask(b"reload text * once\n")
    bench.ask(request % 0)
    bench.control.count()
    bench.ask(request % 1)
    total = bench.control.counted(kind)
    house = bench.house()
    failed = 0
    for person, _ in enumerate(failures(bench.control, kind, total, 8), 2):
        answer = bench.ask(request % person)
        failed += bench.control.end()
        bench.must(bench.daemon.alive, "it is gone")
        bench.must(not answer or answer.startswith((b"ok ", b"error ")), answer)
        # what failed on this machine is tried again in a moment, and told until then
        rig.wait_until(lambda: bench.ask(b"get token n%03d once\n" % person).startswith(b"ok "),
                       f"a token after {bench.control.short()}")
        bench.check(house, locked=False)  # there are more of them
    print(f"{how}: {total} counted, {failed} failed")


@pytest.mark.parametrize("kind", KINDS)
def test_a_renewal_with_a_call_that_fails(bench, kind):
    """What was there is served until another is; the refresh token is not lost with it."""
    kind = KINDS[kind]
    bench.start()
    for _ in range(2):
        bench.ask(b"refresh text p once\n")
    bench.control.count()
    bench.ask(b"refresh text p once\n")
    total = bench.control.counted(kind)
    house = bench.house()
    failed = 0
    for _ in failures(bench.control, kind, total, 8):
        answer = bench.ask(b"refresh text p once\n")
        failed += bench.control.end()
        bench.must(bench.daemon.alive, "it is gone")
        bench.token = bench.get()
        bench.must(not answer or answer.startswith((b"ok ", b"error ")), answer)
        bench.check(house)
        bench.must(bench.ask(b"refresh text p once\n").startswith(b"ok "), "no other one follows")
        bench.token = bench.get()
    print(f"refresh: {total} counted, {failed} failed")


# ---- the configuration ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_changed_configuration_with_a_call_that_fails(bench, kind):
    """It is taken, or it is not, and then all of the one before is in force; the next reload takes
    it."""
    kind = KINDS[kind]
    bench.start()

    def change(number):
        """One is new, and one is gone."""
        bench.configure(f"[profile x{number:03}]\nusername = x\n")

    def names():
        return bench.ask(b"status name * once\n").decode().split("\n")[1:-1]

    for number in range(3):
        change(number)
        bench.ask(b"reload text * once\n")
    change(3)
    bench.control.count()
    bench.ask(b"reload text * once\n")
    total = bench.control.counted(kind)
    house = bench.house()
    for number, _ in enumerate(failures(bench.control, kind, total, 16), 4):
        before = names()
        change(number)
        after = sorted(["p", "typed", f"x{number:03}"])
        answer = bench.ask(b"reload text * once\n")
        bench.control.end()
        bench.must(bench.daemon.alive, "it is gone")
        bench.must(names() in (before, after), f"{names()} of {before}, {after}")
        bench.must(not answer.startswith(b"ok ") or names() == after, "said, and not so")
        bench.must(bench.ask(b"reload text * once\n").startswith(b"ok "), "the next is not taken")
        bench.must(names() == after, f"{names()}")
        bench.check(house)
    print(f"reload: {total} counted")


# ---- start ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_start_with_a_call_that_fails(bench, kind):
    """It starts, or it ends with one line that says why and systemd starts it again. Either way the
    token of its earlier life is served, and nobody is asked for another."""
    bench.start()
    bench.control.count()
    daemon = bench.daemon
    daemon.process.kill()
    bench.spawn()
    assert bench.starts()
    total = bench.control.counted(KINDS[kind])
    grants = len(bench.fake.grants())
    failed = 0
    for number in numbers(total, 16):
        for choice in range(ERRORS_MOST if KINDS[kind] == failing.SYSTEM_CALLS else 1):
            daemon.process.kill()
            bench.spawn((KINDS[kind], number, choice))
            started = bench.starts()
            fired = bench.control.end()
            failed += fired
            if not started:
                bench.must(daemon.process.poll() == 1, f"it ended with {daemon.process.poll()}")
                bench.must("kubetokend: " in daemon.log.read_text(), "it said nothing")
                bench.spawn()
                assert bench.starts()
            bench.must(bench.ask(b"get token p once\n") == bench.token, "the token is lost")
            bench.must(len(bench.fake.grants()) == grants, "it asked for another")
            if not fired:
                break
    print(f"start: {total} counted, {failed} failed")
