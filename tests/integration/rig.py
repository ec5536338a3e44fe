"""What the integration tests stand on: a daemon in a folder of its own, a client, a socket.

Everything below one temporary folder; nothing is left running. Waits are for events, bounded
by a deadline that only a hang reaches.
"""
import contextlib
import fcntl
import datetime
import json
import os
import pathlib
import re
import select
import selectors
import signal
import socket
import subprocess
import time
import warnings

import sanitized
import schemas

TOP = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("KUBETOKEN_BUILD", TOP / "build"))
PATIENCE = 60  # seconds; reached only by a hang


def wait_until(condition, what):
    """Polls for what has no event of its own."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"never came: {what}")


def unwrapped(text):
    """What is printed for people, with each line that was broken in one."""
    return re.sub(r"\n {4,}(?!->)(?=\S)", " ", text)


def seconds(timestamp):
    """Of a time as it is printed, in whole seconds."""
    assert timestamp.endswith("Z")
    return datetime.datetime.strptime(timestamp, "%Y-%m-%dT%H:%M:%SZ").replace(
        tzinfo=datetime.timezone.utc).timestamp()


class Home:
    """A user's folders: configuration, runtime directory, and the environment that names them."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.runtime = self.folder / "run"
        self.config = self.folder / "config" / "kubetoken"
        self.runtime.mkdir(mode=0o700, parents=True)
        self.config.mkdir(parents=True)
        self.environment = {
            "HOME": str(self.folder),
            "PATH": f"{BUILD}:/usr/local/bin:/usr/bin:/bin",
            "XDG_RUNTIME_DIR": str(self.runtime),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "LANG": "C.UTF-8",
            "KUBETOKEN_AUTOSTART": "0",  # a test says when a daemon starts
            **sanitized.environment(),
        }

    @property
    def socket_path(self):
        return self.runtime / "kubetoken" / "socket"

    def write(self, name, text, mode=0o600):
        path = self.config / name
        path.write_text(text, encoding="utf-8")
        path.chmod(mode)
        return path

    def configure(self, text, mode=0o600):
        return self.write("kubetoken.conf", text, mode)

    def settle(self):
        """The configuration was written an hour ago: nobody is in the middle of it."""
        then = time.time() - 3600
        os.utime(self.config / "kubetoken.conf", (then, then))

    def run(self, *args, env=None, **kwargs):
        """Runs the client. Its stdin is empty, as kubectl's plugin has it."""
        r = subprocess.run(
            [BUILD / "kubetoken", *args],
            env={**self.environment, **(env or {})},
            **({} if "input" in kwargs else {"stdin": subprocess.DEVNULL}),
            capture_output=True,
            text=True,
            encoding="utf-8",
            timeout=PATIENCE,
            **kwargs,
        )
        schemas.hold(args, r.stdout)
        return r

    def status(self, profile=None):
        r = self.run("status", "--json", *([profile] if profile else []))
        assert r.returncode == 0, r.stderr
        profiles = json.loads(r.stdout)["profiles"]
        return profiles[0] if profile else profiles


class Daemon:
    """kubetokend, started as systemd would: a listening socket handed over, and a notify
    socket that we read. Or (activated=False) by hand, with a socket of its own."""

    def __init__(self, home, activated=True, arguments=(), program=BUILD / "kubetokend"):
        self.home = home
        self.program = program
        self.process = None
        self.activated = activated
        self.arguments = arguments
        self.log = home.folder / "kubetokend.log"
        self.listener = self.notify = None
        self.stored = None  # what systemd's file descriptor store would hold
        self.shares = {}  # and this, by name
        self.extra = []  # (name, descriptor): what else it hands over
        self.messages = []
        if activated:
            self._make_sockets()

    def _make_sockets(self):
        folder = self.home.socket_path.parent
        folder.mkdir(mode=0o700, exist_ok=True)
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.listener.bind(str(self.home.socket_path))
        self.listener.listen(4096)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(self.home.folder / "notify"))
        self.notify.settimeout(PATIENCE)

    def _become_activated(self):
        """In the child: descriptor 3 and LISTEN_PID are how systemd hands a socket over."""
        stored = {"state": self.stored} if self.stored is not None else {}
        names, given = zip(("listen", self.listener.fileno()), *stored.items(),
                           *self.shares.items(), *self.extra)
        given = [fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10) for fd in given]  # out of the way
        for number, fd in enumerate(given, 3):
            os.dup2(fd, number)
            os.set_inheritable(number, True)
        os.environ.update(
            LISTEN_FDS=str(len(given)),
            LISTEN_FDNAMES=":".join(names),
            LISTEN_PID=str(os.getpid()),
            NOTIFY_SOCKET=str(self.home.folder / "notify"),
        )
        os.execve(
            self.program,
            ["kubetokend", *self.arguments],
            {**self.home.environment, **{k: os.environ[k] for k in
                                         ("LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES",
                                          "NOTIFY_SOCKET")}},
        )

    def start(self):
        with open(self.log, "ab") as log:
            if self.activated:
                self.process = _Forked(self._become_activated, log)
                self.wait_for("READY=1")
            else:
                self.process = subprocess.Popen(
                    [self.program, *self.arguments],
                    env=self.home.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
                wait_until(self._answers, "an answer of the daemon")
        return self

    def _answers(self):
        assert self.process.poll() is None, self.log.read_text()
        return self.home.run("status").returncode != 3

    def wait_for(self, text):
        """Reads the notify socket until a message holds the text."""
        while True:
            data, descriptors, _, _ = socket.recv_fds(self.notify, 8192, 4)
            message = data.decode()
            self.messages.append(message)
            self._store(message, descriptors)
            if text in message:
                return message

    def _store(self, message, descriptors):
        name = re.search("^FDNAME=(.*)$", message, re.M)
        name = name[1] if name else ""
        if "FDSTOREREMOVE=1" in message and name in self.shares:
            os.close(self.shares.pop(name))
        for fd in descriptors:
            os.set_inheritable(fd, False)
            if "FDSTORE=1" in message and name == "state":
                if self.stored is not None:
                    os.close(self.stored)
                self.stored = fd
            elif "FDSTORE=1" in message and name.startswith("share-"):
                self.shares[name] = fd
            else:
                os.close(fd)

    def signal(self, number):
        os.kill(self.process.pid, number)

    def reload(self):
        self.signal(signal.SIGHUP)
        self.wait_for("RELOADING=1")
        self.wait_for("READY=1")

    def stop(self):
        """SIGTERM; returns the exit status."""
        if self.process and self.process.poll() is None:
            self.signal(signal.SIGTERM)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                raise
        return self.process.returncode if self.process else None

    def close(self):
        try:
            self.stop()
        finally:
            sanitized.read(self.log)
            self.forget_store()
            for s in (self.listener, self.notify):
                if s:
                    s.close()

    def forget_store(self):
        for fd in (self.stored, *self.shares.values()):
            if fd is not None:
                os.close(fd)
        self.stored = None
        self.shares = {}

    def restart(self, crash=False):
        """As systemd does it, with what the daemon gave it to keep."""
        if crash:
            self.process.kill()
        else:
            self.stop()
        self.hear()
        self.start()

    def hear(self):
        """All that it has told systemd so far."""
        while select.select([self.notify], [], [], 0)[0]:
            self.wait_for("")

    @property
    def alive(self):
        return self.process.poll() is None


class _Forked:
    """A child made by fork, so that it can set LISTEN_PID to its own pid; the part of Popen's
    interface that is used."""

    def __init__(self, become, log):
        self.returncode = None
        with warnings.catch_warnings():  # the child does nothing but exec
            warnings.simplefilter("ignore", DeprecationWarning)
            self.pid = os.fork()
        if self.pid == 0:
            try:
                null = os.open("/dev/null", os.O_RDONLY)
                os.dup2(null, 0)
                os.dup2(log.fileno(), 1)
                os.dup2(log.fileno(), 2)
                become()
            finally:
                os._exit(127)

    def poll(self):
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout):
        fd = os.pidfd_open(self.pid)
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(fd, selectors.EVENT_READ)
                if not selector.select(timeout):
                    raise subprocess.TimeoutExpired("kubetokend", timeout)
        finally:
            os.close(fd)
        return self.poll()

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self.wait(PATIENCE)


class Provider:
    """Glewlwyd, by the script that the demo uses too."""

    script = TOP / "tests" / "provider" / "glewlwyd"

    def __init__(self, folder, *options):
        self.folder = str(folder)
        self._run("start", self.folder, *options)

    def _run(self, *args):
        subprocess.run([self.script, *args], check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, timeout=2 * PATIENCE)

    @property
    def facts(self):
        with open(os.path.join(self.folder, "provider.json"), encoding="utf-8") as f:
            return json.load(f)

    def stop(self):
        self._run("stop", self.folder)

    def restart(self):
        self._run("restart", self.folder)

    def passwd(self, user, password):
        self._run("passwd", self.folder, user, password)

    def rotate(self, instance="oidc"):
        self._run("rotate", self.folder, instance)

    def confirm(self, url, user="someone"):
        """As a person does in a browser, at the page of a device login."""
        self._run("confirm", self.folder, user, url)

    def issuer(self, instance="oidc"):
        return self.facts["instances"][instance]["issuer"]

    def profile(self, name, user="someone", client="kubernetes", instance="oidc", extra="",
                password=None, secret=None):
        """A [profile] section for that user and client."""
        u, c = self.facts["users"][user], self.facts["clients"][client]
        secret = c["secret"] if secret is None else secret
        lines = [
            f"[profile {name}]",
            f"issuer = {self.issuer(instance)}",
            f"ca-file = {self.facts['ca_file']}",
            f"client-id = {c['client_id']}",
            f"username = {u['username']}",
        ]
        if secret:
            lines.append(f"client-secret = {secret}")
        if password != "":
            lines.append(f"password = {u['password'] if password is None else password}")
        return "\n".join([*lines, extra, ""])


def connect(home):
    """A raw connection to the daemon."""
    s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    s.settimeout(PATIENCE)
    s.connect(str(home.socket_path))
    return s


def ask(home, request, shutdown=True):
    """One request on the socket, raw; everything until the daemon closes. Without shutdown it
    has to close by itself."""
    with connect(home) as s:
        s.sendall(request)
        if shutdown:
            s.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := s.recv(65536):
            answer += chunk
        return answer


@contextlib.contextmanager
def converse(home):
    """A connection to the socket, as a file to write to and to read from."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(PATIENCE)
        s.connect(str(home.socket_path))
        with s.makefile("rwb") as f:
            yield f


def first_failure(home, daemon, configuration):
    """Of the first request of profile p: the error of status, and what `get` then says."""
    home.configure(configuration)
    daemon.start()
    home.run("get", "--timeout", "1s")
    error = wait_until(lambda: home.status("p").get("error"), "an error")
    r = home.run("get", "--timeout", "1s")
    assert error["detail"] in r.stderr
    return error, r
