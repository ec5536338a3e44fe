"""The lines that the journal gets: which, of what level, with which fields, and how many."""
import re
import shutil
import subprocess

import pytest

import rig
from rig import wait_until
from scripted import json_answer

TOKEN = "/oauth/token"
ERR, WARNING, NOTICE, INFO = "3456"
CATALOGUE = rig.TOP / "systemd" / "kubetoken.catalog"


class Journal:
    def __init__(self, path):
        self.path = path

    def entries(self, event=None):
        found = [dict(line.split("=", 1) for line in entry.split("\n"))
                 for entry in self.path.read_text(encoding="utf-8").split("\n\n") if entry]
        return [e for e in found if event in (None, e["KUBETOKEN_EVENT"])]

    def wait_for(self, event, n=1):
        return wait_until(lambda: len(self.entries(event)) >= n and self.entries(event)[n - 1],
                          f"a line {event}")


@pytest.fixture(scope="session")
def stand_in(tmp_path_factory):
    library = tmp_path_factory.mktemp("journal") / "stand_in.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-D_GNU_SOURCE", "-o", library,
                    rig.TOP / "tests" / "integration" / "journal_stand_in.c"], check=True)
    return library


@pytest.fixture
def journal(home, daemon, stand_in, tmp_path):
    """What the daemon writes, with stderr taken for the journal."""
    path = tmp_path / "journal"
    path.touch()
    daemon.log.touch()
    log = daemon.log.stat()
    home.environment.update(LD_PRELOAD=str(stand_in), JOURNAL_STAND_IN=str(path),
                            JOURNAL_STREAM=f"{log.st_dev}:{log.st_ino}")
    yield Journal(path)
    text = path.read_text(encoding="utf-8")
    assert "canary" not in text
    catalogue = CATALOGUE.read_text(encoding="utf-8")
    assert all(f"\n-- {number}\n" in catalogue
               for number in re.findall("^MESSAGE_ID=(.*)$", text, re.M))


def refuse(fake):
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 403)


def test_a_refusal_is_an_error_and_what_mends_it_is_told(home, daemon, fake, journal):
    refuse(fake)
    home.write("pw", "canary-pw\n")
    home.configure(fake.profile(password="password-file = pw"))
    daemon.start()
    assert home.run("get").returncode == 6
    line = journal.wait_for("refused")
    assert (line["PRIORITY"], line["KUBETOKEN_PROFILE"]) == (ERR, "p")
    assert line["MESSAGE"] == ("p: the provider refused the user name or password: HTTP 403, "
                               "invalid_grant; it is not tried again until the credential changes")
    fake.answers.clear()
    home.write("pw", "canary-other\n")
    line = journal.wait_for("recovered")
    assert (line["PRIORITY"], line["KUBETOKEN_PROFILE"]) == (NOTICE, "p")
    assert re.fullmatch(r"p: recovered after \S.*: token for \S+, \d+ s", line["MESSAGE"])
    assert not journal.entries("token"), "one line, not two"


def test_what_is_as_it_was_told_is_not_told_again(home, daemon, fake, journal):
    refuse(fake)
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 6
    for _ in range(3):
        assert home.run("refresh").returncode == 6
    assert len(journal.entries("refused")) == 1 and len(fake.grants()) == 2


def test_another_trouble_is_told(home, daemon, fake, journal):
    """Or the last line would say that it is not tried again."""
    refuse(fake)
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get").returncode == 6
    fake.answers[TOKEN] = 503, {}, b""
    assert home.run("refresh", "--timeout", "1s").returncode == 7
    line = wait_until(lambda: journal.entries()[1:], "a second line")[0]
    assert line["PRIORITY"] == WARNING and line["MESSAGE"].endswith("; it is tried again"), line


def test_a_login_that_is_needed_is_a_warning(home, daemon, fake, journal):
    fake.members["refresh_token"] = "canary-refresh"
    home.configure(fake.profile(password="", extra="use-refresh-token = yes\n"
                                                   "password-lifetime = 1s"))
    daemon.start()
    assert not journal.entries(), "a password that nobody has typed yet is no change"
    assert home.run("login", input="canary-pw\n").returncode == 0
    line, = journal.entries()
    assert (line["KUBETOKEN_EVENT"], line["PRIORITY"]) == ("token", INFO)
    fake.answers[TOKEN] = json_answer({"error": "invalid_grant"}, 400)
    wait_until(lambda: home.run("refresh").returncode == 5, "the end of the password")
    line = journal.wait_for("login-needed")
    assert line["PRIORITY"] == WARNING and line["MESSAGE"].endswith("; say kubetoken login p")
    fake.answers.clear()
    assert home.run("login", input="canary-pw\n").returncode == 0
    assert journal.wait_for("recovered")["PRIORITY"] == NOTICE


def test_what_goes_to_and_fro_is_told_a_few_times_alone(home, daemon, fake, journal):
    fake.members["refresh_token"] = "canary-refresh"  # renewals by it are no logins
    home.configure(fake.profile(extra="use-refresh-token = yes"))
    daemon.start()
    assert home.run("get").returncode == 0
    for _ in range(8):
        fake.answers[TOKEN] = 503, {}, b""
        assert home.run("refresh", "--timeout", "1s").returncode == 7
        fake.answers.clear()
        assert home.run("refresh").returncode == 0
    assert len(journal.entries("provider-fault")) == 6
    assert len(journal.entries("recovered")) == 6, "as many ends as beginnings"


def test_the_end_of_what_an_earlier_life_told_is_told(home, daemon, fake, journal):
    fake.answers[TOKEN] = 503, {}, b""
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get", "--timeout", "1s").returncode == 7
    daemon.restart(crash=True)
    fake.answers.clear()
    assert home.run("refresh").returncode == 0
    assert [e["KUBETOKEN_EVENT"] for e in journal.entries()] == ["provider-fault", "recovered"]


def test_errors_of_the_configuration_and_their_end(home, daemon, fake, journal):
    home.configure("[profile p]\n" + "".join(f"nonsense{i} = 1\n" for i in range(30)))
    daemon.start()
    lines = journal.entries()
    assert {e["KUBETOKEN_EVENT"] for e in lines} == {"config"}
    assert all(e["PRIORITY"] == ERR and "KUBETOKEN_PROFILE" not in e for e in lines)
    assert lines[0]["MESSAGE"].startswith(f"{home.config}/kubetoken.conf:2: ")
    assert len(lines) == 21 and re.fullmatch(r"and \d+ more errors", lines[-1]["MESSAGE"])
    home.configure(fake.profile())
    daemon.reload()
    assert journal.entries()[-1]["KUBETOKEN_EVENT"] == "recovered"
    daemon.reload()
    assert len(journal.entries("recovered")) == 1


# ---- the catalogue -----------------------------------------------------------------------------

def test_the_catalogue_is_that_of_the_table():
    program = rig.BUILD / "catalogue"
    assert program.exists(), "`make unit` builds it"
    r = subprocess.run([program], capture_output=True, timeout=rig.PATIENCE, check=True)
    assert r.stdout == CATALOGUE.read_bytes(), "say `make man`"


def test_every_event_that_is_written_is_explained():
    explained = (rig.TOP / "man" / "catalogue.c").read_text(encoding="utf-8")
    written = {event for path in (rig.TOP / "daemon").glob("*.c")
               for event in re.findall(r'journal_write\([^"]*?, "([a-z]+)"',
                                       path.read_text(encoding="utf-8"))}
    assert len(written) > 8
    assert written == set(re.findall(r'^    \{ "([a-z]+)",', explained, re.M))


@pytest.mark.skipif(not shutil.which("journalctl"), reason="systemd is not installed")
def test_systemd_takes_the_catalogue_and_no_number_is_there_twice(tmp_path):
    folder = tmp_path / "usr" / "lib" / "systemd" / "catalog"
    folder.mkdir(parents=True)
    shutil.copy(CATALOGUE, folder)
    text = CATALOGUE.read_text(encoding="utf-8")
    numbers = re.findall("^-- ([0-9a-f]{32})$", text, re.M)
    assert len(numbers) == len(set(numbers)) == text.count("\nSubject: ")
    for command in ("--update-catalog", "--list-catalog"):
        r = subprocess.run(["journalctl", f"--root={tmp_path}", command], capture_output=True,
                           text=True, timeout=rig.PATIENCE)
        assert (r.returncode, r.stderr) == (0, "")
    assert {line.split()[0] for line in r.stdout.splitlines()} == set(numbers)


def test_a_changed_configuration_is_told_once(home, daemon, fake, journal):
    home.configure(fake.profile("p"))
    daemon.start()
    home.configure(fake.profile("p", user="other") + fake.profile("q"))
    home.settle()
    for _ in range(3):
        assert home.run("get", "q").returncode == 0
        assert home.run("get", "none").returncode == 4
    line, = journal.entries("config-changed")
    assert (line["PRIORITY"], line["MESSAGE"]) == (
        NOTICE, "the configuration has changed since: kubetoken reload")
    line, = journal.entries("configuration")
    assert (line["PRIORITY"], line["MESSAGE"]) == (NOTICE, "1 new profile of a changed file taken")
