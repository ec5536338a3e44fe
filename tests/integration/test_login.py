"""Passwords that somebody types: login, logout, password-lifetime."""
import os
import pty
import subprocess
import termios
import time

import pytest

import rig
from scripted import json_answer


def profile(fake, extra=""):
    return fake.profile(password="", user="someone@example.com", extra=extra)


def login(home, password, *args):
    return subprocess.run([rig.BUILD / "kubetoken", "login", *args], env=home.environment,
                          input=password, capture_output=True, timeout=rig.PATIENCE)


@pytest.fixture
def running(fake, home, daemon):
    home.configure(profile(fake))
    return daemon.start()


def passwords(fake):
    return [r.form.get("password") for r in fake.grants()]


def refuse(request):
    return json_answer({"error": "invalid_grant"}, 403)


def test_without_a_password_get_says_login(fake, home, running):
    r = home.run("get")
    assert r.returncode == 5 and "kubetoken login" in r.stderr and r.stdout == ""
    assert home.status("p")["state"] == "login needed"
    assert fake.requests == []


@pytest.mark.parametrize("typed, sent", [
    (b"canary  pw\n", "canary  pw"), (b" \xc3\xa9 ", " é "), (b"no line end", "no line end"),
    (b"x" * 16384, "x" * 16384)])
def test_login_takes_the_line_on_stdin(fake, home, running, typed, sent):
    r = login(home, typed)
    assert (r.returncode, r.stdout, r.stderr) == (0, b"p: logged in\n", b"")
    assert passwords(fake) == [sent]
    assert home.run("get").returncode == 0
    assert len(fake.grants()) == 1
    assert "canary" not in running.log.read_text()


@pytest.mark.parametrize("typed, says", [
    (b"", b"empty"), (b"\n", b"empty"), (b"x" * 16385, b"16 KiB"), (b"a\0b", b"NUL")])
def test_what_is_no_password_is_not_sent(fake, home, running, typed, says):
    r = login(home, typed)
    assert r.returncode in (2, 9) and says in r.stderr
    assert fake.grants() == []


def test_login_for_a_profile_that_is_not_there_does_not_ask(home, running):
    r = login(home, b"canary", "q")
    assert r.returncode == 4 and r.stderr.count(b"\n") == 1


def test_on_a_terminal_it_asks_without_echo(fake, home, running):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(rig.BUILD / "kubetoken", ["kubetoken", "login"], home.environment)
    shown = b""
    while b"Password for p: " not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, b"canary-pw\n")
    while b"logged in" not in shown:
        shown += os.read(terminal, 1024)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(terminal)
    assert b"canary" not in shown
    assert passwords(fake) == ["canary-pw"]


def test_an_interrupt_at_the_prompt_gives_the_echo_back(home, running):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    p = subprocess.Popen([rig.BUILD / "kubetoken", "login"], env=home.environment, stdin=slave,
                         stdout=slave, stderr=slave, start_new_session=True)
    shown = b""
    while b"Password for p: " not in shown:
        shown += os.read(master, 1024)
    p.terminate()
    assert p.wait(rig.PATIENCE) == -15
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


def test_a_wrong_password_is_sent_once(fake, home, running):
    fake.answers["/oauth/token"] = refuse
    r = login(home, b"canary-wrong")
    assert r.returncode == 6 and b"kubetoken login" in r.stderr
    assert home.run("get").returncode == 6
    assert home.run("get").returncode == 6
    assert passwords(fake) == ["canary-wrong"]
    del fake.answers["/oauth/token"]
    assert login(home, b"right").returncode == 0
    assert home.run("get").returncode == 0


def test_an_account_that_wants_more_keeps_the_password_that_was_typed(fake, home, running):
    """It was right, for all one knows: once the account is mended it serves."""
    fake.answers["/oauth/token"] = json_answer({"error": "mfa_required"}, 403)
    assert login(home, b"canary-pw").returncode == 6
    del fake.answers["/oauth/token"]
    rig.wait_until(lambda: home.run("refresh").returncode == 0, "a word that is heard")
    assert passwords(fake) == 2 * ["canary-pw"]


def test_logout_forgets_token_and_password(fake, home, running):
    login(home, b"pw")
    assert home.run("get").returncode == 0
    r = home.run("logout")
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    assert home.run("get").returncode == 5
    assert home.status("p")["state"] == "login needed"
    assert len(fake.grants()) == 1


def test_logout_tells_who_waits(fake, home, running):
    fake.hang("/oauth/token")
    waiting = subprocess.Popen([rig.BUILD / "kubetoken", "login"], env=home.environment,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    waiting.stdin.write(b"pw\n")
    waiting.stdin.close()
    rig.wait_until(fake.grants, "the request")
    assert home.run("logout").returncode == 0
    assert waiting.wait(rig.PATIENCE) == 1
    assert b"logout" in waiting.stderr.read()
    waiting.stdout.close()
    waiting.stderr.close()


def test_a_typed_password_serves_renewals_until_its_lifetime_ends(fake, home, daemon):
    fake.lifetime = 8
    home.configure(profile(fake, "password-lifetime = 2s"))
    daemon.start()
    assert login(home, b"pw").returncode == 0
    assert login(home, b"pw").returncode == 0  # the first token may be renewed at any time
    rig.wait_until(lambda: home.status("p")["state"] == "login needed", "the lifetime's end")
    assert passwords(fake) == ["pw"] * 2
    fake.lifetime = 3600
    assert login(home, b"pw").returncode == 0


def test_a_typed_password_goes_before_the_source_until_it_is_refused(fake, home, daemon):
    home.configure(profile(fake, "password = from-source"))
    daemon.start()
    assert login(home, b"typed").returncode == 0
    assert home.run("refresh").returncode == 0
    fake.answers["/oauth/token"] = lambda r: (
        json_answer(fake.token()) if r.form["password"] == "from-source" else refuse(r))
    assert home.run("refresh", "--timeout", "1s").returncode == 6
    assert home.run("logout").returncode == 0
    assert home.run("get").returncode == 0
    sent = passwords(fake)  # with a probe, if that came before the logout
    assert sent[:3] == ["typed"] * 3 and sent[-1] == "from-source" and len(sent) <= 5


def test_a_login_takes_the_password_not_the_refresh_token(fake, home, running):
    fake.answers["/oauth/token"] = lambda r: json_answer(fake.token(refresh_token="r"))
    assert login(home, b"one").returncode == 0
    assert login(home, b"two").returncode == 0
    assert home.run("refresh").returncode == 0
    assert [r.form["grant_type"] for r in fake.grants()] == ["password", "password",
                                                             "refresh_token"]


def test_another_identity_never_gets_the_typed_password(fake, home, running):
    assert login(home, b"pw").returncode == 0
    home.configure(profile(fake).replace("someone@", "other@"))
    running.reload()
    assert home.run("get").returncode == 5
    assert passwords(fake) == ["pw"]


def test_the_block_may_come_in_pieces_and_before_the_next_request(fake, home, running):
    answers = rig.ask(home, b"login * p secret=6\ncanaryget token p\n")
    assert answers.startswith(b"ok 13 0\np: logged in\nok ")
    assert passwords(fake) == ["canary"]
    with rig.connect(home) as s:
        for piece in (b"login * p ", b"secret=6\n", b"abc", b"def"):
            s.sendall(piece)
        assert s.recv(64) == b"ok 13 0\np: logged in\n"
    assert passwords(fake)[1:] == ["abcdef"]


@pytest.mark.parametrize("request_line", [
    b"login * p\n", b"login * p secret=0\n", b"login * p secret=16385\n", b"login * p secret=-1\n",
    b"get token p secret=3\nabc"])
def test_a_block_that_is_none_is_a_bad_request(fake, home, running, request_line):
    assert rig.ask(home, request_line).startswith(b"error bad-request 0 ")
    assert fake.requests == [] and running.alive


def slow_secret(fake, home, extra=""):
    """A profile whose client secret comes when something is written into the pipe returned."""
    pipe = home.config / "pipe"
    os.mkfifo(pipe, 0o600)
    home.configure(profile(fake, f"client-secret-command = cat {pipe}\n{extra}"))
    return pipe


def login_and_go_on(home, password):
    """Returns the connection once the daemon has taken the request."""
    s = rig.connect(home)
    s.sendall(b"login * p secret=%d once\n" % len(password) + password)
    home.status("p")  # who came later is served later
    return s


def test_a_second_login_while_the_first_waits_for_a_command(fake, home, daemon):
    pipe = slow_secret(fake, home)
    daemon.start()
    with login_and_go_on(home, b"first") as one, login_and_go_on(home, b"second") as two:
        pipe.write_text("cs")
        rig.wait_until(fake.grants, "the first request")
        pipe.write_text("cs")
        assert one.recv(64) == two.recv(64) == b"ok 13 0\np: logged in\n"
    assert passwords(fake) == ["first", "second"]


def test_a_password_whose_lifetime_ends_before_it_is_sent(fake, home, daemon):
    pipe = slow_secret(fake, home, "password-lifetime = 1s")
    daemon.start()
    with login_and_go_on(home, b"canary") as s:
        time.sleep(1.2)  # where that is too short, the test is too easy
        pipe.write_text("cs")
        assert s.recv(64) == b"ok 13 0\np: logged in\n"
    assert passwords(fake) == ["canary"]
