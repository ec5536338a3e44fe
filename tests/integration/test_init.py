"""init: what it asks, tries and writes, and that it leaves nothing where it is ended."""
import contextlib
import fcntl
import glob
import os
import pathlib
import pty
import shutil
import signal
import stat
import subprocess
import termios

import pytest

import rig
import scripted
from dialogue import Dialogue
from scripted import json_answer

CANARY = "canary-pw"


@pytest.fixture
def talk(home):
    """A dialogue with `kubetoken init`; it is ended with the test."""
    started = []

    def start(*args, env=None, cwd=None):
        started.append(Dialogue([rig.BUILD / "kubetoken", "init", *args],
                                {**home.environment, **(env or {})}, cwd))
        return started[-1]
    yield start
    for dialogue in started:
        dialogue.close()


def flags(fake, *more, user="someone"):
    named = ["--username", user] if user else []
    return ["work", "--yes", "--issuer", fake.issuer, "--ca-file", fake.ca_file, "--client-id",
            "client", *named, *more]


def files(home):
    """Each below the configuration's folder, with its mode, its text and when it was written."""
    return {p.name: (stat.S_IMODE(p.stat().st_mode), p.read_text(), p.stat().st_mtime_ns)
            for p in home.config.rglob("*") if p.is_file()}


def traces(pid):
    """The folders of the trials of that process."""
    return glob.glob(f"/dev/shm/kubetoken-trial-{pid}-*") + glob.glob(
        f"/run/user/*/kubetoken-trial-{pid}-*") + glob.glob(f"/tmp/kubetoken-trial-{pid}-*")


def section(fake, *lines):
    return "\n".join(["[profile work]", f"issuer = {fake.issuer}", f"ca-file = {fake.ca_file}",
                      "client-id = client", *lines, ""])


def refuse(_):
    return json_answer({"error": "invalid_grant"}, 403)


# ---- a person at a terminal --------------------------------------------------------------------


def test_it_asks_tries_and_writes(fake, home, daemon, talk):
    """The whole of it: a pasted discovery URL without a scheme, an authority of the provider's own,
    a secret, a wrong password. What a person sees, word by word."""
    shutil.rmtree(home.config)
    daemon.start()
    fake.answers["/oauth/token"] = refuse
    t = talk("--no-kubeconfig")
    assert t.answer("Name of the profile [default]: ", "wo rk")
    t.expect("1 to 64 of A-Z a-z 0-9 . _ @ -\n").answer("[default]: ", "work")
    t.answer("Issuer (the provider's URL): ", f" {fake.host}/.well-known/openid-configuration ")
    t.expect(f"The issuer is https://{fake.host}.\n").expect("no trusted TLS connection")
    t.answer("File with the provider's CA (PEM), empty for another issuer: ", str(fake.ca_file))
    t.answer("Client id: ", "client").expect("Client secret (not shown; empty for a public "
                                             "client): ")
    assert not t.echoes
    t.type("canary-client\n").answer("User name at the provider (empty: login asks): ", "someone")
    t.answer("Number [1]: ", "7").answer("Number [1]: ", "2").expect("Password of someone: ")
    assert not t.echoes and not home.config.exists()
    t.type("canary-wrong\n").expect("the provider refused the user name or password")
    t.expect("check the user name and the password\n")
    t.expect("Once more, or ^C to leave it. Each counts at the provider, which may lock the\n"
             "account.\n")
    assert len(fake.grants()) == 1 and not home.config.exists()
    del fake.answers["/oauth/token"]
    t.answer("Password of someone: ", CANARY).expect("It works: the provider gave a token.\n")
    t.expect(f"The API server will see:\n  {fake.issuer}#auth0|1\n"
             "    with --oidc-username-claim=sub, the default\n  someone@example.com\n"
             "    with --oidc-username-claim=email\n")
    t.expect("Written: [profile work] in ~/config/kubetoken/kubetoken.conf.\n")
    assert t.expect("Every link from here to the API server (kubetoken doctor):").end() == 0
    assert "calls itself" in t.shown and "canary" not in t.shown
    assert "  2  in a file that you alone can read, work.password\n" in t.shown
    long = [line for line in t.shown.partition("Every link")[0].splitlines() if len(line) > 80]
    assert all(str(fake.ca_file) in line for line in long), long
    written = files(home)
    assert {name: (mode, text) for name, (mode, text, _) in written.items()} == {
        "kubetoken.conf": (0o600, section(fake, "client-secret-file = work.client-secret",
                                          "username = someone", "password-file = work.password")),
        "work.client-secret": (0o600, "canary-client"),
        "work.password": (0o600, CANARY)}
    assert stat.S_IMODE(home.config.stat().st_mode) == 0o700
    assert [g.form["password"] for g in fake.grants()] == ["canary-wrong", CANARY, CANARY]
    assert home.run("get", "work").returncode == 0 and not traces(t.pid)


QUESTIONS = ["Name of the profile", "Issuer", "Client id", "Client secret", "User name",
             "Number", "Password"]
ANSWERS = {"Name of the profile": "work", "Client id": "client", "Client secret": "s",
           "User name": "someone", "Number": "2", "Password": CANARY}


@pytest.mark.parametrize("at, end", [(q, "^C") for q in QUESTIONS] + [
    (q, end) for q in ("Issuer", "Password") for end in ("^D", "SIGTERM", "SIGHUP")])
def test_wherever_a_person_ends_it_nothing_is_left(fake, home, talk, at, end):
    shutil.rmtree(home.config)
    t = talk("--ca-file", str(fake.ca_file))
    for question in QUESTIONS[:QUESTIONS.index(at)]:
        t.answer(question, {"Issuer": fake.issuer, **ANSWERS}[question])
    t.expect(at).expect(": ")
    if end == "^D":
        t.type("\x04")
        assert t.end() == 2 and "nothing is written" in t.shown
    elif end == "^C":
        assert t.interrupt().end() == -signal.SIGINT
    else:
        os.kill(t.pid, getattr(signal, end))
        assert t.end() == -getattr(signal, end)
    assert not home.config.exists() and not traces(t.pid)
    assert not fake.grants() and CANARY not in t.shown


def test_the_echo_is_back_after_an_interrupt(home, fake):
    master, slave = pty.openpty()
    before = termios.tcgetattr(slave)
    asking = [f for f in flags(fake, "--no-verify") if f != "--yes"]
    p = subprocess.Popen([rig.BUILD / "kubetoken", "init", *asking],
                         env=home.environment, stdin=slave, stdout=slave, stderr=slave,
                         start_new_session=True)
    shown = b""
    while b"Client secret" not in shown:
        shown += os.read(master, 1024)
    rig.wait_until(lambda: not termios.tcgetattr(slave)[3] & termios.ECHO, "silence")
    p.terminate()
    assert p.wait(rig.PATIENCE) == -signal.SIGTERM
    assert termios.tcgetattr(slave) == before
    os.close(master)
    os.close(slave)


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_in_the_middle_of_the_trial_it_leaves_nothing(fake, home, end):
    """Neither a file nor a process; and what was typed is in no command line and environment."""
    shutil.rmtree(home.config)
    fake.hang("/oauth/token")
    p = subprocess.Popen([rig.BUILD / "kubetoken", "init",
                          *flags(fake, "--client-secret-file", "-")],
                         env=home.environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                         stderr=subprocess.DEVNULL, text=True)
    p.stdin.write(f"canary-client\n{CANARY}\n")
    p.stdin.close()
    rig.wait_until(fake.grants, "a login")
    family = descendants(p.pid)
    assert len(family) == 2, family  # a daemon and its fetcher
    for pid in [p.pid, *family]:
        for what in ("cmdline", "environ"):
            assert b"canary" not in pathlib.Path(f"/proc/{pid}/{what}").read_bytes()
    [folder] = traces(p.pid)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    p.send_signal(end)
    assert p.wait(rig.PATIENCE) == -end
    assert not traces(p.pid) and not home.config.exists()
    rig.wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in family), "their end")


def descendants(pid):
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(entry.joinpath("stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        left += children.get(left.pop(), [])
        found = sorted({*found, *left})
    return found


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("call, when", [("fsync", 1), ("fsync", 2), ("fsync", 3), ("rename", 1),
                                        ("rename", 2)])
def test_ended_between_the_writes_it_leaves_nothing(fake, home, call, when):
    """Two secrets and the configuration: a signal at each step but the last."""
    shutil.rmtree(home.config)
    r = subprocess.run(["strace", "-o", home.folder / "trace", "-e", f"trace={call}", "-e",
                        f"inject={call}:signal=INT:when={when}", rig.BUILD / "kubetoken", "init",
                        *flags(fake, "--no-verify", "--client-secret-file=-",
                               "--keep-password=file")],
                       env=home.environment, input=f"canary-client\n{CANARY}\n", text=True,
                       capture_output=True, timeout=rig.PATIENCE)
    assert r.returncode == -signal.SIGINT, r.stderr
    assert not home.config.exists()


# ---- flags alone -------------------------------------------------------------------------------


def test_a_second_run_changes_nothing(fake, home, daemon):
    """By flags, with the password on stdin for the daemon's memory: one login is the trial's, one
    the daemon's own. The second run sends nothing, and is told no password."""
    home.configure("# mine\n[profile other]\nissuer = https://o.example.com/\nclient-id = x\n"
                   "username = y", mode=0o640)
    daemon.start()
    before = (home.config / "kubetoken.conf").read_text()
    r = home.run("init", *flags(fake, "--no-kubeconfig"), input=CANARY + "\n")
    assert r.returncode == 0, r.stderr
    assert f"Trying it, with one login at {fake.issuer} ...\nIt works" in r.stdout
    written = files(home)
    mode, text, _ = written["kubetoken.conf"]
    assert (mode, text) == (0o640, before + "\n\n" + section(fake, "username = someone"))
    assert [g.form["password"] for g in fake.grants()] == [CANARY, CANARY]
    assert home.run("get", "work").returncode == 0
    sent = len(fake.requests)
    again = home.run("init", *flags(fake, "--no-kubeconfig"))
    assert (again.returncode, again.stderr) == (0, "")
    assert rig.unwrapped(again.stdout.replace("\n", " ")).strip() == (
        "[profile work] in ~/config/kubetoken/kubetoken.conf says just that already: nothing is "
        "changed.")
    assert files(home) == written
    assert [r.path for r in fake.requests[sent:] if "well-known" not in r.path] == []


def test_another_profile_of_that_name_is_replaced_by_force_alone(fake, home):
    old = ("# first\n[profile work]\n# mine\nissuer = https://old.example.com/\n"
           "  client-id=client\nusername = someone\npassword-file = work.password\n"
           "\n# last\n[profile z]\nissuer = "
           "https://z.example.com/\nclient-id = z\nusername = z\n")
    home.configure(old)
    home.write("work.password", "old")
    wish = flags(fake, "--no-verify", "--no-kubeconfig", "--keep-password=file")
    before = files(home)
    r = home.run("init", *wish, input=CANARY)
    assert r.returncode == 2 and files(home) == before
    assert r.stderr == ("kubetoken: wrong usage: [profile work] is there already, with other "
                        "settings, in ~/config/kubetoken/kubetoken.conf; --force replaces it; see "
                        "kubetoken init --help\n")
    assert home.run("init", *wish, "--force", input=CANARY).returncode == 0
    after = files(home)
    assert after["work.password"][:2] == (0o600, CANARY)
    assert after["kubetoken.conf"][1] == old.replace(
        "issuer = https://old.example.com/", f"issuer = {fake.issuer}").replace(
        "password-file = work.password\n",
        f"password-file = work.password\nca-file = {fake.ca_file}\n")
    assert home.run("init", *wish, input=CANARY).returncode == 0  # the same again
    r = home.run("init", *wish, input="another")
    assert r.returncode == 2 and "--force" in r.stderr and files(home) == after


def test_a_folder_that_another_program_has_locked_is_not_waited_for_without_end(fake, home):
    """Nor can it be waited for against somebody's will."""
    home.configure("# mine\n")
    before = files(home)
    wish = [rig.BUILD / "kubetoken", "init",
            *flags(fake, "--no-verify", "--no-kubeconfig", "--keep-password=file")]
    how = {"env": home.environment, "stdin": subprocess.PIPE, "stdout": subprocess.PIPE,
           "stderr": subprocess.PIPE, "text": True}

    def has_opened(pid):
        with contextlib.suppress(FileNotFoundError):  # one that it closes meanwhile
            return str(home.config) in [os.readlink(fd) for fd in
                                        pathlib.Path(f"/proc/{pid}/fd").iterdir()]

    locked = os.open(home.config, os.O_RDONLY)
    try:
        fcntl.flock(locked, fcntl.LOCK_EX)
        with subprocess.Popen(wish, **how) as waiting, subprocess.Popen(wish, **how) as ended:
            for process in (waiting, ended):
                process.stdin.write(CANARY)
                process.stdin.close()
                process.stdin = None
            rig.wait_until(lambda: has_opened(ended.pid), "a look at the lock")
            ended.terminate()
            ended.communicate(timeout=rig.PATIENCE)
            assert ended.returncode == -signal.SIGTERM
            said = waiting.communicate(timeout=rig.PATIENCE)[1]
    finally:
        os.close(locked)
    assert waiting.returncode == 9 and said.endswith(
        f"the configuration has errors: {home.config}: another program has it locked, to change "
        "files there; correct it, then: kubetoken reload\n"), said
    assert files(home) == before


def test_a_file_that_is_in_the_way_is_not_replaced(fake, home):
    home.write("work.password", "old")
    r = home.run("init", *flags(fake, "--no-verify", "--keep-password=file"), input=CANARY)
    assert r.returncode == 2 and "work.password is there already; --force" in r.stderr
    assert set(files(home)) == {"work.password"}


def test_a_file_that_is_in_the_way_is_replaced_by_one_of_our_own(fake, home):
    """Whoever could read the old one shall not read the password."""
    old = home.write("work.password", "old", 0o644)
    r = home.run("init", *flags(fake, "--no-verify", "--keep-password=file", "--force"),
                 input=CANARY)
    assert r.returncode == 0, r.stderr
    assert old.read_text() == CANARY and old.stat().st_mode & 0o7777 == 0o600


def test_a_wrong_password_is_sent_once_and_nothing_is_written(fake, home):
    fake.answers["/oauth/token"] = refuse
    r = home.run("init", *flags(fake), input=CANARY)
    assert r.returncode == 6 and len(fake.grants()) == 1 and not files(home)
    assert "Nothing is written." in r.stdout and CANARY not in r.stdout + r.stderr
    assert "check the user name and the password" in r.stderr


def test_a_login_that_fails_is_not_tried_again(fake, home):
    """What a daemon would send again by itself is one login here."""
    fake.answers["/oauth/token"] = 503, {}, b""
    r = home.run("init", *flags(fake), input=CANARY)
    assert r.returncode == 7 and len(fake.grants()) == 1 and not files(home)
    assert "try again later" in r.stderr


def test_a_daemon_for_a_trial_asks_once(fake, home):
    """Also when somebody waits on, for longer than the back-off would be."""
    fake.answers["/oauth/token"] = 503, {}, b""
    daemon = rig.Daemon(home, arguments=("--trial", home.write("trial.conf", fake.profile())))
    try:
        daemon.start()
        assert home.run("get", "--timeout", "20s").returncode == 7
        assert home.run("get", "--timeout", "3s").returncode == 7
        assert len(fake.grants()) == 1
    finally:
        daemon.close()


def test_without_a_discovery_document_its_endpoints_are_named(fake, home):
    fake.answers["/.well-known/openid-configuration"] = 404, {}, b""
    r = home.run("init", *flags(fake), input=CANARY)
    assert r.returncode == 8 and "set token-endpoint and jwks-uri" in r.stderr
    assert not files(home) and not fake.grants()
    r = home.run("init", *flags(fake, "--set", f"token-endpoint={fake.base}/oauth/token",
                                f"--set=jwks-uri={fake.base}/.well-known/jwks.json",
                                "--no-kubeconfig", "--keep-password=file"), input=CANARY)
    assert r.returncode == 0, r.stderr
    assert f"jwks-uri = {fake.base}/.well-known/jwks.json\n" in files(home)["kubetoken.conf"][1]


def test_without_a_look_nothing_is_sent_nor_asked(fake, home):
    """Offline; the issuer stays as it was given, and no password is wanted for none is kept."""
    r = home.run("init", "work", "--yes", "--no-verify", "--issuer", fake.issuer[:-1],
                 "--client-id=c", "--username=u", "--no-kubeconfig")
    assert (r.returncode, r.stderr) == (0, "") and fake.requests == []
    assert f"issuer = {fake.issuer[:-1]}\n" in files(home)["kubetoken.conf"][1]
    assert "doctor" not in r.stdout


def test_what_the_api_server_will_mind_is_said(fake, home):
    fake.claims["email_verified"] = False
    r = home.run("init", *flags(fake, "--username-claim=email", "--no-kubeconfig",
                                "--keep-password=file"), input=CANARY)
    assert r.returncode == 0
    head, _, behind = r.stdout.partition("Written:")
    assert "The API server will see: someone@example.com\n" in head and behind
    assert "warning: the e-mail address is not verified" in head


# ---- other grants ------------------------------------------------------------------------------


DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def offer(fake, *grants, **members):
    """Its discovery document lists these grants, and has these members."""
    fake.answers["/.well-known/openid-configuration"] = json_answer(
        {**fake.discovery(), "grant_types_supported": list(grants), **members})


def device_endpoint(fake):
    return {"device_authorization_endpoint": fake.base + "/oauth/device/code"}


def test_where_no_password_grant_is_listed_a_login_by_device_is_proposed(fake, home):
    """And nothing is tried: nobody is there to confirm it."""
    offer(fake, "authorization_code", DEVICE, **device_endpoint(fake))
    r = home.run("init", *flags(fake, "--no-kubeconfig", user=None), input="")
    assert r.returncode == 0, r.stderr
    assert files(home)["kubetoken.conf"][1] == section(fake, "grant = device")
    assert "The provider does not list the password grant, and it has the device grant" in r.stdout
    assert r.stdout.endswith("What is left: kubetoken login work, which shows a code to be "
                             "confirmed in a\nbrowser, of any machine.\n"), r.stdout
    assert not fake.grants() and "doctor" not in r.stdout


@pytest.mark.parametrize("grants, members, says", [
    ((), device_endpoint, False),  # no list at all
    (("password", DEVICE), device_endpoint, False),
    (("authorization_code", DEVICE), lambda _: {}, True),  # nowhere to ask for a code
])
def test_else_the_password_is_tried(fake, home, daemon, grants, members, says):
    daemon.start()
    offer(fake, *grants, **members(fake))
    if not grants:
        fake.answers["/.well-known/openid-configuration"] = json_answer(
            {**fake.discovery(), **members(fake)})
    r = home.run("init", *flags(fake, "--no-kubeconfig", user=None), input=f"someone\n{CANARY}\n")
    assert r.returncode == 0, r.stderr
    assert "grant" not in files(home)["kubetoken.conf"][1] and len(fake.grants()) > 0
    assert ("does not list the password grant" in r.stdout) == says


def test_who_names_a_user_means_the_password(fake, home):
    """Some providers have the password grant and do not list it."""
    offer(fake, "authorization_code", DEVICE, **device_endpoint(fake))
    r = home.run("init", *flags(fake, "--no-kubeconfig", "--keep-password=file"), input=CANARY)
    assert r.returncode == 0, r.stderr
    assert "Some have it all the same" in " ".join(r.stdout.split())
    assert fake.grants()[0].form["grant_type"] == "password"


@pytest.mark.parametrize("wanted", ["", "n"])
def test_a_person_chooses_the_grant(fake, home, daemon, talk, wanted):
    daemon.start()
    offer(fake, DEVICE, **device_endpoint(fake))
    t = talk("--no-kubeconfig", *[f for f in flags(fake, user=None) if f != "--yes"])
    t.answer("Log in so (grant = device)? [Y/n]: ", wanted).answer("Client secret", "")
    if wanted:
        t.answer("login asks): ", "someone").answer("Number [1]: ", "1")
        t.answer("Password of someone: ", CANARY)
    assert t.end() == 0
    assert ("grant = device" in files(home)["kubetoken.conf"][1]) == (not wanted)
    assert len(fake.grants()) == (2 if wanted else 0)


def test_a_login_by_device_needs_an_endpoint(fake, home):
    offer(fake, DEVICE)
    r = home.run("init", *flags(fake, "--grant=device", "--no-kubeconfig", user=None))
    assert r.returncode == 8 and "publishes no device_authorization_endpoint" in r.stderr
    assert "document is not valid" not in r.stderr  # it is
    assert "--set device-authorization-endpoint=URL" in r.stderr and not files(home)
    r = home.run("init", *flags(fake, "--grant=device", "--no-kubeconfig", "--set",
                                f"device-authorization-endpoint={fake.base}/d", user=None))
    assert r.returncode == 0, r.stderr
    assert f"device-authorization-endpoint = {fake.base}/d" in files(home)["kubetoken.conf"][1]


def test_it_is_told_what_gives_a_refresh_token(fake, home):
    offer(fake, DEVICE, scopes_supported=["openid", "offline_access"], **device_endpoint(fake))
    r = home.run("init", *flags(fake, "--no-kubeconfig", user=None), input="")
    assert r.returncode == 0 and "The provider has the scope offline_access" in r.stdout


@pytest.mark.parametrize("args, key, says", [
    (["--grant", "refresh-token"], "grant = refresh-token",
     "kubetoken login work, which reads the refresh token."),
    (["--set", "grant=refresh-token"], "grant = refresh-token", "login work"),
    (["--grant=password"], "grant = password", "kubetoken login work, which asks for user name"),
])
def test_no_user_is_asked_for_where_none_is_needed(fake, home, args, key, says):
    r = home.run("init", *flags(fake, *args, "--no-kubeconfig", user=None), input="")
    assert r.returncode == 0, r.stderr
    assert files(home)["kubetoken.conf"][1] == section(fake, key)
    assert says in " ".join(r.stdout.split()) and not fake.grants()


def test_a_user_whose_password_is_typed_may_be_typed_too(fake, home, daemon, talk):
    daemon.start()
    t = talk("--no-kubeconfig", *[f for f in flags(fake, user=None) if f != "--yes"])
    t.answer("Client secret", "").answer("User name at the provider (empty: login asks): ", "")
    t.expect("What is left: kubetoken login work, which asks for user name and password.")
    assert t.end() == 0 and files(home)["kubetoken.conf"][1] == section(fake)
    assert not fake.grants()
    r = home.run("login", "--username", "someone", "work", input=CANARY)
    assert r.returncode == 0 and home.run("get", "work").returncode == 0, r.stderr


def test_another_profiles_tokens_name_it(fake, home):
    home.config.mkdir(exist_ok=True)
    (home.config / "kubetoken.conf").write_text(fake.profile("main"))
    os.chmod(home.config / "kubetoken.conf", 0o600)
    r = home.run("init", *flags(fake, "--from", "main", "--no-kubeconfig", user=None), input="")
    assert r.returncode == 0, r.stderr
    assert "from = main\n" in files(home)["kubetoken.conf"][1]
    assert "kubetoken login main, where that has none" in " ".join(r.stdout.split())


def test_a_command_is_written_as_it_was_given(fake, home):
    r = home.run("init", *flags(fake, "--token-command", "cloud print-token", "--no-kubeconfig",
                                "--no-verify", user=None))
    assert r.returncode == 0, r.stderr
    assert "token-command = cloud print-token\n" in files(home)["kubetoken.conf"][1]
    assert "What is left" not in r.stdout


def test_the_defaults_say_it_for_all(fake, home):
    home.config.mkdir(exist_ok=True)
    (home.config / "kubetoken.conf").write_text("[defaults]\ngrant = refresh-token\n")
    os.chmod(home.config / "kubetoken.conf", 0o600)
    r = home.run("init", *flags(fake, "--no-kubeconfig", user=None), input="")
    assert r.returncode == 0, r.stderr
    assert files(home)["kubetoken.conf"][1].endswith(section(fake))
    assert "kubetoken login work" in r.stdout


# ---- stdin, and what is missing ----------------------------------------------------------------


def test_user_name_and_password_are_lines_on_stdin(fake, home):
    r = home.run("init", *flags(fake, "--keep-password=file", "--no-kubeconfig", user=None),
                 input=f"someone@example.com\n{CANARY}\nno more of it\n")
    assert r.returncode == 0, r.stderr
    assert fake.grants()[0].form["username"] == "someone@example.com"
    assert files(home)["work.password"][1] == CANARY
    assert "username = someone@example.com\n" in files(home)["kubetoken.conf"][1]


@pytest.mark.parametrize("args, given, code, says", [
    (["--client-id", "c"], "", 2, "nobody is there to be asked: give --issuer"),
    (["--issuer", "https://127.0.0.1:1/", "--no-verify"], "", 2, "give --client-id"),
    (["--issuer", "https://127.0.0.1:1/", "--no-verify", "--client-id=c", "--keep-password=file"],
     "", 2, "give --username, or a line on stdin"),
    (["--issuer", "https://127.0.0.1:1/", "--no-verify", "--client-id=c", "--password-file=x"],
     "", 2, "give --username, or a line on stdin"),
    (["--grant=browser"], "", 2, "--grant takes password, device or refresh-token"),
    (["--grant=device", "--username=u"], "", 2, "username belongs to the password grant, which "
     "--grant takes the place of"),
    (["--from=x", "--password-file=y"], "", 2, "password-file belongs to the password grant"),
    (["--token-command=x", "--set", "realm=y"], "", 2, "which --token-command takes the place of"),
    (["--grant=refresh-token", "--keep-password=file"], "", 2, "belongs to the password grant"),
    (["--grant=device", "--from=x"], "", 2, "a profile has one grant"),
    (["--from=x", "--token-command=y"], "", 2, "a profile has one grant"),
    (["--issuer", "x", "--no-verify", "--client-id=c", "--from=nobody"], "", 9,
     "from = nobody: there is no such profile"),
    (["--issuer", "x", "--no-verify", "--client-id=c", "--username=u", "--keep-password=file"], "",
     2, "there is no password on stdin"),
    (["--issuer", "x", "--no-verify", "--client-id=c", "--username=u", "--keep-password=file"],
     "a\x1bb\n", 9, "the password holds the control character 0x1B"),
    (["--issuer", "x", "--no-verify", "--client-id=c", "--username=u", "--client-secret-file=-"],
     "", 2, "there is no client secret on stdin"),
    (["--issuer", "x", "--no-verify", "--client-id=c\nusername = root", "--username=u"], "", 2,
     "client-id holds a control character"),
    (["--issuer", "http://h/", "--no-verify", "--client-id=c", "--username=u"], "", 9,
     "kubetoken.conf:1: profile default: issuer: http:// would send the password in clear"),
    (["--issuer", "x", "--no-verify", "--client-id=c", "--username=u", "--set", "scop=x"], "", 9,
     "kubetoken.conf:5: unknown key \"scop\"; did you mean \"scope\"?"),
    (["--set", "password=x"], "", 2, "--set takes no password"),
    (["--set", "client-secret=x"], "", 2, "use --client-secret-file"),
    (["--set", "proxy=http://u:p@h:1"], "", 2, "everybody sees a command line"),
    (["--set", "default-profile=x"], "", 2, "default-profile is no key of a profile"),
    (["--set", "realm"], "", 2, "--set wants KEY=VALUE"),
    (["--keep-password", "cloud"], "", 2, "--keep-password takes prompt, file,"),
    (["--keep-password=file", "--password-file=x"], "", 2, "another option says where it comes"),
    (["--keep-password=secret-tool"], "", 2, "no session bus"),
    (["--no-kubeconfig", "--context=x"], "", 2, "--no-kubeconfig goes with neither"),
    (["a b"], "", 4, "no such profile"),
])
def test_what_is_missing_or_wrong_is_named(home, args, given, code, says):
    """And nothing is written; nor is anything that was given repeated where it may be secret."""
    r = home.run("init", "--yes", *args, input=given)
    assert r.returncode == code and says in r.stderr, r.stderr
    assert r.stderr.count("\n") == 1 and not files(home)


def test_a_closed_stdin_is_said(fake, home):
    r = subprocess.run(["sh", "-c", 'exec "$0" "$@" <&-', rig.BUILD / "kubetoken", "init",
                        *flags(fake, "--no-verify", "--keep-password=file")],
                       env=home.environment, capture_output=True, text=True, timeout=rig.PATIENCE)
    assert r.returncode == 2 and "there is no password on stdin" in r.stderr and not files(home)


# ---- what is there already ---------------------------------------------------------------------


def test_a_configuration_with_errors_is_said_before_anything_is_asked(home, talk):
    home.configure("[profile x]\nisuer = https://h/\n")
    t = talk()
    assert t.end() == 9 and "Name of" not in t.shown
    assert f"kubetoken: {home.config}/kubetoken.conf:2: unknown key \"isuer\"" in t.shown
    assert (home.config / "kubetoken.conf").read_text() == "[profile x]\nisuer = https://h/\n"


def test_a_profile_that_is_there_is_said_before_anything_is_asked(fake, home, talk):
    home.configure(section(fake, "username = someone", "password-file = p"))
    t = talk("work")
    assert t.end() == 2 and "Issuer" not in t.shown and "--force replaces it" in t.shown
    t = talk("--force", "work", "--no-verify", "--no-kubeconfig")
    t.answer(f"Issuer (the provider's URL) [{fake.issuer}]: ", "").answer("[client]: ", "new")
    t.answer("public client): ", "").answer("[someone]: ", "").answer("Number [1]: ", "")
    assert t.end() == 0
    assert (home.config / "kubetoken.conf").read_text() == section(fake, "username = someone"
                                                                   ).replace(
        "client-id = client", "client-id = new").replace(f"ca-file = {fake.ca_file}\n", "")


def test_what_the_defaults_say_is_not_said_again(fake, home, talk):
    home.write("client.secret", "canary-client")
    home.configure(f"[defaults]\nissuer = {fake.issuer}\nca-file = {fake.ca_file}\n"
                   "client-id = client\nclient-secret-file = client.secret\n")
    before = (home.config / "kubetoken.conf").read_text()
    r = home.run("init", "work", "--yes", "--no-kubeconfig", "--username=someone",
                 "--keep-password=file", input=CANARY)
    assert r.returncode == 0, r.stderr
    assert files(home)["kubetoken.conf"][1] == (
        before + "\n[profile work]\nusername = someone\npassword-file = work.password\n")
    t = talk("other", "--no-verify", "--no-kubeconfig", "--password-file=/dev/null")
    t.answer(f"[{fake.issuer}]: ", "").answer("Client id [client]: ", "")
    t.answer("User name at the provider: ", "y")
    assert t.end() == 0
    assert files(home)["kubetoken.conf"][1].endswith(
        "\n[profile other]\nusername = y\npassword-file = /dev/null\n")


def test_a_link_is_followed_and_stays(fake, home):
    dotfiles = home.folder / "dotfiles"
    dotfiles.mkdir()
    (home.config / "kubetoken.conf").symlink_to("../../dotfiles/conf")
    wish = flags(fake, "--no-verify", "--no-kubeconfig", "--keep-password=file")
    assert home.run("init", *wish, input=CANARY).returncode == 0
    assert (home.config / "kubetoken.conf").is_symlink()
    assert (dotfiles / "conf").read_text() == section(fake, "username = someone",
                                                      "password-file = work.password")
    assert [p.name for p in dotfiles.iterdir()] == ["conf"]
    assert (home.config / "work.password").read_text() == CANARY


def test_what_cannot_be_written_leaves_no_part_of_it(fake, home, talk):
    """The configuration is a link to nowhere: the secret beside the link goes too."""
    target = home.folder / "gone"
    (home.config / "kubetoken.conf").symlink_to(target / "conf")
    r = home.run("init", *flags(fake, "--no-verify", "--keep-password=file"), input=CANARY)
    assert r.returncode == 9 and f"{target}/conf: No such file or directory" in r.stderr
    assert [p.name for p in home.config.iterdir()] == ["kubetoken.conf"]


# ---- the kubeconfig, and the end ---------------------------------------------------------------


KUBECONFIG = """apiVersion: v1
kind: Config
clusters:
- name: dev
  cluster: {server: "https://127.0.0.1:1"}
contexts:
- name: dev
  context: {cluster: dev, user: old}
- name: other
  context: {cluster: dev, user: other}
users:
- name: old
  user: {token: canary-token}
current-context: dev
"""


def test_it_offers_to_write_the_kubeconfig(fake, home, daemon, talk):
    """The current context is asked about; a named one is not; by flags nothing but --context is
    bound; a second run changes nothing there either."""
    daemon.start()
    kubeconfig = home.folder / ".kube" / "config"
    kubeconfig.parent.mkdir()
    kubeconfig.write_text(KUBECONFIG)
    t = talk("work", "--ca-file", str(fake.ca_file), "--issuer", fake.issuer, "--client-id=client",
             "--client-auth=none", "--username=someone", "--keep-password=file")
    t.answer("Password of someone: ", CANARY)
    if shutil.which("kubectl"):
        t.answer("Have kubectl's context dev use it (kubeconfig --write)? [Y/n]: ", "no")
    else:
        t.answer("Add it to the kubeconfig (kubeconfig --write)? [Y/n]: ", "no")
    assert t.end() == 0 and kubeconfig.read_text() == KUBECONFIG
    wish = flags(fake, "--client-auth=none", "--keep-password=file")
    r = home.run("init", *wish, "--context", "other", input=CANARY)
    assert r.returncode == 0, r.stderr
    written = kubeconfig.read_text()
    assert "user: other" in written or "user: work" in written
    assert "args: [get, -o, exec/v1, work]" in written and "canary" not in r.stdout
    r = home.run("init", *wish, "--context", "other", input=CANARY)
    assert r.returncode == 0 and kubeconfig.read_text() == written, r.stderr


def test_several_profiles_without_a_default_are_told_of(fake, home, daemon):
    home.configure(fake.profile("old"))
    daemon.start()
    r = home.run("init", *flags(fake, "--no-kubeconfig", "--keep-password=file"), input=CANARY)
    assert r.returncode == 0
    assert ("There are several profiles now: commands want its name, or default-profile in\n"
            "[defaults].\n") in r.stdout


def test_a_full_disk_for_its_words_is_seen(fake, home):
    wish = flags(fake, "--no-verify", "--no-kubeconfig")
    assert home.run("init", *wish).returncode == 0
    r = subprocess.run(["sh", "-c", '"$@" >/dev/full', "sh", rig.BUILD / "kubetoken", "init",
                        *wish], env=home.environment, stdin=subprocess.DEVNULL,
                       stderr=subprocess.PIPE, text=True, timeout=rig.PATIENCE)
    assert r.returncode == 1 and "the output cannot be written" in r.stderr


def test_a_credential_of_the_service_is_not_tried(fake, home):
    r = home.run("init", *flags(fake, "--password-credential=pw", "--no-kubeconfig"))
    assert r.returncode == 2 and "can be read by the service alone" in r.stderr
    assert not files(home) and not fake.grants()


def test_plain_http_is_said_once_more(home, tmp_path, talk):
    plain = scripted.Provider(tmp_path, tls=False)
    try:
        t = talk("work", "--client-id=client", "--client-auth=none", "--username=someone",
                 "--keep-password=file", "--no-kubeconfig")
        t.answer("Issuer", plain.issuer).answer("(allow-http-loopback)? [y/N]: ", "")
        t.expect("issuer: http:// needs allow-http-loopback = yes")
        t.answer("Issuer", plain.issuer).answer("(allow-http-loopback)? [y/N]: ", "y")
        t.answer("Password of someone: ", CANARY).expect("Written")
        assert t.end() == 0
        assert "allow-http-loopback = yes\n" in files(home)["kubetoken.conf"][1]
    finally:
        plain.stop()


# ---- where a password is kept ------------------------------------------------------------------


KEEPER = """#!/bin/sh
echo "$0 $*" >> {log}
case "$*" in
store*|insert*) cat > {kept} ;;
lookup*|show*) cat {kept} 2>/dev/null ;;
clear*|rm*) rm {kept} ;;
esac
"""


@pytest.fixture
def keeper(home):
    """Programs in the place of secret-tool and pass, which write down how they are called."""
    folder = home.folder / "programs"
    folder.mkdir()
    log, kept = folder / "log", folder / "kept"
    for name in ("secret-tool", "pass"):
        (folder / name).write_text(KEEPER.format(log=log, kept=kept))
        (folder / name).chmod(0o755)
    store = home.folder / ".password-store"
    store.mkdir()
    (store / ".gpg-id").touch()
    home.environment.update(PATH=f"{folder}:{home.environment['PATH']}",
                            DBUS_SESSION_BUS_ADDRESS="unix:path=/nowhere")
    return log, kept


@pytest.mark.parametrize("place, command, store", [
    ("secret-tool", "secret-tool lookup service kubetoken profile work",
     "store --label=kubetoken work service kubetoken profile work"),
    ("pass", "pass show kubetoken/work", "insert --multiline --force kubetoken/work")])
def test_a_program_keeps_the_password(fake, home, daemon, keeper, talk, place, command, store):
    """It has it on stdin alone. A second run finds it there; another password is not laid over it;
    a profile that cannot be written takes it back."""
    log, kept = keeper
    daemon.start()
    t = talk("work", "--ca-file", str(fake.ca_file), "--no-kubeconfig", "--client-auth=none")
    t.answer("Issuer", fake.issuer).answer("Client id", "client").answer("User name", "someone")
    t.answer("Number", {"secret-tool": "3", "pass": "4"}[place]).answer("Password", CANARY)
    assert t.expect("It works").end() == 0, t.shown
    assert kept.read_text() == CANARY and store in log.read_text()
    assert CANARY not in log.read_text() + t.shown
    assert f"password-command = {command}\n" in files(home)["kubetoken.conf"][1]
    assert set(files(home)) == {"kubetoken.conf"} and home.run("get").returncode == 0
    wish = flags(fake, f"--keep-password={place}", "--no-kubeconfig", "--client-auth=none")
    r = home.run("init", *wish, input=CANARY)
    assert r.returncode == 0 and "nothing is changed" in r.stdout, r.stdout + r.stderr
    (home.config / "kubetoken.conf").unlink()
    r = home.run("init", *wish, input="canary-other")
    assert r.returncode == 2 and f"{place} has another password" in r.stderr
    assert kept.read_text() == CANARY
    kept.unlink()
    (home.config / "kubetoken.conf").symlink_to(home.folder / "gone" / "conf")
    assert home.run("init", *wish, "--no-verify", input=CANARY).returncode == 9
    assert not kept.exists()


# ---- --undo ------------------------------------------------------------------------------------


OTHER = "# mine\n[profile other]\nissuer = https://o.example.com/\nclient-id = x\nusername = y\n"


def init_files(home, fake, *more):
    """A profile with two secrets in files, written untried."""
    r = home.run("init", *flags(fake, "--no-verify", "--client-secret-file=-", "--no-kubeconfig",
                                "--keep-password=file", *more), input=f"canary-client\n{CANARY}\n")
    assert r.returncode == 0, r.stderr


def test_undo_gives_back_what_was(fake, home, daemon):
    home.configure(OTHER, mode=0o640)
    kept = home.write("work.notes", "not named by the profile")
    before = {name: entry[:2] for name, entry in files(home).items()}
    daemon.start()
    init_files(home, fake)
    assert home.run("get", "work").returncode == 0
    r = home.run("init", "--undo", "--yes", "work")
    assert (r.returncode, r.stderr) == (0, ""), r.stderr
    assert r.stdout == ("To be removed: [profile work] in ~/config/kubetoken/kubetoken.conf\n"
                        "  ~/config/kubetoken/work.client-secret\n"
                        "  ~/config/kubetoken/work.password\n"
                        "Removed. A kubeconfig that was written for it: kubetoken kubeconfig "
                        "--undo.\n")
    assert {name: entry[:2] for name, entry in files(home).items()} == before and kept
    r = home.run("get", "work")
    assert (r.returncode, r.stdout) == (4, "") and "no such profile: work" in r.stderr


def test_undo_asks_and_leaves_no_trace_of_the_only_one(fake, home, daemon, talk):
    shutil.rmtree(home.config)
    daemon.start()
    init_files(home, fake)
    assert home.run("get").returncode == 0
    before = files(home)
    for answer in ("", "n", "\x03", "\x04"):
        t = talk("--undo").expect("[profile work]").expect("Remove it?")
        t.type(answer if answer in ("\x03", "\x04") else answer + "\n")
        t.end()
        assert files(home) == before, answer
    assert home.run("get").returncode == 0
    t = talk("--undo").answer("Remove it?", "y")
    assert t.expect("Removed.").end() == 0, t.shown
    assert not home.config.exists()
    r = home.run("get", "work")
    assert r.returncode == 9 and "work.client-secret" in r.stderr, "it has no secret left"
    assert CANARY not in t.shown and "canary-client" not in t.shown


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
@pytest.mark.parametrize("call, when", [("unlink", 1), ("unlink", 2), ("fsync", 1)])
def test_undo_ended_in_the_middle_leaves_all(fake, home, call, when):
    home.configure(OTHER)
    init_files(home, fake)
    before = {name: entry[:2] for name, entry in files(home).items()}
    r = subprocess.run(["strace", "-o", home.folder / "trace", "-e", f"trace={call}", "-e",
                        f"inject={call}:signal=INT:when={when}", rig.BUILD / "kubetoken", "init",
                        "--undo", "--yes", "work"], env=home.environment, text=True,
                       capture_output=True, timeout=rig.PATIENCE)
    assert r.returncode == -signal.SIGINT, r.stderr
    assert {name: entry[:2] for name, entry in files(home).items()} == before


def test_undo_of_a_section_changed_by_hand(fake, home):
    """What another profile names too stays, as do comments before it and behind it; keys of any
    kind go."""
    init_files(home, fake)
    ca = home.write("work.ca.pem", fake.ca_file.read_text())
    conf = home.config / "kubetoken.conf"
    conf.write_text(f"# first\n{conf.read_text()}# a word of mine\ncolour = blue\n"
                    f"ca-file = {ca}\n\n# last\n{OTHER}password-file = work.password\n")
    assert home.run("init", "--undo", "--yes").returncode == 2, "there are two"
    assert home.run("init", "--undo", "--yes", "work").returncode in (0, 9)
    assert conf.read_text() == f"# first\n# last\n{OTHER}password-file = work.password\n"
    assert set(files(home)) == {"kubetoken.conf", "work.password"}


@pytest.mark.parametrize("args, says", [
    (["nowhere"], "there is no [profile nowhere] in ~/config/kubetoken/kubetoken.conf"),
    ([], "there are several profiles in ~/config/kubetoken/kubetoken.conf: name the one that "
     "goes"),
    (["other"], "[profile other] in ~/config/kubetoken/kubetoken.conf is the default-profile "
     "there: change that first"),
    (["work", "--force"], "--undo goes with --yes alone"),
    (["work", "--issuer=https://x/"], "--undo goes with --yes alone"),
    (["work", "--set", "scope=openid"], "--undo goes with --yes alone"),
    (["work", "--keep-password=file"], "--undo goes with --yes alone"),
    (["work", "--context=x"], "--undo goes with --yes alone")])
def test_what_undo_does_not_take_back_is_said(fake, home, args, says):
    home.configure(f"[defaults]\ndefault-profile = other\n{OTHER}")
    init_files(home, fake)
    before = files(home)
    r = home.run("init", "--undo", "--yes", *args)
    assert (r.returncode, r.stdout) == (2, "")
    assert r.stderr == f"kubetoken: wrong usage: {says}; see kubetoken init --help\n"
    r = home.run("init", "--undo", "work")
    assert r.returncode == 2 and "nobody is there to be asked: give --yes" in r.stderr
    assert files(home) == before


def test_undo_of_nothing(home):
    shutil.rmtree(home.config)
    r = home.run("init", "--undo", "--yes")
    assert r.returncode == 2 and "there is no profile in ~/config" in r.stderr
    assert not home.config.exists()


def test_undo_empties_a_link(fake, home):
    place = home.folder / "dotfiles"
    place.mkdir()
    (home.config / "kubetoken.conf").symlink_to(place / "kubetoken.conf")
    init_files(home, fake)
    assert home.run("init", "--undo", "--yes").returncode in (0, 9)
    assert (home.config / "kubetoken.conf").is_symlink()
    assert (place / "kubetoken.conf").read_text() == "" and not (home.config /
                                                                 "work.password").exists()


@pytest.mark.parametrize("place, words, store", [
    ("secret-tool", "in the keyring, by secret-tool",
     "clear service kubetoken profile work"),
    ("pass", "in pass, as kubetoken/work", "rm --force kubetoken/work")])
def test_undo_removes_a_kept_password(fake, home, keeper, place, words, store):
    log, kept = keeper
    wish = flags(fake, f"--keep-password={place}", "--no-kubeconfig", "--client-auth=none",
                 "--no-verify")
    assert home.run("init", *wish, input=CANARY).returncode == 0
    assert kept.read_text() == CANARY
    r = home.run("init", "--undo", "--yes")
    assert (r.returncode, r.stderr) == (0, "") and f"  the password {words}\n" in r.stdout
    assert not kept.exists() and store in log.read_text()
    assert not (home.config / "kubetoken.conf").exists()
    assert home.run("init", *wish, input=CANARY).returncode == 0
    kept.unlink()
    r = home.run("init", "--undo", "--yes")
    assert r.returncode == 9 and place in r.stderr and "Removed" not in r.stdout
    assert not (home.config / "kubetoken.conf").exists()
