"""What a person sees of `status` on a terminal, `--watch` there and without one, names alone."""
import json
import os
import pathlib
import re
import select
import signal
import socket
import subprocess

import pytest

import rig
import schemas
from pseudo_terminal import Terminal
from scripted import json_answer
from test_autostart import auto  # noqa: F401: a fixture
from test_waiting import listen, say  # noqa: F401: a fixture

TOKEN = "/oauth/token"


@pytest.fixture
def terminal(home):
    made = []

    def make(*args, **kwargs):
        made.append(Terminal(home, *args, **kwargs))
        return made[-1]
    yield make
    for t in made:
        t.close()


def refuse_other(fake):
    """A provider that takes all but one user."""
    def answer(request):
        if request.form["username"] == "other":
            return json_answer({"error": "invalid_grant"}, 403)
        return json_answer(fake.token())
    fake.answers[TOKEN] = answer


@pytest.fixture
def four(home, daemon, fake):
    """One that is well, one that was refused, one that wants a password, one with a warning."""
    refuse_other(fake)
    fake.claims["groups"] = 7
    home.configure(fake.profile("minikube") + fake.profile("refused", user="other") +
                   fake.profile("typed", password="") +
                   fake.profile("warned", user="third", extra="groups-claim = groups"))
    daemon.start()
    codes = [home.run("get", name).returncode for name in ("minikube", "refused", "warned")]
    assert codes == [0, 6, 0]
    for name in ("minikube", "warned"):  # the first token may be renewed at any time
        assert home.run("refresh", name).returncode == 0
    return home


def steady(text):
    """Without what chance and the clock have in it, and as wide: the renewal has a jitter."""
    text = re.sub(r"\b(\d+)(?= (s|min)\b)", lambda m: "N" * len(m[1]), text)
    return re.sub(r"(?<=[#\u2588])[|\u2502](?=[#\u2588])",
                  lambda m: "#" if m[0] == "|" else "\u2588", text)


NOTES = """\
refused: stopped for N s
refused: error: the provider refused the user name or password: HTTP NNN,
    invalid_grant; correct the password at its source, or say kubetoken login;
    it is not sent again until it changes
typed: login needed for N s
typed: error: no password is known; say kubetoken login, or set password-file or
    another source
warned: warning: the token's groups claim is no list of texts: groups; the API
    server rejects it; have the provider send a text or a list of texts
""".replace("NNN", "403")
PLAIN = """\
PROFILE   USER     STATE         LEFT    NEXT
minikube  someone  idle          NN min  renewal in NN min
refused   other    stopped       -       -
typed     someone  login needed  -       -
warned    third    idle          NN min  renewal in NN min
"""
BLOCKS = """\
PROFILE   USER     STATE         LEFT                         NEXT
minikube  someone  idle          ████████████████████ NN min  renewal in NN min
refused   other    stopped       -                            -
typed     someone  login needed  -                            -
warned    third    idle          ████████████████████ NN min  renewal in NN min
"""
ASCII = """\
PROFILE   USER     STATE         LEFT                          NEXT
minikube  someone  idle          [###################] NN min  renewal in NN min
refused   other    stopped       -                             -
typed     someone  login needed  -                             -
warned    third    idle          [###################] NN min  renewal in NN min
"""
NARROW = """\
PROFILE   USER     STATE         LEFT
                                    NEXT
minikube  someone  idle          NN min
                       renewal in NN min
refused   other    stopped       -
                                       -
typed     someone  login needed  -
                                       -
warned    third    idle          NN min
                       renewal in NN min
refused: stopped for N s
"""
UTF8, C = {"LANG": "en_GB.UTF-8"}, {"LANG": "C"}
COLOURS = {"31", "32", "33"}


def test_what_a_person_sees(four, terminal):
    for columns, env, picture, colours in [
            (80, UTF8, BLOCKS + NOTES, COLOURS),
            (80, C, ASCII + NOTES, COLOURS),
            (80, {"LANG": None}, ASCII + NOTES, COLOURS),
            (80, {"LC_ALL": "C", **UTF8}, ASCII + NOTES, COLOURS),
            (80, {"LC_ALL": "", "LC_CTYPE": "de_DE.utf8", **C}, BLOCKS + NOTES, COLOURS),
            (200, UTF8, BLOCKS + rig.unwrapped(NOTES), COLOURS),
            (64, UTF8, None, COLOURS),
            (63, UTF8, PLAIN, COLOURS),
            (40, UTF8, NARROW, COLOURS),
            (80, {"NO_COLOR": "1", **UTF8}, BLOCKS + NOTES, set()),
            (80, {"NO_COLOR": "", **UTF8}, BLOCKS + NOTES, COLOURS),
            (80, {"TERM": "dumb", **C}, ASCII + NOTES, set()),
            (80, {"TERM": None, **UTF8}, BLOCKS + NOTES, set())]:
        t = terminal("status", columns=columns, env=env)
        code, text = t.end()
        text, where = steady(text), (columns, env)
        assert code == 0 and t.screen.colours == colours, where
        assert bool(colours) == (b"\x1b" in t.raw), where
        assert all(len(line) <= columns for line in text.splitlines()), where
        if picture is None:
            text = text.splitlines()[1]
            filled = 5 * chr(0x2588)
            picture = f"minikube  someone  idle          {filled} NN min  renewal in NN min"
        assert text.startswith(picture), (where, text)


def test_a_pipe_gets_neither_bar_nor_colour(four):
    for env in ({}, UTF8, {"TERM": "xterm", "COLUMNS": "80"}):
        assert steady(four.run("status", env=env).stdout) == PLAIN + NOTES
    assert four.run("status", "-o", "text").stdout.startswith("PROFILE ")


def test_json_by_either_name(four):
    a, b = (json.loads(four.run("status", *o).stdout) for o in (["--json"], ["-ojson"]))
    assert [p["profile"] for p in a["profiles"]] == [p["profile"] for p in b["profiles"]]


# ---- names --------------------------------------------------------------------------------------


def test_names_and_nothing_else(four):
    names = "minikube\nrefused\ntyped\nwarned\n"
    for words in (["status", "-o", "name"], ["status", "--output=name"], ["list"]):
        r = four.run(*words)
        assert (r.returncode, r.stdout, r.stderr) == (0, names, ""), words
    r = four.run("status", "-o", "name", "typed")
    assert (r.returncode, r.stdout) == (0, "typed\n")
    assert four.run("status", "-o", "name", "nobody").returncode == 4
    r = four.run("list", "typed")
    assert r.returncode == 2 and "it takes no profile" in r.stderr


@pytest.mark.parametrize("words, says", [
    (["-o", "names"], "--output takes json, name or text"),
    (["-q", "--json"], "-q prints nothing, --json does"),
    (["-q", "-o", "name"], "-q prints nothing, -o name does"),
    (["--watch", "-q"], "--watch shows a table, or lines of JSON"),
    (["--watch", "-o", "name"], "--watch shows a table, or lines of JSON")])
def test_what_does_not_go_together(home, words, says):
    r = home.run("status", *words)
    assert r.returncode == 2 and says in r.stderr


def test_for_names_no_daemon_is_started_nor_waited_for(home, fake):
    """A shell completes a word by them."""
    del home.environment["KUBETOKEN_AUTOSTART"]
    home.configure(fake.profile())
    r = home.run("status", "-o", "name")
    assert (r.returncode, r.stdout) == (3, "") and not home.socket_path.exists()
    assert r.stderr.startswith("kubetoken: no kubetokend answers")


def test_for_names_no_login_is_sent(home, daemon, fake):
    """Not even of a profile that is new in the file, and logs in with the daemon."""
    home.configure(fake.profile("a") + fake.profile("b"))
    daemon.start()
    home.configure(fake.profile("a") + fake.profile("b") +
                   fake.profile("new", extra="start = with-daemon"))
    home.settle()
    assert home.run("status", "-o", "name").stdout == "a\nb\n"
    assert fake.requests == []
    assert home.run("list").stdout == "a\nb\n"
    assert home.run("status").returncode == 0
    assert home.run("status", "-o", "name").stdout == "a\nb\nnew\n"
    rig.wait_until(fake.grants, "that login: it was to be one")


def test_without_a_configuration_there_are_no_names(home, daemon):
    daemon.start()
    r = home.run("status", "-o", "name")
    assert (r.returncode, r.stdout) == (9, "") and "no configuration yet" in r.stderr


# ---- --watch on a terminal ----------------------------------------------------------------------


LOST = "kubetoken: kubetokend has ended the connection; waiting for it"


def row(text, name):
    """What stands behind a profile's name in the table."""
    found = re.findall(rf"(?m)^{name} +(.*)$", text)
    return found[0] if found else ""


def test_a_watched_table_is_drawn_anew_at_each_change(home, daemon, fake, terminal):
    home.configure(fake.profile("p") + fake.profile("q", password="", user="other"))
    daemon.start()
    t = terminal("status", "--watch", env=C, rows=12)
    before = t.until_text("no password is known")
    assert t.screen.other and not t.screen.cursor
    assert row(before, "p").split() == ["someone", "idle", "-", "-"]

    assert home.run("get", "p").returncode == 0
    t.until(lambda text: "renewal in" in row(text, "p"), "a token")
    subprocess.run([rig.BUILD / "kubetoken", "login", "q"], env=home.environment, check=True,
                   input=b"canary-pw\n", stdout=subprocess.DEVNULL, timeout=rig.PATIENCE)
    t.until(lambda text: "renewal in" in row(text, "q"), "a login")
    assert "no password is known" not in t.text and "31" in t.screen.colours

    fake.refuse()  # an outage
    home.run("refresh", "p", "--timeout", "1s")
    t.until(lambda text: "the provider cannot be" in text and "##] 59 min" in row(text, "p"),
            "an outage, and the token that outlives it")
    fake.listen_again()
    assert home.run("refresh", "p").returncode == 0
    t.until(lambda text: "the provider cannot be" not in text, "its end")

    home.configure(fake.profile("p") + fake.profile("r"))
    daemon.reload()
    t.until(lambda text: row(text, "r") and not row(text, "q"), "another configuration")
    home.configure("nonsense\n")
    daemon.signal(signal.SIGHUP)
    t.until_text("is not in force")
    home.configure(fake.profile("p") + fake.profile("r"))
    daemon.signal(signal.SIGHUP)
    t.until(lambda text: "is not in force" not in text, "one that is in order")

    assert home.run("share", "box", "--profile", "p").returncode == 0
    t.until_text("p: shared as box for 7 h 59 min more:")
    assert home.run("unshare", "box").returncode == 0
    t.until(lambda text: "shared as" not in text, "its end")

    daemon.stop()
    t.until(lambda text: text.endswith("\n" + LOST), "its end")
    assert row(t.text, "p"), "what was known still stands there"
    daemon.start()
    t.until(lambda text: LOST not in text, "another daemon")
    assert b"31" not in t.screen.lines[0].encode() and t.process.poll() is None


def test_a_watched_table_fits_the_terminal_whatever_its_size(four, terminal):
    t = terminal("status", "--watch", env=UTF8, rows=24)
    t.until(lambda text: steady(text) == (BLOCKS + NOTES).rstrip("\n"))
    t.resize(columns=200)
    t.until(lambda text: steady(text) == (BLOCKS + rig.unwrapped(NOTES)).rstrip("\n"))
    t.resize(columns=80, rows=5)
    t.until(lambda text: steady(text) == BLOCKS.rpartition("warned")[0] + "(N more lines)"
            .replace("N", str(1 + NOTES.count("\n"))))
    t.resize(columns=40, rows=24)
    t.until(lambda text: steady(text).startswith(NARROW))


def test_interrupted_it_gives_the_terminal_back(four, terminal):
    t = terminal("status", "--watch", env=UTF8)
    t.until_text("PROFILE")
    assert t.screen.other
    t.type(b"\x03")
    code, text = t.end()
    assert code == -signal.SIGINT, "130 to a shell"
    assert not t.screen.other and t.screen.cursor
    assert steady(text) == BLOCKS + NOTES, "what was seen last is left"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT])
def test_ended_by_another_signal_it_does_so_too(four, terminal, number):
    t = terminal("status", "--watch")
    t.until_text("PROFILE")
    t.process.send_signal(number)
    assert t.end()[0] == -number and not t.screen.other and t.screen.cursor


def state_of(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def test_stopped_it_gives_the_terminal_back_until_it_goes_on(four, terminal):
    t = terminal("status", "--watch", env=UTF8)
    t.until_text("PROFILE")
    t.type(b"\x1a")
    t.until(lambda _: not t.screen.other)
    rig.wait_until(lambda: state_of(t.process.pid) == "T", "its stop")
    assert four.run("logout", "minikube").returncode == 0  # meanwhile
    t.process.send_signal(signal.SIGCONT)
    t.until(lambda text: row(text, "minikube").split() == ["someone", "idle", "-", "-"])
    assert t.screen.other


@pytest.mark.parametrize("how", ["dumb", "text"])
def test_where_nothing_can_be_drawn_tables_follow_each_other(four, terminal, how):
    if how == "dumb":
        t = terminal("status", "--watch", env={"TERM": "dumb", **C}, rows=100)
        wait, first = t.until, ASCII
    else:
        process = subprocess.Popen([rig.BUILD / "kubetoken", "status", "--watch", "-o", "text"],
                                   env=four.environment, stdout=subprocess.PIPE, text=True)
        lines, first = [], PLAIN

        def wait(condition, _=None):
            while not condition("".join(lines)):
                lines.append(process.stdout.readline())
            return "".join(lines)
    try:
        wait(lambda text: steady(text).startswith(first + NOTES))
        four.run("logout", "minikube")
        text = wait(lambda text: "\n\nPROFILE" in text and text.count("warned: warning") == 2)
        assert "\x1b" not in text
    finally:
        if how == "text":
            process.kill()
            process.communicate()


# ---- --watch for programs -----------------------------------------------------------------------


@pytest.fixture
def watcher(home):
    """Lines as they come, each with the object that it is."""
    made = []

    class Watcher:
        def __init__(self, *args, **kwargs):
            self.process = subprocess.Popen(
                [rig.BUILD / "kubetoken", "status", "--watch", *args], env=home.environment,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **kwargs)
            self.bytes = b""

        def next(self):
            while b"\n" not in self.bytes:
                assert select.select([self.process.stdout], [], [], rig.PATIENCE)[0], "no line"
                self.bytes += (more := os.read(self.process.stdout.fileno(), 65536))
                assert more, "its end"
            line, _, self.bytes = self.bytes.partition(b"\n")
            return schemas.check("change", line.decode() + "\n")

        def until(self, condition):
            while not condition(found := self.next()):
                pass
            return found

    def make(*args, **kwargs):
        made.append(Watcher(*args, **kwargs))
        return made[-1]
    yield make
    for w in made:
        w.process.kill()
        w.process.communicate()


@pytest.mark.parametrize("options", [[], ["--json"], ["-o", "json"]])
def test_without_a_terminal_each_change_is_a_line(home, daemon, fake, watcher, options):
    home.configure(fake.profile("p") + fake.profile("q", password="", user="other"))
    daemon.start()
    w = watcher(*options)
    first = [w.next(), w.next()]
    assert [f["profile"] for f in first] == ["p", "q"], "each as it is"
    assert [f["state"] for f in first] == ["idle", "login needed"]
    assert first[1]["error"]["code"] == "login-needed"
    for f in first:
        assert next(iter(f)) == "timestamp" and rig.seconds(f.pop("timestamp")) > 0
        assert set(f) == set(home.status(f["profile"]))

    assert home.run("get", "p").returncode == 0
    asking = w.next()
    assert (asking["profile"], asking["state"]) == ("p", "asking")
    token = w.until(lambda line: line["state"] == "idle")
    assert token["profile"] == "p" and token["verified"] and token["expiresInSeconds"] > 0
    assert home.run("status").returncode == 0 and home.run("get", "p").returncode == 0

    home.configure(fake.profile("p"))
    daemon.reload()
    gone = w.next()  # neither that nor a `get` of a token in hand was a change
    assert gone.pop("timestamp") and gone == {"profile": "q", "state": "gone"}
    daemon.restart()
    again = w.next()
    assert again["profile"] == "p" and again["expiresInSeconds"] > 0, "as it is in another life"
    assert w.process.stderr.readline().decode() == LOST + "\n"
    assert w.process.poll() is None


def test_a_renewal_that_nobody_asks_for_is_a_line(home, daemon, fake, watcher):
    fake.lifetime = 4
    home.configure(fake.profile("p"))
    daemon.start()
    assert home.run("get").returncode == 0
    w = watcher("p")
    first = w.next()["expirationTimestamp"]
    w.until(lambda line: line.get("expirationTimestamp", first) != first)
    assert len(fake.grants()) > 1


def test_a_token_that_dies_is_a_line(home, daemon, fake, watcher):
    """Though nothing happens then: nobody uses it, so nothing is asked."""
    fake.lifetime = 3
    home.configure(fake.profile("p", extra="keep-fresh = 1s"))
    daemon.start()
    assert home.run("get").returncode == 0
    w = watcher("p")
    assert "expirationTimestamp" in w.next()
    dead = w.next()
    assert (dead["state"], "expirationTimestamp" in dead) == ("idle", False)
    assert len(fake.grants()) == 1


def test_a_reader_that_goes_ends_it(home, daemon, fake, watcher):
    home.configure(fake.profile())
    daemon.start()
    w = watcher()
    w.next()
    w.process.stdout.close()
    assert w.process.wait(rig.PATIENCE) == 1
    assert b"the output cannot be written: Broken pipe" in w.process.stderr.read()


def test_one_profile_is_watched_until_it_is_gone(home, daemon, fake, terminal, watcher):
    home.configure(fake.profile("p") + fake.profile("q"))
    daemon.start()
    w, t = watcher("p"), terminal("status", "--watch", "p")
    assert w.next()["profile"] == "p"
    t.until(lambda text: row(text, "p") and not row(text, "q"))
    home.run("get", "q")
    home.configure(fake.profile("q"))
    daemon.reload()
    assert w.process.wait(rig.PATIENCE) == 4 and w.process.stdout.read() == b""
    says = "kubetoken: no such profile: p is no longer configured"
    assert w.process.stderr.read().decode().startswith(says)
    code, text = t.end()
    assert code == 4 and not t.screen.other and says in text


def test_what_cannot_be_watched_is_told_as_status_tells_it(home, daemon, fake, watcher):
    daemon.start()
    r = home.run("status", "--watch")
    assert r.returncode == 9 and r.stderr == home.run("status").stderr
    home.configure(fake.profile("p"))
    daemon.reload()
    r = home.run("status", "--watch", "x")
    assert (r.returncode, r.stdout) == (4, "") and r.stderr == home.run("status", "x").stderr


def test_without_a_daemon_it_ends(home):
    r = home.run("status", "--watch")
    assert (r.returncode, r.stdout) == (3, "") and "no kubetokend answers" in r.stderr


def test_an_older_daemon_is_told_from_one_that_is_silent(home, listen):  # noqa: F811
    listen(say(b"ok 4 0\nold\n"), say(b"error bad-request 0 4\nwhat"))
    r = home.run("status", "--watch")
    assert (r.returncode, r.stdout) == (3, "")
    assert "it does not know status --watch" in r.stderr


def test_a_daemon_is_started_at_first_and_waited_for_later(auto, watcher):  # noqa: F811
    """By the kernel's word: once it has tried for a while it sleeps until there is a socket."""
    w = watcher()
    assert w.next()["profile"] == "p"
    assert auto.run("stop").returncode == 0
    assert w.process.stderr.readline().decode() == LOST + "\n"
    sleep = f"/proc/{w.process.pid}/syscall"  # poll(2) without a timeout, in its third argument
    rig.wait_until(lambda: re.match(r"\S+ \S+ 0x2 0xf{8,} ", pathlib.Path(sleep).read_text()),
                   "its sleep")
    assert not auto.socket_path.exists(), "it started none"
    assert auto.run("get").returncode == 0
    assert w.next()["profile"] == "p"


# ---- what it costs the daemon -------------------------------------------------------------------


def test_a_watch_is_no_use_of_the_daemon(home, fake):
    """It does not keep one that nobody asks from its end."""
    home.configure(fake.profile())
    daemon = rig.Daemon(home, activated=False, arguments=("--idle-exit", "1s"))
    try:
        daemon.start()
        with rig.connect(home) as s:
            s.sendall(b"watch text *\n")
            assert s.recv(4096).startswith(b"ok ")
            assert daemon.process.wait(rig.PATIENCE) == 0
    finally:
        daemon.close()


def next_wake_up(pid):
    """Of the daemon's timers by CLOCK_BOOTTIME, in seconds; None: they are off."""
    folder = pathlib.Path(f"/proc/{pid}/fdinfo")
    for fd in folder.iterdir():
        text = fd.read_text()
        if "clockid: 7\n" in text:
            value = re.search(r"it_value: \((\d+), (\d+)\)", text)
            return int(value[1]) + int(value[2]) / 1e9 or None
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may look into the daemon")
def test_nothing_is_timed_while_nobody_watches(home, daemon, fake):
    home.configure(fake.profile(password=""))
    daemon.start()
    assert home.run("status").returncode == 0
    rig.wait_until(lambda: next_wake_up(daemon.process.pid) is None, "no timer")
    with rig.connect(home) as s:
        s.sendall(b"watch json *\n")
        assert s.recv(4096).startswith(b"ok ")
        assert home.run("status").returncode == 0  # a turn of the loop
        assert next_wake_up(daemon.process.pid) is None, "without a token nothing changes by itself"
        with rig.connect(home) as t:
            t.sendall(b"watch text *\n")
            assert t.recv(4096).startswith(b"ok ")
            rig.wait_until(lambda: next_wake_up(daemon.process.pid), "the minute of a table")
            assert next_wake_up(daemon.process.pid) <= 60.2
        rig.wait_until(lambda: next_wake_up(daemon.process.pid) is None, "no timer again")


def test_there_is_a_limit_of_those_who_watch(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    watching = []
    try:
        for _ in range(64):
            watching.append(rig.connect(home))
            watching[-1].sendall(b"watch json *\n")
            assert watching[-1].recv(4096).startswith(b"ok ")
        assert rig.ask(home, b"watch json *\n").startswith(b"error busy ")
        watching.pop().close()
        rig.wait_until(lambda: rig.ask(home, b"watch json * once\n").startswith(b"ok "), "a place")
    finally:
        for s in watching:
            s.close()


def test_who_does_not_read_misses_what_lies_between(home, daemon, fake):
    """And delays nobody: the others are told, and the daemon keeps one answer."""
    names = [f"profile-{i:03}-{'x' * 50}" for i in range(150)]
    home.configure("".join(fake.profile(n, password="") for n in names))
    daemon.start()
    with rig.connect(home) as slow, rig.connect(home) as quick:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(b"watch json *\n")
        quick.sendall(b"watch json *\n")
        reader = quick.makefile("rb")

        def answer():
            head = reader.readline().split()
            assert head[0] == b"ok", head
            return reader.read(int(head[1]))
        assert answer().count(b"\n") == len(names)
        for i in range(40):  # all change each time: some MB
            extra = f"groups-claim = g{i}"
            home.configure("".join(fake.profile(n, password="", extra=extra) for n in names))
            daemon.reload()
            while f'"groupsClaim":"g{i}"'.encode() not in answer():
                pass
        received = b""
        while b'"groupsClaim":"g39"' not in received:
            received = received[-100:] + slow.recv(1 << 20)  # it was not dropped


def test_in_the_background_it_draws_nothing(home, terminal, daemon, fake):
    """As a job of a shell it is stopped, and goes on where it is brought to the front."""
    home.configure(fake.profile("work"))
    daemon.start()
    t = terminal("status", "--watch", before=(
        "bash", "-mc", '"$@" & wait $!; echo "stopped by $(kill -l $?)"; fg',
        "bash"))
    t.until(lambda _: b"stopped by TTOU" in t.raw, "it is stopped")
    assert b"\x1b[" not in t.raw.partition(b"stopped by")[0]
    t.until_text("work")
    t.type(b"\x03")
    assert t.end()[0] == 130


# ---- other grants ------------------------------------------------------------------------------


def of_grant(fake, name, *lines):
    return (f"[profile {name}]\nissuer = {fake.issuer}\nca-file = {fake.ca_file}\n"
            "client-id = client\n" + "".join(f"{line}\n" for line in lines))


def test_a_column_tells_the_grant_where_it_is_not_the_password(home, daemon, fake):
    home.configure(fake.profile("p") + of_grant(fake, "d", "grant = device") +
                   of_grant(fake, "r", "grant = refresh-token") + of_grant(fake, "x", "from = p") +
                   of_grant(fake, "c", "token-command = /bin/false"))
    daemon.start()
    rows = {line.split()[0]: re.split(r" {2,}", line)
            for line in home.run("status").stdout.splitlines()[:6]}
    assert rows.pop("PROFILE") == ["PROFILE", "USER", "GRANT", "STATE", "LEFT", "NEXT"]
    assert {name: row[2] for name, row in rows.items() if name != "p"} == {
        "d": "device", "r": "refresh-token", "x": "from p", "c": "token-command"}
    assert rows["p"] == ["p", "someone", "idle", "-", "-"]
    status = {p["profile"]: (p.get("grant"), p.get("from")) for p in home.status()}
    assert status == {"p": (None, None), "d": ("device", None), "r": ("refresh-token", None),
                      "x": ("exchange", "p"), "c": ("token-command", None)}


def test_without_another_grant_there_is_no_such_column(home, daemon, fake):
    home.configure(fake.profile("p"))
    daemon.start()
    assert home.run("status").stdout.splitlines()[0] == "PROFILE  USER     STATE  LEFT  NEXT"


@pytest.mark.parametrize("grant", ["device", "refresh-token"])
def test_it_says_when_the_person_is_needed(home, daemon, fake, grant):
    home.configure(of_grant(fake, "d", f"grant = {grant}"))
    daemon.start()
    assert home.run("get", "d").returncode == 5
    assert "kubetoken login d\n" in rig.unwrapped(home.run("status").stdout)
    assert not fake.grants()


def test_a_refresh_token_in_hand_is_told_with_its_age(home, daemon, fake):
    fake.answers[TOKEN] = lambda _: json_answer(fake.token(refresh_token="canary-r"))
    home.configure(of_grant(fake, "d", "grant = refresh-token"))
    daemon.start()
    [before] = home.status()
    assert home.run("login", "--refresh-token", "d", input="canary-r0").returncode == 0
    [after] = home.status()
    assert "refreshTokenHeld" not in before and after["refreshTokenHeld"]
    assert after["refreshTokenTimestamp"] >= after["sinceTimestamp"][:10]
    assert "canary" not in home.run("status", "--json").stdout
    assert home.run("logout", "d").returncode == 0
    assert "refreshTokenHeld" not in home.status()[0]
