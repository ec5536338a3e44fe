"""What a proxy says to CONNECT: whether it wants a log-in, refuses one, or cannot."""
import socket
import ssl
import threading

import pytest

import rig
import scripted
from rig import seconds, wait_until

TOKEN = "/oauth/token"
DISCOVERY = "/.well-known/openid-configuration"


@pytest.fixture
def proxy():
    p = scripted.Proxy(login="me:right")
    yield p
    p.stop()


def failure(fake, home, daemon, extra=""):
    error, r = rig.first_failure(home, daemon, fake.profile(extra=extra))
    for word in ("canary", "wrong", "me:"):
        assert word not in r.stderr + daemon.log.read_text()
    return error, r


def test_a_proxy_that_wants_a_login_gets_it(fake, home, daemon, proxy):
    home.configure(fake.profile(extra=f"proxy = http://me:right@127.0.0.1:{proxy.port}"))
    daemon.start()
    r = home.run("get")
    assert (r.returncode, r.stderr) == (0, "")


@pytest.mark.parametrize("how", ["proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("user, code, exit_code", [("me:wrong@", "proxy-refused", 6),
                                                   ("me@", "proxy-refused", 6),
                                                   ("", "proxy-login", 7)])
def test_a_407_is_told_by_whether_a_user_was_sent(fake, home, daemon, proxy, how, user, code,
                                                  exit_code):
    url = f"http://{user}127.0.0.1:{proxy.port}"
    if how != "proxy":
        home.environment[how] = url
    error, r = failure(fake, home, daemon, f"proxy = {url}" if how == "proxy" else "")
    assert (error["code"], r.returncode) == (code, exit_code)
    assert error["detail"] == f"HTTP 407 of 127.0.0.1:{proxy.port}, which wants Basic"
    assert error["step"] == "connect"
    assert len(proxy.seen) == 1 and fake.requests == []


def test_what_else_it_wants_is_told(fake, home, daemon, proxy):
    proxy.schemes = ("Negotiate", "NTLM")
    error, _ = failure(fake, home, daemon, f"proxy = http://127.0.0.1:{proxy.port}")
    assert error["detail"] == f"HTTP 407 of 127.0.0.1:{proxy.port}, which wants Negotiate, NTLM"


@pytest.mark.parametrize("extra", ["token-endpoint = {}/oauth/token",
                                   "token-endpoint = {0}/oauth/token\njwks-uri = {0}{1}"])
def test_after_a_407_the_same_job_sends_nothing_more(fake, home, daemon, proxy, extra):
    """Neither where discovery can be done without nor where keys and grant would follow: each would
    be one more wrong password to who counts them."""
    extra = extra.format(fake.base, "/.well-known/jwks.json")
    error, r = failure(fake, home, daemon,
                       f"{extra}\nproxy = http://me:wrong@127.0.0.1:{proxy.port}")
    assert (error["code"], error["step"], r.returncode) == ("proxy-refused", "connect", 6)
    assert len(proxy.seen) == 1


@pytest.mark.parametrize("junk", [b"\0\0\0\4\0\0\0\0\0", b'{"issuer": "x"}'])
def test_what_comes_behind_a_proxy_has_to_be_http_too(fake, home, daemon, proxy, junk):
    """That the proxy's answer was says nothing of the provider's."""
    fake.answers[DISCOVERY] = lambda _: [junk]
    error, r = failure(fake, home, daemon, f"proxy = http://me:right@127.0.0.1:{proxy.port}")
    assert (error["code"], r.returncode) == ("transfer", 7)


def test_an_https_proxy_refuses_in_the_same_words(fake, home, daemon):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = scripted.apiserver.make_tls_files(fake.folder, "proxy", names=("127.0.0.1",))
    context.load_cert_chain(files.cert, files.key)
    fake.ca_file.write_bytes(fake.ca_file.read_bytes() + files.ca.read_bytes())
    proxy = scripted.Proxy(login="me:right", context=context)
    try:
        error, r = failure(fake, home, daemon,
                           f"proxy = https://me:wrong@127.0.0.1:{proxy.port}")
        assert (error["code"], r.returncode) == ("proxy-refused", 6)
        assert len(proxy.seen) == 1
    finally:
        proxy.stop()


@pytest.mark.parametrize("status", [403, 429, 502, 503])
def test_another_answer_to_connect_is_told_and_tried_again(fake, home, daemon, proxy, status):
    proxy.status = status
    error, r = failure(fake, home, daemon, f"proxy = http://me:right@127.0.0.1:{proxy.port}")
    assert (error["code"], r.returncode) == ("connect", 7)
    assert error["detail"] == (f"the proxy 127.0.0.1:{proxy.port} answered {status} to CONNECT "
                               f"{fake.host}")
    proxy.status = None
    assert home.run("get", "--timeout", "60s").returncode == 0


class Socks:
    """One for SOCKS5 that wants user and password, and takes none; `seen` counts who came."""

    def __init__(self):
        self.seen = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.seen += 1
            with client:
                if 2 in client.recv(300)[2:]:  # RFC 1928, section 3
                    client.sendall(b"\5\2")
                    client.recv(600)
                    client.sendall(b"\1\1")
                else:
                    client.sendall(b"\5\xff")

    def stop(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.mark.parametrize("user, code, exit_code", [("me:wrong@", "proxy-refused", 6),
                                                   ("", "proxy-login", 7)])
def test_one_for_socks_is_told_in_the_same_way(fake, home, daemon, user, code, exit_code):
    socks = Socks()
    try:
        error, r = failure(fake, home, daemon,
                           f"proxy = socks5h://{user}127.0.0.1:{socks.port}\n"
                           f"token-endpoint = {fake.base}/oauth/token")
        assert (error["code"], r.returncode) == (code, exit_code)
        assert error["detail"] == f"SOCKS of 127.0.0.1:{socks.port}"
        assert socks.seen == 1
    finally:
        socks.stop()


# ---- proxy credentials are credentials -----------------------------------------------------------


def configure(fake, home, proxy, login, names=("p",)):
    home.configure("".join(
        fake.profile(n, user=n, extra=f"proxy = http://{login}@127.0.0.1:{proxy.port}")
        for n in names))


def test_a_refused_user_of_the_proxy_is_sent_once_for_all_profiles_also_after_a_restart(
        fake, home, daemon, proxy):
    names = ["a", "b", "c"]
    configure(fake, home, proxy, "me:wrong", names)
    daemon.start()
    for _ in range(2):
        for name in names:
            r = home.run("get", name)
            assert r.returncode == 6 and "the proxy refused its user name or password" in r.stderr
        assert {p["state"] for p in home.status()} == {"stopped"}
        assert all("retryTimestamp" not in p for p in home.status())
        daemon.restart(crash=True)
    assert len(proxy.seen) == 1 and fake.requests == []
    configure(fake, home, proxy, "me:right", names)
    daemon.reload()
    for name in names:
        assert home.run("get", name).returncode == 0


def test_a_persons_word_sends_the_proxys_user_again(fake, home, daemon, proxy):
    configure(fake, home, proxy, "me:wrong")
    daemon.start()
    assert home.run("get").returncode == 6
    assert home.run("refresh").returncode == 6
    assert len(proxy.seen) == 2
    proxy.login = "me:wrong"
    wait_until(lambda: home.run("refresh").returncode == 0, "the end of some seconds")


def test_a_proxys_user_that_was_let_through_gets_one_probe(fake, home, daemon, proxy):
    """A typed password is nothing to the proxy, and kept."""
    home.configure(fake.profile(password="",
                                extra=f"proxy = http://me:right@127.0.0.1:{proxy.port}"))
    daemon.start()
    assert home.run("login", input="canary-pw").returncode == 0
    token = home.run("get").stdout
    before = len(proxy.seen)
    proxy.login = "me:changed"
    r = home.run("refresh", "--timeout", "1s")
    assert r.returncode == 6
    assert home.run("get").stdout == token
    wait_until(lambda: home.status("p")["state"] == "stopped", "the probe")
    assert len(proxy.seen) == before + 2
    assert home.run("get").stdout == token
    proxy.login = "me:right"
    wait_until(lambda: home.run("refresh").returncode == 0, "the end of some seconds")


def test_without_a_user_it_is_tried_again_in_minutes(fake, home, daemon, proxy):
    home.configure(fake.profile(extra=f"proxy = http://127.0.0.1:{proxy.port}"))
    daemon.start()
    assert home.run("get").returncode == 7
    s = home.status("p")
    assert s["state"] == "waiting"
    assert 290 <= seconds(s["retryTimestamp"]) - seconds(s["sinceTimestamp"]) <= 380
    assert len(proxy.seen) == 1
