"""What systemd is told, by a notify socket that the test reads: STATUS=, the watchdog, reloads."""
import contextlib
import json
import re
import socket
import subprocess
import threading
import time

import pytest

import rig
from rig import wait_until
from scripted import json_answer

TOKEN = "/oauth/token"
UNIT = 300 * 1000000  # of WatchdogSec=
AT_WORK = "WATCHDOG_USEC=30000000"
AT_REST = f"WATCHDOG_USEC={UNIT}"


def refuse(fake):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)


def told(daemon):
    """What it has been told by now and nobody has read."""
    seen = len(daemon.messages)
    daemon.notify.settimeout(0)
    with contextlib.suppress(BlockingIOError):
        daemon.wait_for("what nobody says")
    daemon.notify.settimeout(rig.PATIENCE)
    return daemon.messages[seen:]


def status_of(message):
    return next((line[len("STATUS="):] for line in message.split("\n")
                 if line.startswith("STATUS=")), None)


def wait_for_status(daemon, text):
    return status_of(daemon.wait_for(f"STATUS={text}"))


# ---- STATUS= -----------------------------------------------------------------------------------

def test_how_all_stands_comes_with_ready(home, daemon, fake):
    home.configure(fake.profile("p") + fake.profile("q"))
    daemon.start()
    assert daemon.messages[-1] == "READY=1\nSTATUS=Serving 2 profiles"


def test_it_says_that_a_login_is_needed_and_when_it_is_not_any_more(home, daemon, fake):
    home.configure(fake.profile(password=""))
    daemon.start()
    assert status_of(daemon.messages[-1]) == "p: no password is known; say kubetoken login p"
    assert home.run("login", input="canary-pw\n").returncode == 0
    wait_for_status(daemon, "Serving 1 profile")
    assert home.run("logout").returncode == 0
    wait_for_status(daemon, "p: no password is known")
    assert "canary" not in "".join(daemon.messages)


def test_it_says_what_was_refused_until_that_is_mended(home, daemon, fake):
    refuse(fake)
    home.write("pw", "canary-pw\n")
    home.configure(fake.profile(password="password-file = pw"))
    daemon.start()
    assert home.run("get").returncode == 6
    said = wait_for_status(daemon, "p: the provider refused the user name or password: ")
    assert said.endswith("invalid_grant; it is not tried again"), said
    fake.answers.clear()
    home.write("pw", "canary-other\n")
    wait_for_status(daemon, "Serving 1 profile")


def test_it_says_what_is_waited_for(home, daemon, fake):
    fake.answers[TOKEN] = 503, {}, b""
    home.configure(fake.profile("p") + fake.profile("q"))
    daemon.start()
    assert home.run("get", "q", "--timeout", "1s").returncode == 7
    said = wait_for_status(daemon, "q: the provider has a fault: ")
    assert said.endswith("; it is tried again"), said
    fake.answers.clear()
    assert home.run("refresh", "q").returncode == 0
    wait_for_status(daemon, "Serving 2 profiles")


def test_of_several_in_trouble_the_worst_come_first(home, daemon, fake):
    names = [f"p{i}" for i in range(7)]
    home.configure(fake.profile("typed", password="") + fake.profile("good")
                   + "".join(fake.profile(n, user=n) for n in names))
    daemon.start()
    assert home.run("get", "good").returncode == 0
    refuse(fake)
    for name in names:
        assert home.run("get", name).returncode == 6
    said = wait_for_status(daemon, "Serving 9 profiles; refused: p0, p1, p2, p3, p4 and 2 more")
    assert said.endswith(" (the provider refused the user name or password)"
                         "; login needed: typed (no password is known)"), said


def test_it_names_file_and_line_of_a_broken_configuration(home, daemon, fake):
    home.configure("[profile p]\nnonsense = 1\nmore = 2\n")
    daemon.start()
    said = status_of(daemon.messages[-1])
    assert said.startswith(f"{home.config}/kubetoken.conf:2: ") and "nonsense" in said
    assert "more error" in said and "in force" not in said
    home.configure(fake.profile())
    home.settle()
    assert home.run("get").returncode == 0
    wait_for_status(daemon, "Serving 1 profile")
    home.configure("[profile p]\nnonsense = 1\n")
    daemon.reload()
    said = status_of(daemon.messages[-1])
    assert f"{home.config}/kubetoken.conf:2: " in said
    assert said.endswith("; the former configuration stays in force")


def test_it_says_where_the_configuration_is_missing(home, daemon):
    daemon.start()
    assert status_of(daemon.messages[-1]) == (f"there is no configuration yet: "
                                              f"{home.config}/kubetoken.conf")


@pytest.mark.parametrize("shift", ["", "x"])
def test_what_is_too_long_is_cut_between_characters(home, daemon, shift):
    """systemd drops a status that is no UTF-8."""
    folder = home.folder / f"{shift}a" / "/".join(["\u00e4" * 100] * 6)
    home.environment["XDG_CONFIG_HOME"] = str(folder)
    daemon.start()
    said = status_of(daemon.messages[-1]).encode()
    assert 1020 < len(said) < 1024 and said.endswith("\u00e4".encode())


def test_many_that_fail_at_once_are_told_once_a_second_at_most(home, daemon, fake):
    fake.refuse()
    names = [f"p{i:03}" for i in range(60)]
    home.configure("".join(fake.profile(n, extra="start = with-daemon") for n in names))
    began = time.monotonic()
    daemon.start()
    wait_for_status(daemon, "Serving 60 profiles; waiting: ")
    wait_until(lambda: told(daemon) is not None and all("error" in p for p in home.status()),
               "a failure of each")
    sent = [m for m in [*daemon.messages, *told(daemon)] if status_of(m)]
    assert len(sent) <= time.monotonic() - began + 2, sent
    assert all(len(m) < 1100 for m in sent)


def test_what_has_not_changed_is_not_told_again(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    for _ in range(3):
        assert home.run("refresh").returncode == 0
    daemon.reload()
    assert [m for m in daemon.messages if status_of(m)] == ["READY=1\nSTATUS=Serving 1 profile"]


def fill(daemon):
    """What is told now finds no room. Returns what filled it."""
    n = 0
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s, \
            contextlib.suppress(BlockingIOError):
        s.setblocking(False)
        while True:
            s.sendto(b"X", daemon.notify.getsockname())
            n += 1
    assert n > 0


def test_a_systemd_that_does_not_listen_is_not_waited_for(home, daemon, fake):
    """Nor is what it did not hear lost."""
    fake.answers[TOKEN] = 503, {}, b""
    home.environment["WATCHDOG_USEC"] = str(UNIT)
    home.configure(fake.profile())
    daemon.start()
    fill(daemon)
    assert home.run("get", "--timeout", "1s").returncode == 7
    time.sleep(1.2)  # the pause between two looks at how all stands: it was in vain
    assert home.run("status").returncode == 0
    told(daemon)
    wait_for_status(daemon, "p: the provider has a fault")


def test_what_was_not_read_yet_is_not_followed_by_more(home, daemon, fake):
    """The queue is short, and what systemd is to keep for us needs it too."""
    pause = 1.2  # between two looks at how all stands
    home.configure(fake.profile())
    daemon.start()
    for _ in range(2):
        fake.answers[TOKEN] = 503, {}, b""
        assert home.run("refresh", "--timeout", "1s").returncode == 7
        time.sleep(pause)
        fake.answers.clear()
        assert home.run("refresh").returncode == 0
        time.sleep(pause)
    message, = told(daemon)
    assert status_of(message).startswith("p: the provider has a fault")
    wait_for_status(daemon, "Serving 1 profile")


def test_a_start_that_fails_says_why(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    daemon.listener.close()  # only the daemon has it now
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(home.folder / "other"))
        other.settimeout(rig.PATIENCE)
        r = subprocess.run([rig.BUILD / "kubetokend"], capture_output=True, text=True,
                           env={**home.environment, "NOTIFY_SOCKET": str(home.folder / "other")},
                           timeout=rig.PATIENCE)
        assert r.returncode == 1
        while "STOPPING=1" not in (message := other.recv(8192).decode()):
            assert "READY=1" not in message
    assert status_of(message) == ("a kubetokend is running already: a kubetokend "
                                  f"serves {home.socket_path} already")


# ---- the watchdog ------------------------------------------------------------------------------

@pytest.fixture
def watched(home, daemon, fake):
    home.environment["WATCHDOG_USEC"] = str(UNIT)
    home.configure(fake.profile())
    return daemon.start()


def periods(messages):
    return [line for m in messages for line in m.split("\n") if line.startswith("WATCHDOG_USEC=")]


def test_it_is_short_while_a_request_is_under_way(home, watched, fake):
    going_on = threading.Event()

    def answer(_):
        going_on.wait(rig.PATIENCE)
        return json_answer(fake.token())
    fake.answers[TOKEN] = answer
    with subprocess.Popen([rig.BUILD / "kubetoken", "get"], env=home.environment,
                          stdout=subprocess.DEVNULL) as client:
        message = watched.wait_for(AT_WORK)
        assert "WATCHDOG=1" in message.split("\n"), "the new time begins now"
        wait_until(fake.grants, "the request")
        assert periods(told(watched)) == []
        going_on.set()
        assert client.wait(rig.PATIENCE) == 0
    assert "WATCHDOG=1" in watched.wait_for(AT_REST).split("\n")


def test_a_get_that_is_answered_at_once_changes_nothing(home, watched):
    assert home.run("get").returncode == 0
    watched.wait_for(AT_REST)
    for _ in range(5):
        assert home.run("get").returncode == 0
    assert rig.ask(home, b"get token p\n").startswith(b"ok ")
    assert told(watched) == []


def test_several_requests_that_overlap_are_one_time_of_work(home, watched, fake):
    going_on = threading.Event()

    def answer(_):
        going_on.wait(rig.PATIENCE)
        return json_answer(fake.token())
    fake.answers[TOKEN] = answer
    clients = [subprocess.Popen([rig.BUILD / "kubetoken", "get"], env=home.environment,
                                stdout=subprocess.DEVNULL) for _ in range(5)]
    wait_until(fake.grants, "the request")
    with rig.connect(home) as gone:  # one that does not wait for the end
        gone.sendall(b"get token p once\n")
    going_on.set()
    assert [c.wait(rig.PATIENCE) for c in clients] == [0] * 5
    watched.wait_for(AT_REST)
    assert periods(watched.messages) == [AT_WORK, AT_REST]


def test_a_refresh_token_that_gives_way_to_the_password_is_one_time_of_work(home, daemon, fake):
    """Also where nobody waits."""
    home.environment["WATCHDOG_USEC"] = str(UNIT)
    home.configure(fake.profile(extra="use-refresh-token = yes"))
    fake.members["refresh_token"] = "canary-refresh"
    daemon.start()
    assert home.run("get").returncode == 0
    daemon.wait_for(AT_REST)
    seen = len(daemon.messages)
    left = threading.Event()

    def answer(request):
        if request.form["grant_type"] == "refresh_token":
            left.wait(rig.PATIENCE)
            return json_answer({"error": "invalid_grant"}, 400)
        return json_answer(fake.token())
    fake.answers[TOKEN] = answer
    with rig.connect(home) as gone:
        gone.sendall(b"refresh text p once\n")
        wait_until(lambda: len(fake.grants()) == 2, "the request")
    left.set()
    wait_until(lambda: len(fake.grants()) == 3 and home.status("p")["state"] == "idle", "the end")
    daemon.wait_for(AT_REST)
    told(daemon)
    assert periods(daemon.messages[seen:]) == [AT_WORK, AT_REST]
    assert [r.form["grant_type"] for r in fake.grants()][1:] == ["refresh_token", "password"]


def test_an_inspection_is_work_too(home, watched, fake):
    assert home.run("inspect", "-", input=fake.token()["id_token"]).stdout
    watched.wait_for(AT_REST)
    assert periods(watched.messages) == [AT_WORK, AT_REST]


def test_it_is_never_longer_than_the_unit_says(home, daemon, fake):
    home.environment["WATCHDOG_USEC"] = "20000000"
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0
    assert home.run("refresh").returncode == 0
    assert periods([*daemon.messages, *told(daemon)]) == []


def test_without_a_watchdog_nothing_of_it_is_said(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0
    assert not [m for m in [*daemon.messages, *told(daemon)] if "WATCHDOG" in m]


def test_it_is_told_of_life_before_its_time_is_up(home, daemon, fake):
    home.environment["WATCHDOG_USEC"] = str(int(rig.PATIENCE / 15 * 1000000))
    home.configure(fake.profile())
    daemon.start()
    for _ in range(3):
        assert daemon.wait_for("WATCHDOG=1") == "WATCHDOG=1"


# ---- reloads -----------------------------------------------------------------------------------

def monotonic(message):
    line, = [x for x in message.split("\n") if x.startswith("MONOTONIC_USEC=")]
    return int(line.split("=")[1]) / 1000000


def test_a_reload_by_the_socket_is_told_as_one_by_the_signal_is(home, daemon, fake):
    """What ExecReload= runs has ended when systemd has heard that it is over."""
    home.configure(fake.profile())
    daemon.start()
    before = time.monotonic()
    assert home.run("reload").returncode == 0
    begin, end = told(daemon)[-2:]
    assert begin.startswith("RELOADING=1\n") and end == "READY=1"
    assert before - 0.001 <= monotonic(begin) <= time.monotonic()
    home.configure(fake.profile() + "nonsense = 1\n")
    assert home.run("reload").returncode == 9
    begin, end = told(daemon)[-2:]
    assert begin.startswith("RELOADING=1\n") and end.startswith("READY=1\nSTATUS=")
    assert json.loads(home.run("status", "--json").stdout)["configurationInForce"] is False


def test_what_the_unit_runs_for_a_reload_fails_where_the_file_is_broken(home, daemon, fake):
    unit = (rig.TOP / "systemd" / "kubetoken.service.in").read_text(encoding="utf-8")
    line, = re.findall("^ExecReload=(.*)$", unit, re.M)
    command = line.replace("@BINDIR@", str(rig.BUILD)).split()
    home.configure(fake.profile())
    daemon.start()

    def reload():
        return subprocess.run(command, env=home.environment, capture_output=True, text=True,
                              timeout=rig.PATIENCE)
    assert reload().returncode == 0
    home.configure(fake.profile() + "nonsense = 1\n")
    r = reload()
    assert r.returncode == 9 and "nonsense" in r.stderr
    home.configure(fake.profile())
    assert reload().returncode == 0
