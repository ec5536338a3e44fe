"""`grant = refresh-token`: a profile that has no password at all. What it lives by is a refresh
token that another program got; when that ends a person is needed, and is told why."""
import os
import pty
import signal

import pytest

import rig
from scripted import json_answer
from test_login_refresh_token import Rotating

PROFILE = "[profile p]\nissuer = {0.issuer}\nca-file = {0.ca_file}\nclient-id = client\n" \
          "grant = refresh-token\n"


@pytest.fixture
def session(fake):
    return Rotating(fake)


def configure(home, fake, extra=""):
    home.configure(PROFILE.format(fake) + extra)


def login(home, token="canary-r0", *args):
    return home.run("login", *args, input=token)


def test_a_login_is_by_refresh_token_and_so_is_all_that_follows(fake, home, daemon, session):
    configure(home, fake)
    daemon.start()
    r = home.run("get")
    assert r.returncode == 5 and r.stderr.count("\n") == 1 and "kubetoken login" in r.stderr
    r = login(home, "canary-r0\n", "p")
    assert (r.returncode, r.stdout, r.stderr) == (0, "p: logged in\n", "")
    for _ in range(3):
        assert home.run("refresh").returncode == 0
    assert home.run("get").returncode == 0
    assert session.grants() == ["canary-r0", "canary-r1", "canary-r2", "canary-r3"]
    assert all(r.form["grant_type"] == "refresh_token" and "scope" not in r.form
               for r in fake.grants())
    seen = daemon.log.read_text() + home.run("status", "--json").stdout + home.run("log").stdout
    assert "canary" not in seen


def test_on_a_terminal_it_is_the_refresh_token_that_is_asked_for(fake, home, daemon, session):
    configure(home, fake)
    daemon.start()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(rig.BUILD / "kubetoken", ["kubetoken", "login"], home.environment)
    shown = b""
    try:
        while b"Refresh token for p: " not in shown:
            shown += os.read(terminal, 1024)
            assert b"Password" not in shown
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
    assert b"canary" not in shown and b"Password" not in shown and b"User name" not in shown


def test_the_socket_says_what_a_login_takes(fake, home, daemon, session):
    configure(home, fake)
    daemon.start()
    assert rig.ask(home, b"profile * p with-user\n") == b"ok 16 0\np\nrefresh-token\n"
    assert rig.ask(home, b"profile * p\n") == b"ok 2 0\np\n"


def test_a_user_s_password_is_neither_asked_for_nor_sent(fake, home, daemon, session):
    """Also where [defaults] has one for the other profiles."""
    home.configure("[defaults]\nusername = anna\npassword = canary-pw\n" + PROFILE.format(fake))
    daemon.start()
    assert home.run("get").returncode == 5
    r = home.run("login", "--username", "anna", input="canary-pw")
    assert r.returncode == 2 and r.stderr.count("\n") == 1 and "kubetoken login p" in r.stderr
    answer = rig.ask(home, b"login * p secret=9\ncanary-pw")
    assert answer.startswith(b"error usage ") and b"grant = refresh-token" in answer
    assert home.run("refresh").returncode == 5
    assert fake.grants() == []
    assert login(home).returncode == 0
    session.good = "canary-other"  # the session ends at the provider
    r = home.run("refresh")
    assert r.returncode == 5 and session.grants() == ["canary-r0", "canary-r1"]


@pytest.mark.parametrize("line", ["username = anna", "password = canary-pw", "password-file = /x",
                                  "password-command = pass x", "realm = x", "otp-parameter = totp"])
def test_what_belongs_to_a_password_is_refused_in_the_profile(fake, home, daemon, line):
    configure(home, fake, line + "\n")
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and f"kubetoken.conf:6: profile p: {line.split()[0]}" in r.stderr
    assert "grant" in r.stderr and "canary" not in r.stderr


def test_without_refresh_tokens_nothing_is_left_of_it(fake, home, daemon):
    configure(home, fake, "use-refresh-token = no\n")
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and "use-refresh-token = no leaves nothing" in r.stderr


def test_when_the_session_ends_a_person_is_needed_and_told_why(fake, home, daemon, session):
    """As Keycloak says it. The token in hand is served while it lives."""
    configure(home, fake)
    daemon.start()
    assert login(home).returncode == 0
    ended = {"error": "invalid_grant", "error_description": "Session not active"}
    fake.answers["/oauth/token"] = lambda _: json_answer(ended, 400)
    r = home.run("refresh")
    assert r.returncode == 5 and r.stderr.count("\n") == 1
    assert "the provider refused the refresh token: HTTP 400" in r.stderr
    assert "Session not active" in r.stderr and "kubetoken login" in r.stderr
    assert home.run("get").returncode == 0
    status = home.status("p")
    assert status["state"] == "login needed" and status["error"]["code"] == "not-logged-in"
    assert "Session not active" in status["error"]["detail"]
    sent = len(fake.grants())
    home.run("refresh"), home.run("get", "--min-validity", "2h"), home.run("get", "--rejected")
    assert len(fake.grants()) == sent  # what was refused is not sent again
    r = home.run("refresh")
    assert r.returncode == 5 and "Session not active" in r.stderr  # nor is the cause forgotten
    assert "Session not active" in home.status("p")["error"]["detail"]


def test_one_that_brings_no_id_token_ends_it(fake, home, daemon):
    """As Glewlwyd does it."""
    configure(home, fake)
    fake.answers["/oauth/token"] = json_answer({"access_token": "a", "token_type": "bearer",
                                                "expires_in": 3600, "scope": "openid"})
    daemon.start()
    r = login(home)
    assert r.returncode == 5 and "without an id_token" in r.stderr, r.stderr
    home.run("refresh"), home.run("get")
    assert len(fake.grants()) == 1


def test_faults_of_the_provider_do_not_end_it(fake, home, daemon, session):
    configure(home, fake)
    daemon.start()
    assert login(home).returncode == 0
    good = fake.answers["/oauth/token"]
    for fault in (json_answer({}, 503), json_answer({"a": 1}, 500), (200, {}, b"<html>")):
        for _ in range(2):
            fake.answers["/oauth/token"] = fault
            assert home.run("refresh").returncode in (7, 8)
            assert home.status("p")["state"] != "login needed"
    fake.answers["/oauth/token"] = good
    assert home.run("refresh").returncode == 0
    assert session.grants()[-1] == "canary-r1"


def test_a_rotation_whose_answer_is_lost_is_tried_until_the_provider_says_no(
        fake, home, daemon, session):
    """The provider has given the next one to nobody, and may take another try for theft, which
    ends the session: that is told, and nothing is sent any more."""
    configure(home, fake, "timeout = 1s\n")
    daemon.start()
    assert login(home).returncode == 0

    def lost(request):
        session.spent.append(request.form["refresh_token"])
        fake.hanging.wait()
        return 500, {}, b""
    good = fake.answers["/oauth/token"]
    fake.answers["/oauth/token"] = lost
    assert home.run("refresh").returncode == 7
    assert home.run("get").returncode == 0
    fake.answers["/oauth/token"] = lambda _: json_answer(
        {"error": "invalid_grant", "error_description": "Maximum allowed reuse exceeded"}, 400)
    r = home.run("refresh")
    assert r.returncode == 5 and "reuse" in r.stderr
    sent = len(fake.grants())
    home.run("refresh")
    assert len(fake.grants()) == sent
    fake.answers["/oauth/token"] = good
    session.good = "canary-new"
    assert login(home, "canary-new").returncode == 0


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("keep", ["nothing", "tokens", "all"])
def test_a_restart_keeps_what_is_asked_for_and_says_what_is_lost(fake, home, daemon, session, keep,
                                                                 crash):
    configure(home, fake, f"keep-over-restart = {keep}\n")
    daemon.start()
    assert login(home).returncode == 0
    daemon.restart(crash=crash)
    r = home.run("get")
    assert r.returncode == (5 if keep == "nothing" else 0), r.stderr
    r = home.run("refresh")
    if keep == "all":
        assert r.returncode == 0
        assert session.grants() == ["canary-r0", "canary-r1"]
        return
    assert r.returncode == 5 and session.grants() == ["canary-r0"]
    if keep == "tokens":
        assert "a restart of kubetokend ended the refresh token" in r.stderr
        assert "keep-over-restart = all keeps it" in r.stderr


def test_a_logout_ends_it_here_and_at_the_provider(fake, home, daemon, session):
    revoked = []

    def revoke(request):
        revoked.append(request.form["token"])
        return 200, {}, b""
    configure(home, fake)
    fake.answers["/oauth/revoke"] = revoke
    fake.answers["/.well-known/openid-configuration"] = json_answer(
        {**fake.discovery(), "revocation_endpoint": fake.base + "/oauth/revoke"})
    daemon.start()
    assert login(home).returncode == 0
    r = home.run("logout")
    assert (r.returncode, r.stderr) == (0, "")
    assert revoked == ["canary-r1"]
    assert home.run("get").returncode == 5
    assert session.grants() == ["canary-r0"]


def test_a_reload_to_another_grant_is_another_identity(fake, home, daemon, session):
    configure(home, fake)
    daemon.start()
    assert login(home).returncode == 0
    home.configure(fake.profile(user="someone"))
    assert home.run("reload").returncode == 0
    assert home.run("get").returncode == 0
    assert session.grants() == ["canary-r0", "password"]


def test_status_names_who_the_token_is_of(fake, home, daemon, session):
    """No configuration names the user."""
    configure(home, fake)
    daemon.start()
    assert login(home).returncode == 0
    assert "someone@example.com" in home.run("status").stdout
