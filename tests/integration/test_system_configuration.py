"""What an administrator sets for all users of a machine: /etc/kubetoken, as it is in a mount
namespace of the test's own, where a folder of the test's is mounted there."""
import json
import os
import shlex
import subprocess

import pytest

import rig
from test_login import login

ETC = "/etc/kubetoken"


class System:
    """That folder, and programs that have it as /etc/kubetoken."""

    def __init__(self, folder):
        self.folder = folder / "etc"
        (self.folder / "conf.d").mkdir(parents=True)
        self.folder.chmod(0o755)
        (self.folder / "conf.d").chmod(0o755)
        layers = folder / "layers"
        layers.mkdir()
        inside = (f"mount -t tmpfs none {layers} && mkdir {layers}/upper {layers}/work && "
                  "mount -t overlay -o "
                  f"lowerdir=/etc,upperdir={layers}/upper,workdir={layers}/work overlay /etc && "
                  f"mkdir -p {ETC} && mount --bind {self.folder} {ETC} || exit 77; "
                  'exec "$@"')
        self.before = ["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", inside, "sh"]
        if subprocess.run([*self.before, "true"], check=False, capture_output=True).returncode:
            pytest.skip("no mount namespace of one's own can be made here")
        self.programs = folder / "programs"
        self.programs.mkdir()
        for name in ("kubetoken", "kubetokend", "kubetoken-admin"):
            self._wrap(name)

    def _wrap(self, name):
        wrapper = self.programs / name
        wrapper.write_text("#!/bin/sh\nexec " + shlex.join(map(str, self.before)) +
                           f' {rig.BUILD / name} "$@"\n')
        wrapper.chmod(0o755)

    def write(self, name, text, mode=0o644):
        path = self.folder / name
        path.write_text(text)
        path.chmod(mode)
        return path

    def settle(self, *names):
        """These were written long ago: nobody is in the middle of it."""
        for name in names:
            os.utime(self.folder / name, (1, 1))

    def run(self, home, program, *args, **kwargs):
        return subprocess.run([self.programs / program, *args], text=True, capture_output=True,
                              env=kwargs.pop("env", home.environment),
                              timeout=rig.PATIENCE, check=False,
                              **({} if "input" in kwargs else {"stdin": subprocess.DEVNULL}),
                              **kwargs)

    def check(self, home, *args, **kwargs):
        return self.run(home, "kubetokend", "--check-config", *args, **kwargs)


@pytest.fixture
def system(tmp_path):
    return System(tmp_path)


@pytest.fixture
def daemon(home, system):
    d = rig.Daemon(home, program=system.programs / "kubetokend")
    yield d
    d.close()


def profile(fake, name="p", extra=""):
    return fake.profile(name, extra=extra)


def test_drop_ins_lie_between_the_administrators_file_and_the_users(fake, home, daemon, system):
    """A daemon reads them, says which, and finds a change of any: of a file, of the folder."""
    system.write("kubetoken.conf", "[defaults]\nscope = openid one\nrealm = one\n")
    system.write("conf.d/20.conf", "[defaults]\nscope = openid twenty\n")
    system.write("conf.d/10.conf", "[defaults]\nscope = openid ten\nrealm = ten\n")
    home.configure(profile(fake) + profile(fake, "q", extra="scope = openid mine"))
    daemon.start()
    shown = json.loads(system.run(home, "kubetoken", "config", "show", "--json").stdout)
    conf = str(home.config / "kubetoken.conf")
    assert shown["files"] == [f"{ETC}/kubetoken.conf", f"{ETC}/conf.d/10.conf",
                              f"{ETC}/conf.d/20.conf", conf]
    of = {p["profile"]: {s["key"]: s for s in p["settings"]} for p in shown["profiles"]}
    assert of["p"]["scope"] == {"key": "scope", "value": "openid twenty", "origin": "defaults",
                                "file": f"{ETC}/conf.d/20.conf", "line": 2}
    assert of["p"]["realm"]["file"] == f"{ETC}/conf.d/10.conf"
    assert of["q"]["scope"]["file"] == conf
    assert home.run("get", "p").returncode == 0
    assert fake.grants()[-1].form["scope"] == "openid twenty"
    r = system.check(home)
    assert (r.returncode, r.stdout) == (
        0, f"{conf}: in order, 2 profiles, with 3 files below /etc/kubetoken/\n")

    system.settle("kubetoken.conf", "conf.d", "conf.d/10.conf", "conf.d/20.conf")
    home.settle()
    later = system.folder / "conf.d" / "30.conf"
    for change, touched, waits in (
            (lambda: None, (), False),
            (lambda: system.write("conf.d/30.conf", "[defaults]\nscope = openid thirty\n"),
             ("conf.d/30.conf", "conf.d"), True),
            (later.unlink, ("conf.d",), False),
            (lambda: system.write("conf.d/10.conf", "[defaults]\naudience = ten\n"),
             ("conf.d/10.conf",), True)):
        change()
        system.settle(*touched)
        status = json.loads(home.run("status", "--json").stdout)
        assert ({"profile": "p", "change": "changed"} in status["configurationChanged"]) == waits
        assert ("the configuration has changed since" in home.run("status").stdout) == waits
    assert home.run("reload").returncode == 0
    assert json.loads(home.run("status", "--json").stdout)["configurationInForce"]


def test_a_bad_drop_in_is_an_error_and_what_was_in_force_stays_so(fake, home, daemon, system):
    home.configure(profile(fake))
    daemon.start()
    assert home.run("get").returncode == 0
    system.write("conf.d/10.conf", "[defaults]\nisuer = x\n")
    r = home.run("reload")
    said = f"{ETC}/conf.d/10.conf:2: unknown key \"isuer\"; did you mean \"issuer\"?"
    assert r.returncode == 9 and said in r.stderr
    assert home.run("get").returncode == 0
    assert said in rig.unwrapped(home.run("status").stdout)
    system.write("conf.d/10.conf", "[defaults]\n", 0o666)
    r = system.check(home)
    assert r.returncode == 9 and r.stderr == (
        f"{ETC}/conf.d/10.conf: can be written by others (mode 666); "
        f"chmod go-w {ETC}/conf.d/10.conf\n")
    (system.folder / "conf.d" / "10.conf").unlink()
    assert home.run("reload").returncode == 0


def test_a_locked_key_holds_and_is_told_everywhere(fake, home, daemon, system):
    """In the log, by status, config show, doctor, --check-config; and init says it of its draft."""
    system.write("conf.d/50-company.conf",
                 "[defaults]\nscope = openid company\n[locked]\nkeys = scope\n")
    home.configure(profile(fake, extra="scope = openid mine"))
    daemon.start()
    conf = home.config / "kubetoken.conf"
    line = next(n for n, text in enumerate(conf.read_text().split("\n"), 1) if "scope" in text)
    note = f"{conf}:{line}: scope does not count: it is locked, by {ETC}/conf.d/50-company.conf:4"
    assert home.run("get").returncode == 0
    assert fake.grants()[-1].form["scope"] == "openid company"
    assert note in daemon.log.read_text()
    assert f"warning: {note}" in rig.unwrapped(home.run("status").stdout)
    j = json.loads(home.run("status", "--json").stdout)
    assert j["configurationNotes"] == [note] and j["configurationErrors"] == []
    r = system.check(home)
    assert (r.returncode, r.stderr) == (0, note + "\n") and "in order" in r.stdout
    r = system.run(home, "kubetoken", "config", "show")
    assert r.returncode == 0 and r.stderr == note + "\n" and "scope = openid company" in r.stdout
    assert r.stdout.endswith(f"\n\n[locked]\n# {ETC}/conf.d/50-company.conf:4\nkeys = scope\n")
    r = system.run(home, "kubetoken", "config", "show", "--json")
    assert json.loads(r.stdout)["locked"] == [
        {"key": "scope", "file": f"{ETC}/conf.d/50-company.conf", "line": 4}]
    r = system.run(home, "kubetoken", "doctor", "--json")
    [link] = [c for c in json.loads(r.stdout)["links"] if c["link"] == "configuration"]
    assert (link["level"], link["detail"], link["remedy"]) == (
        "warning", note, "take that line out")

    grants = len(fake.grants())
    r = system.run(home, "kubetoken", "init", "q", "--yes", "--issuer", fake.issuer, "--client-id",
                   "client", "--username", "someone", "--ca-file", str(fake.ca_file),
                   "--set", "scope=openid mine", "--keep-password", "prompt", "--no-kubeconfig",
                   input="canary-pw\n")
    assert r.stderr.count("scope does not count: it is locked") == 2, r.stderr  # p, and q
    assert r.returncode == 0 and "[profile q]" in conf.read_text(), r.stderr
    assert fake.grants()[grants].form["scope"] == "openid company"  # as the trial had it


def test_specifiers_make_one_file_do_for_all_users(fake, home, daemon, system):
    """The command gets them as words, whatever the home is called."""
    home.environment["HOME"] = str(home.folder / "a 'b; c")
    os.mkdir(home.environment["HOME"])
    text = profile(fake).replace("username = someone", "username = %U%%") \
        .replace("password = canary-pw", f"password-command = {home.folder}/print %h x%U")
    system.write("kubetoken.conf", text)
    program = home.folder / "print"
    program.write_text('#!/bin/sh\n[ "$#" = 2 ] && echo "$1,$2"\n')
    program.chmod(0o755)
    daemon.start()
    r = home.run("get")
    assert r.returncode == 0, r.stderr
    uid = os.geteuid() if os.geteuid() == 0 else 0  # in a user namespace
    form = fake.grants()[0].form
    assert form["username"] == f"{uid}%"
    assert form["password"] == f"{home.environment['HOME']},x{uid}"


def test_one_that_names_nobody_is_completed_by_login(fake, home, daemon, system):
    system.write("conf.d/a.conf", fake.profile(password="").replace("username = someone\n", ""))
    daemon.start()
    assert home.run("get").returncode == 5
    assert login(home, b"pw\n", "--username", "anna").returncode == 0
    assert fake.grants()[0].form["username"] == "anna"
    assert list(home.config.iterdir()) == []  # it is in no file


def test_whoever_prepares_a_machine_checks_etc_alone(home, system):
    """Without a home, and without a look at any user's."""
    home.configure("not read\n")
    nobody = {"PATH": "/usr/bin:/bin"}
    r = system.check(home, "--system", env=nobody)
    assert r.returncode == 9 and "there is no configuration yet" in r.stderr
    system.write("kubetoken.conf", "[defaults]\nissuer = https://login.example.com/\n"
                                   "[locked]\nkeys = issuer\n")
    r = system.check(home, "--system", env=nobody)
    assert (r.returncode, r.stdout, r.stderr) == (
        0, "/etc/kubetoken/: in order, 0 profiles, with 1 file below /etc/kubetoken/\n", "")
    system.write("conf.d/10.conf", "[profile p]\nclient-id = kube\nusername = %u@example.com\n"
                                   "password-file = %h/pw\nca-file = ~/ca.pem\n")
    r = system.check(home, "--system", env=nobody)
    assert (r.returncode, r.stderr) == (0, "")
    assert "in order, 1 profile, with 2 files" in r.stdout
    system.write("conf.d/20.conf", "[defaults]\ntimeout = never\n[profile q]\nissuer = x\n")
    r = system.check(home, "--system", env=nobody)
    assert r.returncode == 9 and r.stdout == ""
    assert [line.split(": ")[0] for line in r.stderr.strip().split("\n")] == [
        f"{ETC}/conf.d/20.conf:2", f"{ETC}/conf.d/20.conf:4", f"{ETC}/conf.d/20.conf:3"]
    for name in ("10.conf", "20.conf"):
        (system.folder / "conf.d" / name).unlink()
    system.write("conf.d/10-company.conf", (rig.TOP / "examples" / "company.conf").read_text())
    r = system.check(home, "--system", env=nobody)
    assert (r.returncode, r.stderr) == (0, "")
    for args in (["--system"], ["--check-config", "--system", "--config", "x"]):
        r = system.run(home, "kubetokend", *args)
        assert (r.returncode, r.stderr) == (
            2, "kubetokend: --system goes with --check-config, and without --config\n")


def test_a_file_for_a_later_version_is_told(fake, home, daemon, system):
    home.configure(profile(fake))
    daemon.start()
    assert home.run("get").returncode == 0
    system.write("conf.d/10.conf", "config-version = 2\n<later>\n")
    r = home.run("reload")
    assert r.returncode == 9
    assert (f"{ETC}/conf.d/10.conf:1: config-version: 2 is for a later kubetoken; this one, "
            in r.stderr)
    assert "10.conf:2" not in r.stderr and home.run("get").returncode == 0
