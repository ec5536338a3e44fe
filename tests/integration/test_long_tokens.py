"""id_tokens of users in many groups: up to 128 KiB, as kube-apiserver takes headers of 1 MiB."""
import json
import re
import subprocess
import time

import pytest

import rig
import test_doctor
from scripted import json_answer

LONGEST = 128 * 1024


def token_of(fake, length):
    """A good one of exactly that many characters."""
    now = int(time.time())
    claims = {"iss": fake.issuer, "aud": "client", "sub": "auth0|1", "email": "a@b", "iat": now,
              "exp": now + 3600}
    for pad in range(4):  # base64url knows no length of 4n + 1
        def token(n, header={"pad": "x" * pad}):
            return fake.key.sign({**claims, "more": "x" * n}, header)
        about = (length - len(token(0))) * 3 // 4
        for n in range(about - 3, about + 4):
            if len(token(n)) == length:
                return token(n)
    raise AssertionError(f"none of {length}")


@pytest.fixture
def gives(fake, home, daemon):
    """Starts the daemon; the provider gives a token of that length, which is returned."""
    def start(length):
        token = token_of(fake, length)
        fake.answers["/oauth/token"] = json_answer({"id_token": token})
        home.configure(fake.profile())
        daemon.start()
        return token
    return start


def test_a_token_of_128_kib_is_served_in_each_form(home, gives):
    token = gives(LONGEST)
    assert home.run("get").stdout == token + "\n"
    assert home.run("get", "-o", "header").stdout == f"Authorization: Bearer {token}\n"
    for form in "exec/v1", "exec/v1beta1":
        assert json.loads(home.run("get", "-o", form).stdout)["status"]["token"] == token
    assert json.loads(home.run("get", "-o", "json").stdout)["token"] == token
    assert home.status("p")["verified"]


def test_many_clients_get_it_at_once(fake, home, gives):
    token = gives(LONGEST)
    clients = [subprocess.Popen([rig.BUILD / "kubetoken", "get"], env=home.environment, text=True,
                                stdout=subprocess.PIPE) for _ in range(20)]
    assert {c.communicate(timeout=rig.PATIENCE)[0] for c in clients} == {token + "\n"}
    assert len(fake.grants()) == 1


def test_it_is_renewed_with_the_one_in_hand(fake, home, gives):
    """The job brings the former token, and what changed is told."""
    gives(LONGEST)
    assert home.run("get").returncode == 0
    second = token_of(fake, LONGEST - 4)
    fake.answers["/oauth/token"] = json_answer({"id_token": second})
    assert home.run("refresh").returncode == 0
    assert home.run("get").stdout == second + "\n"
    assert home.status("p")["changedClaims"].startswith("more: xxx")


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_it_can_be_inspected(home, gives, form):
    token = gives(LONGEST)
    assert home.run("get").returncode == 0
    for r in home.run("inspect", "p", *form), home.run("inspect", "-", *form, input=token):
        assert (r.returncode, r.stderr) == (0, "")
        assert "x" * 90000 in r.stdout and "signature" in r.stdout


def test_a_report_that_grows_by_its_indentation_is_still_one(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    deep = json.loads('{"":' * 8 + "{}" + "}" * 8)
    token = fake.id_token(more={f"k{i}": deep for i in range(1300)})
    assert len(token) < LONGEST
    r = home.run("inspect", "-", "--json", input=token)
    assert r.returncode == 0, r.stderr
    report = json.loads(r.stdout)
    assert len(report["claims"]["more"]) == 1300
    assert len(json.dumps(report, indent="\t")) > 192 * 1024, "so long it would have been"


@pytest.mark.parametrize("more", [1, 3, 100000])
def test_a_longer_one_is_refused_with_a_true_sentence(home, gives, more):
    gives(LONGEST + more)
    r = home.run("get")
    assert (r.returncode, r.stdout) == (8, "")
    assert r.stderr == (
        f"kubetoken: p: the id_token is longer than kubetoken takes: {LONGEST + more} bytes, and "
        "131072 at most; have the provider leave out groups or claims that the cluster does not "
        "need\n")


@pytest.mark.parametrize("length, warned", [(8191, False), (8192, True), (LONGEST, True)])
def test_from_8_kib_on_status_and_doctor_name_the_proxies_that_mind(home, gives, length, warned):
    gives(length)
    assert home.run("get").returncode == 0
    warnings = home.status("p")["warnings"]
    assert [w["code"] for w in warnings] == ["token-long"] * warned
    table = rig.unwrapped(home.run("status").stdout)
    assert ("p: warning: the token is longer than many proxies let pass: "
            f"{length} bytes; " in table) == warned
    assert ("nginx: large_client_header_buffers" in table) == warned
    report = test_doctor.doctor(home)
    assert report.found() == [("length", "warning", "token-long")] * warned


def locked_kib(daemon, which="VmLck"):
    text = open(f"/proc/{daemon.pid}/status", encoding="ascii").read()
    return int(re.search(rf"{which}:\s+(\d+) kB", text)[1])


def test_a_hundred_of_64_kib_fit_the_usual_limit_of_locked_memory(fake, home):
    names = [f"p{i}" for i in range(100)]
    token = token_of(fake, 64 * 1024)
    fake.answers["/oauth/token"] = json_answer({"id_token": token, "refresh_token": "r"})
    home.configure("\n".join(fake.profile(n, user=n) for n in names))
    with test_doctor.unlocked_daemon(home, 8 << 20) as daemon:
        for _ in range(2):
            for name in names:
                assert home.run("refresh", name).returncode == 0
        assert 100 * 64 < locked_kib(daemon) < 100 * 72
        status = json.loads(home.run("status", "--json").stdout)
        assert status["memoryLocked"] is True
        assert len([p for p in status["profiles"] if "expirationTimestamp" in p]) == 100
