"""The form of a password or client secret is looked at before it is sent, by whatever way it comes;
what is only seldom meant is told; and whose files are taken."""
import os
import pathlib
import pty
import shutil
import subprocess
import tempfile

import pytest

import rig
import scripted
import test_doctor
from scripted import json_answer
from test_login import login

RESTART = "systemctl --user restart kubetoken.service"
KEYS = ("password", "client-secret")

# What is refused, and the words for it.
FAULTS = {
    "bom": (b"\xef\xbb\xbfcanary-pw\n", "begins with a byte order mark (EF BB BF)"),
    "utf-16": ("\ufeffcanary-pw\n".encode("utf-16-le"),
               "is UTF-16: it begins with its byte order mark (FF FE)"),
    "second line": (b"canary-pw\nurl: example.com\n", "has a second line"),
    "crlf and a second line": (b"canary-pw\r\nx\r\n", "has a second line"),
    "empty second line": (b"canary-pw\n\n", "has a second line"),
    "nul": (b"canary\0pw", "holds a NUL byte at place 7, and more behind it"),
    "cr": (b"canary-pw\r", "holds the control character 0x0D (carriage return) at place 10"),
    "arrow": (b"canary\x1b[D-pw", "holds the control character 0x1B (escape, as arrow keys send it)"
              " at place 7"),
    "bell": ("caf\u00e9\a\n".encode(), "holds the control character 0x07 at place 5"),
}
# What is taken, and what of it is the secret.
GOOD = {
    "lf": (b"canary-pw\n", "canary-pw"), "crlf": (b"canary-pw\r\n", "canary-pw"),
    "nul": (b"canary-pw\0", "canary-pw"), "lf and nul": (b"canary-pw\n\0", "canary-pw"),
    "blanks": (b" canary pw \r\n", " canary pw "), "tab": (b"canary\tpw\n", "canary\tpw"),
    "quotes": (b"'canary-pw'\n", "'canary-pw'"),
}


def rows(table):
    return [pytest.param(*row, id=name) for name, row in table.items()]


def refuse(request):
    return json_answer({"error": "invalid_grant", "error_description": "no."}, 403)


class Way:
    """One in which a secret comes from a source: what has to stand in the configuration."""

    def __init__(self, home, key, how, content):
        self.key, self.path = key, home.config / "canary file"
        self.line = f"{key}-file = canary file"
        if how == "command":
            self.line = f"{key}-command = cat '{self.path}'"
        elif how == "credential":
            self.path = home.folder / "credentials" / "pw"
            self.path.parent.mkdir()
            home.environment["CREDENTIALS_DIRECTORY"] = str(self.path.parent)
            self.line = f"{key}-credential = pw"
        self.write(content)

    def write(self, content):
        self.path.write_bytes(content)
        self.path.chmod(0o600)

    @property
    def profile(self):
        if self.key == "password":
            return {"password": self.line}
        return {"extra": self.line}


WAYS = [(key, how) for key in KEYS for how in ("file", "command", "credential")]


@pytest.mark.parametrize("content, words", rows(FAULTS))
@pytest.mark.parametrize("key, how", WAYS)
def test_what_cannot_be_meant_is_named_and_not_sent(fake, home, daemon, key, how, content, words):
    way = Way(home, key, how, content)
    home.configure(fake.profile(**way.profile))
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and f"the {key.replace('-', ' ')} {words}" in r.stderr, r.stderr
    assert r.stderr.count("\n") == 1 and fake.grants() == []
    assert home.status("p")["error"]["code"] == "credential"
    for text in (r.stderr.replace("canary file", ""), daemon.log.read_text()):
        assert "canary-" not in text and "caf\u00e9" not in text


@pytest.mark.parametrize("content, sent", rows(GOOD))
@pytest.mark.parametrize("key, how", WAYS)
def test_the_end_of_a_line_and_a_nul_are_no_part_of_it(fake, home, daemon, key, how, content, sent):
    way = Way(home, key, how, content)
    home.configure(fake.profile(**way.profile))
    daemon.start()
    assert home.run("get").returncode == 0
    assert fake.grants()[0].form[key.replace("-", "_")] == sent


@pytest.mark.parametrize("key, how, content, mends", [
    ("password", "file", b"a\nb\n", "; leave one there, or set password-command = head -n1 '"),
    ("client-secret", "file", b"a\nb\n", "set client-secret-command = head -n1 '"),
    ("password", "command", b"a\nb\n",
     "; print the first alone: password-command = sh -c 'COMMAND | head -n1'"),
    ("client-secret", "command", b"a\nb\n", "client-secret-command = sh -c 'COMMAND | head -n1'"),
    ("password", "credential", b"a\nb\n", f"; once it is corrected: {RESTART}"),
    ("client-secret", "credential", b"\xef\xbb\xbfa", f"; once it is corrected: {RESTART}"),
    ("password", "file", b"\xef\xbb\xbfa", "; save it as UTF-8 without that mark"),
    ("password", "file", b"\xff\xfea\0", "; save it as UTF-8 without that mark")])
def test_what_mends_it_depends_on_where_it_came_from(fake, home, daemon, key, how, content, mends):
    way = Way(home, key, how, content)
    home.configure(fake.profile(**way.profile))
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and mends in r.stderr and fake.grants() == [], r.stderr


def test_the_remedy_for_a_second_line_works_as_it_stands(fake, home, daemon):
    way = Way(home, "password", "file", b"canary-pw\nurl: example.com\n")
    home.configure(fake.profile(password=way.line))
    daemon.start()
    said = home.run("get").stderr
    line = said[said.index("password-command"):].strip()
    home.configure(fake.profile(password=line))
    assert home.run("reload").returncode == 0
    assert home.run("get").returncode == 0
    assert fake.grants()[0].form["password"] == "canary-pw"


def test_a_corrected_file_goes_on_by_itself_and_a_token_is_served_meanwhile(fake, home, daemon):
    way = Way(home, "password", "file", b"canary-pw\n")
    fake.lifetime = 3600
    home.configure(fake.profile(password=way.line, extra="use-refresh-token = no"))
    daemon.start()
    token = home.run("get").stdout
    way.write(b"canary-pw\nmore\n")
    r = home.run("refresh")
    assert r.returncode == 9 and "has a second line" in r.stderr
    r = home.run("get")
    assert (r.returncode, r.stdout) == (0, token)
    assert home.status("p")["state"] == "waiting" and len(fake.grants()) == 1
    way.write(b"canary-new\n")
    rig.wait_until(lambda: len(fake.grants()) == 2, "a login with nobody asking")
    assert fake.grants()[1].form["password"] == "canary-new"


# ---- what is typed -------------------------------------------------------------------------------


@pytest.fixture
def running(fake, home, daemon):
    home.configure(fake.profile(password=""))
    return daemon.start()


@pytest.mark.parametrize("content, words", rows(FAULTS))
def test_login_names_it_before_the_daemon_has_it(fake, home, running, content, words):
    r = login(home, content)
    says = r.stderr.decode()
    assert r.returncode == 9 and f"a credential cannot be read: the password {words}" in says
    assert says.count("\n") == 1 and "canary" not in says and fake.grants() == []
    assert ("; give the first alone: ... | head -n1 | kubetoken login" in says) == (
        "second line" in words)
    assert home.status("p")["state"] == "login needed"


@pytest.mark.parametrize("content, sent", rows(GOOD))
def test_login_takes_what_pam_and_windows_send(fake, home, running, content, sent):
    assert login(home, content).returncode == 0
    assert fake.grants()[0].form["password"] == sent


def test_login_does_not_wait_for_ever_for_the_end_of_stdin(fake, home, running):
    with subprocess.Popen([rig.BUILD / "kubetoken", "login"], env=home.environment,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as p:
        p.stdin.write(b"canary-pw\n")
        p.stdin.flush()
        assert p.wait(rig.PATIENCE) == 0
    assert fake.grants()[0].form["password"] == "canary-pw"


def test_what_an_arrow_key_types_is_named(fake, home, running):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(rig.BUILD / "kubetoken", ["kubetoken", "login"], home.environment)
    shown = b""
    while b"Password for p: " not in shown:
        shown += os.read(terminal, 1024)
    os.write(terminal, b"canary\x1b[D-pw\n")
    while b"cannot be read" not in shown:
        shown += os.read(terminal, 1024)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
    os.close(terminal)
    assert b"0x1B (escape, as arrow keys send it) at place 7" in shown and b"canary" not in shown
    assert fake.grants() == []


@pytest.mark.parametrize("content, words", rows(FAULTS))
def test_the_daemon_judges_what_comes_over_the_socket(fake, home, running, content, words):
    answer = rig.ask(home, b"login * p secret=%d\n" % len(content) + content).decode()
    assert answer.startswith("error credential ") and f"the password {words}" in answer
    assert "canary" not in answer and fake.grants() == []


@pytest.mark.parametrize("content, sent", rows(GOOD))
def test_and_takes_there_what_it_takes_from_a_file(fake, home, running, content, sent):
    answer = rig.ask(home, b"login * p secret=%d timeout=20s\n" % len(content) + content)
    assert answer.startswith(b"ok "), answer
    assert fake.grants()[0].form["password"] == sent


# ---- what is seldom meant ------------------------------------------------------------------------

ODD = {
    "blank": ("password-file = pw", b"canary-pw \n", "the password ends with a blank"),
    "before": ("password-file = pw", b" canary-pw\n", "the password begins with a blank"),
    "quotes": ("password-command = cat {}", b"\"canary-pw\"\n", "the password stands in quotes"),
    "inline": ("password = 'canary-pw'", b"", "the password stands in quotes"),
    "tab": ("password-file = pw", b"canary\tpw\n", "the password holds a tab"),
    "latin-1": ("password-file = pw", b"canary-\xe9\n", "the password is not UTF-8"),
}


@pytest.mark.parametrize("line, content, words", rows(ODD))
def test_it_is_sent_as_it_is_and_told(fake, home, daemon, line, content, words):
    path = home.write("pw", "")
    path.write_bytes(content)
    home.configure(fake.profile(password=line.format(path)))
    daemon.start()
    assert home.run("get").returncode == 0
    sentence = "a credential has a form that is seldom meant"
    assert f"p: warning: {sentence}: {words}; it is sent as it is; if" in rig.unwrapped(
        home.run("status").stdout)
    assert [w["code"] for w in home.status("p")["warnings"]] == ["odd-credential"]
    report = test_doctor.doctor(home, "p")
    assert ("credentials", "warning", "odd-credential") in report.found()
    assert report.of("credentials")[0]["detail"] == words
    assert "canary" not in home.run("status").stdout + daemon.log.read_text()


@pytest.mark.parametrize("line, content, words", rows(ODD))
def test_a_refusal_names_it_beside_what_the_provider_says(fake, home, daemon, line, content, words):
    fake.answers["/oauth/token"] = refuse
    path = home.write("pw", "")
    path.write_bytes(content)
    home.configure(fake.profile(password=line.format(path)) +
                   fake.profile("q", password=line.format(path)))
    daemon.start()
    # of the second profile, too, whose password is known to be refused
    for profile in ("p", "p", "q"):
        r = home.run("get", profile)
        assert r.returncode == 6 and r.stderr == (
            f"kubetoken: {profile}: the provider refused the user name or password: HTTP 403, "
            f"invalid_grant: no. ({words}, which may not be meant); correct the password at its "
            "source, or say kubetoken login; it is not sent again until it changes\n")
    assert len(fake.grants()) == 1
    found = test_doctor.doctor(home, "p").found()
    assert ("credentials", "warning", "odd-credential") in found
    assert ("grant", "error", "refused") in found
    assert f"({words}, which may not be meant)" in rig.unwrapped(home.run("status").stdout)
    assert words in daemon.log.read_text()


def test_after_a_restart_it_is_named_once(fake, home, daemon):
    fake.answers["/oauth/token"] = refuse
    home.write("pw", "canary-pw \n")
    home.configure(fake.profile(password="password-file = pw"))
    daemon.start()
    home.run("get")
    daemon.restart()
    r = home.run("get")
    assert r.returncode == 6 and r.stderr.count("ends with a blank") == 1
    assert len(fake.grants()) == 1


@pytest.mark.parametrize("error, status, names", [
    ("invalid_client", 401, ["client secret"]), ("invalid_grant", 400, ["password"]),
    ("access_denied", 401, ["password", "client secret"]), ("slow_down", 400, [])])
def test_it_is_said_of_whom_the_refusal_is_about(fake, home, daemon, error, status, names):
    fake.answers["/oauth/token"] = json_answer({"error": error}, status)
    home.configure(fake.profile(password="password = 'canary-pw'",
                                extra="client-secret = \"canary-secret\""))
    daemon.start()
    r = home.run("get", "--timeout", "2s")
    for name in ("password", "client secret"):
        assert (f"the {name} stands in quotes" in r.stderr) == (name in names), r.stderr


def test_what_is_corrected_is_warned_of_no_more(fake, home, daemon):
    home.write("pw", "canary-pw \n")
    home.configure(fake.profile(password="password-file = pw"))
    daemon.start()
    home.run("get")
    assert home.status("p")["warnings"]
    home.write("pw", "canary-pw\n")
    assert home.status("p")["warnings"] == []
    home.configure(fake.profile(password="password = 'canary-pw'"))
    assert home.run("reload").returncode == 0 and home.run("refresh").returncode == 0
    assert home.status("p")["warnings"]
    home.configure(fake.profile(password="password = canary-pw"))
    assert home.run("reload").returncode == 0
    assert home.status("p")["warnings"] == []


def test_a_typed_one_is_warned_of_until_the_logout(fake, home, running):
    assert login(home, b"canary-pw ").returncode == 0
    assert home.status("p")["warnings"]
    assert home.run("logout").returncode == 0
    assert home.status("p")["warnings"] == []


# ---- a credential of systemd ---------------------------------------------------------------------


@pytest.mark.parametrize("key, error, status, named", [
    ("password", "invalid_grant", 400, "password-credential"),
    ("client-secret", "invalid_client", 401, "client-secret-credential")])
def test_a_refused_one_of_systemd_says_what_a_change_needs(fake, home, daemon, key, error, status,
                                                           named):
    fake.answers["/oauth/token"] = json_answer({"error": error}, status)
    way = Way(home, key, "credential", b"canary-old\n")
    home.configure(fake.profile(**way.profile))
    daemon.start()
    words = f"(a changed {named} counts after: {RESTART})"
    for _ in range(2):
        r = home.run("get")
        assert r.returncode == 6 and words in r.stderr, r.stderr
    assert words in rig.unwrapped(home.run("status").stdout)
    assert len(fake.grants()) == 1
    # which hands over the new one
    del fake.answers["/oauth/token"]
    way.write(b"canary-new\n")
    daemon.restart()
    assert home.run("get").returncode == 0 and len(fake.grants()) == 2


def test_a_typed_password_needs_no_restart(fake, home, daemon):
    fake.answers["/oauth/token"] = refuse
    way = Way(home, "password", "credential", b"canary-old\n")
    home.configure(fake.profile(password=way.line))
    daemon.start()
    r = login(home, b"canary-typed\n")
    assert r.returncode == 6 and RESTART.encode() not in r.stderr


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("missing", ["file", "directory"])
def test_a_missing_one_of_systemd_says_what_makes_it(fake, home, daemon, key, missing):
    way = Way(home, key, "credential", b"x")
    if missing == "file":
        way.path.unlink()
    else:
        del home.environment["CREDENTIALS_DIRECTORY"]
    home.configure(fake.profile(**way.profile))
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and r.stderr.endswith(
        f"add LoadCredential=pw:PATH by systemctl --user edit kubetoken.service, then: {RESTART}\n")
    assert r.stderr.count("\n") == 1 and fake.grants() == []


# ---- whose files are taken -----------------------------------------------------------------------

USER, GROUP, OTHER = 61011, 61012, 61013
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has files of several owners")


class Desk:
    """A user's own folder and programs, where the files of others are readable by group."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kubetoken-", dir="/tmp"))
        self.home = rig.Home(self.folder / "home")
        programs = self.folder / "bin"
        programs.mkdir()
        for name in ("kubetoken", "kubetokend", "kubetoken-fetch"):
            shutil.copy(rig.BUILD / name, programs / name)
        self.home.environment["PATH"] = f"{programs}:/usr/bin:/bin"
        self.secrets = self.folder / "the secrets"
        self.secrets.mkdir()
        self.folder.chmod(0o755)
        self.secrets.chmod(0o755)
        for path in [self.home.folder, *self.home.folder.rglob("*")]:
            os.chown(path, USER, USER)
        self.daemon = None

    def secret(self, name, owner, group, mode):
        path = self.secrets / name
        path.write_text("canary-pw\n")
        os.chown(path, owner, group)
        path.chmod(mode)
        return path

    def configure(self, text):
        path = self.home.configure(text)
        os.chown(path, USER, USER)

    def run(self, *argv, before=(), groups=(GROUP,)):
        return subprocess.run([*before, *argv], env=self.home.environment, user=USER, group=USER,
                              extra_groups=list(groups), stdin=subprocess.DEVNULL, text=True,
                              capture_output=True, timeout=rig.PATIENCE, cwd="/", check=False)

    def check(self, **kwargs):
        return self.run(self.folder / "bin" / "kubetokend", "--check-config", **kwargs)

    def close(self):
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait(rig.PATIENCE)
        shutil.rmtree(self.folder)


@pytest.fixture
def desk():
    d = Desk()
    yield d
    d.close()


PROFILE = ("[profile p]\nissuer = https://login.example.com/\nclient-id = c\nusername = u\n{}\n")
CAT = "set password-command = cat 'PATH'"


@needs_root
@pytest.mark.parametrize("owner, group, mode, says", [
    (0, GROUP, 0o440, None), (0, GROUP, 0o640, None), (0, USER, 0o440, None),
    (USER, USER, 0o600, None), (USER, USER, 0o400, None),
    (USER, GROUP, 0o440, "is open to others (mode 440); chmod 600 'PATH'\n"),
    (USER, USER, 0o644, "is open to others (mode 644); chmod 600 'PATH'\n"),
    (0, GROUP, 0o660, f"is open to others (mode 660); {CAT}, or have root give it mode 0440 and a "
     "group of yours\n"),
    (0, GROUP, 0o444, f"is open to others (mode 444); {CAT}, or have root give it mode 0440 and a "
     "group of yours\n"),
    (0, 0, 0o444, f"is open to others (mode 444); {CAT}, or have root give it mode 0440 and a "
     "group of yours\n"),
    (OTHER, GROUP, 0o440, f"belongs to another user (uid {OTHER}); {CAT}\n"),
    (0, OTHER, 0o440, "Permission denied; have its owner let this user read it (a new group counts "
     "from the next login on)\n"),
    (USER, USER, 0o000, "Permission denied; chmod 600 'PATH'\n")])
def test_a_file_is_taken_by_whose_it_is(desk, owner, group, mode, says):
    path = desk.secret("pw", owner, group, mode)
    desk.configure(PROFILE.format(f"password-file = {path}"))
    r = desk.check()
    if says is None:
        assert r.returncode == 0, r.stderr
    else:
        assert r.returncode == 9 and r.stderr.endswith(says.replace("PATH", str(path))), r.stderr


@needs_root
def test_who_can_read_it_but_is_not_in_the_group_is_not_meant(desk):
    path = desk.secret("pw", 0, OTHER, 0o440)
    desk.configure(PROFILE.format(f"password-file = {path}"))
    caps = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
    r = subprocess.run(["setpriv", f"--reuid={USER}", f"--regid={USER}", f"--groups={GROUP}", *caps,
                        desk.folder / "bin" / "kubetokend", "--check-config"],
                       env=desk.home.environment, stdin=subprocess.DEVNULL, text=True,
                       capture_output=True, timeout=rig.PATIENCE, check=False)
    assert r.returncode == 9 and "is open to others (mode 440)" in r.stderr, r.stderr


def get_from(desk, line):
    """By a daemon of that user's; returns the password that the provider got."""
    provider = scripted.Provider(desk.folder, tls=False)
    try:
        desk.configure(f"[profile p]\nissuer = {provider.issuer}\nclient-id = client\n"
                       f"username = u\nallow-http-loopback = yes\n{line}\n")
        desk.daemon = subprocess.Popen(
            [desk.folder / "bin" / "kubetokend"], env=desk.home.environment, user=USER, group=USER,
            extra_groups=[GROUP], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/")
        client = desk.folder / "bin" / "kubetoken"
        rig.wait_until(lambda: desk.run(client, "version").returncode == 0, "the daemon")
        assert desk.run(client, "get").returncode == 0
        return provider.grants()[0].form["password"]
    finally:
        provider.stop()


@needs_root
@pytest.mark.parametrize("owner, mode", [(0, 0o444), (0, 0o644), (OTHER, 0o440)])
def test_the_remedy_works_as_it_stands(desk, owner, mode):
    path = desk.secret("pw", owner, GROUP, mode)
    desk.configure(PROFILE.format(f"password-file = {path}"))
    said = desk.check().stderr.strip()
    assert get_from(desk, said[said.index("password-command"):].split(", or")[0]) == "canary-pw"


@needs_root
def test_a_file_of_root_for_a_group_of_ours_is_sent(desk):
    assert get_from(desk, f"password-file = {desk.secret('pw', 0, GROUP, 0o440)}") == "canary-pw"


@needs_root
@pytest.mark.parametrize("group, says", [
    (GROUP, " belongs to root or to another user, who both look like uid 65534 in the user "
     f"namespace of the service; {CAT}\n"),
    (OTHER, ": Permission denied: groups do not count in the user namespace of the service; "
     f"{CAT}\n")], ids=["readable", "not readable"])
def test_in_a_user_namespace_a_command_is_the_way(desk, group, says):
    """As by hardened.conf: root is not known there, and the command runs outside."""
    path = desk.secret("pw", 0, group, 0o440)
    desk.configure(PROFILE.format(f"password-file = {path}"))
    r = desk.check(before=["unshare", "--user", f"--map-user={USER}"])
    if "unshare" in r.stderr:
        pytest.skip("no user namespaces here")
    assert r.returncode == 9 and r.stderr.endswith(str(path) + says.replace("PATH", str(path)))


@needs_root
def test_on_a_read_only_file_system_there_is_more_than_chmod(desk):
    path = desk.secret("pw", USER, GROUP, 0o440)
    desk.configure(PROFILE.format(f"password-file = {path}"))
    daemon = desk.folder / "bin" / "kubetokend"
    r = subprocess.run(
        ["unshare", "--mount", "sh", "-c",
         'mount --bind "$1" "$1" && mount -o remount,bind,ro "$1" || exit 77; '
         'exec setpriv --reuid "$2" --regid "$2" --clear-groups "$3" --check-config', "sh",
         desk.secrets, str(USER), daemon], env=desk.home.environment, stdin=subprocess.DEVNULL,
        text=True, capture_output=True, timeout=rig.PATIENCE, check=False)
    if r.returncode == 77 or "unshare" in r.stderr:
        pytest.skip("no mount namespaces here")
    assert r.returncode == 9 and r.stderr == (
        f"p: {path} is open to others (mode 440); chmod 600 '{path}', or, as its file system is "
        f"read-only here, set password-command = cat '{path}'\n")


@needs_root
@pytest.mark.parametrize("line, owner, mode, says", [
    ("tls-client-cert = {}", 0, 0o444, "is open to others (mode 444); name a copy that is yours, "
     "with mode 600, or have root give it mode 0440 and a group of yours"),
    ("tls-client-cert = {}", USER, 0o644, "is open to others (mode 644); chmod 600 "),
    ("tls-client-cert = {}", 0, 0o440, None),
    ("tls-client-cert = {}", OTHER, 0o440, "belongs to another user (uid 61013); name a copy that "
     "is yours, with mode 600")])
def test_the_key_of_a_client_certificate(desk, line, owner, mode, says):
    path = desk.secret("key", owner, GROUP, mode)
    desk.configure(PROFILE.format("password = x\n" + line.format(path)))
    r = desk.check()
    if says is None:
        assert r.returncode == 0, r.stderr
    else:
        assert r.returncode == 9 and says in r.stderr, r.stderr


@needs_root
@pytest.mark.parametrize("line, owner, mode, says", [
    ("password = x", 0, 0o640, None), ("password = x", 0, 0o440, None),
    ("password = x", 0, 0o644, "it holds a secret and is open to others (mode 644); have root give "
     "it mode 0440 and a group of yours"),
    ("password = x", USER, 0o640, "it holds a secret and is open to others (mode 640); chmod 600 "),
    ("password-command = x", 0, 0o664, f"conf: can be written by others (mode 664, group {GROUP}); "
     "have root say: chmod go-w "),
    ("password-command = x", USER, 0o664, f"can be written by others (mode 664, group {GROUP}); "
     "chmod go-w "),
    ("password-command = x", 0, 0o600, "cannot be read: Permission denied; have its owner let this "
     "user read it"),
    ("password-command = x", OTHER, 0o644, "belongs to another user (uid 61013); it has to be "
     "yours or root's")])
def test_the_configuration_itself(desk, line, owner, mode, says):
    desk.configure(PROFILE.format(line))
    path = desk.home.config / "kubetoken.conf"
    os.chown(path, owner, GROUP)
    path.chmod(mode)
    r = desk.check()
    if says is None:
        assert r.returncode == 0, r.stderr
    else:
        assert r.returncode == 9 and says in r.stderr, r.stderr
