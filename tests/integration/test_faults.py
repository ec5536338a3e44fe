"""What can go wrong between a good token and its renewal. Whatever it is: the token in hand is
still served, who has none is told in one line what happened, the daemon lives on, and no secret
is in its log or in any output."""
import contextlib
import email.utils
import os
import select
import shlex
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time

import pytest

import rig
import scripted
from rig import wait_until
from scripted import json_answer

TOKEN, KEYS = "/oauth/token", "/.well-known/jwks.json"
DISCOVERY = "/.well-known/openid-configuration"
SECRETS = ["canary-pw", "canary-cs", "canary-access", "canary-refresh", "canary-mfa"]


class Bench:
    """Profile p gets a token; q, of another user, gets none. What is printed is kept, to be
    searched for secrets."""

    def __init__(self, provider, home, daemon):
        self.provider, self.home, self.daemon = provider, home, daemon
        self.seen = ""
        provider.members = {"access_token": "canary-access", "refresh_token": "canary-refresh"}

    def start(self, extra=""):
        self.home.configure("[defaults]\n" + "\n".join([
            f"issuer = {self.provider.issuer}", f"ca-file = {self.provider.ca_file}",
            "client-id = client", "client-secret = canary-cs", "username = someone",
            "password = canary-pw", extra, "[profile p]", "[profile q]", "username = other", ""]))
        self.daemon.start()
        return self.get()

    def get(self):
        r = self.home.run("get", "p")
        assert (r.returncode, r.stderr) == (0, ""), r.stderr
        return r.stdout

    def run(self, *args):
        """A command that is to fail: one line on stderr, nothing on stdout."""
        r = self.home.run(*args, "--timeout", "1s")
        self.seen += r.stderr + r.stdout
        assert r.returncode != 0 and r.stdout == ""
        assert r.stderr.startswith("kubetoken: ") and r.stderr.count("\n") == 1
        assert r.stderr.endswith("\n") and r.stderr[:-1].isprintable() and len(r.stderr) < 700
        return r

    def fail(self, verb, name, meanwhile=lambda: None):
        """Has the request fail, however long that takes: the client may give up before."""
        self.run(verb, name)
        meanwhile()
        return wait_until(lambda: self.home.status(name).get("error"), f"an error of {name}")

    def check(self, token, code, says, meanwhile=lambda: None, known=False):
        """The fault is there: the renewal of p fails, unless all that it needs is known, and the
        first request of q."""
        error = None
        if known:
            assert self.home.run("refresh", "p").returncode == 0
            token = self.get()
        else:
            error = self.fail("refresh", "p", meanwhile)
        assert self.get() == token
        self.fail("get", "q", meanwhile)
        r = self.run("get", "q")
        says = says.replace("HOST", self.provider.host).replace("BASE", self.provider.base)
        assert r.returncode == code and r.stderr.startswith(f"kubetoken: q: {says}"), r.stderr
        self.check_house()
        return error

    def check_house(self):
        assert self.daemon.alive
        self.seen += self.home.run("status").stdout + self.home.run("status", "--json").stdout
        self.seen += self.daemon.log.read_text()
        for secret in [*SECRETS, *(t.split(".")[2] for t in self.provider.tokens)]:
            assert secret not in self.seen
        assert not [r for r in self.provider.requests if "elsewhere" in r.path], "redirected"


@pytest.fixture
def provider(tmp_path):
    folder = tmp_path / "scripted"
    folder.mkdir()
    p = scripted.Provider(folder)
    yield p
    p.stop()


@pytest.fixture
def bench(provider, home, daemon):
    return Bench(provider, home, daemon)


# ---- faults: each is a function that makes it, of the provider --------------------------------


def answers(status, body=b"", path=TOKEN, **headers):
    return lambda p: p.answers.update({path: (status, headers, body)})


def errors(status, error, description=None, **more):
    more.update({"error_description": description} if description else {})
    return lambda p: p.answers.update({TOKEN: json_answer({"error": error, **more}, status)})


def gives(value, path=TOKEN):
    return lambda p: p.answers.update({path: json_answer(value)})


def sends(*pieces):
    return lambda p: p.answers.update({TOKEN: lambda _: list(pieces)})


def claims(**changes):
    return lambda p: p.claims.update(changes)


def cut_off(p):
    """A body that ends early, by a connection that ends without a word."""
    def answer(_):
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"
        raise ConnectionError
    p.answers[TOKEN] = answer


def echo(p):
    p.answers[TOKEN] = lambda r: json_answer(
        {"error": "x", "error_description": f"no: {r.body.decode()}"}, 400)


def echo_in_audience(p):
    p.answers[TOKEN] = lambda r: json_answer(
        p.token(id_token=p.id_token(aud=r.form.get("password", "another") + " and")))


def drips(p):
    p.answers[TOKEN] = lambda _: p.drip()


def only_tls_1_1(p):
    p.context.set_ciphers("ALL:@SECLEVEL=0")
    p.context.minimum_version = p.context.maximum_version = ssl.TLSVersion.TLSv1_1


def no_tls(p):
    p.server.context = None


def another_issuer(p):
    p.answers[DISCOVERY] = json_answer({**p.discovery(), "issuer": "https://other.example/"})


def clear_text(p):
    p.answers[DISCOVERY] = json_answer(
        {**p.discovery(), "token_endpoint": "http://login.example.com/token"})


def template(p):
    """As Entra ID has it for /common and /organizations."""
    p.answers[DISCOVERY] = json_answer(
        {**p.discovery(), "issuer": "https://login.microsoftonline.com/{tenantid}/v2.0"})


SETUP = "the provider wants something done in a browser first: "
OTP = "a one-time password is wanted beside the password: "
FACTOR = "the provider wants a second factor, which no code here can be: "
ACCOUNT = "the provider does not let this account in by password: "
REFUSED = "the provider refused the user name or password: "
SILENTLY = "the provider refused and gave no reason: "
CLIENT = "the provider refused the client: "
GRANT = "the provider does not allow this grant: "
GATEWAY = "something between here and the provider answered: "
DENIED = "the provider denied access, to the user or to the client: "
NO_TOKEN = "the provider answered without an id_token"
DOWN = "the provider cannot be reached: HOST: "
NO_TLS = "no trusted TLS connection to the provider: HOST: "
SLOW = "the provider is too slow: "
TRANSFER = "the transfer from the provider failed: HOST: "
FAULTY = "the provider has a fault: "
LIMITED = "the provider asks to slow down: "
REALM = "the provider does not know where to look for the user: "
REJECTED = "the provider rejected the request: "
ANSWER = "the provider's answer is not valid: "
DOCUMENT = "the provider's discovery document is not valid: "
ISSUER = "the issuer is not the one configured: "
TOO_LARGE = ANSWER + "HOST sent more than 1 MiB"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

# name: (fault, exit code of `get`, how what it says begins, further configuration, what it also
# says)
FAULTS = {
    # the credentials; a wrong one of any kind may also show as a 403 that says nothing at all
    "password-400": (errors(400, "invalid_grant", "Invalid user credentials"),
                     6, REFUSED + "HTTP 400, invalid_grant: Invalid user credentials; "),
    "password-401": (errors(401, "invalid_grant", "Invalid user credentials"),
                     6, REFUSED + "HTTP 401, invalid_grant: Invalid user credentials; "),
    "password-403": (errors(403, "invalid_grant", "Wrong email or password."),
                     6, REFUSED + "HTTP 403, invalid_grant: Wrong email or password; "),
    "user": (errors(400, "invalid_grant", "AADSTS50034: The user account does not exist."),
             6, REFUSED + "HTTP 400, invalid_grant: AADSTS50034: The user account does not"),
    "secret": (errors(401, "invalid_client", "Invalid client credentials"),
               6, CLIENT + "HTTP 401, invalid_client: Invalid client credentials; check client-id"),
    "secret-keycloak": (errors(401, "unauthorized_client", "Invalid client or Invalid client "
                               "credentials"), 6, CLIENT + "HTTP 401, unauthorized_client: Inv"),
    "grant": (errors(400, "unauthorized_client", "Client not allowed for direct access grants"),
              6, GRANT + "HTTP 400, unauthorized_client: Client not allowed for direct access"),
    "silent-403": (answers(403), 6, SILENTLY + "HTTP 403, empty body; check the password first"),
    "page-401": (answers(401, b"<html>no</html>"), 7, GATEWAY + "HTTP 401 of HOST: no; see to VPN"),
    "denied-401": (errors(401, "access_denied", "Invalid username or password"),
                   6, DENIED + "HTTP 401, access_denied: Invalid username or password; check the"),
    "denied-403": (errors(403, "access_denied", "blocked by a rule"),
                   6, ACCOUNT + "HTTP 403, access_denied: blocked by a rule; "),
    "second-factor": (errors(403, "mfa_required", "Multifactor authentication required",
                             mfa_token="canary-mfa"),
                      5, OTP + "HTTP 403, mfa_required: Multifactor authentication required; say "
                      "kubetoken login --otp"),
    "consent": (errors(400, "invalid_client", "Client requires user consent"),
                6, GRANT + "HTTP 400, invalid_client: Client requires user consent; "),
    "locked-keycloak": (errors(400, "invalid_grant", "Account disabled"),
                        6, ACCOUNT + "HTTP 400, invalid_grant: Account disabled; "),
    "keycloak#36108": (errors(400, "invalid_grant", "Account is not fully set up"),
                       6, SETUP + "HTTP 400, invalid_grant: Account is not fully set up; log in",
                       "", "do what it asks, then say: kubetoken refresh q; a new password: "),
    "entra-mfa": (errors(400, "invalid_grant", "AADSTS50076: Due to\r\na change",
                         error_codes=[50076]),
                  6, FACTOR + "HTTP 400, invalid_grant: AADSTS50076: Due to a change; set grant"),
    "locked-auth0": (errors(429, "too_many_attempts", "Your account has been blocked"),
                     7, LIMITED + "HTTP 429, too_many_attempts: Your account has been blocked; "),
    # the answer
    "no-id-token": (gives({"access_token": "canary-access", "scope": "profile"}),
                    6, NO_TOKEN + ": scope granted: profile; check scope, and whether the "
                    "provider asks for a second factor"),
    "id-token-number": (gives({"id_token": 5}), 6, NO_TOKEN + "; "),
    "id-token-shape": (gives({"id_token": "not.a token"}),
                       8, "the id_token is not valid: it is not three base64url parts"),
    "id-token-long": (gives({"id_token": "a" * 140000}),
                      8, "the id_token is longer than kubetoken takes: 140000 bytes, and 131072 "
                      "at most; have the provider leave out groups or claims"),
    "template": (template, 8, "issuer is an address for many tenants, and names none of them: ",
                 "", "/{tenantid}/v2.0\" with the tenant's ID in it; name your tenant by its ID: "
                 "issuer = https://login.microsoftonline.com/TENANT-ID/v2.0"),
    "invalid-request": (errors(400, "invalid_request", "Could not login user"),
                        8, REJECTED + "HTTP 400, invalid_request: Could not login user; "),
    "controls": (errors(400, "x", "a\r\n\x1b[31mb" + "c" * 5000),
                 8, REJECTED + "HTTP 400, x: a [31mbccc"),
    "echo": (echo, 8, REJECTED + "HTTP 400, x: no: grant_type=password&username=other&"
             "password=***&scope=openid%20email%20profile&client_id=client&client_secret=***; "),
    "not-found": (answers(404), 8, REJECTED + "HTTP 404, empty body; check scope, audience, realm"),
    "not-found-page": (answers(404, b"nothing"), 7, GATEWAY + "HTTP 404 of HOST: nothing; "),
    "okta": (gives({"errorCode": "E0000006", "errorSummary": "No permission", "errorId": "x"}),
             6, NO_TOKEN),
    "realm": (errors(400, "invalid_request", "the connection does not exist"),
              8, REALM + "HTTP 400, invalid_request: the connection does not exist; set realm in"),
    "default-directory": (errors(500, "server_error", "Authorization server not configured with "
                                 "default connection."),
                          8, REALM + "HTTP 500, server_error: Authorization server not configured"),
    "html": (answers(200, b"<html>log in</html>", **{"Content-Type": "text/html"}),
             7, GATEWAY + "HTTP 200 of HOST: log in; "),
    "empty": (answers(200), 8, ANSWER + "HTTP 200, empty body; "),
    "list": (gives([1, 2]), 8, ANSWER + "HTTP 200, JSON that is no object, or is cut off; "),
    "truncated": (sends(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{"),
                  7, TRANSFER, "", "999 bytes"),
    "cut-off": (cut_off, 7, TRANSFER),
    "hangs-up": (sends(), 7, TRANSFER + "Empty reply from server"),
    "no-http": (sends(b"SSH-2.0-OpenSSH_9.2\r\n"),
                7, TRANSFER),
    "2-mib": (answers(200, b"x" * (2 << 20)), 8, TOO_LARGE),
    "5-mib-chunked": (sends(CHUNKED, *[b"10000\r\n" + b" " * 0x10000 + b"\r\n"] * 80,
                            b"0\r\n\r\n"), 8, TOO_LARGE),
    "500": (answers(500), 7, FAULTY + "HTTP 500, empty body; it is asked again"),
    "503": (answers(503, b"busy", **{"Retry-After": "3600"}),
            7, FAULTY + "HTTP 503 of HOST: busy; "),
    "302": (answers(302, Location="/elsewhere"), 8, ANSWER + "HTTP 302, to BASE/elsewhere; "),
    "307": (answers(307, Location="https://u:p@vpn.example/elsewhere?canary-pw#x"),
            8, ANSWER + "HTTP 307, to https://vpn.example/elsewhere (a log-in page: is a VPN or "
            "captive portal in between?); "),
    "300": (answers(300), 8, ANSWER + "HTTP 300, empty body; "),
    # the way
    "hangs": (lambda p: p.hang(TOKEN), 7, SLOW, "timeout = 1s", "HOST"),
    "drips": (drips, 7, SLOW, "timeout = 1s", "HOST"),
    "refused": (scripted.Provider.refuse, 7, DOWN[:-2] + " refused the connection"),
    "unknown-ca": (lambda p: p.certify(trusted=False),
                   7, NO_TLS + "SSL certificate problem: unable to get local issuer certificate"),
    "expired-certificate": (lambda p: p.certify(names=(p.name,), days=(-9, -2)),
                            7, NO_TLS + "SSL certificate problem: certificate has expired"),
    "host-name": (lambda p: p.certify(names=("other.example", "127.0.0.2")),
                  7, NO_TLS + "SSL: no alternative certificate subject name matches target "),
    "tls-1.1": (only_tls_1_1, 7, NO_TLS, "", "(the server has no TLS 1.2)"),
    "no-tls": (no_tls, 7, NO_TLS, "", "(the port speaks no TLS)"),
    # discovery
    "discovery-issuer": (another_issuer, 8, ISSUER + 'configured "BASE/", the provider says '
                         '"https://other.example/"; '),
    "discovery-404": (answers(404, path=DISCOVERY),
                      8, DOCUMENT + f"HTTP 404 for BASE{DISCOVERY}; check issuer, or set "),
    "discovery-500": (answers(500, path=DISCOVERY), 7, FAULTY + f"HTTP 500 for BASE{DISCOVERY}; "),
    "discovery-302": (answers(302, path=DISCOVERY, Location="/elsewhere"),
                      8, DOCUMENT + f"HTTP 302 for BASE{DISCOVERY}, to BASE/elsewhere; "),
    "discovery-html": (answers(200, b"<html>", path=DISCOVERY),
                       8, DOCUMENT + "it is not a JSON object; "),
    "discovery-empty": (gives({}, DISCOVERY), 8, DOCUMENT + "it names no issuer; "),
    "discovery-clear-text": (clear_text, 8, DOCUMENT + 'its token_endpoint '
                             '"http://login.example.com/token" is not an https:// URL; '),
    # the token
    "audience": (claims(aud="other"), 8, "the id_token is for another audience: expected "
                 '"client", got "other"; check client-id'),
    "audience-echo": (echo_in_audience, 8, "the id_token is for another audience: "
                      'expected "client", got "*** and"; check client-id'),
    "issuer-echo": (claims(iss="https://canary-cs/"), 8,
                    ISSUER + 'configured "BASE/", the id_token says "https://***/"; '),
    "discovery-echo": (gives({"issuer": "https://canary-pw/"}, DISCOVERY), 8,
                       ISSUER + 'configured "BASE/", the provider says "https://***/"; '),
    "expired": (claims(exp=1000, iat=None), 8, "the id_token came expired: exp is "),
}


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1:DeprecationWarning")
@pytest.mark.parametrize("fault, code, says, extra, also",
                         [(*f, "", "")[:5] for f in FAULTS.values()], ids=FAULTS)
def test_a_fault_at_renewal(bench, provider, fault, code, says, extra, also):
    token = bench.start(extra)
    n = len(provider.grants())
    fault(provider)
    known = DISCOVERY in provider.answers
    bench.check(token, code, says, known=known)
    assert also.replace("HOST", provider.host) in bench.seen
    if known:
        assert len(provider.grants()) == n + 1, "no password of q is sent to who is not known"


@pytest.mark.parametrize("path", [TOKEN, DISCOVERY])
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("ahead, as_date", [(0, False), (0, True), (600, True), (-600, True)])
def test_it_is_not_asked_again_earlier_than_it_said(bench, provider, path, status, ahead, as_date):
    """A date is one of the provider's own clock."""
    def answer(_):
        now = int(time.time()) + ahead
        date, then = (email.utils.formatdate(t, usegmt=True) for t in (now, now + 120))
        return status, {"Date": date, "Retry-After": then if as_date else "120"}, b""
    bench.start()
    provider.answers[path] = answer
    before = time.time()
    bench.fail("get", "q")
    after = time.time()
    retry = rig.seconds(bench.home.status("q")["retryTimestamp"])  # whole seconds, cut
    assert before + 120 - 1 <= retry <= after + 180 + 1, "nor much later: many part behind it"


# ---- the step at which it fails -----------------------------------------------------------------


def never_shakes_hands(p):
    """It accepts connections and says nothing."""
    class Silence:
        @staticmethod
        def wrap_socket(connection, **_):
            p.silent.append(connection)
            raise OSError
    p.silent = []
    p.server.context = Silence


def step_of(failure):
    return failure["code"], failure.get("step"), failure.get("host")


STEPS = {
    "connect": (scripted.Provider.refuse, "connect", "connect"),
    "certificate": (lambda p: p.certify(trusted=False), "tls", "tls"),
    "handshake": (never_shakes_hands, "timeout", "tls"),
    "discovery": (answers(500, path=DISCOVERY), "provider-fault", "discovery"),
    "discovery-hangs": (lambda p: p.hang(DISCOVERY), "timeout", "discovery"),
    "discovery-large": (answers(200, b"x" * (2 << 20), path=DISCOVERY), "answer-invalid",
                        "discovery"),
    "discovery-issuer": (another_issuer, "issuer-mismatch", "discovery"),
    "keys": (lambda p: p.hang(KEYS), "timeout", "keys"),
    "grant": (errors(403, "invalid_grant"), "refused", "grant"),
    "grant-hangs": (lambda p: p.hang(TOKEN), "timeout", "grant"),
    "audience": (claims(aud="other"), "token-audience", "verify"),
    "token-issuer": (claims(iss="https://other.example/"), "issuer-mismatch", "verify"),
}


@pytest.mark.parametrize("fault, code, step", STEPS.values(), ids=STEPS)
def test_status_says_at_which_step_it_failed(provider, home, daemon, fault, code, step):
    fault(provider)
    home.configure(provider.profile(extra="timeout = 1s"))
    daemon.start()
    home.run("get", "--timeout", "1s")
    error = wait_until(lambda: home.status("p").get("error"), "a failure")
    host = None if step == "verify" else provider.host
    assert step_of(error) == (code, step, host)


def test_a_failure_before_any_step_has_none(provider, home, daemon):
    home.configure(provider.profile(password="password-file = nothing"))
    daemon.start()
    home.run("get", "--timeout", "1s")
    assert step_of(home.status("p")["error"]) == ("credential", None, None)


@pytest.mark.parametrize("path, step", [(DISCOVERY, "discovery"), (KEYS, "keys"),
                                        (TOKEN, "grant")])
def test_status_says_where_a_request_is(provider, home, daemon, path, step):
    provider.hang(path)
    home.configure(provider.profile())
    daemon.start()
    assert "request" not in home.status("p")
    assert home.run("get", "--timeout", "1s").returncode == 7
    status = home.status("p")
    assert "error" not in status
    assert status["request"] == {"step": step, "host": provider.host}
    assert home.run("logout").returncode == 0
    assert "request" not in home.status("p")


def test_a_fetcher_that_is_stopped_at_a_step(provider, home, daemon):
    """The daemon itself says where it was."""
    def stop(_):
        for pid in children(daemon):
            os.kill(pid, signal.SIGSTOP)
        return 200, {}, b"{}"
    provider.answers[DISCOVERY] = stop
    home.configure(provider.profile(extra="timeout = 1s"))
    daemon.start()
    home.run("get", "--timeout", "1s")
    error = wait_until(lambda: home.status("p").get("error"), "a failure")
    assert step_of(error) == ("timeout", "discovery", provider.host)
    assert error["detail"].startswith("stuck waiting for the discovery document of ")


def test_a_step_is_that_of_the_last_failure_alone(provider, home, daemon):
    provider.answers[TOKEN] = 500, {}, b""
    home.configure(provider.profile())
    daemon.start()
    home.run("get", "--timeout", "1s")
    wait_until(lambda: step_of(home.status("p").get("error", {"code": 0}))[1] == "grant", "it")
    home.configure(provider.profile(password="password-file = nothing"))
    daemon.reload()
    wait_until(lambda: home.status("p")["error"]["code"] == "credential", "another failure")
    assert "step" not in home.status("p")["error"]


def test_a_logout_forgets_the_step(provider, home, daemon):
    provider.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)
    home.configure(provider.profile(password=""))
    daemon.start()
    assert home.run("login", input="canary-pw").returncode == 6
    assert home.status("p")["error"]["step"] == "grant"
    assert home.run("logout").returncode == 0
    assert step_of(home.status("p")["error"]) == ("login-needed", None, None)


def test_a_host_that_holds_a_secret_is_masked(provider, home, daemon):
    """A provider, or who plays one, may name any as its endpoint."""
    provider.answers[DISCOVERY] = json_answer(
        {**provider.discovery(), "token_endpoint": f"https://canary-pw.{'a' * 70}.example/t"})
    home.configure(provider.profile())
    daemon.start()
    home.run("get", "--timeout", "1s")
    error = wait_until(lambda: home.status("p").get("error"), "a failure")
    assert step_of(error) == ("dns", "dns", "***"), "a part of it would show which word it is"


# ---- what is odd but no fault ------------------------------------------------------------------


def every(make):
    """Each answer of the provider, made of the usual one's body."""
    def change(p):
        for path in (DISCOVERY, KEYS, TOKEN):
            p.answers[path] = lambda request: make(p.default_answer(request.path)[2])
    return change


def chunks(body):
    pieces = [body[i:i + 50] for i in range(0, len(body), 50)]
    return [CHUNKED, *(b"%x;x=y\r\n%b\r\n" % (len(c), c) for c in pieces), b"0\r\nX: y\r\n\r\n"]


ODDITIES = {
    "http-1.0": every(lambda body: [b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n", body]),
    "http-1.0-length": every(lambda body: [b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n"
                                           % len(body), body]),
    "chunked": every(chunks),
    "bare-newlines": every(lambda body: [b"HTTP/1.1 200\nContent-Length: %d\n\n" % len(body),
                                         body]),
    "closes-at-once": lambda p: setattr(p, "closing", "at once"),
    "closes-when-asked": lambda p: setattr(p, "closing", "when asked"),
    "content-type": every(lambda body: (200, {"Content-Type": "text/html"}, body)),
    "no-content-type": every(lambda body: (200, {}, body)),
    "issuer-path": lambda p: setattr(p, "issuer", p.base + "/realms/a"),
    "issuer-path-slash": lambda p: setattr(p, "issuer", p.base + "/realms/a/"),
    "token-type": lambda p: p.members.update(token_type="bearer"),
    "expires-in": lambda p: p.members.update(expires_in=5),
    "expires-in-text": lambda p: p.members.update(expires_in="5"),
    "unknown-members": lambda p: p.members.update(id_tokens=[None, {}], not_before=-1, x=1e300),
}


def works(bench):
    token = bench.start()
    r = bench.home.run("refresh", "p")
    assert (r.returncode, r.stderr) == (0, "")
    assert bench.get() != token
    status = bench.home.status("p")
    assert 3500 < status["expiresInSeconds"] <= 3600 and status["verified"]
    bench.check_house()


@pytest.mark.parametrize("oddity", ODDITIES.values(), ids=ODDITIES)
def test_what_is_odd_but_no_fault(bench, provider, oddity):
    oddity(provider)
    works(bench)


def test_a_provider_at_an_ipv6_address(home, daemon, tmp_path):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as e:
        pytest.skip(f"no IPv6 loopback here: {e}")
    provider = scripted.Provider(tmp_path, host="::1")
    try:
        assert provider.issuer.startswith("https://[::1]:")
        works(Bench(provider, home, daemon))
    finally:
        provider.stop()


# ---- names that are not resolved ---------------------------------------------------------------

INSIDE = "KUBETOKEN_TEST_NAMESPACE"


def run_in_a_namespace(test, file=__file__):
    """The same test once more, with a network and mounts of its own; root or not."""
    unshare = ["unshare", "-rnm"]
    if not shutil.which("unshare") or subprocess.run([*unshare, "true"], check=False,
                                                     capture_output=True).returncode:
        pytest.skip("no namespace can be made: `unshare -rnm` fails")
    with tempfile.TemporaryDirectory() as folder:  # short: the path of a socket is in it
        r = subprocess.run(
            [*unshare, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
             f"--basetemp={folder}/t", f"{file}::{test}"], check=False, text=True,
            env={**os.environ, INSIDE: "1"}, capture_output=True, timeout=2 * rig.PATIENCE)
    assert r.returncode == 0, r.stdout + r.stderr


def replace_in_etc(folder, name, text):
    (folder / name).write_text(text)
    subprocess.run(["mount", "--bind", folder / name, f"/etc/{name}"], check=True)
    return folder / name


def test_a_resolver_that_never_answers(request, home, daemon, tmp_path):
    if INSIDE not in os.environ:
        run_in_a_namespace(request.node.name)
        return
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    replace_in_etc(tmp_path, "nsswitch.conf", "hosts: files dns\n")
    replace_in_etc(tmp_path, "resolv.conf", "nameserver 127.0.0.1\n")
    hosts = replace_in_etc(tmp_path, "hosts", "127.0.0.1 provider.test\n")
    provider = scripted.Provider(tmp_path, name="provider.test")
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
            silent.bind(("127.0.0.1", 53))
            bench = Bench(provider, home, daemon)
            token = bench.start()
            hosts.write_text("")
            wait_until(lambda: f"the provider is too slow: still resolving {provider.host}; " in
                       bench.run("get", "q").stderr, "where it is stuck")
            home.configure((home.config / "kubetoken.conf").read_text().replace(
                "[profile p]", "timeout = 1s\n[profile p]"))
            daemon.reload()
            error = bench.fail("refresh", "p")
            assert error["code"] == "timeout"
            assert error["detail"].startswith((f"{provider.host}: Resolving timed out after ",
                                               f"no time was left to ask {provider.host}"))
            assert (error["step"], error["host"]) == ("dns", provider.host)
            assert bench.run("get", "q").returncode == 7
            assert bench.get() == token
            bench.check_house()
    finally:
        provider.stop()


# ---- the fetcher itself ------------------------------------------------------------------------

FETCHER = "kubetoken-fetch failed: "


def children(daemon):
    pid = daemon.process.pid
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(child) for child in f.read().split()]


def test_a_fetcher_that_is_killed(bench, provider):
    def kill():
        wait_until(lambda: len(provider.grants()) > 1, "a request that hangs")
        for pid in children(bench.daemon):
            os.kill(pid, signal.SIGKILL)
    token = bench.start()
    provider.hang(TOKEN)
    error = bench.check(token, 1, FETCHER + "it was killed by signal 9, ", kill)
    assert error["detail"].endswith(f", waiting for a token from {provider.host}")
    assert (error["step"], error["host"]) == ("grant", provider.host)


def test_a_fetcher_that_is_stuck_while_nobody_waits(bench, provider):
    """It is killed at its deadline, and stands in nobody's way. The next renewal may be
    minutes away, since an answer was lost: who wants one has it now."""
    stuck = []

    def stop(request):
        if len(provider.grants()) == 2:
            stuck.extend(os.pidfd_open(pid) for pid in children(bench.daemon))
            for pid in children(bench.daemon):
                os.kill(pid, signal.SIGSTOP)
        return json_answer(provider.token())
    provider.lifetime = 20
    provider.answers[TOKEN] = stop
    bench.start("timeout = 1s\nrefresh-before = 90%")
    wait_until(lambda: stuck, "the renewal")
    try:
        for fd in stuck:
            assert select.select([fd], [], [], rig.PATIENCE)[0], "the fetcher lives on"
    finally:
        for fd in stuck:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(fd, signal.SIGKILL)
            os.close(fd)
    assert bench.home.run("refresh", "p").returncode == 0 and len(provider.grants()) > 2
    bench.check_house()


def build_bad_fetcher(folder):
    """In a folder of its own, with a daemon beside it. Returns both, and the file that says how it
    fails."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if not shutil.which(compiler[0]):
        pytest.skip(f"no C compiler: {compiler[0]}")
    folder.mkdir()
    mode = folder / "mode"
    mode.write_text("good")
    subprocess.run([*compiler, f'-DMODE="{mode}"', f'-DREAL="{rig.BUILD}/kubetoken-fetch"',
                    "-o", folder / "kubetoken-fetch",
                    rig.TOP / "tests" / "integration" / "bad_fetcher.c"], check=True)
    shutil.copy(rig.BUILD / "kubetokend", folder)
    return folder / "kubetokend", mode


@pytest.fixture
def bad_fetcher(home, tmp_path):
    """A daemon with bad_fetcher.c beside it, and the file that says how that one fails."""
    program, mode = build_bad_fetcher(tmp_path / "bin")
    d = rig.Daemon(home, program=program)
    yield d, mode
    d.close()


@pytest.mark.parametrize("how, code, says", [
    ("exit", 1, FETCHER + "it ended with status 3 without a result, starting kubetoken-fetch; "),
    ("killed", 1, FETCHER + "it was killed by signal 9, starting kubetoken-fetch; "),
    ("junk", 1, FETCHER + "what it sent cannot be believed; "),
    ("flood", 1, FETCHER + "it sent more than 262144 bytes; "),
    ("half", 1, FETCHER + "it ended with status 0 without a result, "),
    ("not-started", 1, FETCHER + "it could not be started; "),
    ("hang", 7, SLOW + "stuck starting kubetoken-fetch; "),
])
def test_a_fetcher_that_fails(provider, home, bad_fetcher, how, code, says):
    daemon, mode = bad_fetcher
    bench = Bench(provider, home, daemon)
    token = bench.start("timeout = 1s" if how == "hang" else "")
    mode.write_text(how)
    error = bench.check(token, code, says)
    assert "step" not in error and "host" not in error
    mode.write_text("good")
    assert home.run("refresh", "p").returncode == 0
    assert bench.get() != token


# ---- what a thousand of them leave behind ------------------------------------------------------


def footprint(daemon):
    """Descriptors and KiB of memory in use once no child is left."""
    wait_until(lambda: not children(daemon), "the end of all children")
    pid = daemon.process.pid
    with open(f"/proc/{pid}/status", encoding="utf-8") as f:
        resident = next(int(line.split()[1]) for line in f if line.startswith("VmRSS:"))
    return len(os.listdir(f"/proc/{pid}/fd")), resident


QUICK_FAULTS = [answers(403), errors(400, "x", "y" * 400), answers(500), answers(200, b"junk"),
                gives({"id_token": "a.b.c"}), scripted.Provider.refuse]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sees the descriptors of a process that "
                    "cannot be dumped: run as root")
def test_a_thousand_faults_leave_nothing_behind(home, daemon, tmp_path):
    """Six at a time, for 40 users each, since one user has six logins at once. 256 KiB are allowed
    for, since pages that the allocator touches late count too; a leak of 300 bytes by each request
    is more."""
    users = range(40)
    providers = [scripted.Provider(tmp_path, tls=False) for _ in QUICK_FAULTS]
    try:
        for p, fault in zip(providers, QUICK_FAULTS):
            fault(p)
        home.configure("[defaults]\nallow-http-loopback = yes\nkeep-fresh = 0\n"
                       "client-id = client\npassword = canary-pw\n" + "".join(
                           f"[profile p{i}-{u}]\nissuer = {p.issuer}\nusername = u{u}\n"
                           f"jwks-uri = {p.base}/none\ntoken-endpoint = {p.base}{TOKEN}\n"
                           for i, p in enumerate(providers) for u in users))
        daemon.start()
        with contextlib.ExitStack() as stack:
            connections = [stack.enter_context(rig.converse(home)) for _ in providers]

            def fail(user, turn):
                for i, c in enumerate(connections):
                    # less than the back-off: the answer comes with the failure
                    c.write(b"refresh text p%d-%d timeout=1\n" % (i, user) if i > 1 else
                            # one that is refused would not be sent again at once, even so
                            b"login text p%d-%d timeout=1 secret=7\ncanary%d" % (i, user, turn))
                    c.flush()
                for c in connections:
                    word, code, out, err = c.readline().split()
                    assert word == b"error" and code != b"throttled" and out == b"0"
                    assert b"canary" not in c.read(int(err))
            for user in users:
                fail(user, 0)
            before = footprint(daemon)
            for user in users:
                for turn in range(1, 6):
                    fail(user, turn)
            after = footprint(daemon)
            # where the machine is slow some come while the one before is still under way
            grants = sum(len(p.grants()) for p in providers)
            assert 3 * len(users) * 5 < grants <= 6 * len(users) * 5
        assert after[0] == before[0] and after[1] <= before[1] + 256
        assert daemon.alive
    finally:
        for p in providers:
            p.stop()
