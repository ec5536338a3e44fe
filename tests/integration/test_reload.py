"""Each key, changed by a reload, has its effect: the token in hand is dropped or kept, the next
request is another, and what status says is true."""
import json
import re
import time

import pytest

import rig
import scripted
from scripted import json_answer

MANUAL = rig.TOP / "man" / "kubetoken.conf.5"
# Those of client-auth's values stand in a list too, but have no value themselves.
KEYS = re.findall(r"^\.It Cm (\S+) \S", MANUAL.read_text(encoding="utf-8"), re.MULTILINE)


class Scene:
    """A daemon with the profile p, its provider, and what both did until now."""

    def __init__(self, fake, home, daemon, folder):
        self.fake, self.home, self.daemon, self.folder = fake, home, daemon, folder
        self.keys = {"issuer": fake.issuer, "ca-file": fake.ca_file, "client-id": "client",
                     "username": "someone", "password": "first"}
        self.token = None

    def write(self, changes, defaults=""):
        """Changes keys of the profile; None takes one out."""
        self.keys = {k.replace("_", "-"): v for k, v in {**self.keys, **changes}.items()
                     if v is not None}
        lines = "".join(f"{key} = {value}\n" for key, value in self.keys.items())
        self.home.configure(f"[defaults]\n{defaults}\n[profile p]\n{lines}"
                            f"[profile another]\n{lines}")

    def start(self, **changes):
        """Starts the daemon and has it get a token."""
        self.write(changes)
        self.daemon.start()
        self.get()

    def private(self, name, *texts):
        path = self.folder / name
        path.touch(mode=0o600)
        path.write_text("".join(texts), encoding="utf-8")
        return path

    def get(self):
        r = self.home.run("get", "p")
        assert r.returncode == 0, r.stderr
        self.token = r.stdout

    def reload(self, changes, **kwargs):
        self.write(changes, **kwargs)
        self.daemon.reload()
        health = json.loads(self.home.run("status", "--json").stdout)
        assert health["configurationInForce"], health["configurationErrors"]

    def posts(self):
        return [r for r in self.fake.requests if r.method == "POST"]

    def reload_and_keep(self, changes, **kwargs):
        """The token in hand goes on to be served, and nobody is asked for another."""
        before = len(self.posts())
        self.reload(changes, **kwargs)
        assert self.home.run("get", "p").stdout == self.token
        assert len(self.posts()) == before

    def reload_and_drop(self, changes):
        """The token in hand goes, and status no more says whom it spoke of."""
        self.reload(changes)
        status = self.home.status("p")
        assert "expirationTimestamp" not in status and "expiresInSeconds" not in status
        assert status["user"] == self.keys["username"]

    def refresh(self):
        """Has another token fetched; the request for it."""
        r = self.home.run("refresh", "p")
        assert r.returncode == 0, r.stderr
        return self.posts()[-1]

    def request(self):
        """As the next `get` makes it."""
        before, token = len(self.posts()), self.token
        self.get()
        assert len(self.posts()) == before + 1 and self.token != token
        return self.posts()[-1]


@pytest.fixture
def scene(fake, home, daemon, tmp_path):
    return Scene(fake, home, daemon, tmp_path)


EFFECTS = {}


def effect_of(*keys):
    def register(function):
        EFFECTS.update({key: function for key in keys})
        return function
    return register


@pytest.mark.parametrize("key", KEYS)
def test_a_key_that_a_reload_changes_has_its_effect(scene, key):
    EFFECTS[key](scene, key)
    assert scene.daemon.alive


def test_no_effect_is_of_a_key_that_the_manual_does_not_have():
    assert set(EFFECTS) == set(KEYS)


# ---- another identity: what the token says, who says it, and why it is believed -----------------


@effect_of("issuer")
def another_issuer(scene, key):
    scene.start()
    scene.fake.issuer = scene.fake.base + "/other"
    scene.reload_and_drop({key: scene.fake.issuer})
    assert scene.home.status("p")["issuer"] == scene.fake.issuer
    scene.request()
    assert "/other/.well-known/openid-configuration" in [r.path for r in scene.fake.requests]


@effect_of("token-endpoint")
def another_token_endpoint(scene, key):
    scene.start()
    scene.fake.answers["/other/token"] = lambda _: json_answer(scene.fake.token())
    scene.reload_and_drop({key: scene.fake.base + "/other/token"})
    assert scene.request().path == "/other/token"


@effect_of("jwks-uri")
def other_keys(scene, key):
    """By which the token in hand, which is as good as before, is not to be believed."""
    scene.start()
    scene.fake.answers["/other/keys"] = json_answer({"keys": [scripted.Key("key-2").jwk()]})
    scene.reload_and_drop({key: scene.fake.base + "/other/keys"})
    r = scene.home.run("get", "p", "--timeout", "1s")
    assert r.returncode == 8 and "/other/keys" in [r.path for r in scene.fake.requests]


@effect_of("client-id")
def another_client(scene, key):
    scene.start()
    scene.fake.claims = {"aud": "other"}
    scene.reload_and_drop({key: "other"})
    assert scene.request().form["client_id"] == "other"


@effect_of("username")
def another_user(scene, key):
    scene.start()
    scene.reload_and_drop({key: "other"})
    assert scene.request().form["username"] == "other"


@effect_of("grant", "device-authorization-endpoint")
def another_grant(scene, key):
    """The token of the former grant is no more; the first request goes where the new one says."""
    there = scene.fake.base + "/device"
    scene.start()
    scene.fake.answers["/device"] = json_answer({"error": "unauthorized_client"}, 400)
    changes = {"grant": "device", "device-authorization-endpoint": there}
    scene.reload({**changes, "username": None, "password": None})
    assert scene.home.run("get", "p").returncode == 5
    assert scene.home.run("login", "p").returncode == 6
    assert scene.fake.requests[-1].path == "/device"
    if key != "grant":
        scene.reload({**scene.keys, key: scene.fake.base + "/other"})
        scene.fake.answers["/other"] = json_answer({"error": "unauthorized_client"}, 400)
        assert scene.home.run("login", "p").returncode == 6
        assert scene.fake.requests[-1].path == "/other"


@effect_of("scope")
def another_scope(scene, key):
    scene.start()
    assert scene.posts()[-1].form["scope"] == "openid email profile"
    scene.reload_and_drop({key: "openid groups"})
    assert scene.request().form["scope"] == "openid groups"


@effect_of("audience", "resource", "realm")
def another_word_of_the_request(scene, key):
    scene.start(**{key: "first"})
    assert scene.posts()[-1].form[key] == "first"
    scene.reload_and_drop({key: "second"})
    assert scene.request().form[key] == "second"


@effect_of("token-parameter")
def another_parameter(scene, key):
    scene.start(token_parameter="tenant=green")
    scene.reload_and_drop({key: "tenant=blue"})
    assert scene.request().form["tenant"] == "blue"


@effect_of("signing-algs")
def other_algorithms(scene, key):
    """The token in hand is signed by one that is not allowed any more."""
    scene.start()
    scene.reload_and_drop({key: "ES256"})
    r = scene.home.run("get", "p", "--timeout", "1s")
    assert r.returncode == 8 and "RS256" in r.stderr


@effect_of("username-claim")
def another_claim_for_the_user(scene, key):
    scene.fake.claims = {"nickname": "nick"}
    scene.start(username_claim="email")
    assert scene.home.status("p")["user"] == "someone@example.com"
    scene.reload_and_drop({key: "nickname"})
    scene.request()
    status = scene.home.status("p")
    assert status["usernameClaim"] == "nickname"
    assert status["user"] == f"{scene.fake.issuer}#nick"


@effect_of("username-prefix")
def another_prefix_for_the_user(scene, key):
    """The token is the same whatever it is called: only what is shown is another."""
    scene.start(username_claim="email", username_prefix="old:")
    assert scene.home.status("p")["user"] == "old:someone@example.com"
    scene.reload_and_keep({key: "new:"})
    assert scene.home.status("p")["user"] == "new:someone@example.com"
    scene.reload_and_keep({key: None})
    assert scene.home.status("p")["user"] == "someone@example.com"


@effect_of("groups-prefix")
def another_prefix_for_the_groups(scene, key):
    scene.fake.claims = {"groups": ["dev"]}
    scene.start(groups_claim="groups", groups_prefix="old:")
    scene.reload_and_keep({key: "new:"})
    assert scene.home.status("p")["groupsPrefix"] == "new:"
    env = {"PATH": f"{rig.BUILD}:/bin/nowhere"}
    doctor = json.loads(scene.home.run("doctor", "p", "--json", env=env).stdout)
    assert [f["detail"] for f in doctor["links"] if f["link"] == "groups"] == ['["new:dev"]']


@effect_of("groups-claim")
def another_claim_for_the_groups(scene, key):
    scene.fake.claims = {"groups": ["dev"], "roles": {"not": "a list"}}
    scene.start(groups_claim="groups")
    assert scene.home.status("p")["warnings"] == []
    scene.reload_and_drop({key: "roles"})
    scene.request()
    status = scene.home.status("p")
    assert status["groupsClaim"] == "roles"
    assert [w["code"] for w in status["warnings"]] == ["groups-claim"]


# ---- the same identity: how the provider is reached ---------------------------------------------


@effect_of("ca-file")
def another_authority(scene, key):
    scene.start()
    former, new = scene.fake.ca_file.read_bytes(), scene.folder / "new-ca.pem"
    scene.fake.certify()
    scene.fake.ca_file.rename(new)
    scene.fake.ca_file.write_bytes(former)
    scene.reload_and_keep({key: new})
    scene.refresh()


@effect_of("tls-client-cert")
def a_client_certificate(scene, key):
    scene.start()
    own = scripted.apiserver.make_tls_files(scene.folder, "client")
    scene.fake.require_client_certificate(own.ca)
    scene.reload_and_keep({key: scene.private("both.pem", own.cert.read_text(),
                                              own.key.read_text())})
    scene.refresh()


@effect_of("tls-client-key")
def the_key_of_a_client_certificate(scene, key):
    own, other = (scripted.apiserver.make_tls_files(scene.folder, name)
                  for name in ("client", "other"))
    scene.fake.require_client_certificate(own.ca)
    scene.start(tls_client_cert=own.cert, tls_client_key=own.key)
    scene.reload_and_keep({key: other.key})
    assert scene.home.run("refresh", "p").returncode != 0
    scene.reload({key: own.key})  # it tries again by itself what has failed
    scene.refresh()


@effect_of("proxy")
def a_proxy(scene, key):
    scene.start()
    proxy = scripted.Proxy()
    try:
        scene.reload_and_keep({key: f"http://127.0.0.1:{proxy.port}"})
        assert proxy.seen == []
        scene.refresh()
        assert proxy.seen
    finally:
        proxy.stop()


@effect_of("timeout")
def another_timeout(scene, key):
    scene.start(timeout="5m")
    scene.fake.hang("/oauth/token")
    scene.reload_and_keep({key: "1s"})
    assert scene.home.run("refresh", "p", "--timeout", "1s").returncode == 7
    error = rig.wait_until(lambda: scene.home.status("p").get("error"), "the request's end")
    assert error["code"] == "timeout"


@effect_of("allow-http-loopback")
def plain_http_to_loopback(scene, key):
    """Where the provider's own document sends the password."""
    (scene.folder / "plain").mkdir()
    plain = scripted.Provider(scene.folder / "plain", tls=False)
    plain.answers["/oauth/token"] = lambda _: json_answer(scene.fake.token())
    scene.fake.answers["/.well-known/openid-configuration"] = json_answer(
        {**scene.fake.discovery(), "token_endpoint": plain.base + "/oauth/token"})
    try:
        scene.write({})
        scene.daemon.start()
        assert scene.home.run("get", "p", "--timeout", "1s").returncode == 8
        scene.reload({key: "yes"})
        scene.get()
        assert len(plain.requests) == 1
        scene.reload_and_keep({key: "no"})
        assert scene.home.run("refresh", "p", "--timeout", "1s").returncode == 8
        assert len(plain.requests) == 1
    finally:
        plain.stop()


# ---- another profile's token ---------------------------------------------------------------------


def exchanges(scene, **keys):
    """Two profiles that log in, and p, which exchanges the token of one; the members of its last
    request."""
    of_p = "".join(f"{k.replace('_', '-')} = {v}\n" for k, v in keys.items())
    scene.home.configure(
        scene.fake.profile("work") + scene.fake.profile("other", user="another") +
        f"[profile p]\nissuer = {scene.fake.issuer}\nca-file = {scene.fake.ca_file}\n"
        f"client-id = client\n{of_p}")
    scene.fake.answers["/oauth/token"] = lambda r: json_answer(
        {"access_token": scene.fake.id_token()} if "subject_token" in r.form
        else scene.fake.token(access_token=f"access of {r.form['username']}"))


@effect_of("from")
def another_profile_that_gives_its_token(scene, key):
    exchanges(scene, **{key: "work"})
    scene.daemon.start()
    scene.get()
    assert scene.posts()[-1].form["subject_token"] == scene.home.run("get", "work").stdout.strip()
    exchanges(scene, **{key: "other"})
    scene.daemon.reload()
    assert "expirationTimestamp" not in scene.home.status("p")
    scene.get()
    assert scene.posts()[-1].form["subject_token"] == scene.home.run("get", "other").stdout.strip()


@effect_of("subject-token-type")
def another_token_that_is_given(scene, key):
    """Of a token that is in hand the access token was not kept: nobody wanted it."""
    exchanges(scene, **{"from": "work"})
    scene.daemon.start()
    scene.get()
    exchanges(scene, **{"from": "work", key: "access_token"})
    scene.daemon.reload()
    assert "expirationTimestamp" not in scene.home.status("p")
    scene.get()
    assert scene.posts()[-1].form["subject_token"] == "access of someone"


# ---- the same identity: how it is proven --------------------------------------------------------


@effect_of("client-auth")
def another_way_to_send_the_secret(scene, key):
    scene.start(client_secret="shh")
    assert scene.posts()[-1].form["client_secret"] == "shh"
    scene.reload_and_keep({key: "basic"})
    request = scene.refresh()
    assert "client_secret" not in request.form and "Basic " in request.headers["Authorization"]


@effect_of("client-secret", "client-secret-file", "client-secret-command",
           "client-secret-credential", "password", "password-file", "password-command",
           "password-credential")
def another_secret(scene, key):
    secret = "password" if key.startswith("password") else "client-secret"
    scene.home.environment["CREDENTIALS_DIRECTORY"] = str(scene.folder)
    scene.start(client_secret="first")
    assert scene.posts()[-1].form[secret.replace("-", "_")] == "first"
    scene.private("a-file", "second\n")
    values = {"": "second", "-file": scene.folder / "a-file", "-command": "echo second",
              "-credential": "a-file"}
    scene.reload_and_keep({secret: None, key: values[key.removeprefix(secret)]})
    assert scene.refresh().form[secret.replace("-", "_")] == "second"


@effect_of("password-lifetime")
def a_lifetime_of_typed_passwords(scene, key):
    """It counts from the next login."""
    def login():
        assert scene.home.run("login", "p", input="typed").returncode == 0
    scene.write({"password": None})
    scene.daemon.start()
    login()
    scene.get()
    scene.reload_and_keep({key: "1s"})
    assert scene.refresh().form["password"] == "typed"
    login()
    scene.get()
    time.sleep(1.2)
    assert scene.home.run("refresh", "p").returncode == 5
    assert scene.home.run("get", "p").stdout == scene.token


# ---- the same identity: policy ------------------------------------------------------------------


@effect_of("use-refresh-token")
def no_refresh_token(scene, key):
    scene.fake.answers["/oauth/token"] = lambda _: json_answer(
        scene.fake.token(refresh_token="r"))
    scene.start()
    assert scene.refresh().form["grant_type"] == "refresh_token"
    scene.get()
    scene.reload_and_keep({key: "no"})
    assert scene.refresh().form["grant_type"] == "password"


@effect_of("token-command")
def another_command(scene, key):
    """The token of another program is another identity's."""
    tokens = [scene.fake.id_token(sub="one"), scene.fake.id_token(sub="two")]
    files = [scene.private(f"printed-{n}", token) for n, token in enumerate(tokens)]
    scene.start(username=None, password=None, token_command=f"cat {files[0]}")
    assert scene.token == tokens[0] + "\n"
    scene.reload({key: f"cat {files[1]}"})
    assert "expirationTimestamp" not in scene.home.status("p")
    scene.get()
    assert scene.token == tokens[1] + "\n" and not scene.posts()
    scene.reload({key: None, "username": "someone", "password": "first"})
    scene.request()


@effect_of("refresh-before")
def another_time_to_renew(scene, key):
    """It counts from the next token."""
    def before_the_end():
        status = scene.home.status("p")
        end = rig.seconds(status["expirationTimestamp"])
        return end - rig.seconds(status["renewalTimestamp"])
    scene.start(refresh_before="10m")
    scene.refresh()  # the first one may be renewed at any time
    scene.get()
    assert 600 <= before_the_end() <= 760  # a twentieth of what is left is at random
    scene.reload_and_keep({key: "50%"})
    scene.refresh()
    # half of nearly an hour: what passed between iat and Date is not counted
    assert 1800 - rig.PATIENCE <= before_the_end() <= 1900


@effect_of("keep-fresh")
def another_time_to_stop_renewing(scene, key):
    scene.start()
    assert "renewalTimestamp" in scene.home.status("p")
    scene.reload_and_keep({key: "1m"})
    assert "renewalTimestamp" not in scene.home.status("p")


@effect_of("keep-over-restart")
def something_else_that_outlives_the_daemon(scene, key):
    scene.start()
    scene.reload_and_keep({key: "nothing"})
    scene.daemon.restart(crash=True)
    scene.request()
    scene.reload_and_keep({key: "tokens"})
    before = len(scene.posts())
    scene.daemon.restart(crash=True)
    assert scene.home.run("get", "p").stdout == scene.token and len(scene.posts()) == before


@effect_of("start")
def a_start_with_the_daemon(scene, key):
    """It counts from the next start of the daemon, or of an identity."""
    scene.start()
    scene.reload_and_keep({key: "with-daemon"})
    scene.reload({"audience": "other"})
    rig.wait_until(lambda: "expirationTimestamp" in scene.home.status("p"),
                   "a token for that identity")
    scene.daemon.stop()
    scene.daemon.forget_store()
    scene.daemon.start()
    rig.wait_until(lambda: "expirationTimestamp" in scene.home.status("p"),
                   "a token of the new daemon")


@effect_of("default-profile")
def another_default(scene, key):
    scene.start()
    assert scene.home.run("get").returncode != 0
    scene.reload_and_keep({}, defaults="default-profile = p")
    assert scene.home.run("get").stdout == scene.token


@effect_of("otp-parameter")
def another_way_for_a_code(scene, key):
    """With one the password goes with a code alone."""
    scene.start()
    scene.reload_and_keep({key: "totp"})
    before = len(scene.posts())
    assert scene.home.run("refresh", "p").returncode == 5
    assert len(scene.posts()) == before
    answer = rig.ask(scene.home, b"login otp p otp=6\n123456")
    assert answer.startswith(b"ok ")
    assert scene.posts()[-1].form["totp"] == "123456"
