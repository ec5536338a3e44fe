"""The table of errors and findings: each row happens, is explained, and stands in the manual."""
import json
import os
import re
import shutil
import socket
import subprocess
import time

import pytest

import rig
import scripted
import test_autostart
import test_descriptors
import test_desks
import test_doctor
import test_protections
import test_doctor_cluster
import test_faults
import test_other_users
import test_unkillable
import test_waiting
from rig import wait_until
from scripted import ELSEWHERE, json_answer

TOKEN, KEYS = "/oauth/token", "/.well-known/jwks.json"
DISCOVERY = "/.well-known/openid-configuration"


def explain(*args):
    return subprocess.run([rig.BUILD / "kubetoken", "explain", *args], capture_output=True,
                          text=True, timeout=rig.PATIENCE,
                          env={"KUBETOKEN_SOCKET": "/nowhere", "KUBETOKEN_AUTOSTART": "0"})


def rows():
    """{code: (exit code, sentence)}, in the order of the table."""
    r = explain()
    assert (r.returncode, r.stderr) == (0, "")
    return {name: (int(exit_code), sentence) for name, exit_code, sentence in
            re.findall(r"^([a-z-]+) +(\d)  (.*)$", r.stdout, re.M)}


ROWS = rows()

# Rows that nothing shows by its name, and why.
NOT_SHOWN = {
    "internal": "what has no code of its own: no memory, no descriptor, a fault in the program",
}


# ---- each row happens ---------------------------------------------------------------------------


class Scene:
    """One profile p, a provider that answers as the test says, and both programs."""

    def __init__(self, home, daemon, folder):
        self.home, self.daemon, self.folder = home, daemon, folder
        self.provider = scripted.Provider(folder)
        self.children = []

    def close(self):
        for child in self.children:
            child.kill()
            child.communicate()
        self.provider.stop()

    def configure(self, extra="", issuer=None, password="canary-pw"):
        self.home.configure("\n".join([
            "[profile p]", f"issuer = {issuer or self.provider.issuer}", "client-id = client",
            "username = someone", f"password = {password}" if password else "",
            "" if "ca-file" in extra else f"ca-file = {self.provider.ca_file}", extra, ""]))

    def start(self, extra="", **kwargs):
        self.configure(extra, **kwargs)
        self.daemon.start()

    def run(self, *args, **kwargs):
        return self.home.run(*args, "--timeout", kwargs.pop("timeout", "10s"), **kwargs)

    def get(self, *args, **kwargs):
        return self.run("get", "p", *args, **kwargs)

    def popen(self, *args, **environment):
        self.children.append(subprocess.Popen(
            [rig.BUILD / "kubetoken", *args], env={**self.home.environment, **environment},
            text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE))
        return self.children[-1]

    @staticmethod
    def end_of(client):
        out, err = client.communicate(timeout=rig.PATIENCE)
        return subprocess.CompletedProcess([], client.returncode, out, err)

    def failure(self, extra="", **kwargs):
        """Of the first request. The answer comes once that has failed, not when it is repeated."""
        self.start(extra, **kwargs)
        self.run("get", "p", timeout="1s")
        wait_until(lambda: self.home.status("p").get("error"), "a failure")
        return self.get(timeout="1s")

    def says(self, status, error=None):
        """The token endpoint does."""
        self.provider.answers[TOKEN] = (json_answer({"error": error}, status) if error else
                                        (status, {}, b""))
        return self.failure()

    def gives(self, **members):
        self.provider.answers[TOKEN] = json_answer(members)
        return self.failure()

    def warning(self, extra=""):
        """Of status, for a token that is handed out."""
        self.start(extra)
        r = self.get()
        assert (r.returncode, r.stderr) == (0, "")
        found = self.home.status("p")["warnings"]
        return [w["code"] for w in found], rig.unwrapped(self.home.run("status").stdout)

    def client_with(self, answer):
        """A client whose daemon is one that gives this answer, None: gives none."""
        path = str(self.folder / "socket")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.bind(path)
            s.listen()
            s.settimeout(rig.PATIENCE)
            client = self.popen("get", "--timeout", "1s", KUBETOKEN_SOCKET=path)
            with s.accept()[0] as connection:
                if answer:
                    connection.sendall(answer)
                return self.end_of(client)


def not_logged_in(s):
    s.home.configure(s.provider.profile(password="").replace("username = someone",
                                                             "grant = refresh-token"))
    s.daemon.start()
    return s.get()


def start_failed(s):
    s.daemon.close()  # in whose place nobody answers
    s.home.socket_path.unlink()
    test_waiting.Manager(s.home, test_waiting.FAILED)
    listener = test_waiting.Listener(s.home, test_waiting.say())
    try:
        return s.run("get")
    finally:
        listener.close()


def running(s):
    s.start()
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as ready:
        r = subprocess.run([rig.BUILD / "kubetokend", "--ready-fd", str(writing)], text=True,
                           env=s.home.environment, capture_output=True, pass_fds=[writing],
                           timeout=rig.PATIENCE)
        os.close(writing)
        assert ready.read().startswith("running ")
    # its log says the sentence, where a client would say it behind its own name
    return subprocess.CompletedProcess([], r.returncode, "", "kubetoken: " + r.stderr[
        r.stderr.index(ROWS["running"][1]):])


def open_folder(s):
    folder = s.folder / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    s.configure()
    return s.get(env={"KUBETOKEN_AUTOSTART": "1", "KUBETOKEN_SOCKET": f"{folder}/socket"})


def interrupted(s):
    s.provider.hang(TOKEN)
    s.start()
    client = s.popen("get", "p")
    wait_until(s.provider.grants, "a request")
    assert s.home.run("logout", "p").returncode == 0
    return s.end_of(client)


def no_default(s):
    s.configure()
    path = s.home.config / "kubetoken.conf"
    text = path.read_text()
    path.write_text(text + text.replace("profile p", "profile q"))
    s.daemon.start()
    return s.run("get")


def connect(s):
    s.provider.refuse()
    return s.failure()


def proxy(url, **kwargs):
    def scene(s):
        p = scripted.Proxy(**kwargs)
        try:
            return s.failure(f"proxy = {url.format(p.port)}")
        finally:
            p.stop()
    return scene


def gateway(s):
    s.provider.answers[TOKEN] = 403, {"Content-Type": "text/html"}, b"<title>Blocked</title>"
    return s.failure()


def realm(s):
    s.provider.answers[TOKEN] = json_answer({
        "error": "invalid_request", "error_description": "the connection does not exist"}, 400)
    return s.failure()


def tls(s):
    s.provider.certify(trusted=False)
    return s.failure()


def tls_file(s):
    return s.failure(f"ca-file = {s.folder}/nothing.pem")


def transfer(s):
    s.provider.answers[TOKEN] = lambda _: []
    return s.failure()


def timeout(s):
    s.provider.hang(TOKEN)
    s.start()
    return s.get(timeout="1s")


def doubted(s):
    s.start()
    assert s.get().returncode == 0
    s.provider.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 400)
    return s.run("refresh", "p", timeout="1s")


def denied(s):
    s.provider.answers[TOKEN] = 403, {"Content-Type": "text/html"}, b"<title>no entry</title>"
    s.failure()
    for _ in range(2):
        r = s.run("refresh", "p", timeout="1s")
    return r


def silence(s):
    s.provider.hang(TOKEN)
    s.start("timeout = 1s\nkeep-over-restart = nothing")
    s.get(timeout="1s")
    wait_until(lambda: s.home.status("p")["state"] == "waiting" and len(s.provider.grants()) == 2,
               "two answers that do not come")
    s.daemon.restart()
    return s.get(timeout="1s")


def throttled(s):
    s.start("use-refresh-token = no")
    for _ in range(6):
        assert s.run("refresh", "p").returncode == 0
    return s.run("refresh", "p", timeout="1s")


def token_stale(s):
    """A refresh brings the token of the login, and the typed password is forgotten by then."""
    members = s.provider.token(refresh_token="r")

    def answer(request):
        if request.form["grant_type"] == "refresh_token":
            time.sleep(1.5)  # longer than the password is kept
        return json_answer(members)
    s.provider.answers[TOKEN] = answer
    s.start("password-lifetime = 1s", password=None)
    assert s.run("login", "p", input="canary-pw").returncode == 0
    return s.run("refresh", "p")


def printed(s, text):
    """By token-command; of who prints one that is good nothing is asked again."""
    file = s.home.write("printed", text)
    s.home.configure(f"[profile p]\nissuer = {s.provider.issuer}\nclient-id = client\n"
                     f"ca-file = {s.provider.ca_file}\ntoken-command = cat {file}")
    s.daemon.start()


def keys_invalid(s):
    """Of a token straight from the provider it is the reason for not-verified."""
    s.provider.answers[KEYS] = 404, {}, b""
    printed(s, s.provider.id_token())
    s.get(timeout="1s")
    return s.get(timeout="1s")


def discovery_invalid(s):
    s.provider.answers[DISCOVERY] = 404, {}, b""
    return s.failure()


def issuer_mismatch(s):
    return s.failure(issuer=s.provider.issuer.rstrip("/"))


def issuer_template(s):
    s.provider.answers[DISCOVERY] = json_answer(
        {**s.provider.discovery(), "issuer": "https://login.example/{tenantid}/v2.0"})
    return s.failure()


def token_signature(s):
    published = s.provider.key.jwk()
    s.provider.answers[KEYS] = json_answer({"keys": [published]})
    s.provider.key = scripted.Key()
    return s.failure()


def key_unsafe(s):
    s.provider.answers[KEYS] = json_answer({"keys": [s.provider.key.jwk(e="AQ")]})
    return s.failure()


def not_verified(s):
    s.provider.answers[KEYS] = 404, {}, b""
    return s.warning()


def email_not_verified(s):
    s.provider.claims["email_verified"] = False
    return s.warning()


def email_claim(s):
    s.provider.claims["email"] = None
    return s.warning()


def odd_credential(s):
    return s.warning("client-secret = 'canary-secret'")


def username_claim(s):
    return s.warning("username-claim = upn")


def groups_claim(s):
    s.provider.claims["groups"] = 5
    return s.warning("groups-claim = groups")


def groups_elsewhere(s):
    s.provider.claims.update(ELSEWHERE)
    return s.warning("groups-claim = groups")


def required_claim(s):
    s.start()
    return doctor(s, "--expect-claim", "hd=example.com")


AUTHENTICATION_CONFIG = """\
apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {{url: "{issuer}", audiences: [client]}}
  claimMappings: {{username: {{expression: "{name}"}}}}
"""


def by_authentication_config(name):
    def scene(s):
        s.start()
        path = s.folder / "authentication.yaml"
        path.write_text(AUTHENTICATION_CONFIG.format(issuer=s.provider.issuer, name=name))
        return doctor(s, "--authentication-config", str(path))
    return scene


def cluster_tls(c):
    test_doctor.trust(c, c.folder / "provider-ca.pem")


def no_token(s):
    s.start()
    return s.run("inspect", "p")


def busy(s):
    s.start()
    assert s.get().returncode == 0
    s.provider.hang(KEYS)
    s.provider.requests.clear()
    for _ in range(4):
        s.popen("inspect", "p")
    wait_until(lambda: [r.path for r in s.provider.requests].count(KEYS) == 4, "four of them")
    return s.run("inspect", "p")


class Twin(str):
    """A key that a dict takes beside the one that reads the same."""
    __hash__ = object.__hash__

    def __eq__(self, other):
        return self is other


def claim_twice(s):
    s.provider.claims[Twin("sub")] = "auth0|2"
    codes, status = s.warning()
    assert f"{ROWS['claim-twice'][1]}: sub; the last one counts" in status
    return codes, status


def keys_unreadable(s):
    foreign = {"kty": "OKP", "crv": "X25519", "kid": "foreign", "x": "A" * 43}
    s.provider.answers[KEYS] = json_answer({"keys": [s.provider.key.jwk(), foreign]})
    return s.warning()


def discovery_unreadable(s):
    s.provider.answers[DISCOVERY] = json_answer({**s.provider.discovery(), "userinfo_endpoint": 5})
    return s.warning()


def about_to_expire(s):
    s.provider.lifetime = 8
    s.start("refresh-before = 4s")
    assert s.get().returncode == 0
    s.provider.answers[TOKEN] = 503, {}, b""
    return wait_until(lambda: (r := s.get()).stderr and r, "a warning")


EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


def exchanges(scene, says=None, password="canary-pw"):
    """Profile p, whose tokens come from that of work; what the provider says to a grant."""
    scene.home.configure(scene.provider.profile(
        "work", password=f"password = {password}" if password else "") + "\n".join([
            "[profile p]", f"issuer = {scene.provider.issuer}", "client-id = client",
            f"ca-file = {scene.provider.ca_file}", "from = work", ""]))

    def answer(request):
        status, body = (says or {}).get(request.form["grant_type"], (200, scene.provider.token()))
        return json_answer(body, status)
    scene.provider.answers[TOKEN] = answer
    scene.daemon.start()
    return scene.get()


def otp_refused(s):
    s.provider.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 401)
    s.start("otp-parameter = totp")
    rig.ask(s.home, b"login otp p otp=6\n123456")
    return s.get()


def not_set_up(s):
    s.provider.answers[TOKEN] = json_answer({
        "error": "invalid_grant", "error_description": "Account is not fully set up"}, 400)
    return s.failure()


def fetcher(s):
    folder = s.folder / "bin"
    folder.mkdir()
    shutil.copy(rig.BUILD / "kubetokend", folder)
    shutil.copy("/bin/false", folder / "kubetoken-fetch")
    s.daemon.program = folder / "kubetokend"
    return s.failure()


def stuck(s):
    s.daemon.program, mode = test_faults.build_bad_fetcher(s.folder / "bin")
    mode.write_text("held")
    s.configure("timeout = 1s")
    s.home.configure((s.home.config / "kubetoken.conf").read_text() + test_unkillable.EIGHT)
    s.daemon.start()
    try:
        test_unkillable.ask_for_eight(s.home)
        return s.get()
    finally:
        mode.write_text("exit")


def descriptors(s):
    s.start()
    with test_descriptors.one_left(s.daemon):
        return s.get()


def output(s):
    s.start()
    with open("/dev/full", "w", encoding="utf-8") as full:
        return subprocess.run([rig.BUILD / "kubetoken", "get", "p"], env=s.home.environment,
                              stdout=full, stderr=subprocess.PIPE, text=True,
                              timeout=rig.PATIENCE)


def doctor(s, *args, **kwargs):
    """A finding of doctor is one of status in another form."""
    r = s.run("doctor", "--json", "p", *args, **kwargs)
    codes = [f.get("code") for f in json.loads(r.stdout)["links"]]
    text = rig.unwrapped(s.run("doctor", "p", *args, **kwargs).stdout)
    text = re.sub(r"^(warning|error|skipped) +\S+ +", "warning: ", text, flags=re.M)
    return codes, text, r.returncode


def cluster(change, extra="", **options):
    """Doctor with a kubectl, after a change of what was in order."""
    def scene(s):
        if not test_doctor.test_kubectl.kubectls():
            pytest.skip("no kubectl")
        s.start(extra)
        c = test_doctor.Cluster(s.home, s.provider, s.folder, **options)
        try:
            change(c)
            return doctor(s, env=c.environment())
        finally:
            c.server.stop()
    return scene


def kubeconfig(name):
    return cluster(test_doctor.FINDINGS[name][0])


def unasked(name):
    """A cluster that cannot be asked, as test_doctor_cluster has them."""
    def scene(s):
        if not test_doctor_cluster.KUBECTLS:
            pytest.skip("no kubectl that asks only what it is told to ask")
        s.start()
        c = test_doctor.Cluster(s.home, s.provider, s.folder)
        c.use(test_doctor_cluster.KUBECTLS[0])
        c.user.update(test_doctor.test_kubectl.stanza("v1beta1", "-o", "exec/v1beta1", "p"))
        try:
            with test_doctor_cluster.UNASKED[name][0](c):
                return doctor(s, env=c.environment())
        finally:
            c.server.stop()
    return scene


def kubectl_says(line):
    """Whatever it is asked of the cluster."""
    def change(c):
        c.pretend(33)
        script = (c.bin / "kubectl").read_text()
        (c.bin / "kubectl").write_text(script.replace(
            "esac", f"*\" whoami \"*) echo '{line}' >&2; exit 1;; esac"))
    return cluster(change)


def kubectl_fails(s):
    s.start()
    (s.folder / "kubectl").write_text("#!/bin/sh\nexit 3\n")
    (s.folder / "kubectl").chmod(0o755)
    return doctor(s, env={"PATH": f"{s.folder}:/bin"})


def policy(c):
    c.pretend(35)
    c.environment()
    (c.home.folder / ".kube" / "kuberc").write_text(
        test_doctor_cluster.KUBERC + "credentialPluginPolicy: DenyAll\n")


def clock(s):
    s.provider.clock = lambda: time.time() + 90
    s.start()
    return doctor(s)


def token_long(s):
    s.provider.claims["more"] = "x" * 9000
    s.start()
    return doctor(s)


def outdated(s):
    s.configure()
    test_doctor.replace_fetcher(s.daemon, s.folder / "programs")()
    return doctor(s)


def config_changed(s):
    s.start()
    s.configure(extra="timeout = 10s")
    return doctor(s)


def not_locked(s):
    s.configure()
    s.daemon.close()  # whose place another one takes
    s.home.socket_path.unlink()
    with test_doctor.unlocked_daemon(s.home):
        return doctor(s)


def unprotected(s):
    s.configure()
    s.daemon.close()
    s.home.socket_path.unlink()
    (s.home.folder / "notify").unlink()
    with test_protections.old_kernel(s.home, s.folder):
        assert s.run("get").returncode == 0
        return doctor(s)


def desk(s, **kwargs):
    """Where no systemd offers the socket."""
    s.home = rig.Home(s.folder / "desk")
    del s.home.environment["KUBETOKEN_AUTOSTART"]
    s.configure(**kwargs)


def not_revoked(s):
    s.provider.members["refresh_token"] = "r"
    s.start()
    assert s.get().returncode == 0
    return s.run("logout", "p")  # of a provider that has no such service


def place(cause):
    """Something is wrong with the place of the socket."""
    return lambda s: (desk(s), cause(s.home))[1]


def forgotten(s):
    desk(s, password=None)
    try:
        assert s.run("login", input="canary-pw").returncode == 0
        return s.run("stop")
    finally:
        test_autostart.end(s.home.socket_path)


def on_socket(s, request):
    """An error of a request that no kubetoken sends."""
    s.start()
    header, _, text = rig.ask(s.home, request).partition(b"\n")
    code = header.split()[1].decode()
    return subprocess.CompletedProcess([], ROWS[code][0], "", text.decode())


def token_now(s, **claims):
    s.provider.claims.update(claims)
    return s.failure()


def not_imported(s):
    path = s.folder / "kubeconfig"
    args = ["get-token", "--insecure-skip-tls-verify", "--oidc-issuer-url=https://i/",
            "--oidc-client-id=c"]
    path.write_text(json.dumps({"users": [{"name": "u", "user": {
        "exec": {"command": "kubelogin", "args": args}}}]}))
    return s.home.run("import", "--user", "u", "--kubeconfig", str(path))


def shared(s, *args, to="p"):
    """What a guest is told."""
    s.start()
    r = s.run("share", "box", "--profile", to)
    assert r.returncode == 0, r.stderr
    return s.run(*args, env={"KUBETOKEN_SOCKET": r.stdout.strip()})


def by_device(s, command, poll=None, endpoint="/device"):
    """Of a profile with grant = device, whose polls are answered by that."""
    discovery = s.provider.discovery()
    if endpoint:
        discovery["device_authorization_endpoint"] = s.provider.base + endpoint
    s.provider.discovery = lambda: discovery
    s.provider.answers["/device"] = json_answer(
        {"device_code": "d", "user_code": "U", "verification_uri": s.provider.base + "/activate",
         "expires_in": 600, "interval": 1})
    s.provider.answers["/oauth/token"] = json_answer(poll or {}, 400)
    s.home.configure(f"[profile p]\nissuer = {s.provider.issuer}\nca-file = {s.provider.ca_file}\n"
                     "client-id = client\ngrant = device\n")
    s.daemon.start()
    r = s.run(command, "p")  # before its end a login shows a page
    return subprocess.CompletedProcess(r.args, r.returncode, r.stdout,
                                       r.stderr.splitlines(True)[-1])


def share_empty(s):
    shared(s, "get")
    assert s.run("logout").returncode == 0
    return s.run("get", env={"KUBETOKEN_SOCKET": str(
        s.home.runtime / "kubetoken-share" / "box" / "socket")})


SCENES = {
    "usage": lambda s: s.run("get", "--bogus"),
    "bad-request": lambda s: on_socket(s, b"nonsense\n"),
    "running": running,
    "no-daemon": lambda s: s.run("get", env={"KUBETOKEN_SOCKET": f"{s.folder}/socket"}),
    "daemon-silent": lambda s: s.client_with(None),
    "start-failed": start_failed,
    "bad-answer": lambda s: s.client_with(b"HTTP/1.1 400 Bad Request\r\n\r\n"),
    "foreign-socket": place(test_desks.others_parent),
    "open-folder": open_folder,
    "squatted": place(test_desks.squatted),
    "other-uid": place(test_desks.others_daemon),
    "other-daemon": place(test_other_users.nobody_there),
    "not-a-socket": place(test_desks.plain_file),
    "dead-socket": place(test_desks.mounted_socket),
    "read-only": place(test_desks.read_only),
    "no-room": place(test_desks.no_inodes),
    "no-folder": place(test_desks.missing_folder),
    "long-path": place(test_desks.long_socket),
    "logged-out": place(test_desks.logged_out),
    "no-program": place(test_desks.no_program),
    "no-process": place(test_desks.no_process),
    "by-systemd": lambda s: (s.start(), s.run("stop"))[1],
    "forgotten": forgotten,
    "no-profile": lambda s: (s.start(), s.run("get", "other"))[1],
    "no-default": no_default,
    "not-shared": lambda s: shared(s, "logout"),
    "share-empty": share_empty,
    "share-taken": lambda s: (shared(s, "get"), s.run("share", "box"))[1],
    "share-failed": lambda s: (s.start(), (s.home.runtime / "kubetoken-share").write_text(""),
                               s.run("share", "box"))[2],
    "no-share": lambda s: (s.start(), s.run("unshare", "box"))[1],
    "interrupted": interrupted,
    "config": lambda s: (s.start("colour = blue"), s.get())[1],
    "no-config": lambda s: (s.daemon.start(), s.run("get"))[1],
    "credential": lambda s: s.failure("password-file = nothing", password=None),
    "no-command": lambda s: s.failure("password-command = /no/such-program", password=None),
    "command-token": lambda s: (printed(s, "not logged in"), s.get())[1],
    "login-needed": lambda s: (s.start(password=None), s.get())[1],
    "not-logged-in": not_logged_in,
    "login-denied": lambda s: by_device(s, "login", {"error": "access_denied"}),
    "code-expired": lambda s: by_device(s, "login", {"error": "expired_token"}),
    "no-device-login": lambda s: by_device(s, "login", endpoint=None),
    "doubted": doubted,
    "silence": silence,
    "denied": denied,
    "refused": lambda s: s.says(403, "invalid_grant"),
    "refused-silently": lambda s: s.says(403),
    "access-denied": lambda s: s.says(401, "access_denied"),
    "account": lambda s: s.says(403, "access_denied"),
    "otp-required": lambda s: s.failure("otp-parameter = totp"),
    "otp-refused": otp_refused,
    "second-factor": lambda s: s.says(400, "two_factor_required"),
    "new-password": lambda s: s.says(403, "password_expired"),
    "account-setup": not_set_up,
    "client-refused": lambda s: s.says(401, "invalid_client"),
    "grant-refused": lambda s: s.says(403, "unauthorized_client"),
    "no-id-token": lambda s: s.gives(access_token="canary"),
    "source-login": lambda s: exchanges(s, password=None),
    "source-refused": lambda s: exchanges(s, {"password": (401, {"error": "invalid_grant"})}),
    "subject-refused": lambda s: exchanges(s, {EXCHANGE: (400, {"error": "invalid_grant"})}),
    "exchange-refused": lambda s: exchanges(s, {EXCHANGE: (403, {"error": "access_denied"})}),
    "exchange-type": lambda s: exchanges(s, {EXCHANGE: (200, {"access_token": "canary"})}),
    # a label of more than 63 letters is refused by the resolver itself: no name server is asked
    "dns": lambda s: s.failure(issuer=f"https://{'a' * 70}.example/"),
    "connect": connect,
    "tls": tls,
    "tls-file": tls_file,
    "timeout": timeout,
    "transfer": transfer,
    "provider-fault": lambda s: s.says(503),
    "rate-limited": lambda s: s.says(429),
    "throttled": throttled,
    "proxy-login": proxy("http://127.0.0.1:{}", login="me:pw"),
    "proxy-refused": proxy("http://me:other@127.0.0.1:{}", login="me:pw"),
    "gateway": gateway,
    "realm": realm,
    "provider-error": lambda s: s.says(400, "invalid_scope"),
    "answer-invalid": lambda s: s.says(302),
    "discovery-invalid": discovery_invalid,
    "issuer-mismatch": issuer_mismatch,
    "token-invalid": lambda s: s.gives(id_token="no.token"),
    "issuer-template": issuer_template,
    "token-too-long": lambda s: s.gives(id_token="x" * 131073),
    "token-encrypted": lambda s: s.gives(id_token="eyJhbGciOiJkaXIiLCJlbmMiOiIifQ..AA.AA.AA"),
    "token-unverifiable": lambda s: s.gives(
        id_token=s.provider.key.sign({}, {"alg": "HS256"})),
    "token-algorithm": lambda s: s.gives(id_token=s.provider.key.sign({}, {"alg": "ES256"})),
    "token-signature": token_signature,
    "token-audience": lambda s: token_now(s, aud="other"),
    "token-expired": lambda s: token_now(s, exp=1000, iat=None),
    "token-stale": token_stale,
    "command-stale": lambda s: (printed(s, s.provider.id_token()), s.get(),
                                s.run("refresh", "p"))[2],
    "keys-invalid": keys_invalid,
    "too-short-lived": lambda s: (s.start(), s.get("--min-validity", "2h"))[1],
    "key-unsafe": key_unsafe,
    "not-verified": not_verified,
    "email-not-verified": email_not_verified,
    "odd-credential": odd_credential,
    "claim-twice": claim_twice,
    "keys-unreadable": keys_unreadable,
    "discovery-unreadable": discovery_unreadable,
    "email-claim": email_claim,
    "username-claim": username_claim,
    "groups-claim": groups_claim,
    "groups-elsewhere": groups_elsewhere,
    "required-claim": required_claim,
    "claim-rule": by_authentication_config("claims.upn"),
    "cluster-tls": cluster(cluster_tls),
    "no-token": no_token,
    "busy": busy,
    "about-to-expire": about_to_expire,
    "clock": clock,
    "token-long": token_long,
    "outdated": outdated,
    "config-changed": config_changed,
    "not-locked": not_locked,
    "unprotected": unprotected,
    "not-revoked": not_revoked,
    "other-user": cluster(lambda c: None, "username-claim = email", username_claim="sub"),
    "kubectl": lambda s: (s.start(), doctor(s, env={"PATH": "/bin/nowhere"}))[1],
    "kubectl-fails": kubectl_fails,
    "kubeconfig": kubeconfig("no-current-context"),
    "not-written": lambda s: s.home.run("kubeconfig", "--undo"),
    "not-used": kubeconfig("other-plugin"),
    "bypassed": kubeconfig("token"),
    "plugin-command": kubeconfig("command-absolute"),
    "plugin-version": kubeconfig("no-version"),
    "plugin-stanza": kubeconfig("status"),
    "plugin-policy": cluster(policy),
    "not-imported": not_imported,
    "server-config": by_authentication_config("claims.upn +"),
    "unauthorized": cluster(lambda c: c.server.reject_when(lambda _: True)),
    "forbidden": kubectl_says('Error from server (Forbidden): forbidden: User "a" cannot get'),
    "no-rights": cluster(lambda c: None, users_allowed=()),
    "cluster-dns": unasked("unknown-host"),
    "cluster-connect": unasked("down"),
    "cluster-proxy": unasked("dead-proxy"),
    "cluster-timeout": unasked("silent"),
    "cluster-http": unasked("https-for-http"),
    "cluster-other": unasked("not-found"),
    "cluster-fault": unasked("a-fault"),
    "cluster-unknown": kubectl_says("error: what nobody has seen yet"),
    "fetcher": fetcher,
    "stuck": stuck,
    "descriptors": descriptors,
    "incomplete": lambda s: test_doctor.alone(s.home, s.folder),
    "output": output,
    "not-started": lambda s: (s.start(), s.home.run("run", "--", "/no/such"))[1],
}
OTHERWISE = {"not-started": 127}  # as with env(1)


@pytest.fixture
def scene(home, daemon, tmp_path):
    folder = tmp_path / "scene"
    folder.mkdir()
    s = Scene(home, daemon, folder)
    yield s
    s.close()


@pytest.mark.parametrize("code", [
    pytest.param(c, marks=test_doctor.needs_whoami if c == "other-user" else []) for c in SCENES])
def test_it_happens(scene, code):
    exit_code, sentence = ROWS[code]
    seen = SCENES[code](scene)
    if isinstance(seen, tuple):
        # of several errors that doctor finds the first one's counts
        assert exit_code == 0 or seen[2] != 0
        assert code in seen[0] and f"warning: {sentence}" in seen[1]
        return
    assert seen.returncode == OTHERWISE.get(code, exit_code)
    assert re.match(rf"kubetoken: (p: )?{re.escape(sentence)}(: |; |\n)", seen.stderr), seen.stderr
    assert seen.stderr.count("\n") == 1


def test_every_row_happens_or_has_a_reason_not_to():
    assert set(ROWS) == set(SCENES) | set(NOT_SHOWN) and not set(SCENES) & set(NOT_SHOWN)


def test_every_row_is_raised_by_the_product():
    """Not only compared with, nor in the table alone."""
    text = "\n".join(f.read_text() for d in ("common", "client", "daemon")
                     for f in sorted((rig.TOP / d).rglob("*.c"))
                     if f.name not in ("error.c", "explain_text.c"))
    raised = set(re.findall(r"(?<!case )(?<![=!]= )\bERROR_([A-Z_]+)\b", text))
    assert {c for c in ROWS if c.upper().replace("-", "_") not in raised} == set()


# ---- each row is explained ----------------------------------------------------------------------


@pytest.mark.parametrize("code", ROWS)
def test_it_is_explained(code):
    r = explain(code)
    assert (r.returncode, r.stderr) == (0, "")
    title, text, *remedy, last = r.stdout.rstrip("\n").split("\n\n")
    exit_code, sentence = ROWS[code]
    assert title == f"{code}: {sentence}" and last == f"Exit code: {exit_code}"
    assert 100 < len(text) < 800 and text.endswith(".") and text.isascii()
    assert [line for line in r.stdout.split("\n") if len(line) > 80] == []
    assert len(remedy) <= 2 and all(p.startswith(start) for p, start in
                                    zip(remedy, ["What to do: ", "Without systemd: "]))
    assert remedy or code in ("credential", "new-password", "account-setup", "not-logged-in"), \
        "its details say what to do, by the kind of source"


def test_each_row_has_a_sentence_and_a_text_of_its_own():
    assert len({s for _, s in ROWS.values()}) == len(ROWS)
    assert len({explain(code).stdout.split("\n\n")[1] for code in ROWS}) == len(ROWS)


@pytest.mark.parametrize("wrong, nearest", [
    ("refusd", "refused"), ("REFUSED-SILENTLY", "refused-silently"), ("no-profiles", "no-profile"),
    ("dsn", "dns"), ("401", "unauthorized"), ("403", "forbidden"), ("431", "token-long"),
    ("none", None), ("", None), ("8a", None), ("404", None), ("x", None)])
def test_an_unknown_code(wrong, nearest):
    r = explain(wrong)
    assert (r.returncode, r.stdout) == (2, "")
    hint = f'did you mean "{nearest}"?' if nearest else "kubetoken explain lists them"
    assert r.stderr == (f'kubetoken: wrong usage: there is no code "{wrong}"; {hint}; see '
                        "kubetoken explain --help\n")


@pytest.mark.parametrize("args", [["x" * 5000], ["\x1b[31m\xff\n"], ["refused", "dns"]])
def test_what_is_no_code_at_all(args):
    r = explain(*args)
    assert (r.returncode, r.stdout) == (2, "")
    assert r.stderr.count("\n") == 1 and r.stderr[:-1].isprintable() and len(r.stderr) < 400


def test_the_codes_of_an_exit_code():
    assert set(re.findall(r"^[a-z-]+", explain("7").stdout, re.M)) == {
        code for code, (exit_code, _) in ROWS.items() if exit_code == 7}


def test_what_cannot_be_printed_is_an_error():
    with open("/dev/full", "w", encoding="utf-8") as full:
        r = subprocess.run([rig.BUILD / "kubetoken", "explain"], stdout=full, check=False,
                           stderr=subprocess.PIPE, timeout=rig.PATIENCE)
    assert r.returncode == 1


# ---- the manual --------------------------------------------------------------------------------

GENERATED = ["kubetoken-codes.7", "kubetoken-protocol.7"]


@pytest.mark.parametrize("page", GENERATED)
def test_the_manual_is_that_of_the_table(page):
    program = rig.BUILD / "codes"
    assert program.exists(), "`make unit` builds it"
    text = (rig.TOP / "man" / page).read_bytes()
    r = subprocess.run([program], input=text, capture_output=True, timeout=rig.PATIENCE)
    assert (r.returncode, r.stderr) == (0, b"")
    assert r.stdout == text, "say `make man`"
    assert all(re.search(rb"^\.It (Cm )?%s\b" % code.encode(), text, re.M) for code in ROWS)


def test_a_page_without_an_end_is_no_page():
    r = subprocess.run([rig.BUILD / "codes"], input=b'.\\" codes: rows\n.Sh NEXT\n', check=False,
                       capture_output=True, timeout=rig.PATIENCE)
    assert r.returncode == 1 and b"codes: end" in r.stderr


@pytest.mark.skipif(not shutil.which("mandoc"), reason="mandoc is not installed")
def test_the_pages_are_sound():
    pages = sorted((rig.TOP / "man").glob("*.[1-8]"))
    r = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *pages], capture_output=True,
                       text=True, timeout=rig.PATIENCE)
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
