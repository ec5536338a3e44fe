"""refresh --all, logout --all: one request, a line for each profile, the exit code of the worst."""
import subprocess
import threading

import pytest

import rig
from rig import wait_until
from scripted import json_answer

NAMES = [f"p{i:02}" for i in range(8)]


@pytest.fixture
def fake(fake):
    """One that looks at the password."""
    def answer(request):
        if request.form["password"] == "wrong":
            return json_answer({"error": "invalid_grant"}, 400)
        return json_answer(fake.token())
    fake.answers["/oauth/token"] = answer
    return fake


def several(fake, *names, password="good", user="someone"):
    return "".join(fake.profile(n, f"password = {password}", user) for n in names)


def lines(text):
    return [line.split(";")[0] for line in text.splitlines()]


def test_each_profile_gets_a_new_token_or_says_why_not(fake, home, daemon):
    """What only a person mends is the worst; a wrong password of one account is sent once."""
    home.configure(several(fake, "a", "b") + several(fake, "w1", "w2", "w3", password="wrong",
                                                     user="other") +
                   fake.profile("typed", password="", user="third"))
    daemon.start()
    r = home.run("refresh", "--all")
    assert r.stdout == "a: a new token\nb: a new token\n"
    refused = "the provider refused the user name or password: HTTP 400, invalid_grant"
    assert lines(r.stderr) == ["kubetoken: typed: no password is known",
                               *(f"kubetoken: w{n}: {refused}" for n in "123")]
    assert r.returncode == 6
    sent = [q.form["password"] for q in fake.grants()]
    assert sorted(sent) == ["good", "good", "wrong"]
    home.configure(several(fake, "a", "b"))
    home.settle()
    assert home.run("reload").returncode == 0
    r = home.run("refresh", "--all")
    assert (r.returncode, r.stdout, r.stderr) == (0, "a: a new token\nb: a new token\n", "")
    assert len(fake.grants()) == 5, "also where there was one"


def test_logins_of_one_account_stay_polite_and_the_rest_is_under_way(fake, home, daemon):
    """Six at once, one after the other; those that have to wait are named, and go on."""
    under_way = []
    good = fake.answers["/oauth/token"]

    def answer(request):
        under_way.append(1)
        most.append(len(under_way))
        try:
            return good(request)
        finally:
            under_way.pop()
    most = []
    fake.answers["/oauth/token"] = answer
    home.configure(several(fake, *NAMES))
    daemon.start()
    r = home.run("refresh", "--all", "--timeout", "3s")
    assert r.returncode == 7 and r.stdout.count(": a new token\n") == 6, r.stderr
    assert len(lines(r.stderr)) == 2 and all("too many logins of one account" in line
                                             for line in lines(r.stderr))
    assert sorted([*(line.split(":")[0] for line in r.stdout.splitlines()),
                   *(line.split(": ")[1] for line in lines(r.stderr))]) == NAMES
    assert max(most) == 1
    assert sorted(p["state"] for p in home.status()) == ["idle"] * 6 + ["waiting"] * 2


def test_who_waits_sees_how_far_it_is(fake, home, daemon):
    fake.hang("/oauth/token")
    home.configure(several(fake, "a") + several(fake, "b", user="other"))
    daemon.start()
    with rig.converse(home) as f:
        f.write(b"refresh-all * * timeout=2 tell once\n")
        f.flush()
        said = f.read().decode()
    assert "wait 0 of 2 profiles done; a: " in said
    assert "error timeout 0 " in said and said.count("kubetoken: ") == 2
    assert "kubetoken: b: the provider is too slow" in said


def test_who_goes_leaves_nothing_behind(fake, home, daemon):
    entered, release = threading.Semaphore(0), threading.Event()
    good = fake.answers["/oauth/token"]

    def answer(request):
        entered.release()
        release.wait(rig.PATIENCE)
        return good(request)
    fake.answers["/oauth/token"] = answer
    home.configure(several(fake, "a") + several(fake, "b", user="other"))
    daemon.start()
    client = subprocess.Popen([rig.BUILD / "kubetoken", "refresh", "--all"], env=home.environment)
    assert entered.acquire(timeout=rig.PATIENCE) and entered.acquire(timeout=rig.PATIENCE)
    client.kill()
    client.wait(rig.PATIENCE)
    assert home.run("status").returncode == 0
    release.set()
    wait_until(lambda: all(p.get("expiresInSeconds") for p in home.status()), "their tokens")


def test_a_profile_that_is_taken_out_meanwhile_is_named(fake, home, daemon):
    fake.hang("/oauth/token")
    home.configure(several(fake, "a") + several(fake, "b", user="other"))
    daemon.start()
    client = subprocess.Popen([rig.BUILD / "kubetoken", "refresh", "--all", "--timeout", "5s"],
                              env=home.environment, text=True, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE)
    wait_until(lambda: len(fake.grants()) == 2, "both requests")
    del fake.answers["/oauth/token"]
    home.configure(several(fake, "a"))
    home.settle()
    home.run("reload")
    fake.hanging.set()
    out, err = client.communicate(timeout=rig.PATIENCE)
    assert "kubetoken: b: no such profile: b is no longer configured" in err


def test_logout_of_all(fake, home, daemon):
    home.configure(several(fake, "a", "b") + fake.profile("typed", password="", user="third"))
    daemon.start()
    assert home.run("login", "typed", input="good\n").returncode == 0
    home.run("refresh", "--all")
    assert all(p.get("expiresInSeconds") for p in home.status())
    r = home.run("logout", "--all")
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout == "a: logged out\nb: logged out\ntyped: logged out\n"
    assert not any(p.get("expiresInSeconds") for p in home.status())
    assert home.status("typed")["state"] == "login needed"


@pytest.mark.parametrize("command", ["refresh", "logout"])
def test_of_all_there_is_no_one(home, command):
    r = home.run(command, "--all", "p")
    assert r.returncode == 2 and "--all means every profile, and one is named" in r.stderr


@pytest.mark.parametrize("command", ["refresh", "logout"])
def test_without_a_configuration_or_a_daemon(home, daemon, command):
    daemon.start()
    r = home.run(command, "--all")
    assert r.returncode == 9 and "there is no configuration yet" in r.stderr
    daemon.close()
    home.socket_path.unlink()
    assert home.run(command, "--all").returncode == 3, "as of one"


def test_an_older_daemon_does_not_do_it_for_one(fake, home, daemon):
    """A word of its own: an option that is not known would be passed over."""
    home.configure(several(fake, "a", "b"))
    daemon.start()
    assert rig.ask(home, b"logout-everything * *\n").startswith(b"error bad-request ")
