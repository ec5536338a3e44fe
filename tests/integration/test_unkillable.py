"""What the daemon has started and SIGKILL does not end holds up nobody: it is named until it ends
(P10, P14). It is played by a process that a debugger holds, and, by root, by one that reads a file
of a mount that does not answer."""
import json
import os
import pathlib
import re

import pytest

import hung_mount
import rig
from rig import unwrapped, wait_until
from test_faults import bad_fetcher  # noqa: F401, pylint: disable=unused-import

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
