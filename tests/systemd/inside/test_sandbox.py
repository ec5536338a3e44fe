"""The units are in order; each directive of theirs that is to confine does so in a user unit of
this systemd; and what has to work in there works."""
import pathlib
import platform
import re
import subprocess

import pytest

import service as kubetoken
from service import HARDENED, UNITS, as_root, command, wait_until

UNIT = UNITS / "kubetoken.service"
SOURCES = pathlib.Path(__file__).resolve().parents[3] / "systemd"
NOT_SANDBOX = {"Type", "NotifyAccess", "ExecStart", "ExecReload", "Restart", "RestartSec",
               "WatchdogSec", "FileDescriptorStoreMax", "KillMode",
               "RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve"}
EVERYTHING_ELSE = r"EPERM|SYS"

# Directive: which line of the probe changes, and to what ("": to something else).
ACTS = {
    "UMask": ("umask", "077"),
    "LimitCORE": ("core", "0"),
    "NoNewPrivileges": ("NoNewPrivs", "1"),
    "SystemCallArchitectures": ("int80", "SYS|EPERM"),
    "SystemCallFilter": ("ptrace", "SYS"),
    "SystemCallErrorNumber": ("ptrace", "EPERM"),
    "MemoryDenyWriteExecute": ("wx", "EPERM|EACCES"),
    "RestrictAddressFamilies": ("packet", "EAFNOSUPPORT"),
    "RestrictNamespaces": ("userns", "EPERM"),
    "RestrictRealtime": ("realtime", "EPERM"),
    "RestrictSUIDSGID": ("suid", "EPERM"),
    "LockPersonality": ("personality", "EPERM"),
    "PrivateUsers": ("user", ""),
    "ProtectSystem": ("usr", "read-only"),
    "ProtectHome": ("home-mount", "read-only"),
    "ReadWritePaths": ("runtime", "ok"),
    "PrivateTmp": ("tmp", ""),
    "PrivateDevices": ("dev", ""),
    "ProtectKernelTunables": ("sysctl", "read-only"),
    "ProtectKernelModules": ("modules", ""),
    "ProtectKernelLogs": ("kmsg", ""),
    "ProtectControlGroups": ("cgroup", "read-only"),
    "ProtectClock": ("clock", "EPERM"),
    "ProtectHostname": ("uts", ""),
    "CapabilityBoundingSet": ("CapBnd", "0000000000000000"),
}
# What an act would not be seen without.
BESIDE = {"SystemCallErrorNumber": ["SystemCallFilter"], "ReadWritePaths": ["ProtectHome"]}

# By the daemon, by its fetcher or by libraries: with an error of the call itself, if with any.
NEEDED = {"unix": "ok", "inet": "ok", "inet6": "ok|EAFNOSUPPORT", "netlink": "ok",
          "memfd_secret": "ok|ENOSYS", "landlock": "ok|ENOSYS|EOPNOTSUPP", "seccomp": "ok",
          "close_range": "ok", "mlock2": "ok", "pidfd_open": "ok", "execveat": "ENOENT",
          "setrlimit": "ok", "runtime": "ok"}


def lines_of(path):
    """Those of [Service] that confine, by directive."""
    section = path.read_text(encoding="utf-8").partition("[Service]")[2].partition("\n[")[0]
    lines = {}
    for line in section.splitlines():
        name = line.partition("=")[0]
        if line and not line.startswith("#") and name not in NOT_SANDBOX:
            lines.setdefault(name, []).append(line)
    return lines


SHIPPED = lines_of(SOURCES / "kubetoken.service.in")
DROP_IN = lines_of(SOURCES / "hardened.conf")


@pytest.fixture(scope="module")
def probe(tmp_path_factory):
    program = pathlib.Path.home() / "probe"
    command("cc", "-o", str(program), str(pathlib.Path(__file__).parent / "probe.c"))
    return program


class Probe:
    unit = "probe.service"
    folder = pathlib.Path.home() / ".config" / "systemd" / "user"

    def __init__(self, program):
        self.program, self.output = program, pathlib.Path("/run/user/4711/probe")

    def run(self, lines):
        """What a service with these lines may do."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = "\n".join(["[Service]", "Type=oneshot", f"ExecStart={self.program}",
                          f"StandardOutput=truncate:{self.output}", *lines, ""])
        (self.folder / self.unit).write_text(text, encoding="utf-8")
        command("systemctl", "--user", "daemon-reload")
        r = command("systemctl", "--user", "start", self.unit, check=False)
        assert r.returncode == 0, (text, r.stderr, command(
            "journalctl", "--user", "-n20", "-u", self.unit, check=False).stdout)
        return dict(line.split(None, 1) for line in self.output.read_text().splitlines())


@pytest.fixture
def confined(probe):
    pathlib.Path("/run/user/4711/kubetoken").mkdir(mode=0o700, exist_ok=True)  # as the socket does
    yield Probe(probe)
    (Probe.folder / Probe.unit).unlink(missing_ok=True)


def has_foreign_calls(before):
    """Whether there is a call of another architecture to try: not on arm64, and not with a kernel
    that ends who makes one anyway (SEGV, as some in virtual machines do)."""
    return platform.machine() == "x86_64" and before["int80"] != "SEGV"


def test_each_directive_has_a_probe():
    assert {*SHIPPED, *DROP_IN} == set(ACTS)


@pytest.mark.parametrize("name", ACTS)
def test_each_directive_acts(confined, name):
    both = {**SHIPPED, **DROP_IN}
    with_these = [line for other in BESIDE.get(name, []) for line in both[other]]
    if name in DROP_IN and name != "PrivateUsers":
        with_these += DROP_IN["PrivateUsers"]
    act, value = ACTS[name]
    before = confined.run(with_these)
    if act == "int80" and not has_foreign_calls(before):
        pytest.skip("there is no call of another architecture to try here")
    after = confined.run(with_these + both[name])
    assert before[act] != after[act]
    assert re.fullmatch(value or ".*", after[act]), after[act]


@pytest.mark.parametrize("hardened", [False, True], ids=["shipped", "hardened"])
def test_what_is_needed_works_in_there_and_nothing_else(confined, hardened):
    lines = {**SHIPPED, **(DROP_IN if hardened else {})}
    seen = confined.run([line for group in lines.values() for line in group])
    assert {act: seen[act] for act, value in NEEDED.items()
            if not re.fullmatch(value, seen[act])} == {}
    bare = confined.run([])
    for name in lines:
        act, value = ACTS[name]
        if act == "int80" and not has_foreign_calls(bare):
            continue
        assert re.fullmatch(value.replace("SYS", "SYS|EPERM") or ".*", seen[act]), name


@pytest.mark.parametrize("hardened, limit", [(False, 65), (True, 25)],
                         ids=["shipped", "hardened"])
def test_the_exposure_is_low(service, tmp_path, hardened, limit):
    unit = tmp_path / "kubetoken.service"
    text = UNIT.read_text(encoding="utf-8")
    if hardened:
        text = text.replace("[Install]", HARDENED.read_text(encoding="utf-8")
                            .partition("[Service]\n")[2] + "[Install]")
    unit.write_text(text, encoding="utf-8")
    r = command("systemd-analyze", "--user", "security", "--offline=yes", f"--threshold={limit}",
                str(unit), check=False)
    assert r.returncode == 0, r.stdout[-300:] + r.stderr


def test_systemd_finds_nothing_wrong_with_the_units(service):
    r = command("systemd-analyze", "--user", "verify", "--man=no", str(UNIT),
                str(UNITS / "kubetoken.socket"))
    assert (r.stdout, r.stderr) == ("", "")


@pytest.mark.parametrize("hardened", [False, True], ids=["shipped", "hardened"])
def test_the_fetcher_confines_itself_all_the_same(service, fake, hardened):
    if hardened:
        service.harden()
    service.configure(fake.profile())
    fake.answers["/oauth/token"] = lambda _: (fake.hanging.wait(),
                                              fake.default_answer("/oauth/token"))[1]
    with subprocess.Popen([kubetoken.CLIENT, "get", "p"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as get:
        wait_until(fake.grants, "a request")
        pid = service.pid()
        child = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        filters = [int(re.search(r"^Seccomp_filters:\s+(\d+)", pathlib.Path(
            f"/proc/{p}/status").read_text(), re.M)[1]) for p in (pid, *child)]
        fake.hanging.set()
        get.communicate(timeout=kubetoken.PATIENCE)
    assert get.returncode == 0
    assert len(filters) == 2 and filters[1] == filters[0] + 1
    assert service.status()["memoryLocked"] is True


# ---- root, seen from a user namespace ----------------------------------------------------------

ASK = """
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/user/4711/kubetoken/socket")
try:
    s.sendall(b"get token p once\\n")
    print(s.makefile("rb").read()[:2].decode())
except ConnectionError:
    pass
"""


@pytest.mark.parametrize("hardened, answer", [(False, "ok"), (True, "")],
                         ids=["shipped", "hardened"])
def test_root_is_served_but_not_from_within_a_user_namespace(service, fake, hardened, answer):
    if hardened:
        service.harden()
    service.configure(fake.profile())
    service.get("p")
    assert as_root(f"/usr/bin/python3 -c '{ASK}'").strip() == answer
    service.get("p")


@pytest.mark.parametrize("hardened", [False, True], ids=["shipped", "hardened"])
@pytest.mark.parametrize("password", ["", "password-file = /home/kt/pw"],
                         ids=["plain", "steers a secret"])
def test_a_file_of_root_is_taken_but_not_in_a_user_namespace(service, fake, hardened, password):
    if hardened:
        service.harden()
    pathlib.Path("/home/kt/pw").write_text("pw\n")
    pathlib.Path("/home/kt/pw").chmod(0o600)
    service.configure(fake.profile(password=password))
    path = service.config / "kubetoken.conf"
    as_root(f"chown root: {path}; chmod 644 {path}")
    r = service.run("get", "p")
    if not hardened:
        assert r.returncode == (0 if password else 5), r.stderr
    else:
        assert r.returncode == 9
        assert ("belongs to root or to another user, who both look like uid 65534 in the user "
                "namespace of the service") in r.stderr


def test_doctor_lists_what_the_drop_in_takes_away(service, fake):
    service.configure(fake.profile())
    service.get("p")
    assert "user namespace" not in service.run("doctor", "p").stdout
    service.harden()
    service.systemctl("restart", service.name)
    out = service.run("doctor", "p").stdout
    for words in ("user namespace", "root", "groups", "/tmp", "home"):
        assert words in out, out
