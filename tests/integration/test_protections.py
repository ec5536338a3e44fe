"""Which walls hold around the daemon and its fetcher: told as the kernel has them, and warned of
where one is missing."""
import contextlib
import ctypes
import json
import os
import pathlib
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import threading

import pytest

import rig

LANDLOCK_CREATE_RULESET = 444  # on all that Landlock was made for
SECCOMP = {"x86_64": 317, "aarch64": 277}.get(platform.machine())

# A filter in front of a program: these calls are unknown, as to a kernel that has them not.
WITHOUT = """#!{python}
import ctypes, os, struct, sys
def step(code, yes, no, k):
    return struct.pack("=HBBI", code, yes, no, k)
calls = {calls}
program = step(0x20, 0, 0, 0) + b"".join(step(0x15, 0, 1, n) + step(0x06, 0, 0, 0x50026)
                                         for n in calls) + step(0x06, 0, 0, 0x7fff0000)
steps = ctypes.create_string_buffer(program, len(program))
class Filter(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]
libc = ctypes.CDLL(None, use_errno=True)
unlimited = ctypes.c_ulong
assert libc.prctl(38, unlimited(1), unlimited(0), unlimited(0), unlimited(0)) == 0
whole = Filter(len(program) // 8, ctypes.addressof(steps))
assert libc.prctl(22, unlimited(2), ctypes.byref(whole), unlimited(0), unlimited(0)) == 0
os.execv("{program}", sys.argv)
"""


def landlock():
    return max(0, ctypes.CDLL(None).syscall(LANDLOCK_CREATE_RULESET, None, 0, 1))


def protections(home):
    r = home.run("status", "--json")
    assert r.returncode == 0, r.stderr
    return json.loads(r.stdout)["protections"]


def links(home):
    """Of doctor: level, detail and remedy of each of that link."""
    r = home.run("doctor", "--json", env={"PATH": "/bin/nowhere"})
    found = [link for link in json.loads(r.stdout)["links"] if link["link"] == "protections"]
    assert all(link.get("code", "unprotected") == "unprotected" for link in found)
    return [(link["level"], link["detail"], link.get("remedy", "")) for link in found]


@contextlib.contextmanager
def old_kernel(home, folder):
    """A daemon on one that has neither Landlock nor filters by seccomp(2)."""
    if not SECCOMP:
        pytest.skip(f"its number of seccomp() is not known: {platform.machine()}")
    script = folder / "old-kernel"
    script.write_text(WITHOUT.format(python=sys.executable, program=rig.BUILD / "kubetokend",
                                     calls=[LANDLOCK_CREATE_RULESET, SECCOMP]))
    script.chmod(0o755)
    daemon = rig.Daemon(home, program=script)
    try:
        yield daemon.start()
    finally:
        daemon.close()


def test_status_lists_what_holds(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    pid = daemon.process.pid
    says = dict(line.split(":\t") for line in pathlib.Path(
        f"/proc/{pid}/status").read_text().splitlines() if ":\t" in line)
    own = protections(home)
    assert own == {"daemon": {
        "memoryLocked": own["daemon"]["memoryLocked"], "notDumpable": True, "noCoreDump": True,
        "noNewPrivileges": says["NoNewPrivs"] == "1", "seccomp": says["Seccomp"] == "2",
        "landlockAbi": 0}}
    assert home.run("get", "p").returncode == 0
    assert protections(home)["fetcher"] == {
        "memoryLocked": own["daemon"]["memoryLocked"], "notDumpable": True, "noCoreDump": True,
        "noNewPrivileges": True, "seccomp": True, "landlockAbi": landlock()}


def test_doctor_lists_what_holds(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    abi = f", Landlock (ABI {landlock()})" if landlock() else ""
    (_, own, _), (level, fetcher, _) = links(home)[:2]
    assert own.startswith("kubetokend: ") and own.endswith("not dumpable, no core")
    assert level == "ok" and fetcher.endswith(
        "not dumpable, no core, no new privileges, seccomp" + abi)
    text = home.run("doctor", env={"PATH": "/bin/nowhere"}).stdout
    assert f"{fetcher[:40]}" in rig.unwrapped(text)


def test_what_a_kernel_has_not_is_a_warning(home, fake, tmp_path):
    home.configure(fake.profile())
    with old_kernel(home, tmp_path):
        assert home.run("get", "p").returncode == 0
        fetcher = protections(home)["fetcher"]
        assert not fetcher["seccomp"] and fetcher["landlockAbi"] == 0
        assert fetcher["noNewPrivileges"] and fetcher["notDumpable"]
        assert [(a, b, c) for a, b, c in links(home) if a == "warning"] == [
            ("warning", 'kubetoken-fetch without "seccomp": whoever takes it over can use every '
             "system call: run programs, reach your session bus",
             "use a kernel with seccomp filters (CONFIG_SECCOMP_FILTER), on x86-64 or arm64; a "
             "container's runtime may forbid them"),
            ("warning", 'kubetoken-fetch without "Landlock": whoever takes it over can read your '
             "files", "use a kernel of 5.13 or later with landlock in its list lsm= "
             "(/sys/kernel/security/lsm); a container's runtime may forbid it")]


@contextlib.contextmanager
def between(home, *changes):
    """Answers of the daemon reach clients with these words in place of others, as long."""
    path, behind = str(home.socket_path), str(home.socket_path) + ".real"
    os.rename(path, behind)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen()

    def copy(source, target, *edits):
        with contextlib.suppress(OSError):
            data = b""
            while chunk := source.recv(1 << 20):
                if not edits:
                    target.sendall(chunk)
                data += chunk
            for old, new in edits:
                data = data.replace(old, new)
            target.sendall(data if edits else b"")
            target.shutdown(socket.SHUT_WR)

    def serve():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                with client, socket.socket(socket.AF_UNIX) as daemon:
                    daemon.connect(behind)
                    up = threading.Thread(target=copy, args=(client, daemon))
                    up.start()
                    copy(daemon, client, *changes)
                    up.join()
    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        os.rename(behind, path)


def test_what_the_daemon_lacks_is_a_warning(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    with between(home, (b'"notDumpable":true', b'"notDumpable":null'),
                 (b'"noCoreDump":true', b'"noCoreDump":null')):
        report = "that is a fault of kubetoken: please report it"
        assert [(detail, remedy) for level, detail, remedy in links(home)
                if level == "warning" and detail.startswith("kubetokend ")] == [
            ('kubetokend without "not dumpable": any program of yours can read secrets from its '
             "memory", report),
            ('kubetokend without "no core": a crash may write secrets to the disk', report)]


# ---- a fetcher is no client -------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["asks", "has-it-asked"])
def test_a_fetcher_gets_nothing_of_the_daemon(home, fake, tmp_path, mode):
    """By itself, or by a process that it has started: the connection is closed without a word, at
    which it ends with status 3; with status 4 it would have had an answer."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if not shutil.which(compiler[0]):
        pytest.skip(f"no C compiler: {compiler[0]}")
    (tmp_path / "mode").write_text("good")
    subprocess.run([*compiler, f'-DMODE="{tmp_path}/mode"', f'-DOURS="{home.socket_path}"',
                    f'-DREAL="{rig.BUILD}/kubetoken-fetch"', "-o", tmp_path / "kubetoken-fetch",
                    rig.TOP / "tests" / "integration" / "bad_fetcher.c"], check=True)
    shutil.copy(rig.BUILD / "kubetokend", tmp_path)
    home.configure(fake.profile())
    daemon = rig.Daemon(home, program=tmp_path / "kubetokend")
    try:
        daemon.start()
        assert home.run("get", "p").returncode == 0
        (tmp_path / "mode").write_text(mode)
        home.run("refresh", "p", "--timeout", "1s")
        error = rig.wait_until(lambda: home.status("p").get("error"), "an error")
        assert error["detail"].startswith("it ended with status 3 without a result"), error
        assert home.run("get", "p").returncode == 0  # whoever else asks gets his answer
        log = daemon.log.read_text()
        assert log.count("a kubetoken-fetch asked for something and was turned away") == 1
    finally:
        daemon.close()
