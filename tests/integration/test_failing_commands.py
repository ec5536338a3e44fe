"""Each allocation, and each system call, of kubetoken-admin fails once (failing.c), in all that it
does. It never crashes; files are as they were or as they are to be; what it said without memory is
that there was none, and never a finding; nothing is left beside the files, and nobody running.

`make check` fails some of the calls, always the same; `make check-faults` every one, or of some
thousands of allocations 1,500 a command; with KUBETOKEN_FULL=all each."""
import glob
import json
import os
import pathlib
import re
import shutil

import pytest

import failing
import rig
import schemas
from failing import ERRORS_MOST, KINDS, numbers
from test_import import Kubeconfig, kubelogin, provider_user

OUT_OF_MEMORY = ("kubetoken: internal error: out of memory; end what takes it, or raise the limit "
                 "(ulimit -v), and try again\n")
RULES = """apiVersion: apiserver.config.k8s.io/v1
kind: AuthenticationConfiguration
jwt:
- issuer: {{url: "{issuer}", audiences: [client, "other"]}}
  claimValidationRules:
  - expression: "claims.email_verified == true && claims.sub.startsWith('auth0')"
    message: verified
  claimMappings:
    username: {{expression: "claims.email"}}
    groups: {{expression: "['a', 'b'].map(g, 'oidc:' + g)"}}
    extra: [{{key: "example.com/sub", valueExpression: "claims.sub.split('|')"}}]
  userValidationRules:
  - {{expression: "!user.username.startsWith('system:')", message: no}}
"""
KUBECTL = """#!/bin/sh
case "$*" in
*version*) echo '{"clientVersion": {"major": "1", "minor": "31", "gitVersion": "v1.31.0"}}' ;;
*"config view"*) cat "$HOME/view.json" ;;
*) echo 'error: unable to connect' >&2; exit 1 ;;
esac
"""


class Scene:
    """A command, and what it finds. prepare(bench): before all of it; most: calls that fail in a
    part of it."""

    def __init__(self, *words, prepare=None, given=None, most=4, code=0):
        self.words, self.prepare, self.given, self.most = words, prepare, given, most
        self.code = code


def old_user(bench):
    bench.kubeconfig.write(provider_user(bench.fake, **{"client-secret": "canary-secret",
                                                        "extra-scopes": "groups"}))


def kubelogin_user(bench):
    bench.kubeconfig.write(kubelogin(bench.fake, "--username=me", "--password=canary-pw",
                                     env=[{"name": "HTTPS_PROXY", "value": "p:1"},
                                          {"name": "NO_PROXY", "value": "127.0.0.1"}]))


def other_user(bench):
    bench.kubeconfig.write({"token": "canary-token"})


def written(bench):
    other_user(bench)
    r = bench.home.run("kubeconfig", "--write", "--context", "c", "p")
    assert r.returncode == 0, r.stderr


def made(bench):
    r = bench.home.run("init", *init(bench, "--no-verify"), input="canary-pw")
    assert r.returncode == 0, r.stderr


def kubectl(bench):
    """One that shows a kubeconfig whose user is ours."""
    folder = bench.home.folder / "bin"
    folder.mkdir()
    (folder / "kubectl").write_text(KUBECTL)
    (folder / "kubectl").chmod(0o755)
    bench.home.environment["PATH"] = f"{folder}:{bench.home.environment['PATH']}"
    exec_ = {"apiVersion": "client.authentication.k8s.io/v1", "command": "kubetoken",
             "args": ["get", "-o", "exec/v1", "p"], "interactiveMode": "Never"}
    view = {"kind": "Config", "apiVersion": "v1", "current-context": "c",
            "clusters": [{"name": "c", "cluster": {"server": "https://127.0.0.1:1"}}],
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "users": [{"name": "u", "user": {"exec": exec_}}]}
    (bench.home.folder / "view.json").write_text(json.dumps(view))
    assert bench.home.run("get", "p").returncode == 0


def rules(bench):
    (bench.home.folder / "rules.yaml").write_text(RULES.format(issuer=bench.fake.issuer))
    assert bench.home.run("get", "p").returncode == 0


def init(bench, *more):
    return ["work", "--yes", "--issuer", bench.fake.issuer, "--ca-file", str(bench.fake.ca_file),
            "--client-id", "client", "--username", "someone", "--keep-password=file", *more]


SCENES = {
    "config-show": Scene("config", "show", "--json"),
    "config-show-text": Scene("config", "show"),
    "doctor": Scene("doctor", "--json", "p", prepare=kubectl, code=None, most=3),
    "doctor-redact": Scene("doctor", "--redact", "p", prepare=kubectl, code=None, most=2),
    "doctor-rules": Scene("doctor", "--json", "--authentication-config", "rules.yaml", "p",
                          prepare=rules, code=None, most=3),
    "kubeconfig": Scene("kubeconfig", "p"),
    "kubeconfig-write": Scene("kubeconfig", "--write", "--context", "c", "p", prepare=other_user,
                              most=60),
    "kubeconfig-undo": Scene("kubeconfig", "--undo", prepare=written),
    "import": Scene("import", "--no-verify", "--username", "someone", given="canary-pw\n",
                    prepare=old_user, most=6),
    "import-kubelogin": Scene("import", prepare=kubelogin_user),
    "init": Scene("init", init, given="canary-pw", most=6),
    "init-undo": Scene("init", "--undo", "--yes", "work", prepare=made),
    "complete": Scene("__complete", "2", "kubetoken", "get", ""),
    "log": Scene("log", "p"),
    "why": Scene("why", "--json", "p", code=None),
}


def tree(folder):
    """Each file with its mode and text; what was written is noted with its time. A program that
    could not be seen on the PATH is named by its folder, and the note is of that text."""
    def plain(text):
        text = re.sub(rb'command: "[^"]*/kubetoken"', b"command: kubetoken", text)
        return re.sub(rb"^written \w+ \d+ at \d+", b"written", text)
    return {p.name: (p.stat().st_mode, plain(p.read_bytes()))
            for p in folder.rglob("*") if p.is_file()}


class Bench:
    def __init__(self, home, daemon, fake, library, folder):
        self.home, self.daemon, self.fake = home, daemon, fake
        self.kubeconfig = Kubeconfig(home)
        self.control = failing.Control(folder, library)
        self.folders = home.config, self.kubeconfig.path.parent
        self.kept = folder / "kept"

    def prepare(self, scene):
        self.home.configure(self.fake.profile("p"))
        self.home.environment["COLUMNS"] = "80"
        self.daemon.start()
        if scene.prepare:
            scene.prepare(self)
        self.home.settle()
        self.words = [w for word in scene.words
                      for w in (word(self) if callable(word) else [word])]
        self.given = scene.given
        for number, folder in enumerate(self.folders):
            shutil.copytree(folder, self.kept / str(number))
        self.before = self.trees()

    def trees(self):
        return [tree(folder) for folder in self.folders]

    def hear(self):
        """Takes what the daemon has told systemd: what is not read would hold it up."""
        self.daemon.notify.settimeout(0)
        try:
            self.daemon.wait_for("what it never says")
        except BlockingIOError:
            pass
        finally:
            self.daemon.notify.settimeout(rig.PATIENCE)

    def restore(self):
        self.hear()
        for number, folder in enumerate(self.folders):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(self.kept / str(number), folder)

    def run(self, fail=None):
        self.restore()
        self.control.renew()
        if fail:
            self.control.fail(*fail)
        given = {"input": self.given} if self.given else {}
        r = self.home.run(*self.words, env=self.control.environment, cwd=self.home.folder, **given)
        self.fired = self.control.end()
        return r

    def must(self, holds, what):
        if not holds:
            raise AssertionError(f"{what}: {self.control.what()}")

    def nobody_is_left(self):
        """No trial, and no process that was started, but for the daemon that was there."""
        pid = self.control.pid
        for place in ("/dev/shm", "/run/user/*", "/tmp", str(self.home.runtime)):
            self.must(not glob.glob(f"{place}/kubetoken-trial-{pid}-*"), f"a trial is in {place}")
        mine = f"KUBETOKEN_TEST_FAILING={self.control.path}".encode()

        def left():
            found = []
            for process in pathlib.Path("/proc").glob("[0-9]*"):
                try:
                    if mine in (process / "environ").read_bytes().split(b"\0"):
                        found.append((process / "cmdline").read_bytes())
                except OSError:
                    pass
            return found
        rig.wait_until(lambda: not left(), f"an end of {left()}")


@pytest.fixture
def bench(home, daemon, fake, library, tmp_path):
    return Bench(home, daemon, fake, library, tmp_path)


def check_files(bench, r, after):
    if bench.control.short() == "unlink":  # which takes back what was begun
        return
    for number, folder in enumerate(bench.folders):  # each: a kubeconfig that fails is told
        now = tree(folder)
        bench.must(now in (bench.before[number], after[number]),
                   f"half written: {sorted(now)}, {r.stderr}")
        bench.must(r.returncode != 0 or now == after[number], f"said, and not so: {r.stdout}")


def check(bench, r, whole, after, kind):
    bench.must(0 <= r.returncode < 126, f"it ended with {r.returncode}: {r.stderr}")
    check_files(bench, r, after)
    if not bench.fired:
        return
    if kind == failing.SYSTEM_CALLS:
        bench.must(r.returncode == 0 or r.stderr or r.stdout, "it says nothing")
        return
    same = r.returncode == whole.returncode and "memory" not in r.stderr
    if same and bench.control.short() == "malloc" and bench.spared == 0:
        bench.spared += 1  # what heap_lock() asks for and gives back
        return
    bench.must(r.returncode == 1 and r.stderr.count(OUT_OF_MEMORY) == 1,
               f"no such words: {r.returncode}, {r.stdout}, {r.stderr}")
    if r.stdout.startswith("{"):
        json.loads(r.stdout)  # never half of it


# Where a call fails that waits for a daemon or a provider, the command waits for its own deadline.
QUICK = {"config-show", "kubeconfig-write", "kubeconfig-undo"}
RUNS = [(name, kind) for name in SCENES for kind in KINDS
        if failing.FULL or kind == "allocation" or name in QUICK]


@pytest.mark.parametrize("name, kind", RUNS)
def test_a_command_with_a_call_that_fails(bench, name, kind):
    kind, scene = KINDS[kind], SCENES[name]
    bench.prepare(scene)
    bench.run()
    whole, after = bench.run(), bench.trees()
    assert scene.code in (None, whole.returncode), whole.stderr
    total, failed = bench.control.counted(kind), 0
    bench.spared = 0
    for number in numbers(total, scene.most, 1500):
        for choice in range(ERRORS_MOST if kind == failing.SYSTEM_CALLS else 1):
            r = bench.run((kind, number, choice))
            failed += bench.fired
            check(bench, r, whole, after, kind)
            if not bench.fired:
                break
    bench.nobody_is_left()
    print(f"{name}: {total} counted, {failed} failed")
