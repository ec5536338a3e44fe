"""kubetoken doctor's last links: what kubectl says of the cluster, and what is said of kubectl."""
import base64
import contextlib
import datetime
import http.server
import json
import pathlib
import shutil
import socket
import ssl
import subprocess
import threading

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

import apiserver
import rig
import test_doctor
import test_kubectl
from test_doctor import Cluster, cluster, doctor, needs_kubectl, start  # noqa: F401

GOOD_BUT = "the token is good; the cluster could not be asked: "
KUBERC = "apiVersion: kubectl.config.k8s.io/v1beta1\nkind: Preference\n"
ALLOW = KUBERC + "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist:\n"


def newest():
    """A kubectl that obeys a kuberc, or None."""
    return next((k for k in test_doctor.KUBECTLS if test_kubectl.minor_version(k) >= 36), None)


def is_dispatcher(kubectl):
    """Google's, which asks the cluster, and so the plugin, whatever it is told to do."""
    r = subprocess.run([kubectl, "version", "--client", "-o", "json"], capture_output=True,
                       text=True, timeout=rig.PATIENCE)
    return "dispatcher" in r.stdout


def plain_kubectls():
    """Of a dispatcher the newest of those that it has beside it: it starts one of them."""
    found = []
    for kubectl in test_doctor.KUBECTLS:
        if is_dispatcher(kubectl):
            beside = pathlib.Path(kubectl).parent.glob("kubectl.1.*")
            found += [str(max(beside, key=test_kubectl.minor_version, default=""))]
        else:
            found.append(kubectl)
    return list(dict.fromkeys(k for k in found if k))


KUBECTLS = plain_kubectls()
needs_plain_kubectl = pytest.mark.skipif(not KUBECTLS, reason="no kubectl that asks only what it "
                                         "is told to ask")
NEWEST = newest()


def obey_a_kuberc(c):
    """With a kubectl that does, or one that says so of itself."""
    if NEWEST:
        c.use(NEWEST)
    else:
        c.pretend(36)


@contextlib.contextmanager
def web(folder, status, content_type, body, tls=True):
    """Something that is no API server. Yields (port, its CA)."""
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_any(self):
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_CONNECT = do_any

        def log_message(self, format, *args):
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, request, client_address):
            pass

    files = apiserver.make_tls_files(folder, "web")
    server = Server(("127.0.0.1", 0), Handler)
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(files.cert, files.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield server.server_address[1], folder / "web-ca.crt"
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def dead_port():
    """Where nobody listens, and nobody will."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]


@contextlib.contextmanager
def silent_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen(50)
        yield s.getsockname()[1]


def entry(c):
    return c.config["clusters"][0]["cluster"]


def no_api_server(status, content_type, body, tls=True):
    @contextlib.contextmanager
    def change(c):
        with web(c.folder, status, content_type, body, tls) as (port, ca):
            entry(c).update({"server": f"https://127.0.0.1:{port}",
                             "certificate-authority": str(ca)})
            yield
    return change


def bad_proxy(status):
    @contextlib.contextmanager
    def change(c):
        with web(c.folder, status, "text/html", b"no", tls=False) as (port, _):
            entry(c)["proxy-url"] = f"http://127.0.0.1:{port}"
            yield
    return change


def port_of(make, form, key="server"):
    @contextlib.contextmanager
    def change(c):
        with make() as port:
            entry(c)[key] = form.format(port)
            yield
    return change


def setting(**changes):
    @contextlib.contextmanager
    def change(c):
        entry(c).update({k.replace("_", "-"): v for k, v in changes.items()})
        yield
    return change


@contextlib.contextmanager
def http_for_https(c):
    entry(c)["server"] = c.server.url.replace("https", "http")
    yield


PAGE = b"<html><body>Welcome</body></html>"
UNASKED = {
    "down": (port_of(dead_port, "https://127.0.0.1:{}"), "cluster-connect", 7,
             "the API server cannot be reached", "was refused"),
    "unknown-host": (setting(server="https://no-such-host.invalid:6443"), "cluster-dns", 7,
                     "the API server's name cannot be resolved", "lookup no-such-host.invalid"),
    "silent": (port_of(silent_port, "https://127.0.0.1:{}"), "cluster-timeout", 7,
               "the API server gives no answer in time", ""),
    "dead-proxy": (port_of(dead_port, "http://127.0.0.1:{}", "proxy-url"), "cluster-proxy", 7,
                   "the proxy does not lead to the API server", "was refused"),
    "unknown-proxy": (setting(proxy_url="http://no-such-proxy.invalid:3128"), "cluster-proxy", 7,
                      "the proxy does not lead to the API server", "proxyconnect tcp"),
    "proxy-wants-a-login": (bad_proxy(407), "cluster-proxy", 7,
                            "the proxy does not lead to the API server",
                            "Proxy Authentication Required"),
    "proxy-refuses": (bad_proxy(403), "cluster-proxy", 7,
                      "the proxy does not lead to the API server", "Forbidden"),
    "http-for-https": (http_for_https, "cluster-http", 9,
                       "one side speaks http, the other https", ""),
    "https-for-http": (no_api_server(200, "text/html", PAGE, tls=False), "cluster-http", 9,
                       "one side speaks http, the other https", "TLS handshake"),
    "a-page": (no_api_server(200, "text/html", PAGE), "cluster-other", 9,
               "what answers there is no API server", ""),
    "not-found": (no_api_server(404, "text/html", PAGE), "cluster-other", 9,
                  "what answers there is no API server", ""),
    "redirected": (no_api_server(302, "text/html", b""), "cluster-other", 9,
                   "what answers there is no API server", "status code 302"),
    "other-json": (no_api_server(200, "application/json", b"{}"), "cluster-other", 9,
                   "what answers there is no API server", "does not say who the user is"),
    "a-fault": (no_api_server(503, "text/html", PAGE), "cluster-fault", 7,
                "the API server, or a proxy before it, has a fault", "unable to handle"),
    "no-ca-file": (setting(certificate_authority="/nowhere/ca"), "kubeconfig", 9,
                   "the kubeconfig cannot be used as it is", "unable to read certificate-auth"),
}


@needs_kubectl
@pytest.mark.parametrize("kubectl", KUBECTLS)
@pytest.mark.parametrize("name", UNASKED)
def test_a_cluster_that_cannot_be_asked(cluster, name, kubectl):
    change, code, exit_code, why, words = UNASKED[name]
    cluster.use(kubectl)
    cluster.user.update(test_kubectl.stanza("v1beta1", "-o", "exec/v1beta1", "p"))
    timeout = ["--timeout", "3s"] if name == "silent" else []
    with change(cluster):
        report = cluster.doctor(*timeout)
    assert report.found() == [("cluster", "error", code)]
    assert report.exit_code == exit_code
    assert report.verdict == GOOD_BUT + why
    assert words in report.of("cluster")[0]["detail"]


@needs_kubectl
def test_the_closing_line_is_said_and_not_that_nothing_is_wrong(cluster):
    with dead_port() as port:
        entry(cluster)["server"] = f"https://127.0.0.1:{port}"
        r = cluster.home.run("doctor", env=cluster.environment())
    assert r.stdout.endswith(GOOD_BUT + "the API server cannot be\nreached\n1 error, 0 warnings\n")


def test_without_kubectl_the_closing_line_says_so(home, start):
    start()
    r = home.run("doctor", env={"PATH": "/bin/nowhere"})
    assert r.returncode == 1 and "nothing is wrong" not in r.stdout
    assert "\nwarning  kubectl          kubectl cannot be run: there is none on the PATH\n" \
        in r.stdout
    assert "\nskipped  cluster          after kubectl\n" in r.stdout
    assert GOOD_BUT + "there is no kubectl on the\nPATH\n" in r.stdout


def test_a_kubectl_that_runs_and_fails_is_not_an_absent_one(home, start, tmp_path):
    start()
    (tmp_path / "kubectl").write_text("#!/bin/sh\necho it is broken >&2\nexit 3\n")
    (tmp_path / "kubectl").chmod(0o755)
    report = doctor(home, env={"PATH": f"{tmp_path}:/bin"})
    assert report.found() == [("kubectl", "error", "kubectl-fails")] and report.exit_code == 9
    assert report.of("kubectl")[0]["detail"] == "exit code 3: it is broken"
    assert report.verdict == GOOD_BUT + "kubectl runs and fails, whatever it is asked"


@needs_kubectl
def test_without_a_kubeconfig_the_one_who_prints_it_is_named(cluster, home):
    environment = cluster.environment()
    file = home.folder / ".kube" / "config"
    for text, words in ((None, "is not there"), ("", "has no context and no user"),
                        ("# nothing yet\n", "has no context and no user")):
        file.unlink(missing_ok=True)
        if text is not None:
            file.write_text(text)
        report = doctor(home, env=environment)
        assert report.found() == [("context", "error", "kubeconfig")] and report.exit_code == 9
        assert report.of("context")[0]["detail"] == f"{file} {words}"
        assert "kubetoken kubeconfig prints" in report.of("context")[0]["remedy"]
        assert report.verdict.endswith(words) and report.skipped() == ["cluster"]


# ---- no error follows from another --------------------------------------------------------------


@needs_plain_kubectl
def test_after_an_error_of_the_token_the_cluster_is_not_asked(cluster):
    cluster.use(KUBECTLS[0])
    report = cluster.doctor("--expect-audience", "other")
    assert report.found() == [("expect-audience", "error", "token-audience")]
    assert report.of("cluster")[0]["detail"] == "after expect-audience" and report.verdict == ""
    assert cluster.server.requests == []


@needs_kubectl
def test_without_a_token_the_cluster_is_not_asked(home, fake, tmp_path, start):
    fake.answers[test_doctor.TOKEN] = 403, {"Content-Type": "application/json"}, \
        b'{"error":"invalid_grant"}'
    start()
    c = Cluster(home, fake, tmp_path)
    try:
        report = c.doctor()
    finally:
        c.server.stop()
    assert report.found() == [("grant", "error", "refused")] and report.exit_code == 6
    assert report.of("cluster")[0]["detail"] == "after grant" and report.verdict == ""


@needs_kubectl
def test_a_401_names_both_ways_to_tell_the_api_server_what_to_take(cluster):
    cluster.server.reject_when(lambda _: True)
    remedy = cluster.doctor().of("cluster")[0]["remedy"]
    for flag in ("--oidc-issuer-url", "--oidc-client-id", "--oidc-signing-algs",
                 "--authentication-config"):
        assert flag in remedy


@needs_kubectl
@pytest.mark.parametrize("kubectl", KUBECTLS)
def test_the_line_that_tells_is_quoted_and_not_the_install_hint(cluster, kubectl):
    """The plugin is found by doctor, and fails for kubectl."""
    cluster.use(kubectl)
    cluster.user.update(test_kubectl.stanza("v1beta1", "-o", "exec/v1beta1", "p"))
    cluster.exec["env"] = [{"name": "KUBETOKEN_SOCKET", "value": "/nowhere/socket"}]
    cluster.exec["installHint"] = "Ask the desk.\nhttps://desk.example/"
    report = cluster.doctor()
    assert report.found() == [("cluster", "error", "plugin-command")]
    assert report.of("cluster")[0]["detail"].startswith("kubetoken: ")
    assert "desk" not in report.of("cluster")[0]["detail"]


# ---- rights --------------------------------------------------------------------------------------


def with_rights(home, fake, folder, **options):
    return contextlib.closing(Closing(home, fake, folder, **options))


class Closing(Cluster):
    def close(self):
        self.server.stop()


@needs_kubectl
@pytest.mark.parametrize("kubectl", KUBECTLS)
@pytest.mark.parametrize("knows_users", [True, False])
def test_a_user_without_any_role_gets_a_binding_to_apply(home, fake, tmp_path, start, kubectl,
                                                         knows_users):
    fake.claims.update(email="O'Neil@Example.com", groups=["Dev Ops"])
    start(extra="username-claim = email\nusername-prefix = oidc:\ngroups-claim = groups")
    with with_rights(home, fake, tmp_path, users_allowed=(), username_prefix="oidc:",
                     groups_claim="groups", knows_users=knows_users) as c:
        c.use(kubectl)
        c.user.update(test_kubectl.stanza("v1beta1", "-o", "exec/v1beta1", "p"))
        report = c.doctor()
    assert report.found() == [("cluster", "error", "no-rights")] and report.exit_code == 1
    assert report.of("cluster")[0]["detail"] == (
        "the API server knows you as oidc:O'Neil@Example.com and lets you do nothing, in "
        "namespace default or outside of any")
    remedy = report.of("cluster")[0]["remedy"]
    assert ("kubectl create clusterrolebinding view-oidc-o-neil-example-com --clusterrole=view "
            "--user='oidc:O'\\''Neil@Example.com'") in remedy
    assert ("--group='Dev Ops'" in remedy) == knows_users
    assert "cluster-admin" not in remedy and "--namespace=NAME" in remedy


@needs_kubectl
@pytest.mark.parametrize("namespace, found", [("dev", []),
                                              ("", [("cluster", "error", "no-rights")])])
def test_rights_are_those_of_the_contexts_namespace(home, fake, tmp_path, start, namespace, found):
    start()
    with with_rights(home, fake, tmp_path, rules_namespace="dev") as c:
        c.config["contexts"][0]["context"]["namespace"] = namespace
        report = c.doctor()
    assert report.found() == found


@needs_kubectl
@pytest.mark.parametrize("error, found", [
    ("webhook authorizer does not support user rule resolution", []),
    ("node authorizer does not support user rule resolution",
     [("cluster", "error", "no-rights")]),
])
def test_a_list_of_rights_that_is_not_whole_proves_nothing(home, fake, tmp_path, start, error,
                                                           found):
    start()
    with with_rights(home, fake, tmp_path, users_allowed=(), rules_error=error) as c:
        report = c.doctor()
    assert report.found() == found
    if not found:
        assert report.of("cluster")[0]["detail"].endswith(
            "; what they may do it cannot tell: " + error)


# ---- other credentials --------------------------------------------------------------------------


def certificate(c, days, organization, in_file=True):
    key = ec.generate_private_key(ec.SECP256R1())
    names = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, organization),
             x509.NameAttribute(NameOID.COMMON_NAME, "minikube-user")]
    end = datetime.datetime(2031, 2, 3) + datetime.timedelta(days=days)
    made = x509.CertificateBuilder().subject_name(x509.Name(names)).issuer_name(
        x509.Name(names)).public_key(key.public_key()).serial_number(7).not_valid_before(
        datetime.datetime(2020, 1, 1)).not_valid_after(end).sign(key, hashes.SHA256())
    pem = made.public_bytes(serialization.Encoding.PEM)
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                               serialization.NoEncryption())
    c.user.clear()
    for kind, data in (("certificate", pem), ("key", secret)):
        (c.folder / kind).write_bytes(data)
        if in_file:
            c.user[f"client-{kind}"] = str(c.folder / kind)
        else:
            c.user[f"client-{kind}-data"] = base64.b64encode(data).decode()


@needs_kubectl
@pytest.mark.parametrize("in_file", [True, False])
@pytest.mark.parametrize("days, organization, words", [
    (0, "system:masters", "an administrator's client certificate (CN minikube-user, O "
                          "system:masters, until 2031-02-03)"),
    (0, "devs", "a client certificate (CN minikube-user, O devs, until 2031-02-03)"),
    (-3653, "devs", "a client certificate that has expired (CN minikube-user, O devs, on "
                    "2021-02-02)"),
])
def test_a_client_certificate_is_named_as_what_it_is(cluster, days, organization, words, in_file):
    certificate(cluster, days, organization, in_file)
    report = cluster.doctor("p")
    assert report.found() == [("plugin", "error", "not-used")] and report.exit_code == 9
    assert report.of("plugin")[0]["detail"] == "the user has " + words
    assert report.of("cluster")[0]["detail"].startswith("after plugin")


@needs_plain_kubectl
def test_an_auth_provider_is_named_and_not_run(cluster, fake):
    cluster.use(KUBECTLS[0])
    cluster.user.clear()
    cluster.user["auth-provider"] = {"name": "oidc", "config": {
        "idp-issuer-url": fake.issuer, "client-id": "x", "client-secret": "canary-secret",
        "refresh-token": "canary-refresh", "id-token": "eyJhbGciOiJub25lIn0.e30."}}
    asked = len(fake.grants())
    report = cluster.doctor("p")
    assert report.found() == [("plugin", "error", "not-used")]
    assert report.of("plugin")[0]["detail"] == "the user has an auth-provider (oidc)"
    assert report.of("cluster")[0]["detail"] == "after plugin"
    assert len(fake.grants()) == asked + 1 and cluster.server.requests == []


@needs_plain_kubectl
def test_another_plugin_is_named_and_not_run(cluster, tmp_path):
    cluster.use(KUBECTLS[0])
    ran = tmp_path / "ran"
    (cluster.bin / "other").write_text(f"#!/bin/sh\ntouch {ran}\n")
    (cluster.bin / "other").chmod(0o755)
    cluster.exec.update(command="other", apiVersion=test_doctor.V + "v1beta1",
                        args=["--password=canary"])
    report = cluster.doctor("p")
    assert report.found() == [("plugin", "error", "not-used")]
    assert report.of("plugin")[0]["detail"] == "the user runs other" and not ran.exists()


# ---- the command and a desktop's PATH -----------------------------------------------------------


@needs_kubectl
def test_a_command_that_a_desktop_program_would_not_find_is_a_note(cluster, home):
    report = cluster.doctor()
    note = report.of("command")[0]
    assert (note["level"], report.found(), report.exit_code) == ("note", [], 0)
    assert "/usr/local/bin:/usr/bin:/bin" in note["detail"]
    assert note["remedy"] == f"for those write the full path as command: {rig.BUILD}/kubetoken"
    cluster.exec["command"] = str(rig.BUILD / "kubetoken")
    assert cluster.doctor().of("command")[0]["level"] == "ok"
    r = home.run("doctor", env=cluster.environment())
    assert r.stdout.endswith("nothing is wrong\n") and r.returncode == 0


# ---- kuberc --------------------------------------------------------------------------------------


ENDS = {
    "unknown-policy": (KUBERC + "credentialPluginPolicy: Some\n", "no policy of that name"),
    "no-list": (KUBERC + "credentialPluginPolicy: Allowlist\n",
                "Allowlist without credentialPluginAllowlist"),
    "empty-list": (KUBERC + "credentialPluginPolicy: Allowlist\ncredentialPluginAllowlist: []\n",
                   "credentialPluginAllowlist is empty"),
    "list-alone": (KUBERC + "credentialPluginAllowlist:\n- name: kubetoken\n",
                   "without the policy Allowlist"),
    "list-and-allow-all": (KUBERC + "credentialPluginPolicy: AllowAll\n"
                           "credentialPluginAllowlist:\n- name: kubetoken\n",
                           "without the policy Allowlist"),
    "empty-entry": (ALLOW + "- {}\n", "an entry of credentialPluginAllowlist is empty"),
    "unclean-path": (ALLOW + "- command: /usr//bin/kubetoken\n", "has . or .. or // in it"),
}


def write_kuberc(cluster, text):
    (cluster.home.folder / ".kube").mkdir(exist_ok=True)
    file = cluster.home.folder / ".kube" / "kuberc"
    file.write_text(text.replace("PATH", str(rig.BUILD / "kubetoken")))
    return file


@needs_kubectl
@pytest.mark.parametrize("name", ENDS)
def test_a_kuberc_that_ends_every_command_is_an_error_at_policy(cluster, name):
    text, words = ENDS[name]
    obey_a_kuberc(cluster)
    file = write_kuberc(cluster, text)
    report = cluster.doctor()
    assert report.found() == [("policy", "error", "plugin-policy")] and report.exit_code == 9
    detail = report.of("policy")[0]["detail"]
    assert detail.startswith(f"{file}: ") and words in detail
    assert detail.endswith("; every kubectl command ends")
    assert f"- command: {rig.BUILD}/kubetoken" in report.of("policy")[0]["remedy"]
    assert report.of("context")[0]["level"] == "ok", "the rest is looked at all the same"
    assert report.verdict == GOOD_BUT + "kubectl's policy does not allow the plugin"


# As kubectl 1.36 was seen to decide: (text, command, runs).
BARE, FULL = "kubetoken", str(rig.BUILD / "kubetoken")
DECIDES = {
    "deny": (KUBERC + "credentialPluginPolicy: DenyAll\n", FULL, False),
    "v1alpha1-knows-no-policy": (KUBERC.replace("v1beta1", "v1alpha1")
                                 + "credentialPluginPolicy: DenyAll\n", FULL, True),
    "v1-is-ignored": (KUBERC.replace("v1beta1", "v1") + "credentialPluginPolicy: DenyAll\n", FULL,
                      True),
    "no-version-is-ignored": ("credentialPluginPolicy: DenyAll\n", FULL, True),
    "the-first-document-counts": (KUBERC + "credentialPluginPolicy: AllowAll\n---\n" + KUBERC
                                  + "credentialPluginPolicy: DenyAll\n", FULL, True),
    "the-first-that-is-valid": ("a: b\n---\n" + KUBERC + "credentialPluginPolicy: DenyAll\n", FULL,
                                False),
    "behind-one-that-is-no-yaml": ("[: x\n---\n" + KUBERC + "credentialPluginPolicy: DenyAll\n",
                                   FULL, False),
    "v1alpha1-first": (KUBERC.replace("v1beta1", "v1alpha1") + "---\n" + KUBERC
                       + "credentialPluginPolicy: DenyAll\n", FULL, True),
    "the-last-of-two-keys-denies": (KUBERC + "credentialPluginPolicy: AllowAll\n"
                                    "credentialPluginPolicy: DenyAll\n", FULL, False),
    "the-last-of-two-keys-allows": (KUBERC + "credentialPluginPolicy: DenyAll\n"
                                    "credentialPluginPolicy: AllowAll\n", FULL, True),
    "a-number-is-no-policy": (KUBERC + "credentialPluginPolicy: 5\n", FULL, True),
    "entry-command": (ALLOW + "- command: PATH\n", FULL, True),
    "entry-name": (ALLOW + "- name: PATH\n", FULL, True),
    "bare-entry-and-command": (ALLOW + "- command: kubetoken\n", BARE, True),
    "path-and-bare-command": (ALLOW + "- command: PATH\n", BARE, True),
    "another-entry": (ALLOW + "- command: ls\n", FULL, False),
    "two-names-differ": (ALLOW + "- command: ls\n  name: PATH\n", FULL, True),
}


@needs_kubectl
@pytest.mark.parametrize("name", DECIDES)
def test_the_policy_is_read_as_kubectl_reads_it(cluster, name):
    """The real one is asked too, where there is one."""
    text, command, runs = DECIDES[name]
    obey_a_kuberc(cluster)
    cluster.exec["command"] = command
    write_kuberc(cluster, text)
    report = cluster.doctor()
    if NEWEST:
        r = subprocess.run([NEWEST, "get", "--raw", "/apis"], text=True, capture_output=True,
                           stdin=subprocess.DEVNULL, timeout=rig.PATIENCE,
                           env={**cluster.home.environment, **cluster.environment()})
        assert (r.returncode == 0) == runs, r.stderr
    assert report.found() == ([] if runs else [("policy", "error", "plugin-policy")])
    if not runs:
        assert f"- command: {FULL}" in report.of("policy")[0]["remedy"]


@needs_kubectl
def test_a_name_that_leads_elsewhere_allows_no_full_path(cluster, tmp_path):
    obey_a_kuberc(cluster)
    shutil.copy(rig.BUILD / "kubetoken", tmp_path / "kubetoken")
    cluster.exec["command"] = str(tmp_path / "kubetoken")
    write_kuberc(cluster, ALLOW + "- command: kubetoken\n")
    report = cluster.doctor()
    assert report.found() == [("policy", "error", "plugin-policy")]
    assert f"- command: {tmp_path}/kubetoken" in report.of("policy")[0]["remedy"]


@needs_kubectl
def test_a_kuberc_that_is_named_has_to_be_one(cluster, home, tmp_path):
    obey_a_kuberc(cluster)
    environment = cluster.environment()
    for text in ("a: b\n", None):
        file = tmp_path / "kuberc"
        file.unlink(missing_ok=True)
        if text:
            file.write_text(text)
        report = doctor(home, env={**environment, "KUBERC": str(file)})
        assert report.found() == [("policy", "error", "plugin-policy")]
        assert str(file) in report.of("policy")[0]["detail"]


# ---- shapes of kubeconfigs ----------------------------------------------------------------------


def shape(server, user, **more):
    return {"apiVersion": "v1", "kind": "Config", "current-context": "team/a:b",
            "clusters": [{"name": "team", "cluster": server}],
            "contexts": [{"name": "team/a:b", "context": {"cluster": "team", "user": "u#1"}}],
            "users": [{"name": "u#1", "user": user}], **more}


SERVER = {"server": "https://127.0.0.1:1"}
EXEC = {"apiVersion": "client.authentication.k8s.io/v1beta1", "interactiveMode": "IfAvailable"}
SHAPES = {
    "kubelogin-as-a-plugin-of-kubectl": (
        json.dumps(shape(SERVER, {"exec": {**EXEC, "command": "kubectl", "args": [
            "oidc-login", "get-token", "--username=robot", "--password=canary"]}})),
        ("plugin", "not-used", "the user runs kubectl oidc-login")),
    "kubelogin": (
        json.dumps(shape(SERVER, {"exec": {**EXEC, "command": "kubelogin",
                                           "args": ["get-token"]}})),
        ("plugin", "not-used", "the user runs kubelogin")),
    "aws": (json.dumps(shape(SERVER, {"exec": {**EXEC, "command": "aws", "args": ["eks"]}})),
            ("plugin", "not-used", "the user runs aws")),
    "v1alpha1": (
        json.dumps(shape(SERVER, {"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1",
                                           "command": "kubetoken",
                                           "args": ["get", "-o", "exec/v1beta1", "p"]}})),
        ("apiversion", "plugin-version", "client.authentication.k8s.io/v1alpha1")),
    "minikube-whose-files-are-gone": (
        json.dumps(shape(SERVER, {"client-certificate": "/nowhere/client.crt",
                                  "client-key": "/nowhere/client.key"})),
        ("plugin", "not-used",
         "the user has a client certificate, /nowhere/client.crt, which cannot be read")),
    "tabs": ("apiVersion: v1\nclusters:\n- name: t\n\tcluster: {}\n",
             ("context", "kubeconfig", None)),
    "a-comment": ("# nothing yet\n", ("context", "kubeconfig", None)),
}


@needs_kubectl
@pytest.mark.parametrize("kubectl", KUBECTLS)
@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_of_kubeconfig(home, start, tmp_path, name, kubectl):
    text, (link, code, detail) = SHAPES[name]
    start()
    (tmp_path / "kubectl").symlink_to(kubectl)
    file = tmp_path / "config"
    file.write_text(text)
    report = doctor(home, "p", env={"PATH": f"{tmp_path}:{rig.BUILD}:/usr/bin:/bin",
                                    "KUBECONFIG": str(file)})
    assert report.errors() == report.of(link) and report.exit_code == 9
    assert report.found()[0] == (link, "error", code), "and no error follows from it"
    if detail:
        assert report.of(link)[0]["detail"] == detail
    assert report.verdict.startswith(GOOD_BUT)
