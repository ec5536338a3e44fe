"""What a provider may be asked and may answer, and what is made of it. What is a fault in any case
is in test_faults.py."""
import base64
import contextlib
import os
import pathlib
import platform
import re
import socket
import subprocess
import time

import pytest

import rig
import scripted
from scripted import json_answer


def profile(fake, extra="", secret="client-secret = shh", issuer=None):
    return (f"[profile p]\nissuer = {issuer or fake.issuer}\nca-file = {fake.ca_file}\n"
            f"client-id = client\n{secret}\nusername = someone\npassword = canary-pw\n{extra}\n")


@pytest.fixture
def get(fake, home, daemon):
    """Configures, starts, and runs one `get`, whose time ends soon after the first answer; on a
    slow machine before it."""
    def run(extra="", *args, hangs=False, **kwargs):
        home.configure(profile(fake, extra, **kwargs))
        daemon.start()
        r = home.run("get", "--timeout", "1s", *args)
        while "still " in r.stderr and not hangs:
            r = home.run("get", "--timeout", "1s", *args)
        assert daemon.alive
        assert "canary-pw" not in r.stderr + daemon.log.read_text()
        if r.returncode == 0:
            assert r.stdout.count(".") == 2 and r.stderr == ""
        else:
            assert r.stdout == "" and r.stderr.count("\n") == 1 and r.stderr.endswith("\n")
        return r
    return run


def test_the_shape_of_the_article(fake, get):
    """Auth0: issuer with a final slash, /oauth/token, client id and secret in the body."""
    assert fake.issuer.endswith("/")
    assert get().returncode == 0
    assert [r.path for r in fake.requests] == ["/.well-known/openid-configuration",
                                               "/.well-known/jwks.json", "/oauth/token"]
    grant = fake.grants()[0]
    assert grant.method == "POST"
    assert grant.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert grant.headers["Authorization"] is None
    assert grant.form == {"grant_type": "password", "username": "someone", "password": "canary-pw",
                          "scope": "openid email profile", "client_id": "client",
                          "client_secret": "shh"}


def test_what_a_request_may_hold_beyond_that(fake, get):
    r = get("scope = groups\naudience = https://api/\nresource = r s\nrealm = Username-Password\n"
            "token-parameter = validator_id=a=b&c\ntoken-parameter = x=é")
    assert r.returncode == 0
    form = fake.grants()[0].form
    assert form["grant_type"] == "http://auth0.com/oauth/grant-type/password-realm"
    assert form["realm"] == "Username-Password"
    assert form["scope"] == "openid groups"
    assert form["audience"] == "https://api/" and form["resource"] == "r s"
    assert form["validator_id"] == "a=b&c" and form["x"] == "é"


DIFFICULT = "a b'c\"d&e+f%g=h:i/j é ß %41 -._~"


@pytest.mark.parametrize("auth, decode", [
    ("basic", True), ("basic-raw", False), ("post", None), ("none", None)])
def test_difficult_characters_by_each_client_authentication(fake, home, daemon, auth, decode):
    from urllib.parse import unquote_plus
    secret = "" if auth == "none" else f"client-secret = {DIFFICULT}"
    home.configure(profile(fake, f"client-auth = {auth}", secret=secret).replace(
        "canary-pw", DIFFICULT).replace("username = someone", f"username = {DIFFICULT}"))
    daemon.start()
    assert home.run("get").returncode == 0
    grant = fake.grants()[0]
    assert grant.form["username"] == grant.form["password"] == DIFFICULT
    header = grant.headers["Authorization"]
    if decode is None:
        assert header is None
        assert grant.form.get("client_secret") == (DIFFICULT if auth == "post" else None)
        return
    assert "client_id" not in grant.form and "client_secret" not in grant.form
    user, _, password = base64.b64decode(header.split()[1]).decode().partition(":")
    assert (unquote_plus(user), unquote_plus(password)) == ("client", DIFFICULT) if decode else \
        (user, password) == ("client", DIFFICULT)
    assert "%2D" not in password and "%2E" not in password


def test_a_public_client_sends_no_secret(fake, get):
    assert get(secret="").returncode == 0
    form = fake.grants()[0].form
    assert form["client_id"] == "client" and "client_secret" not in form
    assert fake.grants()[0].headers["Authorization"] is None


def error(status, body=b"", **headers):
    return status, headers, body


@pytest.mark.parametrize("change, code, says", [
    ({"aud": None}, 8, "another audience"),
    ({"aud": ["x", "client"]}, 0, ""),
    ({"iss": "https://other.example/"}, 8, "https://other.example/"),
    ({"exp": None}, 8, "exp is missing"), ({"exp": "soon"}, 8, "exp is no date"),
    ({"exp": 1000, "iat": 2000}, 8, "expired"),
    ({"exp": str(int(time.time()) + 3600)}, 0, ""), ({"exp": time.time() + 3600.5}, 0, ""),
    ({"nbf": int(time.time()) + 3600}, 8, "nbf"), ({"nbf": int(time.time()) + 30}, 0, ""),
    ({"iat": None}, 0, ""), ({"sub": None}, 0, ""),
])
def test_claims_are_judged_as_the_api_server_judges_them(fake, get, change, code, says):
    fake.claims = change
    r = get()
    assert r.returncode == code, r.stderr
    assert says in r.stderr


def test_a_byte_changed_in_the_middle_of_the_signature_is_not_served(fake, get):
    token = fake.id_token()
    i = len(token) - 100
    broken = token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1:]
    fake.answers["/oauth/token"] = json_answer(fake.token(id_token=broken))
    r = get()
    assert r.returncode == 8 and "signature" in r.stderr


@pytest.mark.parametrize("header", [{"alg": "none"}, {"alg": "HS256"}, {"crit": ["exp"]},
                                    {"alg": "rs256"}, {"alg": None}])
def test_a_header_that_must_not_be_believed(fake, get, header):
    fake.answers["/oauth/token"] = json_answer(fake.token(
        id_token=fake.key.sign({"iss": fake.issuer, "aud": "client",
                                "exp": int(time.time()) + 60}, header)))
    assert get().returncode == 8


@pytest.mark.parametrize("changes", [{"alg": None}, {"use": None}, {"kid": None}])
def test_keys_may_lack_members(fake, get, changes):
    fake.answers["/.well-known/jwks.json"] = json_answer({"keys": [
        {"kty": "oct", "k": "AA"}, {"kty": "OKP"}, fake.key.jwk(use="enc"),
        fake.key.jwk(**changes)]})
    assert get().returncode == 0


def test_a_key_that_is_not_published(fake, get):
    fake.answers["/.well-known/jwks.json"] = json_answer(
        {"keys": [scripted.Key("another").jwk()]})
    r = get()
    assert r.returncode == 8 and "key-1" in r.stderr


@pytest.mark.parametrize("answer, code", [
    (error(500), "not-verified"), (error(404), "not-verified"),
    (error(200, b"junk"), "keys-unreadable"), (json_answer({"keys": []}), "keys-unreadable")])
def test_when_keys_cannot_be_had_the_token_is_served_and_marked(fake, home, get, answer, code):
    fake.answers["/.well-known/jwks.json"] = answer
    assert get().returncode == 0
    status = home.status("p")
    assert status["verified"] is False
    assert [w["code"] for w in status["warnings"]] == [code]


def test_endpoints_by_hand_need_no_discovery(fake, get):
    fake.answers["/.well-known/openid-configuration"] = error(404)
    r = get(f"token-endpoint = {fake.base}/oauth/token\n"
            f"jwks-uri = {fake.base}/.well-known/jwks.json")
    assert r.returncode == 0
    assert [q.path for q in fake.requests] == ["/.well-known/jwks.json", "/oauth/token"]


def test_a_token_endpoint_by_hand_makes_do_without_discovery(fake, home, get):
    fake.answers["/.well-known/openid-configuration"] = error(404)
    assert get(f"token-endpoint = {fake.base}/oauth/token").returncode == 0
    assert home.status("p")["verified"] is False


@pytest.mark.parametrize("offset", [-7200, -600, 600, 7200])
def test_a_wrong_clock_of_the_provider_or_of_ours(fake, home, get, offset):
    """Lifetimes are spans of the provider's own clock: the offset changes nothing."""
    fake.clock = lambda: time.time() + offset
    assert get().returncode == 0
    status = home.status("p")
    assert 3500 < status["expiresInSeconds"] <= 3600
    assert abs(status["clockOffsetSeconds"] - offset) <= 60


def test_an_unverified_address_is_a_warning(fake, home, get):
    """The article's trap: the grant works, and the API server then says 401."""
    fake.claims = {"email_verified": False}
    assert get().returncode == 0
    assert [w["code"] for w in home.status("p")["warnings"]] == ["email-not-verified"]
    assert "not verified" in rig.unwrapped(home.run("status").stdout)


def test_a_refresh_token_is_used_and_replaced(fake, home, get):
    tokens = iter(["r1", "r2", "r3", "r4"])
    fake.answers["/oauth/token"] = lambda request: json_answer(
        fake.token(refresh_token=next(tokens)))
    assert get().returncode == 0
    assert home.run("refresh").returncode == 0
    assert home.run("refresh").returncode == 0
    forms = [r.form for r in fake.grants()]
    assert [f["grant_type"] for f in forms] == ["password", "refresh_token", "refresh_token"]
    assert [f.get("refresh_token") for f in forms] == [None, "r1", "r2"]
    assert "scope" not in forms[1] and "password" not in forms[1]


def test_a_refresh_without_an_id_token_means_the_password_from_then_on(fake, home, get):
    def answer(request):
        if request.form["grant_type"] == "refresh_token":
            return json_answer({"access_token": "a"})
        return json_answer(fake.token(refresh_token="r"))
    fake.answers["/oauth/token"] = answer
    assert get().returncode == 0
    assert home.run("refresh").returncode == 0
    assert home.run("refresh").returncode == 0
    assert [r.form["grant_type"] for r in fake.grants()] == [
        "password", "refresh_token", "password", "password"]


def test_a_dead_refresh_token_means_the_password_once(fake, home, get):
    def answer(request):
        if request.form["grant_type"] == "refresh_token":
            return json_answer({"error": "invalid_request"}, 400)
        return json_answer(fake.token(refresh_token="r"))
    fake.answers["/oauth/token"] = answer
    assert get().returncode == 0
    assert home.run("refresh").returncode == 0
    assert [r.form["grant_type"] for r in fake.grants()] == ["password", "refresh_token",
                                                             "password"]


def test_refresh_tokens_can_be_left_alone(fake, home, get):
    fake.answers["/oauth/token"] = lambda request: json_answer(fake.token(refresh_token="r"))
    assert get("use-refresh-token = no").returncode == 0
    assert home.run("refresh").returncode == 0
    assert [r.form["grant_type"] for r in fake.grants()] == ["password", "password"]


def test_rejected_fetches_another_token_while_the_old_one_is_kept(fake, home, get):
    assert get().returncode == 0
    first = home.run("get").stdout
    assert home.run("get", "--rejected").stdout == first, "it is not older than ten seconds"
    assert len(fake.grants()) == 1


# ---- the keys of a profile that speak of the way to the provider -------------------------------


def test_a_client_certificate_is_shown_to_who_wants_one(fake, home, daemon, tmp_path):
    own = scripted.apiserver.make_tls_files(str(tmp_path), "client")
    fake.require_client_certificate(own.ca)
    home.configure(profile(fake))
    daemon.start()
    rig.wait_until(lambda: home.run("get", "--timeout", "1s").returncode == 7 and
                   "error" in home.status("p"), "the first failure")
    r = home.run("get", "--timeout", "1s")
    assert r.returncode == 7 and "tls-client-cert" in r.stderr
    home.configure(profile(fake, f"tls-client-cert = {own.cert}\ntls-client-key = {own.key}"))
    daemon.reload()
    assert home.run("get").returncode == 0


@pytest.mark.parametrize("mode, says", [(0o644, "chmod 600"), (None, "No such file")])
def test_a_key_that_others_can_read_is_not_used(fake, get, tmp_path, mode, says):
    own = scripted.apiserver.make_tls_files(str(tmp_path), "client")
    own.key.chmod(mode) if mode else own.key.unlink()
    r = get(f"tls-client-cert = {own.cert}\ntls-client-key = {own.key}")
    assert r.returncode == 9 and says in r.stderr and str(own.key) in r.stderr
    assert fake.requests == []


@pytest.fixture
def proxy():
    p = scripted.Proxy()
    yield p
    p.stop()


def test_a_proxy_by_url(fake, get, proxy):
    assert get(f"proxy = http://user:pass%20word@127.0.0.1:{proxy.port}").returncode == 0
    assert proxy.seen == [(fake.base.removeprefix("https://"), "user:pass word")]


def test_a_proxy_by_the_daemons_environment(fake, home, get, proxy):
    home.environment["https_proxy"] = f"http://127.0.0.1:{proxy.port}"
    assert get().returncode == 0
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("extra, environment", [
    ("proxy = none", {}), ("proxy = auto", {"no_proxy": "127.0.0.1"})])
def test_no_proxy(fake, home, get, proxy, extra, environment):
    home.environment.update({"https_proxy": f"http://127.0.0.1:{proxy.port}", **environment})
    assert get(extra).returncode == 0
    assert proxy.seen == []


@pytest.mark.parametrize("url, code", [
    ("http://me:canary-pw@127.0.0.1:99999", 7), ("http://me:canary-pw@", 7),
    ("htp://me:canary-pw@127.0.0.1:1", 9), ("http://me:canary-pw@127.0.0.1:1 /", 9)])
def test_a_proxys_password_is_not_told_where_its_url_is_wrong(get, url, code):
    r = get(f"proxy = {url}")
    assert r.returncode == code and "proxy" in r.stderr


@pytest.mark.parametrize("url", ["http://me:canary-pw@127.0.0.1:99999", "me:canary-pw@:x",
                                 "htp://me:canary-pw@127.0.0.1"])
def test_nor_where_it_is_in_the_environment(home, get, url):
    home.environment["https_proxy"] = url
    r = get()
    assert r.returncode == 7 and "the URL of the proxy is not valid" in r.stderr


def test_a_configuration_with_a_proxys_password_has_to_be_private(fake, home, daemon, proxy):
    home.write("pw", "canary-pw")
    text = profile(fake, f"proxy = http://me:canary-px@127.0.0.1:{proxy.port}", secret="").replace(
        "password = canary-pw", "password-file = pw")
    home.configure(text, 0o644)
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and f"chmod 600 {home.config}/kubetoken.conf" in r.stderr
    home.configure(text)
    home.settle()
    assert home.run("get").returncode == 0


def test_a_proxy_that_is_down(fake, get, proxy):
    proxy.stop()
    r = get(f"proxy = http://127.0.0.1:{proxy.port}")
    assert r.returncode == 7 and str(proxy.port) in r.stderr


@pytest.fixture
def plain(tmp_path):
    """A provider without TLS, and a profile for it."""
    folder = tmp_path / "plain"
    folder.mkdir()
    p = scripted.Provider(folder, tls=False)
    yield p, (f"[profile p]\nissuer = {p.issuer}\nclient-id = client\nusername = u\n"
              "password = canary-pw\n")
    p.stop()


def test_plain_http_to_loopback_only_when_it_is_allowed(plain, home, daemon):
    _, text = plain
    home.configure(text)
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and "allow-http-loopback" in r.stderr
    home.configure(text + "allow-http-loopback = yes\n")
    home.settle()
    assert home.run("get").returncode == 0


@pytest.mark.parametrize("how", ["http_proxy", "all_proxy", "proxy"])
def test_plain_http_goes_by_no_proxy(plain, home, daemon, how):
    """It would have the password in clear text, elsewhere than on loopback."""
    provider, text = plain
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        if how == "proxy":
            text += f"proxy = {url}\n"
        else:
            home.environment[how] = url
        home.configure(text + "allow-http-loopback = yes\n")
        daemon.start()
        assert home.run("get", "--timeout", "1s").returncode == 0
        assert len(provider.grants()) == 1
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_where_it_is_stuck_is_told_when_the_clients_time_is_up(fake, home, get):
    fake.hang("/oauth/token")
    r = get(hangs=True)  # waits one second, the request fifteen
    assert r.returncode == 7
    assert f"waiting for a token from {fake.base.removeprefix('https://')}" in r.stderr


def test_the_fetcher_is_confined_while_it_talks_to_the_provider(fake, home, daemon, get):
    """What /proc tells of it; what that means is in tests/unit/sandbox_test.c."""
    fake.hang("/oauth/token")
    get(hangs=True)
    status = {}
    for file in pathlib.Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(OSError):  # one that has just ended
            status = dict(re.findall(r"^(\w+):\t(.*)", file.read_text(), re.M))
        if status.get("PPid") == str(daemon.process.pid):
            break
    assert status["PPid"] == str(daemon.process.pid)
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2" or platform.machine() not in ("x86_64", "aarch64")


# ---- the other sources ---------------------------------------------------------------------------


def test_a_systemd_credential(fake, home, daemon, tmp_path):
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "pw").write_text("from systemd\n")
    (credentials / "secret").write_text("s3cret")
    home.configure(profile(fake, secret="client-secret-credential = secret").replace(
        "password = canary-pw", "password-credential = pw"))
    home.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    daemon.start()
    assert home.run("get").returncode == 0
    form = fake.grants()[0].form
    assert (form["password"], form["client_secret"]) == ("from systemd", "s3cret")


def test_a_systemd_credential_without_systemd_is_explained(fake, home, daemon):
    home.configure(profile(fake).replace("password = canary-pw", "password-credential = pw"))
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and "LoadCredential=pw" in r.stderr


def test_commands_for_both_secrets(fake, home, daemon):
    home.configure(profile(fake, secret="client-secret-command = printf 'a  b'").replace(
        "password = canary-pw", "password-command = sh -c 'env | cut -d= -f1 | sort | xargs'"))
    home.environment["CANARY_VARIABLE"] = "x"
    daemon.start()
    assert home.run("get").returncode == 0
    form = fake.grants()[0].form
    assert form["client_secret"] == "a  b"
    names = form["password"].split()
    assert "HOME" in names and "PATH" in names and "CANARY_VARIABLE" not in names
    assert not {"NOTIFY_SOCKET", "LISTEN_FDS", "CREDENTIALS_DIRECTORY"} & set(names)


@pytest.mark.parametrize("command, says", [
    ("/nowhere/pass", "not found"), ("/etc/passwd", "exit status 126"),
    ("sh -c 'printf canary-pw; exit 3'", "exit status 3"),
    ("sh -c 'printf canary-pw; kill -9 $$'", "killed by signal 9"),
    ("sh -c 'echo no such entry >&2; exit 3'", "the command failed with exit status 3: no such"),
    ("sh -c 'echo canary-pw; echo canary-pw >&2; exit 3'", "exit status 3"),
    ("sh -c 'printf canary-p; echo got canary-pw >&2; exit 3'", "exit status 3"),
    ("sh -xc 'p=canary-pw; exit 3'", "exit status 3"),
    ("head -c 70000 /dev/zero", "more than 64 KiB"), ("printf '%020000d' 1", "16 KiB"),
    ("true", "is empty"), ("echo", "is empty"), ("printf 'a\\000b'", "NUL")])
@pytest.mark.parametrize("key", ["password", "client-secret"])
def test_a_command_that_gives_no_secret_is_explained(fake, home, daemon, key, command, says):
    home.configure(profile(fake).replace(
        {"password": "password = canary-pw", "client-secret": "client-secret = shh"}[key],
        f"{key}-command = {command}"))
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and says in r.stderr and r.stderr.count("\n") == 1
    assert key.replace("-", " ") in r.stderr.replace("-", " ")
    assert fake.grants() == [] and "canary" not in r.stderr + daemon.log.read_text()


def test_a_command_that_takes_its_time_is_named(fake, home, daemon, tmp_path):
    os.mkfifo(tmp_path / "answer")
    home.configure(profile(fake).replace("password = canary-pw",
                                         f"password-command = cat {tmp_path / 'answer'}"))
    daemon.start()
    r = home.run("get", "--timeout", "1s")
    assert r.returncode == 9 and r.stderr == (
        "kubetoken: p: a credential cannot be read: the command has not ended yet\n")
    (tmp_path / "answer").write_text("canary-pw\n")
    assert home.run("get").returncode == 0


@pytest.mark.parametrize("command, sent", [
    ("printf 'a \\n'", "a "), ("printf ' a\\r\\n'", " a"), ("printf $HOME", "$HOME")])
def test_of_what_a_command_prints_the_end_of_the_line_is_cut(fake, get, command, sent):
    assert get(f"client-secret-command = {command}", secret="").returncode == 0
    assert fake.grants()[0].form["client_secret"] == sent


@pytest.mark.parametrize("words, status, printed", [
    (b"printf\0%s|\0a  b\0\0$HOME\0", 0, b"a  b||$HOME|"), (b"cat\0", 0, b""),
    (b"sh\0-c\0exit 3\0", 3, b""), (b"/nowhere/pass\0", 127, b""), (b"/etc/passwd\0", 126, b""),
    (b"", 126, b""), (b"echo\0cut off", 126, b""), (b"echo\0" + b"x" * 20000 + b"\0", 126, b"")],
    ids=["words", "no stdin", "status", "missing", "no program", "none", "cut", "too long"])
def test_in_a_unit_the_daemons_program_becomes_the_command(home, words, status, printed):
    """Its words come on stdin, so that the user's systemd knows nothing of them."""
    r = subprocess.run([rig.BUILD / "kubetokend", "--credential-command"], input=words,
                       env={**home.environment, "CANARY_VARIABLE": "x"}, capture_output=True,
                       timeout=rig.PATIENCE, check=False)
    assert (r.returncode, r.stdout) == (status, printed)


def test_a_refresh_refused_for_the_client_keeps_the_refresh_token(fake, home, get):
    refuse = []

    def answer(request):
        if refuse:
            return json_answer({"error": "invalid_client"}, 401)
        return json_answer(fake.token(refresh_token="r1"))
    fake.answers["/oauth/token"] = answer
    assert get().returncode == 0
    refuse.append(True)
    assert home.run("refresh").returncode == 6
    assert home.run("get").returncode == 0, "the token that lives is served"
    refuse.clear()
    assert home.run("refresh").returncode == 0
    assert [r.form["grant_type"] for r in fake.grants()] == ["password", "refresh_token",
                                                             "refresh_token"]


def test_a_token_that_fades_is_served_when_no_newer_one_can_be_had(fake, home, get):
    """And says so. Half-way between renewal and death a `get` would rather wait for a new one."""
    fake.lifetime = 12
    assert get("refresh-before = 90%\nkeep-fresh = 0").returncode == 0
    token = home.run("get").stdout
    rig.wait_until(lambda: home.status("p")["expiresInSeconds"] < 4, "its last seconds")
    fake.answers["/oauth/token"] = error(500)
    r = home.run("get", "--timeout", "60s")
    assert (r.returncode, r.stdout) == (0, token)
    assert r.stderr.count("\n") == 1 and "about to expire" in r.stderr


def test_a_token_that_is_dead_is_never_served(fake, home, get):
    fake.lifetime = 7  # with less than 5 s left there is a word beside it
    assert get("keep-fresh = 0").returncode == 0
    fake.answers["/oauth/token"] = error(500)
    rig.wait_until(lambda: "expirationTimestamp" not in home.status("p"),
                   "the token's death")
    r = home.run("get", "--timeout", "1s")
    assert r.returncode == 7 and r.stdout == ""
