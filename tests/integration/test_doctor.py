"""kubetoken doctor: each link of the chain, in order, and what is wrong with it."""
import contextlib
import json
import os
import shutil
import subprocess
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

import rig
import scripted
from scripted import json_answer

TOKEN, KEYS = "/oauth/token", "/.well-known/jwks.json"
DISCOVERY = "/.well-known/openid-configuration"
CHAIN = ["configuration", "daemon", "profile", "fetcher", "credentials", "dns", "connect", "tls",
         "discovery", "keys", "grant", "token", "clock"]
CLAIMS = ["header", "signature", "issuer", "audience", "times", "claims", "algorithm", "length",
          "user"]
SECRETS = ("canary", "eyJ")


class Report:
    def __init__(self, r):
        assert r.stderr == "", r.stderr
        assert not [s for s in SECRETS if s in r.stdout], "a secret is printed"
        self.exit_code = r.returncode
        whole = json.loads(r.stdout)
        self.links = whole["links"]
        assert whole["ok"] == (r.returncode == 0)

    def found(self):
        """What is wrong: (link, level, code)."""
        return [(f["link"], f["level"], f["code"]) for f in self.links
                if f["level"] in ("warning", "error")]

    def of(self, link):
        return [f for f in self.links if f["link"] == link]

    def skipped(self):
        return [f["link"] for f in self.links if f["level"] == "skipped"]


def doctor(home, *args, **kwargs):
    return Report(home.run("doctor", "--json", "--timeout", "10s", *args, **kwargs))


def alone(home, folder):
    """kubetoken without the programs beside it."""
    shutil.copy(rig.BUILD / "kubetoken", folder)
    return subprocess.run([folder / "kubetoken", "doctor"], env=home.environment, text=True,
                          capture_output=True, timeout=rig.PATIENCE)


@contextlib.contextmanager
def unlocked_daemon(home):
    """One that may lock no memory, as root may whatever the limit is."""
    own = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]
    program = ["prlimit", "--memlock=0", *(own if os.geteuid() == 0 else []),
               rig.BUILD / "kubetokend"]
    with subprocess.Popen(program, env=home.environment, stderr=subprocess.DEVNULL) as d:
        try:
            rig.wait_until(lambda: home.run("status").returncode == 0, "the daemon")
            yield d
        finally:
            d.terminate()


def replace_fetcher(daemon, folder):
    """Starts a daemon of that folder. Returns a function that replaces its fetcher."""
    folder.mkdir()
    for name in ("kubetokend", "kubetoken-fetch"):
        shutil.copy(rig.BUILD / name, folder)
    daemon.program = folder / "kubetokend"
    daemon.start()

    def change():
        shutil.copy(folder / "kubetoken-fetch", folder / "new")
        os.replace(folder / "new", folder / "kubetoken-fetch")
    return change


@pytest.fixture
def start(fake, home, daemon):
    """Configures, starts the daemon."""
    def run(**kwargs):
        home.configure(fake.profile(**kwargs))
        daemon.start()
    return run


def test_all_in_order(home, start, fake):
    start()
    report = doctor(home, "--expect-issuer", fake.issuer, "--expect-audience", "client")
    assert (report.found(), report.exit_code) == ([], 0)
    order = [f["link"] for f in report.links]
    assert order[:len(CHAIN)] == CHAIN
    assert [link for link in order if link in CLAIMS] == CLAIMS
    assert report.of("user")[0]["detail"].startswith("someone@example.com, ")
    assert len(fake.grants()) == 1


def test_as_text(home, start):
    start()
    r = home.run("doctor")
    assert (r.returncode, r.stderr) == (0, "")
    assert [line.split()[:2] for line in r.stdout.splitlines()[:len(CHAIN)]] == [
        ["ok", link] for link in CHAIN]
    assert "\x1b" not in r.stdout and not [s for s in SECRETS if s in r.stdout]


def test_an_error_as_text(home, start, fake):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)
    start()
    r = home.run("doctor")
    assert r.returncode == 6
    assert "\nerror    grant            the provider refused the user name or pass" in r.stdout
    assert "-> correct the password" in r.stdout and "kubetoken explain refused" in r.stdout
    assert "\nskipped  token " in r.stdout and "1 error, 0 warnings" in r.stdout


# ---- configuration and daemon -------------------------------------------------------------------


def test_each_error_of_the_configuration_is_a_line(home, start):
    start(extra="colour = blue\nflavour = sour")
    report = doctor(home)
    assert report.exit_code == 9
    assert [f["code"] for f in report.of("configuration")] == ["config", "config"]
    assert "colour" in report.of("configuration")[0]["detail"]
    assert ("profile", "error", "config") in report.found()


def test_a_file_that_others_can_read(home, start):
    start()
    home.config.joinpath("kubetoken.conf").chmod(0o644)
    report = doctor(home)
    assert report.found()[0] == ("configuration", "error", "config")
    assert "chmod" in report.of("configuration")[0]["detail"]


def test_without_any_configuration(home, daemon):
    daemon.start()
    report = doctor(home)
    assert report.found()[:2] == [("configuration", "error", "no-config"),
                                  ("profile", "error", "no-config")]
    assert str(home.config) in report.of("configuration")[0]["detail"]


def test_an_earlier_configuration_is_in_force(home, start, fake, daemon):
    start()
    home.configure(fake.profile(extra="colour = blue"))
    daemon.signal(1)
    rig.wait_until(lambda: "not in force" in home.run("status").stdout, "the reload")
    home.configure(fake.profile())
    report = doctor(home)
    assert report.found() == [("daemon", "warning", "config")]
    assert "colour" in report.of("daemon")[1]["detail"] and report.exit_code == 0


def test_no_daemon(home, fake):
    home.configure(fake.profile())
    report = doctor(home)
    assert report.found() == [("daemon", "error", "no-daemon")]
    assert report.exit_code == 3 and set(CHAIN[2:]) <= set(report.skipped())


def test_it_starts_a_daemon(home, fake):
    home.configure(fake.profile())
    try:
        report = doctor(home, env={"KUBETOKEN_AUTOSTART": "1", "PATH": "/usr/bin:/bin"})
        assert report.found() == []
    finally:
        home.socket_path.unlink()  # which ends it


def test_the_fetcher_on_disk_is_another(home, fake, tmp_path, daemon):
    home.configure(fake.profile())
    replace = replace_fetcher(daemon, tmp_path / "programs")
    assert doctor(home).found() == []
    replace()
    report = doctor(home)
    assert report.found() == [("daemon", "warning", "outdated")] and report.exit_code == 0


def test_memory_that_is_not_locked(home, fake):
    home.configure(fake.profile())
    with unlocked_daemon(home):
        assert doctor(home).found() == [("daemon", "warning", "not-locked")]


def test_kubetoken_alone_is_incomplete(home, tmp_path):
    r = alone(home, tmp_path)
    assert r.returncode == 1 and r.stderr.count("\n") == 1
    assert "a program of kubetoken is missing: there is no " in r.stderr


@pytest.mark.parametrize("args", [["--bogus"], ["p", "q"], ["--timeout"], ["--timeout", "x"],
                                  ["--timeout", "0"], ["--expect-issuer"]])
def test_usage(home, args):
    r = home.run("doctor", *args)
    assert (r.returncode, r.stdout) == (2, "") and r.stderr.count("\n") == 1


# ---- the way to the provider --------------------------------------------------------------------


def breaks(link, code):
    """The links before it are good, those behind it are skipped."""
    def check(report):
        assert report.found() == [(link, "error", code)]
        at = CHAIN.index(link)
        assert {f["level"] for before in CHAIN[:at] for f in report.of(before)} == {"ok"}
        assert [f for f in CHAIN[at + 1:-1] if f not in report.skipped()] == []
        assert report.of(link)[0]["remedy"]
    return check


def answers(path, *answer):
    return lambda fake: fake.answers.update({path: answer})


BREAKS = {
    "dns": (lambda fake: setattr(fake, "issuer", f"https://{'a' * 70}.example/"), "dns"),
    "connect": (lambda fake: fake.refuse(), "connect"),
    "tls": (lambda fake: fake.certify(trusted=False), "tls"),
    "discovery-invalid": (answers(DISCOVERY, 404, {}, b""), "discovery"),
    "provider-fault": (answers(DISCOVERY, 503, {}, b""), "discovery"),
    "refused": (answers(TOKEN, *json_answer({"error": "invalid_grant"}, 403)), "grant"),
    "client-refused": (answers(TOKEN, *json_answer({"error": "invalid_client"}, 401)), "grant"),
    "rate-limited": (answers(TOKEN, 429, {}, b""), "grant"),
    "token-audience": (lambda fake: fake.claims.update(aud="other"), "token"),
    "token-invalid": (answers(TOKEN, *json_answer({"id_token": "no.token"})), "token"),
}


@pytest.mark.parametrize("code", BREAKS)
def test_the_link_that_breaks(home, start, fake, code):
    change, link = BREAKS[code]
    change(fake)
    start()
    home.run("get", "--timeout", "1s")
    report = Report(home.run("doctor", "--json", "--timeout", "2s"))
    breaks(link, code)(report)


def test_the_issuer_without_its_slash(home, fake, daemon):
    home.configure(fake.profile().replace(fake.issuer, fake.issuer.rstrip("/"), 1))
    daemon.start()
    breaks("discovery", "issuer-mismatch")(doctor(home))


def test_a_login_is_needed(home, start):
    start(password="")
    breaks("credentials", "login-needed")(doctor(home))


def test_no_such_profile(home, start):
    start()
    report = doctor(home, "other")
    breaks("profile", "no-profile")(report)
    assert report.exit_code == 4


def test_a_refused_password_is_not_sent_again(home, start, fake):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)
    start()
    for _ in range(3):
        assert doctor(home).exit_code == 6
    assert len(fake.grants()) == 1


def test_a_renewal_that_fails_while_the_token_lives(home, start, fake):
    start()
    assert home.run("get").returncode == 0
    fake.answers[TOKEN] = 503, {}, b""
    home.run("refresh", "--timeout", "2s")
    report = doctor(home)
    assert report.found() == [("grant", "warning", "provider-fault")]
    assert report.exit_code == 0 and report.of("signature")[0]["level"] == "ok"


@pytest.mark.parametrize("offset, level", [(-20, None), (90, "warning"), (-90, "warning"),
                                           (400, "error")])
def test_the_clock(home, start, fake, offset, level):
    fake.clock = lambda: time.time() + offset
    start()
    report = doctor(home)
    assert [f for f in report.found() if f[0] == "clock"] == (
        [("clock", level, "clock")] if level else [])
    assert report.exit_code == (1 if level == "error" else 0)


# ---- the token ----------------------------------------------------------------------------------


@pytest.mark.parametrize("args, claims, found", [
    (["--expect-audience", "other"], {}, ("expect-audience", "error", "token-audience")),
    (["--expect-audience", "b"], {"aud": ["client", "b"]}, None),
    (["--expect-issuer", "https://x/"], {}, ("expect-issuer", "error", "issuer-mismatch")),
    ([], {"email_verified": False}, ("claims", "warning", "email-not-verified")),
    ([], {"more": "x" * 9000}, ("length", "warning", "token-long")),
])
def test_what_the_api_server_minds(home, start, fake, args, claims, found):
    fake.claims = claims
    start()
    report = doctor(home, *args)
    assert report.found() == ([found] if found else [])
    assert report.exit_code == (8 if found and found[1] == "error" else 0)


def test_the_final_slash(home, start, fake):
    start()
    r = doctor(home, "--expect-issuer", fake.issuer[:-1]).of("expect-issuer")[0]
    assert "only in the final slash" in r["detail"] and "--oidc-issuer-url" in r["remedy"]
    r = doctor(home, "--expect-issuer", fake.issuer + "x").of("expect-issuer")[0]
    assert "slash" not in r["detail"]


def test_another_algorithm(home, start, fake):
    class Key(scripted.Key):
        def sign(self, claims, header=None):
            head = {"alg": "RS512", "typ": "JWT", "kid": self.kid}
            text = ".".join(scripted.b64(json.dumps(p).encode()) for p in (head, claims))
            signature = self.private.sign(text.encode(), padding.PKCS1v15(), hashes.SHA512())
            return f"{text}.{scripted.b64(signature)}"

        def jwk(self, **changes):
            return super().jwk(alg="RS512")

    fake.key = Key()
    start(extra="signing-algs = RS256 RS512")
    report = doctor(home)
    assert report.found() == [("algorithm", "warning", "token-algorithm")]
    assert "RS512" in report.of("algorithm")[0]["detail"]
