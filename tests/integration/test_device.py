"""`grant = device`: a login that a person confirms in a browser (RFC 8628)."""
import contextlib
import json
import os
import re
import signal
import stat
import subprocess
import threading
import time

import pytest

import pseudo_terminal
import rig
from scripted import json_answer

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
PENDING = (400, {"error": "authorization_pending"})


class Devices:
    """A provider's part of it. What a poll is answered is `said`, (status, members), until somebody
    confirms; a poll beyond `script` gets that."""

    def __init__(self, fake):
        self.fake = fake
        self.page = fake.base + "/activate"
        self.code = {"device_code": "canary-device", "user_code": "WDJB-MJHT",
                     "verification_uri": self.page,
                     "verification_uri_complete": self.page + "?user_code=WDJB-MJHT",
                     "expires_in": 900, "interval": 1}
        self.script = []
        self.said = PENDING
        self.refresh = True
        self.polls = []  # times
        self.polled = threading.Semaphore(0)
        self.asked = []
        discovery = fake.discovery()
        fake.discovery = lambda: {**discovery, "device_authorization_endpoint":
                                  fake.base + "/oauth/device/code"}
        fake.answers["/oauth/device/code"] = self.begin
        fake.answers["/oauth/token"] = self.answer

    def begin(self, request):
        self.asked.append(request.form)
        return json_answer({k: v for k, v in self.code.items() if v is not None})

    def token(self):
        return json_answer(self.fake.token(**({"refresh_token": "canary-r0"} if self.refresh
                                              else {})))

    def answer(self, request):
        if request.form["grant_type"] == "refresh_token":
            return self.token()
        assert request.form["grant_type"] == DEVICE_GRANT
        assert request.form["device_code"] == self.code["device_code"]
        self.polls.append(request.at)
        said = self.script.pop(0) if self.script else self.said
        self.polled.release()
        if callable(said):
            return said(request)
        return self.token() if said == "confirmed" else json_answer(said[1], said[0])

    def await_polls(self, n):
        for _ in range(n):
            assert self.polled.acquire(timeout=rig.PATIENCE)

    def profile(self, name="p", extra=""):
        return (f"[profile {name}]\nissuer = {self.fake.issuer}\nca-file = {self.fake.ca_file}\n"
                f"client-id = client\ngrant = device\n{extra}\n")


@pytest.fixture
def devices(fake):
    return Devices(fake)


@pytest.fixture
def ready(devices, home, daemon):
    home.configure(devices.profile())
    daemon.start()
    return devices


@contextlib.contextmanager
def login(home, *args):
    """`kubetoken login` under way, as a program without a terminal has it."""
    p = subprocess.Popen([rig.BUILD / "kubetoken", "login", *args], env=home.environment,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                         text=True)
    try:
        yield p
    finally:
        p.kill()
        p.communicate()


def finish(process):
    out, err = process.communicate(timeout=rig.PATIENCE)
    return process.returncode, out, err


def pauses(polls):
    return [b - a for a, b in zip(polls, polls[1:])]


def last_line(text):
    return text.strip().split("\n")[-1]


def test_it_shows_code_and_page_and_waits_until_it_is_confirmed(ready, home, daemon):
    ready.script = [PENDING, PENDING, "confirmed"]
    r = home.run("login", "p")
    assert (r.returncode, r.stdout) == (0, "p: logged in as someone@example.com\n"), r.stderr
    assert "WDJB-MJHT" in r.stderr and ready.page + "\n" in r.stderr
    assert ready.page + "?user_code=WDJB-MJHT\n" in r.stderr and "15 min" in r.stderr
    assert "Confirm it only because you have said kubetoken login yourself" in r.stderr
    assert home.run("get").returncode == 0
    assert len(ready.polls) == 3 and len(ready.asked) == 1
    assert ready.asked[0]["scope"].split()[0] == "openid" and "grant_type" not in ready.asked[0]
    assert "logged in, by device" in home.run("log").stdout
    entry = [e for e in map(json.loads, home.run("log", "--json").stdout.splitlines())
             if e["event"] == "token"][0]
    assert (entry["by"], entry["reason"]) == ("device", "login")
    told = daemon.log.read_text() + home.run("status", "--json").stdout + home.run("log").stdout
    assert "WDJB" not in told and "canary" not in told and "/activate" not in told


def test_what_it_brings_is_renewed_by_refresh_token(ready, home):
    ready.script = ["confirmed"]
    assert home.run("login").returncode == 0
    assert home.run("refresh").returncode == 0
    assert [r.form["grant_type"] for r in ready.fake.grants()] == [DEVICE_GRANT, "refresh_token"]
    assert home.run("logout").returncode == 0
    r = home.run("get")
    assert r.returncode == 5 and "kubetoken login p" in r.stderr


def test_get_and_refresh_name_the_login_and_begin_none(ready, home):
    for words in (["get"], ["refresh"], ["get", "-o", "exec/v1"]):
        r = home.run(*words)
        assert (r.returncode, r.stdout) == (5, "")
        assert r.stderr == "kubetoken: p: nobody is logged in: kubetoken login p\n"
    assert ready.asked == [] and ready.fake.grants() == []
    assert home.status("p")["error"]["code"] == "not-logged-in"
    assert home.status("p")["state"] == "login needed"


def test_without_a_refresh_token_a_login_is_needed_at_its_end(ready, home, daemon):
    ready.refresh = False
    ready.fake.lifetime = 6
    ready.script = ["confirmed"]
    assert home.run("login").returncode == 0
    assert home.run("get").returncode == 0
    rig.wait_until(lambda: home.run("get").returncode == 5, "its end")
    assert "kubetoken login p" in home.run("get").stderr
    assert "kubetoken login p" in daemon.log.read_text()
    assert [r.form["grant_type"] for r in ready.fake.grants()] == [DEVICE_GRANT]


def test_a_refused_refresh_token_is_the_cause_that_is_told(ready, home):
    ready.script = ["confirmed"]
    assert home.run("login").returncode == 0
    ready.fake.answers["/oauth/token"] = json_answer({"error": "invalid_grant"}, 400)
    assert home.run("refresh").returncode == 5
    r = home.run("refresh")
    assert r.returncode == 5 and "kubetoken login p" in r.stderr and r.stderr.count("\n") == 1
    assert home.status("p")["error"]["code"] == "not-logged-in"


def test_a_refresh_token_of_another_login_is_used_no_more(ready, home):
    """Whoever confirmed the second may be another user."""
    ready.script = ["confirmed"]
    assert home.run("login").returncode == 0
    ready.refresh, ready.script = False, ["confirmed"]
    assert home.run("login").returncode == 0
    assert home.run("refresh").returncode == 5
    assert [r.form["grant_type"] for r in ready.fake.grants()] == [DEVICE_GRANT] * 2


def test_slow_down_is_for_good(ready, home):
    """RFC 8628 §3.5: five seconds more for that and all later ones."""
    ready.script = [PENDING, (429, {"error": "slow_down"}), PENDING, "confirmed"]
    assert home.run("login").returncode == 0
    first, slowed, after = pauses(ready.polls)
    assert first < 5.9 and slowed > 5.9 and after > 5.9


def test_five_seconds_where_no_interval_is_given(ready, home):
    ready.code["interval"] = None
    ready.script = [PENDING, "confirmed"]
    assert home.run("login").returncode == 0
    assert pauses(ready.polls)[0] > 4.9


@pytest.mark.parametrize("status, members", [
    (403, {"error": "authorization_pending", "error_description": "User has yet to authorize"}),
    (400, {"error": "authorization_pending"}),
    (400, {"error": "authorization_pending", "error_codes": [70016],
           "error_description": "AADSTS70016: OAuth 2.0 device flow error.\r\nTrace ID: 1"}),
    (401, {"error": "authorization_pending"}),
    (428, {"error": "authorization_pending", "error_description": "Precondition Required"}),
    (429, {"error": "authorization_pending"}),
], ids=["auth0", "keycloak-okta", "entra", "dex", "google", "429"])
def test_pending_is_judged_by_its_word(ready, home, status, members):
    ready.script = [(status, members), "confirmed"]
    r = home.run("login")
    assert r.returncode == 0, r.stderr


@pytest.mark.parametrize("status, error, code, exit_code", [
    (403, "access_denied", "login-denied", 6),
    (400, "authorization_declined", "login-denied", 6),
    (400, "expired_token", "code-expired", 5),
    (403, "expired_token", "code-expired", 5),
    (400, "invalid_grant", "code-expired", 5),
    (400, "bad_verification_code", "code-expired", 5),
])
def test_its_end_is_told_and_nothing_is_asked_any_more(ready, home, daemon, status, error, code,
                                                       exit_code):
    ready.said = (status, {"error": error, "error_description": "No.\r\nTrace ID: canary-device"})
    r = home.run("login")
    assert r.returncode == exit_code and r.stdout == ""
    line = last_line(r.stderr)
    assert "kubetoken: p: " in line and f"HTTP {status}, {error}" in line, line
    assert "kubetoken login" in line and "canary" not in r.stderr
    assert len(ready.polls) == 1
    assert "no token by device" in home.run("log").stdout
    entries = map(json.loads, home.run("log", "--json").stdout.splitlines())
    assert code in {e.get("error", {}).get("code") for e in entries}
    assert home.run("get").returncode == 5  # and not the error of that login


def test_when_its_time_is_over_there_is_no_other_poll(ready, home):
    ready.code.update(expires_in=3, interval=2)
    r = home.run("login")
    assert r.returncode == 5 and "nobody has confirmed it in time" in r.stderr
    assert len(ready.polls) == 1


def test_what_may_pass_is_no_end(ready, home):
    def fault(_):
        return 502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>"

    def no_answer(_):
        return iter([b""])  # it closes the connection

    ready.script = [fault, no_answer, (503, {"error": "temporarily_unavailable"}), "confirmed"]
    assert home.run("login").returncode == 0
    first, second, third = pauses(ready.polls)
    assert first > 1.9 and second > 3.9 and third > 7.9  # twice as long each time


def test_a_client_that_ends_ends_it(ready, home):
    with login(home) as p:
        ready.await_polls(1)
        p.send_signal(signal.SIGINT)
        assert finish(p)[0] == -signal.SIGINT
    rig.wait_until(lambda: "loginExpirationTimestamp" not in home.status("p"), "its end")
    n = len(ready.polls)
    with login(home) as p:  # the next one has a code of its own
        ready.await_polls(n)
        ready.said = "confirmed"
        assert finish(p)[0] == 0
    assert len(ready.asked) == 2


def test_two_have_one_and_it_ends_with_the_last(ready, home):
    with login(home) as first, login(home, "p") as second:
        ready.await_polls(1)
        rig.wait_until(lambda: home.status("p").get("loginExpirationTimestamp"), "a code")
        first.send_signal(signal.SIGTERM)
        assert finish(first)[0] == -signal.SIGTERM
        ready.await_polls(1)
        ready.said = "confirmed"
        code, out, err = finish(second)
    assert code == 0 and out == "p: logged in as someone@example.com\n" and "WDJB-MJHT" in err
    assert len(ready.asked) == 1


@pytest.mark.parametrize("what", ["logout", "refresh-token", "identity", "gone"])
def test_what_else_ends_it(ready, home, daemon, what):
    with login(home) as p:
        ready.await_polls(1)
        if what == "logout":
            assert home.run("logout", "p").returncode == 0
        elif what == "refresh-token":
            assert home.run("login", "--refresh-token", "p", input="canary-r9").returncode == 0
        else:
            home.configure(ready.profile("p" if what == "identity" else "q",
                                         "scope = openid groups"))
            daemon.reload()
        code, out, err = finish(p)
    words = {"logout": "somebody said logout", "refresh-token": "somebody logged in otherwise",
             "identity": "another identity", "gone": "no longer configured"}[what]
    assert code in (1, 4) and out == "" and words in err, err


def test_a_reload_of_the_same_identity_does_not(ready, home, daemon):
    with login(home) as p:
        ready.await_polls(1)
        home.configure(ready.profile(extra="keep-fresh = 1h"))
        daemon.reload()
        ready.await_polls(1)
        ready.said = "confirmed"
        assert finish(p)[0] == 0


def test_meanwhile_get_and_status_say_so(ready, home):
    with login(home) as p:
        ready.await_polls(1)
        r = home.run("get")
        assert r.returncode == 5 and "waits to be confirmed" in r.stderr
        assert r.stderr.count("\n") == 1
        assert re.search(r"login to confirm, 14 min", home.run("status").stdout)
        assert "loginExpirationTimestamp" in home.status("p")
        ready.said = "confirmed"
        assert finish(p)[0] == 0
    assert "loginExpirationTimestamp" not in home.status("p")


def test_a_token_in_hand_is_served_meanwhile_and_renewed(ready, home):
    """One request for a token at a time: a poll waits for a renewal that is under way."""
    ready.script = ["confirmed"]
    assert home.run("login").returncode == 0
    with login(home) as p:
        ready.await_polls(2)
        assert home.run("get").returncode == 0
        under_way, go_on = threading.Event(), threading.Event()
        former = ready.fake.answers["/oauth/token"]

        def answer(request):
            if request.form["grant_type"] == "refresh_token":
                under_way.set()
                go_on.wait(rig.PATIENCE)
            return former(request)

        ready.fake.answers["/oauth/token"] = answer
        refresh = threading.Thread(target=home.run, args=("refresh",))
        refresh.start()
        assert under_way.wait(rig.PATIENCE)
        n = len(ready.polls)
        time.sleep(2.5)  # more than two intervals of polls
        assert len(ready.polls) == n
        go_on.set()
        refresh.join()
        ready.said = "confirmed"
        assert finish(p)[0] == 0


def test_where_the_provider_has_none_that_is_told(fake, home, daemon):
    home.configure(f"[profile p]\nissuer = {fake.issuer}\nca-file = {fake.ca_file}\n"
                   "client-id = client\ngrant = device\n")
    daemon.start()
    r = home.run("login")
    assert r.returncode == 8 and "no device_authorization_endpoint" in r.stderr
    assert r.stderr.count("\n") == 1


def test_a_client_that_may_not_is_told(ready, home):
    ready.fake.answers["/oauth/device/code"] = json_answer(
        {"error": "unauthorized_client", "error_description": "Grant type not allowed"}, 403)
    r = home.run("login")
    assert r.returncode == 6 and "Grant type not allowed" in r.stderr
    assert r.stderr.count("\n") == 1


@pytest.mark.parametrize("change, says", [
    ({"device_code": None}, "no device_code"), ({"user_code": None}, "no user_code"),
    ({"user_code": "a\x1b[2J"}, "no user_code"), ({"user_code": "x" * 65}, "no user_code"),
    ({"verification_uri": "http://login.example.com/"}, "no verification_uri"),
    ({"verification_uri": "https://login.example.com/\x1b[2J"}, "no verification_uri"),
    ({"verification_uri": None}, "no verification_uri"), ({"expires_in": None}, "how long"),
    ({"expires_in": -1}, "how long"),
])
def test_an_answer_that_cannot_be_shown_is_none(ready, home, change, says):
    ready.code.update(change)
    r = home.run("login")
    assert r.returncode == 8 and says in r.stderr and "\x1b" not in r.stderr
    assert ready.polls == []


def test_only_whole_pages_are_shown(ready, home):
    ready.code.update(verification_uri=None, verification_url=ready.page, interval=None,
                      verification_uri_complete="javascript:alert(1)", expires_in="900")
    ready.script = ["confirmed"]
    r = home.run("login")
    assert r.returncode == 0 and ready.page in r.stderr and "javascript" not in r.stderr


def test_no_password_is_taken_and_no_name(ready, home):
    r = home.run("login", "--username", "me")
    assert r.returncode == 2 and "grant = device" in r.stderr
    answer = rig.ask(home, b"login * p secret=2 once\npw")
    assert answer.startswith(b"error usage") and b"kubetoken login p" in answer


def test_a_profile_with_a_password_has_none(fake, home, daemon, devices):
    home.configure(fake.profile())
    daemon.start()
    assert rig.ask(home, b"login device p once\n").startswith(b"error usage")
    assert devices.asked == []


def test_a_client_that_shuts_down_its_side_reads_all(ready, home):
    """`echo login device p | socat - UNIX-CONNECT:...`"""
    ready.script = [PENDING, "confirmed"]
    answer = rig.ask(home, b"login device p once\n")
    assert answer.startswith(b"part ") and b"user-code WDJB-MJHT\n" in answer
    assert answer.endswith(b"p: logged in as someone@example.com\n"), answer


def write_qrencode(home, text):
    path = home.folder / "bin" / "qrencode"
    path.parent.mkdir()
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return f"{path.parent}:{home.environment['PATH']}"


QRENCODE = """#!/bin/sh
cat > "$HOME/given"
echo "$@" > "$HOME/words"
printf '\\033[40;37;1m████\\033[0m\\n\\033[40;37;1m████\\033[0m\\n'
"""


@pytest.mark.parametrize("columns, drawn", [(80, True), (3, False)])
def test_where_qrencode_is_the_page_is_drawn(ready, home, columns, drawn):
    home.environment["PATH"] = write_qrencode(home, QRENCODE)
    with contextlib.closing(pseudo_terminal.Terminal(home, "login", columns=columns,
                                                     rows=60)) as t:
        t.until(lambda _: b"The code lives" in t.raw)
        assert ("████" in t.raw.decode()) == drawn
        ready.said = "confirmed"
        assert t.end()[0] == 0
    assert (home.folder / "given").read_text() == ready.page + "?user_code=WDJB-MJHT"
    assert "WDJB" not in (home.folder / "words").read_text()


def test_a_qrencode_that_fails_is_no_failure(ready, home):
    home.environment["PATH"] = write_qrencode(home, "#!/bin/sh\nexit 3\n")
    ready.script = ["confirmed"]
    with contextlib.closing(pseudo_terminal.Terminal(home, "login", rows=60)) as t:
        assert t.end()[0] == 0 and "logged in as" in t.text


def test_a_real_provider_with_a_client_that_has_a_secret(provider, home, daemon):
    """Glewlwyd, which answers a refresh without an id_token: the next token needs a login."""
    facts = provider.facts
    home.configure(f"[profile p]\nissuer = {facts['issuer']}\nca-file = {facts['ca_file']}\n"
                   "client-id = device\nclient-secret = device-secret\ngrant = device\n")
    daemon.start()
    assert home.run("get").returncode == 5
    with login(home) as p:
        page = None
        while not page:
            page = re.search(r"https://\S+code=\S+", p.stderr.readline())
        provider.confirm(page[0])
        code, out, _ = finish(p)
    assert (code, out) == (0, "p: logged in as someone@example.com\n")
    assert home.run("get").returncode == 0
    assert re.search(r"ok +signature", home.run("inspect").stdout)
    r = home.run("refresh")
    assert r.returncode == 5 and "kubetoken login p" in r.stderr and r.stderr.count("\n") == 1
    assert home.run("get").returncode == 0  # what is in hand goes on


def test_a_real_provider_refuses_a_client_that_may_not(provider, home, daemon):
    facts = provider.facts
    home.configure(f"[profile p]\nissuer = {facts['issuer']}\nca-file = {facts['ca_file']}\n"
                   "client-id = kubernetes\nclient-secret = kubernetes-secret\n"
                   "grant = device\n")
    daemon.start()
    r = home.run("login")
    assert r.returncode == 6 and r.stderr.count("\n") == 1, r.stderr
