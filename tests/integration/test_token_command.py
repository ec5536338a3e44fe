"""token-command: another program's id_token, verified, kept and renewed as any other."""
import json
import signal
import time

import pytest

import rig
import scripted
from scripted import json_answer

KEYS = "/.well-known/jwks.json"


class Tool:
    """A program that prints what a test tells it to, and counts how often it ran."""

    def __init__(self, home):
        self.program = home.folder / "tool"
        self.printed = home.folder / "printed"
        self.runs = home.folder / "runs"
        self.script("cat '%s'" % self.printed)

    def script(self, text):
        self.program.write_text(f"#!/bin/sh\necho run >>'{self.runs}'\n{text}\n")
        self.program.chmod(0o700)

    def prints(self, text):
        """Whole at any time: the tool may run just now."""
        new = self.printed.with_name("new")
        new.write_text(text)
        new.chmod(0o600)
        new.rename(self.printed)

    @property
    def count(self):
        return self.runs.read_text().count("\n") if self.runs.exists() else 0


@pytest.fixture
def tool(home):
    return Tool(home)


def profile(fake, tool, extra="", name="p"):
    return (f"[profile {name}]\nissuer = {fake.issuer}\nca-file = {fake.ca_file}\n"
            f"client-id = client\ntoken-command = {tool.program}\n{extra}\n")


@pytest.fixture
def started(fake, home, daemon, tool):
    """A daemon with profile p, whose tool prints a token of an hour."""
    tool.prints(fake.id_token(exp=int(fake.clock()) + 3600) + "\n")
    home.configure(profile(fake, tool))
    daemon.start()
    return home


def failure(home, *args):
    r = home.run("get", "p", *args)
    assert r.returncode != 0 and r.stdout == ""
    return home.status("p")["error"], r


def test_its_token_is_verified_and_served(fake, started, tool):
    """A provider that only issues to its own, as those of CI: no token endpoint is named."""
    document = {k: v for k, v in fake.discovery().items() if "token_endpoint" not in k}
    fake.answers["/.well-known/openid-configuration"] = json_answer(document)
    for _ in range(3):
        r = started.run("get", "p")
        assert (r.returncode, r.stdout, r.stderr) == (0, fake.tokens[-1] + "\n", "")
    assert tool.count == 1
    assert {r.path for r in fake.requests} == {"/.well-known/openid-configuration", KEYS}
    state = started.status("p")
    assert state["user"] == "someone@example.com" and "error" not in state
    r = started.run("inspect", "p")
    assert r.returncode == 0 and "signature" in r.stdout


@pytest.mark.parametrize("form", [
    "{}", "\n {} \r\n", '{{"id_token": "{}", "token": "x.y.z"}}', '{{"token": "{}"}}',
    '{{"value": "{}", "count": 1}}',
    '{{"kind": "ExecCredential", "apiVersion": "client.authentication.k8s.io/v1beta1", '
    '"spec": {{}}, "token": "not.this.one", "status": {{"token": "{}"}}}}'])
def test_what_it_prints_may_have_these_forms(fake, started, tool, form):
    tool.prints(form.format(fake.tokens[-1]))
    assert started.run("get", "p").stdout == fake.tokens[-1] + "\n"


CANARY = "canary-printed"


@pytest.mark.parametrize("printed, says", [
    ("", "nothing"), (" \n", "nothing"),
    (f"{CANARY}\n{CANARY}.a.b\n", "2 lines"),
    (f"please log in: {CANARY}", "has blanks in it"),
    (f"{CANARY}{'x' * 100}", "no JWT"),
    ('{"access_token": "%s"}' % CANARY, "without id_token, token or value"),
    ('{"kind": "ExecCredential", "token": "%s.b.c"}' % CANARY, "without status.token"),
    ('{"id_token": "%s"' % CANARY, "begins as JSON and is none"),
    ('{"id_token": ""}', "is empty"),
])
def test_what_is_no_token_is_told_and_not_quoted(started, daemon, tool, printed, says):
    tool.prints(printed)
    error, r = failure(started)
    assert error["code"] == "command-token" and says in error["detail"], error
    assert r.returncode == 9 and says in r.stderr
    shown = r.stdout + r.stderr + daemon.log.read_text() + started.run("status").stdout
    assert CANARY not in shown + started.run("log").stdout


@pytest.mark.parametrize("script, code, says", [
    ("exit 3", "credential", "exit status 3"),
    ("echo 'not logged in' >&2; exit 1", "credential", "not logged in"),
    ("kill -9 $$", "credential", "killed by signal 9"),
    ("head -c 70000 /dev/zero | tr '\\0' a", "credential", "more than 64 KiB"),
    ("printf 'a\\000b'", "command-token", "NUL"),
])
def test_a_command_that_fails_is_told(started, tool, script, code, says):
    tool.script(script)
    error, r = failure(started)
    assert error["code"] == code and says in error["detail"] and says in r.stderr


def test_a_command_that_hangs_is_named_to_who_waits(started, tool):
    tool.script("echo $$ >'%s'; exec sleep 1000" % (started.folder / "pid"))
    r = started.run("get", "p", "--timeout", "1s")
    assert r.returncode == 9 and "the command has not ended yet" in r.stderr
    pid = rig.wait_until(lambda: (started.folder / "pid").exists()
                         and (started.folder / "pid").read_text().strip(), "the command")
    assert started.run("logout", "p").returncode == 0
    rig.wait_until(lambda: not rig.pathlib.Path(f"/proc/{pid}").exists(), "its end")


def test_a_command_that_others_can_change_is_not_run(started, tool):
    tool.program.chmod(0o777)
    error, _ = failure(started)
    assert error["code"] == "credential" and "is not run" in error["detail"]
    assert tool.count == 0


@pytest.mark.parametrize("claims, code", [
    ({"aud": "another"}, "token-audience"), ({"iss": "https://other.example/"}, "issuer-mismatch"),
    ({"exp": None}, "token-invalid"), ({"nbf": 9e9}, "token-invalid")])
def test_a_token_that_the_api_server_would_reject_is_not_served(fake, started, tool, claims, code):
    tool.prints(fake.id_token(**{"exp": int(fake.clock()) + 3600, **claims}))
    error, r = failure(started)
    assert error["code"] == code and r.returncode == 8
    assert started.status("p")["state"] == "waiting"


def test_a_token_that_nobody_signed_is_not_served(fake, started, tool):
    tool.prints(scripted.Key().sign({"iss": fake.issuer, "aud": "client",
                                     "exp": int(fake.clock()) + 3600}))
    error, _ = failure(started)
    assert error["code"] == "token-signature"


def test_without_keys_nothing_vouches_for_it(fake, started):
    """Unlike a token straight from the provider, which TLS vouches for."""
    fake.answers[KEYS] = (503, {"Retry-After": "1800"}, b"")
    r = started.run("get", "p", "--timeout", "1s")
    assert r.returncode != 0 and r.stdout == ""
    rig.wait_until(lambda: "error" in started.status("p"), "a failure")
    state = started.status("p")
    assert state["error"]["code"] == "keys-invalid" and "HTTP 503" in state["error"]["detail"]
    assert rig.seconds(state["retryTimestamp"]) > time.time() + 1700


def test_that_an_old_token_is_short_says_nothing_of_the_next_one(fake, started, tool):
    now = int(fake.clock())
    tool.prints(fake.id_token(iat=now - 3000, exp=now + 600))
    assert started.run("get", "p").returncode == 0
    r = started.run("get", "p", "--min-validity", "30m", "--timeout", "1s")
    assert r.returncode == 8 and tool.count == 2
    tool.prints(fake.id_token(iat=now, exp=now + 3600))
    assert started.run("refresh", "p").returncode == 0
    r = started.run("get", "p", "--min-validity", "30m")
    assert (r.returncode, r.stdout) == (0, fake.tokens[-1] + "\n")
    r = started.run("get", "p", "--min-validity", "2h", "--timeout", "1s")
    assert r.returncode == 8 and tool.count == 4


def test_an_expired_token_is_not_served(fake, started, tool):
    tool.prints(fake.id_token(iat=int(fake.clock()) - 3600, exp=int(fake.clock()) - 60))
    error, r = failure(started)
    assert error["code"] == "command-stale" and "has expired" in error["detail"]
    assert r.returncode == 8


@pytest.mark.parametrize("ahead", [-7200, 7200])
def test_an_old_token_lives_no_longer_than_the_provider_says(fake, started, tool, ahead):
    """One that the tool had for long: exp - iat is no life of it. The wall clock says nothing."""
    fake.clock = lambda: time.time() + ahead
    now = int(fake.clock())
    tool.prints(fake.id_token(iat=now - 3000, exp=now + 600))
    assert started.run("get", "p").returncode == 0
    assert 570 < started.status("p")["expiresInSeconds"] <= 600


def test_keys_that_a_cache_on_the_way_has_kept_date_nothing_back(fake, started, tool):
    now = int(fake.clock())
    fake.answers[KEYS] = json_answer({"keys": [fake.key.jwk()]}, Age="500", Date=
                                     time.strftime("%a, %d %b %Y %H:%M:%S GMT",
                                                   time.gmtime(now - 500)))
    tool.prints(fake.id_token(iat=now - 3000, exp=now + 400))
    assert started.run("get", "p").returncode == 0
    assert started.status("p")["expiresInSeconds"] <= 400


def test_without_a_date_the_wall_clock_says_what_is_left(fake, started, tool):
    fake.answers[KEYS] = json_answer({"keys": [fake.key.jwk()]}, Date=None)
    now = int(fake.clock())
    tool.prints(fake.id_token(iat=now - 3000, exp=now + 600))
    assert started.run("get", "p").returncode == 0
    assert started.status("p")["expiresInSeconds"] <= 600


def test_a_refresh_runs_it_again_and_keys_are_not_asked_for_again(fake, started, tool):
    assert started.run("get", "p").returncode == 0
    n = len(fake.requests)
    tool.prints(fake.id_token(iat=int(fake.clock()) + 1, exp=int(fake.clock()) + 3600))
    assert started.run("refresh", "p").returncode == 0
    assert started.run("get", "p").stdout == fake.tokens[-1] + "\n"
    assert tool.count == 2 and len(fake.requests) == n


def test_the_same_token_again_is_told_to_who_asked_for_another(fake, started, tool):
    assert started.run("get", "p").returncode == 0
    r = started.run("refresh", "p")
    assert r.returncode == 8 and "it is the one in hand" in r.stderr
    assert started.run("get", "p").stdout == fake.tokens[-1] + "\n"
    assert tool.count == 2
    error = started.status("p")["error"]
    assert error["code"] == "command-stale"


def test_the_same_token_again_is_no_failure_when_nobody_asked(fake, home, daemon, tool):
    """Many programs keep a token until it is nearly dead: it is asked for again later."""
    tool.prints(fake.id_token(exp=int(fake.clock()) + 60))
    home.configure(profile(fake, tool, "keep-fresh = always\nrefresh-before = 55s"))
    daemon.start()
    assert home.run("get", "p").returncode == 0
    rig.wait_until(lambda: tool.count > 1, "a renewal")
    rig.wait_until(lambda: home.status("p")["state"] == "idle", "its end")
    state = home.status("p")
    assert "error" not in state and rig.seconds(state["renewalTimestamp"]) > time.time() - 1
    assert "no newer" not in daemon.log.read_text()
    tool.prints(fake.id_token(iat=int(fake.clock()) + 1, exp=int(fake.clock()) + 3600))
    rig.wait_until(lambda: home.run("get", "p").stdout == fake.tokens[-1] + "\n", "the new one")


def test_it_is_renewed_ahead_with_nobody_asking(fake, home, daemon, tool):
    tool.prints(fake.id_token(exp=int(fake.clock()) + 30))
    home.configure(profile(fake, tool))
    daemon.start()
    assert home.run("get", "p").returncode == 0
    tool.prints(fake.id_token(iat=int(fake.clock()) + 1, exp=int(fake.clock()) + 3600))
    rig.wait_until(lambda: home.status("p").get("expiresInSeconds", 0) > 1000, "a renewal")
    assert tool.count >= 2


def test_a_token_in_hand_outlives_command_and_provider(fake, started, tool):
    assert started.run("get", "p").returncode == 0
    tool.script("exit 1")
    assert started.run("refresh", "p").returncode == 9
    assert started.run("get", "p").stdout == fake.tokens[-1] + "\n"
    fake.refuse()
    tool.script("cat '%s'" % tool.printed)
    served = fake.tokens[-1]
    tool.prints(scripted.Key("new").sign({"iss": fake.issuer, "aud": "client",
                                          "iat": int(time.time()) + 1,
                                          "exp": int(time.time()) + 3600}))
    assert started.run("refresh", "p").returncode != 0
    assert started.run("get", "p").stdout == served + "\n"


def test_a_provider_that_is_down_is_not_missed_while_its_keys_are_known(fake, started, tool):
    assert started.run("get", "p").returncode == 0
    fake.refuse()
    tool.prints(fake.id_token(iat=int(fake.clock()) + 1, exp=int(fake.clock()) + 600))
    assert started.run("refresh", "p").returncode == 0
    assert started.run("get", "p").stdout == fake.tokens[-1] + "\n"
    assert started.status("p")["expiresInSeconds"] <= 600


def test_a_new_key_is_fetched_for_a_token_that_it_signed(fake, started, tool):
    assert started.run("get", "p").returncode == 0
    fake.key = scripted.Key("key-2")
    tool.prints(fake.id_token(iat=int(fake.clock()) + 1, exp=int(fake.clock()) + 3600))
    assert started.run("refresh", "p").returncode == 0
    assert started.run("get", "p").stdout == fake.tokens[-1] + "\n"


def test_a_rejected_token_has_it_asked_again(fake, started, tool):
    """Signed by another key of the same name; --rejected counts from 10 s of age on, as a client
    of client-go does from its second look on."""
    assert started.run("get", "p").returncode == 0
    tool.prints(fake.id_token(iat=int(fake.clock()) + 1, exp=int(fake.clock()) + 3600))
    rig.wait_until(lambda: started.run("get", "--rejected", "p").stdout
                   == fake.tokens[-1] + "\n", "another token")
    assert tool.count == 2


def test_another_user_of_the_tool_is_told(fake, started, daemon, tool):
    """Also where their token is the older one."""
    assert started.run("get", "p").returncode == 0
    tool.prints(fake.id_token(sub="auth0|2", email="other@example.com",
                              iat=int(fake.clock()) - 60, exp=int(fake.clock()) + 3000))
    assert started.run("refresh", "p").returncode == 0
    state = started.status("p")
    assert state["user"] == "other@example.com"
    assert "claims changed" in daemon.log.read_text()


def test_what_is_wrong_with_an_older_token_is_told_before_that_it_is_older(fake, started, tool):
    assert started.run("get", "p").returncode == 0
    tool.prints(fake.id_token(aud="another", iat=int(fake.clock()) - 60,
                              exp=int(fake.clock()) + 3600))
    r = started.run("refresh", "p")
    assert r.returncode == 8 and started.status("p")["error"]["code"] == "token-audience"


def test_nobody_logs_in(started, tool):
    for option in ([], ["--refresh-token"]):
        r = started.run("login", *option, "p", input="secret\n")
        assert r.returncode == 2 and "kubetoken refresh p" in r.stderr, r.stderr
    assert tool.count == 0


def test_a_logout_forgets_and_the_next_get_runs_it_again(fake, started, tool):
    assert started.run("get", "p").returncode == 0
    assert started.run("logout", "p").returncode == 0
    assert "expiresInSeconds" not in started.status("p")
    assert started.run("get", "p").stdout == fake.tokens[-1] + "\n"
    assert tool.count == 2


def test_a_restart_runs_nothing(fake, started, daemon, tool):
    assert started.run("get", "p").returncode == 0
    daemon.restart()
    assert started.run("get", "p").stdout == fake.tokens[-1] + "\n"
    assert tool.count == 1


def test_many_who_wait_have_it_run_once(fake, started, tool):
    gate = started.folder / "gate"
    rig.os.mkfifo(gate)
    tool.script(f"read x <'{gate}'; cat '{tool.printed}'")
    lines = [rig.converse(started) for _ in range(20)]
    with rig.contextlib.ExitStack() as stack:
        talks = [stack.enter_context(line) for line in lines]
        for talk in talks:
            talk.write(b"get token p\n")
            talk.flush()
        gate.write_text("go\n")
        for talk in talks:
            assert talk.readline().startswith(b"ok ")
    assert tool.count == 1


def test_a_proxy_that_refused_its_user_is_not_asked_again(fake, home, daemon, tool):
    """What is sent of the user's is the proxy's, and that is held as for any other request."""
    proxy = scripted.Proxy(login="user:right")
    try:
        tool.prints(fake.id_token(exp=int(fake.clock()) + 3600))
        at = f"proxy = http://user:wrong@127.0.0.1:{proxy.port}"
        home.configure(profile(fake, tool, at) + profile(fake, tool, at, name="q"))
        daemon.start()
        error, _ = failure(home)
        assert error["code"] == "proxy-refused"
        seen = len(proxy.seen)
        assert failure(home)[0]["code"] == "proxy-refused"
        assert home.run("get", "q").returncode == 6
        assert home.status("q")["error"]["code"] == "proxy-refused"
        assert len(proxy.seen) == seen
    finally:
        proxy.stop()


def test_a_command_that_prints_dead_tokens_is_not_run_in_a_hot_loop(fake, home, daemon, tool):
    """Times come from the state: what is waited for grows."""
    tool.prints(fake.id_token(iat=int(fake.clock()) - 3600, exp=int(fake.clock()) - 60))
    home.configure(profile(fake, tool, "keep-fresh = always\nstart = with-daemon"))
    daemon.start()
    rig.wait_until(lambda: tool.count >= 3, "three tries")
    began = time.monotonic()
    rig.wait_until(lambda: tool.count >= 4, "a fourth one")
    assert time.monotonic() - began < 60 and tool.count == 4


def test_doctor_and_why_speak_of_it(fake, started, tool):
    tool.prints(fake.id_token(aud="another", exp=int(fake.clock()) + 3600))
    r = started.run("doctor", "--json", "p")
    links = {f["link"]: f for f in json.loads(r.stdout)["links"]}
    assert links["token"]["code"] == "token-audience"
    tool.script("echo 'run: cloud login' >&2; exit 1")
    started.run("refresh", "p")
    r = started.run("doctor", "p")
    assert "token-command" in r.stdout and "run: cloud login" in rig.unwrapped(r.stdout)


def test_the_example_is_a_configuration(home, daemon):
    home.configure((rig.TOP / "examples" / "token-command.conf").read_text())
    daemon.start()
    assert [p["profile"] for p in home.status()] == ["google", "pod", "spiffe"]
