"""kubetoken doctor: each link of the chain, in order, and what is wrong with it."""
import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import threading
import time

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from jwcrypto import jwa, jwk

import apiserver
import rig
import schemas
import scripted
import test_kubectl
from scripted import json_answer

TOKEN, KEYS = "/oauth/token", "/.well-known/jwks.json"
DISCOVERY = "/.well-known/openid-configuration"
CHAIN = ["configuration", "daemon", "profile", "fetcher", "credentials", "dns", "connect", "tls",
         "discovery", "keys", "grant", "token", "clock"]
CLAIMS = ["header", "signature", "issuer", "audience", "times", "claims", "algorithm", "length",
          "user", "groups"]
SECRETS = ("canary", "eyJ")


PLUGIN = ["plugin", "command", "apiversion", "interactive", "arguments", "kubectl-profile",
          "policy"]


NO_KUBECTL = ("kubectl", "warning", "kubectl")


class Report:
    """Where the test wants no kubectl that there is none is left out, unless it is asked for."""

    def __init__(self, r, wants_kubectl=True):
        assert r.stderr == "", r.stderr
        assert not [s for s in SECRETS if s in r.stdout], "a secret is printed"
        self.exit_code = r.returncode
        whole = json.loads(r.stdout)
        schemas.check("doctor", r.stdout)
        self.links = whole["links"]
        self.verdict = whole.get("verdict", "")
        assert whole["ok"] == (r.returncode == 0)
        self.wants_kubectl = wants_kubectl
        if not wants_kubectl and not self.errors():
            assert r.returncode == (1 if self.verdict else 0)
            self.exit_code = 0

    def errors(self):
        return [f for f in self.links if f["level"] == "error"]

    def found(self):
        """What is wrong: (link, level, code)."""
        found = [(f["link"], f["level"], f["code"]) for f in self.links
                 if f["level"] in ("warning", "error")]
        return [f for f in found if self.wants_kubectl or f != NO_KUBECTL]

    def of(self, link):
        return [f for f in self.links if f["link"] == link]

    def skipped(self):
        return [f["link"] for f in self.links if f["level"] == "skipped"]


def doctor(home, *args, **kwargs):
    """Without kubectl, unless the test says how its configuration is."""
    kwargs.setdefault("env", {"PATH": f"{rig.BUILD}:/bin/nowhere"})
    return Report(home.run("doctor", "--json", "--timeout", "10s", *args, **kwargs),
                  wants_kubectl="/bin/nowhere" not in kwargs["env"].get("PATH", ""))


def alone(home, folder):
    """kubetoken without the programs beside it."""
    shutil.copy(rig.BUILD / "kubetoken", folder)
    return subprocess.run([folder / "kubetoken", "doctor"], env=home.environment, text=True,
                          capture_output=True, timeout=rig.PATIENCE)


@contextlib.contextmanager
def unlocked_daemon(home, most=0):
    """One that may lock no memory (or that many bytes), as root may whatever the limit is."""
    own = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock"]
    program = ["prlimit", f"--memlock={most}", *(own if os.geteuid() == 0 else []),
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
    fake.claims["groups"] = ["dev", "ops"]
    start(extra="username-claim = email\ngroups-claim = groups")
    report = doctor(home, "--expect-issuer", fake.issuer, "--expect-audience", "client")
    assert (report.found(), report.exit_code) == ([], 0)
    order = [f["link"] for f in report.links]
    assert order[:len(CHAIN)] == CHAIN
    assert [link for link in order if link in CLAIMS] == CLAIMS
    assert report.skipped() == ["cluster"], "there is no kubectl"
    assert report.of("cluster")[0]["detail"] == "after kubectl"
    assert report.verdict == ("the token is good; the cluster could not be asked: there is no "
                              "kubectl on the PATH")
    assert report.of("user")[0]["detail"].startswith("someone@example.com, by username-claim ")
    assert report.of("groups")[0]["detail"] == '["dev","ops"]'
    assert report.of("issuer")[0]["detail"] == fake.issuer
    assert not [f for f in report.links if f["level"] == "ok" and "remedy" in f]
    assert report.of("audience")[0]["detail"] == '"client"'
    assert re.fullmatch(r"alg RS256, kid \S+", report.of("header")[0]["detail"])
    assert re.fullmatch(r"expires in (1 h 0|59) min", report.of("times")[0]["detail"])
    assert len(fake.grants()) == 1


# ---- other grants ------------------------------------------------------------------------------


def of_grant(fake, *lines, name="p"):
    return (f"[profile {name}]\nissuer = {fake.issuer}\nca-file = {fake.ca_file}\n"
            "client-id = client\n" + "".join(f"{line}\n" for line in lines))


def offer(fake, *grants, **members):
    fake.answers[DISCOVERY] = json_answer(
        {**fake.discovery(), "grant_types_supported": list(grants), **members})


def device_endpoint(fake):
    return {"device_authorization_endpoint": fake.base + "/oauth/device/code"}


DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


@pytest.mark.parametrize("grants, listed", [((DEVICE,), True), (("authorization_code",), False)])
def test_before_a_login_by_device_the_provider_is_looked_at(home, daemon, fake, grants, listed):
    """A grant that is not listed is no more than a note."""
    offer(fake, *grants, **device_endpoint(fake))
    home.configure(of_grant(fake, "grant = device"))
    daemon.start()
    report = doctor(home)
    assert [f["link"] for f in report.errors()] == ["credentials"]
    ok, *notes = report.of("login")
    assert ok["level"] == "ok" and "has a device_authorization_endpoint" in ok["detail"]
    assert "kubetoken login p" in ok["detail"]
    assert [n["level"] for n in notes] == ([] if listed else ["note"])
    assert listed or "is not in the provider's grant_types_supported" in notes[0]["detail"]
    assert not fake.grants()
    for finding in doctor(home, "--redact").of("login"):  # no word of it is anybody's name
        assert "<" not in finding["detail"].replace("login <profile-1>", ""), finding


def test_a_device_grant_without_an_endpoint_is_foreseen(home, daemon, fake):
    offer(fake, DEVICE)
    home.configure(of_grant(fake, "grant = device"))
    daemon.start()
    report = doctor(home)
    assert ("login", "warning", "no-device-login") in report.found()
    assert "device-authorization-endpoint" in report.of("login")[0]["remedy"]


def test_a_provider_that_cannot_be_reached_shows_before_the_login(home, daemon, fake):
    home.configure(of_grant(fake, "grant = device"))
    daemon.start()
    fake.refuse()
    report = doctor(home)
    assert ("login", "error", "connect") in report.found()


@pytest.mark.parametrize("scopes, says", [
    (["openid", "offline_access"], "with the provider's offline_access in scope"),
    (["openid"], "the scope offline_access, or a setting of the client")])
def test_a_login_that_brought_no_refresh_token_is_a_note(home, daemon, fake, scopes, says):
    """By the refresh token that a person gave, and that the provider takes once."""
    offer(fake, DEVICE, scopes_supported=scopes, **device_endpoint(fake))
    home.configure(of_grant(fake, "grant = device"))
    daemon.start()
    assert home.run("login", "--refresh-token", "p", input="canary-r0").returncode == 0
    assert not [f for f in doctor(home).of("login") if f["level"] == "note"]
    fake.answers[TOKEN] = lambda _: json_answer({"error": "invalid_grant"}, 400)
    assert home.run("refresh", "p").returncode == 5
    [note] = [f for f in doctor(home).of("login") if f["level"] == "note"]
    assert "no refresh token came with the token" in note["detail"] and says in note["detail"]


def test_a_refresh_token_is_told_with_its_age(home, daemon, fake):
    home.configure(of_grant(fake, "grant = refresh-token"))
    daemon.start()
    assert "kubetoken login p" in doctor(home).of("login")[0]["detail"]
    assert home.run("login", "--refresh-token", "p", input="canary-r0").returncode == 0
    report = doctor(home)
    assert report.found() == [] and report.of("login")[0]["level"] == "ok"
    assert re.search(r"one is held, since \d{4}-\d\d-\d\dT", report.of("login")[0]["detail"])


def test_a_profile_that_lives_of_another_says_how_that_one_stands(home, daemon, fake):
    home.configure(fake.profile("main") + of_grant(fake, "from = main"))
    daemon.start()
    [source, *_] = doctor(home, "p").of("login")
    assert source["level"] == "ok" and "got for those of main" in source["detail"]
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)
    home.run("refresh", "main")
    [source, *_] = doctor(home, "p").of("login")
    assert source["code"] == "refused" and source["detail"].startswith("main, from which its ")
    assert "kubetoken login main" in source["remedy"]


@pytest.mark.parametrize("members, says", [
    ({}, ["the password grant is not in the provider's grant_types_supported"]),
    (None, ["the password grant is not in the provider's grant_types_supported",
            "the provider has the device grant"])])
def test_where_the_password_grant_is_refused_another_is_named(home, start, fake, members, says):
    offer(fake, DEVICE, **(device_endpoint(fake) if members is None else members))
    fake.answers[TOKEN] = json_answer({"error": "unsupported_grant_type"}, 400)
    start()
    report = doctor(home)
    assert [f["link"] for f in report.errors()] == ["grant"]
    notes = report.of("login")
    assert len(notes) == len(says)
    assert all(n["level"] == "note" and s in n["detail"] for n, s in zip(notes, says))


def test_as_text(home, start):
    start()
    r = home.run("doctor", env={"KUBECONFIG": "/dev/null"})
    assert r.stderr == ""
    lines = [line for line in r.stdout.splitlines() if not line.startswith(" ")]
    assert [line.split()[:2] for line in lines[:len(CHAIN)]] == [["ok", link] for link in CHAIN]
    assert "\x1b" not in r.stdout and not [s for s in SECRETS if s in r.stdout]


def test_an_error_as_text(home, start, fake):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)
    start()
    r = home.run("doctor", env={"PATH": "/bin/nowhere"})
    assert r.returncode == 6
    assert "\nerror    grant            the provider refused the user name or pass" in \
        rig.unwrapped(r.stdout)
    assert "-> correct the password" in r.stdout and "kubetoken explain refused" in r.stdout
    assert "\nskipped  token " in r.stdout and "1 error, 1 warning\n" in r.stdout


# ---- configuration and daemon -------------------------------------------------------------------


def test_each_error_of_the_configuration_is_a_line(home, start):
    start(extra="colour = blue\nflavour = sour")
    report = doctor(home)
    assert report.exit_code == 9
    assert [f["code"] for f in report.of("configuration")] == ["config", "config"]
    assert "colour" in report.of("configuration")[0]["detail"]
    assert report.of("profile")[0]["detail"] == "after configuration"


def test_a_file_that_others_can_read(home, start):
    start()
    home.config.joinpath("kubetoken.conf").chmod(0o644)
    report = doctor(home)
    assert report.found()[0] == ("configuration", "error", "config")
    assert "chmod" in report.of("configuration")[0]["detail"]


def test_without_any_configuration(home, daemon):
    daemon.start()
    report = doctor(home)
    assert report.found() == [("configuration", "error", "no-config")]
    assert set(CHAIN[2:]) <= set(report.skipped()) and report.exit_code == 9
    assert str(home.config) in report.of("configuration")[0]["detail"]


def test_an_earlier_configuration_is_in_force(home, start, fake, daemon):
    start()
    home.configure(fake.profile(extra="colour = blue"))
    daemon.signal(1)
    rig.wait_until(lambda: "not in force" in home.run("status").stdout, "the reload")
    report = doctor(home)
    assert ("daemon", "warning", "config") in report.found() and report.exit_code == 9
    assert "colour" in report.of("daemon")[0]["detail"]
    home.configure(fake.profile())  # what is in force
    assert ("daemon", "warning", "config") not in doctor(home).found()


def test_no_daemon(home, fake):
    home.configure(fake.profile())
    report = doctor(home)
    assert report.found() == [("daemon", "error", "no-daemon")]
    assert report.exit_code == 3 and report.skipped() == ["cluster"]
    assert "for itself" in report.of("daemon")[0]["detail"] and len(fake.grants()) == 1
    assert list(home.runtime.iterdir()) == [], "the one of doctor's own is gone"


def test_no_daemon_where_systemd_was_told_to_start_one(home, fake):
    home.configure(fake.profile())
    (home.runtime / "systemd").mkdir()
    with socket.socket(socket.AF_UNIX) as manager:
        manager.bind(str(home.runtime / "systemd" / "private"))
        wants = home.folder / "config/systemd/user/sockets.target.wants"
        wants.mkdir(parents=True)
        (wants / "kubetoken.socket").touch()
        report = doctor(home, env={"KUBETOKEN_AUTOSTART": "1", "PATH": "/bin/nowhere"})
    assert report.found() == [("daemon", "error", "no-daemon")] and len(fake.grants()) == 1
    assert not home.socket_path.exists()


def test_a_daemon_that_cannot_be_run(home, fake, tmp_path):
    home.configure(fake.profile())
    shutil.copy(rig.BUILD / "kubetoken", tmp_path)
    shutil.copy(rig.BUILD / "kubetoken-admin", tmp_path)
    report = Report(subprocess.run(
        [tmp_path / "kubetoken", "doctor", "--json"], text=True, capture_output=True,
        env={**home.environment, "PATH": "/bin/nowhere"}, timeout=rig.PATIENCE), False)
    assert report.found() == [("configuration", "error", "incomplete"),
                              ("daemon", "error", "no-daemon"), ("daemon", "error", "no-program")]
    assert set(CHAIN[2:]) <= set(report.skipped())


def test_a_daemon_of_another_version(home):
    def answer(line):
        if line.startswith(b"version"):
            return b"ok 28 0\nkubetokend 0.0.9 protocol 1\n"
        return b"error no-profile 0 16\nkubetoken: none\n"

    home.socket_path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(home.socket_path))
        listener.listen()

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection = listener.accept()[0]
                    connection.sendall(answer(connection.recv(4096)))
                    connection.close()
        threading.Thread(target=serve, daemon=True).start()
        report = doctor(home)
        listener.shutdown(socket.SHUT_RDWR)
    assert ("daemon", "warning", "outdated") in report.found()
    assert "0.0.9 protocol 1 runs, kubetoken is " in report.of("daemon")[0]["detail"]


def test_it_starts_a_daemon(home, fake):
    home.configure(fake.profile())
    try:
        report = doctor(home, env={"KUBETOKEN_AUTOSTART": "1", "PATH": "/bin/nowhere"})
        assert report.found() == []
    finally:
        home.socket_path.unlink()  # which ends it


def test_the_daemon_is_that_of_the_program_that_was_called(home, fake, tmp_path):
    """As installed: kubetoken-admin in a folder of its own, kubetokend beside kubetoken."""
    shutil.copy(rig.BUILD / "kubetoken-admin", tmp_path)
    home.configure(fake.profile())
    try:
        report = Report(subprocess.run(
            [rig.BUILD / "kubetoken", "doctor", "--json"], executable=tmp_path / "kubetoken-admin",
            env={**home.environment, "KUBETOKEN_AUTOSTART": "1", "PATH": "/bin/nowhere"},
            text=True, capture_output=True, timeout=rig.PATIENCE), False)
        assert report.found() == []
    finally:
        home.socket_path.unlink(missing_ok=True)


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
        assert set(CHAIN[at + 1:-1]) <= set(report.skipped())
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
    report = doctor(home, "--timeout", "2s")
    breaks(link, code)(report)


@pytest.mark.parametrize("path, link", [(DISCOVERY, "discovery"), (KEYS, "keys"),
                                        (TOKEN, "grant")])
def test_the_link_at_which_the_request_still_is(home, start, fake, path, link):
    """The daemon waits for the provider longer than doctor for the daemon."""
    fake.hang(path)
    start()
    report = doctor(home, "--timeout", "1s")
    breaks(link, "timeout")(report)
    assert report.of(link)[0]["detail"].startswith("still waiting for ")


def silent(fake):
    """A provider that takes connections, and says nothing to them."""
    fake.stop()
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", fake.port))
    listener.listen()
    fake.placeholder = listener


SLOW = {
    "tls": silent,
    "discovery": lambda fake: fake.hang(DISCOVERY),
    "grant": lambda fake: fake.hang(TOKEN),
}


@pytest.mark.parametrize("link", SLOW)
def test_the_link_that_is_too_slow(home, start, fake, link):
    SLOW[link](fake)
    start(extra="timeout = 1s")
    home.run("get", "--timeout", "1s")
    rig.wait_until(lambda: home.status("p").get("error"), "a failure")
    breaks(link, "timeout")(doctor(home, "--timeout", "1s"))


def test_an_issuer_that_only_the_token_has(home, start, fake):
    fake.claims["iss"] = "https://other.example/"
    start()
    breaks("token", "issuer-mismatch")(doctor(home, "--timeout", "2s"))


def test_an_answer_of_nobody_at_discovery(home, start, fake):
    """Too large an answer says nothing of what was asked for."""
    fake.answers[DISCOVERY] = 200, {}, b"x" * (2 << 20)
    start()
    home.run("get", "--timeout", "1s")
    breaks("discovery", "answer-invalid")(doctor(home, "--timeout", "2s"))


def test_what_a_provider_says_moves_no_link(home, start, fake):
    """Its words are for people."""
    fake.answers[TOKEN] = json_answer({"error": "x", "error_description": "no keys, discovery"},
                                      503)
    start()
    home.run("get", "--timeout", "1s")
    breaks("grant", "provider-fault")(doctor(home, "--timeout", "2s"))


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
    assert doctor(home, "--refresh").exit_code == 6
    assert len(fake.grants()) == 2, "told to"
    del fake.answers[TOKEN]
    assert doctor(home).exit_code == 6
    rig.wait_until(lambda: doctor(home, "--refresh").found() == [], "a word that is heard again")


def test_a_renewal_that_fails_while_the_token_lives(home, start, fake):
    start()
    assert home.run("get").returncode == 0
    fake.answers[TOKEN] = 503, {}, b""
    home.run("refresh", "--timeout", "2s")
    report = doctor(home)
    assert report.found() == [("grant", "warning", "provider-fault")]
    assert report.exit_code == 0 and report.of("signature")[0]["level"] == "ok"


@pytest.mark.parametrize("offset, level", [(0.5, None), (-20, None), (90, "warning"),
                                           (-90, "warning"), (400, "error")])
def test_the_clock(home, start, fake, offset, level):
    fake.clock = lambda: time.time() + offset
    start()
    report = doctor(home)
    assert [f for f in report.found() if f[0] == "clock"] == (
        [("clock", level, "clock")] if level else [])
    assert not report.of("clock")[0]["detail"].startswith("-0 ")
    assert report.exit_code == (1 if level == "error" else 0)


# ---- the token ----------------------------------------------------------------------------------


@pytest.mark.parametrize("args, claims, found", [
    (["--expect-audience", "other"], {}, ("expect-audience", "error", "token-audience")),
    (["--expect-audience", "b"], {"aud": ["client", "b"]}, None),
    (["--expect-issuer", "https://x/"], {}, ("expect-issuer", "error", "issuer-mismatch")),
    ([], {"email_verified": False}, ("claims", "warning", "email-not-verified")),
    ([], {"email": 5}, ("claims", "warning", "email-claim")),
    ([], {"more": "x" * 9000}, ("length", "warning", "token-long")),
    (["--expect-claim", "hd=example.com"], {"hd": "example.com"}, None),
    (["--expect-claim", "hd=a=b", "--expect-claim=x="], {"hd": "a=b", "x": ""}, None),
    (["--expect-claim", "hd=example.com"], {}, ("expect-claim", "error", "required-claim")),
    (["--expect-claim", "hd=e"], {"hd": "example.com"},
     ("expect-claim", "error", "required-claim")),
    (["--expect-claim", "hd=a"], {"hd": ["a"]}, ("expect-claim", "error", "required-claim")),
    (["--expect-claim", "n=1"], {"n": 1}, ("expect-claim", "error", "required-claim")),
])
def test_what_the_api_server_minds(home, start, fake, args, claims, found):
    fake.claims = claims
    start()
    report = doctor(home, *args)
    assert report.found() == ([found] if found else [])
    assert report.exit_code == (8 if found and found[1] == "error" else 0)


@pytest.mark.parametrize("keys, claims, code, level, exit_code", [
    ("username-claim = email", {"email_verified": False}, "email-not-verified", "error", 1),
    ("username-claim = upn", {}, "username-claim", "error", 1),
    ("groups-claim = groups", {"groups": {"a": 1}}, "groups-claim", "error", 1),
    ("groups-claim = groups", scripted.ELSEWHERE, "groups-elsewhere", "warning",
     0),
])
def test_what_it_is_sure_to_reject_is_an_error(home, start, fake, keys, claims, code, level,
                                               exit_code):
    fake.claims = claims
    start(extra=keys)
    report = doctor(home)
    assert (report.found(), report.exit_code) == ([("claims", level, code)], exit_code)


@pytest.mark.parametrize("jwk, says", [
    ({"x5u": "https://x/"}, 'key 1 of its set, "key-1": it has an x5u'),
    ({"kid": None}, 'the token names key "key-1", and the key that signed it has no kid')])
def test_a_key_set_that_the_api_server_cannot_use_is_told(home, start, fake, jwk, says):
    """And is an error, unless a file of the API server's own names another key set."""
    fake.answers[KEYS] = json_answer({"keys": [fake.key.jwk(**jwk)]})
    start()
    report = doctor(home)
    assert report.found() == [("signature", "error", "keys-unreadable")]
    r = report.of("signature")[-1]
    assert says in r["detail"] and "answers 401" in r["remedy"]


def test_a_discovery_document_that_the_api_server_cannot_read_is_an_error(home, start, fake):
    fake.answers[DISCOVERY] = (200, {}, b"\xef\xbb\xbf" + json.dumps(fake.discovery()).encode())
    start()
    report = doctor(home)
    assert report.found() == [("signature", "error", "discovery-unreadable")]
    r = report.of("signature")[-1]
    assert r["sentence"] == "the API server cannot read the discovery document"
    assert r["detail"] == "it begins with a byte order mark" and "answers 401" in r["remedy"]
    assert ("warning: the API server cannot read the discovery document: it begins with "
            "a byte order mark; ") in rig.unwrapped(home.run("status").stdout)


@pytest.mark.parametrize("keys, link, code", [
    ([], "signature", "keys-unreadable"), ([{"e": "AQ"}], "token", "key-unsafe"),
    ([{"d": "AQAB"}], "token", "key-unsafe")])
def test_a_key_set_that_serves_nobody_is_an_error(home, start, fake, keys, link, code):
    fake.answers[KEYS] = json_answer({"keys": [fake.key.jwk(**k) for k in keys]})
    start()
    report = doctor(home)
    assert (link, "error", code) in report.found() and report.exit_code != 0
    assert home.status("p").get("verified") is not True


def test_an_algorithm_that_no_api_server_takes(home, start, fake):
    key = jwk.JWK.generate(kty="OKP", crv="Ed25519", kid="ed")

    class Key(scripted.Key):
        def sign(self, claims, header=None):
            text = ".".join(scripted.b64(json.dumps(p).encode())
                            for p in ({"alg": "EdDSA", "kid": "ed"}, claims))
            return f"{text}.{scripted.b64(jwa.JWA.signing_alg('EdDSA').sign(key, text.encode()))}"

        def jwk(self, **changes):
            return key.export_public(as_dict=True)

    fake.key = Key()
    start(extra="signing-algs = EdDSA")
    report = doctor(home)
    assert report.found() == [("algorithm", "warning", "token-algorithm")]
    assert "--oidc-signing-algs" not in report.of("algorithm")[0]["remedy"]


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


# ---- kubectl and the cluster --------------------------------------------------------------------

KUBECTLS = sorted(test_kubectl.kubectls(), key=test_kubectl.minor_version, reverse=True)
needs_kubectl = pytest.mark.skipif(not KUBECTLS, reason="no kubectl")
OLD = bool(KUBECTLS) and test_kubectl.minor_version(KUBECTLS[0]) < 22
needs_v1 = pytest.mark.skipif(OLD, reason="no kubectl of 1.22 or later, which knows v1 and "
                              "interactiveMode")


WHOAMI = bool(KUBECTLS) and test_kubectl.minor_version(KUBECTLS[0]) >= 28
needs_whoami = pytest.mark.skipif(not WHOAMI, reason="no kubectl of 1.28 or later, which has "
                                  "auth whoami")


class Cluster:
    """An API server, a kubeconfig of one user, and a kubectl of some version."""

    def __init__(self, home, fake, folder, **options):
        self.home, self.folder = home, folder
        self.server = apiserver.ApiServer(str(folder / "apiserver"), fake.issuer, "client",
                                          issuer_ca=fake.ca_file, **options)
        self.server.start()
        self.bin = folder / "bin"
        self.bin.mkdir()
        self.kubectl = KUBECTLS[0]
        (self.bin / "kubectl").symlink_to(self.kubectl)
        version = "v1beta1" if OLD else "v1"
        self.config = self.server.kubeconfig(
            test_kubectl.stanza(version, "-o", f"exec/{version}", "p"))

    @property
    def user(self):
        return self.config["users"][0]["user"]

    @property
    def exec(self):
        return self.user["exec"]

    def use(self, kubectl):
        (self.bin / "kubectl").unlink()
        (self.bin / "kubectl").symlink_to(kubectl)

    def pretend(self, minor):
        """That version, where there is none."""
        (self.bin / "kubectl").unlink()
        version = json.dumps({"clientVersion": {"major": "1", "minor": f"{minor}",
                                                "gitVersion": f"v1.{minor}.0"}})
        (self.bin / "kubectl").write_text(
            f"#!/bin/sh\ncase \" $* \" in *\" version \"*) echo '{version}'; exit;; esac\n"
            + ('case " $* " in *" whoami "*) exit 1;; esac\n' if minor < 27 else "")
            + f"exec {self.kubectl} \"$@\"\n")
        (self.bin / "kubectl").chmod(0o755)

    def environment(self, path=None):
        folder = self.home.folder / ".kube"
        folder.mkdir(exist_ok=True)
        (folder / "config").write_text(json.dumps(self.config))
        return {"PATH": path or f"{self.bin}:{rig.BUILD}:/usr/bin:/bin"}

    def doctor(self, *args, path=None):
        return doctor(self.home, *args, env=self.environment(path))


def trust(cluster, ca_file):
    """Has kubectl look for the API server's certificate there."""
    cluster.config["clusters"][0]["cluster"]["certificate-authority"] = str(ca_file)


@pytest.fixture
def cluster(home, fake, tmp_path, start):
    start()
    c = Cluster(home, fake, tmp_path)
    yield c
    c.server.stop()


@needs_kubectl
def test_kubectl_and_the_cluster_in_order(cluster):
    report = cluster.doctor()
    assert report.found() == []
    order = [f["link"] for f in report.links]
    assert order[-3 - len(PLUGIN):] == ["kubectl", "context", *PLUGIN, "cluster"]
    detail = report.of("cluster")[0]["detail"]
    assert detail == ('user someone@example.com, groups ["system:authenticated"]; '
                      "--oidc-username-claim=email gives that name")
    assert (report.verdict, report.exit_code) == ("", 0)
    assert report.skipped() == []


@needs_kubectl
@pytest.mark.parametrize("kubectl", KUBECTLS)
def test_each_kubectl_runs_what_is_in_order(cluster, kubectl):
    cluster.use(kubectl)
    version = "v1" if test_kubectl.minor_version(kubectl) >= 22 else "v1beta1"
    cluster.config["users"][0]["user"] = test_kubectl.stanza(version, "-o", "exec", "p")
    cluster.exec["args"][2] = f"exec/{version}"
    assert cluster.doctor().found() == []


@needs_kubectl
def test_a_kubeconfig_that_is_named(cluster, tmp_path):
    path = tmp_path / "other"
    path.write_text(json.dumps(cluster.config))
    cluster.config["current-context"] = ""
    assert cluster.doctor("--kubeconfig", str(path)).found() == []
    assert cluster.doctor().found() == [("context", "error", "kubeconfig")]


@needs_kubectl
def test_the_profile_is_that_of_the_kubeconfig(cluster, fake, home, daemon):
    home.configure(fake.profile("p") + fake.profile("q"))
    daemon.reload()
    report = cluster.doctor()
    assert report.found() == [] and report.of("profile")[0]["detail"] == "p"
    report = cluster.doctor("q")
    assert report.found() == [("kubectl-profile", "warning", "not-used")]


def change_config(**changes):
    return lambda c: c.config.update(changes)


def change_user(**changes):
    return lambda c: c.user.update(changes)


def change_exec(**changes):
    def change(c):
        c.exec.update(changes)
        for key in [k for k, v in c.exec.items() if v is None]:
            del c.exec[key]
    return change


def client_certificate(c):
    files = apiserver.make_tls_files(c.folder, "client")
    c.user.update({"client-certificate": str(files.cert), "client-key": str(files.key)})


def not_executable(c):
    (c.folder / "kubetoken").write_text("")
    c.exec["command"] = str(c.folder / "kubetoken")


V = "client.authentication.k8s.io/"
FINDINGS = {
    "no-current-context": (change_config(**{"current-context": ""}),
                           [("context", "error", "kubeconfig")]),
    "no-such-context": (change_config(**{"current-context": "x"}),
                        [("context", "error", "kubeconfig")]),
    "no-such-user": (change_config(users=[]), [("context", "error", "kubeconfig")]),
    "no-such-cluster": (change_config(clusters=[]), [("context", "error", "kubeconfig")]),
    "token": (change_user(token="no-good"), [("plugin", "error", "bypassed")]),
    "password": (change_user(username="a", password="b"), [("plugin", "error", "bypassed")]),
    "certificate": (client_certificate, [("plugin", "error", "bypassed")]),
    "auth-provider": (change_user(**{"auth-provider": {"name": "oidc"}}),
                      [("plugin", "error", "bypassed")]),
    "other-plugin": (change_exec(command="/bin/true"), [("plugin", "error", "not-used")]),
    "nobody": (lambda c: c.user.clear(), [("plugin", "error", "not-used")]),
    "command-absolute": (change_exec(command="/nowhere/kubetoken"),
                         [("command", "error", "plugin-command")]),
    "command-relative": (change_exec(command="bin/kubetoken"),
                         [("command", "error", "plugin-command")]),
    "not-executable": (not_executable, [("command", "error", "plugin-command")]),
    "no-version": (change_exec(apiVersion=None), [("apiversion", "error", "plugin-version")]),
    "v1alpha1": (change_exec(apiVersion=V + "v1alpha1"),
                 [("apiversion", "error", "plugin-version")]),
    "not-interactive": (change_exec(interactiveMode=None),
                        [("interactive", "error", "plugin-stanza")]),
    "always": (change_exec(interactiveMode="Always"),
               [("interactive", "error", "plugin-stanza")]),
    "bogus": (change_exec(interactiveMode="Bogus"), [("interactive", "error", "plugin-stanza")]),
    "v1beta1-needs-no-mode": (change_exec(apiVersion=V + "v1beta1", interactiveMode=None), []),
    "no-format": (change_exec(args=["get", "p"]), [("arguments", "warning", "plugin-stanza")]),
    "header": (change_exec(args=["get", "-o", "header", "p"]),
               [("arguments", "error", "plugin-stanza")]),
    "status": (change_exec(args=["status", "p"]), [("arguments", "error", "plugin-stanza")]),
}


@needs_kubectl
@pytest.mark.parametrize("name", [
    pytest.param(n, marks=needs_v1 if n in ("not-interactive", "always", "bogus") else [])
    for n in FINDINGS])
def test_what_the_kubeconfig_has(cluster, name):
    change, found = FINDINGS[name]
    change(cluster)
    report = cluster.doctor("p")
    assert report.found() == found, "and nothing that follows from it"
    errors = [f for f in found if f[1] == "error"]
    assert report.exit_code == (9 if errors else 0)
    if errors:
        assert report.of("cluster")[0]["detail"].startswith(f"after {errors[0][0]}")
        assert report.verdict.startswith("the token is good; the cluster could not be asked: ")


@needs_kubectl
@needs_v1
def test_always_interactive_needs_a_terminal(cluster):
    cluster.exec["interactiveMode"] = "Always"
    assert "without a terminal" in cluster.doctor().of("interactive")[0]["detail"]


@needs_kubectl
def test_a_context_that_would_do_is_named(cluster):
    cluster.config["users"].append({"name": "plain", "user": {"token": "no-good"}})
    cluster.config["contexts"].append({"name": "plain", "context": {"cluster": "test",
                                                                    "user": "plain"}})
    cluster.config["current-context"] = "plain"
    report = cluster.doctor()
    assert report.found()[0] == ("plugin", "error", "not-used")
    assert report.of("plugin")[0]["detail"] == (
        "the user has a token of its own; with kubetoken: context test")
    assert "use-context" in report.of("plugin")[0]["remedy"]


@needs_kubectl
def test_a_relative_command_counts_from_the_kubeconfig(cluster, home):
    (home.folder / ".kube").mkdir()
    (home.folder / ".kube" / "kubetoken").symlink_to(rig.BUILD / "kubetoken")
    cluster.exec["command"] = "./kubetoken"
    assert cluster.doctor(path=f"{cluster.bin}:/usr/bin:/bin").found() == []


@needs_kubectl
def test_a_bare_command_that_is_not_on_the_path(cluster):
    report = cluster.doctor(path=f"{cluster.bin}:/usr/bin:/bin")
    assert report.found()[0] == ("command", "error", "plugin-command")
    assert "on the PATH" in report.of("command")[0]["detail"]


@needs_kubectl
@pytest.mark.parametrize("args, code", [(["get", "-o", "exec/v1", "x"], "no-profile"),
                                        (["get", "-o", "exec/v1"], "no-default")])
def test_the_profile_that_kubectl_asks_for(cluster, fake, home, daemon, args, code):
    home.configure(fake.profile("p") + fake.profile("q"))
    daemon.reload()
    cluster.exec["args"] = args
    report = cluster.doctor("p")
    assert ("kubectl-profile", "error", code) in report.found() and report.exit_code == 4


@needs_kubectl
@needs_v1
def test_an_old_kubectl(cluster):
    cluster.pretend(20)
    report = cluster.doctor()
    assert report.found()[0] == ("apiversion", "error", "plugin-version")
    assert "1.20" in report.of("apiversion")[0]["detail"]
    assert report.of("cluster")[0]["detail"] == "after apiversion"
    cluster.exec["apiVersion"] = V + "v1beta1"
    report = cluster.doctor()
    assert report.found() == [], "asked without whoami"
    assert report.of("cluster")[0]["detail"].startswith("user someone@example.com, groups [")


@needs_kubectl
@pytest.mark.parametrize("text, minor, level", [
    ("credentialPluginPolicy: DenyAll", 35, "error"),
    ("credentialPluginPolicy: DenyAll", 33, "warning"),
    ("credentialPluginPolicy: AllowAll", 35, None),
    ("# credentialPluginPolicy: DenyAll", 35, None),
    ("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- name: x", 35, "error"),
    ("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- name: kubetoken", 35, None),
    ("credentialPluginAllowlist:\n  - command: kubetoken\ncredentialPluginPolicy: Allowlist", 36,
     None),
    ("credentialPluginPolicy: 'Allowlist' # x\ncredentialPluginAllowlist: [{name: PATH}]", 35,
     None),
    ("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: [{name: /x/kubetoken}]", 35,
     "error"),
    ("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n- name: ls", 35, "error"),
    ("credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: []", 35, "error"),
    ("credentialPluginPolicy: Allowlist", 35, "error"),
    ("credentialPluginAllowlist:\n- name: kubetoken", 35, "error"),
    ("credentialPluginPolicy: Some", 35, "error"),
    ("aliases:\n- name: credentialPluginPolicy\n  command: DenyAll", 35, None),
    ("aliases: [", 35, "warning"),
])
def test_the_policy(cluster, home, text, minor, level):
    cluster.pretend(minor)
    cluster.exec["command"] = str(rig.BUILD / "kubetoken")
    text = text.replace("PATH", str(rig.BUILD / "kubetoken"))
    (home.folder / ".kube").mkdir()
    (home.folder / ".kube" / "kuberc").write_text(
        f"apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n{text}\n")
    found = [f for f in cluster.doctor().found() if f[0] == "policy"]
    assert found == ([("policy", level, "plugin-policy")] if level else [])


@needs_kubectl
@pytest.mark.parametrize("off", [{"KUBERC": "off"}, {"KUBECTL_KUBERC": "false"}])
def test_a_policy_that_is_switched_off(cluster, home, off):
    cluster.pretend(35)
    environment = cluster.environment()
    other = home.folder / "kuberc"
    other.write_text("credentialPluginPolicy: DenyAll\n")
    for extra, found in (({"KUBERC": str(other)}, ["plugin-policy"]), (off, [])):
        (home.folder / ".kube" / "kuberc").write_text("credentialPluginPolicy: DenyAll\n")
        report = doctor(home, env={**environment, **extra})
        assert [f[2] for f in report.found()] == found


@needs_kubectl
def test_an_api_server_of_another_ca(cluster, fake):
    trust(cluster, fake.ca_file)
    report = cluster.doctor()
    assert report.found() == [("cluster", "error", "cluster-tls")] and report.exit_code == 9
    assert "x509" in report.of("cluster")[0]["detail"]


@needs_kubectl
def test_a_kubeconfig_that_cannot_be_read(cluster, tmp_path):
    (tmp_path / "broken").write_text("kind: [")
    report = cluster.doctor("--kubeconfig", str(tmp_path / "broken"))
    assert report.found() == [("context", "error", "kubeconfig")] and report.exit_code == 9


@needs_kubectl
def test_the_api_server_rejects_the_token(cluster, fake):
    cluster.server.reject_when(lambda _: True)
    report = cluster.doctor()
    assert report.found() == [("cluster", "error", "unauthorized")] and report.exit_code == 8
    assert f'iss "{fake.issuer}", aud "client", alg RS256' in report.of("cluster")[0]["detail"]


@needs_kubectl
def test_a_kubectl_that_hangs(cluster):
    cluster.pretend(33)
    script = (cluster.bin / "kubectl").read_text()
    (cluster.bin / "kubectl").write_text(script.replace(
        "esac", "*\" whoami \"*) sleep 60;; esac"))
    report = cluster.doctor("--timeout", "2s")
    assert report.found() == [("cluster", "error", "cluster-timeout")] and report.exit_code == 7
    assert report.verdict.endswith("asked: the API server gives no answer in time")


@needs_kubectl
def test_a_rejected_token_that_is_not_ours(cluster):
    cluster.user["token"] = "no-good"
    assert "not kubetoken's" in cluster.doctor().of("cluster")[0]["detail"]


@needs_kubectl
def test_an_api_server_that_is_down(cluster):
    cluster.server.stop()
    report = cluster.doctor()
    assert report.found() == [("cluster", "error", "cluster-connect")] and report.exit_code == 7
    assert "was refused" in report.of("cluster")[0]["detail"]


