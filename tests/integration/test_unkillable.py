"""What the daemon, or the client, has started and SIGKILL does not end holds up nobody: it is named
(P10, P14), by the daemon until it ends. It is played by a process that a debugger holds, and, by
root, by one that reads a file of a mount that does not answer."""
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess

import pytest

import hung_mount
import rig
from rig import unwrapped, wait_until
from test_faults import (bad_fetcher,  # noqa: F401, pylint: disable=unused-import
                         build_bad_fetcher)

FETCHER = "kubetoken-fetch"


def stuck(home):
    r = home.run("status", "--json")
    return json.loads(r.stdout)["stuckProcesses"]


def wait_for_stuck(home, n=1):
    return wait_until(lambda: len(stuck(home)) >= n and stuck(home), "a process that is named")


def state_of(pid):
    """R, S, D, Z, t, or "": it is gone."""
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


@pytest.fixture
def held(home, fake, bad_fetcher):  # noqa: F811, pylint: disable=redefined-outer-name
    """A daemon with a token for `well`, and the file whose word "held" has each fetcher be held."""
    daemon, mode = bad_fetcher
    slow = "timeout = 1s"
    home.configure(fake.profile("well") + fake.profile("p", user="p", extra=slow) + fake.profile(
        "by-command", user="c", password=f"password-command = {mode.parent}/kubetoken-fetch"))
    daemon.start()
    assert home.run("get", "well").returncode == 0
    mode.write_text("held")
    yield daemon, mode
    mode.write_text("exit")


def test_a_fetcher_that_does_not_end_holds_up_nobody_and_is_named(home, held):
    daemon, mode = held
    r = home.run("get", "p", "--timeout", "2s")
    assert r.returncode == 7 and "starting kubetoken-fetch" in r.stderr
    assert home.run("get", "well").returncode == 0  # it is in the grip of the debugger by now
    one = wait_for_stuck(home)[0]
    assert (one["program"], one["profile"]) == (FETCHER, "p")
    assert rig.seconds(one["killedTimestamp"])
    assert state_of(one["pid"]) == "Z"  # which its parent cannot collect
    text = unwrapped(home.run("status").stdout)
    assert re.search(
        r"warning: a process was killed and does not end: "
        rf"process {one['pid']} \({FETCHER} of p\), \d+ s ago; a disk, a mount or a debugger "
        r"holds it: see what it has open; once that lets go it ends by itself\n", text), text
    assert f"process {one['pid']} ({FETCHER} of p), 2 s ago\n" in daemon.log.read_text()
    report = json.loads(home.run("doctor", "well", "--json", "--timeout", "2s").stdout)
    assert any(link.get("code") == "stuck" and f"process {one['pid']} " in link["detail"]
               for link in report["links"]), report
    daemon.reload()
    assert home.run("logout", "well").returncode == 0
    mode.write_text("good")
    wait_until(lambda: one["pid"] not in [s["pid"] for s in stuck(home)], "its end")
    assert f"process {one['pid']} ({FETCHER}) has ended at last\n" in daemon.log.read_text()
    assert state_of(one["pid"]) == ""
    assert home.run("refresh", "p").returncode == 0


def test_neither_logout_nor_reload_nor_stop_waits_for_it(home, fake, held):
    daemon, _ = held
    before = fake.profile("well")
    home.run("get", "p", "--timeout", "1s")  # its fetcher lives
    assert home.run("logout", "p").returncode == 0
    home.run("get", "by-command", "--timeout", "1s")
    assert home.run("logout", "by-command").returncode == 0
    programs = {s["program"]: s["profile"] for s in wait_for_stuck(home, 2)}
    assert programs == {FETCHER: "p", "credential command": "by-command"}
    home.run("get", "p", "--timeout", "1s")
    home.configure(before)
    daemon.reload()
    assert home.run("get", "well").returncode == 0
    assert daemon.stop() == 0
    assert daemon.log.read_text().count("it is left behind") == 3


# Each of another provider, of which two are asked at once.
EIGHT = "".join(f"[profile q{i}]\nissuer = https://127.0.0.1:1/{i}\nclient-id = c\nusername = u\n"
                "password = canary-pw\ntimeout = 1s\n" for i in range(8))


def ask_for_eight(home):
    for i in range(8):
        with rig.connect(home) as s:
            s.sendall(f"get token q{i} tell once\n".encode())
            assert s.recv(1)  # the work goes on when a client leaves
    wait_for_stuck(home, 8)


def test_after_a_certain_number_no_other_is_started(home, held):
    """What holds them would hold it too. Those with a token are served."""
    daemon, mode = held
    home.configure((home.config / "kubetoken.conf").read_text() + EIGHT)
    daemon.reload()
    ask_for_eight(home)
    for profile in ("p", "by-command"):
        r = home.run("get", profile)
        assert r.returncode == 1 and r.stderr.startswith(
            f"kubetoken: {profile}: a process was killed and does not end: 8 of them, so that no "
            "other is started; "), r.stderr
    assert home.run("get", "well").returncode == 0 and len(stuck(home)) == 8
    mode.write_text("good")
    wait_until(lambda: not stuck(home), "the end of all")
    assert home.run("refresh", "p").returncode == 0


@pytest.fixture
def mounted(home, daemon, fake, tmp_path):
    """A mount that answers until it is told to hang, with the ca-file of profile `there`."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("a mount that does not answer takes root and /dev/fuse")
    try:
        mount = hung_mount.Mount(tmp_path / "mount", "ca.pem", fake.ca_file.read_bytes())
    except OSError as e:
        pytest.skip(f"no FUSE: {e}")
    there = fake.profile("there", user="t", extra="timeout = 1s").replace(
        str(fake.ca_file), f"{mount.folder}/ca.pem")
    home.configure(fake.profile("well") + there)
    try:
        daemon.start()
        for profile in ("well", "there"):
            assert home.run("get", profile).returncode == 0
        mount.hung.set()
        r = home.run("refresh", "there", "--timeout", "2s")
        assert mount.waited_for.is_set() and r.returncode == 7, r.stderr
        yield mount
    finally:
        mount.close()


def test_a_ca_file_on_a_mount_that_does_not_answer_holds_up_nobody(home, daemon, mounted):
    assert home.run("get", "well").returncode == 0
    assert home.run("refresh", "well").returncode == 0
    one = next(s for s in wait_for_stuck(home) if s["profile"] == "there")
    assert state_of(one["pid"]) == "D"
    assert home.run("logout", "there").returncode == 0
    daemon.reload()
    assert home.run("get", "well").returncode == 0
    mounted.let_go()
    wait_until(lambda: not stuck(home), "its end")
    assert state_of(one["pid"]) == ""


def test_nor_does_the_daemon_wait_for_it_at_its_own_end(home, daemon, mounted):
    del mounted
    wait_for_stuck(home)
    assert daemon.stop() == 0
    assert "it is left behind" in daemon.log.read_text()


# ---- what the client has started ---------------------------------------------------------------


@pytest.fixture
def own(home, tmp_path):
    """A folder with our programs where kubetokend, or another program, may be held by a debugger:
    own(name, script) puts such a one there, for which `held` in its script is the end."""
    _, mode = build_bad_fetcher(tmp_path / "own")
    (mode.parent / "kubetokend").unlink()
    for program in ("kubetoken", "kubetoken-admin"):
        shutil.copy(rig.BUILD / program, mode.parent)
    mode.write_text("held")
    home.environment |= {"PATH": f"{mode.parent}:{home.environment['PATH']}",
                         "KUBETOKEN_AUTOSTART": "1"}

    def put(name, script):
        path = mode.parent / name
        path.write_text(f"#!/bin/sh\necho $$ >> {mode.parent}/pids\n{script}\n".replace(
            "held", f"exec {mode.parent}/kubetoken-fetch"))
        path.chmod(0o755)

    put.run = lambda *args, **more: subprocess.run(
        [mode.parent / "kubetoken", *args], env=home.environment, capture_output=True, text=True,
        timeout=rig.PATIENCE, **{"stdin": subprocess.DEVNULL, **more})
    put.pids = lambda: [int(pid) for pid in (mode.parent / "pids").read_text().split()]
    yield put
    mode.write_text("exit")


def named(program, pid):
    return (f"kubetoken: a process was killed and does not end: process {pid}, {program}; a disk, "
            "a mount or a debugger holds it: see what it has open; once that lets go it ends by "
            "itself\n")


def test_a_systemctl_that_does_not_end_is_named(home, own):
    """Where a daemon that systemd starts says nothing."""
    (home.runtime / "systemd").mkdir()
    (home.runtime / "systemd" / "private").touch()
    (home.runtime / "kubetoken").mkdir(mode=0o700)
    own("systemctl", "held")
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(home.socket_path))
        silent.listen()
        r = own.run("get", "p", "--timeout", "3s")
    assert r.returncode == 3 and "does not answer in time" in r.stderr, r.stderr
    assert r.stderr.startswith(named("systemctl", own.pids()[0]))


def daemon_that_is_held(own, says):
    """Where it is to serve: it says that of its start."""
    own("kubetokend", f'case "$*" in *--ready-fd*) echo "{says}" >&3; held ;; esac\n'
                      f'exec {rig.BUILD}/kubetokend "$@"')


def test_a_daemon_that_does_not_end_is_named(home, own):
    """One that says that it cannot start; one of doctor's own, and one of a trial."""
    home.configure("[profile p]\nissuer = https://127.0.0.1:1/\nclient-id = c\nusername = u\n")
    daemon_that_is_held(own, "config x")
    r = own.run("get", "p")
    assert r.returncode == 9 and r.stderr.startswith(named("kubetokend", own.pids()[-1])), r.stderr
    assert r.stderr.endswith("configuration has errors: x; correct it, then: kubetoken reload\n")

    daemon_that_is_held(own, "ready")
    home.environment["KUBETOKEN_AUTOSTART"] = "0"
    r = own.run("doctor", "p", "--timeout", "2s")
    assert r.stderr == named("kubetokend", own.pids()[-1])


def test_a_daemon_of_a_trial_that_does_not_end_is_named(home, fake, own):
    daemon_that_is_held(own, "ready")
    r = own.run("init", "work", "--yes", "--issuer", fake.issuer, "--ca-file", str(fake.ca_file),
                "--client-id", "client", "--username", "someone", "--no-kubeconfig",
                stdin=None, input="canary-pw\n")
    assert r.returncode == 3 and named("kubetokend", own.pids()[-1]) in r.stderr, r.stderr
    assert not home.config.exists() or not list(home.config.iterdir())
