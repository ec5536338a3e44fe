"""What a logout tells the provider: the refresh token is not needed any more (RFC 7009)."""
import base64
import subprocess
import threading

import pytest

import rig
from rig import wait_until
from scripted import json_answer

REVOKE = "/oauth/revoke"
NOT_REVOKED = "kubetoken: p: logged out here, but the refresh token was not revoked: "


class Session:
    """A provider that gives refresh tokens, and takes them back."""

    def __init__(self, fake, published=True):
        self.fake, self.revoked = fake, []
        document = fake.discovery()
        if published:
            document["revocation_endpoint"] = fake.base + REVOKE
        fake.answers["/.well-known/openid-configuration"] = json_answer(document)
        fake.answers["/oauth/token"] = lambda request: json_answer(
            fake.token(refresh_token=f"canary-of-{request.form.get('username', 'nobody')}"))
        fake.answers[REVOKE] = self.answer

    def answer(self, request):
        self.revoked.append(request)
        return 200, {}, b""


@pytest.fixture
def session(fake):
    return Session(fake)


def has_token(home, name="p"):
    return "expiresInSeconds" in home.status(name)


def start(fake, home, daemon, **kwargs):
    home.configure(fake.profile(**kwargs))
    daemon.start()
    assert home.run("get").returncode == 0


def test_the_refresh_token_is_revoked_once_and_nothing_is_said(fake, home, daemon, session):
    start(fake, home, daemon, extra="client-secret = canary-cs\naudience = api\n"
                                    "token-parameter = x=y")
    r = home.run("logout")
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    [request] = session.revoked
    assert request.form == {"token": "canary-of-someone", "token_type_hint": "refresh_token"} | {
        k: v for k, v in request.form.items() if k in ("client_id", "client_secret")}
    assert request.form.get("client_secret", "canary-cs") == "canary-cs"
    assert "client_secret" in request.form or request.headers["Authorization"].startswith("Basic ")
    assert not has_token(home)
    assert home.run("logout").returncode == 0
    assert len(session.revoked) == 1, "there is none any more"
    log = daemon.log.read_text()
    assert "the provider has revoked the refresh token" in log and "canary" not in log


def test_without_a_refresh_token_nobody_is_asked(fake, home, daemon, session):
    fake.answers["/oauth/token"] = lambda _: json_answer(fake.token())
    start(fake, home, daemon)
    before = len(fake.requests)
    assert home.run("logout").returncode == 0
    assert len(fake.requests) == before


@pytest.mark.parametrize("source", ["inline", "file", "command"])
def test_the_client_s_secret_is_sent_wherever_it_comes_from(fake, home, daemon, session, source,
                                                           tmp_path):
    file = tmp_path / "secret"
    file.touch(mode=0o600)
    file.write_text("canary-cs\n")
    lines = {"inline": "client-secret = canary-cs", "file": f"client-secret-file = {file}",
             "command": f"client-secret-command = cat {file}"}
    start(fake, home, daemon, extra=f"client-auth = basic\n{lines[source]}")
    r = home.run("logout")
    assert (r.returncode, r.stderr) == (0, "")
    [request] = session.revoked
    assert base64.b64decode(request.headers["Authorization"].split()[1]) == b"client:canary-cs"


@pytest.mark.parametrize("answer, words", [
    (json_answer({"error": "unsupported_token_type"}, 400), "unsupported_token_type"),
    (json_answer({"error": "invalid_client"}, 401), "invalid_client"),
    ((503, {"Retry-After": "3600"}, b""), "503"),
    ((404, {}, b"not here"), "404"),
    ((302, {"Location": "https://127.0.0.1/login"}, b""), "302"),
])
def test_where_it_is_not_taken_that_is_said_and_the_logout_holds(fake, home, daemon, session,
                                                                answer, words):
    start(fake, home, daemon)
    fake.answers[REVOKE] = answer
    r = home.run("logout", "p")
    assert (r.returncode, r.stdout) == (0, "")
    text = " ".join(r.stderr.split())
    assert text.startswith(NOT_REVOKED) and words in text, text
    assert "canary" not in r.stderr + daemon.log.read_text()
    assert not has_token(home)
    assert "error" not in home.status("p"), "no refusal of the profile's"
    assert home.run("get").returncode == 0


def test_a_provider_without_the_service_is_named(fake, home, daemon):
    Session(fake, published=False)
    start(fake, home, daemon)
    r = home.run("logout")
    assert r.returncode == 0
    assert "publishes no revocation_endpoint" in " ".join(r.stderr.split())


def test_an_older_version_s_document_is_fetched_anew(fake, home, daemon):
    """It is a day old at most, and says nothing of what the provider can by now."""
    Session(fake, published=False)
    start(fake, home, daemon)
    session = Session(fake)
    r = home.run("logout")
    assert (r.returncode, r.stderr) == (0, "") and len(session.revoked) == 1


def test_one_whose_endpoint_is_no_https_url_gets_nothing(fake, home, daemon, session):
    document = fake.discovery() | {"revocation_endpoint": "http://example.com/revoke"}
    fake.answers["/.well-known/openid-configuration"] = json_answer(document)
    start(fake, home, daemon)
    assert "publishes no revocation_endpoint" in " ".join(home.run("logout").stderr.split())


def test_one_that_is_down_is_not_waited_for(fake, home, daemon, session):
    start(fake, home, daemon)
    fake.refuse()
    r = home.run("logout")
    assert r.returncode == 0 and r.stderr.startswith(NOT_REVOKED)
    assert not has_token(home)


def test_one_that_is_silent_is_given_up_after_some_seconds(fake, home, daemon, session):
    start(fake, home, daemon)
    fake.hang(REVOKE)
    r = home.run("logout")  # the time limit is the daemon's, and not the client's
    text = " ".join(r.stderr.split())
    assert r.returncode == 0
    assert "stuck revoking the refresh token at 127.0.0.1" in text or "timed out" in text, text


def test_nobody_waits_meanwhile_but_who_has_logged_out(fake, home, daemon, session):
    start(fake, home, daemon)
    entered, go_on = threading.Event(), threading.Event()

    def answer(request):
        entered.set()
        go_on.wait(rig.PATIENCE)
        return session.answer(request)
    fake.answers[REVOKE] = answer
    client = subprocess.Popen([rig.BUILD / "kubetoken", "logout"], env=home.environment,
                              stderr=subprocess.PIPE, text=True)
    assert entered.wait(rig.PATIENCE)
    assert home.run("get").returncode == 0, "it is logged in anew"
    go_on.set()
    assert client.communicate(timeout=rig.PATIENCE)[1] == "" and client.returncode == 0
    assert has_token(home)


def test_it_goes_on_without_the_client(fake, home, daemon, session):
    start(fake, home, daemon)
    with rig.connect(home) as peer:
        peer.sendall(b"logout text p\n")
        wait_until(lambda: not has_token(home), "the logout")
    wait_until(lambda: session.revoked, "the provider to be told")
    assert home.run("get").returncode == 0


def test_the_daemon_ends_meanwhile_and_leaves_nothing(fake, home, daemon, session):
    start(fake, home, daemon)
    fake.hang(REVOKE)
    with rig.connect(home) as peer:
        peer.sendall(b"logout text p\n")
        wait_until(lambda: any(r.path == REVOKE for r in fake.requests), "the request")
        daemon.stop()


def test_of_all_each_is_told_and_each_failure_named(fake, home, daemon, session):
    names = [f"p{i}" for i in range(7)]
    home.configure("".join(fake.profile(name, user=name) for name in names))
    daemon.start()
    for name in names:
        assert home.run("get", name).returncode == 0

    def answer(request):
        session.answer(request)
        return (503, {}, b"") if request.form["token"] == "canary-of-p3" else (200, {}, b"")
    fake.answers[REVOKE] = answer
    r = home.run("logout", "--all")
    assert r.returncode == 0
    assert r.stdout == "".join(f"{name}: logged out\n" for name in names)
    assert " ".join(r.stderr.split()).startswith(NOT_REVOKED.replace(" p: ", " p3: "))
    assert r.stderr.count("was not revoked") == 1
    assert sorted(q.form["token"] for q in session.revoked) == [f"canary-of-{n}" for n in names]


def test_a_real_provider_takes_it(provider, home, daemon):
    home.configure(provider.profile("p"))
    daemon.start()
    assert home.run("get").returncode == 0
    r = home.run("logout")
    assert (r.returncode, r.stderr) == (0, "")
    assert "the provider has revoked the refresh token" in daemon.log.read_text()
