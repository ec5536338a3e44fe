"""Whoever starts a program may have closed its stdin, stdout or stderr: cron jobs, language
runtimes and supervisors do. No socket or file of ours may then take that number."""
import contextlib
import os
import pathlib
import resource
import subprocess

import pytest

import rig
from test_autostart import auto, only_daemon  # noqa: F401, pylint: disable=unused-import

CLOSED = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"]


def run(home, closed, *command):
    return subprocess.run(["sh", "-c", f'exec "$0" "$@" {closed}', *command],
                          env=home.environment, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=rig.PATIENCE)


def check(r, closed):
    """What can be told is told, and what could not be written is no success."""
    if " >&-" in f" {closed}":
        assert r.returncode == 1 and r.stdout == ""
        assert "2>&-" in closed or "the output cannot be written" in r.stderr, r.stderr
    else:
        assert r.returncode == 0 and r.stdout.count(".") == 2, r.stderr
        assert r.stderr == ""


@pytest.mark.parametrize("closed", CLOSED)
def test_a_get_with_a_daemon(home, daemon, fake, closed):
    home.configure(fake.profile())
    daemon.start()
    check(run(home, closed, rig.BUILD / "kubetoken", "get"), closed)
    assert home.run("get").returncode == 0 and len(fake.grants()) == 1


@pytest.mark.parametrize("closed", CLOSED)
def test_a_get_that_starts_the_daemon(auto, fake, closed):  # noqa: F811
    check(run(auto, closed, rig.BUILD / "kubetoken", "get"), closed)
    process = pathlib.Path(f"/proc/{only_daemon(auto)}")
    assert {os.readlink(process / "fd" / n) for n in "012"} == {"/dev/null"}
    assert auto.run("get").returncode == 0 and len(fake.grants()) == 1


@pytest.mark.parametrize("closed", ["<&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("command", ["status", "version", "kubeconfig", "explain", "doctor",
                                     "help"])
def test_another_command_that_starts_the_daemon(auto, command, closed):  # noqa: F811
    r = run(auto, closed, rig.BUILD / "kubetoken", command)
    whole = auto.run(command)
    if ">&-" in closed:
        assert r.returncode != 0
        full = run(auto, "> /dev/full", rig.BUILD / "kubetoken", command)
        # what doctor found is the exit code, also where nobody can read it
        assert full.returncode == (whole.returncode if command == "doctor" else 1)
        assert "the output cannot be written" in full.stderr
    else:
        assert (r.returncode, r.stderr) == (whole.returncode, whole.stderr)
        assert r.stdout.split()[0] == whole.stdout.split()[0]


@pytest.mark.parametrize("closed", CLOSED)
def test_a_failure_keeps_its_exit_code(home, closed):
    assert run(home, closed, rig.BUILD / "kubetoken", "get").returncode == 3


@pytest.mark.parametrize("closed", CLOSED)
def test_a_login_without_stdin_says_so(home, daemon, fake, closed):
    home.configure(fake.profile(password=""))
    daemon.start()
    r = run(home, closed, rig.BUILD / "kubetoken", "login")
    assert r.returncode == 2 and not fake.grants()
    if "2>&-" not in closed:
        assert r.stderr.count("\n") == 1, r.stderr


@pytest.mark.parametrize("closed", CLOSED)
def test_a_daemon_by_hand(home, fake, closed):
    """Its own descriptors are above 2, and so are those of the command and the fetcher that it
    starts."""
    home.write("command", "#!/bin/sh\nfor n in 0 1 2; do readlink /proc/self/fd/$n; done > "
               f"{home.folder}/seen\nprintf canary-pw\n", 0o700)
    home.configure(fake.profile(password=f"password-command = {home.config}/command"))
    p = subprocess.Popen(["sh", "-c", f'exec "$0" {closed}', rig.BUILD / "kubetokend"],
                         env=home.environment, stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        rig.wait_until(lambda: home.run("status").returncode == 0 or p.poll() is not None,
                       "an answer of the daemon")
        assert home.run("get").returncode == 0
        assert {os.readlink(f"/proc/{p.pid}/fd/{n}") for n in "012"} == {"/dev/null"}
        seen = (home.folder / "seen").read_text().splitlines()
        assert seen[0] == "/dev/null" and not seen[1].startswith("socket:"), seen
        assert seen[2].startswith("pipe:"), seen
    finally:
        p.terminate()
        p.wait(rig.PATIENCE)


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_what_the_daemon_could_not_print_is_no_success(home, option):
    for closed in (">&-", "> /dev/full"):
        assert run(home, closed, rig.BUILD / "kubetokend", option).returncode == 1
    assert run(home, "", rig.BUILD / "kubetokend", option).returncode == 0


# ---- the limit ---------------------------------------------------------------------------------


def rest(daemon):
    """Until no child has a descriptor of the daemon."""
    process = pathlib.Path(f"/proc/{daemon.process.pid}")
    children = process / "task" / process.name / "children"
    fds = process / "fd"
    rig.wait_until(lambda: not children.read_text() and not any(
        "pidfd" in os.path.realpath(fd) for fd in fds.iterdir()), "the end of all children")


@contextlib.contextmanager
def limited(daemon, choose):
    """The daemon may have no number from that on which is chosen of those that it has not."""
    if os.geteuid() != 0:
        pytest.skip("only root sees the descriptors of a process that cannot be dumped")
    pid = daemon.process.pid
    used = {int(n) for n in os.listdir(f"/proc/{pid}/fd")}
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    number = choose(sorted(used), sorted(set(range(max(used) + 3)) - used))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (number, hard))
    try:
        yield number
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def one_left(daemon):
    return limited(daemon, lambda used, free: free[1])


def test_what_cannot_be_started_for_want_of_descriptors_is_named_so(home, daemon, fake):
    home.write("command", "#!/bin/sh\nprintf canary-pw\n", 0o700)
    home.configure(fake.profile() + fake.profile(
        "by-command", f"password-command = {home.config}/command", user="c"))
    daemon.start()
    with one_left(daemon) as number:
        for name, head in ("p", ""), ("by-command", "the command cannot be started: "):
            r = home.run("get", name)
            assert (r.returncode, r.stderr) == (1, (
                f"kubetoken: {name}: kubetokend cannot open what it needs: {head}too many open "
                f"files (LimitNOFILE={number}); see who has so many connections; raise "
                "LimitNOFILE= in kubetoken.service, then: systemctl --user restart "
                "kubetoken.service\n"))
    for name in ("p", "by-command"):
        assert home.run("refresh", name).returncode == 0


def test_where_none_is_left_who_owes_a_request_makes_room(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0
    rest(daemon)
    with contextlib.ExitStack() as stack:
        silent = [stack.enter_context(rig.connect(home)) for _ in range(9)]
        rig.wait_until(lambda: home.run("get").returncode == 0, "all of them accepted")
        with limited(daemon, lambda used, free: used[-4]):
            assert home.run("get").returncode == 0
            closed = [s for s in silent if not is_open(s)]
            assert closed == silent[:len(closed)] and 1 <= len(closed) < 4


def is_open(peer):
    peer.setblocking(False)
    try:
        return peer.recv(1) != b""
    except BlockingIOError:
        return True
