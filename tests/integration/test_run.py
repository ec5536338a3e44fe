"""`kubetoken run`: a command that finds all as it was, starts with a token or not at all, and for
which the token is kept fresh as long as it runs."""
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import pytest

import rig
from rig import wait_until
from test_autostart import auto, only_daemon  # noqa: F401: a fixture

KEPT_SHORT = "keep-fresh = 1s"


@pytest.fixture
def running(fake, home, daemon):
    home.configure(fake.profile(extra=KEPT_SHORT))
    return daemon.start()


@pytest.fixture
def popen(home):
    made = []

    def start(*args, **kwargs):
        made.append(subprocess.Popen([rig.BUILD / "kubetoken", "run", *args], env=home.environment,
                                     stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                     **kwargs))
        return made[-1]
    yield start
    for p in made:
        p.kill()
        p.communicate()


def started(process):
    """Its command runs: `echo` was its first word."""
    assert process.stdout.readline() == "started\n"
    return process


WAITS = ["sh", "-c", "echo started; read line; exit 7"]


# ---- what it ends with --------------------------------------------------------------------------


def test_the_exit_code_is_the_commands_own(home, running, tmp_path):
    plain = tmp_path / "plain"  # no #!: the shell's, as with env(1)
    plain.write_text('echo "$1"; exit 9\n')
    plain.chmod(0o755)
    for command, code, out in [(["true"], 0, ""), (["sh", "-c", "exit 7"], 7, ""),
                               (["sh", "-c", "echo $0 $1", "a b", "--c"], 0, "a b --c\n"),
                               ([plain, "x y"], 9, "x y\n"), (["sh", "-c", "kill -9 $$"], -9, ""),
                               (["sh", "-c", "kill -TERM $$"], -15, "")]:
        for options in ([], ["p"], ["--min-validity=10m", "p", "--timeout", "9s"]):
            r = home.run("run", *options, "--", *command)
            assert (r.returncode, r.stdout, r.stderr) == (code, out, ""), command


def test_what_cannot_be_started(home, running, tmp_path):
    (tmp_path / "data").write_text("x")
    for name, says, code in [("no-such-program", "No such file or directory", 127),
                             ("/no/such", "No such file or directory", 127),
                             ("", "No such file or directory", 127),
                             (tmp_path / "data", "Permission denied", 126),
                             (tmp_path, "Permission denied", 126),
                             (tmp_path / "data" / "x", "Not a directory", 126)]:
        r = home.run("run", "--", name)
        e = subprocess.run(["env", "--", name], capture_output=True, timeout=rig.PATIENCE)
        assert (r.returncode, r.stdout) == (code, "") and e.returncode == code, r.stderr
        assert r.stderr == (f"kubetoken: the command cannot be started: {name}: {says}; see "
                            "whether it is on the PATH, and may be executed\n")
    # what is there and may not be run counts more than that it is not elsewhere
    r = home.run("run", "--", "data", env={"PATH": f"/nowhere:{tmp_path}:/usr/bin"})
    assert r.returncode == 126 and "data: Permission denied" in r.stderr


@pytest.mark.parametrize("arguments, says", [
    (["true"], "-- and a command are missing: kubetoken run [PROFILE] -- COMMAND"),
    (["p", "--"], "no command stands behind --"),
    (["p", "q", "--", "true"], "more than one profile is named"),
    (["--env", "A-B", "--", "true"], "--env takes the name of a variable"),
    (["--env=1A", "--", "true"], "--env takes the name of a variable"),
    (["--env=A", "--env=B", "--", "true"], "--env is given twice"),
    (["--timeout=0", "--", "true"], "--timeout 0 leaves no time"),
    (["--min-validity", "x", "--", "true"], "--min-validity x is no duration"),
    (["--min-validty=1", "--", "true"], 'did you mean "--min-validity"?')])
def test_wrong_usage_is_no_exit_code_of_a_command(home, arguments, says):
    r = home.run("run", *arguments)
    assert r.returncode == 125 and says in r.stderr and r.stderr.count("\n") == 1, r.stderr
    assert r.stderr.endswith("; see kubetoken run --help\n")


def test_without_a_token_nothing_is_started(home, fake, daemon, tmp_path):
    """Whatever is wrong: 125, and the words of `get`."""
    mark = tmp_path / "mark"
    fake.lifetime = 600

    def check(*options, says):
        r = home.run("run", *options, "--", "touch", mark)
        assert (r.returncode, r.stdout) == (125, "") and says in r.stderr, r.stderr
        assert r.stderr.count("\n") == 1 and not mark.exists()

    home.configure(fake.profile("p") + fake.profile("typed", password="", user="other"))
    daemon.start()
    check("p", "--min-validity", "1h", says="tokens do not live as long as asked for: ")
    check("p", "--min-validity", "601", "--env", "TOKEN", says="; ask for a lower --min-validity")
    check("nobody", says="no such profile: nobody;")
    check(says="which profile?: there are p, typed;")
    check("typed", says="kubetoken: typed: no password is known")
    assert home.run("run", "--min-validity", "590", "p", "--", "touch", mark).returncode == 0
    assert mark.exists()


def test_without_a_daemon_nothing_is_started(home):
    r = home.run("run", "--", "echo", "started")
    assert (r.returncode, r.stdout) == (125, "") and "no kubetokend answers" in r.stderr


# ---- what the command finds ---------------------------------------------------------------------

LOOK = """
import json, os
def status(*names):
    lines = open("/proc/self/status").read().splitlines()
    return [l for l in lines if l.split(":")[0] in names]
def fds():
    found = {}
    for n in os.listdir("/proc/self/fd"):
        try:
            found[n] = os.readlink(f"/proc/self/fd/{n}")
        except OSError:
            pass
    return found
print(json.dumps([status("SigBlk", "SigIgn", "SigCgt", "PPid", "TracerPid", "CoreDumping"), fds(),
                  dict(os.environ), os.getcwd(), os.getpgrp(), os.getsid(0), os.umask(0),
                  os.getpriority(0, 0), open("/proc/self/task/%d/children" % os.getpid()).read(),
                  os.access("/proc/self/mem", os.W_OK)]), file=os.fdopen(os.dup(3), "w"))
"""


@pytest.mark.parametrize("closed", ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("starts", [False, True], ids=["with a daemon", "starts one"])
def test_the_command_finds_all_as_it_was(auto, request, tmp_path, closed, starts):  # noqa: F811
    if not starts:
        request.getfixturevalue("daemon").start()
    script = 'trap "" USR1; umask 27; exec 3>"$1" 9<"$2"; shift 2; exec "$@" ' + closed
    found = []
    for before in ([rig.BUILD / "kubetoken", "run", "p", "--"], []):
        out = tmp_path / "found"
        command = ["sh", "-c", script, "sh", out, __file__, *before, sys.executable, "-c", LOOK]
        subprocess.run(command, env=auto.environment, stdin=subprocess.DEVNULL, check=True,
                       timeout=rig.PATIENCE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        found.append(json.loads(out.read_text()))
    for with_it, without in zip(*found):
        if isinstance(with_it, dict):
            assert with_it.keys() == without.keys()
            with_it = {k: re.sub(r"\d+", "", v) for k, v in with_it.items()}
            without = {k: re.sub(r"\d+", "", v) for k, v in without.items()}
        assert with_it == without
    assert found[0][-2] == "", "the daemon is no child of the command"


def test_a_closed_pipe_ends_the_command_as_ever(home, running):
    """SIGPIPE is as it was: `yes` ends by it, where it is not ignored."""
    script = '"$@" -- yes | head -n1; echo ${PIPESTATUS[0]}'
    r = subprocess.run(["bash", "-c", script, "bash", rig.BUILD / "kubetoken", "run"],
                       env=home.environment, capture_output=True, text=True, timeout=rig.PATIENCE)
    assert r.stdout == f"y\n{128 + signal.SIGPIPE}\n"


def test_the_token_is_in_the_variable_that_was_named_and_nowhere_else(home, running):
    without = home.run("run", "--", "env", "-0").stdout.split("\0")
    with_it = home.run("run", "--env", "KUBE_TOKEN", "--", "env", "-0").stdout.split("\0")
    token = home.run("get").stdout.strip()
    assert sorted(with_it) == sorted([*without, f"KUBE_TOKEN={token}"])
    assert not any(token in v for v in without)
    r = home.run("run", "--env=PATH", "--", "/usr/bin/printenv", "PATH", env={"PATH": "/bin"})
    assert r.stdout.strip() == token, "in the place of one that was there"
    arguments = ["run", "--env", "T", "--", "cat", "/proc/self/cmdline"]
    assert token not in home.run(*arguments).stdout


# ---- on a terminal ------------------------------------------------------------------------------

COUNTS = """
import os, signal, sys
count = 0
def on_interrupt(number, frame):
    global count
    count += 1
    os.write(1, b"interrupt %d\\n" % count)
signal.signal(signal.SIGINT, on_interrupt)
print("started", flush=True)
for line in sys.stdin:
    print("line", line.strip(), "of", count, flush=True)
sys.exit(33)
"""


class Shell:
    """An interactive one on a terminal of its own, as a person has it."""

    def __init__(self, environment):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve("/bin/bash", ["bash", "--norc", "--noediting", "-i"],
                      {**environment, "PS1": "$ ", "TERM": "xterm"})
        self.seen = ""

    def type(self, text):
        os.write(self.terminal, text.encode())

    def expect(self, text):
        """Reads until that is on the screen, and forgets what was before it."""
        deadline = time.monotonic() + rig.PATIENCE
        while text not in self.seen:
            assert time.monotonic() < deadline, (text, self.seen)
            if select.select([self.terminal], [], [], 1)[0]:
                self.seen += os.read(self.terminal, 4096).decode()
        before, _, self.seen = self.seen.partition(text)
        return before

    def close(self):
        fd = os.pidfd_open(self.pid)
        os.close(self.terminal)
        os.kill(self.pid, signal.SIGKILL)
        select.select([fd], [], [], rig.PATIENCE)
        os.close(fd)
        os.waitpid(self.pid, 0)


def test_the_terminal_and_its_signals_are_the_commands(home, running, tmp_path):
    (tmp_path / "counts.py").write_text(COUNTS)
    shell = Shell(home.environment)
    try:
        shell.expect("$ ")
        shell.type(f"kubetoken run p -- {sys.executable} {tmp_path}/counts.py\n")
        shell.expect("started")
        shell.type("\x03")
        shell.expect("interrupt 1")
        shell.type("one\n")
        assert "interrupt" not in shell.expect("line one of 1"), "it comes once"
        shell.type("\x1a")
        shell.expect("Stopped")
        shell.expect("$ ")
        shell.type("fg\n")
        shell.expect("counts.py")
        shell.type("two\n")
        shell.expect("line two of 1")
        shell.type("\x04")
        shell.expect("$ ")
        shell.type("echo code=$?\n")
        shell.expect("code=33")
        shell.expect("$ ")
        shell.type("kubetoken run p -- sleep 600\n")
        wait_until(lambda: "sleep" in subprocess.run(
            ["ps", "-o", "comm=", "--ppid", str(shell.pid)], capture_output=True,
            text=True, timeout=rig.PATIENCE).stdout, "the command")
        shell.type("\x03")
        shell.expect("$ ")
        shell.type("echo code=$?\n")
        shell.expect("code=130")
    finally:
        shell.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT,
                                    signal.SIGUSR1, signal.SIGUSR2, signal.SIGWINCH])
def test_a_signal_reaches_the_command(running, popen, number):
    name = signal.Signals(number).name[3:]
    p = started(popen("p", "--", "bash", "-c",
                      f"trap 'echo got {name}' {name}; echo started; read line; exit 4"))
    p.send_signal(number)
    p.stdin.write("\n")
    out, _ = p.communicate(timeout=rig.PATIENCE)
    assert out == f"got {name}\n" and p.returncode == 4


# ---- as long as it runs -------------------------------------------------------------------------


def next_renewal(home):
    """In how many seconds; None: nobody has it in use."""
    at = home.status("p").get("renewalTimestamp")
    return rig.seconds(at) - time.time() if at else None


def test_the_token_is_renewed_as_long_as_the_command_runs(fake, home, running, popen):
    fake.lifetime = 4
    p = started(popen("p", "--", *WAITS))
    wait_until(lambda: len(fake.grants()) >= 3, "a second renewal, when keep-fresh is long over")
    p.communicate("end\n", timeout=rig.PATIENCE)
    assert p.returncode == 7
    wait_until(lambda: next_renewal(home) is None, "the daemon's notice")
    assert home.run("get").returncode == 0


def test_it_ends_with_the_last_command_however_that_ends(home, running, popen):
    first, second = started(popen("--", *WAITS)), started(popen("--", *WAITS))
    first.kill()
    first.wait(rig.PATIENCE)
    assert next_renewal(home) > 0, "the second runs"
    second.kill()
    second.wait(rig.PATIENCE)
    wait_until(lambda: next_renewal(home) is None, "the daemon's notice")


def test_another_program_in_its_place_is_the_same_command(home, running, popen):
    p = started(popen("--", "sh", "-c", "exec sh -c 'echo started; read line; exit 7'"))
    assert next_renewal(home) > 0
    p.communicate("\n", timeout=rig.PATIENCE)
    wait_until(lambda: next_renewal(home) is None, "the daemon's notice")


@pytest.mark.parametrize("crash", [False, True], ids=["restart", "crash"])
def test_another_daemon_goes_on_with_it(home, running, popen, crash):
    p = started(popen("--", *WAITS))
    running.restart(crash)
    assert next_renewal(home) > 0
    running.restart(crash)
    assert next_renewal(home) > 0
    p.communicate("\n", timeout=rig.PATIENCE)
    wait_until(lambda: next_renewal(home) is None, "the daemon's notice")
    running.restart(crash)
    assert next_renewal(home) is None


def test_one_that_ended_between_two_daemons_is_not_waited_for(home, running, popen):
    p = started(popen("--", *WAITS))
    running.stop()
    p.communicate("\n", timeout=rig.PATIENCE)
    running.start()
    assert next_renewal(home) is None


def test_what_it_asks_for_is_there_at_any_time(home, running, popen):
    """Of a token of an hour 50 minutes are always left, or a minute goes by between renewals; of
    what no token has nothing comes. A first renewal has the last nine tenths of its wait."""
    for validity, soonest, latest in [("50m", 60, 600), ("3590", 0, 60), ("1s", 288, 2880)]:
        p = started(popen("--min-validity", validity, "--", *WAITS))
        assert soonest <= next_renewal(home) <= latest, validity
        p.kill()
        p.wait(rig.PATIENCE)
        wait_until(lambda: next_renewal(home) is None, "the daemon's notice")
        home.run("refresh")


def test_a_reload_and_a_logout_leave_it(fake, home, running, popen):
    started(popen("--", *WAITS))
    home.configure(fake.profile(extra=KEPT_SHORT + "\nrefresh-before = 50%"))
    assert home.run("reload").returncode == 0
    assert next_renewal(home) > 0
    home.run("refresh")
    assert 1500 < next_renewal(home) <= 1800
    home.run("logout")
    assert next_renewal(home) is None and len(fake.grants()) == 2, "nothing is sent behind that"
    home.run("get")
    assert next_renewal(home) > 0


def test_a_daemon_that_ends_when_it_is_idle_does_not_while_a_command_runs(fake, home, popen):
    home.configure(fake.profile(extra=KEPT_SHORT))
    daemon = rig.Daemon(home, activated=False, arguments=["--idle-exit", "1s"])
    try:
        daemon.start()
        p = started(popen("--", *WAITS))
        time.sleep(2.5)  # two of its own times
        assert daemon.alive
        p.communicate("\n", timeout=rig.PATIENCE)
        assert daemon.process.wait(rig.PATIENCE) == 0
    finally:
        daemon.close()
