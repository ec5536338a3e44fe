"""The API server rejects a token that looked valid: the next attempt brings another, with nobody
doing anything. And nothing that clients do in the normal way is taken for that."""
import json
import os
import shutil
import subprocess

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
