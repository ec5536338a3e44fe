"""What is said of bad input: file, line, key, what is accepted, all at once, exit code 9."""
import re
import subprocess

import pytest

import rig


def check(home):
    return subprocess.run([rig.BUILD / "kubetokend", "--check-config"], env=home.environment,
                          capture_output=True, text=True, timeout=rig.PATIENCE)


BROKEN = """\
[defaults]
issuer = http://login.example.com/
isuer = x
[profile a b]
[profile good]
client-id =
timeout = soon
nonsense
[profile good]
username = u
password = secret-canary
"""


def test_all_errors_are_named_at_once(home):
    home.configure(BROKEN)
    r = check(home)
    assert r.returncode == 9
    lines = r.stderr.splitlines()
    where = {int(m.group(1)) for m in (re.search(r"kubetoken\.conf:(\d+):", x) for x in lines) if m}
    assert {3, 4, 6, 7, 8, 9} <= where, r.stderr
    assert 'did you mean "issuer"' in r.stderr
    assert "secret-canary" not in r.stderr


def test_every_client_is_answered_with_the_error_and_the_daemon_lives(home, daemon, provider):
    home.configure(BROKEN)
    daemon.start()
    for command in ("get", "status"):
        r = home.run(command)
        assert r.returncode == 9 and r.stderr.count("\n") == 1
        for line in (3, 4, 6, 7, 8, 9):
            assert f"kubetoken.conf:{line}:" in r.stderr
    home.configure(provider.profile("p"))  # corrected: the next request sees it
    home.settle()
    assert home.run("get").returncode == 0
    assert daemon.alive


def test_no_configuration_is_a_state_too(home, daemon, provider):
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and "kubetoken.conf" in r.stderr and r.stderr.count("\n") == 1
    home.configure(provider.profile("p"))
    home.settle()
    assert home.run("get").returncode == 0


def test_a_reload_with_errors_leaves_the_old_configuration_in_force(home, daemon, provider):
    home.configure(provider.profile("p"))
    daemon.start()
    token = home.run("get").stdout
    home.configure("[profile p]\nnonsense = 1\n")
    daemon.reload()
    assert home.run("get").stdout == token
    r = home.run("reload")
    assert r.returncode == 9 and "nonsense" in r.stderr
    assert "nonsense" in home.run("status").stdout
    home.configure(provider.profile("p") + provider.profile("q"))
    assert home.run("reload").stdout == "2 profiles\n"
    assert home.run("get", "p").stdout == token, "the same identity keeps its token"


def test_another_identity_drops_the_token(home, daemon, provider):
    home.configure(provider.profile("p"))
    daemon.start()
    token = home.run("get").stdout
    home.configure(provider.profile("p", user="other"))
    daemon.reload()
    r = home.run("get")
    assert r.returncode == 0 and r.stdout != token
    assert home.status("p")["userByClaim"]["email"] == "other@example.com"


@pytest.mark.parametrize("mode, code", [(0o600, 0), (0o400, 0), (0o640, 9), (0o604, 9)])
def test_a_configuration_with_a_secret_has_to_be_private(home, daemon, provider, mode, code):
    home.configure(provider.profile("p"), mode)
    daemon.start()
    r = home.run("get")
    assert r.returncode == code, r.stderr
    if code:
        assert f"chmod 600 {home.config}/kubetoken.conf" in r.stderr


@pytest.mark.parametrize("mode, code", [(0o600, 0), (0o440, 9), (0o644, 9)])
def test_a_password_file_has_to_be_private(home, daemon, provider, mode, code):
    home.write("pw", provider.facts["users"]["someone"]["password"] + "\n", mode)
    home.configure(provider.profile("p", password="", extra="password-file = pw"))
    daemon.start()
    r = home.run("get")
    assert r.returncode == code, r.stderr
    if code:
        assert f"chmod 600 {home.config}/pw" in r.stderr
        assert check(home).returncode == 9
        (home.config / "pw").chmod(0o600)
        assert check(home).returncode == 0


def test_only_the_newline_of_a_password_file_is_cut(home, daemon, own_provider):
    own_provider.passwd("someone", " outer blanks ")
    home.write("pw", " outer blanks \n")
    home.configure(own_provider.profile("p", password="", extra="password-file = pw"))
    daemon.start()
    assert home.run("get").returncode == 0


@pytest.mark.parametrize("content, says", [("", "empty"), ("\n", "empty"), ("a\0b", "NUL"),
                                           ("x" * 20000, "longer")])
def test_a_password_file_that_cannot_be_one(home, daemon, provider, content, says):
    home.write("pw", content)
    home.configure(provider.profile("p", password="", extra="password-file = pw"))
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and says in r.stderr and "pw" in r.stderr


@pytest.mark.parametrize("issuer", ["/api/oidc/", "/api/other"])
def test_an_issuer_that_differs_by_a_byte_is_named(home, daemon, provider, issuer):
    real = provider.issuer()
    wrong = real.replace("/api/oidc", issuer)
    home.configure(provider.profile("p").replace(f"issuer = {real}", f"issuer = {wrong}"))
    daemon.start()
    r = home.run("get", "--timeout", "2s")
    assert r.returncode == 8 and wrong in r.stderr, r.stderr
    if issuer.endswith("/"):
        assert real in r.stderr


def test_a_certificate_that_is_not_trusted(home, daemon, provider):
    facts = provider.facts
    home.configure(provider.profile("p").replace(f"ca-file = {facts['ca_file']}\n", ""))
    daemon.start()
    r = home.run("get", "--timeout", "2s")
    assert r.returncode == 7 and "certificate" in r.stderr


def test_a_ca_file_that_is_not_there(home, daemon, provider):
    facts = provider.facts
    home.configure(provider.profile("p").replace(facts["ca_file"], "/nonexistent/ca.pem"))
    daemon.start()
    r = home.run("get")
    assert r.returncode == 9 and "/nonexistent/ca.pem" in r.stderr


@pytest.mark.parametrize("arguments", [["get", "--timeout"], ["get", "--timeout", "x"],
                                       ["get", "a", "b"], ["get", "--nonsense"], ["nonsense"],
                                       ["get", "-o", "yaml"], ["reload", "p"],
                                       ["status", "--nonsense"], ["get", "--a\nb"], []])
def test_wrong_usage(home, arguments):
    r = home.run(*arguments)
    assert r.returncode == 2 and r.stdout == "" and r.stderr
    assert not arguments or r.stderr.count("\n") == 1


def test_a_name_that_no_profile_can_have(home):
    assert home.run("get", "a b").returncode == 4


def test_a_configuration_that_is_removed_leaves_the_former_in_force(home, daemon, provider):
    home.configure(provider.profile("p"))
    daemon.start()
    (home.config / "kubetoken.conf").unlink()
    assert home.run("reload").returncode == 9
    out = home.run("status").stdout
    assert "it is missing" in out and "null" not in out and out.endswith("\n")
    assert home.run("get").returncode == 0


def test_version_names_client_and_daemon(home, daemon):
    assert home.run("version").stdout.count("protocol 1") == 1
    daemon.start()
    assert "kubetokend" in home.run("version").stdout
