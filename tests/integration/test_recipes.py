"""The commands that README and manuals print, run as they stand there, and with each of their
commands failing in turn: whatever happens, nothing that a person had is lost."""
import hashlib
import json
import os
import pathlib
import re
import subprocess

import pytest

import apiserver
import rig
from test_autostart import end

PAGES = ["README.md", "docs/troubleshooting.md",
         *sorted(f"man/{p.name}" for p in (rig.TOP / "man").glob("*.?"))]

# What a test cannot do, or must not: packages, another init, a cluster, an editor, a keyring.
STAND_INS = ["sudo", "make", "systemctl", "journalctl", "minikube", "editor", "helm", "curl",
             "secret-tool", "socat", "jq", "packaging/install-dependencies"]
REAL = ["kubetoken", "kubetokend", "kubectl", "mv", "cp", "rm", "readlink", "touch", "mkdir",
        "install", "chmod", "cat"]


def is_whole(script):
    return subprocess.run(["bash", "-n"], input=script, text=True, stderr=subprocess.DEVNULL,
                          check=False).returncode == 0


def commands(block):
    """Of a block: what follows a prompt, to the end of that command; all of a block without."""
    lines = block.rstrip().splitlines()
    if not any(line.startswith("$ ") for line in lines):
        return [block] if re.match(rf"({'|'.join(STAND_INS + REAL)})\b", block) else []
    found, open_one = [], False
    for line in lines:
        if line.startswith("$ "):
            found.append(line[2:])
        elif open_one:
            found[-1] += "\n" + line
        open_one = (open_one or line.startswith("$ ")) and not is_whole(found[-1])
    return found


def blocks_of(text):
    """Of a page in Markdown."""
    yield from re.findall(r"^```\n(.*?)^```$", text, re.M | re.S)
    for block in re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", text, re.M):
        yield re.sub(r"^    ", "", block, flags=re.M)


def blocks(page):
    text = (rig.TOP / page).read_text(encoding="utf-8")
    if page.endswith(".md"):
        yield from blocks_of(text)
        return
    for block in re.findall(r"^\.Bd -literal.*?\n(.*?)^\.Ed", text, re.M | re.S):
        yield block
    for line in re.findall(r"^\.Dl (\$ .*)$", text, re.M):
        yield line


def recipes():
    """(page and first line, script)"""
    for page in PAGES:
        for block in blocks(page):
            script = "\n".join(commands(block))
            if script:
                yield pytest.param(script, id=f"{page}: {script.splitlines()[0][:50]}")


RECIPES = list(recipes())


class Desk:
    """A person's home: a configuration and secrets, and a kubeconfig that is a symbolic link to a
    file in some other folder. The API server is there, the daemon starts when it is asked for."""

    def __init__(self, home, provider, server, tmp_path):
        self.home, self.server = home, server
        self.stubs = tmp_path / "stubs"
        self.stubs.mkdir()
        self.work = tmp_path / "work"
        self.work.mkdir()
        (self.work / "examples").symlink_to(rig.TOP / "examples")
        for name in STAND_INS:
            self.restore(name)
        del home.environment["KUBETOKEN_AUTOSTART"], home.environment["XDG_CONFIG_HOME"]
        home.config = home.folder / ".config" / "kubetoken"
        home.config.mkdir(parents=True)
        home.configure(provider.profile("auth0"))
        home.write("auth0.secret", "old secret")
        home.write("auth0.password", "old password")
        self.kubeconfig = home.folder / "dotfiles" / "kube.yaml"
        self.kubeconfig.parent.mkdir()
        whole = server.kubeconfig({"token": "of-minikube"})
        whole["clusters"][0]["name"] = whole["contexts"][0]["context"]["cluster"] = "minikube"
        self.write_kubeconfig(json.dumps(whole))
        (home.folder / ".kube").mkdir()
        self.link = home.folder / ".kube" / "config"
        self.link.symlink_to(self.kubeconfig)

    def write_kubeconfig(self, text):
        self.kubeconfig.write_text(text)
        self.kubeconfig.chmod(0o600)

    def stub(self, name, text):
        path = (self.work if "/" in name else self.stubs) / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def restore(self, name):
        if name == "editor":
            self.stub(name, 'for f; do echo "# edited" >> "$f"; done')
        elif name in STAND_INS:
            self.stub(name, "exit 0")
        else:
            (self.stubs / name).unlink()

    def fail(self, name):
        self.stub(name, "echo junk; echo of no use >&2; exit 1")

    def run(self, script, shell="bash"):
        env = {**self.home.environment,
               "PATH": f"{self.stubs}:{self.home.environment['PATH']}"}
        return subprocess.run([shell, "-c", script], env=env, cwd=self.work, text=True,
                              stdin=subprocess.DEVNULL, capture_output=True,
                              timeout=2 * rig.PATIENCE)

    def contents(self):
        """{digest: a file that has it}, of all files in the home."""
        found = {}
        for folder, _, names in os.walk(self.home.folder):
            for name in names:
                path = pathlib.Path(folder, name)
                if path.is_file() and not path.is_relative_to(self.home.runtime):
                    found[hashlib.sha256(path.read_bytes()).hexdigest()] = str(path)
        return found

    def lost(self, before):
        """What no file has any more; `before` is that of a home that nothing was done to."""
        gone = {path for digest, path in before.items() if digest not in self.contents()}
        return {path for path in gone if not self.was_edited(pathlib.Path(path))}

    def was_edited(self, path):
        """By a person, or by `kubectl config`, which leaves the users that there were."""
        if path == self.kubeconfig:
            r = self.run(f"kubectl --kubeconfig {path} config view --raw -o json")
            view = json.loads(r.stdout)
            return [u["user"] for u in view["users"] or []][:1] == [{"token": "of-minikube"}]
        return path.read_bytes().endswith(b"# edited\n")


@pytest.fixture
def server(provider, tmp_path):
    with apiserver.ApiServer(str(tmp_path / "apiserver"), provider.issuer(), "kubernetes",
                             issuer_ca=provider.facts["ca_file"]) as s:
        yield s


@pytest.fixture
def desk(home, provider, server, tmp_path):
    yield Desk(home, provider, server, tmp_path)
    end(home.socket_path)


def test_the_recipes_are_found():
    text = "\n".join(r.values[0] for r in RECIPES)
    for part in ("make demo", "sudo make install", "kubetoken init --username-claim",
                 "minikube stop", "kubeconfig --write --context minikube auth0",
                 "get -o header | curl", "journalctl --user", "socat - UNIX",
                 "kubectl create clusterrolebinding"):
        assert part in text
    assert len(RECIPES) >= 12


def named(script):
    return [name for name in STAND_INS + REAL
            if re.search(rf"(^|[\s;(|&]){name}\b", script, re.M)]


@pytest.mark.parametrize("script", RECIPES)
def test_nothing_is_lost(desk, script):
    before = desk.contents()
    r = desk.run(script)
    assert "command not found" not in r.stderr, r.stderr
    assert not desk.lost(before) and desk.link.is_symlink(), r.stderr


@pytest.mark.parametrize("script", RECIPES)
def test_nothing_is_lost_when_one_of_the_commands_fails(desk, script):
    assert named(script)
    before = desk.contents()
    for name in named(script):
        desk.fail(name)
        r = desk.run(script)
        assert not desk.lost(before) and desk.link.is_symlink(), (name, r.stderr)
        desk.restore(name)
