"""The API server rejects a token that looked valid: the next attempt brings another, with nobody
doing anything. And nothing that clients do in the normal way is taken for that."""
import json
import os
import shutil
import subprocess
import time
import urllib.request

import pytest

import apiserver
import rig
from test_kubectl import kubectls, stanza

INFO = ('{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1beta1",'
        '"spec":{"interactive":false}}\n')


@pytest.fixture
def running(fake, home, daemon):
    home.configure(fake.profile())
    return daemon.start()


def ask(home, times, *extra, info=INFO):
    """One process, which runs `kubetoken get` so many times; the tokens that it got."""
    loop = "for i in $(seq $1); do kubetoken get p; done"
    env = {**home.environment, "KUBERNETES_EXEC_INFO": info} if info else home.environment
    r = subprocess.run(["/bin/sh", "-c", loop, "kubectl", str(times), *extra], env=env,
                       capture_output=True, text=True, timeout=rig.PATIENCE, check=True)
    assert r.stderr == ""
    return [json.loads(line)["status"]["token"] if info else line
            for line in r.stdout.splitlines()]


def test_a_client_go_process_that_asks_again_early_gets_another_token(fake, home, running):
    first, second, third = ask(home, 3)
    assert first != second
    assert third == second, "that one is suspected no more before the floor has passed"
    assert len(fake.grants()) == 2
    assert "seems to reject" in running.log.read_text()


@pytest.mark.parametrize("arguments", [["apply", "-f", "-"], ["apply", "-f-"],
                                       ["create", "--filename=-"], ["diff", "--filename", "-"]])
def test_with_a_manifest_on_stdin_two_calls_are_normal(fake, home, running, arguments):
    tokens = ask(home, 2, *arguments)
    assert tokens[0] == tokens[1] and len(fake.grants()) == 1
    ask(home, 3, *arguments)
    assert len(fake.grants()) == 2


def test_other_processes_are_other_clients(fake, home, running):
    for _ in range(5):
        ask(home, 1)
    assert len(fake.grants()) == 1


@pytest.mark.parametrize("info", [None, INFO.replace(":", ": ")])
def test_a_shell_and_a_client_that_is_no_client_go_are_not_suspected(fake, home, running, info):
    """The Python client asks on every request."""
    assert len(set(ask(home, 5, info=info))) == 1
    assert len(fake.grants()) == 1


def test_who_is_not_the_parent_is_not_believed(fake, home, running):
    request = f"get token p client-go={os.getpid()} once\n".encode()
    assert len({rig.ask(home, request) for _ in range(5)}) == 1
    assert len(fake.grants()) == 1


def test_while_the_provider_is_down_the_old_token_is_kept(fake, home, running):
    first = home.run("get").stdout.strip()
    fake.answers["/oauth/token"] = (500, {}, b"")
    assert set(ask(home, 4)) == {first}
    assert len(fake.grants()) == 2


# ---- a rehearsal --------------------------------------------------------------------------------


def told(answer):
    return rig.seconds(json.loads(answer)["status"]["expirationTimestamp"]) - time.time()


def test_a_rehearsal_tells_an_early_end_of_a_real_token(fake, home, running):
    plain = json.loads(home.run("get", "-o", "json").stdout)
    for form in ("json", "exec", "exec/v1", "exec/v1beta1"):
        r = home.run("get", "-o", form, "--rehearse", "1m")
        answer = json.loads(r.stdout)
        answer = answer.get("status", answer)
        assert answer["token"] == plain["token"] and r.stderr == ""
        assert 55 < rig.seconds(answer["expirationTimestamp"]) - time.time() <= 60
        r = json.loads(home.run("get", "-o", form, "--rehearse", "2d").stdout)
        # an ExecCredential tells when to come back, our own JSON when the token ends
        real = plain["askAgainTimestamp" if "status" in r else "expirationTimestamp"]
        assert r.get("status", r)["expirationTimestamp"] == real, "not later than it is"
    assert 55 < told(home.run("get", "--rehearse=60", env={"KUBERNETES_EXEC_INFO": INFO}).stdout)
    assert len(fake.grants()) == 1
    # who asks the socket itself does not get one within seconds of now
    assert 3 < told(rig.ask(home, b"get exec/v1 p rehearse=1 once\n").split(b"\n", 1)[1]) <= 5


@pytest.mark.parametrize("arguments, says", [
    (["--rehearse", "4s", "-o", "json"], "--rehearse takes 5s or more"),
    (["--rehearse", "0", "-o", "json"], "--rehearse takes 5s or more"),
    (["--rehearse", "soon"], "--rehearse soon is no duration"),
    *((["--rehearse", "1m", *o], "a bare token says no time")
      for o in ([], ["-o", "token"], ["-o", "header"]))])
def test_what_is_no_rehearsal(home, arguments, says):
    r = home.run("get", *arguments)
    assert (r.returncode, r.stdout) == (2, "") and says in r.stderr


def rehearse(home, calls, *extra):
    """One process, which runs `kubetoken get --rehearse 5s` at these seconds after its start."""
    loop = 'for s in $1; do sleep "$s"; kubetoken get p --rehearse 5s; done'
    with subprocess.Popen(["/bin/sh", "-c", loop, "kubectl", calls, *extra],
                          env={**home.environment, "KUBERNETES_EXEC_INFO": INFO},
                          stdout=subprocess.PIPE, text=True) as p:
        yield
        out, _ = p.communicate(timeout=rig.PATIENCE)
    yield [json.loads(line)["status"]["token"] for line in out.splitlines()]


def test_who_comes_when_the_rehearsal_told_it_to_suspects_nothing(fake, home, running):
    clients = [rehearse(home, "0 5"), rehearse(home, "0 0 5 0", "-f", "-")]
    assert [next(c) for c in clients] == [None, None], "they run"
    one, manifest = [next(c) for c in clients]
    assert len(one) == 2 and len(manifest) == 4 and len({*one, *manifest}) == 1
    assert len(fake.grants()) == 1 and "seems to reject" not in running.log.read_text()


def test_who_comes_earlier_had_its_token_rejected_in_a_rehearsal_too(fake, home, running):
    _, (first, second) = rehearse(home, "0 0")
    assert first != second and len(fake.grants()) == 2


@pytest.fixture(params=kubectls() or [pytest.param(None, marks=pytest.mark.skip(
    reason="no kubectl on this machine"))])
def kubectl(request, home, server, tmp_path):
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps(server.kubeconfig(stanza("v1beta1", "p"))))

    def run(*args, **kwargs):
        return subprocess.run(
            [request.param, "--kubeconfig", kubeconfig, "--cache-dir", tmp_path / "cache", *args],
            env=home.environment, capture_output=True, text=True, timeout=2 * rig.PATIENCE,
            **({"stdin": subprocess.DEVNULL} | kwargs))
    return run


@pytest.fixture
def server(fake, running, tmp_path):
    with apiserver.ApiServer(str(tmp_path / "apiserver"), fake.issuer, "client",
                             issuer_ca=fake.ca_file) as s:
        yield s


def test_after_a_401_the_next_kubectl_works(fake, kubectl, server):
    """Its cache is warm: the one command that meets the 401 fails, whatever the plugin says. (Not
    so where kubectl is a dispatcher, which asks the server for its version first.)"""
    assert kubectl("get", "services").returncode == 0
    server.rejections.seen()
    r = kubectl("get", "services")
    assert r.returncode == 0 or "Unauthorized" in r.stderr
    r = kubectl("get", "services")
    assert r.returncode == 0, r.stderr
    assert len(fake.grants()) == 2


def test_with_a_cold_cache_the_same_kubectl_works(fake, home, kubectl, server, tmp_path):
    assert kubectl("get", "services").returncode == 0
    server.rejections.seen()
    shutil.rmtree(tmp_path / "cache")
    r = kubectl("get", "services")
    assert r.returncode == 0, r.stderr
    assert len(fake.grants()) == 2


def test_kubectl_in_everyday_use_fetches_nothing(fake, kubectl, server):
    manifest = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"},
                           "data": {"a": "b"}})
    for args in (["get", "services,configmaps"], ["get", "services", "-A", "-o", "json"],
                 ["api-resources"], ["version"], ["get", "--raw", "/healthz"]):
        kubectl(*args)
    for verb in (["create"], ["apply"], ["replace"], ["delete"]):
        r = kubectl(*verb, "-f", "-", stdin=None, input=manifest)
        assert r.returncode == 0, (verb, r.stderr)
    assert len(fake.grants()) == 1


def test_kubectl_asks_again_when_the_rehearsal_ends_and_not_before(fake, home, running, server,
                                                                   tmp_path):
    """`kubectl proxy` is a client that lives long: it looks at the time at each request."""
    program = (kubectls() or pytest.skip("no kubectl on this machine"))[0]
    calls, counting = tmp_path / "calls", tmp_path / "counting"
    counting.write_text(f'#!/bin/sh\ndate +%s.%N >> {calls}\nexec kubetoken "$@"\n')
    counting.chmod(0o755)
    user = stanza("v1beta1", "--rehearse", "5s", "p")
    user["exec"]["command"] = str(counting)
    (tmp_path / "kubeconfig").write_text(json.dumps(server.kubeconfig(user)))
    with subprocess.Popen([program, "--kubeconfig", tmp_path / "kubeconfig", "proxy", "--port=0"],
                          env=home.environment, stdout=subprocess.PIPE, text=True) as proxy:
        try:
            address = proxy.stdout.readline().split()[-1]

            def asked_twice():
                with urllib.request.urlopen(f"http://{address}/version",
                                            timeout=rig.PATIENCE) as r:
                    assert r.status == 200
                return len(calls.read_text().splitlines()) == 2
            assert not asked_twice() and not asked_twice()
            rig.wait_until(asked_twice, "the end of the rehearsed life")
            first, second = map(float, calls.read_text().split())
            assert second - first >= 4, "what is told is whole seconds"
        finally:
            proxy.kill()
    assert len(fake.grants()) == 1 and "seems to reject" not in running.log.read_text()
