"""What stands between here and the provider, and HTTP as it is spoken there: pages are no refusals,
refusals are some whatever the status, and what can be understood is."""
import email.utils
import gzip
import os
import socket
import subprocess
import time
import zlib

import pytest

import rig
import scripted
import test_faults
from rig import wait_until
from scripted import json_answer

TOKEN, KEYS = "/oauth/token", "/.well-known/jwks.json"
DISCOVERY = "/.well-known/openid-configuration"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def failure(fake, home, daemon, extra=""):
    error, r = rig.first_failure(home, daemon, fake.profile(extra=extra))
    assert "canary" not in r.stderr + daemon.log.read_text()
    return error, r


# ---- what a gateway says is no refusal -----------------------------------------------------------

PAGES = {
    "waf": (403, {"Content-Type": "text/html", "Server": "cloudflare", "CF-RAY": "8f3c-FRA"},
            b"<html><title>Attention Required! &#124; Cloudflare</title><p>no",
            "HTTP 403 of HOST by cloudflare, ray 8f3c-FRA: Attention Required! | Cloudflare"),
    "nginx-certificate": (400, {"Content-Type": "text/html"},
                          b"<html><title>400 No required SSL certificate was sent</title>",
                          "HTTP 400 of HOST: 400 No required SSL certificate was sent (it wants a "
                          "client certificate: tls-client-cert)"),
    "basic": (401, {"WWW-Authenticate": 'Basic realm="vpn"', "Content-Type": "text/plain"},
              b"401 Authorization Required",
              "HTTP 401 of HOST: 401 Authorization Required (it wants Basic)"),
    "negotiate-empty": (401, {"WWW-Authenticate": "Negotiate"}, b"",
                        "HTTP 401, empty body (it wants Negotiate)"),
    "typed-empty": (403, {"Content-Type": "text/html"}, b"", "HTTP 403, empty body"),
    "portal": (200, {"Content-Type": "text/html"},
               b"<form><input type='password'>Welcome, <b>guest</b></form>",
               "HTTP 200 of HOST: Welcome, guest (a log-in page: is a VPN or captive portal in "
               "between?)"),
    "squid": (407, {"Proxy-Authenticate": "NTLM", "Via": "1.1 squid"}, b"",
              "HTTP 407, empty body (a proxy that wants a log-in: NTLM)"),
    "gone": (410, {}, b"gone", "HTTP 410 of HOST: gone"),
    "echo": (403, {}, b"<title>canary-pw</title>", "HTTP 403 of HOST: ***"),
    "form-with-tokens": (200, {}, b"access_token=canary&id_token=canary", "HTTP 200 of HOST: ..."),
}


@pytest.mark.parametrize("status, headers, body, detail", PAGES.values(), ids=PAGES)
def test_a_page_is_no_refusal(fake, home, daemon, status, headers, body, detail):
    fake.answers[TOKEN] = status, headers, body
    error, r = failure(fake, home, daemon)
    assert (error["code"], r.returncode) == ("gateway", 7)
    assert error["detail"] == detail.replace("HOST", fake.host)
    assert len(fake.grants()) == 1


@pytest.mark.parametrize("status", [200, 302, 404, 429, 500, 503])
def test_a_refusal_is_one_whatever_the_status(fake, home, daemon, status):
    """A wrong password that is answered 500 would else be sent again at speed."""
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, status)
    error, r = failure(fake, home, daemon)
    assert (error["code"], r.returncode) == ("refused", 6)
    assert error["detail"] == f"HTTP {status}, invalid_grant"
    assert home.run("get").returncode == 6 and len(fake.grants()) == 1


@pytest.mark.parametrize("body, words", [
    ({"errorCode": "E0000047", "errorSummary": "API call exceeded rate limit"},
     "E0000047: API call exceeded rate limit"),
    ({"error": {"code": "Forbidden", "message": "no canary-pw"}}, "Forbidden: no ***"),
    ({"message": "Forbidden"}, "Forbidden"),
    ({"title": "Not allowed", "detail": "by policy 7"}, "Not allowed: by policy 7")])
def test_json_that_is_not_oauths_is_told(fake, home, daemon, body, words):
    fake.answers[TOKEN] = json_answer(body, 403)
    error, r = failure(fake, home, daemon)
    assert (error["code"], r.returncode) == ("provider-error", 8)
    assert error["detail"] == f"HTTP 403, {words}"
    assert "check scope, audience, realm" in r.stderr


# ---- redirects -----------------------------------------------------------------------------------


def test_where_discovery_is_redirected_to_is_told_and_it_is_soon_asked_again(fake, home, daemon):
    fake.answers[DISCOVERY] = 301, {"Location": "https://u:p@other.example/x?token=canary#y"}, b""
    error, r = failure(fake, home, daemon)
    assert (error["code"], r.returncode) == ("discovery-invalid", 8)
    assert error["detail"] == (f"HTTP 301 for {fake.base}{DISCOVERY}, to "
                               "https://other.example/x")
    del fake.answers[DISCOVERY]
    assert home.run("get", "--timeout", "60s").returncode == 0


def test_where_the_keys_are_redirected_to_is_told(fake, home, daemon):
    fake.answers[KEYS] = 302, {"Location": "/elsewhere"}, b""
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 0
    warning, = home.status("p")["warnings"]
    assert warning["code"] == "not-verified"
    assert f"HTTP 302 for {fake.base}{KEYS}, to {fake.base}/elsewhere" in warning["detail"]
    assert "elsewhere" not in [r.path for r in fake.requests]


# ---- content codings -----------------------------------------------------------------------------


def raw_deflate(body):
    c = zlib.compressobj(wbits=-15)
    return c.compress(body) + c.flush()


CODINGS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress,
           "deflate-raw": raw_deflate}


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("coding", CODINGS)
def test_a_coding_that_nobody_asked_for_is_decoded(fake, home, daemon, coding, chunked):
    def answer(request):
        body = CODINGS[coding](fake.default_answer(request.path)[2])
        head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding.removesuffix('-raw')}\r\n".encode()
        if not chunked:
            return [head, b"Content-Length: %d\r\n\r\n" % len(body), body]
        pieces = [body[i:i + 60] for i in range(0, len(body), 60)]
        return [head, CHUNKED, b"\r\n", *(b"%x\r\n%b\r\n" % (len(c), c) for c in pieces),
                b"0\r\n\r\n"]
    for path in (DISCOVERY, KEYS, TOKEN):
        fake.answers[path] = answer
    home.configure(fake.profile())
    daemon.start()
    r = home.run("get")
    assert (r.returncode, r.stderr) == (0, "")
    assert home.status("p")["verified"]
    assert {r.headers["Accept-Encoding"] for r in fake.requests} == {"identity"}


def test_a_mib_is_the_most_also_after_decoding(fake, home, daemon):
    fake.answers[TOKEN] = 200, {"Content-Encoding": "gzip"}, gzip.compress(b" " * (64 << 20))
    error, r = failure(fake, home, daemon)
    assert (error["code"], r.returncode) == ("answer-invalid", 8)
    assert error["detail"] == f"{fake.host} sent more than 1 MiB"


def test_what_cannot_be_decoded_is_no_valid_answer(fake, home, daemon):
    fake.answers[TOKEN] = 200, {"Content-Encoding": "gzip"}, b"{}"
    error, r = failure(fake, home, daemon)
    assert (error["code"], r.returncode) == ("answer-invalid", 8)


# ---- HTTP/2 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("frame", [b"\0\0\x06\x04\0\0\0\0\0" + b"\0\x03\0\0\0\x64",
                                   b"\0\0\x08\x07\0\0\0\0\0" + b"\0" * 8])
def test_a_server_that_speaks_http_2_only_is_named(fake, home, daemon, frame):
    """It begins with SETTINGS or GOAWAY, whatever it was sent."""
    fake.answers[DISCOVERY] = lambda _: [frame]
    error, r = failure(fake, home, daemon)
    assert (error["code"], r.returncode) == ("transfer", 7)
    assert error["detail"] == f"{fake.host}: the server speaks HTTP/2 only"


def test_so_is_one_that_says_so_in_the_handshake(fake, home, daemon, tmp_path):
    files = scripted.apiserver.make_tls_files(tmp_path, "h2", names=("127.0.0.1",))
    fake.ca_file.write_bytes(files.ca.read_bytes())
    fake.refuse()  # and leaves its port
    fake.placeholder.close()
    server = subprocess.Popen(
        ["openssl", "s_server", "-accept", f"127.0.0.1:{fake.port}", "-alpn", "h2", "-cert",
         files.cert, "-key", files.key], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL)
    try:
        while b"ACCEPT" not in server.stdout.readline():
            assert server.poll() is None
        error, r = failure(fake, home, daemon)
    finally:
        server.kill()
        server.communicate()
    assert (error["code"], r.returncode) == ("tls", 7)
    assert error["detail"].endswith("(the server speaks HTTP/2 only)")


# ---- when to come back ---------------------------------------------------------------------------


def waits(fake, home, daemon, status, ahead, **fields):
    """How long after an answer with these fields it is asked again; by a clock that is ahead."""
    def answer(_):
        now = int(time.time()) + ahead
        return status, {"Date": email.utils.formatdate(now, usegmt=True), **{
            name.replace("_", "-"): str(value(now) if callable(value) else value)
            for name, value in fields.items()}}, b""
    fake.answers[TOKEN] = answer
    before = time.time()
    failure(fake, home, daemon)
    return rig.seconds(home.status("p")["retryTimestamp"]) - before


@pytest.mark.parametrize("ahead", [0, -7200, 7200])
@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("name", ["X_Rate_Limit_Reset", "X_RateLimit_Reset"])
def test_the_end_of_a_limit_is_waited_for(fake, home, daemon, name, status, ahead):
    """By the provider's own clock."""
    assert 118 <= waits(fake, home, daemon, status, ahead,
                        **{name: lambda now: now + 120}) <= 185


def test_the_end_of_a_limit_may_be_a_span(fake, home, daemon):
    assert 118 <= waits(fake, home, daemon, 429, 0, RateLimit_Reset=120) <= 185


@pytest.mark.parametrize("status, fields", [
    (429, {"Retry_After": 20, "RateLimit_Reset": 1000}), (500, {"RateLimit_Reset": 1000}),
    (503, {"RateLimit_Reset": 1000, "RateLimit_Remaining": 5})])
def test_the_end_of_a_limit_that_is_not_met_says_nothing(fake, home, daemon, status, fields):
    assert waits(fake, home, daemon, status, 0, **fields) < 400


# ---- the way out ---------------------------------------------------------------------------------


def test_another_way_out_ends_the_wait_for_who_is_behind_a_gateway(request, fake, home, daemon):
    """A VPN comes up, with nobody asking: else it would be tried in five minutes."""
    if test_faults.INSIDE not in os.environ:
        test_faults.run_in_a_namespace(request.node.name, __file__)
        return
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    home.configure(fake.profile())
    daemon.start()
    token = home.run("get").stdout
    fake.answers[TOKEN] = 403, {"Content-Type": "text/html"}, b"<title>VPN, please</title>"
    assert home.run("refresh", "--timeout", "1s").returncode == 7
    fake.answers.clear()
    assert home.run("get").stdout == token and len(fake.grants()) == 2
    subprocess.run(["ip", "route", "add", "default", "dev", "lo"], check=True)
    wait_until(lambda: home.status("p")["state"] == "idle", "another try")
    assert home.run("get").stdout != token and len(fake.grants()) == 3


# ---- addresses -----------------------------------------------------------------------------------


def deaf(address):
    """A listener whose queue is full: what is sent to it is not answered, as by a dead machine."""
    listener = socket.socket()
    listener.bind(address)
    listener.listen(0)
    callers = []
    for _ in range(4):
        callers.append(socket.socket())
        callers[-1].setblocking(False)
        callers[-1].connect_ex(address)
    return [listener, *callers]


def test_a_dead_address_is_passed_by_within_the_deadline(request, home, daemon, tmp_path):
    """Two of them, the first ones of the name's three; at each of three connections they would eat
    half of what is left."""
    if test_faults.INSIDE not in os.environ:
        test_faults.run_in_a_namespace(request.node.name, __file__)
        return
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    test_faults.replace_in_etc(tmp_path, "nsswitch.conf", "hosts: files\n")
    # the resolver puts those first that are nearest to our own, 127.0.0.1 (RFC 6724, rule 9)
    addresses = ["127.0.0.1", "127.0.0.2", "127.128.0.1"]
    test_faults.replace_in_etc(tmp_path, "hosts", "".join(
        f"{a} provider.test\n" for a in addresses))
    provider = scripted.Provider(tmp_path, host=addresses[-1], name="provider.test")
    dead = [s for a in addresses[:-1] for s in deaf((a, provider.port))]
    try:
        assert [a[4][0] for a in socket.getaddrinfo(
            "provider.test", 1, type=socket.SOCK_STREAM)] == addresses
        provider.closing = "at once"
        home.configure(provider.profile(extra="timeout = 30s"))  # three quarters of it are lost
        daemon.start()
        r = home.run("get", "--timeout", "59s")
        assert (r.returncode, r.stderr) == (0, "")
        assert [r.path for r in provider.requests] == [DISCOVERY, KEYS, TOKEN]
        assert home.status("p")["verified"], "the keys were too late"
        assert "too slow" not in daemon.log.read_text(), "the first job did not get it"
    finally:
        for s in dead:
            s.close()
        provider.stop()
