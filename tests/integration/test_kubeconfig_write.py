"""kubetoken kubeconfig --write, --dry-run and --undo: what becomes of kubectl's own files. Each is
read afterwards by kubectl and by Python's YAML, as whoever uses it does."""
import collections
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess

import pytest
import yaml

import kubeconfig_writer
import rig
import sanitized
import test_kubectl

SHAPES = pathlib.Path(__file__).parent / "kubeconfigs"
KUBECTLS = test_kubectl.kubectls()
PROFILES = "".join(f"[profile {name}]\nissuer = https://login.example.com/\nclient-id = k\n"
                   "username = u\n" for name in ("p", "auth0"))
HINT = ("kubetoken is not installed, or not on the PATH.\n"
        "It gets and renews the id_token that this cluster wants.\n")
MINIKUBE = (SHAPES / "minikube-same-name-stale-ca.yaml").read_text(encoding="utf-8")


def stanza(profile="p", version="v1", command="kubetoken"):
    return {"exec": {"apiVersion": f"client.authentication.k8s.io/{version}", "command": command,
                     "args": ["get", "-o", f"exec/{version}", profile], "installHint": HINT,
                     "interactiveMode": "Never", "provideClusterInfo": False}}


def first_document(data):
    """As kubectl does, what follows it is not looked at. By a reader that is not libyaml."""
    if re.match(rb"(\xef\xbb\xbf)?{\r?\n\t", data):
        return json.loads(data.decode("utf-8-sig"))  # tabs, which this one does not take
    loader = yaml.SafeLoader(data.decode("utf-8-sig"))
    try:
        return loader.get_data() if loader.check_data() else None
    finally:
        loader.dispose()


def by_name(config, key="users"):
    return {entry["name"]: entry for entry in (config or {}).get(key) or []}


class Kube:
    """A user with a kubeconfig, and a daemon that knows the profiles p and auth0."""

    def __init__(self, home):
        self.home = home
        self.folder = home.folder / ".kube"
        self.folder.mkdir()
        home.environment["COLUMNS"] = "1000"
        self.file = self.folder / "config"

    def run(self, *args, **kwargs):
        return self.home.run("kubeconfig", *args, **kwargs)

    def write(self, *args, **kwargs):
        r = self.run("--write", "--api-version=v1", *args, **kwargs)
        assert (r.returncode, r.stderr) == (0, ""), r
        return r.stdout

    def refused(self, *args, code=9, **kwargs):
        r = self.run(*args, **kwargs)
        assert (r.returncode, r.stdout) == (code, ""), r
        return r.stderr

    def names(self):
        return sorted(p.name for p in self.folder.iterdir())

    def config(self):
        return first_document(self.file.read_bytes())


@pytest.fixture
def kube(home, daemon):
    home.configure(PROFILES)
    daemon.start()
    return Kube(home)


def as_kubectl_reads_it(program, path):
    r = subprocess.run([program, "--kubeconfig", path, "config", "view", "--raw", "-o", "json"],
                       env={"HOME": "/nonexistent", "PATH": os.environ["PATH"]},
                       capture_output=True, text=True, timeout=rig.PATIENCE)
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)


def check_readers(before, after, user):
    """kubectl and the Python client see that user alone as another one."""
    for program in KUBECTLS[:1]:
        was, now = (as_kubectl_reads_it(program, p) for p in (before, after))
        assert by_name(now)[user]["user"]["exec"]["args"] == ["get", "-o", "exec/v1", "p"]
        for config in (was, now):
            config["users"] = {n: u for n, u in by_name(config).items() if n != user}
        assert was == now
    kube_config = pytest.importorskip("kubernetes.config.kube_config")
    if first_document(after.read_bytes()).get("contexts"):  # it refuses others
        merged = kube_config.KubeConfigMerger(str(after)).config
        assert merged["users"].get_with_name(user)["user"]["exec"]["command"] == "kubetoken"


# ---- shapes --------------------------------------------------------------------------------------

def user_of(data):
    return next(iter(by_name(first_document(data))), "someone new")


@pytest.mark.parametrize("shape", sorted(p.name for p in SHAPES.iterdir() if p.stem != "tabs"))
def test_a_shape_is_changed_in_one_user_and_undone(kube, shape, tmp_path):
    data = (SHAPES / shape).read_bytes()
    before = tmp_path / "before"
    before.write_bytes(data)
    for user in (user_of(data), "somebody: else"):
        kube.file.write_bytes(data)
        shown = kube.write("--user", user, "--force", "p")
        assert "t0ken" not in shown and "not-a-real" not in shown and "not a real" not in shown
        was, now = first_document(data) or {"apiVersion": "v1", "kind": "Config"}, kube.config()
        users = by_name(was)
        users[user] = {"name": user, "user": stanza()}
        assert by_name(now) == users
        assert {**was, "users": 0} == {**now, "users": 0}
        check_readers(before, kube.file, user)
        assert not_the_lines_of(data) <= not_the_lines_of(kube.file.read_bytes())
        written = kube.file.read_bytes(), kube.file.stat(), kube.names()
        again = kube.write("--user", user, "p")
        assert again.startswith("Nothing to change:")
        assert (kube.file.read_bytes(), kube.file.stat(), kube.names()) == written
        assert kube.run("--undo").returncode == 0
        assert kube.file.read_bytes() == data and kube.names() == ["config"]


def not_the_lines_of(data):
    """How often a comment is there: none that stands outside of the user is lost."""
    lines = [line.strip() for line in data.decode("utf-8-sig").splitlines()]
    return collections.Counter(line for line in lines if line.startswith("#"))


@pytest.mark.parametrize("text, says", [
    ((SHAPES / "tabs.yaml").read_text(encoding="utf-8"),
     "yaml: line 6: found a tab character that violates indentation"),
    ("users:\n- name: p\n- name: p\n", 'users has "p" twice'),
    ("users: {}\n", "users is no list"),
    ("kind: Pod\n", "its kind is Pod, not Config"),
    ("apiVersion: v2\n", "its apiVersion is v2, not v1"),
    ("- a\n", "it is no map of clusters, contexts and users"),
    ("users:\n- a\n", "an entry of users is none"),
    ("users:\n- name: p\n  user: x\n", "user p is no map"),
    ("a: b: c\n", "mapping values are not allowed in this context"),
    ("users: \"\0\"\n", "control characters are not allowed"),
])
def test_what_kubectl_would_not_take_is_refused_with_the_place(kube, text, says):
    kube.file.write_text(text, encoding="utf-8")
    told = kube.refused("--write", "--api-version=v1", "p")
    assert told.startswith("kubetoken: the kubeconfig cannot be used as it is: ")
    assert says in told and "correct it; kubectl config view shows it" in told
    assert kube.file.read_text(encoding="utf-8") == text and kube.names() == ["config"]
    for program in KUBECTLS[:1]:
        with pytest.raises(AssertionError):
            as_kubectl_reads_it(program, kube.file)


@pytest.mark.parametrize("text, says", [
    ("users:\n- name: x\nusers:\n- name: y\n", 'line 3: "users" is there twice'),
    ("users:\n- name: p\n  user: {}\n  user: {}\n", 'line 4: "user" is there twice'),
    ("x: &x\n- name: a\nusers: *x\n", "line 3: users is an alias, *x, and what that stands for is"),
    ("x: &x {name: p}\nusers:\n- *x\n", "line 3: the entry is an alias, *x"),
    ("users:\n- name: p\n  user: &u {token: t}\n- {name: q, user: *u}\n",
     "line 3: &u stands in what is replaced, and is used elsewhere"),
    ("users:\n- name: p\n  user: {token: &t t}\n- {name: q, user: {token: *t}}\n",
     "line 3: &t stands in what is replaced, and is used elsewhere"),
    ("x: &x\n  users:\n  - name: q\n<<: *x\n", 'user "p" cannot be changed without changing more'),
    ("{users: [{name: q, user: {token: oidc:}}]}\n",
     "a word before a comma or bracket ends with a colon"),
])
def test_what_cannot_be_changed_alone_stays(kube, text, says):
    kube.file.write_text(text, encoding="utf-8")
    told = kube.refused("--write", "--api-version=v1", "p")
    assert told.startswith("kubetoken: the kubeconfig stays as it is: ")
    assert says in told
    assert "; kubetoken kubeconfig prints what to put into it by hand\n" in told
    assert kube.file.read_text(encoding="utf-8") == text and kube.names() == ["config"]


@pytest.mark.parametrize("seed", range(0, 120, 20))
def test_any_style_is_kept(kube, tmp_path, seed):
    """Twenty files; one of them is shown to kubectl and the Python client, too."""
    for n in range(seed, seed + 20):
        data = kubeconfig_writer.Writer(n).text()
        was = first_document(data)
        user = list(by_name(was) or ["new"])[n % max(1, len(by_name(was)))]
        kube.file.write_bytes(data)
        shown = kube.write("--user", user, "--force", "p")
        assert "s3cret" not in shown and "czNjcmV0" not in shown, n
        now = kube.config()
        expected = was if was is not None else {"apiVersion": "v1", "kind": "Config"}
        users = {**by_name(was), user: {"name": user, "user": stanza()}}
        assert by_name(now) == users, n
        assert {**expected, "users": 0} == {**now, "users": 0}, n
        assert (b"\r\n" in data) == (b"\r\n" in kube.file.read_bytes()) or not data.strip(), n
        if n % 20 == 7:
            (tmp_path / "before").write_bytes(data)
            check_readers(tmp_path / "before", kube.file, user)
        assert kube.run("--undo").returncode == 0
        assert kube.file.read_bytes() == data, n
    assert kube.names() == ["config"]


# ---- what a person reads -------------------------------------------------------------------------

def test_minikube_goes_through_kubetoken_by_one_command(kube):
    """And loses nothing of its own."""
    kube.file.write_text(MINIKUBE, encoding="utf-8")
    dry = kube.run("--dry-run", "--api-version=v1", "--context", "p", "auth0")
    assert (dry.returncode, dry.stderr) == (0, "")
    assert kube.names() == ["config"] and kube.file.read_text() == MINIKUBE
    shown = kube.write("--context", "p", "auth0")
    where = kube.file
    diff = f"""\
--- {where}
+++ {where}
@@ -17,7 +17,7 @@
     server: https://127.0.0.1:47912
   name: other
 contexts:
-- context: {{cluster: p, namespace: default, user: p}}
+- context: {{cluster: p, namespace: default, user: auth0}}
   name: p
 - context: {{cluster: other, user: p}}
   name: other
@@ -27,3 +27,14 @@
   user:
     client-certificate: /home/someone/.minikube/profiles/minikube/client.crt
     client-key: /home/someone/.minikube/profiles/minikube/client.key
+- name: auth0
+  user:
+    exec:
+      apiVersion: client.authentication.k8s.io/v1
+      command: kubetoken
+      args: [get, -o, exec/v1, auth0]
+      installHint: |
+        kubetoken is not installed, or not on the PATH.
+        It gets and renews the id_token that this cluster wants.
+      interactiveMode: Never
+      provideClusterInfo: false
"""
    assert dry.stdout == diff + "Nothing has been written: --dry-run.\n"
    assert shown.startswith(diff)
    assert " ".join(shown[len(diff):].split()) == (
        f"User auth0 of {where} runs kubetoken for the profile auth0. Context p uses it. "
        f"What was is in {where}.kubetoken-backup-1. kubetoken kubeconfig --undo takes it back.")
    assert (kube.folder / "config.kubetoken-backup-1").read_text() == MINIKUBE
    assert (kube.folder / "config.kubetoken-backup-1").stat().st_mode & 0o7777 == 0o600
    for program in KUBECTLS[:1]:
        assert by_name(as_kubectl_reads_it(program, where), "contexts")["p"]["context"] == {
            "cluster": "p", "namespace": "default", "user": "auth0"}
    undone = kube.run("--undo")
    assert "-- name: auth0" in undone.stdout
    assert (undone.returncode, undone.stderr) == (0, "")
    assert undone.stdout.endswith(f"{where} is as it was before.\n")
    assert kube.file.read_text() == MINIKUBE


def test_what_a_user_would_lose_is_named(kube):
    for user, has in (("{client-certificate: c, client-key-data: k}",
                       "client-certificate, client-key-data"),
                      ("{username: u, password: p}", "username, password"),
                      ("{tokenFile: /t}", "tokenFile"),
                      ("{token: t, as: root}", "as"),
                      ("{exec: {command: aws}}", "exec aws"),
                      ("{auth-provider: {name: gcp}}", "auth-provider gcp")):
        text = f"users:\n- name: p\n  user: {user}\n"
        kube.file.write_text(text)
        told = kube.refused("--write", "--api-version=v1", "p")
        assert told == (f"kubetoken: the kubeconfig stays as it is: user p has {has}, which would "
                        "be lost; name another user by --user NAME, or replace it with --force\n")
        assert kube.file.read_text() == text
        kube.write("--user", "me", "p")
        assert by_name(kube.config())["p"] == by_name(first_document(text.encode()))["p"]
        kube.write("--force", "p")
        assert by_name(kube.config())["p"]["user"] == stanza()


@pytest.mark.parametrize("user", [
    "{auth-provider: {name: oidc, config: {refresh-token: r}}}", "{token: t}", "{}", "null",
    "{exec: {command: kubelogin, args: [get-token]}}",
    "{exec: {command: /usr/bin/kubectl, args: [oidc-login, get-token]}}",
    "{exec: {command: kubectl-oidc_login}}",
    "{exec: {command: docker, args: [run, ghcr.io/int128/kubelogin:v1, get-token]}}",
    "{exec: {command: kubetoken, args: [get, old]}}"])
def test_what_kubetoken_stands_for_is_replaced_in_its_context(kube, user):
    """Under its own name; another context that has it is named."""
    kube.file.write_text("contexts: [{name: c, context: {cluster: k, user: him}},\n"
                         "  {name: d, context: {cluster: k, user: him}}]\n"
                         f"users:\n- name: him\n  user: {user} # his\n")
    shown = kube.write("--context", "c", "auth0")
    assert by_name(kube.config()) == {"him": {"name": "him", "user": stanza("auth0")}}
    assert "Context c uses it, and so does d.\n" in shown
    assert "  # his\n" in kube.file.read_text()


def test_a_context_that_is_not_there_is_made(kube):
    clusters = "clusters: [{name: one, cluster: {}}, {name: two, cluster: {}}]\n"
    kube.file.write_text(clusters)
    told = kube.refused("--write", "--api-version=v1", "--context", "new", "p")
    assert told == ("kubetoken: the kubeconfig stays as it is: there is no context new; clusters: "
                    "one, two; name one of the contexts, or for a new one its cluster by --cluster "
                    "NAME\n")
    told = kube.refused("--write", "--api-version=v1", "--context", "new", "--cluster", "x", "p")
    assert "there is no cluster x; there are one, two; name one of those\n" in told
    assert kube.file.read_text() == clusters
    shown = kube.write("--context", "new", "--cluster", "two", "p")
    assert by_name(kube.config(), "contexts")["new"]["context"] == {"cluster": "two", "user": "p"}
    assert "It is not the current one: kubectl config use-context new makes it that.\n" in shown
    kube.file.write_text(clusters + "contexts: [{name: old, context: {cluster: two, user: x}}]\n"
                         "current-context: old\n")
    kube.write("--context", "new", "p")
    assert by_name(kube.config(), "contexts")["new"]["context"] == {"cluster": "two", "user": "p"}
    kube.file.write_text("clusters: [{name: only, cluster: {}}]\n")
    kube.write("--context", "new", "p")
    assert by_name(kube.config(), "contexts")["new"]["context"] == {"cluster": "only", "user": "p"}
    kube.file.write_text("")
    told = kube.refused("--write", "--api-version=v1", "--context", "new", "p")
    assert "there is no context new, and no cluster for one; the cluster's part comes from who" in \
        told


def test_a_user_that_no_context_uses_is_told_how_one_would(kube):
    assert not kube.file.exists()
    shown = kube.write("p")
    assert "No context uses it yet: kubetoken kubeconfig --write --context NAME p has one" in shown
    kube.file.write_text("current-context: c\n"
                         "contexts: [{name: c, context: {cluster: k, user: him}}]\n")
    shown = kube.write("p")
    assert "kubetoken kubeconfig --write --context c p has the current one do that.\n" in shown
    kube.write("--context", "c", "p")
    assert "Context c uses it.\n" in kube.write("--context", "c", "p")
    assert kube.write("p").endswith("Contexts that use it: c.\n")


def test_secrets_are_covered_wherever_they_stand(kube):
    secrets = [f"s3cret{i}" for i in range(14)]
    s = iter(secrets)
    kube.file.write_text(f"""\
x: &k {next(s)}
clusters:
- {{name: k, cluster: {{proxy-url: "http://me:{next(s)}@proxy"}}}}
users:
- name: before
  user:
    client-key-data: {next(s)}
    token: *k
- name: p
  user:
    token: "{next(s)}
      {next(s)}"
    exec:
      command: kubelogin
      env:
      - {{name: A, value: {next(s)}}}
      args: [get-token, --password={next(s)}, --oidc-client-secret, "{next(s)} x",
        --oidc-issuer-url=https://u:{next(s)}@i/, "--password={next(s)}"]
      unknown: {next(s)}
    auth-provider:
      name: oidc
      config: {{client-id: k8s, client-secret: {next(s)}, id-token: |
        {next(s)}
        }}
- {{name: after, user: {{password: {next(s)}, username: me}}}}
""".replace("""config: {client-id: k8s, client-secret: s3cret11, id-token: |
        s3cret12
        }""", """config:
        client-id: k8s
        client-secret: s3cret11
        id-token: |
          s3cret12"""))
    shown = kube.write("p")
    assert "s3cret" not in shown, shown
    for word in ("-    token: ***\n", "--password=***", "--oidc-client-secret, ***",
                 "-        client-id: k8s\n", "{password: ***, username: me}",
                 "-      - {name: A, value: ***}\n"):
        assert word in shown, (word, shown)
    kube.run("--undo")
    assert all(secret in kube.file.read_text() for secret in secrets)


def test_a_long_line_is_shown_where_it_differs(kube):
    long = json.dumps({"clusters": [{"name": "k", "cluster": {"x": "y" * 3000}}],
                       "users": [{"name": "p", "user": {"token": "t0ken"}}], "z": "z" * 3000})
    kube.file.write_text(long)
    shown = kube.write("p").splitlines()
    assert max(map(len, shown)) < 420 and any("t0ken" in s for s in shown) is False
    assert [s for s in shown if s.startswith("-...")][0].count('"token": ***') == 1
    assert '"user": {"exec": {"apiVersion"' in [s for s in shown if s.startswith("+...")][0]


# ---- options -------------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, says", [
    (["--undo", "p"], "--undo goes with --kubeconfig and --dry-run alone"),
    (["--undo", "--write"], "--undo goes with --kubeconfig and --dry-run alone"),
    (["--context", "c"], "what goes into a file needs --write"),
    (["--kubeconfig", "/f"], "what goes into a file needs --write"),
    (["--write", "--cluster", "c"], "--cluster is for a new --context"),
    (["--write", "--absolute", "--command", "/k"], "--absolute and --command exclude each other"),
    (["--write", "--user="], "--user wants a value"),
    (["--write", "a", "b"], "more than one profile is named")])
def test_what_does_not_go_together(kube, arguments, says):
    told = kube.refused(*arguments, code=2)
    assert f"wrong usage: {says}; see kubetoken kubeconfig --help" in told
    assert kube.names() == []


def test_the_command_is_a_path_where_it_has_to_be(kube, tmp_path):
    def command(*args, **kwargs):
        kube.write(*args, "p", **kwargs)
        return by_name(kube.config())["p"]["user"]["exec"]["command"]

    assert command() == "kubetoken"
    assert command("--absolute") == str(rig.BUILD / "kubetoken")
    assert command() == str(rig.BUILD / "kubetoken"), "that it was made a path stays"
    kube.file.unlink()
    short = {"PATH": "/usr/bin:/bin"}
    if not shutil.which("kubetoken", path=short["PATH"]):
        assert command(env=short) == str(rig.BUILD / "kubetoken")
    assert command("--command", "/opt/kubetoken") == "/opt/kubetoken"
    assert command() == "kubetoken", "that one is not there"


def test_the_stanza_follows_kubectl_and_keeps_its_environment(kube, tmp_path):
    old = tmp_path / "bin"
    old.mkdir()
    (old / "kubectl").write_text("#!/bin/sh\necho '{\"clientVersion\":{\"minor\":\"20\"}}'\n")
    (old / "kubectl").chmod(0o755)
    kube.file.write_text("users:\n- name: p\n  user:\n    exec:\n      command: kubetoken\n"
                         "      env: [{name: KUBETOKEN_SOCKET, value: /s}]\n")
    path = {"PATH": f"{old}:{kube.home.environment['PATH']}"}
    assert kube.run("--write", "p", env=path).returncode == 0
    expected = stanza(version="v1beta1")["exec"]
    expected["env"] = [{"name": "KUBETOKEN_SOCKET", "value": "/s"}]
    assert by_name(kube.config())["p"]["user"]["exec"] == expected


def test_a_policy_of_kubectl_is_warned_of(kube):
    (kube.folder / "kuberc").write_text("apiVersion: kubectl.config.k8s.io/v1beta1\n"
                                        "kind: Preference\ncredentialPluginPolicy: DenyAll\n")
    r = kube.run("--write", "--api-version=v1", "p")
    assert r.returncode == 0 and by_name(kube.config())["p"]
    assert r.stderr == (
        "kubetoken: warning: kubectl's policy does not allow the plugin: "
        f"{kube.folder}/kuberc: DenyAll (kubectl 1.35 and later obey it); kubetoken doctor says "
        "what to do\n")


# ---- files ---------------------------------------------------------------------------------------

def test_a_lock_of_another_program_is_never_taken(kube):
    kube.file.write_text("users: []\n")
    lock = kube.folder / "config.lock"
    lock.touch()
    os.utime(lock, (lock.stat().st_mtime - 200, lock.stat().st_mtime - 200))
    told = kube.refused("--write", "--api-version=v1", "p")
    assert re.fullmatch(
        "kubetoken: the kubeconfig stays as it is: another program changes it: "
        f"{lock} is there, for 3 min; try again; remove it if no kubectl config runs any more\n",
        told), told
    assert kube.names() == ["config", "config.lock"] and kube.file.read_text() == "users: []\n"
    assert kube.run("--dry-run", "--api-version=v1", "p").returncode == 0
    lock.unlink()
    kube.write("p")
    lock.touch()
    assert "is there, for 0 s;" in kube.refused("--undo")
    for program in KUBECTLS[:1]:
        r = subprocess.run([program, "--kubeconfig", kube.file, "config", "use-context", "c"],
                           capture_output=True, text=True, timeout=rig.PATIENCE)
        assert r.returncode != 0, "kubectl heeds the same lock"


def test_links_are_followed_and_the_mode_stays(kube, tmp_path):
    """The lock is beside the path that kubectl has, what is kept beside the file itself."""
    real = tmp_path / "dotfiles"
    real.mkdir()
    (real / "kube").write_text("users: []\n")
    (real / "kube").chmod(0o640)
    (kube.folder / "link").symlink_to("../../dotfiles/kube")
    kube.file.symlink_to("link")
    for where, name in ((kube.folder, "config.lock"), (real, "kube.lock")):
        (where / name).touch()
        r = kube.run("--write", "--api-version=v1", "p")
        assert r.returncode == (9 if where == kube.folder else 0)
        (where / name).unlink()
    assert kube.file.is_symlink() and kube.names() == ["config", "link"]
    assert (real / "kube").stat().st_mode & 0o7777 == 0o640
    assert by_name(kube.config())["p"]["user"] == stanza()
    assert sorted(p.name for p in real.iterdir()) == ["kube", "kube.kubetoken-backup-1",
                                                      "kube.kubetoken-undo-1"]
    assert kube.run("--undo").returncode == 0
    assert (real / "kube").read_text() == "users: []\n"
    assert (real / "kube").stat().st_mode & 0o7777 == 0o640
    (real / "kube").unlink()
    kube.write("p")
    assert (real / "kube").stat().st_mode & 0o7777 == 0o600, "one that leads to nothing yet"


def test_what_others_may_write_is_warned_of_and_what_is_odd_is_refused(kube, tmp_path):
    kube.file.write_text("users: []\n")
    kube.file.chmod(0o666)
    r = kube.run("--write", "--api-version=v1", "p")
    assert r.returncode == 0 and r.stderr == (
        f"kubetoken: warning: others may write to {kube.file} (mode 0666), and so choose what "
        f"kubectl runs; chmod go-w {kube.file}\n")
    assert kube.file.stat().st_mode & 0o7777 == 0o666
    kube.file.write_text("users: []\n")
    kube.file.chmod(0o444)
    told = kube.refused("--write", "--api-version=v1", "p")
    assert f"{kube.file} is read-only (mode 0444); chmod u+w makes it writable" in told
    kube.file.chmod(0o600)
    os.link(kube.file, tmp_path / "other")
    told = kube.refused("--write", "--api-version=v1", "p")
    assert f"{kube.file} has 2 names (hard links), of which one would change; with" in told
    assert kube.file.read_text() == "users: []\n"
    os.mkfifo(tmp_path / "fifo")
    for path, says in ((tmp_path, "Is a directory"), (tmp_path / "fifo", "is no regular file"),
                       (kube.file / "x", "Not a directory")):
        assert says in kube.refused("--write", "--api-version=v1", "--kubeconfig", path, "p")


STRACE = shutil.which("strace")


def disturbed(kube, inject, *args):
    """kubetoken-admin with a system call that fails, or at which a signal comes."""
    return subprocess.run(
        [STRACE, "-qq", "-f", "-o", "/dev/null", "-e", "trace=" + inject.split(":")[0],
         "-e", "inject=" + inject, rig.BUILD / "kubetoken", "kubeconfig", *args],
        env=sanitized.traced(kube.home.environment), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=rig.PATIENCE)


@pytest.mark.skipif(not STRACE, reason="strace is not installed")
@pytest.mark.parametrize("inject, says", [
    ("fsync:error=ENOSPC:when=1", "No space left on device"),
    ("fsync:error=EIO:when=2", "Input/output error"),
    ("fsync:error=EIO:when=3", "Input/output error"),
    ("rename:error=EROFS", "Read-only file system"),
    ("fchmod:error=EPERM", "Operation not permitted")])
def test_what_cannot_be_written_loses_nothing(kube, inject, says):
    kube.file.write_text(MINIKUBE)
    r = disturbed(kube, inject, "--write", "--api-version=v1", "--context", "p", "auth0")
    assert (r.returncode, r.stdout) == (1, "")
    assert r.stderr.startswith("kubetoken: the output cannot be written: ") and says in r.stderr
    assert "; nothing has changed; see whether its folder can be written to, and has room" in \
        r.stderr
    assert kube.names() == ["config"] and kube.file.read_text() == MINIKUBE


@pytest.mark.skipif(not STRACE, reason="strace is not installed")
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_leaves_no_lock_and_no_half_of_it(kube, name):
    kube.file.write_text(MINIKUBE)
    r = disturbed(kube, f"fsync:signal={name}:when=1", "--write", "--api-version=v1", "p",
                  "--user=me")
    assert r.returncode in (-getattr(signal, name), 128 + getattr(signal, name)), r
    assert kube.names() == ["config"] and kube.file.read_text() == MINIKUBE
    r = disturbed(kube, f"rename:signal={name}", "--write", "--api-version=v1", "p", "--user=me")
    assert by_name(kube.config())["me"], "too late"
    assert kube.names() == ["config", "config.kubetoken-backup-1", "config.kubetoken-undo-1"]
    assert kube.run("--undo").returncode == 0 and kube.file.read_text() == MINIKUBE


def test_a_limit_of_the_size_is_a_full_disk(kube):
    kube.file.write_text(MINIKUBE + "#" * 4000 + "\n")
    before = kube.file.read_bytes()
    r = subprocess.run(["prlimit", "--fsize=4096", rig.BUILD / "kubetoken", "kubeconfig", "--write",
                        "--api-version=v1", "--user=me", "p"], env=kube.home.environment,
                       stdin=subprocess.DEVNULL, capture_output=True, text=True)
    assert r.returncode == 1 and "File too large" in r.stderr, r
    assert kube.names() == ["config"] and kube.file.read_bytes() == before


# ---- several files -------------------------------------------------------------------------------

FILES = {
    "one": "users: [{name: first, user: {token: a}}]\ncurrent-context: c\n",
    "two": "users: [{name: second, user: {token: a}}, {name: first, user: {token: b}}]\n"
           "contexts: [{name: c, context: {cluster: k, user: x}}]\nclusters: [{name: k}]\n",
    "three": "users: [{name: third, user: {}}]\n",
}


def spread(kube, names):
    for path in kube.folder.iterdir():
        path.unlink()
    for name in names:
        if name in FILES:
            (kube.folder / name).write_text(FILES[name])
    return {"KUBECONFIG": ":".join(str(kube.folder / n) if n else "" for n in names)}


def changed(kube):
    return [p.name for p in sorted(kube.folder.iterdir())
            if "kubetoken" not in p.name and p.read_text() != FILES.get(p.name)]


@pytest.mark.parametrize("user", ["first", "second", "third", "new"])
@pytest.mark.parametrize("names", [
    ["one", "two", "three"], ["gone", "two", "one"], ["gone", "lost"], ["", "three", "gone"],
    ["two", "two"]])
def test_of_several_files_the_one_that_kubectl_would_change(kube, names, user):
    env = spread(kube, names)
    assert kube.run("--write", "--api-version=v1", "--user", user, "p", env=env).returncode == 0
    ours = changed(kube)
    assert len(ours) == 1
    r = kube.run("--undo", env=env)
    assert r.returncode == 0 and changed(kube) == []
    for program in KUBECTLS[:1]:
        r = subprocess.run([program, "config", "set-credentials", user, "--token=x"],
                           env={**kube.home.environment, **env}, capture_output=True, text=True,
                           timeout=rig.PATIENCE)
        assert r.returncode == 0, r.stderr
        assert changed(kube) == ours


def test_user_and_context_in_two_files_are_one_change(kube):
    env = spread(kube, ["one", "two"])
    shown = kube.write("--context", "c", "--user", "first", "p", env=env)
    assert changed(kube) == ["one", "two"]
    assert shown.count("\n+++ ") == 2 and shown.count("What was is in ") == 2
    told = kube.refused("--undo", "--kubeconfig", kube.folder / "three")
    assert f"there is nothing to undo in {kube.folder}/three; " in told
    with open(kube.folder / "two", "a", encoding="utf-8") as f:
        f.write("# mine\n")
    told = kube.refused("--undo", env=env)
    assert f"{kube.folder}/two has been changed since; what was before is in " in told
    assert changed(kube) == ["one", "two"], "both or none"
    text = (kube.folder / "two").read_text()
    (kube.folder / "two").write_text(text.replace("# mine\n", ""))
    assert kube.run("--undo", env=env).returncode == 0
    assert changed(kube) == []


@pytest.mark.skipif(not STRACE, reason="strace is not installed")
def test_of_two_files_none_is_changed_alone(kube):
    env = spread(kube, ["one", "two"])
    kube.home.environment.update(env)
    r = disturbed(kube, "rename:error=EROFS:when=2", "--write", "--api-version=v1", "--context",
                  "c", "--user", "first", "p")
    assert r.returncode == 1 and changed(kube) == [] and kube.names() == ["one", "two"]


# ---- undo ----------------------------------------------------------------------------------------

def test_undo_goes_back_step_by_step(kube):
    states = [None]
    for user in ("a", "b", "c"):
        kube.write("--user", user, "p")
        states.append(kube.file.read_text())
    assert "--- " in kube.run("--undo", "--dry-run").stdout and kube.file.read_text() == states[3]
    for n in (2, 1):
        assert kube.run("--undo").returncode == 0
        assert kube.file.read_text() == states[n]
    r = kube.run("--undo")
    assert r.stdout.endswith(f"{kube.file} is gone, as before.\n") and kube.names() == []
    told = kube.refused("--undo")
    assert told == (f"kubetoken: the kubeconfig stays as it is: there is nothing to undo in "
                    f"{kube.file}; kubetoken kubeconfig --write is what can be taken back\n")


def test_undo_refuses_what_was_changed_since(kube):
    kube.write("p")
    text = kube.file.read_text()
    kube.file.write_text(text + "# mine\n")
    told = kube.refused("--undo")
    assert told == (f"kubetoken: the kubeconfig stays as it is: {kube.file} has been changed "
                    "since; take the user out by hand\n")
    kube.write("--user", "other", "p")
    assert kube.run("--undo").returncode == 0, "what was written last"
    assert kube.file.read_text() == text + "# mine\n"
    kube.file.unlink()
    assert "has been changed since" in kube.refused("--undo")


def test_of_what_was_ten_are_kept(kube):
    for n in range(13):
        kube.write("--user", f"u{n}", "p")
    kept = [n for n in kube.names() if "backup" in n]
    assert sorted(int(n.rpartition("-")[2]) for n in kept) == list(range(4, 14))


# ---- what survives a careless change -------------------------------------------------------------

def test_lines_end_as_those_around_them_and_comments_stay_with_whose_they_are(kube):
    kube.file.write_bytes(b"users:\r\n- name: old\r\n  user: {}\r\n    # of old\r\n# the end\r\n")
    kube.write("--user", "yes", "p")
    written = kube.file.read_bytes()
    assert written.count(b"\n") == written.count(b"\r\n") == 16
    assert b"  user: {}\r\n    # of old\r\n- name: \"yes\"\r\n" in written
    assert written.endswith(b"provideClusterInfo: false\r\n# the end\r\n")
    for name in ("12", "n", "1e3", "- x", "a: b", "~", "a #b", "*x"):
        kube.write("--user", name, "p")
        assert by_name(kube.config())[name]["user"] == stanza(), "a text, whatever it looks like"


def test_what_stands_beside_the_change_is_covered_too(kube):
    kube.file.write_text("""\
contexts: []
clusters:
- {name: k, cluster: {proxy-url: "http://me:s3cret1@proxy", tls-server-name: &s s3cret4}}
x: &k s3cret0
users:
- {name: p, user: {token: *k, password: *s, exec: {command: "https://u:s3cret2@x"}}}
---
token: s3cret3
""")
    shown = kube.write("--force", "p")
    assert "s3cret" not in shown and "proxy-url: ***" in shown and "x: ***" in shown, shown


def test_undo_sees_a_change_that_keeps_the_length(kube):
    kube.write("p")
    kube.file.write_text(kube.file.read_text().replace("kind: Config", "kind: config"))
    assert "has been changed since" in kube.refused("--undo")
