"""What the bench stands on: its own programs, and daemons with a scripted provider, as the
integration tests have them (rig.py), below one folder that goes in the end."""
import contextlib
import json
import mmap
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "integration"))

import rig
import scripted

PROGRAMS = rig.BUILD / "bench"
# As client-go writes it, to the letter: by its form get knows who asks.
EXEC_INFO = ('{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1",'
             '"spec":{"interactive":true}}\n')
# What an environment of somebody who works looks like: getenv() goes through all of it.
VARIABLES = """SHELL USER LOGNAME TERM COLORTERM EDITOR PAGER LESS LS_COLORS PWD OLDPWD SHLVL MAIL
    SSH_CLIENT SSH_CONNECTION SSH_TTY SSH_AUTH_SOCK XDG_SESSION_ID XDG_SESSION_TYPE
    XDG_SESSION_CLASS XDG_DATA_DIRS DBUS_SESSION_BUS_ADDRESS GPG_TTY LC_TIME""".split()
REQUEST = "get exec/v1 {} timeout=30 tell once"
ROOT = os.geteuid() == 0


class NotMeasured(Exception):
    """Why a figure is not there; a word for people."""


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise NotMeasured(f"{program} is not installed")


def built(name):
    path = PROGRAMS / name
    if not path.exists():
        raise NotMeasured(f"{name} could not be built here")
    return path


def run(words, **kwargs):
    """A program of the bench, or one that it measures with; its stdout."""
    r = subprocess.run([str(w) for w in words], capture_output=True, text=True,
                       **{"stdin": subprocess.DEVNULL, "timeout": 600, **kwargs})
    if r.returncode != 0:
        raise NotMeasured(f"{pathlib.Path(words[0]).name} failed: "
                          f"{(r.stderr.strip() or r.stdout.strip())[-200:]}")
    return r.stdout


def numbers(text):
    """Of a file below /proc: the numbers by their names."""
    return {name: int(value) for name, value in re.findall(r"^(\w+):\s+(\d+)", text, re.M)}


def memory(pid):
    """In KB."""
    try:
        text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    except PermissionError:
        raise NotMeasured("only root can look into a daemon that guards its memory") from None
    found = numbers(text + pathlib.Path(f"/proc/{pid}/status").read_text())
    return {"private": found["Private_Clean"] + found["Private_Dirty"],
            "dirty": found["Private_Dirty"], "sharedDirty": found["Shared_Dirty"],
            "pss": found["Pss"], "locked": found["VmLck"]}


def switches(pid):
    found = numbers(pathlib.Path(f"/proc/{pid}/status").read_text())
    return found["voluntary_ctxt_switches"] + found["nonvoluntary_ctxt_switches"]


class Place:
    """A user's folders, a daemon, and a provider that others may share."""

    def __init__(self, folder, fake):
        self.fake = fake
        self.home = rig.Home(folder)
        self.daemon = None

    def configure(self, names, extra="", head=""):
        self.home.configure(head + "".join(self.fake.profile(n, user=f"user-{n}", extra=extra)
                                           for n in names))

    def start(self, program=rig.BUILD / "kubetokend", arguments=()):
        """As systemd would; with a program in front of the daemon, if there is to be one."""
        self.home.settle()  # or the file is looked at again a moment later
        self.daemon = self.daemon or rig.Daemon(self.home)
        self.daemon.program, self.daemon.arguments = program, arguments
        self.daemon.start()
        return self

    def stop(self):
        if self.daemon:
            self.daemon.stop()

    @property
    def pid(self):
        return self.daemon.process.pid

    @property
    def socket(self):
        return self.home.socket_path

    def get(self, name, *words):
        r = self.home.run("get", name, *words)
        if r.returncode != 0:
            raise NotMeasured(f"a get failed: {r.stderr.strip()[:200]}")
        return r.stdout

    def environment(self):
        """As kubectl has it; the same everywhere, since its size is a part of the cost."""
        return {**dict.fromkeys(VARIABLES, "x"), **self.home.environment,
                "KUBERNETES_EXEC_INFO": EXEC_INFO}

    def spawn_time(self, rounds, commands, warm_ups=5, seed=1, resident=False):
        """What each of them cost, by spawn_time."""
        words = [built("spawn_time"), "-n", rounds, "-w", warm_ups, "-s", seed]
        words += ["-m"] if resident else []
        for name, command in commands.items():
            words += [f"@{name}", *command]
        return json.loads(run(words, env=self.environment()))

    def close(self):
        if self.daemon:
            self.daemon.close()


class Ground(contextlib.ExitStack):
    """The folder, the provider, and all that was started there; nothing outlives it. What several
    rows share is in `lasting`, a ground that ends after them."""

    def __init__(self, lasting=None):
        super().__init__()
        self.lasting = lasting or self

    def __enter__(self):
        super().__enter__()
        rig.PATIENCE = 300  # a daemon under valgrind is slow
        # a short name: that of a socket has 107 bytes at most
        self.folder = pathlib.Path(self.enter_context(tempfile.TemporaryDirectory(
            prefix="kt.", dir="/tmp")))
        self.fake = scripted.Provider(self.folder)
        self.callback(self.fake.stop)
        self.places, self.shared = 0, {}
        return self

    def place(self, names=("p",), **kwargs):
        """With a configuration, and no daemon yet."""
        self.places += 1
        place = Place(self.folder / f"home-{self.places}", self.fake)
        place.configure(names, **kwargs)
        self.callback(place.close)
        return place

    def server(self, words, socket, **kwargs):
        """Another server with a socket; returns when that is there."""
        process = subprocess.Popen([str(w) for w in words], stdin=subprocess.DEVNULL,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **kwargs)
        self.callback(end, process)
        rig.wait_until(lambda: socket.exists() or process.poll() is not None, str(words[0]))
        if process.poll() is not None:
            raise NotMeasured(f"{pathlib.Path(words[0]).name} did not start")
        return process


def end(process):
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(rig.PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Counter:
    """counter.c in a daemon: what is allocated, and what callgrind counts between two marks."""

    LAYOUT = struct.Struct("=5Q")  # struct counts
    ZERO, DUMP = signal.SIGRTMIN + 7, signal.SIGRTMIN + 8

    def __init__(self, place):
        self.path = place.home.folder / "counts"
        with open(self.path, "wb+") as f:
            f.truncate(mmap.PAGESIZE)
            self.page = mmap.mmap(f.fileno(), mmap.PAGESIZE)
        place.home.environment.update(LD_PRELOAD=str(built("counter.so")),
                                      KUBETOKEN_BENCH_COUNTS=str(self.path))
        self.place = place

    def started(self):
        """The clients are to run without it."""
        del self.place.home.environment["LD_PRELOAD"]

    def counted(self):
        names = ("allocations", "until_answers", "answers", "marks", "answering")
        return dict(zip(names, self.LAYOUT.unpack_from(self.page)))

    def mark(self, number):
        before = self.counted()["marks"]
        self.place.daemon.signal(number)
        rig.wait_until(lambda: self.counted()["marks"] > before, "the signal's effect")
