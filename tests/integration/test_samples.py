"""What README and manuals print as an answer is what a person sees who types the question: the
README's journey is walked in one shell, from its first step to its last, and so are the manuals'
examples."""
import os
import re
import shlex
import shutil
import subprocess
import urllib.request

import pytest
import yaml

import apiserver
import rig
import scripted
import test_recipes
from test_autostart import end
from test_kubectl import minor_version

ISSUER = "https://YOUR-TENANT.auth0.com/"
HOST = "your-tenant.auth0.com"
MARK = "\x1e"  # between what is printed of one command and of the next

# Run in the walk as they are; everything else that stands there is another's, and only named.
REAL = {"kubetoken", "kubetokend", "kubectl", "mkdir", "echo"}
README, TROUBLE, SOCKET = "README.md", "docs/troubleshooting.md", "man/kubetoken-protocol.7"


class Sample:
    def __init__(self, command, answer):
        self.command, self.answer = command, answer.rstrip("\n")
        self.name = re.sub(r"^\(.*?; *", "", command).split()[0]

    def __repr__(self):
        return self.command.splitlines()[0]


def samples(block):
    """The commands of a block, each with the lines that stand below it."""
    rest = block
    found = []
    for command in test_recipes.commands(block):
        rest = rest.split("$ " + command, 1)[1] if "$ " in rest else ""
        answer = re.split(r"^\$ ", rest, maxsplit=1, flags=re.M)[0]
        found.append(Sample(command, answer.lstrip("\n") if answer.startswith("\n") else answer))
    return found


def answered(page):
    return [s for block in test_recipes.blocks(page) if "$ " in block for s in samples(block)]


def blur(text, home):
    """Without what is another each time: tokens, spans and times, numbers of bytes, versions,
    padding."""
    text = text.replace(str(home.folder), "/home/someone")
    text = re.sub(r"eyJ[\w.-]*(\.\.\.)?", "TOKEN", text)
    text = re.sub(r"(in )?\d+ (d|h|min|s)( \d+ (h|min|s))?\b( ago)?", "SPAN", text)
    text = re.sub(r"\b\d{4}-\d\d-\d\dT[\d:]+Z", "TIME", text)
    text = re.sub(r"\b1\d{9}\b", "SECONDS", text)
    text = re.sub(r"\b(kid +)\S+", r"\1KID", text)
    text = re.sub(r"^(ok|error \S+) \d+ \d+$", r"\1 N N", text, flags=re.M)
    text = re.sub(r"\b\d+[mhds]\s*$", "AGE", text, flags=re.M)  # the last column of kubectl get
    text = re.sub(r"[\u2500-\u259f]+ ", "", text)  # what a terminal draws
    text = re.sub(r"\b\d+\.\d+\.\d+(?= protocol )", "VERSION", text)
    text = re.sub(r"v1beta1", "v1", text)  # of a kubectl before 1.22
    text = re.sub(r"\n {6,}(?=\S)", " ", text)  # a page is narrower than a line may be
    return re.sub(r"(?<=\S) {2,}", " ", text)


class Walk:
    """A desk with nothing of kubetoken's on it; the provider is reached as YOUR-TENANT.auth0.com,
    through a proxy that leads there."""

    def __init__(self, home, fake, tmp_path):
        self.home, self.fake = home, fake
        fake.issuer = ISSUER
        fake.base = ISSUER.rstrip("/")
        fake.certify(names=(HOST,))
        self.proxy = self._lead(fake.port)
        self.server = apiserver.ApiServer(str(tmp_path / "apiserver"), ISSUER, "YOUR-CLIENT-ID",
                                          issuer_ca=fake.ca_file)
        self._send_through_proxy(self.server)
        self.server.start()
        self.work = tmp_path / "source"
        self.work.mkdir()
        (self.work / "examples").symlink_to(rig.TOP / "examples")
        self.stubs = tmp_path / "stubs"
        self.stubs.mkdir()
        del home.environment["KUBETOKEN_AUTOSTART"], home.environment["XDG_CONFIG_HOME"]
        self._stubs()
        self._defaults()
        self._kubeconfig()

    @staticmethod
    def _lead(port):
        class Leads(scripted.Proxy):
            def _tunnel(self, client):
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += client.recv(1)
                upstream = scripted.socket.create_connection(("127.0.0.1", port))
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                back = scripted.threading.Thread(target=self._copy, args=(upstream, client),
                                                 daemon=True)
                back.start()
                self._copy(client, upstream)
                back.join()
                client.close()
                upstream.close()
        return Leads()

    def _send_through_proxy(self, server):
        keys = server._authenticator._keys
        context = scripted.ssl.create_default_context(cafile=str(self.fake.ca_file))
        context.verify_flags &= ~scripted.ssl.VERIFY_X509_STRICT
        keys._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({"https": f"http://127.0.0.1:{self.proxy.port}"}),
            urllib.request.HTTPSHandler(context=context))

    def _stubs(self):
        """A cluster and its rights are there; what is asked is answered as the README shows."""
        self._stub("at-a-terminal", f"""exec /usr/bin/python3 -c '
import os, sys
sys.path.insert(0, sys.argv[1])
import dialogue
answers = [a.split("=") for a in sys.argv[2].split(",")]
it = dialogue.Dialogue(sys.argv[3:], dict(os.environ))
try:
    for question, answer in answers:
        it.expect(question).answer(": ", answer)
    code = it.end()
    print(it.shown, end="")
finally:
    it.close()
sys.exit(code)
' {shlex.quote(str(rig.TOP / "tests" / "integration"))} "$@" """)
        for name in ("sudo", "make", "systemctl", "minikube", "packaging/install-dependencies"):
            self._stub(name, "exit 0")
        # the stand-in for an API server knows no roles: who is known there may look at objects
        real = shlex.quote(shutil.which("kubectl") or "kubectl")
        self._stub("kubectl", f'case "$*" in *clusterrolebinding*) exit 0 ;; esac\n'
                              f'exec {real} "$@"')
        self._stub("socat", f'''exec /usr/bin/python3 -c '
import os, socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1].split(":", 1)[1])
s.sendall(sys.stdin.buffer.read())
s.shutdown(socket.SHUT_WR)
while data := s.recv(65536):
    os.write(1, data)
' "$2"''')

    readme = (rig.TOP / README).read_text(encoding="utf-8")

    def _stub(self, name, text):
        path = (self.work if "/" in name else self.stubs) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def _defaults(self):
        """How the provider is reached here."""
        folder = self.home.folder / ".config" / "kubetoken"
        folder.mkdir(parents=True)
        self.configuration = folder / "kubetoken.conf"
        self.configuration.write_text(f"[defaults]\nca-file = {self.fake.ca_file}\n"
                                      f"proxy = http://127.0.0.1:{self.proxy.port}\n\n")
        self.configuration.chmod(0o600)

    def _kubeconfig(self):
        """As `minikube start` leaves it, but for the certificate of its user."""
        folder = self.home.folder / ".kube"
        folder.mkdir()
        whole = self.server.kubeconfig({"username": "minikube", "password": "is not asked for"})
        [context] = whole["contexts"]
        whole["clusters"][0]["name"] = context["context"]["cluster"] = "minikube"
        whole["current-context"] = context["name"] = "minikube"
        whole["users"][0]["name"] = context["context"]["user"] = "minikube"
        (folder / "config").write_text(yaml.safe_dump(whole))

    # What is typed where the README's `kubetoken init` asks.
    # each question in words that stand in it alone
    ANSWERS = ("Issuer (=YOUR-TENANT.auth0.com,Client id=YOUR-CLIENT-ID,Client secret=canary,"
               "User name=someone@example.com,Number [=2,Password of=canary,Have kubectl=y")

    def run(self, commands):
        """All in one shell. Returns what each printed."""
        terminal = f"at-a-terminal {shlex.quote(self.ANSWERS)} {rig.BUILD}/"
        commands = [terminal + c if c.startswith("kubetoken init ") else c for c in commands]
        script = "".join(f"{c}\nprintf '{MARK}%s{MARK}' $?\n" for c in commands)
        path = f"{self.stubs}:{self.home.environment['PATH']}"
        r = subprocess.run(["bash", "-c", script], cwd=self.work, text=True,
                           env={**self.home.environment, "PATH": path}, stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=3 * rig.PATIENCE)
        parts = r.stdout.split(MARK)
        assert len(parts) == 2 * len(commands) + 1, r.stdout
        return list(zip(parts[::2], map(int, parts[1::2])))

    def close(self):
        end(self.home.socket_path)
        self.server.stop()
        self.proxy.stop()


@pytest.fixture
def walk(home, fake, tmp_path):
    fake.claims = {"aud": "YOUR-CLIENT-ID", "email_verified": True, "jti": None,
                   "sub": "auth0|5f7c8ec7c33c6c004bbafe82"}
    w = Walk(home, fake, tmp_path)
    yield w
    w.close()


def check(walk, found, printed):
    """Where the page shows an answer, it is that one."""
    for sample, (text, code) in zip(found, printed):
        if os.environ.get("KUBETOKEN_TEST_SHOW"):
            print(f"$ {sample.command}\n{text}")
        assert code == 0, (sample, text)
        shown, dots, _ = sample.answer.partition("\n...")
        real, shown = (re.sub(" +$", "", blur(t, walk.home), flags=re.M).strip()
                       for t in (text, shown))
        if shown:
            assert (real[:len(shown)] if dots else real) == shown, sample


def section(title):
    """The samples of the README below that heading, those without an answer too."""
    text = Walk.readme.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]
    return [s for block in test_recipes.blocks_of(text) for s in samples(block)]


needs_kubectl = pytest.mark.skipif(not shutil.which("kubectl"), reason="no kubectl here")


@needs_kubectl
def test_the_journey_of_the_readme_in_one_shell(walk):
    """From the first step to the last, so that nothing is typed where it does not work; then the
    first page, and what is asked where something is wrong."""
    journey = section("From an Auth0 account to `kubectl get services`")
    assert {"minikube", "kubetoken", "kubectl"} <= {s.name for s in journey}
    init, = [s for s in journey if s.command.startswith("kubetoken init")]
    assert init.answer.endswith("y\n...")
    first_page = [s for s in answered(README) if s not in journey][:4]
    assert [s.name for s in first_page] == ["kubetoken", "kubetoken", "kubectl", "kubetoken"]
    everything = journey + first_page
    check(walk, everything, walk.run([s.command for s in everything]))
    assert "someone@example.com" in {q.user for q in walk.server.requests}
    shown = re.search(r"^    \[profile auth0\]\n(?:    .*\n)+", walk.readme, re.M)[0]
    assert walk.configuration.read_text().endswith("\n" + re.sub("^    ", "", shown, flags=re.M))


@needs_kubectl
def test_what_is_asked_when_something_is_wrong(walk):
    journey = section("From an Auth0 account to `kubectl get services`")
    walk.run([s.command for s in journey])
    walk.fake.claims["email_verified"] = False
    asked = [s for s in answered(TROUBLE) if s.answer]
    assert {s.command.split()[1] for s in asked} == {"inspect"}
    walk.run(["kubetoken refresh"])
    printed = walk.run([s.command for s in asked])
    check(walk, asked, [(text, 0) for text, _ in printed])


def without_waiting(text):
    """How long a step lasts, and so whether it is told, is the machine's to say."""
    return re.sub(r"^wait .*\n", "", text, flags=re.M)


def test_the_protocols_examples(walk):
    with walk.configuration.open("a") as f:
        f.write(f"[profile auth0]\nissuer = {ISSUER}\nclient-id = YOUR-CLIENT-ID\n"
                "username = someone@example.com\npassword = canary\nusername-claim = email\n")
    walk.run(["kubetoken get"])
    found = answered(SOCKET)
    assert len(found) == 4
    printed = walk.run([s.command for s in found])
    for sample in found:
        sample.answer = without_waiting(sample.answer)
    check(walk, found, [(without_waiting(text), code) for text, code in printed])


def test_the_answers_are_found_and_a_wrong_one_is_seen(walk):
    assert len([s for page in (README, TROUBLE, SOCKET) for s in answered(page) if s.answer]) >= 10
    sample = Sample("kubetoken version", "kubetoken 0.1.0 protocol 9")
    with pytest.raises(AssertionError):
        check(walk, [sample], walk.run([sample.command]))
