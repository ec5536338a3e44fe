"""What the daemon remembers: who got a token, how it was renewed, what was rejected; and what `why`
makes of that."""
import json
import os
import re
import subprocess
import threading
import time

import jsonschema
import pytest

import apiserver
import rig
import scripted
from test_kubectl import kubectls, stanza
from test_rejected import INFO, ask

# Members may be added; here there is none that a schema does not name.
LINE, WHY = ({**json.loads((rig.TOP / "docs" / f"{name}.schema.json").read_text()),
              "additionalProperties": False} for name in ("log", "why"))


@pytest.fixture
def running(fake, home, daemon):
    home.configure(fake.profile())
    return daemon.start()


def log(home, *arguments):
    """Its entries, held against the schema."""
    r = home.run("log", "--json", *arguments)
    assert (r.returncode, r.stderr) == (0, "")
    entries = [json.loads(line) for line in r.stdout.splitlines()]
    for entry in entries:
        jsonschema.validate(entry, LINE)
    assert [e["id"] for e in entries] == sorted({e["id"] for e in entries})
    return entries


def of(home, event):
    return [e for e in log(home) if e["event"] == event]


def words(home, *arguments):
    r = home.run(*(arguments or ["log"]))
    assert (r.returncode, r.stderr) == (0, ""), r.stderr
    assert all(len(line) <= 80 for line in r.stdout.splitlines()), r.stdout
    return re.sub(r"\n {10,}", " ", r.stdout)


def why(home, *arguments):
    r = home.run("why", *arguments)
    assert (r.returncode, r.stderr) == (0, "")
    assert all(len(line) <= 80 for line in r.stdout.splitlines()), r.stdout
    printed = home.run("why", "-o", "json", *arguments).stdout
    whole = json.loads(printed)
    assert printed.count("\n") == 1
    jsonschema.validate(whole, WHY)
    for name in ("rejection", "token", "next", "failure"):
        if name in whole:
            jsonschema.validate(whole[name], LINE)
    assert r.stdout.replace("\n", " ").strip() == whole["sentence"]
    return whole


def test_the_schemas_are_some():
    for schema in (LINE, WHY):
        jsonschema.Draft202012Validator.check_schema(schema)


def get_in_bash(home, info=None):
    """A bash that gets a token, and is there until the daemon has looked at it."""
    env = {**home.environment, **({"KUBERNETES_EXEC_INFO": info} if info else {})}
    with subprocess.Popen(["/bin/bash", "-c", "kubetoken get p; read -r secret_argument"], env=env,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as bash:
        assert bash.stdout.readline()
        log(home)
        bash.stdin.close()
        assert bash.wait(rig.PATIENCE) == 1


def test_programs_tokens_and_failures_are_told_in_order(fake, home, running):
    """Names of programs, never their arguments."""
    get_in_bash(home)
    assert "handed out to bash (" in words(home)
    for _ in range(3):
        get_in_bash(home, info=INFO)
    assert home.run("refresh").returncode == 0
    fake.answers["/oauth/token"] = (500, {}, b"")
    home.run("refresh", "--timeout", "1s")
    home.run("logout")
    entries = log(home)
    assert [e["event"] for e in entries][:3] == ["started", "reload", "token"]
    assert entries[-1]["event"] == "logout"
    hand_outs = [e for e in entries if e["event"] == "hand-out"]
    assert {e.get("program") for e in hand_outs} == {"bash"}
    assert sum(e["count"] for e in hand_outs) == sum(e["processes"] for e in hand_outs) == 4
    token, second = [e for e in entries if e["event"] == "token"]
    assert (token["reason"], token["by"], token["key"]) == ("wanted", "password", "key-1")
    assert second["reason"] == "refresh" and 0 < token["tookMilliseconds"] < rig.PATIENCE * 1000
    assert rig.seconds(token["expirationTimestamp"]) > time.time()
    failure = [e for e in entries if e["event"] == "failure"][0]
    assert failure["error"]["code"] == "provider-fault" and failure["reason"] == "refresh"
    text = words(home)
    assert text.startswith("TIME      WHAT\n")
    assert re.search(r"^\d\d:\d\d:\d\d  got a token by password in \d+ ms, to live 59 min$", text,
                     re.M)
    assert re.search(r"^\d\d:\d\d:\d\d  got another token, as somebody said, by password in", text,
                     re.M)
    assert "no token by password after " in text and "the provider has a fault: HTTP 500" in text
    assert "logged out: token, refresh token and typed password are forgotten" in text
    for secret in ("secret_argument", "canary", "eyJ", *fake.tokens):
        assert secret not in text and secret not in json.dumps(entries)


def test_what_is_refused_of_a_refresh_is_no_password(fake, home, daemon):
    fake.members = {"refresh_token": "canary-refresh"}
    home.configure(fake.profile())
    daemon.start()
    get_in_bash(home)

    def answer(request):
        if request.form["grant_type"] == "refresh_token":
            return scripted.json_answer({"error": "invalid_grant"}, 400)
        return scripted.json_answer(fake.token())
    fake.answers["/oauth/token"] = answer
    assert home.run("refresh").returncode == 0
    error = [e for e in log(home) if e["event"] == "failure"][0]["error"]
    assert (error["code"], error["detail"]) == ("refused", "HTTP 400, invalid_grant")
    assert error["sentence"] == "the provider refused the refresh token" and "remedy" not in error
    assert "the provider refused the refresh token: HTTP 400" in rig.unwrapped(words(home))
    assert "password:" not in words(home)


def test_no_secret_gets_into_it(fake, home, daemon):
    """Also not where the provider says it back: as an error, a claim, or the name of a key."""
    home.configure(fake.profile(password="password = canary-pw", extra="client-secret = canary-se"))
    daemon.start()
    fake.answers["/oauth/token"] = scripted.json_answer(
        {"error": "temporarily_unavailable", "error_description": "canary-pw and canary-se"}, 503)
    assert home.run("get", "--timeout", "1s").returncode == 7
    normal, fake.key = fake.key, scripted.Key("canary-pw")
    fake.answers["/oauth/token"] = lambda _: scripted.json_answer(fake.token())
    assert home.run("refresh").returncode == 0
    fake.key = normal
    fake.answers["/oauth/token"] = lambda _: scripted.json_answer(
        fake.token(refresh_token="canary-rt"))
    assert home.run("refresh").returncode == 0
    fake.answers["/oauth/token"] = lambda _: scripted.json_answer(
        fake.token(id_token=fake.id_token(nickname="canary-se", groups=["ops"])))
    assert home.run("refresh").returncode == 0
    assert home.run("get", "--rejected").returncode == 0
    entries = log(home)
    assert len([e for e in entries if e["event"] == "token"]) >= 3
    told = json.dumps(entries) + words(home) + words(home, "why") + home.run("why", "--json").stdout
    for secret in ("canary", "eyJ", *fake.tokens):
        assert secret not in told, told


def test_what_a_renewal_changed_is_told_with_it(fake, home, running):
    fake.answers["/oauth/token"] = lambda _: scripted.json_answer(
        fake.token(id_token=fake.id_token(groups=["dev"])))
    assert home.run("get").returncode == 0
    fake.answers["/oauth/token"] = lambda _: scripted.json_answer(
        fake.token(id_token=fake.id_token(groups=["ops"], email_verified=False)))
    assert home.run("refresh").returncode == 0
    token = of(home, "token")[-1]
    assert "groups: " in token["changedClaims"] and "+ops" in token["changedClaims"]
    assert [w["code"] for w in token["warnings"]] == ["email-not-verified"]
    assert re.search(r"claims changed: .*groups: .*\+ops", words(home))
    assert "the e-mail address is not verified" in words(home)


def test_a_loop_of_one_program_leaves_room_for_the_others(fake, home, running):
    """`watch kubectl get pods`: thousands of processes."""
    subprocess.run(["/bin/sh", "-c", "kubetoken get p"], env=home.environment, check=True,
                   stdout=subprocess.DEVNULL)
    request = b"get token p once\n"
    for _ in range(300):
        rig.ask(home, request, shutdown=False)
    mine = [e for e in of(home, "hand-out") if e.get("pid") == os.getpid()]
    assert len(mine) == 1 and (mine[0]["count"], mine[0]["processes"]) == (300, 1)
    assert mine[0]["program"].startswith("python") or mine[0]["program"].startswith("pytest")
    assert mine[0]["confirmed"]
    assert [e["count"] for e in of(home, "hand-out") if e.get("program") == "sh"] == [1]
    assert re.search(rf"handed out to \S+ \({os.getpid()}\), 300 times since", words(home))


def test_nobody_is_started_for_it(home):
    home.configure("[profile p]\n")
    for command in (["log"], ["log", "--follow"]):
        r = home.run(*command, env={"KUBETOKEN_AUTOSTART": "1"})
        assert (r.returncode, r.stdout) == (3, ""), command
        assert r.stderr.startswith("kubetoken: no kubetokend answers: ")
    assert not home.socket_path.exists()


def test_one_profile_or_all(fake, home, daemon):
    home.configure(fake.profile("p") + fake.profile("long-name"))
    daemon.start()
    for name in ("p", "long-name"):
        assert home.run("get", name).returncode == 0
    assert {e.get("profile") for e in log(home)} == {None, "p", "long-name"}
    assert {e.get("profile") for e in log(home, "p")} == {None, "p"}
    text = words(home)
    assert text.startswith("TIME      PROFILE    WHAT\n")
    assert re.search(r"^\d\d:\d\d:\d\d  long-name  got a token", text, re.M)
    assert re.search(r"^\d\d:\d\d:\d\d  p          got a token", text, re.M)
    assert re.search(r"^\d\d:\d\d:\d\d  -          kubetokend \S+ started; for what was before "
                     r"see journalctl", text, re.M)
    for command in ("log", "why"):
        r = home.run(command, "long-nam")
        assert (r.returncode, r.stdout) == (4, "") and 'did you mean "long-name"?' in r.stderr
    assert home.run("log", "--follow", "nobody").returncode == 4


def test_a_profile_that_is_configured_no_more_leaves_nothing(fake, home, daemon):
    home.configure(fake.profile("p") + fake.profile("q"))
    daemon.start()
    assert home.run("get", "q").returncode == 0
    home.configure(fake.profile("p"))
    assert home.run("reload").returncode == 0
    assert {e.get("profile") for e in log(home)} == {None}
    home.configure(fake.profile("p") + "nonsense\n")
    assert home.run("reload").returncode == 9
    assert [e["text"] for e in of(home, "reload")][:2] == [
        "the configuration was read: 2 profiles", "the configuration was read: 1 profile"]
    assert of(home, "reload")[-1]["text"].startswith("the configuration has errors: ")


class Follower:
    """`log --follow`, whose lines are read as they come."""

    def __init__(self, home, *arguments):
        self.process = subprocess.Popen(
            [rig.BUILD / "kubetoken", "log", "--follow", *arguments], env=home.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines, self.errors = [], []
        self.readers = [threading.Thread(target=self.read, args=pair)
                        for pair in ((self.process.stdout, self.lines),
                                     (self.process.stderr, self.errors))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def read(stream, lines):
        for line in stream:
            lines.append(line)

    def sees(self, text):
        return rig.wait_until(lambda: any(text in line for line in list(self.lines)), text)

    def end(self):
        self.process.terminate()
        for reader in self.readers:
            reader.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.wait(rig.PATIENCE)


@pytest.fixture
def follow(home):
    followers = []

    def start(*arguments):
        followers.append(Follower(home, *arguments))
        return followers[-1]
    yield start
    for follower in followers:
        if follower.process.poll() is None:
            follower.end()


def test_follow_tells_what_happens_and_goes_on_with_the_next_daemon(fake, home, running, follow):
    text, objects, other = follow(), follow("--json"), follow("--json", "p")
    for f in (text, objects, other):
        f.sees("started")
    assert home.run("get").returncode == 0
    text.sees("got a token by password in ")
    text.sees("handed out to ")
    objects.sees('"event":"hand-out"')
    other.sees('"event":"hand-out"')
    for _ in range(3):
        rig.ask(home, b"get token p once\n", shutdown=False)
    rig.wait_until(lambda: any(json.loads(line).get("count", 0) >= 3
                               for line in list(objects.lines)), "that it was asked again")
    running.restart()
    rig.wait_until(lambda: text.errors, "a word of the end")
    assert text.errors == ["kubetoken: kubetokend has ended, and forgets its log; waiting for the "
                           "next one\n"]
    rig.wait_until(lambda: sum("kubetokend" in line for line in text.lines) == 2, "the next one")
    home.run("logout")
    text.sees("logged out")
    objects.sees('"event":"logout"')
    for line in objects.lines:
        jsonschema.validate(json.loads(line), LINE)
    assert all(len(line) <= 81 for line in text.lines)
    for f in (text, objects):
        assert f.end() == -15
        assert len(f.errors) == 1


def drain(connection):
    """What has come, and comes now that there is room."""
    received = b""
    connection.settimeout(1)
    try:
        while b'"event":"lost"' not in received:
            received += connection.recv(1 << 20)
    except TimeoutError:
        pass
    return received


def test_a_follower_that_does_not_read_misses_some_and_slows_nobody(fake, home, running):
    with rig.connect(home) as s, rig.converse(home) as other:
        s.sendall(b"follow json * once\n")
        received, rounds = b"", 0
        while b'"event":"lost"' not in received:
            rounds += 1
            assert rounds < 20, received[-1000:]
            for _ in range(1000):  # as a rule more than the socket's buffer takes, and than is kept
                other.write(b"logout * p\n")
                other.flush()
                assert other.readline() == b"ok 0 0\n"
            received += drain(s)
    bodies = re.split(rb"ok \d+ 0\n", received)
    lines = [json.loads(line) for body in bodies for line in body.splitlines()
             if line.endswith(b"}")]
    for line in lines:
        jsonschema.validate(line, LINE)
    assert running.alive


def test_nobody_follows_and_nothing_wakes_up(home, running):
    """A connection that is closed is followed no more."""
    with rig.connect(home) as s:
        s.sendall(b"follow text *\n")
        assert s.recv(65536).startswith(b"ok ")
    assert home.run("log").returncode == 0
    home.run("logout")
    assert len(of(home, "logout")) == 1


def test_the_log_ends_with_the_daemon(fake, home, running):
    assert home.run("get").returncode == 0
    running.restart()
    assert [e["event"] for e in log(home)] == ["started", "reload"]
    assert home.run("get").returncode == 0
    assert [e["event"] for e in log(home)][2:] == ["hand-out"], "the token outlived it"


# ---- why -----------------------------------------------------------------------------------------

def test_nothing_was_rejected(fake, home, running):
    ask(home, 1)
    whole = why(home)
    assert whole["rejected"] is False
    assert re.match(r"no rejection was seen since \d\d:\d\d:\d\d, when kubetokend started; ",
                    whole["sentence"])
    assert why(home, "p")["sentence"].startswith("p: no rejection was seen")


@pytest.fixture
def server(fake, running, tmp_path):
    with apiserver.ApiServer(str(tmp_path / "apiserver"), fake.issuer, "client",
                             issuer_ca=fake.ca_file) as s:
        yield s


@pytest.fixture
def kubectl(home, server, tmp_path):
    programs = kubectls()
    if not programs:
        pytest.skip("no kubectl on this machine")
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(server.kubeconfig(stanza("v1beta1", "p"))))

    def run(*args):
        return subprocess.run(
            [programs[0], "--kubeconfig", kubeconfig, "--cache-dir", tmp_path / "cache", *args],
            env=home.environment, capture_output=True, text=True, timeout=2 * rig.PATIENCE,
            stdin=subprocess.DEVNULL)
    return run


def test_a_real_kubectl_meets_a_401_after_the_key_was_replaced(fake, home, kubectl, server):
    """The provider replaces its key; the API server fetches the new set, and knows the old token no
    more."""
    assert kubectl("get", "services").returncode == 0
    handed = of(home, "hand-out")
    assert all(e["program"].startswith("kubectl") for e in handed if "program" in e), handed
    assert any("program" in e for e in handed)
    assert why(home)["rejected"] is False
    fake.key = scripted.Key("key-2")
    server.rejections.seen()
    for _ in range(3):
        kubectl("get", "services")
    assert kubectl("get", "services").returncode == 0
    whole = why(home)
    assert whole["rejected"] and whole["profile"] == "p"
    assert whole["rejection"]["program"].startswith("kubectl")
    assert whole["rejection"]["told"] is False and whole["rejection"]["followed"]
    assert [c["cause"] for c in whole["causes"]] == ["key-replaced"]
    assert re.match(r"p: kubectl\S* \(\d+\) got the token of \S+ at \S+ and came back at \S+ for "
                    r"another while it was good for 59 min, so the API server probably rejected "
                    r"it: the token after it is signed with another key \(key-2, before it "
                    r"key-1\)", whole["sentence"])
    assert "handed out since, " in whole["sentence"] and "nobody came back" in whole["sentence"]
    [change] = of(home, "key-change")
    assert (change["key"], change["previousKey"]) == ("key-2", "key-1")
    assert "the provider signs with another key: key-2, before key-1" in words(home)
    assert "replaced the rejected token by password in" in words(home)
    assert "and came for another: it was rejected, it seems" in words(home)


def test_a_key_that_is_published_no_more_is_said_so(fake, home, running):
    assert home.run("get").returncode == 0
    fake.key = scripted.Key("key-2")
    assert home.run("refresh").returncode == 0
    [change] = of(home, "key-change")
    assert change["previousKeyGone"] is True
    assert home.run("get", "--rejected").returncode == 0
    whole = why(home)
    assert [c["cause"] for c in whole["causes"]] == ["key-new"]
    assert "may not have fetched it yet" in whole["sentence"]
    assert "said at " in whole["sentence"] and "by get --rejected" in whole["sentence"]


def test_an_address_that_is_not_verified_is_named(fake, home, running):
    fake.answers["/oauth/token"] = lambda _: scripted.json_answer(
        fake.token(id_token=fake.id_token(email_verified=False)))
    ask(home, 3)
    whole = why(home, "p")
    assert "finding" in [c["cause"] for c in whole["causes"]]
    assert "its e-mail address is not verified" in whole["sentence"]
    assert [w["code"] for w in whole["rejection"]["warnings"]] == ["email-not-verified"]
    assert "again" in [c["cause"] for c in whole["causes"]], "the third time it is the second one"
    assert whole["rejection"]["followed"] is False
    assert "kubetoken doctor p asks the API server" in whole["sentence"]


@pytest.mark.parametrize("kinds", ["exec", "socket"])
def test_python_as_a_client(home, running, kinds):
    """Its exec plugin is told with blanks that it is one; it asks for each request."""
    info = {**home.environment, "KUBERNETES_EXEC_INFO": INFO.replace(":", ": ")}
    script = ("import subprocess\nfor _ in range(3): subprocess.run(['kubetoken', 'get', 'p'])"
              if kinds == "exec" else
              "import os, socket\nfor _ in range(3):\n    s = socket.socket(socket.AF_UNIX)\n"
              "    s.connect(os.environ['XDG_RUNTIME_DIR'] + '/kubetoken/socket')\n"
              "    s.sendall(b'get token p once\\n')\n    while s.recv(65536): pass\n")
    subprocess.run(["/usr/bin/python3", "-c", script], env=info, check=True, timeout=rig.PATIENCE,
                   stdout=subprocess.DEVNULL)
    handed = of(home, "hand-out")
    named = [e for e in handed if "program" in e]
    assert named and all(e["program"].startswith("python3") and e["confirmed"] for e in named)
    assert sum(e["count"] for e in handed) == 3
    assert why(home)["rejected"] is False
