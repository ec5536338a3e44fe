"""A client that waits: for a daemon that is not there, that dies, that says nothing, that is busy;
and what it shows of that on a terminal."""
import array
import contextlib
import fcntl
import os
import pathlib
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time

import pytest

import rig
import sanitized
import scripted
from rig import wait_until
from scripted import json_answer
from test_autostart import auto, only_daemon  # noqa: F401: a fixture

TOKEN, KEYS = "/oauth/token", "/.well-known/jwks.json"
DISCOVERY = "/.well-known/openid-configuration"
ANSWER = b"ok 4 0\ntok\n"


class Listener:
    """Something on the daemon's socket. Each connection is handed to the next of the behaviours,
    the last one again and again; `requests` holds what came on each."""

    def __init__(self, home, *behaviours):
        self.behaviours, self.requests, self.kept = list(behaviours), [], []
        home.socket_path.parent.mkdir(mode=0o700, exist_ok=True)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(home.socket_path))
        self.socket.listen(100)
        self.path = home.socket_path
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            connection.settimeout(rig.PATIENCE)
            number = min(len(self.requests), len(self.behaviours) - 1)
            self.requests.append(b"")
            try:
                self.behaviours[number](self, connection)
            except OSError:
                pass
            self.kept.append(connection)  # closed by the behaviour, or in the end

    def read(self, connection):
        """A whole request, with its block."""
        data = b""
        while b"\n" not in data:
            data += connection.recv(65536)
        block = re.search(rb" secret=(\d+) ", data)
        while block and len(data.partition(b"\n")[2]) < int(block[1]):
            data += connection.recv(65536)
        self.requests[-1] = data
        return data

    def timeouts(self):
        return [int(re.search(rb" timeout=(\d+) ", r)[1]) for r in self.requests if r]

    def close(self):
        if self.socket.fileno() >= 0:
            self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()
        self.thread.join()
        for connection in self.kept:
            connection.close()
        self.path.unlink(missing_ok=True)


def hang_up(listener, connection):
    listener.read(connection)
    connection.close()


def reset(_, connection):
    """Closed with unread bytes, as by a daemon that was killed."""
    wait_until(lambda: readable(connection), "a request")
    connection.close()


def readable(connection):
    n = array.array("i", [0])
    fcntl.ioctl(connection, termios.FIONREAD, n)
    return n[0]


def say(*lines):
    """Says that, and nothing more."""
    def behaviour(listener, connection):
        listener.read(connection)
        connection.sendall(b"".join(lines))
    return behaviour


def say_and_hang_up(*lines):
    def behaviour(listener, connection):
        say(*lines)(listener, connection)
        connection.close()
    return behaviour


@pytest.fixture
def listen(home):
    made = []

    def make(*behaviours):
        made.append(Listener(home, *behaviours))
        return made[-1]
    yield make
    for listener in made:
        listener.close()


# ---- a daemon that dies, or is not there --------------------------------------------------------


@pytest.mark.parametrize("end", [hang_up, reset, say_and_hang_up(b"wait resolving x\n"),
                                 say_and_hang_up(b"wait resol"), say_and_hang_up(b"ok 4")])
def test_a_daemon_that_dies_five_times_is_asked_a_sixth_time(home, listen, end):
    listener = listen(*[end] * 5, say(ANSWER))
    r = home.run("get", "p")
    assert (r.returncode, r.stdout, r.stderr) == (0, "tok\n", "")
    assert len(listener.requests) == 6
    assert {re.sub(rb"=\d+", b"", r) for r in listener.requests if r} == {
        b"get token p timeout tell once\n"}


def test_what_has_no_answer_ends_with_the_clients_own_time(home, listen):
    listener = listen(hang_up)
    before = time.monotonic()
    r = home.run("get", "--timeout", "3s")
    assert time.monotonic() - before >= 3
    assert r.returncode == 3 and r.stderr.count("\n") == 1
    assert f"before an answer, {len(listener.requests)} times" in r.stderr
    assert 2 <= len(listener.requests) <= 30, "it pauses"
    assert listener.timeouts()[0] == 3 and listener.timeouts()[-1] == 1, "what is left of it"


def test_half_an_answer_is_not_asked_for_again(home, listen):
    listener = listen(say_and_hang_up(b"ok 400 0\ntok"), say(ANSWER))
    r = home.run("get")
    assert (r.returncode, r.stdout) == (3, "tok") and len(listener.requests) == 1


def test_a_password_is_handed_over_again(home, listen):
    listener = listen(say(b"ok 2 0\np\n"), hang_up, say(b"ok 3 0\nin\n"))
    r = home.run("login", input="canary-pw\n")
    assert (r.returncode, r.stdout, r.stderr) == (0, "in\n", "")
    assert [data.partition(b"\n")[2] for data in listener.requests] == [b""] + [b"canary-pw"] * 2


def sleeps(process):
    with open(f"/proc/{process.pid}/stat", encoding="ascii") as stat:
        return stat.read().rpartition(")")[2].split()[0] == "S"


@pytest.fixture
def popen(home):
    made = []

    def start(*args, **kwargs):
        environment = {**home.environment, **kwargs.pop("env", {})}
        made.append(subprocess.Popen([rig.BUILD / "kubetoken", *args], env=environment,
                                     stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                     **{"stderr": subprocess.PIPE, **kwargs}))
        return made[-1]
    yield start
    for p in made:
        p.kill()
        p.communicate()


def test_a_socket_that_comes_back_is_found(home, listen, popen):
    client = popen("get")
    wait_until(lambda: sleeps(client), "its first pause")
    listen(say(ANSWER))
    assert client.communicate(timeout=rig.PATIENCE) == (b"tok\n", b"")


def test_a_socket_that_nobody_listens_on_yet_is_tried_again(home, popen):
    home.socket_path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as s:
        s.bind(str(home.socket_path))
        client = popen("get")
        wait_until(lambda: sleeps(client), "its first pause")
        s.listen()
        s.settimeout(rig.PATIENCE)
        with s.accept()[0] as connection:
            connection.recv(4096)
            connection.sendall(ANSWER)
            assert client.communicate(timeout=rig.PATIENCE) == (b"tok\n", b"")


def test_nobody_at_all_is_waited_for_two_seconds(home):
    before = time.monotonic()
    r = home.run("get")
    assert 2 <= time.monotonic() - before < 30
    assert r.returncode == 3 and "no kubetokend answers" in r.stderr and r.stderr.count("\n") == 1


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_the_version_is_not_worth_a_wait(home, tmp_path):
    r = subprocess.run(["strace", "-e", "trace=connect", "-o", tmp_path / "trace",
                        rig.BUILD / "kubetoken", "version"],
                       env=sanitized.traced(home.environment), capture_output=True, text=True,
                       timeout=rig.PATIENCE)
    if "ptrace" in r.stderr.lower():
        pytest.skip("ptrace is not permitted here")
    assert r.returncode == 0 and (tmp_path / "trace").read_text().count("connect(") == 1


def test_a_daemon_that_was_started_and_is_gone_is_started_again(auto, tmp_path):  # noqa: F811
    shutil.copy(rig.BUILD / "kubetoken", tmp_path)
    starter = tmp_path / "kubetokend"
    starter.write_text(f"#!/bin/sh\nif [ ! -e {tmp_path}/once ]; then\n"
                       f"touch {tmp_path}/once; echo ready >&3; exit 0\nfi\n"
                       f"exec {rig.BUILD}/kubetokend \"$@\"\n")
    starter.chmod(0o755)
    r = subprocess.run([tmp_path / "kubetoken", "get"], env=auto.environment, capture_output=True,
                       text=True, timeout=rig.PATIENCE)
    assert (r.returncode, r.stderr) == (0, "") and (tmp_path / "once").exists()
    only_daemon(auto)


def test_a_get_outlives_a_crash(home, daemon, fake, popen):
    fake.hang(TOKEN)
    home.configure(fake.profile())
    daemon.start()
    client = popen("get")
    wait_until(fake.grants, "a request")
    daemon.process.kill()
    del fake.answers[TOKEN]
    daemon.start()
    out, err = client.communicate(timeout=rig.PATIENCE)
    assert (client.returncode, err) == (0, b"") and out.decode().strip() in fake.tokens


# ---- a daemon that says nothing -----------------------------------------------------------------


class Manager:
    """systemd's user manager, as far as the client sees of it: its socket, and what systemctl
    says, each line of `says` in its turn and the last one again."""

    def __init__(self, home, *says):
        self.folder = home.folder / "manager"
        self.folder.mkdir()
        (home.runtime / "systemd").mkdir()
        (home.runtime / "systemd" / "private").touch()
        for number, text in enumerate(says):
            (self.folder / str(number)).write_text(text)
        program = self.folder / "systemctl"
        program.write_text(
            f"#!/bin/sh\ncd {self.folder}\nn=$(wc -l < calls)\necho $$ \"$*\" >> calls\n"
            f"[ $n -lt {len(says)} ] || n={len(says) - 1}\n"
            "[ \"$(cat $n)\" != hang ] || exec sleep 1000\ncat $n\n")
        program.chmod(0o755)
        (self.folder / "calls").touch()
        home.environment["PATH"] = f"{self.folder}:{home.environment['PATH']}"

    def calls(self):
        return (self.folder / "calls").read_text().splitlines()


FAILED = ("ActiveState=activating\nResult=exit-code\nExecMainStatus=203\nStatusText=\n"
          "ActiveEnterTimestampMonotonic=0\nExecMainStartTimestampMonotonic=5\n")
ACTIVE = "ActiveState=active\nResult=success\n"
STARTS = "ActiveState=activating\nResult=success\n"


@pytest.mark.parametrize("args", [["get", "p"], ["status"], ["login", "p"]])
def test_a_start_that_failed_is_told_with_its_cause(home, listen, args):
    listen(say())
    manager = Manager(home, FAILED)
    r = home.run(*args)
    assert r.returncode == 3 and r.stdout == ""
    assert r.stderr == ("kubetoken: kubetokend does not start: its program is missing, or cannot "
                        "be run (status 203); see: journalctl --user -u kubetoken -n 20\n")
    assert len(manager.calls()) == 1
    assert manager.calls()[0].split()[1:4] == ["--user", "show", "kubetoken.service"]


def test_one_that_starts_just_now_is_looked_at_again(home, listen):
    listen(say())
    manager = Manager(home, STARTS, STARTS, FAILED)
    r = home.run("get")
    assert r.returncode == 3 and "kubetokend does not start" in r.stderr
    assert len(manager.calls()) == 3


def test_one_that_starts_for_long_is_looked_at_less_and_less(home, listen):
    listen(say())
    manager = Manager(home, STARTS)
    r = home.run("get", "--timeout", "8s")
    assert r.returncode == 3 and "does not answer in time" in r.stderr
    assert 1 <= len(manager.calls()) <= 5, "2, 2.3, 2.9, 4.1 and 6.5 s"


@pytest.mark.parametrize("says", [ACTIVE, "", FAILED.replace("onic=0", "onic=6")])
def test_one_that_runs_or_comes_back_is_waited_for(home, listen, says):
    def late(listener, connection):
        listener.read(connection)
        wait_until(lambda: manager.calls(), "a look at systemd")
        connection.sendall(ANSWER)
    manager = Manager(home, says)
    listen(late)
    r = home.run("get")
    assert (r.returncode, r.stdout, r.stderr) == (0, "tok\n", "")
    assert len(manager.calls()) == 1


def test_a_silent_one_is_given_up_in_the_clients_own_time(home, listen):
    listen(say())
    manager = Manager(home, ACTIVE)
    r = home.run("get", "--timeout", "4s")
    assert r.returncode == 3 and "does not answer in time" in r.stderr
    assert len(manager.calls()) == 1


def test_a_systemctl_that_hangs_is_ended(home, listen):
    listen(say())
    manager = Manager(home, "hang")
    r = home.run("get", "--timeout", "3s")
    assert r.returncode == 3 and "does not answer in time" in r.stderr
    pid, = (int(line.split()[0]) for line in manager.calls())
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize("why", ["says what it waits for", "another socket"])
def test_systemd_is_not_asked_where_it_knows_nothing(home, listen, why):
    listen(say(b"wait resolving x\n" if why == "says what it waits for" else b""))
    manager = Manager(home, FAILED)
    if why == "another socket":
        home.environment["KUBETOKEN_SOCKET"] = str(home.socket_path)
    r = home.run("get", "--timeout", "3s")
    assert r.returncode == 3 and "does not answer in time" in r.stderr
    assert manager.calls() == []


# ---- what is shown on a terminal ----------------------------------------------------------------


class Terminal:
    def __init__(self, columns=80):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.seen = b""

    def read_until(self, text):
        deadline = time.monotonic() + rig.PATIENCE
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            self.read(1)

    def read(self, seconds=0):
        while select.select([self.master], [], [], seconds)[0]:
            self.seen += os.read(self.master, 4096)
            seconds = 0

    def screen(self):
        """What stands there in the end, line by line."""
        self.read()
        lines = []
        for line in self.seen.split(b"\r\n"):
            shown = line.split(b"\r")[-1]
            assert b"\x1b" not in shown.removeprefix(b"\x1b[K"), self.seen
            lines.append(shown.removeprefix(b"\x1b[K").decode())
        return lines

    def close(self):
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    made = []

    def make(**kwargs):
        made.append(Terminal(**kwargs))
        return made[-1]
    yield make
    for t in made:
        t.close()


class Steps:
    """A daemon that says the next thing when the test lets it."""

    def __init__(self):
        self.may = threading.Semaphore(0)

    def behaviour(self, *says):
        def run(listener, connection):
            listener.read(connection)
            for number, text in enumerate(says):
                if number:
                    assert self.may.acquire(timeout=rig.PATIENCE)
                connection.sendall(text)
        return run


def test_on_a_terminal_it_shows_what_is_waited_for_and_takes_it_away(listen, popen, terminal):
    steps, t = Steps(), terminal()
    listen(steps.behaviour(b"wait resolving login.example.com\n",
                           b"wait waiting for a token from login.example.com\n",
                           b"ok 4 9\ntok\na warning\n"[:-1]))
    client = popen("get", stderr=t.slave, env={"TERM": "xterm"})
    t.read_until(b"\r\x1b[Kkubetoken: resolving login.example.com")
    steps.may.release()
    t.read_until(b"\r\x1b[Kkubetoken: waiting for a token from login.example.com")
    steps.may.release()
    assert client.communicate(timeout=rig.PATIENCE)[0] == b"tok\n"
    assert t.screen() == ["a warning"]


def test_a_long_line_is_cut_to_the_terminals_width(listen, popen, terminal):
    steps, t = Steps(), terminal(columns=30)
    listen(steps.behaviour("wait 123456789 1234567é9 end\n".encode(), ANSWER))
    client = popen("get", stderr=t.slave, env={"TERM": "xterm"})
    t.read_until("kubetoken: 123456789 12345".encode())
    steps.may.release()
    assert client.communicate(timeout=rig.PATIENCE)[0] == b"tok\n"
    assert t.seen.split(b"\r\x1b[K")[1].decode() == "kubetoken: 123456789 1234567", (
        "18 columns, and a letter that may take two")
    assert t.screen() == [""]


def test_it_shows_that_it_waits_for_the_daemon(listen, popen, terminal):
    t = terminal()
    steps = Steps()
    listen(steps.behaviour(b"", ANSWER))
    client = popen("get", stderr=t.slave, env={"TERM": "xterm"})
    t.read_until(b"kubetoken: waiting for kubetokend")
    steps.may.release()
    assert client.communicate(timeout=rig.PATIENCE)[0] == b"tok\n"
    assert t.screen() == [""]


def test_an_error_stands_alone(popen, terminal):
    t = terminal()
    client = popen("get", stderr=t.slave, env={"TERM": "xterm"})
    t.read_until(b"kubetoken: waiting for kubetokend")
    client.communicate(timeout=rig.PATIENCE)
    assert client.returncode == 3
    line, rest = t.screen()
    assert line.startswith("kubetoken: no kubetokend answers: ") and rest == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_takes_it_away(listen, popen, terminal, number):
    t = terminal()
    listen(say(b"wait resolving x\n"))
    client = popen("get", stderr=t.slave, env={"TERM": "xterm"},  # whatever a nohup said before
                   preexec_fn=lambda: signal.signal(number, signal.SIG_DFL))
    t.read_until(b"kubetoken: resolving x")
    client.send_signal(number)
    assert client.wait(rig.PATIENCE) == -number
    assert t.screen() == [""]


@pytest.mark.parametrize("term", ["dumb", "", None])
def test_not_on_a_terminal_that_moves_no_cursor(listen, popen, terminal, term):
    t = terminal()
    listen(say(b"wait resolving x\n"))
    client = popen("get", "--timeout", "1s", stderr=t.slave,
                   env={} if term is None else {"TERM": term})
    client.communicate(timeout=rig.PATIENCE)
    t.read()
    assert client.returncode == 3 and t.seen.count(b"\r\n") == 1 and b"resolving" not in t.seen


def test_not_from_the_background(home, listen, terminal):
    """Of a terminal that another job has: a shell's prompt, an editor."""
    t = terminal()
    listen(say(b"wait resolving x\n"))
    shell = ("import fcntl, subprocess, sys, termios; fcntl.ioctl(2, termios.TIOCSCTTY, 0); "
             "sys.exit(subprocess.run(sys.argv[1:], process_group=0).returncode)")
    r = subprocess.run([sys.executable, "-c", shell, rig.BUILD / "kubetoken", "get", "--timeout",
                        "1s"], env={**home.environment, "TERM": "xterm"}, stderr=t.slave,
                       stdin=subprocess.DEVNULL, start_new_session=True, timeout=rig.PATIENCE)
    t.read()
    assert r.returncode == 3 and t.seen.count(b"\r\n") == 1 and b"resolving" not in t.seen


def test_not_where_stderr_is_no_terminal(home, listen):
    listen(say(b"wait resolving x\n"))
    r = home.run("get", "--timeout", "1s", env={"TERM": "xterm"})
    assert r.returncode == 3
    assert r.stderr.startswith("kubetoken: kubetokend does not answer in time")


@pytest.mark.parametrize("bad", [b"wait \n", b"wait a\x1b[2J\n", b"wait " + b"x" * 300,
                                 b"wait \xff\n"])
def test_a_wait_line_that_is_not_valid_is_no_answer(home, listen, bad):
    listen(say(bad))
    r = home.run("get")
    assert r.returncode == 3 and "cannot be understood" in r.stderr


# ---- what the daemon says -----------------------------------------------------------------------


class Held:
    """Answers of the provider that the test lets go, one by one."""

    def __init__(self, provider, path, answer):
        self.provider, self.path, self.answer = provider, path, answer
        self.go = threading.Semaphore(0)
        provider.answers[path] = self._hold

    def _hold(self, _):
        assert self.go.acquire(timeout=rig.PATIENCE)
        return self.answer() if callable(self.answer) else self.answer


@pytest.fixture
def held(fake):
    h = Held(fake, TOKEN, lambda: json_answer(fake.token()))
    yield h
    h.go.release(100)


def read_waits(f, until):
    """The texts of wait lines, up to that one."""
    texts = []
    while not texts or not re.fullmatch(until, texts[-1]):
        line = f.readline().decode()
        assert line.startswith("wait ") and line.endswith("\n") and len(line) <= 256, line
        assert line[5:-1] not in texts[-1:], "said twice"
        texts.append(line[5:-1])
    return texts


def ask_for(f, request):
    f.write(request)
    f.flush()


@pytest.mark.parametrize("request_", [b"get token p tell once\n", b"refresh text p tell once\n",
                                      b"login text p secret=9 tell once\ncanary-pw"])
def test_who_asks_is_told_what_it_waits_for(home, daemon, fake, held, request_):
    """Of each step that lasts; what has passed when the daemon looks is not told."""
    home.configure(fake.profile())
    daemon.start()
    discovery = Held(fake, DISCOVERY, lambda: fake.default_answer(DISCOVERY))
    try:
        with rig.converse(home) as f:
            ask_for(f, request_)
            texts = read_waits(f, f"waiting for the discovery document of {fake.host}")
            assert texts[0] == "waiting for its turn"
            discovery.go.release(100)
            read_waits(f, f"waiting for a token from {fake.host}")
            held.go.release()
            rest = f.read().decode()
    finally:
        discovery.go.release(100)
    header = [line for line in rest.split("\n") if not line.startswith("wait ")]
    assert header[0].startswith("ok ") and "wait " not in "\n".join(header), "none behind it"


def test_who_does_not_ask_hears_the_answer_alone(home, daemon, fake, held):
    home.configure(fake.profile())
    daemon.start()
    with rig.converse(home) as f:
        ask_for(f, b"get token p once\n")
        wait_until(fake.grants, "a request")
        held.go.release()
        assert f.read().startswith(b"ok ")


def test_a_token_in_hand_comes_without_a_word(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0
    assert rig.ask(home, b"get token p tell once\n").startswith(b"ok ")
    with rig.converse(home) as f: # not by the way for those that come whole
        ask_for(f, b"get token p tell\nget token p tell once\n")
        assert f.read().count(b"wait") == 0


def test_a_command_is_named(home, daemon, fake, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    home.configure(fake.profile(password=f"password-command = cat {tmp_path}/fifo"))
    daemon.start()
    with rig.converse(home) as f:
        ask_for(f, b"get token p tell once\n")
        read_waits(f, "waiting for the password-command")
        (tmp_path / "fifo").write_text("canary-pw\n")
        assert b"\nok " in f.read()


def test_the_login_of_another_profile_is_named_with_where_it_is(home, daemon, fake, held):
    home.configure(fake.profile() + fake.profile("q"))
    daemon.start()
    with rig.converse(home) as first, rig.converse(home) as second:
        ask_for(first, b"get token p tell once\n")
        read_waits(first, f"waiting for a token from {fake.host}")
        ask_for(second, b"get token q tell once\n")
        read_waits(second, "waiting for the login of profile p, which is "
                           f"waiting for a token from {fake.host}")
        held.go.release()
        assert b"ok " in first.read()
        read_waits(second, f"waiting for a token from {fake.host}")
        held.go.release()
        assert b"ok " in second.read()


def test_the_next_try_is_told_with_its_reason(home, daemon, fake):
    answers = [(503, {}, b"")]
    fake.answers[TOKEN] = lambda _: answers.pop() if answers else json_answer(fake.token())
    home.configure(fake.profile())
    daemon.start()
    with rig.converse(home) as f:
        ask_for(f, b"get token p tell once\n")
        read_waits(f, r"trying again in \d+ s: the provider has a fault: .*503.*")
        assert b"ok " in f.read()


def test_an_inspection_is_told_too(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0
    keys = Held(fake, KEYS, lambda: fake.default_answer(KEYS))
    try:
        with rig.converse(home) as f:
            ask_for(f, b"inspect text p tell once\n")
            read_waits(f, f"waiting for the keys of {fake.host}")
            keys.go.release(100)
            assert b"ok " in f.read()
    finally:
        keys.go.release(100)


def waits_for_room(daemon):
    """Whether it wants to know when it can write to somebody, and nothing else of them; by edges
    (EPOLLET) or not."""
    out = select.EPOLLOUT | select.EPOLLERR | select.EPOLLHUP
    process, texts = pathlib.Path(f"/proc/{daemon.process.pid}"), []
    for fd in process.joinpath("fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # of a fetcher that has just ended
            texts.append(fd.read_text())
    return any(re.search(rf"^tfd: .* events: +(?:800000)?{out:x} ", text, re.M) for text in texts)


def test_who_does_not_read_gets_its_answers_whole(home, daemon, fake):
    """The socket's buffer is full of wait lines and answers; then it reads."""
    count, line = 3000, b"refresh text p timeout=1 tell\n"
    home.configure(fake.profile(extra="use-refresh-token = no"))
    daemon.start()
    for _ in range(6):  # from now on each is turned away at once
        assert home.run("refresh").returncode == 0
    with rig.connect(home) as s:
        def send():
            s.sendall(line * count)
            s.shutdown(socket.SHUT_WR)
        sender = threading.Thread(target=send)
        sender.start()
        wait_until(lambda: waits_for_room(daemon), "a full buffer")
        assert home.run("status").returncode == 0, "nobody else waits for it"
        data = b""
        while chunk := s.recv(65536):
            data += chunk
        sender.join()
    answers = waits = 0
    while data:
        head, _, data = data.partition(b"\n")
        if head.startswith(b"wait "):
            waits += 1
            continue
        m = re.fullmatch(rb"error throttled 0 (\d+)", head)
        assert m, head
        assert data[:int(m[1])].count(b"\n") == 1
        data, answers = data[int(m[1]):], answers + 1
    assert answers == count and 0 < waits < count, "what found no room was left out"


def test_a_get_shows_it(home, daemon, fake, held, popen, terminal):
    t = terminal()
    home.configure(fake.profile())
    daemon.start()
    client = popen("get", stderr=t.slave, env={"TERM": "xterm"})
    t.read_until(f"kubetoken: waiting for a token from {fake.host}".encode())
    held.go.release()
    out, _ = client.communicate(timeout=rig.PATIENCE)
    assert out.decode().strip() in fake.tokens and t.screen() == [""]
