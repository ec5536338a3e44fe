"""The life of a token, in real time but by events: waiters, the start, what a renewal changes."""
import base64
import json
import os
import re
import subprocess
import threading

import pytest

import rig
import scripted
from scripted import json_answer

KEYS = "/.well-known/jwks.json"


def start(home, *args):
    return subprocess.Popen([rig.BUILD / "kubetoken", *args], env=home.environment,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_two_hundred_clients_wait_for_one_request(fake, home, daemon):
    release = threading.Event()

    def answer(_):
        release.wait()
        return json_answer(fake.token())
    fake.answers["/oauth/token"] = answer
    home.configure(fake.profile())
    daemon.start()
    clients = [start(home, "get") for _ in range(200)]
    descriptors = f"/proc/{daemon.process.pid}/fd"
    if os.geteuid() == 0:  # the daemon's descriptors are hidden from others
        rig.wait_until(lambda: len(os.listdir(descriptors)) > 200, "all of them")
    else:
        rig.wait_until(fake.grants, "the request")
    release.set()
    outputs = [c.communicate(timeout=rig.PATIENCE) for c in clients]
    assert {c.returncode for c in clients} == {0}
    assert len({out for out, _ in outputs}) == 1 and {err for _, err in outputs} == {""}
    assert len(fake.grants()) == 1


def test_clients_that_go_away_cost_nothing(fake, home, daemon):
    fake.hang("/oauth/token")
    home.configure(fake.profile(extra="timeout = 2s"))
    daemon.start()
    clients = [start(home, "get") for _ in range(20)]
    rig.wait_until(fake.grants, "the request")
    for c in clients:
        c.kill()
        c.communicate(timeout=rig.PATIENCE)
    rig.wait_until(lambda: "error" in home.status("p"), "the request's end")
    del fake.answers["/oauth/token"]
    assert home.run("get").returncode == 0 and daemon.alive


def test_a_client_waits_for_a_retry_that_is_due_in_its_time(fake, home, daemon):
    seen = []

    def answer(_):
        seen.append(1)
        return json_answer(fake.token()) if len(seen) > 1 else (500, {}, b"")
    fake.answers["/oauth/token"] = answer
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0
    assert len(seen) == 2


def test_a_provider_that_was_killed_and_is_back(own_provider, home, daemon):
    """Real: glewlwyd. The token in hand is served meanwhile, and renewed afterwards."""
    home.configure(own_provider.profile("p"))
    daemon.start()
    token = home.run("get").stdout
    own_provider.stop()
    assert home.run("refresh", "--timeout", "1s").returncode == 7
    assert home.run("get").stdout == token
    own_provider.restart()
    rig.wait_until(lambda: home.status("p")["state"] == "idle", "a renewal, by itself")
    assert home.run("get").stdout != token


def test_start_with_the_daemon(fake, home, daemon):
    home.configure(fake.profile(extra="start = with-daemon"))
    daemon.start()
    rig.wait_until(lambda: home.status("p")["state"] == "idle" and
                   "expirationTimestamp" in home.status("p"), "a token that nobody asked for")
    assert home.run("get").returncode == 0
    assert len(fake.grants()) == 1


def test_start_on_demand_is_the_default(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    assert home.status("p")["state"] == "idle"
    assert fake.requests == []


def test_what_a_renewal_changes_is_told(fake, home, daemon):
    fake.claims = {"groups": ["dev", "all"]}
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0
    assert home.run("refresh").returncode == 0
    assert "changedClaims" not in home.status("p")
    fake.claims = {"groups": ["all", "ops"], "email": "other\n@example.com"}
    assert home.run("refresh").returncode == 0
    changed = home.status("p")["changedClaims"]
    assert "groups: +ops -dev" in changed
    assert "email: someone@example.com -> other @example.com" in changed
    assert "groups: +ops -dev" in home.run("status").stdout
    assert "claims changed" in daemon.log.read_text()
    assert home.run("refresh").returncode == 0
    assert home.status("p")["changedClaims"] == changed, "the last change stays to be seen"


def test_status_says_why_since_when_and_what_comes_next(fake, home, daemon):
    fake.answers["/oauth/token"] = (503, {"Retry-After": "600"}, b"")
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get", "--timeout", "2s").returncode == 7
    text = home.run("status").stdout
    assert "waiting" in text and re.search(r"retry in (9|10|11|12) min", text)
    assert "p: waiting for " in text and "p: error: the provider has a fault: HTTP 503" in text
    status = home.status("p")
    assert status["state"] == "waiting" and status["error"]["code"] == "provider-fault"
    pause = rig.seconds(status["retryTimestamp"]) - rig.seconds(status["sinceTimestamp"])
    assert pause in range(598, 722), "and up to two minutes more, so that many part"


def test_a_late_use_brings_the_renewal_back(fake, home, daemon):
    """When it was due beyond keep-fresh nothing was timed; somebody who asks again changes that."""
    fake.lifetime = 14
    home.configure(fake.profile(extra="keep-fresh = 4s\nrefresh-before = 50%"))
    daemon.start()
    assert home.run("get").returncode == 0
    assert home.run("refresh").returncode == 0  # the first one may be renewed at any time
    assert "renewalTimestamp" not in home.status("p")
    rig.wait_until(lambda: home.status("p")["expiresInSeconds"] < 10, "some seconds")
    assert home.run("get").returncode == 0
    rig.wait_until(lambda: len(fake.grants()) == 3, "a renewal")


def kid_of(token):
    return json.loads(base64.urlsafe_b64decode(token.split(".")[0] + "=="))["kid"]


def test_a_signing_key_that_is_rotated_while_the_daemon_runs(own_provider, home, daemon):
    """Real: glewlwyd. The keys at hand are not a minute old, and looked up again all the same."""
    home.configure(own_provider.profile("p"))
    daemon.start()
    first = home.run("get").stdout
    assert home.status("p")["verified"]
    own_provider.rotate()
    assert home.run("refresh").returncode == 0
    second = home.run("get").stdout
    assert kid_of(second) != kid_of(first)
    status = home.status("p")
    assert (status["verified"], status["warnings"]) == (True, [])
    r = home.run("inspect")
    assert "signature" in r.stdout and r.returncode == 0, "inspect has no keys of before"


@pytest.mark.parametrize("kid", ["key-1", "key-2"])
def test_a_key_rotated_within_the_minute_is_no_failure(fake, home, daemon, kid):
    """With a new name or that of the one before."""
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0
    fake.key = scripted.Key(kid)
    r = home.run("refresh")
    assert (r.returncode, r.stderr) == (0, "")
    assert home.run("get").stdout.strip() == fake.tokens[-1]
    status = home.status("p")
    assert (status["verified"], status["warnings"], status["state"]) == (True, [], "idle")


def test_a_provider_with_a_thousand_keys(fake, home, daemon):
    fake.answers[KEYS] = json_answer(
        {"keys": [*(fake.key.jwk(kid=f"other-{i}") for i in range(1000)), fake.key.jwk()]})
    home.configure(fake.profile())
    daemon.start()
    for _ in range(2):
        assert home.run("refresh").returncode == 0
        assert home.status("p")["verified"]
    assert [r.path for r in fake.requests].count(KEYS) == 1
