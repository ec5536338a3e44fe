"""kubetoken status --metrics: what Prometheus's node exporter is to read."""
import json
import os
import re
import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

import rig

TOKEN = "/oauth/token"
MANUAL = (rig.TOP / "man" / "kubetoken.1").read_text(encoding="utf-8")
STATES = {"idle", "asking", "waiting", "stopped", "login needed"}


def lint(text):
    """What promtool says, where there is one."""
    promtool = shutil.which("promtool")
    if promtool:
        r = subprocess.run([promtool, "check", "metrics"], input=text, text=True,
                           capture_output=True, timeout=rig.PATIENCE)
        assert (r.returncode, r.stdout, r.stderr) == (0, "", ""), r


def metrics(home, *args, option="--metrics"):
    """{name: {labels: value}}, of a text that is in order."""
    r = home.run("status", option, *args)
    assert (r.returncode, r.stderr) == (0, "")
    assert r.stdout.endswith("\n") and "\n\n" not in r.stdout and "#  " not in r.stdout
    lint(r.stdout)
    found = {}
    for family in text_string_to_metric_families(r.stdout):
        assert family.documentation.endswith(".") and family.type in ("gauge", "counter")
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert sample.name.startswith("kubetoken_") and labels not in series
            assert sample.name.endswith("_total") == (family.type == "counter")
            series[labels] = sample.value
    return found


def of(found, name, profile="p"):
    """The number of a profile, None where there is none."""
    return found.get(f"kubetoken_profile_{name}", {}).get((("profile", profile),))


@pytest.fixture
def running(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    return home


def test_what_is_told_of_a_token(fake, running):
    assert running.run("get").returncode == 0
    found, status = metrics(running), running.status("p")
    assert found["kubetoken_up"] == {(): 1} == found["kubetoken_configuration_in_force"]
    assert found["kubetoken_configuration_errors"] == {(): 0}
    [[[label, version]]] = found["kubetoken_build_info"]
    assert label == "version" and version == json.loads(
        running.run("status", "--json").stdout)["version"]
    assert list(found["kubetoken_profile_info"]) == [
        (("issuer", fake.issuer), ("profile", "p"))]
    states = {dict(labels)["state"]: v for labels, v in found["kubetoken_profile_state"].items()}
    assert set(states) == STATES and {s for s in states if states[s]} == {"idle"}
    for name, member in (("token_expiration", "expiration"), ("renewal", "renewal"),
                         ("state_since", "since")):
        assert abs(of(found, f"{name}_timestamp_seconds") -
                   rig.seconds(status[f"{member}Timestamp"])) <= 1, name
    assert (of(found, "has_token"), of(found, "token_verified"), of(found, "warnings")) == (1, 1, 0)
    assert of(found, "clock_offset_seconds") == status["clockOffsetSeconds"]
    assert of(found, "retry_timestamp_seconds") is None
    assert "kubetoken_profile_error" not in found


def test_what_is_counted(fake, running):
    def counted():
        found = metrics(running)
        return [of(found, f"{what}_total") for what in ("handouts", "renewals", "failures")]

    assert counted() == [0, 0, 0]
    assert running.run("get").returncode == 0  # waits for it
    assert counted() == [1, 1, 0]
    for command in (["get"], ["get", "--json"], ["inspect"], ["status"]):
        assert running.run(*command).returncode == 0
    assert counted() == [3, 1, 0]
    assert running.run("refresh").returncode == 0
    assert counted() == [3, 2, 0]
    fake.answers[TOKEN] = (503, {"Retry-After": "600"}, b"")
    assert running.run("refresh", "--timeout", "1s").returncode == 7
    assert running.run("get").returncode == 0, "the old one lives"
    assert counted() == [4, 2, 1]


def test_what_is_told_of_a_failure(fake, running):
    found = metrics(running)
    assert of(found, "has_token") == 0 and of(found, "token_verified") is None
    assert of(found, "token_expiration_timestamp_seconds") is None
    fake.answers[TOKEN] = (503, {"Retry-After": "600"}, b"")
    assert running.run("get", "--timeout", "1s").returncode == 7
    found = metrics(running)
    assert found["kubetoken_profile_error"] == {
        (("code", "provider-fault"), ("profile", "p")): 1}
    retry = rig.seconds(running.status("p")["retryTimestamp"])
    assert abs(of(found, "retry_timestamp_seconds") - retry) <= 1
    assert of(found, "renewal_timestamp_seconds") is None


def test_no_user_is_named_unless_asked_for(fake, home, daemon):
    name = 'dom\\nobody"one'  # which unescaped would have a newline
    home.configure(fake.profile("p", user=name) + fake.profile("q", user="me"))
    daemon.start()
    assert name not in str(metrics(home)) and "nobody" not in home.run("status", "--metrics").stdout
    [p, q] = [dict(labels) for labels in metrics(home, option="--metrics-user")[
        "kubetoken_profile_info"]]
    assert (p["user"], q["user"]) == (name, "me")
    assert len(metrics(home, "q")["kubetoken_profile_info"]) == 1


def test_a_broken_configuration_is_a_number_and_no_error(fake, running):
    def configuration(found):
        return [found[f"kubetoken_configuration_{name}"][()] for name in ("in_force", "errors")]

    running.configure(fake.profile(extra="colour = blue\nsize = 3"))
    running.run("reload")
    found = metrics(running)
    assert configuration(found) == [0, 2] and of(found, "has_token") == 0


@pytest.mark.parametrize("text", [None, "colour = blue\n", ""])
def test_without_a_configuration_there_are_no_profiles(home, daemon, text):
    if text is not None:
        home.configure(text)
    daemon.start()
    found = metrics(home)
    assert found["kubetoken_up"] == {(): 1}
    assert not [name for name in found if "profile" in name]


def test_no_daemon_is_an_answer(home):
    home.environment["KUBETOKEN_AUTOSTART"] = "1"
    assert metrics(home) == {"kubetoken_up": {(): 0}}
    assert not list(home.runtime.glob("**/socket")), "none is started"


def test_what_cannot_be_told_is_an_error_and_no_text(running):
    for args, code, says in ((["nobody"], 4, "no such profile: nobody"),
                             (["--json"], 2, "--metrics is a format of its own"),
                             (["-q"], 2, "--metrics is a format of its own")):
        r = running.run("status", "--metrics", *args)
        assert (r.returncode, r.stdout) == (code, "") and says in r.stderr
        assert r.stderr.startswith("kubetoken: ") and r.stderr.count("\n") == 1


def test_the_manuals_line_leaves_a_whole_file_that_others_can_read(running, tmp_path):
    [line] = re.findall(r"^\* \* \* \* \* (.*)$", MANUAL, re.M)
    folder = tmp_path / "metrics"
    folder.mkdir()
    command = line.replace("/srv/metrics", str(folder))
    assert command != line and "%" not in line, "that is a newline to cron"
    (folder / "k.prom").write_text("of the last minute")
    (folder / "k.prom").chmod(0o600)
    r = subprocess.run(["/bin/sh", "-c", command], env=running.environment, capture_output=True,
                       text=True, timeout=rig.PATIENCE)
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
    assert os.listdir(folder) == ["k.prom"]
    assert "kubetoken_up 1\n" in (folder / "k.prom").read_text()
    assert (folder / "k.prom").stat().st_mode & 0o777 == 0o644


def test_the_manual_names_each_metric(fake, running):
    said = set(re.findall(r"kubetoken_\w+", MANUAL))
    fake.claims = {"email_verified": False}
    assert running.run("get").returncode == 0
    seen = set(metrics(running))
    fake.answers[TOKEN] = (503, {"Retry-After": "600"}, b"")
    running.run("refresh")
    seen |= set(metrics(running))
    assert seen == said


OUT_OF_MEMORY = ("kubetoken: internal error: out of memory; end what takes it, or raise the limit "
                 "(ulimit -v), and try again\n")


@pytest.mark.skipif(not shutil.which("prlimit"), reason="prlimit is not installed")
def test_what_there_is_no_memory_for_is_said_to_be_so(home, daemon):
    """An answer of over a MiB; what has room is served."""
    issuer = f"https://127.0.0.1:1/{'x' * 1000}"
    home.configure("[defaults]\nclient-id = c\nusername = u\n" + "".join(
        f"[profile p{i}]\nissuer = {issuer}\n" for i in range(900)))
    daemon.start()
    assert len(home.run("status", "--json").stdout) > 1 << 20

    def run(*args):
        return subprocess.run(["prlimit", f"--as={1 << 20}", rig.BUILD / "kubetoken", *args],
                              env=home.environment, stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=rig.PATIENCE)
    for words in (["--metrics"], ["--watch", "--json"]):
        r = run("status", *words)
        assert (r.returncode, r.stdout, r.stderr) == (1, "", OUT_OF_MEMORY), words
    assert run("status", "p1").returncode == 0
