"""A configuration that was changed and is not in force: what is taken by itself, and what is told
of the rest, wherever an answer would hide it."""
import itertools
import json
import os
import pathlib
import subprocess
import threading
import time

import pytest

import rig
from scripted import json_answer
from test_doctor import doctor

NOTICE = "the configuration has changed since: kubetoken reload"
BROKEN = "the configuration has changed since and has errors: kubetokend --check-config"
TOKEN = "/oauth/token"


@pytest.fixture
def scene(home, daemon, fake):
    """A daemon that has the profile p in force."""
    home.configure(fake.profile("p"))
    daemon.start()
    return home


def refuse(fake):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)


def changes(home):
    whole = json.loads(home.run("status", "--json").stdout)
    return whole["configurationInForce"], [(e["profile"], e["change"])
                                           for e in whole["configurationChanged"]]


def configure(home, text):
    """As if it had been written an hour ago."""
    home.configure(text)
    home.settle()


# ---- what is taken ------------------------------------------------------------------------------


def test_a_new_profile_is_served(scene, fake):
    configure(scene, fake.profile("p") + fake.profile("q"))
    r = scene.run("get", "q")
    assert (r.returncode, r.stderr) == (0, "")
    assert changes(scene)[1] == [] and len(scene.status()) == 2


def test_status_and_doctor_take_a_new_profile(scene, fake):
    configure(scene, "[defaults]\ndefault-profile = p\n" + fake.profile("p") + fake.profile("q"))
    assert [p["profile"] for p in scene.status()] == ["p", "q"]
    assert doctor(scene, "q").found() == []


def test_a_missing_configuration_is_served_once_it_is_there(home, daemon, fake):
    daemon.start()
    assert home.run("get").returncode == 9
    configure(home, fake.profile("p"))
    assert home.run("get").returncode == 0


def test_a_new_profile_is_taken_while_a_changed_one_waits(scene, fake):
    token = scene.run("get", "p").stdout
    configure(scene, fake.profile("p", user="other") + fake.profile("q"))
    assert scene.run("get", "q").returncode == 0
    assert changes(scene) == (False, [("p", "changed")])
    assert scene.run("get", "p").stdout == token and scene.status("p")["user"] != "other"
    assert scene.run("reload").returncode == 0
    assert changes(scene) == (True, [])
    assert scene.run("get", "p").stdout != token


def test_a_file_that_may_be_half_written_is_not_taken(scene, fake):
    names = (f"q{i}" for i in itertools.count())

    def attempt():
        """None where the machine took so long that the file had come of age."""
        name, soon = next(names), time.time() + 1
        scene.configure(fake.profile("p") + fake.profile(name))
        os.utime(scene.config / "kubetoken.conf", (soon, soon))
        result = scene.run("get", name), (name, "new") in changes(scene)[1]
        return (name, *result) if time.time() < soon + 1.5 else None
    name, r, told = rig.wait_until(attempt, "two answers in 2 s")
    assert r.returncode == 4 and r.stderr.endswith(f"; {NOTICE}\n") and told, r.stderr
    scene.settle()
    assert scene.run("get", name).returncode == 0


def test_it_is_taken_once_it_is_old_enough_though_it_changed_no_more(scene, fake):
    """The 2 s run out, whoever looked at it meanwhile."""
    scene.configure(fake.profile("p") + fake.profile("q"))
    rig.wait_until(lambda: scene.run("get", "q").returncode == 0, "a file of 2 s")


def test_a_file_of_the_far_future_is_taken(scene, fake):
    """It would never be old enough."""
    scene.configure(fake.profile("p") + fake.profile("q"))
    os.utime(scene.config / "kubetoken.conf", (2**33, 2**33))
    assert scene.run("get", "q").returncode == 0


def test_a_file_that_replaces_the_old_one_is_seen(scene, fake):
    """As most editors save."""
    scene.write("new", fake.profile("p") + fake.profile("q"))
    os.utime(scene.config / "new", (1, 1))
    os.replace(scene.config / "new", scene.config / "kubetoken.conf")
    assert scene.run("get", "q").returncode == 0


# ---- what waits, and is told --------------------------------------------------------------------


@pytest.mark.parametrize("old, new", [
    ("username = someone", "username = someone-else"), ("canary-pw", "canary-pw2"),
    ("client-id = ", "client-id = x"), ("issuer = ", "issuer = https://127.0.0.1/"),
    ("[profile p]", "[profile p]\nrefresh-before = 40%"),
    ("[profile p]", "[profile p]\nproxy = none"), ("[profile p]", "[profile p]\nkeep-fresh = 1h")])
def test_what_changed_in_a_profile_waits_for_reload(scene, fake, old, new):
    text = fake.profile("p")
    assert old in text
    refuse(fake)
    configure(scene, text.replace(old, new))
    r = scene.run("get")
    assert r.returncode == 6 and r.stderr.endswith(f"; {NOTICE}\n") and r.stderr.count("\n") == 1
    status = rig.unwrapped(scene.run("status").stdout)
    assert f"warning: {NOTICE} (not in force: p changed)" in status
    assert changes(scene) == (False, [("p", "changed")])
    assert scene.run("reload").returncode == 0
    assert changes(scene) == (True, []) and NOTICE not in rig.unwrapped(scene.run("status").stdout)


@pytest.mark.parametrize("args, code", [
    (("get", "p"), 6), (("refresh", "p"), 5), (("login", "p"), 6), (("get", "none"), 4),
    (("get",), 4), (("status", "none"), 4), (("inspect", "p"), 6), (("inspect", "none"), 4)])
def test_each_error_says_it(home, daemon, fake, args, code):
    home.configure(fake.profile("p", password="") + fake.profile("q"))
    daemon.start()
    refuse(fake)
    assert home.run("login", "p", input="pw\n").returncode == 6
    configure(home, fake.profile("p", password="", extra="timeout = 10s") + fake.profile("q"))
    r = home.run(*args, input="pw\n")
    assert r.returncode == code and r.stderr.count("\n") == 1
    assert r.stderr.endswith(f"; {NOTICE}\n"), r.stderr


def test_a_refused_password_that_was_corrected_in_the_file_goes_after_a_reload(scene, fake):
    refuse(fake)
    assert scene.run("get").returncode == 6
    fake.answers.clear()
    sent = len(fake.grants())
    configure(scene, fake.profile("p", password="password = canary-corrected"))
    r = scene.run("get")
    assert r.returncode == 6 and r.stderr.endswith(f"; {NOTICE}\n") and len(fake.grants()) == sent
    assert scene.run("reload").returncode == 0
    assert scene.run("get").returncode == 0 and b"canary-corrected" in fake.grants()[-1].body


def test_who_waited_for_the_answer_is_told_too(scene, fake):
    """The file changes while the request is under way."""
    asked, go = threading.Event(), threading.Event()

    def answer(_):
        asked.set()
        go.wait(rig.PATIENCE)
        return json_answer({"error": "invalid_grant"}, 403)
    fake.answers[TOKEN] = answer
    with subprocess.Popen([rig.BUILD / "kubetoken", "get"], env=scene.environment, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as client:
        assert asked.wait(rig.PATIENCE)
        configure(scene, fake.profile("p", extra="timeout = 10s"))
        go.set()
        _, stderr = client.communicate(timeout=rig.PATIENCE)
    assert stderr.endswith(f"; {NOTICE}\n") and stderr.count("\n") == 1


def test_a_profile_that_is_gone_waits_for_reload(scene, fake):
    configure(scene, fake.profile("q"))
    assert scene.run("get", "q").returncode == 0
    assert changes(scene) == (False, [("p", "gone")])
    assert "(not in force: p gone, default-profile)" in rig.unwrapped(scene.run("status").stdout)
    assert scene.run("get", "p").returncode == 0
    assert scene.run("reload").stdout == "1 profile\n"
    assert scene.run("get", "p").returncode == 4


def test_a_file_that_is_gone_leaves_what_stood_in_it_in_force(scene, fake):
    (scene.config / "kubetoken.conf").unlink()
    assert scene.run("get", "p").returncode == 0
    r = scene.run("get", "q")
    assert r.returncode == 4
    assert r.stderr.endswith("; kubetoken.conf is gone since; what stood in it stays in force\n")
    assert "it is missing" in rig.unwrapped(scene.run("status").stdout)


def test_with_errors_in_it_the_old_one_stays_in_force_and_the_errors_are_said(scene, fake):
    refuse(fake)
    configure(scene, fake.profile("p", extra="colour = blue") + fake.profile("q"))
    r = scene.run("get", "p")
    assert r.returncode == 6 and r.stderr.endswith(f"; {BROKEN}\n") and r.stderr.count("\n") == 1
    assert scene.run("get", "q").returncode == 4
    status = scene.run("status").stdout
    assert "the configuration on disk is not in force:" in status and '"colour"' in status
    whole = json.loads(scene.run("status", "--json").stdout)
    assert not whole["configurationInForce"]
    [error] = whole["configurationErrors"]
    assert error["code"] == "config" and "colour" in error["detail"]
    configure(scene, fake.profile("p"))
    assert changes(scene) == (True, [])


def test_nothing_is_said_of_a_file_that_was_only_touched(scene, fake):
    refuse(fake)
    (scene.config / "kubetoken.conf").touch()
    r = scene.run("get")
    assert r.returncode == 6 and "changed" not in r.stderr
    assert changes(scene) == (True, []) and doctor(scene).found()[0][0] != "daemon"
    home_text = (scene.config / "kubetoken.conf").read_text()
    configure(scene, "# a remark\n\n" + home_text)
    assert "changed" not in scene.run("get").stderr and changes(scene) == (True, [])


def test_a_change_that_is_taken_back_is_no_more_told(scene, fake):
    configure(scene, fake.profile("p", user="other"))
    assert changes(scene)[1] == [("p", "changed")]
    configure(scene, fake.profile("p"))
    assert changes(scene) == (True, [])


# ---- the default --------------------------------------------------------------------------------


def test_the_only_profile_stays_the_default_when_another_one_comes(scene, fake):
    """kubectl, which names none, would lose its token by somebody's `status`."""
    token = scene.run("get").stdout
    configure(scene, fake.profile("p") + fake.profile("q"))
    assert len(scene.status()) == 2 and scene.run("get").stdout == token
    status = rig.unwrapped(scene.run("status").stdout)
    assert f"warning: {NOTICE} (not in force: default-profile)" in status
    assert scene.run("reload").returncode == 0
    assert scene.run("get").returncode == 4


def test_another_default_waits_for_reload(home, daemon, fake):
    both = fake.profile("p") + fake.profile("q")
    home.configure(both)
    daemon.start()
    configure(home, "[defaults]\ndefault-profile = q\n" + both)
    r = home.run("get")
    assert r.returncode == 4 and r.stderr.endswith(f"; {NOTICE}\n")
    whole = json.loads(home.run("status", "--json").stdout)
    assert whole["defaultProfileChanged"] and not whole["configurationInForce"]
    assert home.run("reload").returncode == 0
    assert home.run("get").returncode == 0


# ---- doctor, and what it costs ------------------------------------------------------------------


def test_doctor_compares_the_daemon_with_the_disk(scene, fake):
    configure(scene, fake.profile("p", user="other"))
    report = doctor(scene, "p")
    assert report.found()[0] == ("daemon", "warning", "config-changed")
    assert report.of("daemon")[0]["detail"] == "kubetoken reload (not in force: p changed)"
    text = rig.unwrapped(scene.run("doctor", "p").stdout)
    assert f"{NOTICE} (not in force: p changed)\n" in text
    assert scene.run("reload").returncode == 0
    assert "config-changed" not in [f[2] for f in doctor(scene, "p").found()]


def test_doctor_says_that_the_changed_file_has_errors(scene, fake):
    configure(scene, fake.profile("p", extra="colour = blue"))
    found = doctor(scene, "p").found()
    assert found[0] == ("configuration", "error", "config")
    assert ("daemon", "warning", "config") in found


def opened(trace):
    return [line for line in trace.read_text().splitlines() if "kubetoken.conf" in line]


def test_the_file_is_read_once_a_change_and_not_for_a_token(scene, fake, daemon, tmp_path):
    """Each get of a token that is there has no more system calls than before."""
    trace = tmp_path / "trace"
    assert scene.run("get", "p").returncode == 0
    names = [f"n{i}" for i in range(2000)]
    configure(scene, fake.profile("p", user="other") + "".join(fake.profile(n) for n in names))
    strace = subprocess.Popen(["strace", "-f", "-qq", "-e", "trace=%file", "-o", trace,
                               "-p", str(daemon.process.pid)], stderr=subprocess.DEVNULL)
    try:
        rig.wait_until(lambda: "TracerPid:\t0" not in pathlib.Path(
            f"/proc/{daemon.process.pid}/status").read_text(), "strace")
        assert scene.run("get", "p").returncode == 0
        assert opened(trace) == []
        for _ in range(3):
            assert scene.run("get", "none").returncode == 4
    finally:
        strace.terminate()
        strace.wait(rig.PATIENCE)
    reads = [x for x in opened(trace)
             if "openat(" in x and "O_PATH" not in x and "/etc/" not in x]
    assert len(reads) == 1 and len(scene.status()) == 2001
