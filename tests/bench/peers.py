"""Programs that do a like job, where they are installed (make bench-peers): what each costs, from
its start to its end, beside a `kubetoken get`."""
import json
import os

import scripted
from ground import HERE, PROGRAMS, NotMeasured, need, run

PEERS = {}  # name -> a function of the ground: the words for spawn_time


def peer(name):
    def add(prepare):
        PEERS[name] = prepare
        return prepare
    return add


def commands(ground):
    """Those that are here, and why the others are not."""
    found, missing = {}, {}
    for name, prepare in PEERS.items():
        try:
            found[name] = prepare(ground)
        except NotMeasured as why:
            missing[name] = why
    return found, missing


@peer("true")
def true(_):
    return ["/bin/true"]


@peer("sh")
def shell(_):
    return ["/bin/sh", "-c", ":"]


def ssh_agent(ground):
    """Its socket and pid; it has a key."""
    need("ssh-agent", "ssh-add", "ssh-keygen")
    if "ssh" not in ground.shared:
        path, key = ground.folder / "ssh-agent", ground.folder / "ssh-key"
        process = ground.server(["ssh-agent", "-D", "-a", path], path)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key])
        run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": str(path)})
        ground.shared["ssh"] = path, process.pid
    return ground.shared["ssh"]


@peer("ssh-add -l")
def ssh_add(ground):
    path, _ = ssh_agent(ground)
    return [f"SSH_AUTH_SOCK={path}", "ssh-add", "-l"]


@peer("gpg-connect-agent")
def gpg(ground):
    need("gpg-agent", "gpg-connect-agent", "gpgconf")
    home = ground.folder / "gnupg"
    home.mkdir(mode=0o700)
    words = ["gpg-connect-agent", "--homedir", home, "/bye"]
    run(words)  # starts the agent
    ground.callback(run, ["gpgconf", "--homedir", home, "--kill", "gpg-agent"])
    return words


@peer("git credential-cache")
def git(ground):
    need("git")
    folder, question = ground.folder / "git", ground.folder / "git-question"
    folder.mkdir(mode=0o700)
    words = ["git", "credential-cache", "--socket", folder / "socket"]
    question.write_text("protocol=https\nhost=login.example.com\n\n", encoding="ascii")
    run([*words, "store"], stdin=None, input="protocol=https\nhost=login.example.com\n"
        "username=someone\npassword=x\n\n")  # starts the cache's daemon
    ground.callback(run, [*words, "exit"])
    return [f"<{question}", *words, "get"]


def go(source):
    need("go")
    program = PROGRAMS / f"go-{source}"
    if not program.exists():
        run(["go", "build", "-o", program, HERE / "peers" / f"{source}.go"],
            env={**os.environ, "GOCACHE": str(PROGRAMS / "go-cache"), "GO111MODULE": "off",
                 "CGO_ENABLED": "0"})
    return program


@peer("a constant in Go")
def go_constant(_):
    return [go("constant")]


@peer("a cached file in Go")
def go_cached_file(ground):
    cache = ground.folder / "go-cache.json"
    cache.write_text(json.dumps({"token": "x" * 700, "end": "2099-01-01T00:00:00Z"}),
                     encoding="ascii")
    return [go("cached_file"), cache]


@peer("cat in a shell")
def cat(ground):
    cache = ground.folder / "cat.json"
    cache.write_text(json.dumps({"token": "x" * 700}), encoding="ascii")
    return ["/bin/sh", "-c", "cat \"$1\"; :", "sh", cache]


@peer("python")
def python(_):
    return ["/usr/bin/python3", "-IS", "-c", "import json; print(json.dumps({'token': 'x'}))"]


def oidc_provider(folder):
    """oidc-gen wants lists in the discovery that nobody else reads, and a refresh token."""
    folder.mkdir(mode=0o700)
    fake = scripted.Provider(folder)
    fake.members = {"refresh_token": "canary-rt"}
    fake.answers["/.well-known/openid-configuration"] = scripted.json_answer({
        **fake.discovery(), "authorization_endpoint": fake.base + "/authorize",
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "grant_types_supported": ["password", "refresh_token", "authorization_code"],
        "response_types_supported": ["code"]})
    return fake


@peer("oidc-token")
def oidc_token(ground):
    need("oidc-agent", "oidc-gen", "oidc-token")
    folder = ground.folder / "oidc"
    fake = oidc_provider(folder)
    ground.callback(fake.stop)
    path = folder / "socket"
    environment = {**os.environ, "HOME": str(folder), "OIDC_CONFIG_DIR": str(folder),
                   "OIDC_SOCK": str(path), "PASSPHRASE": "x"}
    ground.server(["oidc-agent", "--console", "--no-autoload", "--socket-path", path], path,
                  env=environment)
    run(["oidc-gen", "--client-id=client", "--client-secret=s", f"--issuer={fake.issuer}",
         "--scope=openid profile offline_access", f"--cert-path={fake.ca_file}",
         "--flow=password", "--op-username=someone", "--op-password=canary-pw",
         "--redirect-uri=http://localhost:4242", "--pw-env=PASSPHRASE", "--prompt=none",
         "--confirm-yes", "--no-url-call", "bench"], env=environment)
    return [f"OIDC_SOCK={path}", "oidc-token", "bench"]
