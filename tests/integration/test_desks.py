"""A desk without systemd: what an autostarted daemon has of who started it, how it ends, where its
log is; and for each thing that can be wrong with the place of the socket a sentence of its own."""
import contextlib
import json
import os
import pathlib
import pwd
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys

import pytest

import rig
from test_autostart import (as_user, auto, daemons, end, installed, offer,  # noqa: F401
                            only_daemon, root, wait_end)

ONE_MORE = "kubetoken restart"
SYSTEMS = re.compile("systemctl|journalctl")


def log_of(home):
    return home.folder / ".local" / "state" / "kubetoken" / "log"


def kubetoken(home, *args, cwd=None, **kwargs):
    return subprocess.run([rig.BUILD / "kubetoken", *args], env=home.environment, cwd=cwd,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=rig.PATIENCE, **kwargs)


# ---- it belongs to nobody's environment --------------------------------------------------------


def test_limits_and_a_nice_value_are_not_the_first_clients(auto):  # noqa: F811
    """A shell with `ulimit -Sv` or `nice` would have it fail, or crawl, for all that come later."""
    def burden():
        for name in ("AS", "CPU", "DATA", "FSIZE", "NOFILE"):
            limit = getattr(resource, f"RLIMIT_{name}")
            hard = resource.getrlimit(limit)[1]
            resource.setrlimit(limit, (64 if name == "NOFILE" else 1 << 30, hard))
        os.nice(7)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    everywhere = os.sched_getaffinity(0)
    assert kubetoken(auto, "get", preexec_fn=burden).returncode == 0
    pid = only_daemon(auto)
    limits = pathlib.Path(f"/proc/{pid}/limits").read_text()
    for name in ("address space", "cpu time", "data size", "file size", "open files"):
        soft, hard = re.search(rf"^Max {name} +(\S+) +(\S+)", limits, re.M).groups()
        assert soft == hard, (name, soft, hard)
    assert os.sched_getaffinity(pid) == everywhere
    if os.geteuid() == 0:  # nobody else may lower it
        assert os.getpriority(os.PRIO_PROCESS, pid) == 0


def test_a_configuration_of_another_home_is_named_and_so_is_ours(auto, fake):  # noqa: F811
    other = rig.Home(auto.folder / "other")
    other.configure("colour = blue\n")
    auto.environment["KUBETOKEN_SOCKET"] = other.environment["KUBETOKEN_SOCKET"] = str(
        auto.folder / "kt.sock")
    del other.environment["KUBETOKEN_AUTOSTART"]
    try:
        r = other.run("get")
        assert r.returncode == 9 and "yours" not in r.stderr, r.stderr
        r = auto.run("get")
        ours = auto.config / "kubetoken.conf"
        assert r.returncode == 9 and r.stderr.count("\n") == 1, r.stderr
        assert f"{other.config}/kubetoken.conf:1: " in r.stderr
        assert r.stderr.endswith(f"; yours is {ours}, which is read after {ONE_MORE}\n")
        assert auto.run("login").stderr == r.stderr
        assert auto.run("restart").returncode == 0
        assert auto.run("get").returncode == 0 and len(fake.grants()) == 1
    finally:
        end(auto.folder / "kt.sock")


def test_under_systemd_it_is_the_services_home_that_counts(home, daemon):
    daemon.start()
    offer(home, True)
    r = home.run("get", env={"HOME": "/nowhere"})
    assert r.returncode == 9 and "yours" not in r.stderr
    r = home.run("get", env={"HOME": str(home.folder / "config" / ".."),
                             "XDG_CONFIG_HOME": f"{home.folder}/config/../config"})
    assert "; yours is " in r.stderr and "systemctl --user show-environment" in r.stderr
    assert ONE_MORE not in r.stderr


def test_another_error_is_left_as_it_is(auto):  # noqa: F811
    assert auto.run("status").returncode == 0
    r = auto.run("get", "other", env={"XDG_CONFIG_HOME": "/nowhere"})
    assert r.returncode == 4 and "yours" not in r.stderr


def test_without_a_configuration_none_stays(auto, fake):  # noqa: F811
    """What is missing in the first client's HOME may be in the next one's."""
    for command in ("get", "status", "refresh"):
        r = auto.run(command, env={"XDG_CONFIG_HOME": "/nowhere"})
        assert r.returncode == 9 and "/nowhere/kubetoken/kubetoken.conf" in r.stderr
        assert r.stderr.count("\n") == 1 and daemons(auto.socket_path) == set()
    doctor = auto.run("doctor", env={"XDG_CONFIG_HOME": "/nowhere"}).stdout
    assert "skipped  daemon           one is started once there is a configuration\n" in doctor
    assert auto.run("get").returncode == 0 and len(fake.grants()) == 1


def test_one_that_has_served_stays_without_its_configuration(auto, fake):  # noqa: F811
    first = auto.run("get")
    pid = only_daemon(auto)
    (auto.config / "kubetoken.conf").unlink()
    assert auto.run("reload").returncode == 9
    assert auto.run("get").stdout == first.stdout and only_daemon(auto) == pid
    assert len(fake.grants()) == 1


def test_a_command_that_is_not_found_names_the_path(auto, fake):  # noqa: F811
    folder = auto.folder / "tools"
    folder.mkdir()
    auto.configure(fake.profile(password="password-command = print-password"))
    auto.environment["PATH"] = "/usr/bin:/bin"
    r = auto.run("get", "--timeout", "2s")
    assert r.returncode == 9 and "PATH=/usr/bin:/bin" in r.stderr and ONE_MORE in r.stderr
    (folder / "print-password").write_text("#!/bin/sh\nprintf canary-pw\n")
    (folder / "print-password").chmod(0o755)
    auto.environment["PATH"] = f"{folder}:/usr/bin:/bin"
    assert auto.run("restart").returncode == 0
    assert auto.run("get").returncode == 0


# ---- stop and restart --------------------------------------------------------------------------


def test_stop_ends_it_and_says_nothing_twice(auto):  # noqa: F811
    assert auto.run("get").returncode == 0
    pidfd = os.pidfd_open(only_daemon(auto))
    for _ in range(2):
        r = auto.run("stop")
        assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
        assert not auto.socket_path.exists(), "who is answered finds it gone"
    wait_end(pidfd)
    assert auto.run("get").returncode == 0


def test_restart_starts_one_also_where_none_was_and_none_is_to_be(auto):  # noqa: F811
    auto.environment["KUBETOKEN_AUTOSTART"] = "0"
    seen = set()
    for _ in range(2):
        assert auto.run("restart").returncode == 0
        seen.add(only_daemon(auto))
    assert len(seen) == 2 and auto.run("get").returncode == 0


@pytest.mark.parametrize("command", ["stop", "restart"])
def test_what_was_typed_is_said_to_be_forgotten(auto, fake, command):  # noqa: F811
    auto.configure(fake.profile("a", password="") + fake.profile("b", password="") +
                   fake.profile("c"))
    for profile in "ab":
        assert auto.run("login", profile, input="canary-pw").returncode == 0
    r = auto.run(command)
    assert (r.returncode, r.stdout) == (0, "")
    assert r.stderr == "".join(f"kubetoken: {p}: the typed password is forgotten with the daemon; "
                               "say kubetoken login\n" for p in "ab")
    assert "canary" not in log_of(auto).read_text()


@pytest.mark.parametrize("command", ["stop", "restart"])
def test_one_of_systemds_is_left_to_systemd(home, daemon, fake, command):
    home.configure(fake.profile())
    daemon.start()
    r = home.run(command)
    assert r.returncode == 1 and "systemctl --user restart kubetoken.service" in r.stderr
    assert "systemctl --user stop kubetoken.socket" in r.stderr and r.stderr.count("\n") == 1
    assert daemon.alive and home.run("get").returncode == 0


def test_none_is_started_by_asking_whether_it_is_to_stop(auto):  # noqa: F811
    """systemd would start the service to have it asked."""
    offer(auto, True)
    auto.socket_path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as systemds:
        systemds.bind(str(auto.socket_path))
        systemds.listen()
        for command in ("stop", "restart"):
            assert auto.run(command).returncode == 1
        systemds.setblocking(False)
        with pytest.raises(BlockingIOError):
            systemds.accept()


def test_a_daemon_that_hangs_is_ended_too(auto):  # noqa: F811
    assert auto.run("get").returncode == 0
    pid = only_daemon(auto)
    os.kill(pid, signal.SIGSTOP)
    pidfd = os.pidfd_open(pid)
    r = auto.run("get", "--timeout", "1s")
    assert r.returncode == 3 and ONE_MORE in r.stderr and f"log: {log_of(auto)}" in r.stderr
    assert not SYSTEMS.search(r.stderr)
    assert auto.run("restart", "--timeout", "1s").returncode == 0
    wait_end(pidfd)
    assert only_daemon(auto) != pid


OLD = """
import ctypes, os, socket, sys
ctypes.CDLL(None).prctl(15, sys.argv[2].encode())  # PR_SET_NAME
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print("listening", flush=True)
while True:
    c = s.accept()[0]
    if c.recv(100):
        c.sendall(b"error bad-request 0 4\\nwhy\\n")
    c.close()
"""


@pytest.mark.parametrize("name", ["kubetokend", "something"])
def test_one_of_an_earlier_version_does_not_know_the_word(auto, name):  # noqa: F811
    """It is ended by a signal, and nothing else is that may sit behind the socket."""
    auto.socket_path.parent.mkdir(mode=0o700)
    with subprocess.Popen([sys.executable, "-c", OLD, auto.socket_path, name],
                          stdout=subprocess.PIPE, text=True) as old:
        try:
            assert old.stdout.readline() == "listening\n"
            r = auto.run("restart")
            if name == "kubetokend":
                assert r.returncode == 0 and old.wait(rig.PATIENCE) == -signal.SIGTERM
                assert auto.run("get").returncode == 0
            else:
                assert r.returncode == 2 and r.stderr.count("\n") == 1 and old.poll() is None
        finally:
            old.kill()


def test_stop_takes_no_profile(auto):  # noqa: F811
    for command in ("stop", "restart"):
        assert auto.run(command, "p").returncode == 2


# ---- the log -----------------------------------------------------------------------------------


def test_it_has_a_log_that_only_the_user_can_read(auto):  # noqa: F811
    auto.environment["XDG_STATE_HOME"] = str(auto.folder / "state")
    assert auto.run("get").returncode == 0
    log = auto.folder / "state" / "kubetoken" / "log"
    assert log.stat().st_mode & 0o777 == 0o600 and log.parent.stat().st_mode & 0o777 == 0o700
    assert re.search(rf"^\S+T\S+Z kubetokend\[{only_daemon(auto)}\]: p: ", log.read_text(), re.M)
    assert json.loads(auto.run("status", "--json").stdout)["log"] == str(log)
    assert "log" not in auto.run("status").stdout


def test_where_no_log_can_be_kept_status_says_so(auto):  # noqa: F811
    (auto.folder / ".local").write_text("")
    assert auto.run("get").returncode == 0
    assert f"no log is kept: {log_of(auto)}: " in rig.unwrapped(auto.run("status").stdout)
    assert "log" not in json.loads(auto.run("status", "--json").stdout)


def broken_fetcher(auto, tmp_path):  # noqa: F811
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("kubetoken", "kubetokend"):
        shutil.copy(rig.BUILD / name, folder)
    shutil.copy("/bin/false", folder / "kubetoken-fetch")
    return subprocess.run([folder / "kubetoken", "get", "--timeout", "2s"], env=auto.environment,
                          capture_output=True, text=True, timeout=rig.PATIENCE)


def test_remedies_name_the_log_and_no_systemd(auto, tmp_path):  # noqa: F811
    r = broken_fetcher(auto, tmp_path)
    assert r.returncode == 1 and f"log: {log_of(auto)}\n" in r.stderr, r.stderr
    status = auto.run("status").stdout
    assert str(log_of(auto)) in status and not SYSTEMS.search(r.stderr + status)
    doctor = auto.run("doctor").stdout
    assert not SYSTEMS.search(doctor) and "kubetoken-fetch failed" in doctor, doctor


def test_where_systemd_keeps_it_they_name_the_journal(home, daemon, fake, tmp_path):
    home.configure(fake.profile())
    folder = tmp_path / "bin"
    folder.mkdir()
    shutil.copy(rig.BUILD / "kubetokend", folder)
    shutil.copy("/bin/false", folder / "kubetoken-fetch")
    daemon.program = folder / "kubetokend"
    daemon.start()
    assert "journalctl --user" in home.run("get", "--timeout", "2s").stderr


def test_a_daemon_by_hand_writes_to_stderr_and_no_file(home, fake):
    home.configure(fake.profile())
    daemon = rig.Daemon(home, activated=False)
    try:
        daemon.start()
        assert home.run("get").returncode == 0
        assert not log_of(home).exists() and "kubetokend: p: " in daemon.log.read_text()
        assert home.run("stop").returncode == 0 and daemon.process.wait(rig.PATIENCE) == 0
    finally:
        daemon.close()


# ---- nobody waits ------------------------------------------------------------------------------

# PID 1 of a container that starts something and waits for nobody, and what runs in it: prints the
# names of the zombies that it has.
INIT = """
import os, sys
reading, writing = os.pipe()
if os.fork() == 0:
    os.close(reading)
    os.execv(sys.executable, [sys.executable, "-c", sys.argv[1], *sys.argv[2:]])
os.close(writing)
while os.read(0, 1):
    pass
"""
RUNNER = """
import os, pathlib, subprocess, sys
def zombies():
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = p.read_text().rpartition(")")
        except OSError:  # it has ended meanwhile
            continue
        if rest.split()[0] == "Z" and rest.split()[1] == "1":
            found.append(name.split("(")[1])
    return found
def run(*args, n=1, **more):
    all = [subprocess.Popen([sys.argv[1], *args], env={**os.environ, **more},
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
           for _ in range(n)]
    print(*args, sorted({p.wait() for p in all}), zombies(), flush=True)
run("get", n=5, XDG_CONFIG_HOME="/nowhere")
run("get", n=20)
for _ in range(3):
    run("refresh")
run("restart", XDG_CONFIG_HOME="/nowhere")
"""


def test_no_zombie_is_left_to_a_pid_1_that_never_waits(auto, fake):  # noqa: F811
    if os.geteuid() or subprocess.run(["unshare", "-pf", "--mount-proc", "true"],
                                      check=False).returncode:
        pytest.skip("needs root, and a PID namespace with a /proc of its own")
    auto.configure(fake.profile(extra="use-refresh-token = no"))
    with subprocess.Popen(
            ["unshare", "-pf", "--mount-proc", "--kill-child", sys.executable, "-c", INIT, RUNNER,
             str(rig.BUILD / "kubetoken")], env=auto.environment, stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True) as container:
        try:
            lines = [container.stdout.readline() for _ in range(6)]
        finally:
            container.stdin.close()
            container.kill()
    assert lines[0] == "get [9] []\n"
    assert lines[1] == "get [0] []\n"
    assert lines[2:5] == ["refresh [0] []\n"] * 3
    # one for each life, and only at its end; what failed to start is nobody's
    assert lines[5] in ("restart [9] ['kubetokend']\n", "restart [9] []\n")


# ---- the place of the socket -------------------------------------------------------------------


def in_mounts(home, script, **environment):
    """Runs a get among mounts that the script makes; $S is the socket, $R the runtime directory."""
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs root and a mount namespace")
    return subprocess.run(
        ["unshare", "-m", "sh", "-ec", f"exec 9<{rig.BUILD}/kubetoken\n{script}\n"
         "exec /proc/self/fd/9 get"], text=True,  # what is mounted may cover the build
        env={**home.environment, "S": str(home.socket_path), "R": str(home.runtime),
             **environment}, capture_output=True, timeout=rig.PATIENCE)


def as_nobody(command, limit=None, **environment):
    user = pwd.getpwnam("nobody")

    def restrict():
        if limit is not None:
            resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin", **environment}, text=True,
                          user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/",
                          capture_output=True, timeout=rig.PATIENCE, preexec_fn=restrict)


def read_only(home):
    return in_mounts(home, 'mount -t tmpfs -o ro none "$R"')


def read_only_folder(home):
    """It was made before, and its lock cannot be."""
    return in_mounts(home, 'mount -t tmpfs none "$R"; mkdir -m 700 "$R/kubetoken"; '
                     'mount -o remount,ro "$R"')


def no_inodes(home):
    return in_mounts(home, 'mount -t tmpfs -o nr_inodes=1 none "$R"')


def no_inode_for_the_socket(home):
    return in_mounts(home, 'mount -t tmpfs -o nr_inodes=3 none "$R"; mkdir -m 700 "$R/kubetoken"; '
                     ': > "$S.lock"')


def dead_socket(home, script):
    folder = home.folder / "host"
    folder.mkdir(mode=0o700, exist_ok=True)
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as s:
        s.bind(str(folder / "socket"))
    home.socket_path.parent.mkdir(mode=0o700)
    return in_mounts(home, script, H=str(folder))


def mounted_socket(home):
    return dead_socket(home, ': > "$S"; mount --bind "$H/socket" "$S"')


def mounted_folder(home):
    return dead_socket(home, 'mount --bind "$H" "$R/kubetoken"; '
                       'mount -o remount,bind,ro "$R/kubetoken"')


def plain_file(home):
    home.socket_path.parent.mkdir(mode=0o700)
    home.socket_path.write_text("theirs")
    r = home.run("get")
    assert home.socket_path.read_text() == "theirs"
    return r


def plain_folder(home):
    (home.runtime / "kubetoken").write_text("theirs")
    return home.run("get")


def link_to_a_folder(home):
    (home.runtime / "kubetoken").symlink_to(home.folder)
    return home.run("get")


def datagram_socket(home):
    home.socket_path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(str(home.socket_path))
        return home.run("get")


def missing_folder(home):
    return home.run("get", env={"KUBETOKEN_SOCKET": f"{home.folder}/no/such/socket"})


def long_runtime_directory(home):
    deep = home.folder / ("d" * 100)
    deep.mkdir()
    return home.run("get", env={"XDG_RUNTIME_DIR": str(deep)})


def long_socket(home):
    return home.run("get", env={"KUBETOKEN_SOCKET": f"{home.folder}/{'s' * 100}"})


def others_daemon(home):
    """Root that meets a user's daemon, by sudo -E or in a container."""
    if os.geteuid():
        pytest.skip("needs root")
    home.socket_path.parent.mkdir(mode=0o777)
    home.socket_path.parent.chmod(0o777)
    for folder in home.socket_path.parents:
        if folder.stat().st_uid == 0 and folder != pathlib.Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o111)
    listen = ("import socket, sys; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); "
              "s.listen(); print(flush=True); s.accept()[0].recv(1)")
    user = pwd.getpwnam("nobody")
    with subprocess.Popen(["/usr/bin/python3", "-c", listen, home.socket_path], user=user.pw_uid,
                          group=user.pw_gid, extra_groups=[], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"\n"
            return home.run("get")
        finally:
            other.kill()


def others_socket(home):
    """In a container, say, with a socket that was mounted and another uid."""
    if os.geteuid():
        pytest.skip("needs root, to become somebody else")
    with programs() as folder, socket.socket(socket.AF_UNIX) as s:
        s.bind(str(folder / "socket"))
        (folder / "socket").chmod(0o600)
        s.listen()
        return as_nobody([folder / "kubetoken", "get"], KUBETOKEN_SOCKET=str(folder / "socket"))


def squatted(home):
    """Somebody else, or root, was there before."""
    if os.geteuid():
        pytest.skip("needs root")
    return in_mounts(home, "unset XDG_RUNTIME_DIR; mount -t tmpfs none /run; "
                     "mount -t tmpfs -o mode=1777 none /tmp; mkdir -m 777 /tmp/kubetoken-0; "
                     "chown 1 /tmp/kubetoken-0")


def plain_file_in_tmp(home):
    return in_mounts(home, "unset XDG_RUNTIME_DIR; mount -t tmpfs none /run; "
                     "mount -t tmpfs -o mode=1777 none /tmp; : > /tmp/kubetoken-0")


def others_parent(home):
    """As by su: XDG_RUNTIME_DIR is another user's."""
    if os.geteuid() == 0:
        os.chown(home.runtime, 1, 1)
        return home.run("get")
    return home.run("get", env={"XDG_RUNTIME_DIR": "/usr"})


def no_process(home):
    """At the limit of processes, which holds for all but root."""
    if os.geteuid():
        pytest.skip("needs root, to become somebody with no processes left")
    with programs() as folder:
        return as_nobody([folder / "kubetoken", "get"], limit=0,
                         KUBETOKEN_SOCKET=str(folder / "socket"))


@contextlib.contextmanager
def programs():
    """Where any user can run them."""
    import tempfile
    with tempfile.TemporaryDirectory(prefix="kubetoken-") as folder:
        os.chmod(folder, 0o755)
        for name in ("kubetoken", "kubetokend", "kubetoken-fetch"):
            shutil.copy(rig.BUILD / name, folder)
        yield pathlib.Path(folder)


def no_program(home):
    folder = home.folder / "alone"
    folder.mkdir()
    shutil.copy(rig.BUILD / "kubetoken", folder)
    return subprocess.run([folder / "kubetoken", "get"], capture_output=True, text=True,
                          env={**home.environment, "PATH": "/nowhere"}, timeout=rig.PATIENCE)


def logged_out(home):
    """XDG_RUNTIME_DIR is gone, and nobody starts a daemon."""
    if os.geteuid():
        pytest.skip("needs root")
    return in_mounts(home, "mount -t tmpfs none /run; mount -t tmpfs -o mode=1777 none /tmp",
                     XDG_RUNTIME_DIR="/run/user/0", KUBETOKEN_AUTOSTART="0")


CAUSES = [
    (read_only, "read-only", "KUBETOKEN_SOCKET"),
    (read_only_folder, "read-only", "KUBETOKEN_SOCKET"),
    (no_inodes, "no-room", "df -i"),
    (no_inode_for_the_socket, "no-room", "df -i"),
    (mounted_socket, "dead-socket", "mount the socket's folder"),
    (mounted_folder, "dead-socket", "mount the socket's folder"),
    (plain_file, "not-a-socket", "remove it"),
    (plain_folder, "not-a-socket", "remove it"),
    (link_to_a_folder, "not-a-socket", "remove it"),
    (datagram_socket, "not-a-socket", "remove it"),
    (missing_folder, "no-folder", "make the folder"),
    (long_runtime_directory, "long-path", "107 bytes"),
    (long_socket, "long-path", "107 bytes"),
    (others_daemon, "other-uid", "in a container run as that uid"),
    (others_socket, "other-uid", "in a container run as that uid"),
    (plain_file_in_tmp, "not-a-socket", "remove it"),
    (squatted, "squatted", "root remove it"),
    (others_parent, "foreign-socket", "su and sudo"),
    (no_process, "no-process", "ulimit -u"),
    (no_program, "no-program", "install kubetoken whole"),
    (logged_out, "logged-out", "loginctl enable-linger"),
]


@pytest.mark.parametrize("cause, code, remedy", CAUSES, ids=lambda x: getattr(x, "__name__", None))
def test_each_cause_has_its_own_sentence_and_remedy(auto, cause, code, remedy):  # noqa: F811
    sentence = kubetoken(auto, "explain", code).stdout.split("\n")[0].removeprefix(f"{code}: ")
    r = cause(auto)
    assert r.returncode == 3 and r.stdout == "" and r.stderr.count("\n") == 1, r.stderr
    assert r.stderr.startswith(f"kubetoken: {sentence}") and remedy in r.stderr, r.stderr
    assert not SYSTEMS.search(r.stderr)
    assert cause is others_parent or "su and sudo" not in r.stderr


def test_the_same_without_autostart(auto):  # noqa: F811
    """A file in the socket's place refuses a connection as a dead socket does."""
    auto.environment["KUBETOKEN_AUTOSTART"] = "0"
    r = plain_file(auto)
    assert r.returncode == 3 and "something else is in the socket's place" in r.stderr


@root
def test_a_runtime_directory_that_is_gone_is_as_none(installed, fake):  # noqa: F811
    """A shell that outlives the login: client and daemon agree on where the socket is then."""
    user = pwd.getpwnam("daemon")
    folder = pathlib.Path(f"/tmp/kubetoken-{user.pw_uid}")
    assert not folder.exists(), "left over; remove it"
    config = installed / "config" / "kubetoken"
    config.mkdir(parents=True)
    shutil.copy(fake.ca_file, config / "ca.pem")
    text = re.sub("^ca-file = .*$", "ca-file = ca.pem", fake.profile(), flags=re.M)
    (config / "kubetoken.conf").write_text(text)
    for path in (config / "kubetoken.conf", config / "ca.pem"):
        os.chown(path, user.pw_uid, user.pw_gid)
        path.chmod(0o600)
    environment = {"XDG_RUNTIME_DIR": f"/run/user/{user.pw_uid}",
                   "XDG_CONFIG_HOME": str(installed / "config"), "XDG_STATE_HOME": "/nowhere"}

    def run(*args, **more):
        return as_user("daemon", installed / "kubetoken", *args, **environment, **more)
    try:
        r = run("get", KUBETOKEN_AUTOSTART="0")
        assert r.returncode == 3 and "loginctl enable-linger" in r.stderr, r.stderr
        r = run("get")
        assert r.returncode == 0 and r.stderr == "", r.stderr
        assert (folder / "socket").is_socket()
        assert "loginctl enable-linger" in run("status").stdout
        assert json.loads(run("status", "--json").stdout)["loggedOut"] is True
        shutil.copy(rig.BUILD / "kubetoken-admin", installed)
        assert "loginctl enable-linger" in run("doctor").stdout
        assert run("stop").returncode == 0 and not (folder / "socket").exists()
    finally:
        end(folder / "socket")
        shutil.rmtree(folder, ignore_errors=True)
