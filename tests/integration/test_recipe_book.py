"""The blocks of docs/recipes.md, run as they stand there, each with the real thing it speaks of
where that is a package of Debian."""
import contextlib
import getpass
import json
import os
import pathlib
import re
import shlex
import shutil
import subprocess
import tempfile

import pytest

import apiserver
import rig
import test_share
from scripted import json_answer
from test_autostart import end

BOOK = rig.TOP / "docs" / "recipes.md"
PASSWORD = "canary of the recipe"
# What the book says of what is not run.
NOT_RUN = {"helm", "k9s", "Terraform"}


def blocks(book):
    """{heading: [block]}, without a prompt."""
    found, heading = {}, None
    for part in re.findall(r"^##+ [^\n]*|^```\w*\n.*?^```$|(?:^    [^\n]*\n)+",
                           book.read_text(encoding="utf-8"), re.M | re.S):
        if part.startswith("#"):
            heading = re.split(r"[:,(]", part.lstrip("# "))[0].strip()
        else:
            text = re.sub(r"^```\w*\n|^```$" if part[0] == "`" else "^    ", "", part,
                          flags=re.M)
            found.setdefault(heading, []).append(re.sub(r"^\$ ", "", text, flags=re.M))
    return found


BLOCKS, SHARES = blocks(BOOK), blocks(rig.TOP / "docs" / "share.md")


def recipe(heading, number=0):
    return BLOCKS[heading][number].rstrip("\n")


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"no {program} here")


@pytest.fixture
def person(fake):
    """A home in a short folder (gpg-agent has a socket in it), where a client starts the daemon."""
    folder = tempfile.mkdtemp(prefix="kt-")
    home = rig.Home(folder)
    del home.environment["KUBETOKEN_AUTOSTART"]
    home.environment |= {"SSO_PASSWORD": PASSWORD, "KUBETOKEN_SOCKET": str(home.socket_path)}
    yield home
    end(home.socket_path)
    shutil.rmtree(folder)


@pytest.fixture
def server(fake, tmp_path):
    with apiserver.ApiServer(str(tmp_path / "apiserver"), fake.issuer, "client",
                             issuer_ca=fake.ca_file) as s:
        yield s


def sh(person, script, env=None, **more):
    r = subprocess.run(["/bin/sh", "-ec", script], text=True,
                       env={**person.environment, **(env or {})}, capture_output=True,
                       timeout=rig.PATIENCE,
                       **({} if "input" in more else {"stdin": subprocess.DEVNULL}), **more)
    assert r.returncode == 0, (script, r.stderr)
    return r.stdout


def configure(person, fake, password):
    person.configure(fake.profile("work", password=password))


def kubeconfig(person, server, command="kubetoken"):
    user = {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": command,
                     "args": ["get", "-o", "exec/v1", "work"], "interactiveMode": "Never"}}
    config = server.kubeconfig(user)
    config["contexts"][0]["name"] = config["current-context"] = "work"
    path = person.folder / ".kube" / "config"
    path.parent.mkdir()
    path.write_text(json.dumps(config))
    person.environment["KUBECONFIG"] = str(path)
    return path


# ---- where the password comes from -------------------------------------------------------------

def keep_and_undo(person, fake, place, show):
    """A script: init tries the password, has it kept, and the daemon finds it there; --undo removes
    it."""
    return f"""rm {person.config}/kubetoken.conf
        printf '%s\\n' "$SSO_PASSWORD" | kubetoken init --yes --no-kubeconfig \\
          --keep-password={place} --issuer {fake.issuer} --ca-file {fake.ca_file} \\
          --client-id client --username someone kept >&2
        test "$({show})" = "$SSO_PASSWORD"
        kubetoken refresh >&2
        kubetoken init --undo --yes >&2
        test -z "$({show} 2>/dev/null)" && ! test -e {person.config}/kubetoken.conf"""


def test_pass(person, fake):
    need("pass", "gpg", "gpgconf")
    try:
        sh(person, "gpg -q --batch --passphrase '' --quick-generate-key kt@example.com default "
           "default && pass init kt@example.com")
        sh(person, recipe("pass").replace("insert", "insert --multiline"),
           input=f"{PASSWORD}\nlogin: me\n")
        configure(person, fake, recipe("pass", 1))
        sh(person, "kubetoken get")
        sh(person, keep_and_undo(person, fake, "pass", "pass show kubetoken/kept"))
    finally:
        sh(person, "gpgconf --kill all")
    assert {g.form["password"] for g in fake.grants()} == {PASSWORD}


def test_secret_tool(person, fake):
    need("secret-tool", "gnome-keyring-daemon", "dbus-run-session")
    configure(person, fake, recipe("secret-tool", 1))
    script = f"""printf x | gnome-keyring-daemon --unlock --components=secrets >/dev/null
        printf %s "$SSO_PASSWORD" | {recipe("secret-tool")}
        kubetoken get
        {keep_and_undo(person, fake, "secret-tool",
                       "secret-tool lookup service kubetoken profile kept")}
        kubetoken stop >/dev/null"""
    sh(person, f"exec dbus-run-session -- sh -ec {shlex.quote(script)}")
    assert {g.form["password"] for g in fake.grants()} == {PASSWORD}


def test_pam_exec(person, fake):
    """A stack of its own in the place of this machine's; who logs in is the test's user."""
    need("pamtester", "unshare")
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs root and a mount namespace")
    configure(person, fake, "")
    sh(person, "kubetoken status")
    stack, login = person.folder / "pam.d", person.folder / "login"
    stack.mkdir()
    login.write_text(f"#!/bin/sh\nKUBETOKEN_SOCKET={person.socket_path} "
                     f"exec {rig.BUILD}/kubetoken \"$@\"\n")
    login.chmod(0o755)
    line = recipe("pam_exec").replace("/usr/local/bin/kubetoken", str(login))
    assert str(login) in line and "expose_authtok" in line
    (stack / "locker").write_text(line.replace("optional", "required") + "\n")
    sh(person, f"""unshare -m sh -ec 'mount --bind {stack} /etc/pam.d
        exec pamtester locker {getpass.getuser()} authenticate'""", input=PASSWORD + "\n")
    assert [g.form["password"] for g in fake.grants()] == [PASSWORD]
    # other versions of pam_exec(8) send a NUL behind it
    sh(person, f"printf '%s\\0' '{PASSWORD}' | kubetoken login work")
    assert [g.form["password"] for g in fake.grants()] == 2 * [PASSWORD]


# ---- programs that take a token ----------------------------------------------------------------

def at(server, line):
    return line.replace("https://api.example.com", server.url)


def who_asked(server):
    """"" for whoever brought no token."""
    user = server.requests[-1].user
    return user if user and user != "system:anonymous" else ""


def test_curl(person, fake, server):
    need("curl")
    configure(person, fake, f"password = {PASSWORD}")
    sh(person, at(server, recipe("curl")), env={"CURL_CA_BUNDLE": str(server.ca_file)})
    assert "/healthz" in server.requests[-1].path and who_asked(server)


def test_python(person, fake, server):
    if subprocess.run(["/usr/bin/python3", "-c", "import kubernetes"], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no python3-kubernetes here")
    configure(person, fake, f"password = {PASSWORD}")
    kubeconfig(person, server)
    r = subprocess.run(["/usr/bin/python3", "-"], input=recipe("python3-kubernetes"), text=True,
                       env=person.environment, capture_output=True, timeout=rig.PATIENCE)
    assert r.returncode == 0 and "kubernetes" in r.stdout.split(), r.stderr
    assert server.requests[-1].outcome == "ok" and who_asked(server)


def test_the_line_before_helm(person, fake):
    """What stands in the place of helm is run if a token lives that long, else not."""
    configure(person, fake, f"password = {PASSWORD}")
    stub = person.folder / "helm"
    stub.write_text("#!/bin/sh\necho upgraded\n")
    stub.chmod(0o755)
    person.environment["PATH"] = f"{person.folder}:{person.environment['PATH']}"
    assert sh(person, recipe("helm")) == "upgraded\n"
    r = subprocess.run(["sh", "-c", recipe("helm").replace("10m", "10d")], text=True,
                       env=person.environment, capture_output=True, timeout=rig.PATIENCE)
    assert r.returncode == 8 and not r.stdout


def test_terraform_reads_it(person):
    text = recipe("Terraform")
    need("terraform")
    r = subprocess.run(["terraform", "fmt", "-check", "-"], input=text + "\n", text=True,
                       env=person.environment, capture_output=True, timeout=rig.PATIENCE)
    assert r.returncode == 0, r.stderr


def test_a_desktop_program_with_another_path(person, fake, server):
    need("kubectl")
    configure(person, fake, f"password = {PASSWORD}")
    kubeconfig(person, server, "no-such-program")
    help_text = sh(person, "kubectl config set-credentials --help")
    if "--exec-interactive-mode" not in help_text:
        pytest.skip("a kubectl before 1.33 cannot write an interactiveMode")
    sh(person, recipe("Lens"))
    sh(person, "kubectl config set-context work --user=work")
    out = sh(person, f"exec {shutil.which('kubectl')} get services", env={"PATH": ""})
    assert "10.96.0.1" in out


# ---- another place -----------------------------------------------------------------------------

@contextlib.contextmanager
def sshd(person):
    """One of this user's own on loopback, and an `ssh` that knows it as `host`."""
    folder = person.folder
    for key in ("host_key", "key"):
        sh(person, f"ssh-keygen -q -t ed25519 -N '' -f {folder}/{key}")
    port = subprocess.run(["/usr/bin/python3", "-c", "import socket; s = socket.socket(); "
                           "s.bind(('127.0.0.1', 0)); print(s.getsockname()[1])"], text=True,
                          capture_output=True, check=True).stdout.strip()
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/key.pub\nStrictModes no\nPermitRootLogin yes\n"
        f"SetEnv HOME={folder}\n")
    (folder / "ssh_config").write_text(
        f"Host host\n HostName 127.0.0.1\n Port {port}\n IdentityFile {folder}/key\n"
        " StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n"
        " BatchMode yes\n"
        " ExitOnForwardFailure yes\n")
    (folder / "ssh").write_text(f"#!/bin/sh\nexec /usr/bin/ssh -F {folder}/ssh_config \"$@\"\n")
    (folder / "ssh").chmod(0o755)
    person.environment["PATH"] = f"{folder}:{person.environment['PATH']}"
    separate = pathlib.Path("/run/sshd")  # that sshd wants to see, run by root
    made = os.geteuid() == 0 and not separate.exists()
    if made:
        separate.mkdir(mode=0o755)
    log = open(folder / "sshd.log", "w+", encoding="utf-8")
    process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", folder / "sshd_config"],
                               stderr=log, stdin=subprocess.DEVNULL)
    try:
        rig.wait_until(lambda: "Server listening" in (folder / "sshd.log").read_text()
                       or process.poll() is not None, "sshd")
        yield
    finally:
        process.terminate()
        process.wait(rig.PATIENCE)
        log.close()
        if made:
            separate.rmdir()


@pytest.fixture
def host(person):
    if not os.path.exists("/usr/sbin/sshd"):
        pytest.skip("no sshd here (package openssh-server)")
    need("ssh", "ssh-keygen")
    with sshd(person):
        yield


def session(person, command, **kwargs):
    """By the script of the book."""
    script = person.folder / "kssh"
    script.write_text(SHARES["ssh"][0])
    script.chmod(0o755)
    return subprocess.Popen([script, "host", "work", command], text=True, stderr=subprocess.PIPE,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            env=person.environment, **kwargs)


def test_ssh(person, fake, host):
    """There it is the sshd that runs as this user who serves the socket."""
    configure(person, fake, f"password = {PASSWORD}")
    token = sh(person, "kubetoken get")
    for _ in range(2):
        with session(person, f"{rig.BUILD}/kubetoken get && pwd") as there:
            out, err = there.communicate(timeout=rig.PATIENCE)
        assert there.returncode == 0 and out.startswith(token), err
        assert re.fullmatch(r"kubetoken: work: the share ssh-\d+ is open until [^\n]*\n", err)
    assert len(fake.grants()) == 1
    assert "shared as" not in sh(person, "kubetoken status")
    assert re.search(r"handed out to ssh \(\d+\) by the share ssh-\d+\n",
                     rig.unwrapped(sh(person, "kubetoken log")))
    assert not list(person.folder.glob(".kubetoken-*"))


def test_the_far_side_of_ssh_gets_the_token_and_can_do_nothing_else(person, fake, host):
    """Each word of the protocol, at the socket that sshd has there."""
    configure(person, fake, f"password = {PASSWORD}")
    token = sh(person, "kubetoken get")
    with session(person, "echo there; cat") as there:
        try:
            assert there.stdout.readline() == "there\n", there.stderr.read()
            far, = person.folder.glob(".kubetoken-*")
            before, requests = test_share.unwatched(person), len(fake.requests)
            assert test_share.ask(far, b"get\n") == f"ok {len(token)} 0\n{token}"
            for what, line, block in test_share.OTHERS:
                answer = test_share.ask(far, line + block)
                assert answer.startswith("error not-shared 0 "), (line, answer)
            for command in ("logout", "reload", "stop", "refresh --all", "share more"):
                r = subprocess.run([rig.BUILD / "kubetoken", *command.split()], text=True,
                                   env={**person.environment, "KUBETOKEN_SOCKET": str(far)},
                                   capture_output=True, timeout=rig.PATIENCE)
                assert r.returncode == 1 and "a share gives the token of its profile" in r.stderr
            assert test_share.ask(far, b"get\n") == f"ok {len(token)} 0\n{token}"
            assert test_share.unwatched(person) == before and len(fake.requests) == requests
        finally:
            there.stdin.close()
            there.wait(rig.PATIENCE)
    assert there.returncode == 0


def contained(mounts, environment, command):
    """A script that runs it where these are mounted, as another container's root."""
    binds = "".join(f"mkdir -p {target}; mount --bind {source} {target}\n"
                    for source, target in mounts)
    return f"""exec 9<{rig.BUILD}/kubetoken; mount -t tmpfs none /run
        {binds}exec env -i {environment} {command}"""


def need_namespaces():
    if subprocess.run(["unshare", "-rm", "true"], check=False,
                      stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no user namespaces here")


def test_a_container(person, fake):
    """Its folder is mounted as said there; the user is the one outside, by whatever number."""
    said = json.loads(SHARES["A container of your own"][0])
    need_namespaces()
    configure(person, fake, f"password = {PASSWORD}")
    token = sh(person, "kubetoken get")
    for _ in range(2):  # started, and started again
        sh(person, said["initializeCommand"])
    mount = dict(part.partition("=")[::2] for part in said["mounts"][0].split(","))
    source = mount["source"].replace("${localEnv:XDG_RUNTIME_DIR}", str(person.runtime))
    environment = " ".join(f"{k}={v}" for k, v in said["containerEnv"].items())
    as_root = contained([(source, mount["target"])], environment, "/proc/self/fd/9 get work")
    assert sh(person, f"exec unshare -rm sh -ec {shlex.quote(as_root)}") == token
    seen = contained([(source, mount["target"])], environment, f"/bin/ls -A {mount['target']}")
    assert sh(person, f"exec unshare -rm sh -ec {shlex.quote(seen)}") == "socket\n"
    as_1000 = f"KUBETOKEN_SOCKET={source}/socket exec kubetoken get work"
    assert sh(person, "exec unshare -U --map-user=1000 --map-group=1000 "
              f"sh -ec {shlex.quote(as_1000)}") == token
    assert len(fake.grants()) == 1


def test_a_job_of_ci_in_a_container(person, fake):
    """podman is one of ours, which does what that one would with -v and -e."""
    need_namespaces()
    configure(person, fake, f"password = {PASSWORD}")
    token = sh(person, "kubetoken get")
    podman = person.folder / "podman"
    podman.write_text("#!/usr/bin/python3\nimport os, re, sys\nline = ' '.join(sys.argv[1:])\n"
                      "binds = re.findall(r'-v (/[^:]*kubetoken-share[^:]*):(\\S+)', line)\n"
                      "env = ' '.join(re.findall(r'-e (\\S+)', line))\n"
                      f"script = {contained([('@S', '@T')], '@E', '/proc/self/fd/9 get')!r}\n"
                      "(source, target), = binds\n"
                      "for a, b in ('@S', source), ('@T', target), ('@E', env):\n"
                      "    script = script.replace(a, b)\n"
                      "assert line.endswith(' image kubectl get services'), line\n"
                      "os.execvp('unshare', ['unshare', '-rm', 'sh', '-ec', script])\n")
    podman.chmod(0o755)
    out = sh(person, SHARES["A CI job"][0],
             env={"CI_JOB_ID": "4711", "IMAGE": "image",
                  "PATH": f"{person.folder}:{person.environment['PATH']}"})
    assert out == token
    log = rig.unwrapped(sh(person, "kubetoken log"))
    assert re.search(r"the share ci-4711 ended: somebody said unshare\n", log)


def test_cron(person, fake, server):
    """Nothing of the session: cron sets HOME, LOGNAME, SHELL, and what the crontab says."""
    need("curl")
    path, line = at(server, recipe("cron")).splitlines()
    assert path.startswith("PATH=") and line.startswith("*/10 * * * * ")
    person.environment["HOME"] = str(person.folder)
    (person.folder / ".config").symlink_to(person.config.parent)
    configure(person, fake, f"password = {PASSWORD}")
    environment = {"HOME": str(person.folder), "LOGNAME": getpass.getuser(), "SHELL": "/bin/sh",
                   "PATH": f"{rig.BUILD}:{path[5:]}", "CURL_CA_BUNDLE": str(server.ca_file),
                   "KUBETOKEN_SOCKET": str(person.socket_path)}
    r = subprocess.run(["/bin/sh", "-c", line.removeprefix("*/10 * * * * ")], env=environment,
                       stdin=subprocess.DEVNULL, capture_output=True, text=True,
                       timeout=rig.PATIENCE)
    assert (r.returncode, r.stderr) == (0, ""), r.stderr
    assert server.requests[-1].outcome == "ok" and who_asked(server)


def test_a_job_of_ci(person, fake, server):
    need("kubectl")
    configure(person, fake, "")
    kubeconfig(person, server)
    assert "10.96.0.1" in sh(person, recipe("CI"))
    assert [g.form["password"] for g in fake.grants()] == [PASSWORD]
    assert not person.socket_path.exists(), "the daemon was ended"


def test_the_token_of_a_ci_job(person, fake):
    """The token service is the scripted provider too, which asks for the job's secret."""
    need("curl")
    service, asked = "/job?api-version=2.0", []

    def answer(request):
        asked.append(request.headers["Authorization"])
        return json_answer({"count": 1, "value": fake.id_token(aud="kubernetes")})
    fake.answers[service + "&audience=kubernetes"] = answer
    text = recipe("The token of a CI job", 1)
    assert "https://token.actions.githubusercontent.com\n" in text
    person.configure("[profile work]\n" + text.replace(
        "https://token.actions.githubusercontent.com\n",
        f"{fake.issuer}\nca-file = {fake.ca_file}\n"))
    script = recipe("The token of a CI job").replace(
        "kubetoken get", f"echo 'cacert = {fake.ca_file}' >> ~/job.curl; kubetoken get")
    sh(person, script, env={"ACTIONS_ID_TOKEN_REQUEST_URL": fake.base + service,
                            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "canary-job"})
    assert sh(person, "kubetoken get work") == fake.tokens[0] + "\n"
    assert asked == ["bearer canary-job"]


# ---- the book ----------------------------------------------------------------------------------

def test_each_block_is_run_or_said_not_to_be():
    text = BOOK.read_text(encoding="utf-8")
    source = pathlib.Path(__file__).read_text(encoding="utf-8")
    for heading, found in BLOCKS.items():
        section = re.search(rf"^##+ {re.escape(heading)}.*?(?=^##|\Z)", text, re.M | re.S)[0]
        said = re.search(r"\([^)]*\bnot run\b|\(Not run\b|`tests/systemd`", section)
        run = {int(n or 0) for n in re.findall(rf'recipe\("{re.escape(heading)}"(?:, (\d))?\)',
                                               source)}
        assert run == set(range(len(found))) or said, heading
    for heading in NOT_RUN:
        assert "(Not run: Debian has n" in text[text.index(f"### {heading}"):][:400], heading
    assert len(BLOCKS) == 12
    for heading in SHARES:  # and of docs/share.md
        assert f'SHARES["{heading}"][0]' in source or heading is None, heading
    assert len(SHARES) == 4 and all(len(found) == 1 for found in SHARES.values())
