"""`import`: a profile out of what a user of the kubeconfig logs in with, and kubectl runs kubetoken
for that user."""
import base64
import json
import os
import pathlib
import shutil
import signal
import subprocess

import pytest
import yaml

import apiserver
import rig
from dialogue import Dialogue
from scripted import json_answer
from test_kubectl import kubectls, minor_version

SECRETS = ("canary-secret", "canary-pw", "canary-r0", "canary-r1")


class Kubeconfig:
    """A file, the `user` entry in it, and what stands around it."""

    def __init__(self, home):
        self.path = home.folder / ".kube" / "config"
        self.path.parent.mkdir(exist_ok=True)

    def write(self, user, server="https://127.0.0.1:1", ca="/nowhere/ca.pem", name="someone"):
        self.path.write_text(
            "# kept by hand\n"
            f"apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters:\n- name: c\n"
            f"  cluster: {{server: '{server}', certificate-authority: {ca}}}\n"
            f"contexts:\n- name: c\n  context: {{cluster: c, user: {json.dumps(name)}}}\n"
            "users:\n- name: other   # another one\n  user: {token: x}\n"
            f"- name: {json.dumps(name)}\n  user:\n" +
            "".join(f"    {line}\n" for line in yaml.safe_dump(user).splitlines()))
        self.before = self.bytes
        return self

    @property
    def bytes(self):
        return self.path.read_bytes()

    def exec_of(self, name="someone"):
        users = yaml.safe_load(self.bytes)["users"]
        return next(u["user"] for u in users if u["name"] == name).get("exec")


@pytest.fixture
def kubeconfig(home):
    return Kubeconfig(home)


@pytest.fixture
def running(daemon):
    return daemon.start()


def provider_user(fake, **more):
    config = {"idp-issuer-url": fake.issuer, "client-id": "client",
              "idp-certificate-authority": str(fake.ca_file), **more}
    return {"auth-provider": {"name": "oidc",
                              "config": {k: v for k, v in config.items() if v is not None}}}


def kubelogin(fake, *args, command="kubelogin", before=("get-token",), env=None, secret=True):
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": command,
                     "env": env, "args": [
                         *before, f"--oidc-issuer-url={fake.issuer}", "--oidc-client-id", "client",
                         *(["--oidc-client-secret=canary-secret"] if secret else []),
                         f"--certificate-authority={fake.ca_file}", *args]}}


def profile(home, name="someone"):
    """The keys of that section."""
    section, keys = None, {}
    path = home.config / "kubetoken.conf"
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.startswith("["):
            section = line
        elif section == f"[profile {name}]" and "=" in line:
            key, value = line.split("=", 1)
            keys[key.strip()] = value.strip()
    return keys


def files(home):
    return {p.name: p.read_bytes() for p in home.config.iterdir() if p.is_file()}


def says_no_secret(r):
    assert not [s for s in SECRETS if s in r.stdout + r.stderr], r.stdout + r.stderr


def grants(fake):
    return [r.form.get("refresh_token") or r.form["grant_type"] for r in fake.grants()]


# ---- the article -------------------------------------------------------------------------------


ARTICLE = """\
apiVersion: v1
clusters:
- cluster:
    certificate-authority: {ca}
    server: {server}
  name: minikube
contexts:
- context:
    cluster: minikube
    namespace: default
    user: someone-kube@example.com
  name: minikube
current-context: minikube
kind: Config
preferences: {{}}
users:
- name: minikube2
  user:
    client-certificate: C:\\Users\\someone\\.minikube\\profiles\\minikube\\client.crt
    client-key: C:\\Users\\someone\\.minikube\\profiles\\minikube\\client.key
- name: someone-kube@example.com
  user:
    auth-provider:
      name: oidc
      config:
        client-id: client{blank}
        client-secret: canary-secret
        idp-issuer-url: {issuer}
        id-token: {token}
"""


@pytest.mark.skipif(not kubectls(), reason="no kubectl on this machine")
def test_the_article_s_kubeconfig_is_imported_and_kubectl_works(fake, home, running, kubeconfig,
                                                                tmp_path):
    """Its issuer ends in a slash, its client id in a blank, its token died long ago."""
    fake.claims = {"email": "someone-kube@example.com", "email_verified": True}
    old = fake.id_token(exp=1620971862, iat=1620935862)
    with apiserver.ApiServer(str(tmp_path / "apiserver"), fake.issuer, "client",
                             issuer_ca=str(fake.ca_file)) as server:
        text = ARTICLE.format(ca=server.ca_file, server=server.url, issuer=fake.issuer, token=old,
                              blank=" ")
        text = text.replace("        id-token:", "        idp-certificate-authority: "
                            f"{fake.ca_file}\n        id-token:")
        kubeconfig.path.write_text(text)
        r = home.run("import", input="\ncanary-pw\n")
        assert r.returncode == 0, r.stderr + r.stdout
        says_no_secret(r)
        assert "good until 2021-05-14T05:57:42Z" in rig.unwrapped(r.stdout).replace("\n  ", " ")
        assert [q.form["username"] for q in fake.grants()] == 2 * ["someone-kube@example.com"]
        assert profile(home, "someone-kube@example.com") == {
            "issuer": fake.issuer, "client-id": "client", "ca-file": str(fake.ca_file),
            "client-secret-file": "someone-kube@example.com.secret",
            "username": "someone-kube@example.com"}
        assert kubeconfig.path.read_text().startswith(text[:text.index("    auth-provider:")])
        for kubectl in kubectls():
            if kubeconfig.exec_of("someone-kube@example.com")["apiVersion"].endswith("/v1") and \
                    minor_version(kubectl) < 22:
                continue
            got = subprocess.run([kubectl, "get", "services"], env=home.environment,
                                 capture_output=True, text=True, timeout=2 * rig.PATIENCE)
            assert got.returncode == 0 and "10.96.0.1" in got.stdout, got.stderr
    again = home.run("import", input="")
    assert again.returncode == 0 and "nothing to import" in again.stdout, again.stderr


# ---- auth-provider -----------------------------------------------------------------------------


def test_each_part_of_an_auth_provider_becomes_a_key(fake, home, running, kubeconfig):
    data = base64.b64encode(fake.ca_file.read_bytes()).decode()
    kubeconfig.write(provider_user(fake, **{
        "client-secret": "canary-secret", "extra-scopes": "groups,email",
        "idp-certificate-authority": None, "idp-certificate-authority-data": data}))
    r = home.run("import", "--username", "someone", "--profile", "q", input="canary-pw\n")
    assert r.returncode == 0, r.stderr
    says_no_secret(r)
    assert profile(home, "q") == {
        "issuer": fake.issuer, "client-id": "client", "client-secret-file": "q.secret",
        "ca-file": "q.ca.pem", "scope": "openid email profile groups", "username": "someone"}
    assert (home.config / "q.secret").read_bytes() == b"canary-secret"
    assert (home.config / "q.ca.pem").read_bytes() == fake.ca_file.read_bytes()
    for name in ("q.secret", "q.ca.pem", "kubetoken.conf"):
        assert (home.config / name).stat().st_mode & 0o777 == 0o600
    first = fake.grants()[0].form
    assert first["scope"] == "openid email profile groups" and first["password"] == "canary-pw"
    assert kubeconfig.exec_of()["args"][-1] == "q"
    assert home.run("get", "q").returncode == 0


def test_a_password_that_is_refused_leaves_all_as_it_was(fake, home, running, kubeconfig):
    fake.answers["/oauth/token"] = lambda _: json_answer({"error": "invalid_grant"}, 403)
    kubeconfig.write(provider_user(fake, **{"client-secret": "canary-secret"}))
    before = files(home)
    r = home.run("import", "--username", "someone", input="canary-pw\n")
    assert r.returncode == 6, r.stderr
    says_no_secret(r)
    assert len(fake.grants()) == 1, "one login at most"
    assert kubeconfig.bytes == kubeconfig.before and files(home) == before


def test_nobody_answers_and_nothing_is_changed(fake, home, running, kubeconfig):
    """Without a name, or a password, on stdin; a name out of an old token is none by itself."""
    kubeconfig.write(provider_user(fake))
    for arguments, given, says in [
            ((), "", "a user name is needed: --username NAME"),
            ((), "someone\n", "a password is needed: --password-file FILE"),
            (("--username", "someone"), "\n", "a password is needed"),
            (("--username", "someone"), "a\x01b\n", "control character")]:
        r = home.run("import", *arguments, input=given)
        assert r.returncode in (2, 9) and says in r.stderr, r.stderr
    assert fake.requests == [] and kubeconfig.bytes == kubeconfig.before
    assert files(home) == {}


def test_no_verify_sends_nothing(fake, home, kubeconfig):
    kubeconfig.write(provider_user(fake, **{"refresh-token": "canary-r0"}))
    home.write("pw", "canary-pw")
    r = home.run("import", "--no-verify", "--username", "someone", "--password-file",
                 str(home.config / "pw"))
    assert r.returncode == 0, r.stderr
    assert fake.requests == [] and profile(home)["password-file"] == str(home.config / "pw")
    assert kubeconfig.exec_of()["command"] == "kubetoken"


def test_dry_run_shows_and_does_nothing(fake, home, running, kubeconfig):
    kubeconfig.write(kubelogin(fake, "--username=me", "--password=canary-pw",
                               env=[{"name": "HTTPS_PROXY", "value": "http://u:canary-pw@p:1"}]))
    r = home.run("import", "--dry-run")
    assert r.returncode == 0, r.stderr
    says_no_secret(r)
    for line in (f"issuer = {fake.issuer}", "client-id = client", "username = me", "proxy = (set)",
                 "client-secret-file = someone.secret", "password-file = someone.password",
                 f"ca-file = {fake.ca_file}", "scope = openid"):
        assert f"{line}\n" in r.stdout, r.stdout
    assert "kubetoken" in r.stdout.split("\n\n", 1)[1]
    assert fake.requests == [] and kubeconfig.bytes == kubeconfig.before and files(home) == {}


def test_another_profile_of_that_name_is_not_replaced(fake, home, daemon, kubeconfig):
    home.configure(fake.profile("someone"))
    daemon.start()
    before = files(home)
    kubeconfig.write(kubelogin(fake, "--username=me", "--password=canary-pw"))
    r = home.run("import")
    assert r.returncode == 2 and "--profile" in r.stderr and "--force" in r.stderr, r.stderr
    assert files(home) == before and kubeconfig.bytes == kubeconfig.before and not fake.grants()
    r = home.run("import", "--force")
    assert r.returncode == 0, r.stderr
    assert profile(home)["password-file"] == "someone.password"


# ---- whom --------------------------------------------------------------------------------------


def test_whom_it_takes(fake, home, kubeconfig):
    """Who is named; else the current context's; else the only one."""
    def several(current, *logins):
        users = [{"name": f"u{i}", "user": login} for i, login in enumerate(logins)]
        contexts = [{"name": f"c{i}", "context": {"cluster": "c", "user": f"u{i}"}}
                    for i in range(len(logins))]
        kubeconfig.path.write_text(yaml.safe_dump(
            {"apiVersion": "v1", "kind": "Config", "users": users, "contexts": contexts,
             "clusters": [], "current-context": current}))

    def dry(*args):
        return home.run("import", "--dry-run", *args)

    good, bad = provider_user(fake), {"token": "x"}
    several("c1", good, good)
    assert "[profile u1]" in dry().stdout
    assert "[profile u0]" in dry("--user", "u0").stdout
    assert "[profile u0]" in dry("--context", "c0").stdout
    several("c0", bad, good)
    assert "[profile u1]" in dry().stdout
    several("c0", bad, good, good)
    r = dry()
    assert r.returncode == 2 and "--user names one of: u1, u2" in r.stderr
    several("c0", bad)
    r = dry()
    assert r.returncode == 0 and "nothing to import: user u0: it logs in with a token" in r.stdout
    r = dry("--user", "u0")
    assert r.returncode == 9 and "u0: it logs in with a token" in r.stderr
    for args, says in [(("--user", "x"), "no user x"), (("--context", "x"), "no context x"),
                       (("--user", "u0", "--context", "c0"), "both say whom")]:
        r = dry(*args)
        assert r.returncode == 2 and says in r.stderr
    # two files: of two users with one name the first counts, and its file is changed
    other = home.folder / "other"
    other.write_text(yaml.safe_dump({"users": [{"name": "u0", "user": good}]}))
    r = home.run("import", "--dry-run", "--user", "u0", env={
        "KUBECONFIG": f"{home.folder}/none:{other}:{kubeconfig.path}"})
    assert r.returncode == 0 and "[profile u0]" in r.stdout, r.stderr
    assert str(other) in r.stdout
    r = home.run("import", "--kubeconfig", str(home.folder / "none"))
    assert r.returncode == 9 and "No such file" in r.stderr


# ---- kubelogin ---------------------------------------------------------------------------------


@pytest.mark.parametrize("user", [
    lambda f: kubelogin(f, "--grant-type=password", "--username=me", "--password=canary-pw"),
    lambda f: kubelogin(f, "--username", "me", "--password", "canary-pw", "-v1",
                        "--oidc-extra-scope=email,groups", command="kubectl",
                        before=("oidc-login", "get-token")),
    lambda f: kubelogin(f, "--username=me", "--password=canary-pw", "--oidc-extra-scope", "email",
                        "--oidc-extra-scope", "groups", command="/opt/kubectl-oidc_login"),
    lambda f: kubelogin(f, "--username=me", "--password=canary-pw", command="docker", before=(
        "run", "--rm", "-v", f"{f.folder}:{f.folder}", "ghcr.io/int128/kubelogin:v1",
        "get-token")),
], ids=["kubelogin", "kubectl", "krew", "docker"])
def test_kubelogin_with_a_password_needs_nobody(fake, home, running, kubeconfig, user):
    kubeconfig.write(user(fake))
    r = home.run("import")
    assert r.returncode == 0, r.stderr
    says_no_secret(r)
    assert "stood in the kubeconfig in clear" in r.stdout
    assert (home.config / "someone.password").read_bytes() == b"canary-pw"
    assert (home.config / "someone.password").stat().st_mode & 0o777 == 0o600
    assert {q.form["password"] for q in fake.grants()} == {"canary-pw"}
    assert fake.grants()[0].form["scope"] in ("openid", "openid email groups")
    assert home.run("get", "someone").returncode == 0
    assert home.run("import").stdout == \
        "nothing to import: user someone: it runs kubetoken already\n"


def test_a_login_with_a_browser_is_taken_where_that_is_wanted(fake, home, running, kubeconfig):
    kubeconfig.write(kubelogin(fake))
    r = home.run("import", input="me\ncanary-pw\n")
    assert r.returncode == 9 and "--password-grant" in r.stderr and not fake.grants()
    assert kubeconfig.bytes == kubeconfig.before
    r = home.run("import", "--password-grant", input="me\ncanary-pw\n")
    assert r.returncode == 0, r.stderr
    assert kubeconfig.exec_of()["command"] == "kubetoken"


# ---- without a password ------------------------------------------------------------------------


def has_device_grant(fake):
    fake.answers["/.well-known/openid-configuration"] = json_answer(
        {**fake.discovery(), "device_authorization_endpoint": fake.base + "/oauth/device/code"})


NEXT = "kubetoken login someone, which shows a code"


@pytest.mark.parametrize("args", [("--grant-type=device-code",), ("--grant-type=device-code",
                                                                  "--username=me",
                                                                  "--password=canary-pw")])
def test_a_login_by_device_stays_one(fake, home, running, kubeconfig, args):
    """With nobody asked, and neither user nor password in the profile."""
    has_device_grant(fake)
    kubeconfig.write(kubelogin(fake, *args))
    r = home.run("import", input="")
    assert r.returncode == 0, r.stderr
    assert profile(home) == {"issuer": fake.issuer, "ca-file": str(fake.ca_file), "client-id":
                             "client", "client-secret-file": "someone.secret", "scope": "openid",
                             "grant": "device"}
    assert kubeconfig.exec_of()["command"] == "kubetoken" and not fake.grants()
    flat = " ".join(r.stdout.split())
    assert NEXT in flat and ("its password is left out" in flat) == (len(args) > 1)
    assert set(files(home)) == {"kubetoken.conf", "someone.secret"}
    says_no_secret(r)


def test_a_provider_that_has_no_device_grant_is_told_of_before_anything_is_written(
        fake, home, running, kubeconfig):
    kubeconfig.write(kubelogin(fake, "--grant-type=device-code"))
    r = home.run("import", input="")
    assert r.returncode == 8 and "no device_authorization_endpoint" in r.stderr, r.stderr
    assert kubeconfig.bytes == kubeconfig.before and files(home) == {}


def test_a_login_with_a_browser_becomes_one_by_device_where_the_provider_has_that(
        fake, home, running, kubeconfig):
    has_device_grant(fake)
    kubeconfig.write(kubelogin(fake))
    r = home.run("import", input="")
    assert r.returncode == 0, r.stderr
    assert profile(home)["grant"] == "device" and NEXT in " ".join(r.stdout.split())
    assert "--password-grant would try the password grant" in " ".join(r.stdout.split())
    assert not fake.grants()


def test_who_wants_the_password_grant_gets_it(fake, home, running, kubeconfig):
    has_device_grant(fake)
    kubeconfig.write(kubelogin(fake))
    r = home.run("import", "--grant=password", input="me\ncanary-pw\n")
    assert r.returncode == 0, r.stderr
    assert "grant" not in profile(home) and profile(home)["username"] == "me"


def test_a_dry_run_asks_no_provider(fake, home, running, kubeconfig):
    has_device_grant(fake)
    kubeconfig.write(kubelogin(fake))
    r = home.run("import", "--dry-run")
    assert r.returncode == 0 and not fake.requests, r.stderr
    assert "grant = device where the provider has that" in r.stdout
    r = home.run("import", "--dry-run", "--grant", "device")
    assert "\ngrant = device\n" in r.stdout and "username" not in r.stdout and not fake.requests


@pytest.mark.parametrize("args, says", [
    (["--grant=browser"], "--grant takes password, device or refresh-token"),
    (["--grant=device", "--username=me"], "belong to the password grant"),
    (["--grant=refresh-token", "--password-file=x"], "belong to the password grant"),
    (["--grant=device", "--password-grant"], "belong to the password grant")])
def test_a_grant_that_does_not_go_is_refused(fake, home, kubeconfig, args, says):
    kubeconfig.write(kubelogin(fake))
    r = home.run("import", *args)
    assert r.returncode == 2 and says in r.stderr, r.stderr


@pytest.mark.parametrize("flag, says", [
    ("--insecure-skip-tls-verify", "always checks who the provider is"),
    ("--oidc-use-access-token", "hands out the id_token alone"),
    ("--grant-type=client-credentials", "token-command in a profile can run what prints such"),
    ("--login=azurecli", "the kubelogin of Azure"),
    ("--certificate-authority=/none.pem", "/none.pem: No such file"),
    ("--certificate-authority-data=!", "no base64"),
    ("--certificate-authority-data=eA==", "no PEM")])
def test_what_cannot_be_imported_is_refused_by_name(fake, home, kubeconfig, flag, says):
    kubeconfig.write(kubelogin(fake, "--username=me", "--password=canary-pw", flag))
    r = home.run("import")
    assert r.returncode == 9 and says in r.stderr and r.stderr.count("\n") == 1, r.stderr
    says_no_secret(r)
    assert fake.requests == [] and kubeconfig.bytes == kubeconfig.before and files(home) == {}


# ---- a refresh token ---------------------------------------------------------------------------


@pytest.fixture
def rotating(fake):
    good = ["canary-r0"]

    def answer(request):
        given = request.form.get("refresh_token")
        if given is None:
            return json_answer(fake.token())
        if given not in good:
            return json_answer({"error": "invalid_grant", "error_description": "spent"}, 400)
        good[:] = [f"canary-r{len(fake.grants())}"]
        return json_answer(fake.token(refresh_token=good[0]))

    fake.answers["/oauth/token"] = answer
    return good


WARNING = "From then on it is spent for the tool that it was got for"


def test_a_refresh_token_is_sent_with_a_word_or_a_source_alone(fake, home, running, kubeconfig,
                                                               rotating):
    kubeconfig.write(provider_user(fake, **{"refresh-token": "canary-r0"}))
    r = home.run("import", "--username", "someone")
    assert r.returncode == 2 and "--yes" in r.stderr and "--password-file" in r.stderr, r.stderr
    assert fake.requests == [] and kubeconfig.bytes == kubeconfig.before and files(home) == {}
    r = home.run("import", "--username", "someone", "--yes")
    assert r.returncode == 0, r.stderr
    flat = " ".join(r.stdout.split())
    assert WARNING in flat and "a reboot ends it" in flat
    assert flat.index(WARNING) < flat.index("logged in")
    says_no_secret(r)
    assert grants(fake) == ["canary-r0"], "it is sent once, and no password"
    assert home.run("get", "someone").returncode == 0
    assert home.run("refresh", "someone").returncode == 0
    assert grants(fake) == ["canary-r0", "canary-r1"]
    assert kubeconfig.exec_of()["command"] == "kubetoken"
    assert "refresh-token" not in kubeconfig.path.read_text()


def test_a_refresh_token_may_be_all_there_is(fake, home, running, kubeconfig, rotating):
    """No user name is asked for, and no password is ever sent."""
    kubeconfig.write(provider_user(fake, **{"refresh-token": "canary-r0"}))
    r = home.run("import", "--yes", input="")
    assert r.returncode == 2 and "--grant refresh-token" in r.stderr, r.stderr
    r = home.run("import", "--yes", "--grant", "refresh-token", input="")
    assert r.returncode == 0, r.stderr
    assert profile(home)["grant"] == "refresh-token" and "username" not in profile(home)
    assert home.run("refresh", "someone").returncode == 0
    assert grants(fake) == ["canary-r0", "canary-r1"] and "What is left" not in r.stdout
    assert "canary-r" not in "".join(p.read_text() for p in home.config.rglob("*") if p.is_file())
    says_no_secret(r)


def test_who_does_not_send_it_is_told_how_it_is_given(fake, home, running, kubeconfig, rotating):
    kubeconfig.write(provider_user(fake, **{"refresh-token": "canary-r0"}))
    r = home.run("import", "--no-verify", "--grant", "refresh-token", input="")
    assert r.returncode == 0 and not fake.requests, r.stderr
    assert "kubetoken login someone" in " ".join(r.stdout.split())


def test_with_a_source_of_the_password_it_may_be_spent(fake, home, running, kubeconfig, rotating):
    rotating[:] = []
    kubeconfig.write(provider_user(fake, **{"refresh-token": "canary-r0"}))
    home.write("pw", "canary-pw")
    r = home.run("import", "--username", "someone", "--password-file", str(home.config / "pw"))
    assert r.returncode == 0, r.stderr
    assert "logged in by password: the refresh token was not taken" in r.stdout
    assert grants(fake) == ["canary-r0", "password"]
    assert kubeconfig.exec_of()["command"] == "kubetoken"


def test_a_refresh_token_that_is_refused_leaves_all_as_it_was(fake, home, daemon, kubeconfig,
                                                              rotating):
    rotating[:] = []
    home.configure(fake.profile("q"))
    daemon.start()
    before = files(home)
    kubeconfig.write(provider_user(fake, **{"refresh-token": "canary-r0",
                                            "client-secret": "canary-secret"}))
    r = home.run("import", "--username", "someone", "--yes")
    assert r.returncode == 5 and "refused" in r.stderr, r.stderr
    assert grants(fake) == ["canary-r0"]
    assert kubeconfig.bytes == kubeconfig.before and files(home) == before
    assert [p["profile"] for p in home.status()] == ["q"]


def test_a_second_run_does_not_send_it_again(fake, home, running, kubeconfig, rotating):
    """As after a kubeconfig that could not be changed at the end."""
    kubeconfig.write(provider_user(fake, **{"refresh-token": "canary-r0"}))
    assert home.run("import", "--username", "someone", "--yes").returncode == 0
    kubeconfig.path.write_bytes(kubeconfig.before)
    r = home.run("import", "--username", "someone", "--yes")
    assert r.returncode == 0, r.stderr
    assert grants(fake) == ["canary-r0"]
    assert kubeconfig.exec_of()["command"] == "kubetoken"


def test_a_kubeconfig_that_cannot_be_changed_is_known_before_it_is_sent(fake, home, running,
                                                                        kubeconfig, rotating):
    kubeconfig.write(provider_user(fake, **{"refresh-token": "canary-r0"}))
    lock = kubeconfig.path.with_name("config.lock")
    lock.touch()
    r = home.run("import", "--username", "someone", "--yes")
    assert r.returncode != 0 and str(lock) in r.stderr, r.stderr
    assert fake.requests == [] and files(home) == {} and kubeconfig.bytes == kubeconfig.before


@pytest.mark.parametrize("number, kept", [("1", {}), ("2", {"someone.password": b"canary-pw"})])
def test_on_a_terminal_it_asks_in_turn(fake, home, running, kubeconfig, rotating, number, kept):
    """A user name with the old token's as preset, the refresh token, which is not to be sent, and
    so where the password is to be kept, and that, without an echo."""
    fake.claims = {"email": "someone@example.com"}
    kubeconfig.write(provider_user(fake, **{"refresh-token": "canary-r0",
                                            "id-token": fake.id_token()}))
    t = Dialogue([rig.BUILD / "kubetoken", "import"], home.environment)
    try:
        t.answer("User name at the provider [someone@example.com]: ", "")
        t.answer("Send it [y/N]: ", "").expect("Where is the password to be kept?")
        t.answer("Number [1]: ", number)
        t.answer("Password for someone@example.com: ", "canary-pw")
        assert t.end() == 0, t.shown
    finally:
        t.close()
    assert "canary" not in t.shown
    assert set(grants(fake)) == {"password"}
    assert kubeconfig.exec_of()["command"] == "kubetoken"
    there = files(home)
    assert {name: there[name] for name in there if name != "kubetoken.conf"} == kept
    assert home.run("get", "someone").returncode == 0
    if kept:
        assert profile(home)["password-file"] == "someone.password"
        assert home.run("logout", "someone").returncode == 0
        assert home.run("refresh", "someone").returncode == 0, "it has a source of its own"


def test_no_kubectl_is_run_with_what_is_to_be_imported(fake, home, running, kubeconfig, rotating,
                                                       tmp_path):
    """A kubectl that asks the cluster which kubectl to run has an auth-provider spend its refresh
    token, also for `version --client`."""
    kubeconfig.write(provider_user(fake, **{"refresh-token": "canary-r0"}))
    program, told = tmp_path / "kubectl", tmp_path / "told"
    program.write_text(f'#!/bin/sh\necho "$@" >> {told}\n'
                       """echo '{"clientVersion": {"minor": "21"}}'\n""")
    program.chmod(0o755)
    r = home.run("import", "--username", "someone", "--yes",
                 env={"PATH": f"{tmp_path}:{home.environment['PATH']}"})
    assert r.returncode == 0, r.stderr
    assert kubeconfig.exec_of()["apiVersion"].endswith("/v1beta1"), "by that kubectl's version"
    assert {line.split()[0] for line in told.read_text().splitlines()} == {"--kubeconfig=/dev/null"}
    assert grants(fake) == ["canary-r0"]


# ---- shapes found in the wild ------------------------------------------------------------------


SHAPES = pathlib.Path(__file__).with_name("import_shapes")
# what import is told, and what it has to say; a profile's name where there is to be one
IMPORTED = {
    "01-auth-provider-oidc.yaml": (["--username", "someone", "--yes"], "someone@example.com"),
    "03-kubelogin-password-in-args.yaml": ([], "oidc"),
    "04-kubelogin-split-args-env.yaml": (["--password-file", "@PASSWORD@"],
                                         "oidc-robot@example.com-team"),
    "05-exec-v1alpha1.yaml": ([], "p"),
}
LEFT_ALONE = {
    "06-json-one-line.json": (0, "nothing to import: user aws: it runs aws, which prints "),
    "07-anchors-merge-keys.yaml": (0, "nothing to import: user me: it runs kubetoken already"),
    "10-minikube-same-name-stale-ca.yaml": (
        0, "nothing to import: user p: it logs in with a client certificate"),
    "13-tabs.yaml": (9, "line 6: found a tab character"),
    "14-comment-only.yaml": (0, "nothing to import: no user in "),
    "15-empty.yaml": (0, "nothing to import: no user in "),
}


def shape(kubeconfig, name, **places):
    text = (SHAPES / name).read_bytes()
    for place, value in places.items():
        text = text.replace(f"@{place}@".encode(), str(value).encode())
    kubeconfig.path.write_bytes(text)
    kubeconfig.before = text


def test_every_shape_is_known():
    assert {p.name for p in SHAPES.iterdir()} == \
        {*IMPORTED, *LEFT_ALONE}


@pytest.mark.parametrize("name", LEFT_ALONE)
def test_what_has_nothing_to_import_says_so_and_stays(fake, home, kubeconfig, name):
    code, says = LEFT_ALONE[name]
    shape(kubeconfig, name, SERVER="https://127.0.0.1:1", CA="/nowhere/ca.pem", TAB="\t")
    r = home.run("import", input="")
    assert r.returncode == code and says in " ".join((r.stderr if code else r.stdout).split()), \
        r.stderr + r.stdout
    assert kubeconfig.bytes == kubeconfig.before and files(home) == {}


PYTHON = """
import sys
from kubernetes import client, config
config.load_kube_config(sys.argv[1])
print([s.metadata.name for s in client.CoreV1Api().list_namespaced_service("default").items])
"""


@pytest.mark.skipif(not kubectls(), reason="no kubectl on this machine")
@pytest.mark.parametrize("name", IMPORTED)
def test_each_shape_works_afterwards_and_is_undone_to_the_byte(fake, home, daemon, kubeconfig, name,
                                                               tmp_path):
    """As real kubectls see it, and python3-kubernetes, which reads it by itself."""
    arguments, profile_name = IMPORTED[name]
    if name.startswith("05"):
        home.configure(fake.profile("p"))
    daemon.start()
    client = {"01": "lab-kubernetes", "05": "client"}.get(name[:2], "k8s")
    fake.claims = {"aud": client}
    password = home.write("pw", "canary-pw")
    ca = home.folder / ".kube" / "lab ca.pem"  # where 04 looks
    ca.write_bytes(fake.ca_file.read_bytes())
    with apiserver.ApiServer(str(tmp_path / "apiserver"), fake.issuer, client,
                             issuer_ca=str(fake.ca_file)) as server:
        shape(kubeconfig, name, SERVER=server.url, CA=server.ca_file, ISSUER=fake.issuer,
              CADATA=base64.b64encode(fake.ca_file.read_bytes()).decode(), PROXY="")
        if name.startswith("03"):  # whose certificate is one of the system's
            text = kubeconfig.before.replace(
                b"      - --username=", f"      - --certificate-authority={fake.ca_file}\n"
                                        "      - --username=".encode())
            kubeconfig.path.write_bytes(text)
            kubeconfig.before = text
        r = home.run("import", *[a.replace("@PASSWORD@", str(password)) for a in arguments],
                     input="")
        assert r.returncode == 0, r.stderr + r.stdout
        assert "not-a-real" not in r.stdout + r.stderr and "not a real" not in r.stdout + r.stderr
        assert f"runs kubetoken for the profile {profile_name}." in " ".join(r.stdout.split())
        ran = 0
        for kubectl in kubectls():
            version = next(u["user"]["exec"]["apiVersion"]
                           for u in yaml.safe_load(kubeconfig.bytes)["users"])
            if version.endswith("/v1") and minor_version(kubectl) < 22:
                continue
            got = subprocess.run([kubectl, "get", "services"], env=home.environment,
                                 capture_output=True, text=True, timeout=2 * rig.PATIENCE)
            assert got.returncode == 0 and "10.96.0.1" in got.stdout, got.stderr
            ran += 1
        assert ran > 0
        if shutil.which("python3", path="/usr/bin") and subprocess.run(
                ["/usr/bin/python3", "-c", "import kubernetes"], capture_output=True,
                timeout=rig.PATIENCE).returncode == 0:
            got = subprocess.run(["/usr/bin/python3", "-c", PYTHON, kubeconfig.path],
                                 env=home.environment, capture_output=True, text=True,
                                 timeout=rig.PATIENCE)
            assert got.returncode == 0 and "kubernetes" in got.stdout, got.stderr
    again = home.run("import", input="")
    assert again.returncode == 0 and again.stdout.startswith("nothing to import"), again.stderr
    r = home.run("kubeconfig", "--undo")
    assert r.returncode == 0, r.stderr
    assert kubeconfig.bytes == kubeconfig.before


# ---- ended in the middle -----------------------------------------------------------------------


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("call, when, done", [
    ("fsync", 1, False), ("fsync", 3, False), ("rename", 1, False), ("rename", 2, False),
    ("rename", 3, True), ("fsync", 5, True)])
def test_ended_between_the_writes_nothing_is_there_in_part(fake, home, kubeconfig, call, when,
                                                           done):
    """A signal at a step: before the profile is there nothing is, and behind it the kubeconfig is
    as it was and another run does the rest."""
    shutil.rmtree(home.config)
    kubeconfig.write(kubelogin(fake, "--grant-type=password", "--username=someone",
                               "--password=canary-pw"), ca=fake.ca_file)
    r = subprocess.run(["strace", "-o", home.folder / "trace", "-e", f"trace={call}", "-e",
                        f"inject={call}:signal=INT:when={when}", rig.BUILD / "kubetoken",
                        "import", "--yes", "--no-verify", "--kubeconfig", kubeconfig.path],
                       env=home.environment, text=True, capture_output=True, timeout=rig.PATIENCE)
    assert r.returncode == -signal.SIGINT, (r.returncode, r.stdout, r.stderr)
    says_no_secret(r)
    assert kubeconfig.bytes == kubeconfig.before
    assert [p.name for p in kubeconfig.path.parent.iterdir()] == [kubeconfig.path.name]
    assert home.config.exists() == done
    if done:
        assert set(files(home)) == {"kubetoken.conf", "someone.secret", "someone.password"}
    again = home.run("import", "--yes", "--no-verify", "--kubeconfig", kubeconfig.path)
    assert again.returncode == 0, again.stderr
    assert kubeconfig.exec_of()["command"] == "kubetoken" and profile(home)["client-id"] == "client"


def test_what_import_wrote_is_undone(fake, home, running, kubeconfig):
    shutil.rmtree(home.config)
    kubeconfig.write(kubelogin(fake, "--grant-type=password", "--username=someone",
                               "--password=canary-pw"), ca=fake.ca_file)
    assert home.run("import", "--yes", "--kubeconfig", kubeconfig.path).returncode == 0
    r = home.run("kubeconfig", "--undo", "--kubeconfig", kubeconfig.path)
    assert r.returncode == 0 and kubeconfig.bytes == kubeconfig.before
    r = home.run("init", "--undo", "--yes", "someone")
    assert (r.returncode, r.stderr) == (0, "")
    assert not home.config.exists()
