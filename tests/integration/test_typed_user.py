"""Profiles whose configuration names no user: login asks for the name too."""
import os

import pytest

import rig
from dialogue import Dialogue
from test_login import login, passwords, refuse

def nobody(fake, extra=""):
    """A profile without a name."""
    text = fake.profile(password="", user="someone", extra=extra)
    return text.replace("username = someone\n", "")


@pytest.fixture
def running(fake, home, daemon):
    home.configure(nobody(fake))
    return daemon.start()


def names(fake):
    return [r.form.get("username") for r in fake.grants()]


def kept(daemon):
    """All that systemd has in memory of it."""
    return os.pread(daemon.stored, os.fstat(daemon.stored).st_size, 0)


def at_a_terminal(home, *args):
    return Dialogue([rig.BUILD / "kubetoken", "login", *args], home.environment)


def test_on_a_terminal_name_and_password_are_asked_for(fake, home, running):
    """The name is seen while it is typed, and offered the next time."""
    r = home.run("get")
    assert r.returncode == 5 and "kubetoken login" in r.stderr
    status = home.status("p")
    assert "username" not in status and "user" not in status
    assert [w for w in home.run("status").stdout.split("\n")[1].split(" ") if w][:2] == ["p", "-"]
    d = at_a_terminal(home)
    d.expect("User name for p: ")
    assert d.echoes
    d.type("anna müller@example.com\n").answer("Password for p: ", "canary-pw")
    d.expect("p: logged in")
    assert d.end() == 0 and "canary" not in d.shown
    assert names(fake) == ["anna müller@example.com"] and passwords(fake) == ["canary-pw"]
    assert home.status("p")["username"] == home.status("p")["user"] == "anna müller@example.com"
    assert "anna müller@example.com" in home.run("status").stdout
    d = at_a_terminal(home)
    d.answer("User name for p [anna müller@example.com]: ", "").answer("Password for p: ", "pw 2")
    d.expect("p: logged in")
    assert d.end() == 0 and names(fake) == 2 * ["anna müller@example.com"]
    assert "canary" not in running.log.read_text()


def test_without_a_terminal_the_name_is_an_option(fake, home, running):
    r = login(home, b"canary-pw\n")
    assert (r.returncode, r.stderr) == (
        2, b"kubetoken: wrong usage: the configuration names no user; say --username NAME; "
        b"see kubetoken login --help\n")
    assert fake.requests == []
    r = login(home, b"canary-pw\n", "--username", "anna")
    assert (r.returncode, r.stdout) == (0, b"p: logged in\n")
    assert login(home, b"canary-pw\n").returncode == 0  # as who did before
    assert names(fake) == ["anna", "anna"]
    for name, says in (("", b"a user name is missing"), (513 * "x", b"longer than 512 bytes"),
                       ("a\x1b[2J", b"the user name has control characters, or is no UTF-8")):
        r = login(home, b"canary-pw\n", "--username", name)
        assert r.returncode == 2 and says in r.stderr
    assert login(home, b"x\n", "--username", 512 * "x").returncode == 0
    r = login(home, b"x\n", "--username", "a", "--refresh-token")
    assert r.returncode == 2 and b"a refresh token goes without --username" in r.stderr
    assert len(fake.grants()) == 3


def test_the_socket_has_a_word_for_it(home, running):
    """That an older daemon refuses, instead of sending the name as a part of the password."""
    assert rig.ask(home, b"profile * p\n") == b"ok 2 0\np\n"
    assert rig.ask(home, b"profile * p with-user\n") == b"ok 6 0\np\nask\n"
    answer = rig.ask(home, b"login username p username=4 secret=2\nannapw")
    assert answer.startswith(b"ok 13 0\np: logged in\n")
    assert rig.ask(home, b"profile * p with-user\n") == b"ok 11 0\np\nask anna\n"
    for request, says in (
            (b"login username p secret=2\npw", b"login username needs username=N"),
            (b"login username p username=513 secret=2\n", b"username=513 is not valid"),
            (b"login username p username=3 secret=2\na\nbpw", b"has control characters"),
            (b"get username p\n", b"username is not a format of get")):
        assert says in rig.ask(home, request)


def test_a_name_in_the_configuration_stays_it(fake, home, daemon):
    home.configure(fake.profile(password="", user="someone"))
    daemon.start()
    assert rig.ask(home, b"profile * p with-user\n") == b"ok 2 0\np\n"
    r = login(home, b"pw\n", "--username", "anna")
    assert r.returncode == 2
    assert b"p: wrong usage: its configuration says username = someone, and no other" in r.stderr
    assert fake.requests == []
    assert login(home, b"pw\n", "--username", "someone").returncode == 0
    assert names(fake) == ["someone"]


def test_another_name_is_another_identity(fake, home, running):
    """Its token is another's; a refusal is of that user's account alone."""
    assert login(home, b"pw\n", "--username", "anna").returncode == 0
    anna = home.run("get").stdout
    fake.answers["/oauth/token"] = refuse
    r = login(home, b"pw\n", "--username", "ben")
    assert r.returncode == 6 and home.status("p")["username"] == "ben"
    assert home.run("get").returncode == 6
    del fake.answers["/oauth/token"]
    assert login(home, b"pw\n", "--username", "anna").returncode == 0
    assert home.run("get").stdout != anna and home.status("p")["username"] == "anna"
    home.configure(nobody(fake).replace("[profile p]", "[profile p]\nusername = anna"))
    running.reload()
    assert home.status("p")["username"] == "anna"  # the same user, and so the same token
    token = home.run("get").stdout
    home.configure(nobody(fake))
    running.reload()
    assert "username" not in home.status("p")  # whoever it was, nobody says it any more
    assert home.run("get").returncode == 5 and token not in home.run("status").stdout
    assert len(fake.grants()) == 3


def test_an_unchanged_file_is_no_change(fake, home, running):
    """What was typed is no difference to the files."""
    assert login(home, b"pw\n", "--username", "anna").returncode == 0
    home.configure(nobody(fake))
    home.settle()
    r = home.run("status")
    assert "changed" not in r.stdout + r.stderr
    running.reload()
    assert home.status("p")["username"] == "anna" and home.run("get").returncode == 0
    assert len(fake.grants()) == 1


@pytest.mark.parametrize("level, stays, goes_on", [
    ("tokens", True, False), ("all", True, True), ("nothing", False, False)])
def test_over_a_restart_it_is_kept_as_the_rest(fake, home, daemon, level, stays, goes_on):
    home.configure(nobody(fake, extra=f"keep-over-restart = {level}\nuse-refresh-token = no"))
    daemon.start()
    assert login(home, b"pw\n", "--username", "anna-canary").returncode == 0
    token = home.run("get").stdout
    assert (b"anna-canary" in kept(daemon)) == stays
    daemon.restart(crash=True)
    assert ("username" in home.status("p")) == stays
    r = home.run("get")
    assert (r.returncode, r.stdout) == ((0, token) if stays else (5, ""))
    assert len(fake.grants()) == 1
    if stays:
        assert home.run("refresh").returncode == (0 if goes_on else 5)
        assert names(fake) == (2 if goes_on else 1) * ["anna-canary"]
    home.run("logout")
    assert "username" not in home.status("p") and b"anna-canary" not in kept(daemon)
    assert rig.ask(home, b"profile * p with-user\n") == b"ok 6 0\np\nask\n"


def test_a_name_goes_with_its_profile(fake, home, running):
    home.configure(nobody(fake) + fake.profile("q"))
    running.reload()
    assert login(home, b"pw\n", "--username", "anna-canary", "p").returncode == 0
    assert b"anna-canary" in kept(running)
    home.configure(fake.profile("q"))
    running.reload()
    assert b"anna-canary" not in kept(running)
