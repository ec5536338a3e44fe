"""The main job against a real provider: what `get` prints, its exit code, and that the daemon
lives on."""
import base64
import json
import os
import re
import signal
import subprocess

import pytest

import rig
from rig import ask, seconds, wait_until


def claims(token):
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def get(home, *args, **kwargs):
    r = home.run("get", *args, **kwargs)
    assert r.returncode == 0, r.stderr
    assert r.stderr == ""
    return r.stdout


def fails(home, code, *args):
    """`get` fails with that code and one line on stderr; nothing is on stdout."""
    r = home.run("get", *args)
    assert r.returncode == code, (r.returncode, r.stderr)
    assert r.stdout == ""
    assert r.stderr.startswith("kubetoken: ") and r.stderr.count("\n") == 1
    assert r.stderr.endswith("\n")
    return r.stderr


def test_a_shell_gets_the_bare_token(provider, home, daemon):
    home.configure(provider.profile("p"))
    daemon.start()
    token = get(home).rstrip("\n")
    assert claims(token)["email"] == "someone@example.com"
    assert claims(token)["iss"] == provider.issuer()
    assert get(home, "p") == token + "\n", "the same token is served until it is renewed"
    assert daemon.alive


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
@pytest.mark.parametrize("info", [
    '{{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/{v}",'
    '"spec":{{"interactive":false}}}}\n',
    '{{"apiVersion": "client.authentication.k8s.io/{v}", "kind": "ExecCredential", '
    '"spec": {{"interactive": false}}}}',
    '{{"kind":"ExecCredential","spec":{{"cluster":{{"config":{{"apiVersion":"x/v9"}}}}}},'
    '\n "apiVersion" : "client.authentication.k8s.io/{v}"}}\n',
])
def test_an_exec_plugin_answers_in_the_version_that_it_was_asked_in(provider, home, daemon,
                                                                   version, info):
    home.configure(provider.profile("p"))
    daemon.start()
    out = json.loads(get(home, "-o", "exec/v1", "p",
                         env={"KUBERNETES_EXEC_INFO": info.format(v=version)}))
    assert out["apiVersion"] == f"client.authentication.k8s.io/{version}"
    assert out["kind"] == "ExecCredential"
    assert sorted(out["status"]) == ["expirationTimestamp", "token"]


def test_an_exec_info_as_large_as_a_ca_bundle_is_read(provider, home, daemon):
    home.configure(provider.profile("p"))
    daemon.start()
    info = ('{"kind":"ExecCredential","spec":{"cluster":{"certificate-authority-data":"'
            + "A" * 100_000 + '"}},"apiVersion":"client.authentication.k8s.io/v1"}\n')
    out = json.loads(get(home, env={"KUBERNETES_EXEC_INFO": info}))
    assert out["apiVersion"] == "client.authentication.k8s.io/v1"


def test_the_option_alone_makes_an_exec_credential(provider, home, daemon):
    """The JavaScript client sets no KUBERNETES_EXEC_INFO."""
    home.configure(provider.profile("p"))
    daemon.start()
    for option, version in (("exec/v1", "v1"), ("exec/v1beta1", "v1beta1"), ("exec", "v1beta1")):
        out = json.loads(get(home, "-o", option, "p"))
        assert out["apiVersion"] == f"client.authentication.k8s.io/{version}"


@pytest.mark.parametrize("options", [(), ("-o", "exec"), ("-o", "exec/v1beta1")])
def test_an_unknown_exec_version_is_refused_with_what_to_do(home, daemon, options):
    daemon.start()
    r = home.run("get", *options, env={
        "KUBERNETES_EXEC_INFO": '{"apiVersion":"client.authentication.k8s.io/v1alpha1"}'})
    assert r.returncode == 2 and "v1beta1" in r.stderr and r.stderr.count("\n") == 1


def test_the_timestamp_lies_between_renewal_and_death(provider, home, daemon):
    home.configure(provider.profile("p"))
    daemon.start()
    out = json.loads(get(home, "-o", "exec/v1"))
    exp = claims(out["status"]["token"])["exp"]
    stamp = seconds(out["status"]["expirationTimestamp"])
    renewal = seconds(home.status("p")["renewalTimestamp"])
    assert renewal < stamp < exp - 60, "a client that lives long asks again before it is rejected"


def test_header_and_json_formats(provider, home, daemon):
    home.configure(provider.profile("p"))
    daemon.start()
    token = get(home).strip()
    assert get(home, "-o", "header") == f"Authorization: Bearer {token}\n"
    out = json.loads(get(home, "-o", "json"))
    assert out["token"] == token and out["profile"] == "p"


def test_two_profiles_have_tokens_of_their_own(provider, home, daemon):
    home.configure(provider.profile("a") + provider.profile("b", user="other"))
    daemon.start()
    assert claims(get(home, "a"))["email"] == "someone@example.com"
    assert claims(get(home, "b"))["email"] == "other@example.com"
    assert "a, b" in fails(home, 4)


def test_the_default_profile_is_the_one_named(provider, home, daemon):
    home.configure("[defaults]\ndefault-profile = b\n" + provider.profile("a") +
                   provider.profile("b", user="other"))
    daemon.start()
    assert claims(get(home))["email"] == "other@example.com"


def test_difficult_names_passwords_and_secrets_arrive_whole(provider, home, daemon):
    home.configure(provider.profile("p", user="difficult", client="kubernetes-odd"))
    daemon.start()
    assert claims(get(home))["email"] == provider.facts["users"]["difficult"]["email"]


@pytest.mark.parametrize("client, auth", [
    ("kubernetes", "post"), ("kubernetes", "basic"), ("kubernetes", "basic-raw"),
    ("kubernetes-odd", "post"), ("kubernetes-odd", "basic-raw"),
    ("basic-only", "basic"), ("post-only", "post"),
])
def test_each_way_of_client_authentication(provider, home, daemon, client, auth):
    home.configure(provider.profile("p", client=client, extra=f"client-auth = {auth}"))
    daemon.start()
    get(home)


def test_a_public_client_is_refused_in_the_providers_words(provider, home, daemon):
    """Glewlwyd gives public clients no password grant: 403 with an empty body."""
    home.configure(provider.profile("p", client="public", extra="client-auth = none"))
    daemon.start()
    assert "HTTP 403, empty body" in fails(home, 6)


def test_es256_is_verified_when_it_is_allowed(provider, home, daemon):
    home.configure(provider.profile("p", instance="oidc-es256", extra="signing-algs = RS256 ES256"))
    daemon.start()
    get(home)
    assert home.status("p")["verified"] is True


def test_a_token_signed_otherwise_than_allowed_is_not_served(provider, home, daemon):
    home.configure(provider.profile("p", instance="oidc-es256"))
    daemon.start()
    assert "ES256" in fails(home, 8)


def test_a_wrong_password_is_sent_once(own_provider, home, daemon):
    home.configure(own_provider.profile("p", password="not it"))
    daemon.start()
    assert "HTTP 403, empty body" in fails(home, 6)
    log = own_provider.facts["log_file"]
    sent = open(log, encoding="utf-8", errors="replace").read().count("someone")
    for _ in range(5):
        fails(home, 6)
    daemon.reload()
    fails(home, 6)
    assert open(log, encoding="utf-8", errors="replace").read().count("someone") == sent
    assert home.status("p")["state"] == "stopped"
    assert daemon.alive


def test_a_corrected_password_file_is_seen_by_the_next_get(provider, home, daemon):
    home.write("pw", "wrong\n")
    home.configure(provider.profile("p", password="", extra="password-file = pw"))
    daemon.start()
    fails(home, 6)
    home.write("pw", provider.facts["users"]["someone"]["password"] + "\n")
    get(home)


def test_a_wrong_client_secret_says_so(provider, home, daemon):
    home.configure(provider.profile("p", secret="wrong-secret-xyz"))
    daemon.start()
    line = fails(home, 6)
    assert "HTTP 400" in line and "wrong-secret-xyz" not in line


def test_a_grant_that_is_not_allowed(provider, home, daemon):
    home.configure(provider.profile("p", client="no-password-grant"))
    daemon.start()
    fails(home, 6)


def test_an_answer_without_an_id_token(provider, home, daemon):
    home.configure(provider.profile("p", user="no-openid"))
    daemon.start()
    assert "without an id_token" in fails(home, 6)


def test_a_token_is_renewed_before_it_expires_with_nobody_asking(provider, home, daemon):
    """The short provider's tokens live 12 s; the renewal is due after about 6."""
    home.configure(provider.profile("p", instance="oidc-short"))
    daemon.start()
    first = get(home)
    expires = home.status("p")["expirationTimestamp"]
    wait_until(lambda: home.status("p")["expirationTimestamp"] > expires, "a renewal")
    second = get(home)
    assert second != first
    assert claims(second)["exp"] > claims(first)["exp"]


def test_a_valid_token_outlives_the_provider(own_provider, home, daemon):
    home.configure(own_provider.profile("p"))
    daemon.start()
    token = get(home)
    own_provider.stop()
    r = home.run("refresh", "--timeout", "2s")
    assert r.returncode == 7 and r.stderr.count("\n") == 1
    assert get(home) == token
    own_provider.restart()
    assert home.run("refresh").returncode == 0
    assert get(home) != token


def test_a_provider_that_is_down_is_named_and_waited_for(own_provider, home, daemon):
    home.configure(own_provider.profile("p"))
    daemon.start()
    own_provider.stop()
    assert "localhost" in fails(home, 7, "--timeout", "2s")
    waiting = subprocess.Popen([rig.BUILD / "kubetoken", "get", "p", "--timeout", "50s"],
                               env=home.environment, stdout=subprocess.PIPE, text=True)
    own_provider.restart()
    out, _ = waiting.communicate(timeout=rig.PATIENCE)
    assert waiting.returncode == 0 and claims(out)["email"] == "someone@example.com"


def test_a_restart_of_the_daemon_is_not_seen_by_clients(provider, home, daemon):
    home.configure(provider.profile("p"))
    daemon.start()
    get(home)
    assert daemon.stop() == 0
    daemon.wait_for("STOPPING=1")
    waiting = subprocess.Popen([rig.BUILD / "kubetoken", "get"], env=home.environment,
                               stdout=subprocess.PIPE, text=True)  # queued in the backlog
    daemon.start()
    out, _ = waiting.communicate(timeout=rig.PATIENCE)
    assert waiting.returncode == 0 and out.count(".") == 2


def test_ready_comes_before_any_network(home, daemon):
    """A provider at an address that swallows everything delays no start."""
    home.configure("[profile p]\nissuer = https://localhost:1/\nclient-id = c\n"
                   "username = u\npassword = p\n")
    daemon.start()
    assert "STATUS=Serving 1 profile" in " ".join(daemon.messages)


def test_min_validity_beyond_the_providers_lifetime(provider, home, daemon):
    home.configure(provider.profile("p"))
    daemon.start()
    get(home)
    # of the 3600 s the last is not counted, nor what passed between iat and Date
    lives = int(re.search(r"asked for: (\d+) s;", fails(home, 8, "--min-validity", "2h"))[1])
    assert 3600 - 1 - rig.PATIENCE <= lives <= 3600 - 1
    get(home, "--min-validity", "30m")


def test_many_clients_share_one_request(own_provider, home, daemon):
    home.configure(own_provider.profile("p"))
    daemon.start()
    own_provider.stop()
    clients = [subprocess.Popen([rig.BUILD / "kubetoken", "get"], env=home.environment,
                                stdout=subprocess.PIPE, text=True) for _ in range(50)]
    own_provider.restart()
    tokens = {c.communicate(timeout=rig.PATIENCE)[0] for c in clients}
    assert all(c.returncode == 0 for c in clients)
    assert len(tokens) == 1


def test_a_command_gives_the_password(provider, home, daemon):
    password = provider.facts["users"]["someone"]["password"]
    home.configure(provider.profile(
        "p", password="", extra=f"password-command = printf '%%s\\n' '{password}'"))
    daemon.start()
    get(home)


def test_a_command_that_fails_is_named(provider, home, daemon):
    home.configure(provider.profile("p", password="",
                                    extra="password-command = sh -c 'exit 3'"))
    daemon.start()
    assert "exit status 3" in fails(home, 9)


def test_without_a_password_a_login_is_needed(provider, home, daemon):
    home.configure(provider.profile("p", password=""))
    daemon.start()
    fails(home, 5)


def test_the_daemon_makes_and_removes_a_socket_of_its_own(provider, home):
    home.configure(provider.profile("p"))
    d = rig.Daemon(home, activated=False).start()
    try:
        get(home)
        assert oct(home.socket_path.stat().st_mode & 0o777) == "0o600"
        assert oct(home.socket_path.parent.stat().st_mode & 0o777) == "0o700"
        second = subprocess.run([rig.BUILD / "kubetokend"], env=home.environment,
                                capture_output=True, text=True, timeout=rig.PATIENCE)
        assert second.returncode != 0 and "serves" in second.stderr
        get(home)
    finally:
        d.close()
    assert not home.socket_path.exists()


def test_a_dead_daemons_socket_is_replaced(provider, home):
    home.configure(provider.profile("p"))
    first = rig.Daemon(home, activated=False).start()
    first.signal(signal.SIGKILL)
    first.process.wait(rig.PATIENCE)
    assert home.socket_path.exists()
    second = rig.Daemon(home, activated=False).start()
    get(home)
    second.close()


def test_no_daemon_is_said_with_what_to_do(home):
    assert fails(home, 3, "p").endswith("; start it with: kubetoken restart\n")


def test_a_daemon_that_hangs_does_not_hang_the_client(provider, home, daemon):
    home.configure(provider.profile("p"))
    daemon.start()
    daemon.signal(signal.SIGSTOP)
    try:
        fails(home, 3, "--timeout", "1s")
    finally:
        daemon.signal(signal.SIGCONT)


def test_no_secret_is_seen_in_log_status_or_proc(provider, home, daemon):
    home.configure(provider.profile("p") + provider.profile("q", password="canary-password-1"))
    daemon.start()
    token = get(home, "p").strip()
    fails(home, 6, "q")
    seen = daemon.log.read_text() + home.run("status").stdout + home.run("status", "--json").stdout
    seen += open(f"/proc/{daemon.process.pid}/cmdline", encoding="utf-8").read()
    for secret in ("canary-password-1", provider.facts["users"]["someone"]["password"],
                   provider.facts["clients"]["kubernetes"]["secret"], token.split(".")[2]):
        assert secret not in seen


def test_the_socket_can_be_used_by_hand(provider, home, daemon):
    home.configure(provider.profile("p"))
    daemon.start()
    header, rest = ask(home, b"get token p\n").split(b"\n", 1)
    word, out, err = header.split()
    assert word == b"ok" and int(err) == 0 and len(rest) == int(out)
    two = ask(home, b"profile\nprofile text p future-word=1\n")
    assert two == b"ok 2 0\np\n" * 2


@pytest.mark.parametrize("request_bytes", [
    b"nonsense\n", b"\n", b"get yaml p\n", b"get token p/../q\n", b"get token p timeout=soon\n",
    b"get token \x01\n", b"get token \xff\xfe\n", b"A" * 5000, b"A" * 5000 + b"\n", b"\0\0\0\0\n",
    b"A" * 300_000,
], ids=["word", "empty", "format", "name", "time", "control", "utf8", "endless", "long", "nul",
        "flood"])
def test_a_malformed_request_gets_a_reason_and_harms_nobody(provider, home, daemon,
                                                           request_bytes):
    home.configure(provider.profile("p"))
    daemon.start()
    answer = ask(home, request_bytes, shutdown=False)
    header, message = answer.split(b"\n", 1)
    assert header.startswith(b"error bad-request 0 "), answer
    assert message.startswith(b"kubetoken: ") and message.count(b"\n") == 1
    assert daemon.alive
    get(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second uid: run as root")
def test_other_users_are_not_served(provider, home, daemon, tmp_path):
    home.configure(provider.profile("p"))
    daemon.start()
    code = ("import os,socket,sys\n"
            "os.chdir(sys.argv[1]); os.setgid(65534); os.setuid(65534)\n"
            "s=socket.socket(socket.AF_UNIX); s.connect('socket')\n"
            "s.sendall(b'get token p once\\n'); sys.stdout.write(repr(s.recv(100)))\n")
    folder = home.socket_path.parent
    home.socket_path.chmod(0o777)  # as if the folder had not kept them out
    folder.chmod(0o777)
    for parent in [*folder.parents][:-1]:
        if parent.stat().st_mode & 0o001 == 0:
            parent.chmod(parent.stat().st_mode | 0o001)
    for _ in range(2):  # the first that comes, and behind one that is served
        r = subprocess.run(["/usr/bin/python3", "-c", code, str(folder)], capture_output=True,
                           text=True, timeout=rig.PATIENCE)
        assert r.stdout == "b''" or "ConnectionResetError" in r.stderr or \
            "BrokenPipeError" in r.stderr, (r.stdout, r.stderr)
        get(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a second uid: run as root")
def test_a_daemon_of_another_user_is_not_asked(home, tmp_path):
    """Who listens under our name gets no request and is not believed."""
    folder = tmp_path / "open"
    folder.mkdir()
    for parent in (folder, *[*folder.parents][:-1]):
        parent.chmod(parent.stat().st_mode | 0o001)
    folder.chmod(0o777)
    code = ("import os,socket,sys\n"
            "os.chdir(sys.argv[1]); os.setgid(65534); os.setuid(65534)\n"
            "s=socket.socket(socket.AF_UNIX); s.bind('socket'); s.listen()\n"
            "print('listening', flush=True)\n"
            "c,_=s.accept(); print(repr(c.recv(100)), flush=True)\n")
    with subprocess.Popen(["/usr/bin/python3", "-c", code, str(folder)], stdout=subprocess.PIPE,
                          text=True) as foreign:
        try:
            assert foreign.stdout.readline() == "listening\n"
            r = home.run("get", env={"KUBETOKEN_SOCKET": str(folder / "socket")})
            assert r.returncode == 3 and "uid 65534" in r.stderr
            assert foreign.stdout.readline() == "b''\n"
        finally:
            foreign.kill()
