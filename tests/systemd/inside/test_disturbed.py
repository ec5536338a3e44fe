"""Four loops of `kubetoken get` while everything happens to the daemon: nobody notices."""
import contextlib
import signal
import subprocess
import threading

import pytest

import machine
import service as kubetoken
from service import FULL, as_root, wait_until

KILLS = 5 if FULL else 3
KEPT = ["tokens", "all"]
FETCHER = "/usr/local/libexec/kubetoken/kubetoken-fetch"
PROGRAMS = kubetoken.DAEMON, FETCHER


class Loop(threading.Thread):
    """Asks for a token again and again."""

    def __init__(self, profile):
        super().__init__(daemon=True)
        self.profile, self.gets, self.failures, self.tokens = profile, 0, [], []
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            r = subprocess.run([kubetoken.CLIENT, "get", self.profile], capture_output=True,
                               text=True, stdin=subprocess.DEVNULL, check=False)
            if r.returncode == 0 and r.stdout not in self.tokens:
                self.tokens.append(r.stdout)
            elif r.returncode != 0:
                self.failures.append((r.returncode, r.stderr))
            self.gets += 1
            self.ending.wait(0.01)


class Loops:
    """Two for each profile. One has its password in the configuration, one was typed."""

    def __init__(self, service):
        self.service = service
        self.loops = [Loop(profile) for profile in ("file", "typed") * 2]

    def __enter__(self):
        for loop in self.loops:
            loop.start()
        self.go_on()
        return self

    def __exit__(self, *_):
        for loop in self.loops:
            loop.ending.set()
        for loop in self.loops:
            loop.join()

    def go_on(self, gets=3):
        """Until each loop has gone round that often more."""
        before = [loop.gets for loop in self.loops]
        wait_until(lambda: all(loop.gets >= n + gets for loop, n in zip(self.loops, before)),
                   "more gets")

    @property
    def gets(self):
        return sum(loop.gets for loop in self.loops)

    @property
    def failures(self):
        return [failure for loop in self.loops for failure in loop.failures]

    def lost(self):
        """Tokens that were handed out and then no more, though they live."""
        return sum(len({token for loop in self.loops if loop.profile == profile
                        for token in loop.tokens}) - 1 for profile in ("file", "typed"))


# ---- what happens ----------------------------------------------------------------------------

def restart(service, loops, times=5):
    for _ in range(times):
        service.systemctl("restart", service.name)
        loops.go_on()


def send(service, loops, number):
    pid = service.pid()
    service.kill(number, pid)
    wait_until(lambda: service.pid() != pid, "another daemon")
    loops.go_on()


def signals(number, times):
    def disturb(service, loops):
        if not FULL:  # what is shipped waits 2 s each time, as `hang` does
            service.drop_in("soon", "[Service]\nRestartSec=100ms\n")
        for _ in range(times):
            send(service, loops, number)
    return disturb


def hang(service, loops):
    service.drop_in("watchdog", "[Service]\nWatchdogSec=4s\n")
    service.systemctl("restart", service.name)
    send(service, loops, signal.SIGSTOP)


def put(source, target):
    """As a package does it."""
    as_root(f"cp {source} {target}.new; mv {target}.new {target}")


@contextlib.contextmanager
def other_version():
    """The programs are of another version, one that keeps more than this one knows."""
    for path in PROGRAMS:
        as_root(f"cp {path} {path}.this")
    try:
        put(f"{machine.BUILD}/{machine.OTHER}", kubetoken.DAEMON)
        put(f"{FETCHER}.this", FETCHER)
        yield
    finally:
        for path in PROGRAMS:
            as_root(f"mv {path}.this {path}")


def upgrade(service, loops):
    with other_version():
        loops.go_on()
        restart(service, loops, 1)


def downgrade(service, loops):
    with other_version():
        restart(service, loops, 1)
    loops.go_on()
    restart(service, loops, 1)


def reload_broken(service, loops):
    good = (service.config / "kubetoken.conf").read_text()
    service.configure(good + "\n[profile file]\nno-such-key = 1\n")
    r = service.systemctl("reload", service.name, check=False)
    assert r.returncode != 0, "a reload of a broken configuration succeeds"
    assert service.show("ActiveState") == "active"
    assert service.status()["configurationInForce"] is False
    loops.go_on()
    service.configure(good)
    service.systemctl("reload", service.name)
    assert service.status()["configurationInForce"] is True
    loops.go_on()


def reexec(service, loops):
    service.systemctl("daemon-reload")
    loops.go_on()
    service.systemctl("daemon-reexec")
    loops.go_on()
    restart(service, loops, 1)


def restart_socket(service, loops):
    for _ in range(5):
        service.systemctl("restart", "kubetoken.socket")
        loops.go_on()


ROWS = {
    "5 restarts": restart,
    f"{KILLS} kill -9": signals(signal.SIGKILL, KILLS),
    f"{KILLS} SEGV": signals(signal.SIGSEGV, KILLS),
    f"{KILLS} ABRT": signals(signal.SIGABRT, KILLS),
    "hang, 4 s watchdog": hang,
    "upgrade": upgrade,
    "upgrade and downgrade": downgrade,
    "reload of a broken file": reload_broken,
    "reload and reexec of the manager": reexec,
    "20 kill -9": signals(signal.SIGKILL, 20),
    "5 restarts of the socket": restart_socket,
}

VARIANTS = [(keep, hardened) for keep in KEPT for hardened in (False, True)]


@pytest.fixture(params=VARIANTS, ids=lambda v: v[0] + (", hardened" if v[1] else ""))
def variant(request):
    return request.param


@pytest.mark.parametrize("row", ROWS)
def test_no_get_notices(service, fake, variant, row, record_property):
    keep, hardened = variant
    if hardened:
        service.harden()
    defaults = "" if keep == "tokens" else f"[defaults]\nkeep-over-restart = {keep}\n"
    service.configure(defaults + fake.profile("file", user="someone")
                      + fake.profile("typed", user="typist", password=""))
    assert service.run("login", "typed", input="typed-pw\n").returncode == 0
    service.get("file")
    before = len(fake.grants())
    assert before == 2
    with Loops(service) as loops:
        ROWS[row](service, loops)
        loops.go_on()
    grants = len(fake.grants()) - before
    r = service.run("refresh", "typed")
    password = "kept" if r.returncode == 0 else "lost"
    record_property("row", f"{keep + (', hardened' if hardened else ''):17} {row:33}"
                           f"{loops.gets:5} gets {len(loops.failures):3} failed {loops.lost():3} "
                           f"lost tokens {grants:3} grants, typed password {password}")
    assert loops.failures == []
    assert (loops.lost(), grants) == (0, 0)
    # With `tokens` it goes with the process, and what it brought stays.
    undisturbed = row == "reload of a broken file"
    assert password == ("kept" if keep == "all" or undisturbed else "lost")
