"""Where secrets lie in the memory of our processes (P9): in pages that are locked and left out of
dumps, as long as they are needed, and nowhere else, in no form."""
import contextlib
import os
import pathlib
import resource
import secrets
import signal
import socket
import subprocess
import urllib.parse

import pytest
import yaml

import rig
import scripted
from memory_scan import (Image, copies, ends_of, exposed, forms, needles, plant, scan,
                         skip_where_memory_is_closed, stopper, token_forms)
from scripted import json_answer

TOKEN = "/oauth/token"
MIB = 1 << 20


def odd(name):
    """A secret whose forms all differ, and whose halves stand nowhere else."""
    tail = {"typed": "Zq7TtXw93LkfUvBm", "file": "Rr8yHs2PdCx5JnQw", "command": "Yw6GvNz1MbKt4SeQ",
            "inline": "Hj3LpVd8FsWk9XcT", "later": "Bn5MqRz2YtGf7DkE", "wrong": "Cx4JhPw6TvLs8NgA",
            "client": "Dk9SbFy3WqZm5RtU", "proxy": "Gt2XnKc7VpHj4LsM",
            "credential": "Ps7YvJd4LcQx2HbG"}[name]
    return f'{name} pä"ss/w+ord&%={tail}'


def children(pid):
    with contextlib.suppress(OSError):  # it has ended
        return [int(child) for child in
                pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def program(pid):
    """By what everybody may read; of one that was run by its descriptor, the first word."""
    comm = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    word = pathlib.Path(f"/proc/{pid}/cmdline").read_text().partition("\0")[0]
    return comm if comm.startswith("kubetoken") else os.path.basename(word)


def holders(pid):
    """Those of ours among what a process has started, and started by that, that hold a secret while
    the provider is asked."""
    for child in children(pid):
        with contextlib.suppress(OSError):
            if program(child) in ("kubetoken-fetch", "kubetoken-admin"):
                yield child
        yield from holders(child)


class World:
    """A daemon whose every secret is known, its fetchers looked through at the moment when they
    wait for the provider, and at their ends."""

    def __init__(self, home, fake, daemon):
        self.home, self.fake, self.daemon = home, fake, daemon
        self.secrets, self.refresh_tokens, self.halfway = {}, [], []
        self.refuses = ()  # grant types
        self.level = "tokens"
        fake.answers[TOKEN] = self.answer
        self.secrets.update({name: odd(name) for name in ("typed", "file", "command", "client",
                                                        "wrong", "credential")})
        home.environment["CREDENTIALS_DIRECTORY"] = str(home.config)  # as systemd names it

    def limit(self, most):
        """The daemon may lock that much memory, as root may whatever the limit is."""
        own = ("setpriv --bounding-set=-ipc_lock --inh-caps=-ipc_lock" if os.geteuid() == 0 else "")
        script = self.home.folder / "limited"
        script.write_text(f"#!/bin/sh\nexec prlimit --memlock={most}:{most} {own} "
                          f"{rig.BUILD}/kubetokend \"$@\"\n")
        script.chmod(0o755)
        self.daemon.program = script

    def answer(self, request):
        self.halfway += [self.look(pid) for pid in holders(os.getpid())]
        form = request.form
        if form["grant_type"] in self.refuses:
            said = form.get("password") or form.get("refresh_token")
            return json_answer({"error": "invalid_grant", "error_description": f"no: {said}"}, 403)
        self.refresh_tokens.append(f"{secrets.token_hex(8)}-refresh/token+{secrets.token_hex(8)}")
        return json_answer(self.fake.token(refresh_token=self.refresh_tokens[-1]))

    def all(self):
        """In the order in which they came."""
        every = dict(self.secrets)
        for n, token in enumerate(self.fake.tokens):
            every |= {f"id_token {n}": token, f"refresh token {n}": self.refresh_tokens[n]}
        return every

    def look(self, pid):
        """Of tokens the last ones: a fetcher knows no others."""
        every = self.all()
        old = [name for name in every if "token" in name][:-6]
        return scan(pid, {name: secret for name, secret in every.items() if name not in old})

    def found(self):
        return scan(self.daemon.process.pid, self.all())

    def configure(self, inline):
        secret = f"client-secret = {odd('client')}"
        keep = f"keep-over-restart = {self.level}"
        self.home.write("pw", odd("file"))
        self.home.write("pw2", odd("command"))
        self.home.write("pw3", odd("credential"))
        self.secrets["inline"] = inline
        self.home.configure("".join([
            self.fake.profile("typed", password="", extra=f"{secret}\nclient-auth = basic\n{keep}"),
            self.fake.profile("file", password="password-file = pw", user="f",
                              extra=f"{secret}\nclient-auth = post\n{keep}"),
            self.fake.profile("command", user="c", extra=keep,
                              password=f"password-command = cat {self.home.config}/pw2"),
            self.fake.profile("credential", password="password-credential = pw3", user="d",
                              extra=keep),
            self.fake.profile("inline", password=f"password = {inline}", user="i", extra=keep)]))

    def login(self, password, code=0):
        r = self.home.run("login", "typed", input=password)
        assert code is None or r.returncode == code, r.stderr

    def get(self, profile):
        r = self.home.run("get", profile)
        assert r.returncode == 0, r.stderr
        return r.stdout.strip()


@pytest.fixture
def world(home, fake, daemon):
    skip_where_memory_is_closed()
    return World(home, fake, daemon)


def names(findings):
    return {f.secret for f in findings}


# ---- the daemon and its fetchers ---------------------------------------------------------------


@pytest.mark.parametrize("most, level", [
    (8 * MIB, "tokens"), (8 * MIB, "all"), (64 * 1024, "all"), (0, "tokens")])
def test_through_the_life_of_a_daemon(world, stopper, most, level):
    """Grant, renewal, refusal, typed login, a password that a command prints, reload, restart with
    a store, logout. Where little or nothing can be locked all is left out of dumps still."""
    lockable, home, daemon = most > 64 * 1024, world.home, world.daemon

    def nothing_is_exposed():
        found = world.found()
        assert exposed(found, lockable) == []
        return names(found)

    world.limit(most)
    world.level = level
    world.configure(odd("inline"))
    daemon.start()
    with ends_of(stopper, world.look, "-p", daemon.process.pid) as ends:
        world.login(odd("typed"))
        for profile in ("file", "command", "inline", "credential"):
            world.get(profile)
        assert nothing_is_exposed() >= {"typed", "inline", "client", *(
            f"{kind} {n}" for n in range(5) for kind in ("id_token", "refresh token"))}
        assert home.run("refresh", "typed").returncode == 0
        assert not nothing_is_exposed() & {"id_token 0", "refresh token 0"}
        world.refuses = ("password",)
        world.login(odd("wrong"), code=6)
        world.refuses = ("refresh_token",)
        assert home.run("refresh", "file").returncode == 0
        world.refuses = ()
        assert "wrong" not in nothing_is_exposed()
        world.login(odd("typed"))

        world.configure(odd("later"))
        daemon.reload()
        assert "inline" in nothing_is_exposed()
        assert scan(daemon.process.pid, {"former": odd("inline")}) == []
        n = len(world.fake.grants())
        for seen in (ends.of("kubetoken-fetch", n), world.halfway):
            assert len(seen) >= n and not any(exposed(one, lockable) for one in seen)
        assert not any(copies(one) for one in ends.of("kubetoken-fetch", n))
        assert all(names(one) for one in world.halfway), "each was looked at while it held one"
        daemon.stop()
        assert [exposed(one, lockable) for one in ends.of("kubetokend")] == [[]]

    daemon.start()
    kept = {"id_token 2", "id_token 4", "id_token 7", "inline"}
    kept |= {"typed", "refresh token 7"} if level == "all" else set()
    assert nothing_is_exposed() >= kept
    daemon.restart(crash=True)
    assert nothing_is_exposed() >= kept
    assert home.run("logout", "--all").returncode == 0
    assert names(world.found()) == {"inline", "client"}, "what the configuration says"
    home.configure(world.fake.profile("typed", password=""))
    daemon.reload()
    assert world.found() == []


@pytest.mark.parametrize("taken", [True, False])
def test_a_one_time_password_is_gone_with_its_login(world, stopper, taken):
    """And so is the mfa_token that the fetcher answered with it. The provider echoes both where it
    refuses."""
    code, challenge = "otp/Lw8&Zk3=Vn6%Rj1", "challenge/Tc9+Mx4=Qb7&Hf2Dg5Ys"

    def answer(request):
        world.halfway += [world.look(pid) for pid in holders(os.getpid())]
        form = request.form
        if form["grant_type"] == "password":
            return json_answer({"error": "mfa_required", "mfa_token": challenge}, 403)
        if not taken:
            both = f"no: {form['otp']}, {form['mfa_token']}"
            return json_answer({"error": "invalid_grant", "error_description": both}, 403)
        world.refresh_tokens.append(f"{secrets.token_hex(8)}-refresh/token")
        return json_answer(world.fake.token(refresh_token=world.refresh_tokens[-1]))

    world.secrets |= {"otp": code, "challenge": challenge}
    world.fake.answers[TOKEN] = answer
    world.configure(odd("inline"))
    world.daemon.start()
    with ends_of(stopper, world.look, "-p", world.daemon.process.pid) as ends:
        for words, given in ((["typed"], odd("typed") + "\n" + code), (["inline"], code + "\n")):
            assert run_to_its_end(world, stopper, "login", "--otp", *words, given=given) == (
                {"kubetoken": []}, 0 if taken else 6)
        assert [exposed(one) for one in ends.of("kubetoken-fetch", 2)] == [[], []]
        assert not any(copies(one) for one in ends.of("kubetoken-fetch", 2))
    assert len(world.halfway) == 4 and not any(exposed(one) for one in world.halfway)
    assert "otp" in names(world.halfway[0]) and {"otp", "challenge"} <= names(world.halfway[1])
    found = world.found()
    assert exposed(found) == [] and not names(found) & {"otp", "challenge"}


def test_500_gets_and_what_comes_in_pieces_leave_no_trace(world):
    """Requests whose connection brings more than one, a password among them."""
    world.configure(odd("inline"))
    world.daemon.start()
    token = world.get("inline").encode()
    for n in range(500):
        end = b" once\n" if n % 2 else b"\n"
        assert token in rig.ask(world.home, b"get token inline timeout=9" + end)
    password = odd("typed").encode()
    with rig.connect(world.home) as s:
        s.sendall(b"get token inline\nlogin * typed secret=%d\n%s" % (len(password), password[:20]))
        while token not in s.recv(65536):
            pass
        rig.wait_until(lambda: "typed" in names(world.found()), "the half of a password")
        assert exposed(world.found()) == []
        s.sendall(password[20:])
        assert b"logged in" in s.recv(65536)
        s.sendall(b"login * typed sec")
        s.sendall(b"ret=%d\n%s" % (len(password), password))
        assert b"logged in" in s.recv(65536)
        assert exposed(world.found()) == []
        assert rig.ask(world.home, b"logout * typed\n").startswith(b"ok 0 ")
        assert "typed" not in names(world.found())

    r = world.home.run("share", "box", "--profile", "inline")
    assert r.returncode == 0, r.stderr
    for request in [b"get\n", b"get token inline once\n", b"get json\nget\n",
                    b"login * typed secret=%d\n%s" % (len(password), password),
                    b"get\nlogin * typed secret=%d\n%s" % (len(password), password[:20])]:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(rig.PATIENCE)
            s.connect(r.stdout.strip())
            s.sendall(request)
            s.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: s.recv(65536), b""))
        said = token in answer, b"not-shared" in answer
        assert said == (b"get" in request, b"typed" in request)
        assert exposed(world.found()) == [] and "typed" not in names(world.found())


def test_what_is_wrong_with_a_configuration_is_told_without_a_trace(world):
    """Lines of a password that are none."""
    secret = odd("inline")
    world.configure(secret)
    world.daemon.start()
    good = (world.home.config / "kubetoken.conf").read_text()
    for line in (f"password {secret}", f"passwort = {secret}", f"password = {secret}\x01",
                 f"password-file = pw\npassword = {secret}", f"proxy = ftp://u:{secret}@host",
                 f"issuer = http://u:{secret}@host", f"password = {secret}\r",
                 f"password = {secret}\xff", secret, f"passwordfile = {secret}"):
        world.home.configure(good + "\n[profile more]\n")
        with open(world.home.config / "kubetoken.conf", "ab") as f:
            f.write(line.encode("latin-1" if "\xff" in line else "utf-8") + b"\n")
        world.daemon.reload()
        r = world.home.run("status")
        assert "not in force" in r.stdout and "Hj3LpVd" not in r.stdout and 'pä"' not in r.stdout
        assert exposed(world.found()) == [], line


def test_a_token_that_is_exchanged_for_another(world, stopper):
    """The access token lies in the daemon for that, and in a fetcher while it is sent."""
    home, fake = world.home, world.fake
    world.secrets = {"inline": odd("inline")}

    def answer(request):
        world.halfway += [world.look(pid) for pid in holders(os.getpid())]
        world.refresh_tokens.append(f"{secrets.token_hex(8)}-refresh/token+{secrets.token_hex(8)}")
        if "subject_token" in request.form:
            return json_answer({"access_token": fake.id_token()})
        access = f"{secrets.token_hex(8)}-access/token+{secrets.token_hex(8)}"
        world.secrets[f"access token {len(fake.tokens)}"] = access
        return json_answer(fake.token(refresh_token=world.refresh_tokens[-1], access_token=access))

    fake.answers[TOKEN] = answer
    home.configure(fake.profile("work", password=f"password = {odd('inline')}") + "\n".join([
        "[profile prod]", f"issuer = {fake.issuer}", f"ca-file = {fake.ca_file}",
        "client-id = client", "from = work", "subject-token-type = access_token", ""]))
    world.daemon.start()
    with ends_of(stopper, world.look, "-p", world.daemon.process.pid) as ends:
        world.get("prod")
        assert exposed(world.found()) == []
        assert names(world.found()) >= {"access token 0", "id_token 0", "id_token 1"}
        assert home.run("refresh", "work").returncode == 0
        assert exposed(world.found()) == []
        assert "access token 0" not in names(world.found())
        for seen in (ends.of("kubetoken-fetch", 3), world.halfway):
            assert len(seen) >= 3 and not any(exposed(one) for one in seen)
        assert not any(copies(one) for one in ends.of("kubetoken-fetch", 3))
        assert "access token 0" in names(world.halfway[1])
    assert home.run("logout", "work").returncode == 0
    assert names(world.found()) == {"inline"}, "what the configuration says"


# ---- what the provider says ----------------------------------------------------------------------


def page(status, text, **headers):
    return status, {"Content-Type": "text/html", **headers}, text.encode()


ANSWERS = {
    "a page": lambda form, whole: page(401, f"<html><title>No</title><p>{whole}</p></html>"),
    "a redirection": lambda form, whole: page(302, "", Location=f"https://elsewhere/?{whole}"),
    "fields": lambda form, whole: page(400, "no", **{"WWW-Authenticate": f"Bearer {whole}",
                                                     "Server": whole, "Via": whole}),
    "no JSON": lambda form, whole: page(200, f'{{"id_token": "{whole}', **{
        "Content-Type": "application/json"}),
    "no id_token": lambda form, whole: json_answer({"access_token": whole, "scope": whole}),
    "an error": lambda form, whole: json_answer({
        "error": "invalid_grant", "error_description": f"of {form['password']} nothing is known",
        "error_uri": whole}, 400),
    "no token": lambda form, whole: json_answer({"id_token": f"eyJ.{whole}.x"}),
    "much": lambda form, whole: json_answer({"more": 9000 * whole}),
}


@pytest.mark.parametrize("answer", ANSWERS)
def test_whatever_the_provider_answers_the_fetcher_keeps_nothing(world, stopper, answer):
    """It echoes all that it was sent."""
    def echo(request):
        world.halfway += [world.look(pid) for pid in holders(os.getpid())]
        whole = request.body.decode() + (request.headers["Authorization"] or "")
        return ANSWERS[answer](request.form, whole)

    world.fake.answers[TOKEN] = echo
    world.configure(odd("inline"))
    world.daemon.start()
    with ends_of(stopper, world.look, "-p", world.daemon.process.pid) as ends:
        world.login(odd("typed"), code=None)
        world.home.run("get", "file", "--timeout", "1s")
        for seen in (ends.of("kubetoken-fetch", 2), world.halfway):
            assert [exposed(one) for one in seen[:2]] == [[], []]
        assert [copies(one) for one in ends.of("kubetoken-fetch", 2)[:2]] == [[], []]
    assert exposed(world.found()) == []


# ---- what another program prints ---------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 30_000])
def test_a_token_that_a_command_prints(world, stopper, size):
    """Bare and in JSON, new, again and of no use: in the daemon, which hands it on, in the fetcher,
    while it asks for keys and at its end, and in the client."""
    fake, home, daemon = world.fake, world.home, world.daemon

    def answer(_):
        world.halfway += [world.look(pid) for pid in holders(os.getpid())]
        return json_answer({"keys": [fake.key.jwk()]})
    fake.answers["/.well-known/jwks.json"] = answer
    world.secrets = {}
    first = fake.key
    for n in range(3):
        if n == 2:
            fake.key = scripted.Key("later")
        fake.id_token(groups=["x" * size], iat=int(fake.clock()) + n)
        world.refresh_tokens.append(f"no refresh token {n}")
    world.secrets["of no use"] = f"not.a-{secrets.token_hex(20)}.token-{secrets.token_hex(20)}"
    fake.key, later = first, fake.key
    printed = home.write("printed", fake.tokens[0] + "\n")
    home.configure(f"[profile p]\nissuer = {fake.issuer}\nca-file = {fake.ca_file}\n"
                   f"client-id = client\ntoken-command = cat {printed}\n")
    daemon.start()
    with ends_of(stopper, world.look, "-p", daemon.process.pid) as ends:
        assert world.get("p") == fake.tokens[0]
        assert exposed(world.found()) == [] and "id_token 0" in names(world.found())
        printed.write_text('{"kind": "ExecCredential", "status": {"token": "%s"}}' % fake.tokens[1])
        assert home.run("refresh", "p").returncode == 0
        assert exposed(world.found()) == [] and names(world.found()) == {"id_token 1"}
        assert home.run("refresh", "p").returncode == 8  # the one in hand
        printed.write_text(world.secrets["of no use"])
        assert home.run("refresh", "p").returncode != 0
        printed.write_text(fake.tokens[2] + "\nand more")
        assert home.run("refresh", "p").returncode == 9
        assert exposed(world.found()) == [] and names(world.found()) == {"id_token 1"}
        fake.key = later  # which is asked for when the token is in the fetcher's hands
        printed.write_text(fake.tokens[2])
        home.run("refresh", "p")  # if the daemon has not done so by itself
        assert world.get("p") == fake.tokens[2]
        assert exposed(world.found()) == [] and names(world.found()) == {"id_token 2"}
        for seen in (ends.of("kubetoken-fetch", 6), world.halfway):
            assert [exposed(one) for one in seen] == len(seen) * [[]]
        assert not any(copies(one) for one in ends.of("kubetoken-fetch", 6))
        assert len(world.halfway) == 2
        assert all(names(one) for one in world.halfway), "each was looked at while it held one"
    assert run_to_its_end(world, stopper, "get", "p") == ({"kubetoken": []}, 0)
    assert home.run("logout", "p").returncode == 0
    assert world.found() == []


# ---- a login that is confirmed elsewhere -------------------------------------------------------


def test_a_device_code_is_there_as_long_as_its_login(world, stopper):
    """In the daemon and its fetchers; the client never has it. A provider echoes it."""
    fake, code = world.fake, f"dev/{secrets.token_hex(12)}+{secrets.token_hex(12)}"
    polls = []
    world.secrets = {"device code": code, "client": odd("client")}
    discovery = {**fake.discovery(), "device_authorization_endpoint": fake.base + "/device"}
    fake.discovery = lambda: discovery
    fake.answers["/device"] = json_answer({
        "device_code": code, "user_code": "WDJB-MJHT", "verification_uri": fake.base + "/activate",
        "expires_in": 600, "interval": 1})

    def poll(request):
        world.halfway += [world.look(pid) for pid in holders(os.getpid())]
        polls.append(request.form["device_code"])
        if len(polls) == 3:
            return world.answer(request)
        return json_answer({"error": "authorization_pending", "error_description": code}, 400)

    fake.answers[TOKEN] = poll
    world.home.configure(f"[profile p]\nissuer = {fake.issuer}\nca-file = {fake.ca_file}\n"
                         f"client-id = client\nclient-secret = {odd('client')}\n"
                         "grant = device\n")
    world.daemon.start()
    with ends_of(stopper, world.look, "-p", world.daemon.process.pid) as ends:
        with subprocess.Popen([rig.BUILD / "kubetoken", "login"], env=world.home.environment,
                              stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) as client:
            rig.wait_until(lambda: len(polls) == 2, "two polls")
            found = world.found()
            assert exposed(found) == [] and "device code" in names(found)
            assert "device code" not in names(world.look(client.pid))
            assert client.wait(rig.PATIENCE) == 0
        found = world.found()
        assert exposed(found) == [] and "device code" not in names(found)
        assert {"id_token 0", "refresh token 0"} <= names(found)
        assert not any(exposed(one) for one in world.halfway)
        assert any("device code" in names(one) for one in world.halfway)
        seen = ends.of("kubetoken-fetch", 4)
        assert not any(exposed(one) or copies(one) for one in seen)
    assert polls == [code] * 3
    assert code not in world.daemon.log.read_text()
    seen, code = run_to_its_end(world, stopper, "logout")
    assert (seen, code) == ({"kubetoken": []}, 0)


# ---- through proxies, and long tokens ----------------------------------------------------------


@pytest.mark.parametrize("size", [0, 90_000])
def test_a_proxy_s_password_and_a_long_token(world, stopper, size):
    """The provider echoes what it was sent, in a header, too."""
    user = odd("proxy")
    escaped = urllib.parse.quote(user, safe="")
    world.secrets = {"proxy": user, "proxy, as in the URL": escaped, "inline": odd("inline")}
    world.fake.claims["groups"] = ["x" * size]
    proxy = scripted.Proxy(login=f"u:{user}")
    try:
        world.home.configure(world.fake.profile(
            "p", password=f"password = {odd('inline')}",
            extra=f"proxy = http://u:{escaped}@127.0.0.1:{proxy.port}"))
        world.daemon.start()
        with ends_of(stopper, world.look, "-p", world.daemon.process.pid) as ends:
            world.get("p")
            assert world.home.run("refresh").returncode == 0
            assert exposed(world.found()) == []
            # one more where the first fetcher still ends while the second asks
            for seen in (ends.of("kubetoken-fetch", 2), world.halfway):
                assert len(seen) >= 2 and not any(exposed(one) for one in seen)
            assert not any(copies(one) for one in ends.of("kubetoken-fetch", 2))
            assert {"proxy", "inline"} <= names(world.halfway[0])
    finally:
        proxy.stop()


# ---- the client --------------------------------------------------------------------------------


OF_ADMIN = ("init", "import", "doctor", "log", "why")


def run_to_its_end(world, stopper, *args, given="", **kwargs):
    """Runs kubetoken. Returns what is exposed in it, and in what it starts, at their ends."""
    kwargs.setdefault("stdout", subprocess.DEVNULL)
    with ends_of(stopper, world.look, rig.BUILD / "kubetoken", *args, env=world.home.environment,
                 stdin=subprocess.PIPE, **kwargs) as ends:
        with contextlib.suppress(BrokenPipeError):
            ends.process.stdin.write(given.encode())
            ends.process.stdin.close()
        try:
            ends.process.wait(rig.PATIENCE)
        except subprocess.TimeoutExpired:
            for pid in children(ends.process.pid):
                os.kill(pid, signal.SIGKILL)
            raise
        ends.of("kubetoken-admin" if args[0] in OF_ADMIN else "kubetoken")
    return ({program: exposed(seen) + copies(seen) for program, seen in ends.seen},
            ends.process.returncode)


@pytest.mark.parametrize("size", [0, 90_000])
def test_the_client_keeps_nothing(world, stopper, size):
    """Whichever way it ends, and whether it waits or not."""
    world.fake.claims["groups"] = ["x" * size]
    world.configure(odd("inline"))
    world.daemon.start()

    def ends(*args, code=0, program="kubetoken", **kwargs):
        assert run_to_its_end(world, stopper, *args, **kwargs) == ({program: []}, code)

    ends("get", "inline")  # it has to wait
    ends("get", "inline")
    for form in ("exec/v1", "header", "json"):
        ends("get", "inline", "-o", form)
    with open("/dev/full", "w", encoding="utf-8") as full:
        ends("get", "inline", code=1, stdout=full)
    ends("login", "typed", given=odd("typed") + "\n")
    ends("login", "typed", given=odd("typed") + "\nand more", code=9)
    ends("inspect", "inline", "-", given=world.fake.tokens[-1])
    for words in (["status"], ["status", "--json"], ["inspect", "inline"]):
        ends(*words)
    for words in (["log"], ["log", "--json", "inline"], ["why", "inline"]):
        ends(*words, program="kubetoken-admin")
    ours = rig.BUILD / "kubetoken"
    ends("run", "inline", "--", ours, "status")  # which comes in its place
    ends("run", "--env", "TOKEN", "inline", "--", "/nowhere/kubectl", code=127)
    ends("logout", "--all")


# ---- kubetoken-admin ---------------------------------------------------------------------------

ALL = {"kubetoken-admin": [], "kubetokend": [], "kubetoken-fetch": []}


def test_init_keeps_nothing(world, stopper):
    """Nor the daemon of its trial, nor the fetchers of that."""
    fake = world.fake
    secret = world.home.write("secret", odd("client"))
    world.daemon.start()  # for the doctor at its end
    seen, code = run_to_its_end(
        world, stopper, "init", "work", "--yes", "--issuer", fake.issuer, "--ca-file", fake.ca_file,
        "--client-id", "client", "--client-secret-file", secret, "--keep-password=file",
        "--no-kubeconfig", given=f"someone\n{odd('typed')}\n")
    assert (seen, code) == (ALL, 0)
    assert {"typed", "client"} <= names(sum(world.halfway, []))
    assert [exposed(one) for one in world.halfway] == len(world.halfway) * [[]]
    assert (world.home.config / "work.password").read_text() == odd("typed")


KEEPER = """#!/bin/sh
case $1 in
insert) cat > {file} ;;
show) cat {file} ;;
esac
"""


def test_a_program_that_keeps_the_password_leaves_no_trace_of_it(world, stopper):
    """It is given the password by init, and asked for it."""
    home, fake = world.home, world.fake
    folder = home.folder / "bin"
    folder.mkdir()
    keeper = folder / "pass"
    keeper.write_text(KEEPER.format(file=home.folder / "kept"))
    keeper.chmod(0o755)
    (home.folder / ".password-store").mkdir()
    (home.folder / ".password-store" / ".gpg-id").touch()
    home.environment["PATH"] = f"{folder}:{home.environment['PATH']}"
    world.daemon.start()
    words = ["init", "work", "--yes", "--issuer", fake.issuer, "--ca-file", fake.ca_file,
             "--client-id", "client", "--username", "someone", "--no-kubeconfig"]
    for more in ([], ["--force"]):  # the second time it is kept already
        seen, code = run_to_its_end(world, stopper, *words, *more, "--keep-password=pass",
                                    given=odd("typed") + "\n")
        assert (seen, code) == (ALL, 0)
    assert (home.folder / "kept").read_text() == odd("typed")
    assert exposed(world.found()) == []


def kubelogin(fake, secret, password):
    return {"exec": {"apiVersion": "client.authentication.k8s.io/v1beta1", "command": "kubelogin",
                     "args": ["get-token", f"--oidc-issuer-url={fake.issuer}",
                              "--oidc-client-id=client", f"--oidc-client-secret={secret}",
                              f"--certificate-authority={fake.ca_file}", "--grant-type=password",
                              "--username=me", f"--password={password}"]}}


def auth_provider(fake, secret, refresh, token):
    return {"auth-provider": {"name": "oidc", "config": {
        "idp-issuer-url": fake.issuer, "client-id": "client", "client-secret": secret,
        "idp-certificate-authority": str(fake.ca_file), "refresh-token": refresh,
        "id-token": token}}}


@pytest.mark.parametrize("kind", ["kubelogin", "auth-provider"])
def test_import_and_doctor_keep_nothing(world, stopper, kind):
    """What stands in a kubeconfig is read by libraries that copy it."""
    fake = world.fake
    if kind == "kubelogin":
        user = kubelogin(fake, odd("client"), odd("inline"))
    else:
        fake.key = scripted.Key()
        world.refresh_tokens.append(odd("later"))
        user = auth_provider(fake, odd("client"), odd("later"), fake.id_token())
    world.secrets = {"client": odd("client"), "inline": odd("inline"), "typed": odd("typed")}
    path = world.home.folder / ".kube" / "config"
    path.parent.mkdir()
    path.write_text(yaml.safe_dump({
        "apiVersion": "v1", "kind": "Config", "current-context": "c",
        "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "someone"}}],
        "users": [{"name": "someone", "user": user},
                  {"name": "other", "user": {"token": odd("typed"), "password": odd("typed")}}]}))
    world.daemon.start()
    seen, _ = run_to_its_end(world, stopper, "doctor")
    assert seen["kubetoken-admin"] == []
    seen, code = run_to_its_end(world, stopper, "import", "--username", "someone", "--yes")
    assert code == 0 and "client" in names(sum(world.halfway, []))
    assert [exposed(one) for one in world.halfway] == len(world.halfway) * [[]]
    assert seen == {program: [] for program in seen} and "kubetoken-admin" in seen
    seen, _ = run_to_its_end(world, stopper, "doctor")
    assert seen["kubetoken-admin"] == []
    assert exposed(world.found()) == []


# ---- dumps, and who may look -------------------------------------------------------------------


def test_a_core_of_the_daemon_holds_nothing_and_is_not_written(world, tmp_path):
    """Also where somebody has raised the limit meanwhile, and by a handler of cores, which heeds
    none: it is not dumpable."""
    world.configure(odd("inline"))
    world.daemon.start()
    world.get("inline")
    pid = world.daemon.process.pid
    core = Image(pid).core()
    assert world.fake.host.encode() in core, "it is one"
    assert [(name, form) for name, form, needle in needles(world.all()) if needle in core] == []
    assert resource.prlimit(pid, resource.RLIMIT_CORE) == (0, 0)

    most = resource.getrlimit(resource.RLIMIT_CORE)[1]
    other = subprocess.Popen(["sleep", "60"], cwd=tmp_path)
    resource.prlimit(other.pid, resource.RLIMIT_CORE, (most, most))
    with contextlib.suppress(PermissionError):  # not even root may everywhere
        resource.prlimit(pid, resource.RLIMIT_CORE, (most, most))
    for process in (other.pid, pid):
        os.kill(process, signal.SIGABRT)
    if not os.WCOREDUMP(os.waitpid(other.pid, 0)[1]):
        pytest.skip("the kernel of this machine writes no core of anybody")
    status = os.waitpid(pid, 0)[1]
    world.daemon.process.returncode = -signal.SIGABRT
    assert os.WTERMSIG(status) == signal.SIGABRT and not os.WCOREDUMP(status)


def without_rights(*command):
    """Root's right to look into everybody's memory is no matter here."""
    own = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    return [*own, *map(str, command)]


def may_look(pid):
    """Whether another program of the same user may."""
    r = subprocess.run(without_rights("head", "-c0", f"/proc/{pid}/mem"), capture_output=True,
                       text=True, env={"LC_ALL": "C"})
    assert r.returncode == 0 or "Permission denied" in r.stderr, r.stderr
    return r.returncode == 0


def test_no_other_program_of_the_user_looks_into_memory(home, fake, tmp_path):
    """Daemon, fetcher, kubetoken-admin and a login, each while it has something to hide."""
    with subprocess.Popen(without_rights("sleep", "60")) as other:
        rig.wait_until(lambda: b"sleep" in pathlib.Path(f"/proc/{other.pid}/cmdline").read_bytes()
                       and os.readlink(f"/proc/{other.pid}/exe").endswith("sleep"), "sleep")
        looks = may_look(other.pid)
        other.kill()
    if not looks:
        pytest.skip("this machine lets no program look into another one at all")
    script = tmp_path / "kubetokend"
    command = " ".join(without_rights(rig.BUILD / "kubetokend"))
    script.write_text(f'#!/bin/sh\nexec {command} "$@"\n')
    script.chmod(0o755)
    seen = []

    def answer(_):
        seen.append({program(pid): may_look(pid) for pid in holders(os.getpid())})
        return json_answer(fake.token())

    fake.answers[TOKEN] = answer
    home.configure(fake.profile())
    daemon = rig.Daemon(home, program=script)
    try:
        daemon.start()
        assert home.run("get").returncode == 0 and seen == [{"kubetoken-fetch": False}]
        assert not may_look(daemon.process.pid)
        subprocess.run(without_rights(rig.BUILD / "kubetoken", "doctor", "--refresh"),
                       env=home.environment, stdout=subprocess.DEVNULL, timeout=rig.PATIENCE)
        assert seen[1:] == [{"kubetoken-fetch": False, "kubetoken-admin": False}]
        for command in (["login"], ["init", "--issuer", fake.issuer, "--ca-file", fake.ca_file,
                                    "--client-id", "client", "work"]):
            with subprocess.Popen(without_rights(rig.BUILD / "kubetoken", *command),
                                  env=home.environment, stdin=subprocess.PIPE,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as p:
                try:
                    rig.wait_until(lambda: not may_look(p.pid), f"{command[0]}, closed")
                finally:
                    p.kill()
    finally:
        daemon.close()


# ---- whether this sees anything ----------------------------------------------------------------


def test_a_leak_is_seen_in_each_form_and_place(world, stopper):
    """One that is planted, in a daemon and in a fetcher at its end."""
    world.configure(odd("inline"))
    world.daemon.start()
    pid = world.daemon.process.pid
    world.get("inline")
    token = world.fake.tokens[0]
    for secret, every in ((odd("typed"), forms(odd("typed").encode())),
                          (token, token_forms(token.encode()))):
        world.secrets["typed"] = secret
        for form, needle in every.items():
            plant(pid, needle)
            found = [f for f in scan(pid, {"planted": secret}) if f.mapping.name == "[stack]"]
            assert form in {f.form for f in found}, form
            assert any("in [stack]" in text and "not locked, part of dumps" in text
                       for text in exposed(found)), found
            plant(pid, bytes(len(needle)))
    assert exposed(scan(pid, {"planted": token})) == []

    def leak(fetcher):
        plant(fetcher, odd("file").encode())
        return world.look(fetcher)

    with ends_of(stopper, leak, "-p", pid) as ends:
        assert world.home.run("refresh", "inline").returncode == 0
        assert {f.secret for f in ends.of("kubetoken-fetch")[0] if not f.mapping.locked} == {"file"}
