"""Real kubectl runs `kubetoken get` as its exec plugin against an API server that judges tokens
as kube-apiserver does."""
import json
import os
import shutil
import subprocess

import pytest

import apiserver
import rig


def kubectls():
    """All on the PATH, and those named in KUBETOKEN_TEST_KUBECTLS, each once."""
    found = [shutil.which("kubectl", path=folder) for folder in os.environ["PATH"].split(":")]
    found += os.environ.get("KUBETOKEN_TEST_KUBECTLS", "").split(":")
    return list(dict.fromkeys(os.path.realpath(k) for k in found if k))


@pytest.fixture
def server(provider, tmp_path):
    with apiserver.ApiServer(str(tmp_path / "apiserver"), provider.issuer(), "kubernetes",
                             issuer_ca=provider.facts["ca_file"]) as s:
        yield s


@pytest.fixture(params=kubectls() or [pytest.param(None, marks=pytest.mark.skip(
    reason="no kubectl on this machine"))])
def kubectl(request, home, server, tmp_path):
    def run(*args, user):
        kubeconfig = tmp_path / "kubeconfig"
        kubeconfig.write_text(json.dumps(server.kubeconfig(user)))
        return subprocess.run(
            [request.param, "--kubeconfig", kubeconfig, "--cache-dir", tmp_path / "cache", *args],
            env=home.environment, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=2 * rig.PATIENCE)

    run.minor = minor_version(request.param)
    return run


def minor_version(program):
    r = subprocess.run([program, "version", "--client", "-o", "json"], capture_output=True,
                       text=True, timeout=rig.PATIENCE, check=True)
    minor = json.loads(r.stdout)["clientVersion"]["minor"]
    return int("".join(c for c in minor if c.isdigit()))


def stanza(version, *args):
    return {"exec": {"apiVersion": f"client.authentication.k8s.io/{version}",
                     "command": "kubetoken", "args": ["get", *args],
                     "interactiveMode": "Never", "provideClusterInfo": False}}


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_kubectl_get_services(provider, home, daemon, kubectl, server, version):
    home.configure(provider.profile("p"))
    daemon.start()
    r = kubectl("get", "services", user=stanza(version, "-o", "exec/v1", "p"))
    if version == "v1" and kubectl.minor < 22:
        assert "invalid apiVersion" in r.stderr, "kubectl knows v1 since 1.22"
        return
    assert r.returncode == 0, r.stderr
    assert r.stderr == ""
    assert r.stdout.splitlines()[0].split() == ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP",
                                                "PORT(S)", "AGE"]
    assert "10.96.0.1" in r.stdout
    assert {q.user for q in server.requests} == {"someone@example.com"}


def test_cluster_info_in_the_plugins_environment(provider, home, daemon, kubectl):
    """provideClusterInfo makes KUBERNETES_EXEC_INFO as large as the CA bundle."""
    home.configure(provider.profile("p"))
    daemon.start()
    user = stanza("v1beta1", "p")
    user["exec"]["provideClusterInfo"] = True
    r = kubectl("get", "services", user=user)
    assert r.returncode == 0, r.stderr


def test_the_printed_stanza_works_as_it_is(provider, home, daemon, kubectl, server, tmp_path):
    home.configure(provider.profile("p"))
    daemon.start()
    version = "v1" if kubectl.minor >= 22 else "v1beta1"
    printed = home.run("kubeconfig", "--api-version", version, "p")
    assert printed.returncode == 0, printed.stderr
    config = server.kubeconfig({})
    config.pop("users")
    config["contexts"][0]["context"]["user"] = "p"
    # two files, joined by kubectl itself, so that nobody here parses the stanza
    (tmp_path / "cluster").write_text(json.dumps(config))
    (tmp_path / "user").write_text("apiVersion: v1\nkind: Config\n" + printed.stdout)
    env = {**home.environment, "KUBECONFIG": f"{tmp_path}/cluster:{tmp_path}/user"}
    r = subprocess.run([shutil.which("kubectl") if kubectl.minor >= 22 else "kubectl",
                        "--cache-dir", tmp_path / "cache2", "get", "services"], env=env,
                       capture_output=True, text=True, timeout=2 * rig.PATIENCE)
    assert r.returncode == 0, r.stderr
    assert "10.96.0.1" in r.stdout


def test_a_byte_changed_in_the_middle_is_a_401(provider, home, daemon, kubectl):
    home.configure(provider.profile("p"))
    daemon.start()
    token = home.run("get", "p").stdout.strip()
    i = len(token) - 100
    broken = token[:i] + ("A" if token[i] != "A" else "B") + token[i + 1:]
    assert kubectl("get", "services", user={"token": token}).returncode == 0
    r = kubectl("get", "services", user={"token": broken})
    assert r.returncode == 1
    assert "You must be logged in" in r.stderr or "provide credentials" in r.stderr


def test_a_failure_reads_well_under_kubectl(provider, home, daemon, kubectl):
    home.configure(provider.profile("p", password="wrong one"))
    daemon.start()
    r = kubectl("get", "--raw", "/healthz", user=stanza("v1beta1", "p"))
    assert r.returncode != 0
    first, *rest = r.stderr.splitlines()
    assert first.startswith("kubetoken: p: the provider refused")
    assert all("kubetoken: " not in line or line == first for line in rest)
    assert "wrong one" not in r.stderr
