"""docs/administrators.md: what it says to write is tried as it stands there, with paths of the
test's own in the place of the machine's."""
import os
import re
import shutil
import subprocess

import pytest
import yaml

import rig
from rig import wait_until
# pylint: disable-next=unused-import
from test_other_users import Resident, machine, root, scene  # noqa: F401

PAGE = (rig.TOP / "docs" / "administrators.md").read_text(encoding="utf-8")
PASSWORD = "canary of the log-in"


def block(heading, language):
    """The first one below that heading."""
    [part] = re.findall(rf"^##+ {re.escape(heading)}.*?(?=^##+ |\Z)", PAGE, re.M | re.S)
    return re.search(rf"^```{language}\n(.*?)^```$", part, re.M | re.S)[1]


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            pytest.skip(f"no {program} here")


def give(folder, uid):
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


# ---- one configuration for all ------------------------------------------------------------------

def test_the_configuration_for_all_is_in_order(tmp_path):
    if "--system" not in subprocess.run([rig.BUILD / "kubetokend", "--help"], text=True, check=True,
                                        capture_output=True).stdout:
        pytest.skip("this kubetokend knows no --system")
    name, text = block("One configuration for all", "ini").split("\n", 1)
    assert name == "# /etc/kubetoken/conf.d/10-company.conf"
    (tmp_path / "10-company.conf").write_text(text.replace("/etc/ssl/certs/company.pem", "ca.pem"))
    (tmp_path / "ca.pem").write_text("")
    script = (f"cd {tmp_path} && mkdir layers && mount -t tmpfs none layers && "
              "mkdir layers/upper layers/work && mount -t overlay -o lowerdir=/etc,"
              "upperdir=layers/upper,workdir=layers/work overlay /etc || exit 77\n"
              "umask 022; rm -rf /etc/kubetoken; mkdir -p /etc/kubetoken/conf.d && "
              "cp 10-company.conf ca.pem /etc/kubetoken/conf.d && "
              f"exec {rig.BUILD}/kubetokend --check-config --system")
    r = subprocess.run(["unshare", "-m" if os.geteuid() == 0 else "-rm", "sh", "-c", script],
                       text=True, capture_output=True, timeout=rig.PATIENCE)
    if r.returncode == 77:
        pytest.skip("no mount namespace of one's own can be made here")
    assert r.returncode == 0 and "1 profile" in r.stdout, r


# ---- PAM ----------------------------------------------------------------------------------------

class LogIn:
    """A user who logs in by PAM, with files of the test's in the place of the machine's."""

    def __init__(self, machine, folder, user):
        self.machine, self.user = machine, user
        hashed = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=PASSWORD, text=True,
                                check=True, capture_output=True).stdout.strip()
        files = {"passwd": f"root:x:0:0::/root:/bin/sh\ntester:x:{user.uid}:{user.uid}::"
                           f"{user.folder}:/bin/sh\n",
                 "group": f"root:x:0:\ntester:x:{user.uid}:\n",
                 "shadow": f"root:*:1::::::\ntester:{hashed}:1::::::\n"}
        for name, text in files.items():
            (folder / name).write_text(text)
        (folder / "pam.d").mkdir()
        (folder / "pam.d" / "door").write_text(  # as common-auth of Debian
            "auth [success=1 default=ignore] pam_unix.so nullok\nauth requisite pam_deny.so\n"
            "auth required pam_permit.so\n" + block("PAM: the password of the log-in", "pam"))
        (folder / "sbin").mkdir()
        shutil.copy(rig.TOP / "examples" / "kubetoken-pam", folder / "sbin")
        (folder / "sbin" / "kubetoken-pam").chmod(0o755)
        mounts = [(folder / name, f"/etc/{name}") for name in (*files, "pam.d")]
        mounts += [(folder / "sbin", "/usr/local/sbin"), (user.programs, "/usr/local/bin")]
        for source, target in mounts:
            r = machine.as_root("mount", "--bind", str(source), target)
            assert r.returncode == 0, r

    def __call__(self, password):
        r = subprocess.run([*self.machine.enter, "pamtester", "door", "tester", "authenticate"],
                           input=password + "\n", text=True, capture_output=True,
                           timeout=rig.PATIENCE, cwd="/")
        # what it started is not waited for by who logs in
        wait_until(lambda: self.running() == {self.machine.process.pid, self.user.daemon.pid},
                   "the end of what the log-in started")
        return r.returncode

    def running(self):
        """All in that machine."""
        here = os.readlink(f"/proc/{self.machine.process.pid}/ns/mnt")
        found = set()
        for p in filter(str.isdigit, os.listdir("/proc")):
            try:
                if os.readlink(f"/proc/{p}/ns/mnt") == here:
                    found.add(int(p))
            except OSError:
                continue
        return found


@root
def test_the_password_of_a_log_in_by_pam(fake, machine, scene):  # noqa: F811
    """Once, where one is needed: not a wrong one, not again at the next log-in, and not one that
    the provider has refused."""
    need("pamtester", "openssl")
    user = Resident(machine, scene.folder / "tester", scene.owner.programs, scene.owner.uid)
    fake.answers.pop("/oauth/token")  # it is the scene's
    try:
        user.configure(fake.profile("work", password=""))
        user.start()
        log_in = LogIn(machine, scene.folder, user)
        assert log_in("wrong") != 0 and fake.grants() == []
        assert log_in(PASSWORD) == 0
        assert [g.form["password"] for g in fake.grants()] == [PASSWORD]
        assert user.run("get", "work").returncode == 0
        assert log_in(PASSWORD) == 0 and len(fake.grants()) == 1
        user.end()  # it had seen that password accepted, and would try it once more
        user.start()
        fake.answers["/oauth/token"] = (403, {}, b'{"error":"invalid_grant"}')
        assert log_in(PASSWORD) == 0 and len(fake.grants()) == 2
        assert user.run("status", "-q", "work").returncode == 6
        assert log_in(PASSWORD) == 0 and len(fake.grants()) == 2
        # nobody is held up where there is no daemon
        user.end()
        user.daemon = machine.process
        assert log_in(PASSWORD) == 0
    finally:
        user.daemon = None if user.daemon is machine.process else user.daemon
        user.end()


# ---- a side-car ---------------------------------------------------------------------------------

class Pod:
    """Its volumes as Kubernetes makes them, its containers as processes of its user."""

    def __init__(self, folder, spec, programs, secret, uid):
        self.folder, self.spec, self.programs = folder, spec, programs
        self.uid, self.gid = uid, uid + 1  # fsGroup is another than the user's
        self.volumes = {"/run/kt": folder / "run", "/etc/kt": folder / "config"}
        self.volumes["/run/kt"].mkdir()
        os.chown(self.volumes["/run/kt"], 0, self.gid)
        self.volumes["/run/kt"].chmod(0o2777)
        self.make_secret(self.volumes["/etc/kt"], secret)

    def make_secret(self, folder, secret):
        [mode] = [v["secret"]["defaultMode"] for v in self.spec["volumes"] if "secret" in v]
        data = folder / "..2026_11_27"
        data.mkdir(parents=True)
        for name, text in secret.items():
            (data / name).write_text(text)
            (folder / name).symlink_to(f"..data/{name}")
            os.chown(data / name, 0, self.gid)
            (data / name).chmod(mode)
        (folder / "..data").symlink_to(data.name)
        for path, of_folder in ((folder, 0o3777), (data, 0o2755)):
            os.chown(path, 0, self.gid)
            path.chmod(of_folder)

    def here(self, text):
        for inside, outside in self.volumes.items():
            text = text.replace(inside, str(outside))
        return text

    def popen(self, name, words=None, **kwargs):
        """A container's program, or another one in it; with nothing but what it is given."""
        [container] = [c for c in self.spec["containers"] if c["name"] == name]
        words = words or [*container["command"], *container["args"]]
        environment = {e["name"]: self.here(e["value"]) for e in container["env"]}
        return subprocess.Popen([self.here(w) for w in words], cwd="/", text=True,
                                env={"PATH": f"{self.programs}:/usr/bin:/bin", **environment},
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, user=self.uid, group=self.uid,
                                extra_groups=[self.gid], **kwargs)

    def run(self, name, *words):
        with self.popen(name, words) as process:
            out, err = process.communicate(timeout=rig.PATIENCE)
            return process.returncode, out, err


@root
def test_a_side_car(fake, scene):  # noqa: F811
    spec = yaml.safe_load(block("A side-car, and whatever has no systemd", "yaml"))["spec"]
    assert set(spec["securityContext"].values()) == {1000}
    fake.answers.pop("/oauth/token")  # it is the scene's
    [daemon] = [c for c in spec["containers"] if c["name"] == "kubetokend"]
    ca = fake.ca_file.read_text()
    config = re.sub("^ca-file = .*", "ca-file = ca.pem",
                    fake.profile(password="password-file = password"), flags=re.M)
    pod = Pod(scene.folder, spec, scene.owner.programs,
              {"kubetoken.conf": config, "password": "canary-pw", "ca.pem": ca}, scene.owner.uid)
    # without the folder it says what is wrong
    code, _, err = pod.run("kubetokend", "kubetokend", "--config", "/etc/kt/kubetoken.conf")
    assert code == 1 and "the socket's place is closed to this user" in err
    with pod.popen("kubetokend") as process:
        try:
            ready = daemon["readinessProbe"]["exec"]["command"]
            wait_until(lambda: pod.run("kubetokend", *ready)[0] == 0, "the way to a token")
            code, out, err = pod.run("job", "kubetoken", "get")
            assert code == 0 and out.count(".") == 2 and err == ""
            assert pod.run("kubetokend", "kubetoken", "reload")[0] == 0
            assert [g.form["password"] for g in fake.grants()] == ["canary-pw"]
        finally:
            process.terminate()
            process.communicate(timeout=rig.PATIENCE)
        assert process.returncode == 0
    code, _, err = pod.run("job", "kubetoken", "get")
    assert code == 3 and "no kubetokend answers" in err, "none is started in its place"


# ---- the page itself ----------------------------------------------------------------------------

def test_what_it_names_is_there():
    for name in set(re.findall(r"\bkubetoken-(?:metrics|pam)(?:\.\w+)?\b", PAGE)):
        assert (rig.TOP / "examples" / name).exists(), name
    rows = set(re.findall(r"ROWS=([\w,-]+)", PAGE))
    listed = subprocess.run([rig.TOP / "tests" / "bench" / "bench", "--list"], text=True,
                            capture_output=True, timeout=rig.PATIENCE).stdout
    assert rows and all(re.search(rf"^{row}\b", listed, re.M)
                        for names in rows for row in names.split(","))
