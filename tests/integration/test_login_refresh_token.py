"""`login --refresh-token`: a refresh token that another program got is the first credential."""
import os
import pty
import signal
import threading

import pytest

import rig
from scripted import json_answer


class Rotating:
    """A provider that takes one refresh token, "canary-r0", and gives the next; each once."""

    def __init__(self, fake):
        self.fake, self.good, self.spent = fake, "canary-r0", []
        self.password = "canary-pw"
        self.entered, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()
        fake.answers["/oauth/token"] = self.answer

    def answer(self, request):
        self.entered.set()
        self.go_on.wait(rig.PATIENCE)
        given = request.form.get("refresh_token")
        if given is None:
            if request.form["password"] != self.password:
                return json_answer({"error": "invalid_grant", "error_description": "no"}, 403)
            return json_answer(self.fake.token())
        assert given not in self.spent, "it was sent twice"
        self.spent.append(given)
        if given != self.good:
            return json_answer({"error": "invalid_grant",
                                "error_description": "Unknown refresh token"}, 403)
        self.good = f"canary-r{len(self.spent)}"
        return json_answer(self.fake.token(refresh_token=self.good))

    def grants(self):
        return [r.form.get("refresh_token") or r.form["grant_type"] for r in self.fake.grants()]


@pytest.fixture
def session(fake):
    return Rotating(fake)


def login(home, token="canary-r0", *args):
    return home.run("login", "--refresh-token", *args, input=token)


def test_it_is_used_at_once_and_what_replaces_it_from_then_on(fake, home, daemon, session):
    home.configure(fake.profile(password=""))
    daemon.start()
    assert home.run("get").returncode == 5
    r = login(home, "canary-r0\n", "p")
    assert (r.returncode, r.stdout, r.stderr) == (0, "p: logged in\n", "")
    assert home.run("get").returncode == 0
    assert home.run("refresh").returncode == 0
    assert session.grants() == ["canary-r0", "canary-r1"]
    assert home.run("logout").returncode == 0
    assert home.run("get").returncode == 5
    assert "canary" not in daemon.log.read_text() + home.run("status", "--json").stdout


def test_one_that_is_refused_is_told_and_not_sent_again(fake, home, daemon, session):
    home.configure(fake.profile(password=""))
    daemon.start()
    r = login(home, "canary-old")
    assert r.returncode == 5 and r.stdout == "" and r.stderr.count("\n") == 1
    assert "no password is known: the provider refused the refresh token: HTTP 403" in r.stderr
    assert "Unknown refresh token" in r.stderr and "kubetoken login" in r.stderr
    assert "canary" not in r.stderr
    assert home.status("p")["state"] == "login needed"
    home.run("get"), home.run("refresh")
    assert session.grants() == ["canary-old"]
    assert login(home).returncode == 0  # a good one mends it


def test_where_a_password_is_known_that_is_used_once_and_told(fake, home, daemon, session):
    home.configure(fake.profile())
    daemon.start()
    r = login(home, "canary-old")
    assert r.returncode == 0 and r.stderr == ""
    assert r.stdout.startswith("p: logged in by password: the refresh token was not taken: the "
                               "provider refused the refresh token: HTTP 403")
    assert session.grants() == ["canary-old", "password"]
    r = home.run("login", input="canary-pw")  # another login speaks of itself
    assert r.stdout == "p: logged in\n"
    r = login(home)
    assert r.stdout == "p: logged in\n"
    assert session.grants()[2:] == ["password", "canary-r0"]


def test_a_password_that_was_refused_is_not_sent_for_it(fake, home, daemon, session):
    session.password = "another"
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 6
    assert session.grants() == ["password"]
    r = login(home, "canary-old")
    assert r.returncode == 6 and "the refresh token was not taken before" in r.stderr, r.stderr
    assert session.grants() == ["password", "canary-old"]
    assert login(home).returncode == 0
    assert home.run("get").returncode == 0


def test_during_another_login_it_waits_for_the_end_of_that(fake, home, daemon, session):
    home.configure(fake.profile())
    daemon.start()
    session.go_on.clear()
    getting = threading.Thread(target=home.run, args=("get",))
    getting.start()
    assert session.entered.wait(rig.PATIENCE)
    with rig.connect(home) as s:
        s.sendall(b"login refresh-token p secret=9 once tell\ncanary-r0")
        assert s.recv(4096).startswith(b"wait ")
        session.go_on.set()
        answer = b""
        while chunk := s.recv(4096):
            answer += chunk
    getting.join()
    assert answer.endswith(b"p: logged in\n"), answer
    assert session.grants() == ["password", "canary-r0"]


def test_where_the_profile_uses_none_it_is_not_sent(fake, home, daemon, session):
    home.configure(fake.profile(password="", extra="use-refresh-token = no"))
    daemon.start()
    r = login(home)
    assert r.returncode == 2 and r.stderr.count("\n") == 1
    assert "use-refresh-token = no" in r.stderr and "kubetoken reload" in r.stderr
    assert session.grants() == []


@pytest.mark.parametrize("given, says", [("", "is empty"), ("a\nb\n", "second line"),
                                         ("a\tb\x01", "control character")])
def test_what_is_none_is_not_sent(fake, home, daemon, session, given, says):
    home.configure(fake.profile(password=""))
    daemon.start()
    r = login(home, given)
    assert r.returncode in (2, 9) and f"the refresh token {says}"[:17] in r.stderr
    assert says.split()[0] in r.stderr, r.stderr
    assert session.grants() == []


def test_a_daemon_that_ends_meanwhile_does_not_have_it_sent_twice(fake, home, daemon, session):
    """Not by the client, and not by the next daemon."""
    home.configure(fake.profile(password="", extra="keep-over-restart = all"))
    daemon.start()
    session.go_on.clear()
    results = []
    giving = threading.Thread(target=lambda: results.append(login(home)))
    giving.start()
    assert session.entered.wait(rig.PATIENCE)
    daemon.process.kill()
    session.go_on.set()
    giving.join()
    assert results[0].returncode == 3 and results[0].stderr.count("\n") == 1
    assert "a refresh token is not sent twice" in results[0].stderr
    daemon.start()
    r = home.run("get")
    assert r.returncode == 5 and "not sent twice" in r.stderr, r.stderr
    assert session.grants() == ["canary-r0"]


@pytest.mark.parametrize("keep", ["tokens", "all"])
def test_over_a_restart_it_is_kept_where_that_is_asked_for(fake, home, daemon, session, keep):
    home.configure(fake.profile(password="", extra=f"keep-over-restart = {keep}"))
    daemon.start()
    assert login(home).returncode == 0
    daemon.restart()
    assert home.run("get").returncode == 0
    r = home.run("refresh")
    assert r.returncode == (0 if keep == "all" else 5), r.stderr
    assert session.grants() == ["canary-r0"] + ["canary-r1"] * (keep == "all")


def test_on_a_terminal_it_is_asked_for_without_an_echo(fake, home, daemon, session):
    home.configure(fake.profile(password=""))
    daemon.start()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(rig.BUILD / "kubetoken", ["kubetoken", "login", "--refresh-token"],
                  home.environment)
    shown = b""
    try:
        while b"Refresh token for p: " not in shown:
            shown += os.read(terminal, 1024)
        os.write(terminal, b"canary-r0\n")
        while b"logged in" not in shown:
            shown += os.read(terminal, 1024)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        pid = 0
    finally:
        os.close(terminal)
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
    assert b"canary" not in shown
