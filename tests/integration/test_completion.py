"""What a TAB brings in bash, zsh and fish, and behind `kubectl kubetoken`: by the texts of help,
with one connection for the names of profiles, and nothing started for it."""
import os
import pathlib
import pty
import re
import select
import shutil
import subprocess
import time

import pytest

import rig
from test_autostart import end
from test_command_line import EVERYWHERE, VALUES, help_of, options_of
from test_install import make
from test_kubectl import kubectls, minor_version
from test_waiting import Listener

NAMES = b"spare\nwork\nwork@example.com\n"


def answer(listener, connection):
    request = listener.read(connection)
    assert request.startswith(b"status name * "), request
    connection.sendall(b"ok %d 0\n%s" % (len(NAMES), NAMES))
    connection.close()


@pytest.fixture
def names(home):
    """A daemon that knows the names of profiles, and no other word."""
    with_names = Listener(home, answer)
    yield with_names
    with_names.close()


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("installed")
    make("install", DESTDIR=folder, PREFIX="/usr")
    return folder / "usr"


def candidates(home, *words, code=0):
    """[(candidate, text)] and the directive."""
    r = home.run("__complete", *words, env={"KUBETOKEN_AUTOSTART": "1"})
    assert (r.returncode, r.stderr) == (code, "")
    *lines, directive = r.stdout.splitlines()
    return [tuple(line.partition("\t")[::2]) for line in lines], directive


def names_of(home, *words):
    return [name for name, _ in candidates(home, *words)[0]]


# ---- by the texts of help ----------------------------------------------------------------------

def commands(home):
    """{name: its line, as far as a semicolon}"""
    return dict(re.findall(r"^  ([a-z]+)  +(\S[^;\n]*)", home.run("help").stdout, re.M))


def test_each_command_is_offered_with_its_line(home):
    assert dict(candidates(home, "")[0]) == commands(home)
    assert set(names_of(home, "help", "")) == set(commands(home))
    assert set(names_of(home, "-")) > {"--help", "--version"}
    assert candidates(home, "bogus", "") == ([], ":4") and candidates(home)[0]


def test_each_option_of_a_commands_help_is_offered_and_no_other(home):
    for command in commands(home):
        offered = dict(candidates(home, command, "-")[0])
        assert set(offered) == options_of(help_of(home, command)), command
        assert offered["--help"] == "show this"


def test_each_value_that_is_offered_is_taken(home):
    """And one that is no file, time or name is offered its values."""
    tried = 0
    for command in commands(home):
        for option in options_of(help_of(home, command)) - EVERYWHERE:
            for form in ([option, ""], [f"{option}="])[:1 + option.startswith("--")]:
                offered = names_of(home, command, *form)
                for value in offered:
                    words = [value] if "=" in value else [option, value]
                    r = home.run(command, *words, "--bogus")
                    assert "unknown option --bogus" in r.stderr, (words, r.stderr)
                tried += len(offered)
    assert tried > 20
    assert names_of(home, "get", "-o", "") == ["exec", "exec/v1", "exec/v1beta1", "token",
                                               "header", "json"]
    assert names_of(home, "kubeconfig", "--api-version", "") == ["v1", "v1beta1"]
    assert "RS256" in names_of(home, "doctor", "--expect-signing-alg", "")
    for command in ("init", "import"):
        assert names_of(home, command, "--grant", "") == ["password", "device", "refresh-token"]


def test_what_takes_a_file_says_so(home):
    for command in commands(home):
        for option, value in re.findall(r"^  (?:-., )?(--[a-z-]+) FILE\b()", help_of(home, command),
                                        re.M):
            assert candidates(home, command, option, value) == ([], ":0")
            assert candidates(home, command, f"{option}=x") == ([], ":0")
    assert candidates(home, "doctor", "--kubeconfig", "") == ([], ":0")
    assert candidates(home, "get", "--timeout", "") == ([], ":4")


def test_what_was_said_is_not_offered_again(home):
    assert "--json" not in names_of(home, "doctor", "--json", "-")
    assert not {"-o", "--output"} & set(names_of(home, "get", "-o", "token", "-"))
    assert not {"-o", "--output"} & set(names_of(home, "get", "--output=token", "-"))
    assert "--expect-claim" in names_of(home, "doctor", "--expect-claim", "a=b", "-")
    assert "--json" in names_of(home, "doctor", "--help", "-V", "-"), "which is not asked for here"


def test_codes_come_with_their_sentence(home):
    listed = re.findall(r"^(\S+) +\d+  (.*)", home.run("explain").stdout, re.M)
    assert candidates(home, "explain", "") == (listed, ":4") and len(listed) > 50
    assert candidates(home, "explain", "usage", "")[0] == []


def test_contexts_are_those_of_the_kubeconfig(home):
    """No kubectl is run for them, and a name that would speak to the terminal is left out."""
    if "--context" not in options_of(help_of(home, "kubeconfig")):
        pytest.skip("kubeconfig has no --context")
    kubeconfig = home.folder / "kubeconfig"
    kubeconfig.write_text('contexts:\n- name: one\n- name: "$(two)"\n- name: "th\\tree"\n'
                          'users:\n- name: who\n')
    home.environment |= {"KUBECONFIG": f"{home.folder}/none:{kubeconfig}", "PATH": "/nowhere"}
    assert names_of(home, "kubeconfig", "--context", "") == ["one", "$(two)"]
    assert names_of(home, "kubeconfig", "--user=") == ["--user=who"]


# ---- the names of profiles ---------------------------------------------------------------------

WITH_PROFILE = [["get"], ["status"], ["login"], ["inspect"], ["doctor", "--json"], ["refresh"],
                ["get", "--min-validity", "5m"], ["get", "--output=token"], ["get", "--"]]


def test_a_profile_costs_one_connection(home, names):
    for words in WITH_PROFILE:
        before = len(names.requests)
        assert candidates(home, *words, "") == (
            [("spare", ""), ("work", ""), ("work@example.com", "")], ":4"), words
        assert len(names.requests) == before + 1, words


def test_the_profile_whose_tokens_are_taken_is_one_that_there_is(home, names):
    assert names_of(home, "init", "--from", "") == ["spare", "work", "work@example.com"]


def test_where_no_profile_may_stand_nobody_is_asked(home, names):
    for words in ([""], ["get", "-"], ["get", "work", ""], ["get", "-o", ""], ["reload", ""],
                  ["get", "--timeout", ""], ["explain", ""], ["help", ""], ["version", ""],
                  ["run", "--", ""]):
        candidates(home, *words)
    assert not names.requests


def test_nothing_is_started(home, fake):
    """No daemon, no folder for its socket, no log, no word on stderr."""
    home.configure(fake.profile())
    before = sorted(home.folder.rglob("*"))
    try:
        assert candidates(home, "get", "") == ([], ":4")
        assert sorted(home.folder.rglob("*")) == before
    finally:
        end(home.socket_path)


@pytest.mark.parametrize("behaviour", [lambda _, c: None, lambda _, c: c.close(),
                                       lambda _, c: c.sendall(b"error bad-request 0 9\nnot known")],
                         ids=["silent", "ending", "older"])
def test_a_daemon_that_does_not_answer_is_asked_once(home, behaviour):
    listener = Listener(home, behaviour)
    try:
        assert candidates(home, "get", "") == ([], ":4")
        assert len(listener.requests) == 1
    finally:
        listener.close()


def test_systemd_is_not_made_to_start_a_daemon(home, names):
    """A service that is active has a link, and a socket that is not systemd's a lock."""
    def asked():
        before = len(names.requests)
        assert len(candidates(home, "get", "")[0]) in (0, 3)
        return len(names.requests) - before

    units, config = home.runtime / "systemd" / "units", pathlib.Path(home.config).parent
    units.mkdir(parents=True)
    (home.runtime / "systemd" / "private").touch()
    assert asked() == 0, "of a socket that was started only"
    home.socket_path.with_name("socket.lock").touch()
    assert asked() == 1, "of a daemon by hand"
    wanted = config / "systemd" / "user" / "sockets.target.wants"
    wanted.mkdir(parents=True)
    (wanted / "kubetoken.socket").symlink_to("/dev/null")
    assert asked() == 0, "a lock of former days"
    (units / "invocation:kubetoken.service").symlink_to("0123456789abcdef")
    assert asked() == 1


def test_the_daemon_sends_nothing_for_it(home, daemon, fake):
    home.configure(fake.profile("spare") + fake.profile("work"))
    daemon.start()
    asked = len(fake.requests)
    assert names_of(home, "get", "") == ["spare", "work"]
    assert len(fake.requests) == asked


# ---- the shells --------------------------------------------------------------------------------

class Typing:
    """A shell on a terminal. A line is typed, then TAB, then a key that has the shell print what
    stands on the line; what comes between is the list of candidates."""

    def __init__(self, argv, environment, setup):
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.execve(argv[0], argv, environment)
        self.type(setup + "; echo REA''DY\n", r"READY\r\n\r*# ")

    def type(self, keys, until):
        """Returns what is printed until that."""
        os.write(self.terminal, keys.encode())
        text, deadline = "", time.monotonic() + rig.PATIENCE
        while not re.search(until, text):
            ready = select.select([self.terminal], [], [], deadline - time.monotonic())[0]
            assert ready, text
            text += os.read(self.terminal, 65536).decode()
        return text

    def tab(self, line):
        """The line then, and {candidate: text}, or {} where one was put in."""
        shown = r"<([^>]*)>\r+\n\r*# \1"  # and read again: the terminal is the shell's
        text = self.type(line + "\t\x07", shown)
        self.type("\x15\x07", r"<>\r+\n\r*# ")
        rows = [row.strip().partition("  ") for row in text.splitlines()[1:]]
        rows = [(name, what.strip(" -")) for name, _, what in rows
                if name and name[0] not in "#<"]
        return re.search(shown, text)[1], dict(rows)

    def close(self):
        os.close(self.terminal)
        os.waitpid(self.pid, 0)


class Bash(Typing):
    describes = False

    def __init__(self, environment, installed):
        program = shutil.which("bash")
        settings = ["show-all-if-ambiguous on", "completion-display-width 0", "bell-style none",
                    "page-completions off", "completion-query-items 0",
                    "enable-bracketed-paste off"]
        setup = [*(f"bind 'set {s}'" for s in settings), "PS1='# '",
                 ". /usr/share/bash-completion/bash_completion",
                 r"""bind -x '"\C-g": printf "<%s>\n" "$READLINE_LINE"'"""]
        super().__init__([program, "--norc", "--noprofile", "-i"],
                         environment | {"XDG_DATA_DIRS": f"{installed}/share:/usr/share"},
                         "; ".join(setup))


class Zsh(Typing):
    describes = True

    def __init__(self, environment, installed):
        setup = [f"fpath=({installed}/share/zsh/site-functions $fpath)", "PS1='# '",
                 "autoload -Uz compinit", "compinit -D -u", "LISTMAX=0",
                 "setopt no_beep no_prompt_sp",
                 """show() { zle -I; print -r -- "<$BUFFER>" }""", "zle -N show",
                 "bindkey '^G' show"]
        super().__init__([shutil.which("zsh"), "-f", "-i"], environment, "; ".join(setup))


class Fish:
    """It tells by itself what it would offer."""
    describes = True

    def __init__(self, environment, installed):
        self.environment = environment | {"XDG_DATA_DIRS": f"{installed}/share:/usr/share"}

    def tab(self, line):
        r = subprocess.run([shutil.which("fish"), "-c", 'complete -C"$argv[1]"', line], text=True,
                           env=self.environment, capture_output=True, timeout=rig.PATIENCE)
        assert (r.returncode, r.stderr) == (0, "")
        rows = dict(row.partition("\t")[::2] for row in r.stdout.splitlines())
        if len(rows) == 1:
            return " ".join(line.split(" ")[:-1] + list(rows)) + " ", {}
        return line, rows

    def close(self):
        pass


@pytest.fixture(params=[Bash, Zsh, Fish], ids=["bash", "zsh", "fish"])
def shell(request, home, installed):
    name = request.param.__name__.lower()
    if not shutil.which(name):
        pytest.skip(f"no {name} here")
    if name == "bash" and not os.path.exists("/usr/share/bash-completion/bash_completion"):
        pytest.skip("no bash-completion here")
    del home.environment["KUBETOKEN_AUTOSTART"]
    s = request.param({**home.environment, "TERM": "dumb", "COLUMNS": "200", "HISTFILE": "",
                       "XDG_DATA_HOME": str(home.folder / "data")}, installed)
    yield s
    s.close()


def test_a_tab_in_the_shell(home, shell, names):
    line, rows = shell.tab("kubetoken st")
    assert (line, set(rows)) == ("kubetoken st", {"status", "stop"})
    if shell.describes:
        assert rows["stop"] == "end the daemon, unless it is systemd's"
    for typed, becomes in (
            ("sta", "status"), ("get --min", "get --min-validity"), ("get -o he", "get -o header"),
            ("get --output=he", "get --output=header"), ("explain no-da", "explain no-daemon"),
            ("help kubec", "help kubeconfig"),
            ("doctor --expect-signing-alg=RS25", "doctor --expect-signing-alg=RS256")):
        assert shell.tab(f"kubetoken {typed}")[0].rstrip() == f"kubetoken {becomes}"
    assert shell.tab("kubetoken get --bogus") == ("kubetoken get --bogus", {})
    assert not names.requests and not home.socket_path.with_name("socket.lock").exists()


def test_a_profile_in_the_shell(shell, names):
    line, rows = shell.tab("kubetoken get wo")
    assert line == "kubetoken get work" or set(rows) == {"work", "work@example.com"}
    assert len(names.requests) == 1
    assert shell.tab("kubetoken get sp")[0] == "kubetoken get spare "
    assert shell.tab("kubetoken status -q work@")[0] == "kubetoken status -q work@example.com "
    assert len(names.requests) == 3


def test_a_file_in_the_shell(home, shell, names):
    (home.folder / "kube one").touch()
    (home.folder / "another").touch()
    for option in ("--kubeconfig ", "--kubeconfig=", "--authentication-config "):
        line, _ = shell.tab(f"kubetoken doctor {option}{home.folder}/ano")
        assert line.rstrip() == f"kubetoken doctor {option}{home.folder}/another"
    assert not names.requests


def test_another_command_in_the_shell(home, shell, names):
    """Behind `run --` that command's own completion speaks."""
    (home.folder / "another").touch()
    assert shell.tab("kubetoken run -- kubetoken get -o he")[0] \
        == "kubetoken run -- kubetoken get -o header "
    line, _ = shell.tab(f"kubetoken run --env T -- cat {home.folder}/ano")
    assert line.rstrip() == f"kubetoken run --env T -- cat {home.folder}/another"
    line, rows = shell.tab("kubetoken run -- kubetok")
    assert "kubetoken" in [*rows, line.split()[-1]]
    assert not names.requests


def test_a_shell_without_a_daemon_starts_none(home, shell):
    line, rows = shell.tab("kubetoken get ")
    assert line == "kubetoken get " and not rows
    assert not home.socket_path.parent.exists()


# ---- behind kubectl ----------------------------------------------------------------------------

@pytest.fixture(params=kubectls() or [pytest.param(None, marks=pytest.mark.skip(
    reason="no kubectl on this machine"))])
def kubectl(request, home, installed):
    home.environment["PATH"] += f":{installed}/bin"

    def run(*args, **env):
        return subprocess.run([request.param, *args], env={**home.environment, **env}, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=rig.PATIENCE)

    run.minor = minor_version(request.param)
    return run


def test_kubectl_runs_it_as_its_plugin(home, daemon, fake, kubectl):
    home.configure(fake.profile("p"))
    daemon.start()
    r = kubectl("kubetoken", "get", "p")
    assert r.returncode == 0 and r.stdout.count(".") == 2, r.stderr
    r = kubectl("kubetoken", "status", "-q", "p")
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    r = kubectl("kubetoken", "get", "nobody")
    assert r.returncode == 4 and "kubetoken: no such profile: nobody;" in r.stderr, r.stderr
    assert kubectl("kubetoken", "--version").stdout.startswith("kubetoken ")
    assert "/kubectl-kubetoken" in kubectl("plugin", "list").stdout


def test_kubectl_completes_its_plugin(home, names, kubectl):
    if kubectl.minor < 26:
        pytest.skip("a kubectl before 1.26 does not ask its plugins")
    r = kubectl("__complete", "kubetoken", "get", "-o", "he")
    assert r.returncode == 0 and {"header", ":4"} <= set(r.stdout.split()), r
    r = kubectl("__complete", "kubetoken", "st")
    assert "status\tshow profiles, states and times" in r.stdout
    assert not names.requests
    assert "work@example.com" in kubectl("__complete", "kubetoken", "get", "").stdout.split()
    assert len(names.requests) == 1
    assert kubectl("__complete", "kubetoken", "doctor", "--kubeconfig", "").stdout == ":0\n"
