"""`kubetoken get` is tiny: what the program is, and what it asks of the kernel."""
import re
import shutil
import subprocess

import pytest

import rig

# For a token that is there: execve and the libc's own start, then one conversation.
ALLOWED = {"execve", "arch_prctl", "set_tid_address", "brk", "mprotect", "set_robust_list", "rseq",
           "prlimit64", "readlinkat", "getrandom", "readlink", "socket", "setsockopt", "connect",
           "getsockopt",
           "geteuid", "getppid", "sendto", "read", "write", "close", "exit_group"}


def readelf(*options):
    return subprocess.run(["readelf", *options, rig.BUILD / "kubetoken"], capture_output=True,
                          text=True, check=True).stdout


def test_the_program_is_a_static_pie_that_links_nothing():
    assert re.search(r"Type:\s+DYN", readelf("-h"))
    assert "INTERP" not in readelf("-lW")
    assert "NEEDED" not in readelf("-dW")
    assert "GNU_RELRO" in readelf("-lW")


def is_musl():
    return b"glibc" not in (rig.BUILD / "kubetoken").read_bytes()


def test_the_program_is_small():
    limit = 100_000 if is_musl() else 1_000_000
    assert (rig.BUILD / "kubetoken").stat().st_size <= limit


@pytest.mark.skipif(not shutil.which("strace"), reason="strace is not installed")
def test_the_system_calls_of_a_get(provider, home, daemon, tmp_path):
    home.configure(provider.profile("p"))
    daemon.start()
    home.run("get", "p")
    trace = tmp_path / "trace"
    info = '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{}}\n'
    r = subprocess.run(["strace", "-o", trace, rig.BUILD / "kubetoken", "get", "p"],
                       env={**home.environment, "KUBERNETES_EXEC_INFO": info},
                       capture_output=True, text=True, timeout=rig.PATIENCE)
    if "ptrace" in r.stderr.lower():
        pytest.skip("ptrace is not permitted here")
    assert r.returncode == 0, r.stderr
    calls = re.findall(r"^(\w+)\(", trace.read_text(), re.M)
    assert set(calls) <= ALLOWED, set(calls) - ALLOWED
    assert calls.count("read") == 1 and calls.count("write") == 1 and calls.count("sendto") == 1
    if is_musl():
        assert len(calls) <= 15, calls


@pytest.mark.parametrize("program, allowed", [
    ("kubetokend", {"libsystemd", "libcjson", "libc", "ld-linux-x86-64"}),
    ("kubetoken-fetch", {"libcurl", "libjwt", "libcjson", "libcrypto", "libssl", "libm", "libc",
                         "ld-linux-x86-64"}),
])
def test_each_program_links_what_it_may(program, allowed):
    out = subprocess.run(["readelf", "-dW", rig.BUILD / program], capture_output=True, text=True,
                         check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*?)\.so", out))
    needed = {"ld-linux-x86-64" if n.startswith("ld-linux") else n for n in needed}
    assert needed and needed <= allowed
