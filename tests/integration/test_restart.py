"""What outlives the daemon where systemd keeps it (P11): tokens, what providers said, and with
keep-over-restart = all what was typed."""
import fcntl
import os
import signal
import subprocess

import pytest

import rig
import sanitized
from scripted import json_answer


@pytest.fixture
def fake(fake):
    """One that rotates refresh tokens where `rotates` says so."""
    fake.rotates = False
    fake.given = []

    def answer(_):
        if not fake.rotates:
            return json_answer(fake.token())
        fake.given.append(f"canary-refresh-token-{len(fake.given)}")
        return json_answer(fake.token(refresh_token=fake.given[-1]))
    fake.answers["/oauth/token"] = answer
    return fake


def keep(level):
    return f"keep-over-restart = {level}"


def end(daemon, how):
    if how == "stop":
        daemon.stop()
    else:
        daemon.signal(how)
        daemon.process.wait(rig.PATIENCE)


@pytest.fixture
def home(home):
    """A SIGSEGV that is sent is not to be told as one that was made."""
    home.environment = sanitized.but(home.environment, "handle_segv=0")
    return home


WAYS = ["stop", signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT]


def kept(daemon):
    """All that systemd has in memory of it."""
    return os.pread(daemon.stored, os.fstat(daemon.stored).st_size, 0)


def forms(fake):
    return [r.form for r in fake.grants()]


def get(home, *args):
    r = home.run("get", *args)
    assert r.returncode == 0, r.stderr
    return r.stdout


def is_as_before(status, before):
    """But for the time that has gone by. The end is cut to a whole second of the other clock, which
    may be the one before."""
    end, was = (rig.seconds(s["expirationTimestamp"]) for s in (status, before))
    same = {k: before[k] for k in ("expirationTimestamp", "expiresInSeconds")}
    return {**status, **same} == before and abs(end - was) <= 1


# ---- tokens --------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("level", ["tokens", "all"])
def test_the_same_token_is_served_and_nobody_is_asked(fake, home, daemon, how, level):
    home.configure("".join(fake.profile(n, extra=keep(level)) for n in "abc"))
    daemon.start()
    tokens = [get(home, n) for n in "abc"]
    before = {n: home.status(n) for n in "abc"}
    fake.requests.clear()
    for _ in range(2):
        end(daemon, how)
        daemon.start()
        assert [get(home, n) for n in "abc"] == tokens
        for n in "abc":
            assert is_as_before(home.status(n), before[n])
    assert fake.requests == []


@pytest.mark.parametrize("how", WAYS)
def test_nothing_is_kept_where_that_is_asked_for(fake, home, daemon, how):
    home.configure(fake.profile(extra=keep("nothing")))
    daemon.start()
    token = get(home)
    assert token.strip().encode() not in kept(daemon)
    end(daemon, how)
    daemon.start()
    assert get(home) != token
    assert len(fake.grants()) == 2


def test_the_default_is_tokens_and_a_profile_may_say_otherwise(fake, home, daemon):
    home.configure("[defaults]\n" + keep("nothing") + "\n" + fake.profile("a") +
                   fake.profile("b", extra=keep("tokens")))
    daemon.start()
    a, b = get(home, "a"), get(home, "b")
    daemon.restart()
    assert get(home, "a") != a and get(home, "b") == b
    home.configure(fake.profile("c"))
    daemon.reload()
    c = get(home)
    daemon.restart()
    assert get(home) == c


def test_a_full_bucket_of_logins_and_a_restart_cost_no_token(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    for _ in range(6):
        assert home.run("refresh").returncode == 0
    token = get(home)
    daemon.restart(crash=True)
    assert get(home) == token
    r = home.run("refresh", "--timeout", "1s")
    assert r.returncode == 7 and "too many logins" in r.stderr
    assert get(home) == token and len(fake.grants()) == 6


def test_a_token_that_ended_meanwhile_is_not_served(fake, home, daemon):
    fake.lifetime = 4
    home.configure(fake.profile())
    daemon.start()
    token = get(home)
    end(daemon, "stop")
    rig.wait_until(lambda: fake.clock() > rig.seconds(claims_end(token)) + 1, "its end")
    daemon.start()
    assert get(home) != token


def claims_end(token):
    import base64
    import datetime
    import json
    body = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    return datetime.datetime.fromtimestamp(claims["exp"], datetime.timezone.utc).strftime(
        "%Y-%m-%dT%H:%M:%SZ")


def test_a_start_with_the_daemon_asks_for_no_second_token(fake, home, daemon):
    home.configure(fake.profile(extra="start = with-daemon"))
    daemon.start()
    rig.wait_until(lambda: "expirationTimestamp" in home.status("p"), "a token")
    token = get(home)
    daemon.restart()
    assert get(home) == token and len(fake.grants()) == 1


def test_a_configuration_that_is_broken_at_a_restart_costs_no_token(fake, home, daemon):
    good = fake.profile("a") + fake.profile("b")
    home.configure(good)
    daemon.start()
    tokens = [get(home, n) for n in "ab"]
    home.configure("nonsense\n")
    for _ in range(2):
        daemon.restart(crash=True)
        assert home.run("get", "a").returncode == 9
    home.configure(good)
    daemon.reload()
    assert [get(home, n) for n in "ab"] == tokens and len(fake.grants()) == 2


# ---- another configuration -----------------------------------------------------------------------


@pytest.mark.parametrize("down", [True, False])
def test_another_identity_is_not_served_that_token(fake, home, daemon, down):
    """And it is wiped, whether the daemon saw the change or not."""
    home.configure(fake.profile())
    daemon.start()
    token = get(home)
    assert token.strip().encode() in kept(daemon)
    home.configure(fake.profile(user="another"))
    if down:
        daemon.restart()
    else:
        daemon.reload()
    assert token.strip().encode() not in kept(daemon)
    assert get(home) != token


@pytest.mark.parametrize("down", [True, False])
def test_a_profile_that_is_gone_leaves_nothing(fake, home, daemon, down):
    home.configure(fake.profile("a") + fake.profile("b", ""))
    daemon.start()
    assert home.run("login", "b", input="canary-typed").returncode == 0
    tokens = [get(home, n).strip().encode() for n in "ab"]
    assert all(t in kept(daemon) for t in tokens)
    home.configure(fake.profile("a"))
    if down:
        daemon.restart()
    else:
        daemon.reload()
    assert [t in kept(daemon) for t in tokens] == [True, False]


def test_a_password_mended_while_nobody_was_there_is_tried(fake, home, daemon):
    fake.answers["/oauth/token"] = lambda r: (
        json_answer(fake.token()) if r.form["password"] == "good" else
        json_answer({"error": "invalid_grant", "error_description": "no"}, 403))
    home.write("pw", "wrong")
    home.configure(fake.profile(password="password-file = pw"))
    daemon.start()
    assert home.run("get").returncode == 6
    end(daemon, "stop")
    home.write("pw", "good")
    daemon.start()
    rig.wait_until(lambda: home.status("p")["state"] == "idle", "a token, unasked")
    assert len(fake.grants()) == 2


# ---- what was typed, and refresh tokens ----------------------------------------------------------


@pytest.mark.parametrize("how", WAYS)
def test_a_typed_password_outlives_a_restart_where_all_is_kept(fake, home, daemon, how):
    home.configure(fake.profile(password="", extra=keep("all")))
    daemon.start()
    assert home.run("login", input="canary-typed").returncode == 0
    for _ in range(2):
        end(daemon, how)
        daemon.start()
        assert home.run("refresh").returncode == 0
    assert [f["password"] for f in forms(fake)] == ["canary-typed"] * 3


@pytest.mark.parametrize("how", WAYS)
def test_else_a_login_is_needed_and_it_is_said_why(fake, home, daemon, how):
    home.configure(fake.profile(password=""))
    daemon.start()
    assert home.run("login", input="canary-typed").returncode == 0
    token = get(home)
    end(daemon, how)
    daemon.start()
    assert get(home) == token
    said = "a restart of kubetokend ended the typed one; keep-over-restart = all keeps it"
    status = home.status("p")
    assert status["state"] == "login needed" and "expirationTimestamp" in status
    assert status["error"]["code"] == "login-needed" and status["error"]["detail"] == said
    assert said in rig.unwrapped(home.run("status").stdout)
    assert [said in line for line in daemon.log.read_text().splitlines()].count(True) == 1
    r = home.run("refresh")
    assert r.returncode == 5 and said in r.stderr
    assert home.run("login", input="canary-typed").returncode == 0
    assert "error" not in home.status("p") and len(fake.grants()) == 2


def test_a_typed_password_ends_when_it_would_have(fake, home, daemon):
    home.configure(fake.profile(password="", extra=keep("all") + "\npassword-lifetime = 1m"))
    daemon.start()
    assert home.run("login", input="canary-typed").returncode == 0
    home.configure(fake.profile(password="", extra=keep("all") + "\npassword-lifetime = 1s"))
    end(daemon, "stop")
    daemon.start()
    rig.wait_until(lambda: b"canary-typed" not in kept(daemon), "the end of a shorter life")


@pytest.mark.parametrize("level, grant", [("all", "refresh_token"), ("tokens", "password")])
def test_a_refresh_token_goes_on_where_all_is_kept(fake, home, daemon, level, grant):
    fake.rotates = True
    home.configure(fake.profile(extra=keep(level)))
    daemon.start()
    token = get(home)
    daemon.restart(crash=True)
    assert get(home) == token
    assert home.run("refresh").returncode == 0
    assert [f["grant_type"] for f in forms(fake)] == ["password", grant]
    if level == "all":
        assert forms(fake)[1]["refresh_token"] == fake.given[0]
        daemon.restart(crash=True)
        assert home.run("refresh").returncode == 0
        assert forms(fake)[2]["refresh_token"] == fake.given[1]


def hang_refresh(fake, home):
    """A request by refresh token is under way; nobody will hear what came of it."""
    before = len(fake.grants())
    go_on = fake.answers["/oauth/token"]
    fake.hang("/oauth/token")
    client = subprocess.Popen([rig.BUILD / "kubetoken", "refresh"], env=home.environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rig.wait_until(lambda: len(fake.grants()) > before, "the request")
    client.kill()
    client.wait()
    fake.answers["/oauth/token"] = go_on


@pytest.mark.parametrize("how", WAYS)
def test_a_refresh_token_under_way_is_never_sent_twice(fake, home, daemon, how):
    """A provider that rotates them takes it for stolen, and ends the session."""
    fake.rotates = True
    home.configure(fake.profile(extra=keep("all")))
    daemon.start()
    token = get(home)
    hang_refresh(fake, home)
    end(daemon, how)
    daemon.start()
    assert get(home) == token
    assert home.run("refresh").returncode == 0
    assert [f["grant_type"] for f in forms(fake)] == ["password", "refresh_token", "password"]


def test_then_a_login_is_needed_where_there_is_no_password(fake, home, daemon):
    fake.rotates = True
    home.configure(fake.profile(password="", extra=keep("all") + "\npassword-lifetime = 1s"))
    daemon.start()
    assert home.run("login", input="canary-typed").returncode == 0
    token = get(home)
    rig.wait_until(lambda: b"canary-typed" not in kept(daemon), "the end of the password")
    hang_refresh(fake, home)
    daemon.restart(crash=True)
    assert get(home) == token
    said = "kubetokend ended while the refresh token was under way, and it is not sent twice"
    assert home.status("p")["state"] == "login needed"
    assert home.status("p")["error"]["detail"] == said and said in daemon.log.read_text()
    r = home.run("refresh")
    assert r.returncode == 5 and said in r.stderr
    assert len(fake.grants()) == 2


# ---- what providers said -------------------------------------------------------------------------


def test_a_pause_that_the_provider_asked_for_outlives_a_restart(fake, home, daemon):
    fake.answers["/oauth/token"] = (503, {"Retry-After": "3000"}, b"")
    home.configure(fake.profile())
    daemon.start()
    first = home.run("get", "--timeout", "1s")
    assert first.returncode == 7
    before = home.status("p")
    for crash in (False, True):
        daemon.restart(crash)
        r = home.run("get", "--timeout", "1s")
        assert (r.returncode, r.stderr) == (7, first.stderr)
        now = home.status("p")
        assert {k: now[k] for k in ("state", "retryTimestamp", "error")} == {
            k: before[k] for k in ("state", "retryTimestamp", "error")}
    assert len(fake.grants()) == 1


def test_a_refused_login_is_told_in_the_same_words(fake, home, daemon):
    fake.answers["/oauth/token"] = json_answer({"error": "invalid_grant",
                                                "error_description": "Wrong email or password."},
                                               403)
    home.configure(fake.profile())
    daemon.start()
    first = home.run("get")
    assert first.returncode == 6
    daemon.restart(crash=True)
    assert home.status("p")["state"] == "stopped"
    assert home.run("get").stderr == first.stderr
    assert len(fake.grants()) == 1


# ---- where it lies -------------------------------------------------------------------------------


def test_a_token_that_was_renewed_or_thrown_away_is_nowhere(fake, home, daemon):
    home.configure(fake.profile(extra=keep("all")))
    daemon.start()
    first = get(home).strip().encode()
    assert kept(daemon).count(first) == 1, "one copy"
    assert home.run("refresh").returncode == 0
    second = get(home).strip().encode()
    assert kept(daemon).count(first) == 0 and kept(daemon).count(second) == 1
    assert first.rsplit(b".", 1)[1] not in kept(daemon)
    assert home.run("logout").returncode == 0
    assert second.rsplit(b".", 1)[1] not in kept(daemon)
    daemon.restart()
    assert home.run("get").returncode == 0 and len(fake.grants()) == 3


@pytest.mark.parametrize("level", ["tokens", "all"])
def test_what_could_be_used_for_a_login_is_there_only_where_all_is_kept(fake, home, daemon, level):
    fake.rotates = True
    home.configure(fake.profile(password="", extra=keep(level)))
    daemon.start()
    assert home.run("login", input="canary-typed").returncode == 0
    assert (b"canary-typed" in kept(daemon)) == (level == "all")
    assert (fake.given[0].encode() in kept(daemon)) == (level == "all")
    assert home.run("refresh").returncode == 0
    assert fake.given[0].encode() not in kept(daemon), "it is used up"
    assert (fake.given[1].encode() in kept(daemon)) == (level == "all")
    home.configure(fake.profile(password="", extra=keep("tokens")))
    daemon.reload()
    assert b"canary" not in kept(daemon), "it moves to where it belongs now"
    assert home.run("logout").returncode == 0
    assert b"canary" not in kept(daemon)


def copy_of(fd):
    copy = os.memfd_create("test", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(copy, os.pread(fd, os.fstat(fd).st_size, 0))
    fcntl.fcntl(copy, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return copy


def test_of_two_stores_the_one_that_was_written_last_counts(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    get(home)
    daemon.extra = [("state", copy_of(daemon.stored))]
    assert home.run("refresh").returncode == 0
    token = get(home)
    for _ in range(2):
        daemon.restart(crash=True)
        assert get(home) == token
    assert daemon.log.read_text().count("not taken up: it is older than another one") == 2
    assert len(fake.grants()) == 2


def test_a_store_that_has_grown_is_taken_up(fake, home, daemon):
    fake.claims = {"groups": ["g" * 40] * 300}
    names = [f"p{i}" for i in range(12)]
    home.configure("".join(fake.profile(n, user=n) for n in names))  # each with logins of its own
    daemon.start()
    size = os.fstat(daemon.stored).st_size
    tokens = [get(home, n) for n in names]
    assert os.fstat(daemon.stored).st_size > size + 12 * len(tokens[0])
    daemon.restart(crash=True)
    assert [get(home, n) for n in names] == tokens and len(fake.grants()) == 12
