"""Root looks after the daemons of other users: `status --uid N` asks one, kubetoken-metrics all.
Root is told a status and nothing else, and believes nothing that a user has made.

Most of it becomes other users, so it needs root; /run is a tmpfs of the test's own.
"""
import contextlib
import os
import pathlib
import shutil
import socket
import stat
import subprocess
import tempfile

import pytest
from prometheus_client.parser import text_string_to_metric_families

import rig
from rig import wait_until
from test_metrics import lint
# pylint: disable-next=unused-import
from test_second_user import User, scene, unused_uid  # noqa: F401

root = pytest.mark.skipif(os.geteuid() != 0, reason="becomes other users: needs root")
COLLECTOR = rig.TOP / "examples" / "kubetoken-metrics"
class Machine:
    """A mount namespace with a /run of its own, in which users have runtime directories."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c",
             "mount -t tmpfs -o mode=755 none /run && mkdir /run/user && echo && exec cat"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        if self.process.stdout.readline() != b"\n":
            self.process.communicate()
            pytest.skip("needs a mount namespace, and a root that is a mount")
        self.users = pathlib.Path(f"/proc/{self.process.pid}/root/run/user")
        self.enter = ["nsenter", "-t", str(self.process.pid), "-m", "--"]
        self.listeners = []

    def runtime(self, uid):
        folder = self.users / str(uid)
        folder.mkdir(mode=0o700, exist_ok=True)
        os.chown(folder, uid, uid)
        return folder

    def as_root(self, *words, **environment):
        return subprocess.run([*self.enter, *words], text=True, capture_output=True, cwd="/",
                              timeout=rig.PATIENCE, stdin=subprocess.DEVNULL,
                              env={"PATH": f"{rig.BUILD}:/usr/sbin:/usr/bin:/sbin:/bin",
                                   "LANG": "C.UTF-8", **environment})

    def status(self, uid, *args, **environment):
        return self.as_root("kubetoken", "status", "--uid", str(uid), *args, **environment)

    def listen(self, uid, path=None, peer=None):
        """A socket of that user's, where that user, or another, listens. path: below /run/user."""
        place = self.users / (path or f"{uid}/kubetoken/socket")
        if path is None:
            self.runtime(uid)
        place.parent.mkdir(mode=0o700, exist_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        self.listeners.append(listener)
        listener.bind(str(place))
        for made in (place, place.parent):
            os.chown(made, uid, uid)
        os.seteuid(uid if peer is None else peer)  # the kernel's word is of this moment
        try:
            listener.listen()
        finally:
            os.seteuid(0)
        listener.settimeout(rig.PATIENCE)
        return listener

    def close(self):
        for listener in self.listeners:
            listener.close()
        self.process.stdin.close()
        self.process.wait(rig.PATIENCE)
        self.process.stdout.close()


@pytest.fixture
def machine():
    m = Machine()
    yield m
    m.close()


class Resident(User):
    """With a daemon where it is by default."""

    def __init__(self, machine, folder, programs, uid):
        super().__init__(folder, programs, uid)
        machine.runtime(uid)
        self.machine = machine
        self.environment["XDG_RUNTIME_DIR"] = f"/run/user/{uid}"
        self.become = [*machine.enter, "setpriv", f"--reuid={uid}", f"--regid={uid}",
                       "--clear-groups", "--"]
        self.identity = {"cwd": "/"}  # of whom the namespace lets in

    @property
    def socket_path(self):
        return self.machine.users / str(self.uid) / "kubetoken" / "socket"

    def run(self, *args, **kwargs):
        return subprocess.run([*self.become, self.programs / "kubetoken", *args], text=True,
                              env=self.environment, capture_output=True, stdin=subprocess.DEVNULL,
                              timeout=rig.PATIENCE, cwd="/", **kwargs)

    def popen(self, *command, **kwargs):
        return super().popen(*self.become, *command, **kwargs)


@pytest.fixture
def resident(machine, scene):  # noqa: F811
    """The owner, with a token in hand."""
    user = Resident(machine, scene.folder / "resident", scene.owner.programs,
                    scene.owner.uid)
    user.configure(scene.profile())
    user.start()
    assert user.run("get", "p").returncode == 0
    yield user
    user.end()


def ask(path, text):
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(rig.PATIENCE)
        s.connect(str(path))
        s.sendall(text.encode())
        s.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: s.recv(65536), b"")).decode()


def waits(listener):
    """Whether anybody has come."""
    listener.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        listener.accept()[0].close()
        return True
    return False


# ---- for the table of errors --------------------------------------------------------------------

def nobody_there(home):
    if os.geteuid():
        pytest.skip("needs root")
    return home.run("status", "--uid", "4711", env={"KUBETOKEN_SOCKET": str(home.socket_path)})


# ---- what the daemon tells root -----------------------------------------------------------------

@root
def test_root_is_told_the_status_of_another_user(scene, machine, resident):  # noqa: F811
    uid, token = resident.uid, resident.run("get", "p").stdout
    r = machine.status(uid)
    assert (r.returncode, r.stderr) == (0, "") and r.stdout.startswith("PROFILE"), r
    assert machine.status(uid, "p").stdout.splitlines()[0] == r.stdout.splitlines()[0]
    assert '"profile":"p"' in machine.status(uid, "--json").stdout
    assert machine.status(uid, "-o", "name").stdout == "p\n"
    assert machine.status(uid, "-q").returncode == 0
    assert machine.status(uid, "--metrics").stdout.startswith("# HELP kubetoken_up")
    r = machine.status(uid, "other")
    assert r.returncode == 4 and "no such profile" in r.stderr

    # of all else it is served as the user is, but not by the client, which talks to its own alone
    given = f"ok {len(token)} 0\n{token}"
    assert ask(resident.socket_path, "get token p once\n") == given
    answer = ask(resident.socket_path, "status name *\nget token p\nstatus name *\n")
    assert answer == f"ok 2 0\np\n{given}ok 2 0\np\n"
    r = machine.as_root("kubetoken", "get", "p", KUBETOKEN_SOCKET=str(resident.socket_path))
    assert r.returncode == 3 and r.stdout == ""


@root
def test_a_look_of_roots_changes_nothing(scene, machine, resident):  # noqa: F811
    """A new profile is taken, and one that starts with the daemon logs in, for its user's status
    alone; a daemon that nobody else asks ends as if root did not, either."""
    one = f"[defaults]\ndefault-profile = p\n{scene.profile()}"
    resident.configure(one)
    assert resident.run("reload").returncode == 0
    resident.configure(one + scene.profile("added", extra="start = with-daemon"))
    resident.settle()
    for args in ([], ["--json"], ["--metrics"], ["-o", "name"], ["-q"]):
        assert "\nadded" not in "\n" + machine.status(resident.uid, *args).stdout
    assert len(scene.fake.grants()) == 1
    assert "\nadded" in resident.run("status").stdout

    resident.end()
    resident.daemon = resident.popen(resident.programs / "kubetokend", "--idle-exit", "2s")
    wait_until(resident.socket_path.exists, "a socket")
    wait_until(lambda: resident.daemon.poll() is not None or
               machine.status(resident.uid).returncode not in (0, 3), "its end")
    assert resident.daemon.returncode == 0


@root
def test_a_daemon_of_roots_own_serves_root(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    assert home.run("get", "p").returncode == 0
    r = home.run("status", "--uid", "0", env={"KUBETOKEN_SOCKET": str(home.socket_path)})
    assert (r.returncode, r.stderr) == (0, "") and r.stdout.startswith("PROFILE")


# ---- whom the client asks -----------------------------------------------------------------------

def said(r):
    """What it said in its line, of an exit code that says no daemon."""
    begin, end = "kubetoken: no kubetokend of that user answers: ", \
        "; ask as that user; one that does not run starts once it is asked for a token\n"
    assert (r.returncode, r.stdout) == (3, "") and r.stderr.count("\n") == 1, r
    assert r.stderr.startswith(begin) and r.stderr.endswith(end), r.stderr
    return r.stderr[len(begin):-len(end)]


@root
def test_where_none_is_there_none_is_started(machine):
    assert said(machine.status(4711)) == "/run/user/4711/kubetoken/socket is not there"
    assert machine.status(4711, "-q").returncode == 3
    r = machine.status(4711, "--metrics")
    assert r.returncode == 0 and r.stdout.endswith("\nkubetoken_up 0\n")
    # to connect would have systemd start one
    listener, folder = machine.listen(4711), machine.users / "4711"
    (folder / "systemd" / "units").mkdir(parents=True)
    (folder / "systemd" / "private").touch()
    asleep = "/run/user/4711/kubetoken/socket is systemd's, which has not started it yet"
    assert said(machine.status(4711)) == asleep
    (folder / "kubetoken" / "socket.lock").touch()  # of one that was started by hand before
    (folder / "systemd" / "units" / "invocation:kubetoken.socket").symlink_to("x")
    assert said(machine.status(4711)) == asleep
    assert not waits(listener)
    # it runs, and says nothing: whoever does not serve root does that
    (folder / "systemd" / "units" / "invocation:kubetoken.service").symlink_to("x")
    with subprocess.Popen([*machine.enter, rig.BUILD / "kubetoken", "status", "--uid", "4711"],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as client:
        listener.settimeout(rig.PATIENCE)
        listener.accept()[0].close()
        out, err = client.communicate(timeout=rig.PATIENCE)
    why = said(subprocess.CompletedProcess([], client.returncode, out, err))
    assert why == ("it ended the connection without an answer, as one in a user namespace "
                   "(PrivateUsers=yes) does") and not waits(listener)
    listener.close()
    assert said(machine.status(4711)).endswith("/socket: Connection refused")


@root
def test_nothing_that_a_user_has_made_leads_to_another(machine):
    """Not to the daemon of a third, nor to root's own sockets."""
    theirs, ours = machine.listen(4712), machine.listen(0)
    folder = machine.runtime(4711)
    refused = "/run/user/4711/kubetoken/socket is a link, or belongs to another user"

    def link(name, target):
        (folder / name).symlink_to(target)
        os.chown(folder / name, 4711, 4711, follow_symlinks=False)
    for target in ("../4712/kubetoken", "/run/user/0/kubetoken"):
        link("kubetoken", target)
        assert said(machine.status(4711)) == refused
        (folder / "kubetoken").unlink()
    (folder / "kubetoken").mkdir()
    os.chown(folder / "kubetoken", 4711, 4711)
    for target in ("../../4712/kubetoken/socket", "/run/user/0/kubetoken/socket"):
        link("kubetoken/socket", target)
        assert said(machine.status(4711)) == refused
        (folder / "kubetoken" / "socket").unlink()
    for listener in (theirs, ours):
        assert not waits(listener)
    # his socket, at which another listens; and named by hand
    third = machine.listen(4711, "4711/kubetoken/socket", peer=4712)
    assert said(machine.status(4711)) == ("/run/user/4711/kubetoken/socket is served by uid 4712, "
                                          "and was asked for that of uid 4711")
    assert third.accept()[0].recv(1) == b"", "nothing was said to it"
    path = "/run/user/4712/kubetoken/socket"
    assert said(machine.status(4711, KUBETOKEN_SOCKET=path)) == (
        f"{path} is a link, or belongs to another user")
    assert not waits(theirs)


@root
def test_no_user_has_a_say_in_roots_terminal(machine):
    """Nor is a screen cleared by half a character that the next read completes."""
    listener = machine.listen(4711)
    begin, end, err = (text.encode() for text in (
        "a\x1b[2Jb\r\x07\x7f\tc\n\u00e9", "\u009bX\n", "\x1b]0;evil\x07 no\x00\n"))
    whole = b"ok %d %d\n" % (len(begin + end), len(err)) + begin + end + err
    half = whole.index(b"\xc2\x9b") + 1
    client = subprocess.Popen([*machine.enter, rig.BUILD / "kubetoken", "status", "--uid", "4711"],
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    with client, listener.accept()[0] as s:
        request = s.recv(4096)
        assert request.startswith(b"status text * parts timeout=") and b"colo" not in request
        s.sendall(whole[:half])
        # it has read the first half once it has written it out
        assert client.stdout.read(len(begin) + 1) == "a?[2Jb????c\n\u00e9".encode() + b"\xc2"
        s.sendall(whole[half:])
        out, err = client.communicate(timeout=rig.PATIENCE)
    assert err == b"?]0;evil? no?\n" and client.returncode == 0
    assert out.endswith(b"?X\n") and b"\x9b" not in out and b"\x1b" not in out


def test_an_ordinary_user_is_told_that_it_is_for_root(home):
    words = [rig.BUILD / "kubetoken", "status", "--uid", "4711"]
    become = ["setpriv", "--reuid=4711", "--regid=4711", "--clear-groups", "--"]
    me = 4711 if os.geteuid() == 0 else os.geteuid()
    if me == 4711:  # who may not get to the folder of the build
        program = pathlib.Path(subprocess.run(["mktemp", "/tmp/kubetoken-XXXXXX"], check=True,
                                              text=True, capture_output=True).stdout.strip())
        shutil.copy(words[0], program)
        program.chmod(0o755)
        words = [*become, program, *words[1:]]
    try:
        r = subprocess.run(words, text=True, capture_output=True, timeout=rig.PATIENCE, cwd="/")
    finally:
        if me == 4711:
            program.unlink()
    assert (r.returncode, r.stdout) == (2, "")
    assert r.stderr == (f"kubetoken: wrong usage: --uid is for root, and this is uid {me}; see "
                        "kubetoken status --help\n")
    for bad in ("someone", "-1", "4294967295", "99999999999999999999", "1x"):
        r = home.run("status", f"--uid={bad}")
        assert r.returncode == 2 and f"--uid {bad} is no user's number, which id -u tells" in \
            r.stderr, r.stderr
    r = home.run("status", "--uid")
    assert r.returncode == 2 and "--uid wants a value" in r.stderr
    r = home.run("status", "--watch", "--uid", "1")
    assert r.returncode == 2 and "--watch is of a daemon of one's own" in r.stderr
    assert home.run("list", "--uid", "1").returncode == 2


# ---- the metrics of all -------------------------------------------------------------------------

HOSTILE = "\n".join([
    "# HELP kubetoken_up lie", "# TYPE kubetoken_up histogram",
    "kubetoken_up 1", "kubetoken_up 2",  # the same once more
    'kubetoken_profile_state{profile="p",state="idle"} 1',
    'kubetoken_profile_state{state="idle",profile="p"} 0',  # the same in another order
    'kubetoken_profile_state{state="idle",state="x"} 0',
    'kubetoken_up{uid="0"} 1', 'kubetoken_x{a="1"} 1 1700000000000', "kubetoken_x NaN",
    f"kubetoken_x {'9' * 400}", "node_load1 99", 'up{job="x"} 0', "kubetoken_x", "kubetoken_x{",
    'kubetoken_x{a="b"', 'kubetoken_x{a="b",} 1', 'kubetoken_x{} 1', 'kubetoken_x{a="\\x"} 1',
    'kubetoken_x{a="b"}1', 'kubetoken_x{__name__="y"} 1', 'kubetoken_x{a="\u00e9"} 1',
    'kubetoken_good_total{a="q\\"\\\\\\n,}"} -7', f'kubetoken_x{{a="{"y" * 1000}"}} 1', ""])


@root
def test_the_metrics_of_all_users_are_one_file(tmp_path, machine, resident):
    """What one of them says is of him alone, and costs the others nothing."""
    fakes, absent, hostile, many = tmp_path / "fakes", 4711, 4712, 4713
    for uid in (absent, hostile, many):
        machine.runtime(uid)
    (machine.users / "lost+found").mkdir()
    fakes.mkdir()
    (fakes / "hostile").write_text(HOSTILE)
    (fakes / "many").write_text("".join(f"kubetoken_x{{n=\"{i}\"}} 1\n" for i in range(3000)))
    (fakes / "kubetoken").write_text(  # in whose place a user's daemon may say anything
        f'#!/bin/sh\ncase $3 in {hostile}) cat {fakes}/hostile ;; {many}) cat {fakes}/many ;; '
        f'*) exec {rig.BUILD}/kubetoken "$@" ;; esac\n')
    (fakes / "kubetoken").chmod(0o755)
    out = tmp_path / "out" / "kubetoken.prom"
    out.parent.mkdir()
    path = f"{fakes}:/usr/sbin:/usr/bin:/sbin:/bin"
    # what the unit leaves it: one capability, and no runtime directory to write to
    bound = ["setpriv", "--bounding-set=-all,+dac_override", "--inh-caps=-all", "--no-new-privs"]

    def collect():
        return machine.as_root(*bound, "sh", COLLECTOR, str(out), PATH=path,
                               TMPDIR=str(tmp_path), KUBETOKEN_SOCKET="/nowhere")
    r = collect()
    assert (r.returncode, r.stdout, r.stderr) == (0, "", ""), r
    assert os.listdir(out.parent) == ["kubetoken.prom"]
    assert sorted(os.listdir(tmp_path)) == ["fake", "fakes", "out"]
    assert stat.S_IMODE(out.stat().st_mode) == 0o644
    text = out.read_text()
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.type == ("counter" if family.name.endswith("total") or any(
            s.name.endswith("_total") for s in family.samples) else "gauge")
        for sample in family.samples:
            series = found.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in series
            series[labels] = sample.value
    assert text.count("# TYPE kubetoken_up ") == 1 and "HELP" not in text
    assert found.pop("kubetoken_up") == {(("uid", str(u)),): v for u, v in (
        (resident.uid, 1), (absent, 0), (hostile, 1))}
    mine = tuple(sorted({"uid": str(resident.uid), "profile": "p"}.items()))
    assert found["kubetoken_profile_has_token"] == {mine: 1}
    assert found["kubetoken_profile_handouts_total"] == {mine: 1}
    of_hostile = {n: s for n, series in found.items() for s in series
                  if ("uid", str(hostile)) in s}
    assert set(of_hostile) == {"kubetoken_profile_state", "kubetoken_good_total"}
    assert found["kubetoken_good_total"] == {
        (("a", 'q"\\\n,}'), ("uid", str(hostile))): -7}
    assert len(found["kubetoken_x"]) == 2000 and all(
        ("uid", str(many)) in labels for labels in found["kubetoken_x"])
    assert set(found) >= {"kubetoken_build_info", "kubetoken_profile_state"}
    # what cannot be written leaves what there was
    (fakes / "mv").write_text("#!/bin/sh\nexit 1\n")
    (fakes / "mv").chmod(0o755)
    assert collect().returncode == 1 and out.read_text() == text
    assert os.listdir(out.parent) == ["kubetoken.prom"]
    lint(text.replace("kubetoken_x", "kubetoken_y"))


def test_the_collector_tells_how_it_is_used():
    r = subprocess.run(["sh", COLLECTOR], text=True, capture_output=True, timeout=rig.PATIENCE)
    assert (r.returncode, r.stdout, r.stderr) == (2, "", "usage: kubetoken-metrics FILE.prom\n")


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_its_units_are_right(tmp_path):
    for name in ("kubetoken-metrics.service", "kubetoken-metrics.timer"):
        text = (rig.TOP / "examples" / name).read_text(encoding="utf-8")
        (tmp_path / name).write_text(text.replace("/usr/local/sbin/kubetoken-metrics", "/bin/true"))
    r = subprocess.run(["systemd-analyze", "verify", "--man=no",
                        *map(str, sorted(tmp_path.glob("kubetoken-metrics.*")))],
                       text=True, capture_output=True, timeout=rig.PATIENCE)
    lines = [line for line in r.stderr.splitlines() if "kubetoken-metrics" in line]
    assert not lines, r.stderr
