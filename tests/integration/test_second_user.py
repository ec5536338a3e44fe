"""A second user of the machine (P10): connects to nothing, reads nothing, is believed nothing, and
stands in the way of nobody who would then tell it a secret.

The owner and the stranger are users that nobody else is, so all of it needs root. Where they race,
each round is right or refused, and what the stranger has is never taken.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import pickle
import shutil
import signal
import socket
import stat
import struct
import subprocess
import tempfile
import warnings

import pytest

import rig
from rig import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="becomes two other users: needs root")

# Of a process; what anybody may read is not among them.
CLOSED = ["mem", "environ", "maps", "smaps", "pagemap", "auxv", "fd", "fdinfo", "map_files", "cwd",
          "root", "exe", "io", "stack", "syscall", "clear_refs", "ns/user"]
OPEN = ["cmdline", "status", "stat", "comm", "limits", "sched"]
ATTACH, READV, PIDFD_GETFD = 16, 310, 438  # of ptrace(2), and calls of x86-64
CLONE_NEWUSER, PR_SET_DUMPABLE = 0x10000000, 4
AT_FDCWD, RENAME_EXCHANGE = -100, 2
SECRETS = ("canary-pw", "canary-refresh", "canary-cs")


def unused_uid(first):
    """No process is its, and no folder that another run of these tests has made."""
    used = set()
    for p in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # it has ended meanwhile
            used.add(os.stat(f"/proc/{p}").st_uid)
    return next(uid for uid in range(first + os.getpid() % 1000, first + 3000)
                if uid not in used and not os.path.lexists(f"/tmp/kubetoken-{uid}"))


class Child:
    """A function, run as another user in a child. What it returns is result(); a generator's
    function runs until stop()."""

    def __init__(self, uid, function, *args):
        self.reader, writer = os.pipe()
        with warnings.catch_warnings():  # it takes no lock
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setgroups([])
                os.setresgid(uid, uid, uid)
                os.setresuid(uid, uid, uid)
                os.write(writer, pickle.dumps(function(*args)))
            except BaseException as e:  # pylint: disable=broad-except
                os.write(writer, pickle.dumps(e))
            finally:
                os._exit(0)
        os.close(writer)

    def result(self):
        with open(self.reader, "rb", closefd=False) as f:
            data = f.read()
        self.stop()
        value = pickle.loads(data) if data else None
        if isinstance(value, BaseException):
            raise value
        return value

    def stop(self):
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            os.close(self.reader)
        self.pid = 0

    @property
    def alive(self):
        return os.waitpid(self.pid, os.WNOHANG) == (0, 0)


class User(rig.Home):
    """A home of somebody's own, and the programs where everybody can run them."""

    def __init__(self, folder, programs, uid):
        super().__init__(folder)
        self.uid, self.programs, self.daemon = uid, programs, None
        self.environment["PATH"] = f"{programs}:/usr/bin:/bin"
        for path in (self.folder, *self.folder.rglob("*")):
            os.chown(path, uid, uid)
        self.identity = {"user": uid, "group": uid, "extra_groups": [], "cwd": "/"}

    def write(self, name, text, mode=0o600):
        path = super().write(name, text, mode)
        os.chown(path, self.uid, self.uid)
        return path

    def run(self, *args, env=None, program="kubetoken", text="", timeout=rig.PATIENCE):
        return subprocess.run([self.programs / program, *args], input=text, text=True,
                              env={**self.environment, **(env or {})}, capture_output=True,
                              timeout=timeout, **self.identity)

    def popen(self, *command, **kwargs):
        return subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL,
                                **self.identity, **kwargs)

    def start(self):
        with open(self.folder / "kubetokend.log", "ab") as log:
            self.daemon = self.popen(self.programs / "kubetokend", stdout=log, stderr=log)
        wait_until(lambda: self.run("version").stdout.count("\n") == 2, "an answer of the daemon")

    def end(self):
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait(rig.PATIENCE)
        self.daemon = None


class Scene:
    def __init__(self, folder, fake):
        self.folder, self.fake = pathlib.Path(folder), fake
        self.folder.chmod(0o755)
        programs = self.folder / "programs"
        programs.mkdir(mode=0o755)
        for name in ("kubetoken", "kubetokend", "kubetoken-fetch", "kubetoken-admin"):
            shutil.copy(rig.BUILD / name, programs)
        self.owner = User(self.folder / "owner", programs, unused_uid(61000))
        self.stranger = User(self.folder / "stranger", programs, unused_uid(64000))
        self.children = []
        fake.ca_file = self.owner.write("ca.pem", fake.ca_file.read_text())
        fake.answers["/oauth/token"] = self.answer

    def answer(self, request):
        """Who sends anything but the owner's password is not well."""
        if request.form.get("username") == "slow":
            self.fake.hanging.wait()
        if request.form.get("password") != "canary-pw":
            return 400, {}, json.dumps({"error": "invalid_grant"}).encode()
        return self.fake.default_answer(request.path)

    def profile(self, name="p", **kwargs):
        return self.fake.profile(name, **kwargs)

    def spawn(self, function, *args):
        self.children.append(Child(self.stranger.uid, function, *args))
        return self.children[-1]

    def as_stranger(self, function, *args):
        return self.spawn(function, *args).result()

    def shared(self, name="shared"):
        """A folder such as /tmp, in which both may make files."""
        folder = self.folder / name
        folder.mkdir()
        folder.chmod(0o1777)
        return folder

    def passwords(self):
        return {r.form.get("password") for r in self.fake.grants()}

    def close(self):
        for child in self.children:
            child.stop()
        for user in (self.owner, self.stranger):
            user.end()
            end_daemons(user.uid)
            remove(pathlib.Path(f"/tmp/kubetoken-{user.uid}"))


def end_daemons(uid):
    """Of users that are ours alone: what a client of theirs has started."""
    for p in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.stat(f"/proc/{p}").st_uid == uid or f"\nUid:\t{uid}\t" in pathlib.Path(
                    f"/proc/{p}/status").read_text():
                os.kill(int(p), signal.SIGKILL)


def remove(path):
    if not path.is_symlink() and path.is_dir():  # the kernel may follow no link of another's
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


@pytest.fixture
def scene(fake):
    with tempfile.TemporaryDirectory(prefix="kubetoken-") as folder:
        s = Scene(folder, fake)
        try:
            yield s
        finally:
            fake.hanging.set()
            s.close()


# ---- what the stranger does ---------------------------------------------------------------------

def tried(function, *args):
    """Whether it succeeded."""
    try:
        return function(*args) not in (-1, b"", "")
    except OSError:
        return False


def read_some(path):
    if os.path.islink(path):
        return os.readlink(path)
    if os.path.isdir(path):
        return bool(os.listdir(path)) or b""
    with open(path, "rb") as f:
        return f.read(1)


def write_some(path):
    os.close(os.open(path, os.O_WRONLY))


def intrude(pids, paths):
    """What of all that it could do."""
    libc, here = ctypes.CDLL(None, use_errno=True), ctypes.create_string_buffer(8)
    done = []
    for pid in pids:
        done += [f"read {pid}/{n}" for n in CLOSED if tried(read_some, f"/proc/{pid}/{n}")]
        done += [f"write {pid}/{n}" for n in ("mem", "clear_refs", "oom_score_adj", "comm")
                 if tried(write_some, f"/proc/{pid}/{n}")]
        done += [f"signal {pid} {n}" for n in (0, signal.SIGTERM, signal.SIGSTOP)
                 if tried(os.kill, pid, n)]
        vector = struct.pack("PN", ctypes.addressof(here), 8)
        if libc.ptrace(ATTACH, pid, 0, 0) == 0:
            done.append(f"ptrace {pid}")
        if os.uname().machine == "x86_64" and libc.syscall(READV, pid, vector, 1, vector, 1, 0) > 0:
            done.append(f"process_vm_readv {pid}")
        pidfd = os.pidfd_open(pid)
        done += [f"pidfd_getfd {pid} {n}" for n in range(16)
                 if libc.syscall(PIDFD_GETFD, pidfd, n, 0) >= 0]
    for path in paths:
        done += [f"{f.__name__} {path}" for f in (read_some, write_some, connect, os.unlink)
                 if tried(f, path)]
    return done


def connect(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))


def ask(path, namespace=None):
    """What is said to it, which is whoever it says it is."""
    if namespace is not None:
        uid, libc = os.geteuid(), ctypes.CDLL(None)
        libc.prctl(PR_SET_DUMPABLE, 1)  # or what is below /proc/self is root's
        if libc.unshare(CLONE_NEWUSER) != 0:
            return b""
        pathlib.Path("/proc/self/uid_map").write_text(f"{namespace} {uid} 1")
        assert os.geteuid() == namespace
    got = b""
    for request in (b"get token p once\n", b"status\n", b"login text p secret=3 once\nabc"):
        with socket.socket(socket.AF_UNIX) as s, contextlib.suppress(OSError):
            s.settimeout(rig.PATIENCE)
            s.connect(str(path))
            s.sendall(request)
            got += s.recv(100)
    return got


def lie(path, uid):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(str(path))
        s.sendmsg([b"get token p once\n"], [(socket.SOL_SOCKET, socket.SCM_CREDENTIALS,
                                             struct.pack("iII", os.getpid(), uid, uid))])
        return s.recv(100)


def crowd(path, count):
    """Open for as long as it may be."""
    peers = []
    for _ in range(count):
        peers.append(socket.socket(socket.AF_UNIX))
        peers[-1].connect(str(path))
    while True:
        signal.pause()


def listen(address, record):
    """Takes down in `record` whatever anybody says, and answers as a daemon would."""
    os.umask(0)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(address)
        s.listen(64)
        pathlib.Path(record).touch()
        while True:
            c, _ = s.accept()
            with c, contextlib.suppress(OSError):
                said = c.recv(1 << 16)
                with open(record, "ab") as f:
                    f.write(said)
                c.sendall(b"ok 10 0\nevil.to.ke")


def swap(place, ours, theirs, ready):
    """Has the place lead to one and then to the other, for as long as it is let. To exchange two
    links waits for no disk, as to remove one might."""
    libc, other = ctypes.CDLL(None, use_errno=True), place + ".other"
    os.symlink(ours, place)
    os.symlink(theirs, other)
    pathlib.Path(ready).touch()
    while libc.renameat2(AT_FDCWD, place.encode(), AT_FDCWD, other.encode(), RENAME_EXCHANGE) == 0:
        pass
    raise OSError(ctypes.get_errno(), "renameat2")


# ---- it connects to nothing and reads nothing ---------------------------------------------------

def test_a_stranger_reads_and_reaches_nothing_of_the_owners(scene):
    owner = scene.owner
    owner.write("pw", "canary-pw")
    scene.fake.members = {"refresh_token": "canary-refresh"}
    owner.configure(scene.profile(password="password-file = pw", extra="client-secret = canary-cs")
                    + scene.profile("slow", user="slow"))
    owner.start()
    token = owner.run("get", "p").stdout
    assert token.count(".") == 2
    client = owner.popen(owner.programs / "kubetoken", "get", "slow", stdout=subprocess.DEVNULL)
    try:
        wait_until(lambda: len(scene.fake.grants()) == 2, "its login")
        pid = owner.daemon.pid
        fetchers = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        assert fetchers
        pids = [pid, client.pid, *map(int, fetchers)]
        paths = [owner.socket_path, owner.socket_path.parent / "socket.lock",
                 owner.socket_path.parent, owner.config / "kubetoken.conf", owner.config / "pw"]
        assert scene.as_stranger(intrude, pids, paths) == []
        for seen in (f"/proc/{p}/{name}" for p in pids for name in OPEN):
            with contextlib.suppress(FileNotFoundError):  # not every kernel has all
                text = pathlib.Path(seen).read_bytes().decode(errors="replace")
                assert not [s for s in (*SECRETS, token.strip()) if s in text], seen
        assert owner.daemon.poll() is None and client.poll() is None
    finally:
        client.kill()
        client.wait()


def test_a_stranger_that_does_connect_is_told_nothing(scene):
    """As if neither the folder nor the socket had kept it out; in a user namespace it says that it
    is root, or the owner."""
    owner = scene.owner
    owner.configure(scene.profile())
    owner.start()
    path = owner.socket_path
    path.chmod(0o666)
    for folder in (path.parent, owner.runtime):
        folder.chmod(0o755)
    for namespace in (None, 0, owner.uid):
        assert scene.as_stranger(ask, path, namespace) == b""
    for uid in (owner.uid, 0):
        with pytest.raises(OSError):
            scene.as_stranger(lie, path, uid)
    descriptors = f"/proc/{owner.daemon.pid}/fd"
    before = len(os.listdir(descriptors))
    others = scene.spawn(crowd, path, 900)
    for _ in range(5):
        assert owner.run("get").returncode == 0
    assert others.alive
    wait_until(lambda: len(os.listdir(descriptors)) == before, "the end of the crowd")
    assert scene.passwords() == {"canary-pw"}


# ---- it is not taken for the daemon -------------------------------------------------------------

# Each says something that is not for everybody; the daemon of the owner is not there.
SAID = {
    "get": (["get", "p"], ""),
    "rejected": (["get", "--rejected", "p"], ""),
    "login": (["login", "p"], "canary-pw\n"),
    "refresh token": (["login", "--refresh-token", "p"], "canary-refresh\n"),
    "run": (["run", "p", "--", "/bin/true"], ""),
    "status": (["status"], ""),
    "json": (["status", "--json"], ""),
    "watch": (["status", "--watch"], ""),
    "refresh": (["refresh", "p"], ""),
    "logout": (["logout", "p"], ""),
    "reload": (["reload"], ""),
    "log": (["log"], ""),
    "why": (["why"], ""),
    "inspect": (["inspect", "p"], ""),
    "stop": (["stop"], ""),
}


def exit_code(name):
    return 125 if name == "run" else 3


def tell_nothing(scene, record, env, names=SAID, by=None):
    """Every command is refused, in words that say who is there; none says anything."""
    for name in names:
        args, text = SAID[name]
        r = (by or scene.owner).run(*args, env=env, text=text)
        assert r.returncode == exit_code(name), (name, r)
        assert f"uid {scene.stranger.uid}" in r.stderr, (name, r.stderr)
        assert r.stderr.count("\n") == 1 and "evil" not in r.stdout + r.stderr
        assert "canary" not in r.stderr
    assert record.read_bytes() == b""


def test_a_client_says_nothing_to_a_daemon_of_another_user(scene):
    folder, record = scene.shared(), scene.stranger.folder / "record"
    path = folder / "socket"
    foreign = scene.spawn(listen, str(path), str(record))
    wait_until(record.exists, "its socket")
    tell_nothing(scene, record, {"KUBETOKEN_SOCKET": str(path)})
    # neither is root's word for it, nor is it ended by root's `stop`
    r = subprocess.run([rig.BUILD / "kubetoken", "stop"], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=rig.PATIENCE,
                       env={**scene.owner.environment, "KUBETOKEN_SOCKET": str(path)})
    assert r.returncode == 3 and foreign.alive
    assert record.read_bytes() == b""


def test_nor_where_the_runtime_directory_is_the_strangers(scene):
    """XDG_RUNTIME_DIR of another session, as `su` leaves it, open to all."""
    runtime, record = scene.stranger.runtime, scene.stranger.folder / "record"
    place = runtime / "kubetoken"
    place.mkdir()
    for folder in (scene.stranger.folder, runtime, place):
        os.chown(folder, scene.stranger.uid, scene.stranger.uid)
        folder.chmod(0o777)
    scene.spawn(listen, str(place / "socket"), str(record))
    wait_until(record.exists, "its socket")
    env = {"XDG_RUNTIME_DIR": str(runtime), "KUBETOKEN_AUTOSTART": "1"}
    tell_nothing(scene, record, env)
    r = scene.owner.run(program="kubetokend", env=env)
    assert r.returncode == 1 and f"uid {scene.stranger.uid}" in r.stderr
    assert not scene.fake.grants()


def test_a_name_in_the_abstract_namespace_is_nobodys(scene):
    """Anybody may have it. A path is never taken for one."""
    owner, path = scene.owner, str(scene.owner.socket_path)
    records = []
    for i, name in enumerate(("\0" + path, "\0" + path.ljust(107, "\0"), "\0kubetoken")):
        records.append(scene.stranger.folder / f"record-{i}")
        scene.spawn(listen, name, str(records[-1]))
        wait_until(records[-1].exists, "its socket")
    owner.configure(scene.profile())
    assert owner.run("get").returncode == 3
    for variable in ("@kubetoken", "@" + path, "kubetoken"):
        r = owner.run("get", env={"KUBETOKEN_SOCKET": variable})
        assert r.returncode == 2 and "KUBETOKEN_SOCKET" in r.stderr, r
    owner.start()
    assert owner.run("get").stdout.count(".") == 2
    assert [r.read_bytes() for r in records] == [b""] * 3


# ---- it squats ----------------------------------------------------------------------------------

def make_squat(kind, place, elsewhere, owners):
    """At the owner's place in /tmp."""
    os.umask(0)
    if kind == "a link to a folder of the stranger's":
        os.mkdir(elsewhere, 0o777)
        os.symlink(elsewhere, place)
    elif kind == "a link to the owner's":
        os.symlink(owners, place)
    elif kind == "a link to nothing":
        os.symlink("/nowhere/at/all", place)
    elif kind == "a file":
        pathlib.Path(place).touch()
    elif kind == "a pipe":
        os.mkfifo(place)
    else:
        os.mkdir(place, 0o700 if kind == "a closed folder" else 0o777)


SQUATS = ["an open folder", "a closed folder", "a link to a folder of the stranger's",
          "a link to the owner's", "a link to nothing", "a file", "a pipe"]


def test_a_place_in_tmp_that_is_taken_is_refused(scene):
    """Where no variable names a runtime directory. No daemon is started there, none is asked."""
    owner, record = scene.owner, scene.stranger.folder / "record"
    place = pathlib.Path(f"/tmp/kubetoken-{owner.uid}")
    private = owner.folder / "private"
    private.mkdir(mode=0o700)
    os.chown(private, owner.uid, owner.uid)
    owner.configure(scene.profile())
    del owner.environment["XDG_RUNTIME_DIR"]
    for kind in SQUATS:
        elsewhere = scene.stranger.folder / "elsewhere"
        scene.as_stranger(make_squat, kind, str(place), str(elsewhere), str(private))
        foreign = None
        if kind in ("an open folder", "a closed folder", "a link to a folder of the stranger's"):
            foreign = scene.spawn(listen, str(place / "socket"), str(record))
            wait_until(record.exists, "its socket")
        env = {"KUBETOKEN_AUTOSTART": "1"}
        for name, (args, text) in SAID.items():
            r = owner.run(*args, env=env, text=text)
            assert r.returncode == exit_code(name), (kind, r)
            assert f"{place} (uid {scene.stranger.uid})" in rig.unwrapped(r.stderr), (kind, r)
            assert r.stderr.count("\n") == 1 and "belongs to somebody else" in r.stderr
        r = owner.run(program="kubetokend")
        assert r.returncode == 1 and f"uid {scene.stranger.uid}" in r.stderr, (kind, r)
        assert list(private.iterdir()) == [] and not scene.fake.grants()
        if foreign:
            foreign.stop()
            assert record.read_bytes() == b""
            record.unlink()
        remove(place)
        if elsewhere.exists():
            remove(elsewhere)
    # and nobody but the squatter was in the way
    assert owner.run("get", env={"KUBETOKEN_AUTOSTART": "1"}).returncode == 0
    assert stat.S_IMODE(place.stat().st_mode) == 0o700 and place.stat().st_uid == owner.uid
    assert owner.run("stop").returncode == 0


def test_an_own_folder_that_others_can_write_gets_no_socket(scene):
    """What is in it may be anybody's a moment later."""
    owner, record = scene.owner, scene.stranger.folder / "record"
    place = owner.runtime / "kubetoken"
    place.mkdir()
    os.chown(place, owner.uid, owner.uid)
    for folder in (owner.runtime, place):
        folder.chmod(0o777)
    r = owner.run(program="kubetokend")
    assert r.returncode == 1 and str(place) in r.stderr, r
    assert list(place.iterdir()) == []
    scene.spawn(listen, str(place / "socket"), str(record))
    wait_until(record.exists, "its socket")
    tell_nothing(scene, record, {}, ("get", "login", "run", "status"))


# ---- it races -----------------------------------------------------------------------------------

def race(scene, place, ours, theirs, rounds, one):
    """Calls `one` that many times while the place leads here and there; the swapping goes on
    until the last of them has ended."""
    ready = scene.stranger.folder / "ready"
    racer = scene.spawn(swap, str(place), str(ours), str(theirs), str(ready))
    wait_until(ready.exists, "the first swaps")
    outcomes = [one(i) for i in range(rounds)]
    assert racer.alive
    racer.stop()
    for link in (place, place.with_name(place.name + ".other")):
        remove(link)
    return outcomes


def test_a_socket_that_is_swapped_is_the_owners_or_refused(scene):
    owner, record = scene.owner, scene.stranger.folder / "record"
    owner.configure(scene.profile(password=""))
    owner.start()
    assert owner.run("login", text="canary-pw\n").returncode == 0
    owner.runtime.chmod(0o755)
    owner.socket_path.parent.chmod(0o755)
    folder = scene.shared()
    scene.spawn(listen, str(folder / "evil"), str(record))
    wait_until(record.exists, "its socket")
    env = {"KUBETOKEN_SOCKET": str(folder / "socket")}

    def one(round_):
        r = owner.run("get", env=env)
        assert (r.returncode == 0 and r.stdout.strip() in scene.fake.tokens) or \
            (r.returncode == 3 and not r.stdout and (
                f"uid {scene.stranger.uid}" in r.stderr or
                "Permission denied" in r.stderr)), r  # fs.protected_symlinks
        if round_ % 15 == 0:  # as often as an account may
            login = owner.run("login", env=env, text="canary-pw\n")
            assert login.returncode in (0, 3), login
        return r.returncode
    race(scene, folder / "socket", owner.socket_path, folder / "evil", 60, one)
    assert record.read_bytes() == b""
    assert scene.passwords() == {"canary-pw"}


def test_a_configuration_that_is_swapped_is_the_owners_or_refused(scene):
    owner = scene.owner
    ours = owner.configure(scene.profile())
    owner.folder.chmod(0o755)
    theirs = scene.stranger.write("evil.conf", "[profile p]\nissuer = https://evil.example/\n"
                                  "client-id = x\nusername = x\npassword-command = /bin/evil\n",
                                  0o644)
    place = scene.shared() / "kubetoken.conf"

    def one(_):
        r = owner.run("--config", str(place), "--print-config", program="kubetokend")
        assert "evil" not in r.stdout, r
        if r.returncode == 0:
            assert f'"{scene.fake.issuer}"' in r.stdout
            return True
        assert r.returncode == 9 and ".conf" in r.stderr and "evil.example" not in r.stderr, r
        return False
    race(scene, place, ours, theirs, 50, one)


def test_a_password_file_that_is_swapped_is_the_owners_or_refused(scene):
    """The stranger's is open while it is opened and closed when it is looked at, and the other way
    round."""
    owner = scene.owner
    ours, place = owner.write("pw", "canary-pw"), scene.shared() / "pw"
    theirs = scene.stranger.write("pw", "evil-pw")
    for folder in (scene.stranger.folder, scene.stranger.folder / "config",
                   scene.stranger.config):
        folder.chmod(0o755)

    def toggle():
        while True:
            theirs.chmod(0o644)
            theirs.chmod(0o600)
    toggling = scene.spawn(toggle)

    def one(_):
        r = owner.run("--config", str(ours.parent / "kubetoken.conf"), "--check-config",
                      program="kubetokend")
        assert r.returncode == 0 or (r.returncode == 9 and str(place) in r.stderr), r
        return r.returncode
    owner.configure(scene.profile(password=f"password-file = {place}"))
    race(scene, place, ours, theirs, 50, one)
    owner.start()
    owner.run("get", "--timeout", "2s")
    assert toggling.alive
    assert scene.passwords() <= {"canary-pw"}


def squat_and_leave(place, elsewhere, ready):
    """Whatever can be at the owner's place is there for a moment, and nothing for another."""
    n = 0
    os.umask(0)
    os.mkdir(elsewhere, 0o777)
    while True:
        with contextlib.suppress(OSError):
            os.mkdir(place, 0o777)
            os.rmdir(place)
            os.symlink(elsewhere, place)
            os.unlink(place)
            pathlib.Path(place).touch()
            os.unlink(place)
        n += 1
        if n == 100:
            pathlib.Path(ready).touch()


def test_a_place_in_tmp_that_comes_and_goes_is_the_owners_or_refused(scene):
    owner, ready = scene.owner, scene.stranger.folder / "ready"
    place = pathlib.Path(f"/tmp/kubetoken-{owner.uid}")
    elsewhere = scene.stranger.folder / "elsewhere"
    scene.stranger.folder.chmod(0o777)
    owner.configure(scene.profile())
    del owner.environment["XDG_RUNTIME_DIR"]
    env = {"KUBETOKEN_AUTOSTART": "1"}
    racer = scene.spawn(squat_and_leave, str(place), str(elsewhere), str(ready))
    wait_until(ready.exists, "the first of them")
    for _ in range(12):
        r = owner.run("get", "--timeout", "1s", env=env)
        assert (r.returncode, r.stdout.count(".")) in ((0, 2), (3, 0)), r
        assert list(elsewhere.iterdir()) == []
        if r.returncode == 0:
            st = place.lstat()
            assert (stat.S_ISDIR(st.st_mode), st.st_uid, stat.S_IMODE(st.st_mode)) == \
                (True, owner.uid, 0o700)
        end_daemons(owner.uid)
        with contextlib.suppress(FileNotFoundError):
            if place.lstat().st_uid == owner.uid:
                remove(place)
    assert racer.alive
    assert scene.passwords() <= {"canary-pw"}


# ---- its files ----------------------------------------------------------------------------------

def test_a_link_of_the_strangers_leads_to_the_owners_file_or_nowhere(scene):
    """It may point elsewhere the next time."""
    owner, folder = scene.owner, scene.shared()
    real = owner.configure(scene.profile())
    secret = owner.write("pw", "canary-pw")
    links = {name: folder / name for name in ("conf", "pw", "ca")}
    for name, target in (("conf", real), ("pw", secret), ("ca", scene.fake.ca_file)):
        scene.as_stranger(os.symlink, str(target), str(links[name]))
    r = owner.run("--config", str(links["conf"]), "--check-config", program="kubetokend")
    assert r.returncode == 0 or (r.returncode == 9 and str(links["conf"]) in r.stderr), r
    for old, new in (("password = canary-pw", f"password-file = {links['pw']}"),
                     (f"ca-file = {scene.fake.ca_file}", f"ca-file = {links['ca']}")):
        owner.configure(scene.profile().replace(old, new))
        r = owner.run("--check-config", program="kubetokend")
        assert r.returncode == 0 or (r.returncode == 9 and str(folder) in r.stderr), r
    # to a file of its own it leads in no case
    for name in ("conf", "pw"):
        text = scene.profile() if name == "conf" else "evil-pw"
        evil = scene.stranger.write(f"evil-{name}", text)
        os.chmod(evil, 0o644)
        links[name].unlink()
        scene.as_stranger(os.symlink, str(evil), str(links[name]))
    owner.configure(scene.profile(password=f"password-file = {links['pw']}"))
    for args in (["--check-config"], ["--config", str(links["conf"]), "--check-config"]):
        r = owner.run(*args, program="kubetokend")
        assert r.returncode == 9 and (str(folder) in r.stderr or "/evil-" in r.stderr), r
    assert not scene.fake.grants()


def test_a_hard_link_changes_nothing(scene):
    """Where the kernel lets a user make one to a file of another's (fs.protected_hardlinks = 0):
    made by root, then. The owner's file is the owner's wherever it lies, the stranger's the
    stranger's."""
    owner, folder = scene.owner, scene.shared()
    os.link(owner.write("pw", "canary-pw"), folder / "pw")
    owner.configure(scene.profile(password=f"password-file = {folder}/pw"))
    r = owner.run("--check-config", program="kubetokend")
    assert r.returncode == 0 or (r.returncode == 9 and str(folder) in r.stderr), r
    evil = scene.stranger.write("evil.conf", scene.profile(password="password-command = /bin/x"),
                                0o644)
    (owner.config / "kubetoken.conf").unlink()
    os.link(evil, owner.config / "kubetoken.conf")
    owner.start()
    r = owner.run("get")
    assert r.returncode == 9 and f"uid {scene.stranger.uid}" in r.stderr, r
    assert not scene.fake.grants()


def reader_of_everything(owner, *args):
    """kubetokend as this ordinary user, whom no mode keeps from reading: what a file's owner and
    mode say is all that is left to judge by."""
    caps = "+dac_read_search"
    return subprocess.run(
        ["setpriv", f"--reuid={owner.uid}", f"--regid={owner.uid}", "--clear-groups",
         f"--inh-caps={caps}", f"--ambient-caps={caps}", owner.programs / "kubetokend", *args],
        env=owner.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=rig.PATIENCE, cwd="/")


SOURCES = {
    "configuration": None,
    "configuration without a secret": None,
    "password-file": "password-file = FILE",
    "client-secret-file": "password = canary-pw\nclient-secret-file = FILE",
}


@pytest.mark.parametrize("key", SOURCES)
def test_a_file_has_to_be_the_users_or_roots(scene, key):
    """By an ordinary user, by one who can read everything, and by root."""
    def arrange(user):
        """Returns the file that is to be somebody else's."""
        ca_file = user.write("ca.pem", scene.fake.ca_file.read_text())
        secret = user.write("secret", "canary-pw")
        line = (SOURCES[key] or ("" if "without" in key else "password = canary-pw"))
        text = scene.profile(password=line.replace("FILE", str(secret)))
        conf = user.configure(text.replace(str(scene.fake.ca_file), str(ca_file)))
        return secret if SOURCES[key] else conf

    owner, root = scene.owner, User(scene.folder / "root", scene.owner.programs, 0)
    of_root, file = arrange(root), arrange(owner)
    os.chown(of_root, scene.stranger.uid, 0)
    r = root.run("--check-config", program="kubetokend")
    assert r.returncode == 9 and str(of_root) in r.stderr, r
    assert f"uid {scene.stranger.uid}" in r.stderr, r
    for uid, good in ((owner.uid, True), (0, True), (scene.stranger.uid, False)):
        os.chown(file, uid, uid)
        r = reader_of_everything(owner, "--check-config")
        assert r.returncode == (0 if good else 9), (uid, r)
        if not good:
            assert str(file) in r.stderr and f"uid {uid}" in r.stderr, r
    # without that gift its mode is in the way; with a mode that is not, its owner or the mode
    for mode in (0o600, 0o644, 0o444):
        file.chmod(mode)
        r = owner.run("--check-config", program="kubetokend")
        assert r.returncode == 9 and str(file) in r.stderr, (oct(mode), r)
        if not SOURCES[key] and mode != 0o600:
            assert f"uid {scene.stranger.uid}" in r.stderr, r
