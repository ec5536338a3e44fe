"""kubetoken inspect: a token in words."""
import base64
import json
import signal
import subprocess
import time

import pytest

import rig
import schemas
import scripted


@pytest.fixture
def running(fake, home, daemon):
    home.configure(fake.profile())
    return daemon.start()


def inspect(home, token, *args):
    return subprocess.run([rig.BUILD / "kubetoken", "inspect", "-", *args], env=home.environment,
                          input=token, capture_output=True, text=True, timeout=rig.PATIENCE)


def findings(home, token, *args):
    """The findings that are not in order: (check, level, code)."""
    r = inspect(home, token, "--json", *args)
    report = schemas.check("inspect", r.stdout)
    assert r.stderr == "" and report["ok"] == (r.returncode == 0)
    found = [(f["check"], f["level"], f.get("code")) for f in report["checks"]
             if f["level"] != "ok"]
    assert (r.returncode == 0) == (not [f for f in found if f[1] == "error"])
    return found


def test_the_profiles_own_token(fake, home, running):
    r = home.run("inspect", "p")
    assert r.returncode == 1 and "kubetoken get" in r.stderr
    token = home.run("get").stdout.strip()
    r = home.run("inspect", "p")
    assert (r.returncode, r.stderr) == (0, "")
    assert "  alg                  RS256\n" in r.stdout
    assert f"  iss                  {fake.issuer}\n" in r.stdout
    assert "Z, expires in " in r.stdout and "  ok          signature\n" in r.stdout
    assert token.split(".")[2] not in r.stdout
    assert len(fake.grants()) == 1


def test_a_token_on_stdin_needs_no_daemon(fake, home):
    home.configure(fake.profile())
    assert findings(home, fake.id_token()) == []
    assert findings(home, fake.id_token(aud="x")) == [("audience", "error", "token-audience")]
    assert list(home.runtime.iterdir()) == [], "nothing is left behind"
    fake.hang("/.well-known/jwks.json")
    with subprocess.Popen([rig.BUILD / "kubetoken", "inspect", "-"], env=home.environment,
                          stdin=subprocess.PIPE) as p:
        p.stdin.write(fake.id_token().encode())
        p.stdin.close()
        rig.wait_until(lambda: len(fake.requests) == 6, "the request that hangs")
        p.terminate()
        assert p.wait(rig.PATIENCE) == -signal.SIGTERM
    assert list(home.runtime.iterdir()) == [], "nothing is left behind"
    with subprocess.Popen([rig.BUILD / "kubetoken", "inspect", "-"], env=home.environment,
                          stdin=subprocess.PIPE) as p:
        p.stdin.write(fake.id_token().encode())
        p.stdin.close()
        rig.wait_until(lambda: len(list(home.runtime.glob("*/socket"))) == 1, "its daemon")
        rig.wait_until(lambda: len(fake.requests) >= 8, "the request that hangs")
        p.kill()
    rig.wait_until(lambda: not list(home.runtime.glob("*/socket")), "the end of its daemon")
    (home.config / "kubetoken.conf").unlink()
    assert [f[1] for f in findings(home, fake.id_token())] == ["skipped"] * 3
    r = home.run("inspect", "p")
    assert r.returncode == 3 and "no kubetokend answers" in r.stderr, "its token is nowhere"


def test_what_is_in_order_has_no_findings(fake, home, running):
    assert findings(home, fake.id_token()) == []
    assert findings(home, "\n Bearer " + fake.id_token() + "\n") == []
    report = json.loads(inspect(home, fake.id_token(), "--json").stdout)
    assert report["header"]["alg"] == "RS256" and report["claims"]["iss"] == fake.issuer
    assert 3500 < report["expiresInSeconds"] <= 3600


@pytest.mark.parametrize("claims, found", [
    ({"exp": 1000}, ("times", "error", "token-expired")),
    ({"exp": None}, ("times", "error", "token-invalid")),
    ({"nbf": int(time.time()) + 4000}, ("times", "error", "token-invalid")),
    ({"aud": "other"}, ("audience", "error", "token-audience")),
    ({"iss": "https://other.example/"}, ("issuer", "error", "issuer-mismatch")),
    ({"email_verified": False}, ("claims", "warning", "email-not-verified")),
    ({"sub": 5}, ("claims", "error", "token-invalid")),
])
def test_each_check_is_found(fake, home, running, claims, found):
    assert findings(home, fake.id_token(**claims)) == [found]


@pytest.mark.parametrize("text, found", [
    ('"ISS":"x"', ("issuer", "error", "issuer-mismatch")),
    ('"EXP":1000', ("times", "error", "token-expired")),
    ('"Aud":"x"', ("audience", "error", "token-audience")),
    ('"Sub":7', ("claims", "error", "token-invalid")),
    ('"x":"a\\u0000b"', None),
    ('"x":' + "[" * 2000 + "]" * 2000, None),
])
def test_claims_are_read_as_go_reads_them(fake, home, running, text, found):
    """The verdicts are those of the token authenticator of Kubernetes 1.36."""
    whole = json.loads(base64.urlsafe_b64decode(fake.id_token().split(".")[1] + "=="))
    payload = json.dumps(whole)[:-1] + "," + text + "}"
    twice = [("claims", "warning", "claim-twice")] if found and found[0] != "claims" else []
    assert findings(home, fake.key.sign_text(payload)) == ([found] if found else []) + twice


@pytest.mark.parametrize("jwk, found", [
    ({"alg": "PS256"}, None),
    ({"use": "enc"}, None),
    ({"kid": None}, ("signature", "warning", "keys-unreadable")),
    ({"x5u": "https://x/"}, ("signature", "warning", "keys-unreadable")),
    ({"e": "AQ"}, ("signature", "error", "key-unsafe")),
    ({"d": "AQAB"}, ("signature", "error", "key-unsafe")),
    ({"kid": "KEY-1"}, ("signature", "error", "token-signature")),
])
def test_keys_are_read_as_go_reads_them(fake, home, running, jwk, found):
    fake.answers["/.well-known/jwks.json"] = scripted.json_answer({"keys": [fake.key.jwk(**jwk)]})
    assert findings(home, fake.id_token()) == ([found] if found else [])


def test_a_set_that_the_api_server_cannot_read_is_told_in_words(fake, home, running):
    foreign = {"kty": "OKP", "crv": "X25519", "kid": "box", "x": "A" * 43}
    fake.answers["/.well-known/jwks.json"] = scripted.json_answer(
        {"keys": [fake.key.jwk(), foreign]})
    r = inspect(home, fake.id_token())
    assert r.returncode == 0
    assert ('  ok          header\n  warning     signature: the API server cannot use the '
            'provider\'s keys: key 2 of its set, "box": curve "X25519" is not one of its; it '
            "answers 401 to the token until the provider corrects its key set (jwks_uri)"
            ) in r.stdout
    fake.answers["/.well-known/jwks.json"] = scripted.json_answer(
        {"keys": [fake.key.jwk(e="AQ")]})
    assert ('others can sign with it: key "key-1": its e is no odd number'
            in inspect(home, fake.id_token()).stdout)
    fake.answers["/.well-known/jwks.json"] = scripted.json_answer({"keys": []})
    assert ("the API server cannot use the provider's keys: its set holds no RSA, EC or OKP key"
            in inspect(home, fake.id_token()).stdout)


def test_all_that_is_wrong_is_told_at_once(fake, home, running):
    key = scripted.Key("key-1")
    token = key.sign({"iss": "x", "aud": "y", "exp": 1000, "email": "z"}, {"alg": "RS256"})
    assert findings(home, token) == [
        ("signature", "error", "token-signature"), ("issuer", "error", "issuer-mismatch"),
        ("audience", "error", "token-audience"), ("times", "error", "token-expired")]
    r = inspect(home, token)
    assert r.returncode == 8 and "expired" in r.stdout and r.stderr == ""


@pytest.mark.parametrize("token", ["x", "a.b.c", "....", "eyJ.eyJ.x"])
def test_what_is_no_token(home, running, token):
    r = inspect(home, token)
    assert r.returncode == 8 and "the id_token is not valid" in r.stdout


@pytest.mark.parametrize("text, says", [("", "no token"), (" \n", "no token"),
                                        ("x" * 131073, "128 KiB")])
def test_what_cannot_be_one(home, running, text, says):
    r = inspect(home, text)
    assert r.returncode == 2 and says in r.stderr


def test_an_encrypted_token_and_one_that_nobody_can_check(fake, home, running):
    token = ".".join([scripted.b64(b'{"alg":"RSA-OAEP","enc":"A256GCM"}'), *["AAAA"] * 4])
    assert findings(home, token) == [("shape", "error", "token-encrypted")]
    r = inspect(home, token)
    assert r.returncode == 8 and "turn it off for this client" in r.stdout
    token = fake.key.sign({"iss": fake.issuer}, {"alg": "HS256"})
    assert ("header", "error", "token-unverifiable") in findings(home, token)
    assert "signing-algs" not in inspect(home, token).stdout


def test_while_the_provider_is_down_the_rest_is_checked(fake, home, running):
    fake.answers["/.well-known/openid-configuration"] = (500, {}, b"")
    assert findings(home, fake.id_token(aud="other")) == [
        ("signature", "warning", "not-verified"), ("audience", "error", "token-audience")]


def test_without_any_configuration(fake, home, daemon):
    daemon.start()
    r = inspect(home, fake.id_token())
    assert r.returncode == 0 and "not checked" in r.stdout and "no profile" in r.stdout
    assert fake.requests == []
    assert inspect(home, fake.id_token(exp=1000)).returncode == 8
    assert inspect(home, fake.id_token(), "p").returncode == 9
    assert home.run("inspect").returncode == 9


def test_foreign_text_does_not_move_the_cursor(fake, home, running):
    token = fake.id_token(name="a\x1b[2J\nb", **{"bad\x07name": 1})
    out = inspect(home, token).stdout
    assert "\x1b" not in out and "\x07" not in out and "a [2J b" in out


def test_a_client_that_goes_away_ends_it(fake, home, running):
    fake.hang("/.well-known/jwks.json")
    token = fake.id_token().encode()
    for _ in range(6):
        s = rig.connect(home)
        s.sendall(b"inspect text p secret=%d\n%b" % (len(token), token))
        rig.wait_until(lambda: fake.requests, "the fetcher")
        fake.requests.clear()
        s.close()
    fake.answers.clear()
    rig.wait_until(lambda: findings(home, fake.id_token()) == [], "a free place")
    assert running.alive


def test_four_at_once(fake, home, running):
    fake.hang("/.well-known/jwks.json")
    token = fake.id_token().encode()
    connections = [rig.connect(home) for _ in range(4)]
    for s in connections:
        s.sendall(b"inspect text p secret=%d\n%b" % (len(token), token))
    rig.wait_until(lambda: len(fake.requests) == 8, "four fetchers")
    r = inspect(home, token.decode())
    assert r.returncode == 1 and "try again" in r.stderr
    for s in connections:
        s.close()


@pytest.mark.parametrize("keys, claims, code", [
    ("username-claim = upn", {}, "username-claim"),
    ("username-claim = upn", {"upn": ["x"]}, "username-claim"),
    ("username-claim = upn", {"upn": ""}, "username-claim"),
    ("username-claim = email", {"email_verified": False}, "email-not-verified"),
    ("groups-claim = groups", {"groups": 5}, "groups-claim"),
    ("groups-claim = groups", {"groups": ["a", 5]}, "groups-claim"),
    ("groups-claim = groups", {"groups": "a"}, None),
    ("groups-claim = groups", {"groups": ["a", "b"]}, None),
    ("groups-claim = groups", {}, None),
    ("groups-claim = groups", {"groups": None}, None),
    ("groups-claim = groups", {"groups": ["a", None]}, None),
    ("groups-claim = groups", scripted.ELSEWHERE, "groups-elsewhere"),
    ("groups-claim = groups", {**scripted.ELSEWHERE, "groups": []}, None),
    ("groups-claim = groups", {**scripted.ELSEWHERE, "_claim_names": {"other": "src1"}}, None),
    ("", scripted.ELSEWHERE, None),
    ("username-claim = sub", {"email_verified": False}, None),
])
def test_what_the_api_server_rejects_is_a_warning(fake, home, daemon, keys, claims, code):
    fake.claims = claims
    home.configure(fake.profile(extra=keys))
    daemon.start()
    assert home.run("get").returncode == 0, "the token itself is good"
    assert [w["code"] for w in home.status("p")["warnings"]] == ([code] if code else [])
