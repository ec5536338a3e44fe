"""`kubetoken get` is tiny: what the program is, and what it asks of the kernel."""
import re
import shutil
import socket
import subprocess
import time

import pytest

import rig

# For a token that is there: execve and the libc's own start, then one conversation.
ALLOWED = {"execve", "arch_prctl", "set_tid_address", "brk", "mprotect", "set_robust_list", "rseq",
           "prlimit64", "readlinkat", "getrandom", "readlink", "socket", "connect", "getsockopt",
           "getppid", "sendto", "poll", "ppoll", "read", "write", "exit_group"}


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
    # most of it is the text of `explain` and of help, whose pages a `get` does not touch
    limit = 220_000 if is_musl() else 1_000_000
    assert (rig.BUILD / "kubetoken").stat().st_size <= limit


def can_trace():
    return shutil.which("strace") and not subprocess.run(
        ["strace", "-o", "/dev/null", "true"], capture_output=True, timeout=rig.PATIENCE).returncode


needs_strace = pytest.mark.skipif(not can_trace(), reason="strace is not installed or permitted")


@needs_strace
def test_the_system_calls_of_a_get(provider, home, daemon, tmp_path):
    home.configure(provider.profile("p"))
    daemon.start()
    home.run("get", "p")
    trace = tmp_path / "trace"
    info = '{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/v1","spec":{}}\n'
    r = subprocess.run(["strace", "-o", trace, rig.BUILD / "kubetoken", "get", "p"],
                       env={**home.environment, "KUBERNETES_EXEC_INFO": info},
                       capture_output=True, text=True, timeout=rig.PATIENCE)
    assert r.returncode == 0, r.stderr
    calls = re.findall(r"^(\w+)\(", trace.read_text(), re.M)
    assert set(calls) <= ALLOWED, set(calls) - ALLOWED
    assert calls.count("read") == 1 and calls.count("write") == 1 and calls.count("sendto") == 1
    if is_musl():
        assert len(calls) <= 12, calls


def is_ordered():
    return b".get.text" in (rig.BUILD / "kubetoken").read_bytes()


@pytest.mark.skipif(not shutil.which("valgrind"), reason="valgrind is not installed")
@pytest.mark.skipif(not is_ordered(), reason="the client was linked without client/get.ld")
@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_pages_of_a_get(home, fake_daemon, tmp_path, version):
    info = ('{"kind":"ExecCredential","apiVersion":"client.authentication.k8s.io/%s",'
            '"spec":{"interactive":false}}\n' % version)
    trace = tmp_path / "trace"
    client = subprocess.Popen(["valgrind", "--tool=lackey", "--trace-mem=yes",
                               f"--log-file={trace}", rig.BUILD / "kubetoken", "get", "p"],
                              env={**home.environment, "KUBERNETES_EXEC_INFO": info},
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    connection, _ = fake_daemon.accept()
    with connection:
        assert connection.recv(4096).startswith(b"get exec/%s p " % version.encode())
        connection.sendall(b"ok 1200 0\n" + b"x" * 1200)
    out, err = client.communicate(timeout=rig.PATIENCE)
    assert (client.returncode, len(out)) == (0, 1200), err
    code, read, written = set(), set(), set()
    at = {"I": code, "L": read, "S": written, "M": written}
    for line in trace.read_text().splitlines():
        found = re.match(r"I  ([0-9a-f]+),| ([LSM]) ([0-9a-f]+),", line)
        if found:
            at[found[2] or "I"].add(int(found[1] or found[3], 16) // 4096)
    program = code | {page for page in read if page <= max(code)}
    variables = {page for page in written | read if max(program) < page < max(program) + 1000}
    # they stand at the start of the program, and all variables beside the token in one page
    assert len(program) <= 5 and max(program) - min(program) == len(program) - 1, program
    assert len(variables) <= 2, variables


@pytest.mark.parametrize("program, allowed", [
    ("kubetokend", {"libsystemd", "libcjson", "libc", "ld-linux-x86-64"}),
    ("kubetoken-admin", {"libcjson", "libyaml-0", "libc", "ld-linux-x86-64"}),
    ("kubetoken-fetch", {"libcurl", "libjwt", "libcjson", "libcrypto", "libssl", "libseccomp",
                         "libm", "libc", "ld-linux-x86-64"}),
])
def test_each_program_links_what_it_may(program, allowed):
    out = subprocess.run(["readelf", "-dW", rig.BUILD / program], capture_output=True, text=True,
                         check=True).stdout
    needed = set(re.findall(r"NEEDED.*\[(.*?)\.so", out))
    needed = {"ld-linux-x86-64" if n.startswith("ld-linux") else n for n in needed}
    assert needed and needed <= allowed


@pytest.fixture
def fake_daemon(home):
    """A listening socket that the test answers on."""
    home.socket_path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.bind(str(home.socket_path))
        s.listen()
        s.settimeout(rig.PATIENCE)
        yield s


def conversation(home, fake_daemon, answers, *args):
    """Runs a `get` and answers its connections one after the other. Returns the exit
    code, both outputs, and whether a further connection came."""
    client = subprocess.Popen([rig.BUILD / "kubetoken", "get", "p", *args], env=home.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    for answer in answers:
        connection, _ = fake_daemon.accept()
        with connection:
            assert connection.recv(4096) == b"get token p timeout=30 tell once\n"
            connection.sendall(answer)
    out, err = client.communicate(timeout=rig.PATIENCE)
    fake_daemon.setblocking(False)
    try:
        fake_daemon.accept()[0].close()
        more = True
    except BlockingIOError:
        more = False
    return client.returncode, out, err, more


def test_an_answer_larger_than_the_buffer_arrives_whole(home, fake_daemon):
    token = b"x" * 40_000
    code, out, err, _ = conversation(home, fake_daemon, [b"ok 40000 5\n" + token + b"warn\n"])
    assert (code, out, err) == (0, token, b"warn\n")


@pytest.mark.parametrize("answer", [b"what\n", b"ok x 0\n", b"ok 4\n", b"A" * 500,
                                    b"ok 99999999999 0\n"])
def test_an_answer_that_is_none(home, fake_daemon, answer):
    code, out, err, _ = conversation(home, fake_daemon, [answer])
    assert (code, out) == (3, b"") and err.count(b"\n") == 1


def test_an_answer_that_is_cut_off_is_no_success(home, fake_daemon):
    code, _, err, _ = conversation(home, fake_daemon, [b"ok 400 0\ntok"])
    assert code == 3 and err.count(b"\n") == 1


@pytest.mark.parametrize("word, code", [(b"refused", 6), (b"timeout", 7), (b"credential", 9),
                                        (b"of-a-later-version", 1)])
def test_the_code_of_an_error_is_the_exit_code(home, fake_daemon, word, code):
    assert conversation(home, fake_daemon, [b"error " + word + b" 0 4\nwhy\n"]) == (
        code, b"", b"why\n", False)


def test_a_connection_that_others_queue_for_is_waited_for(home, fake_daemon):
    fake_daemon.listen(0)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as first:
        first.connect(str(home.socket_path))
        start = time.monotonic()
        r = home.run("get", "p", "--timeout", "1s")
        assert time.monotonic() - start >= 1
        assert r.returncode == 3 and "kubetokend does not answer in time" in r.stderr
        client = subprocess.Popen([rig.BUILD / "kubetoken", "get", "p"], env=home.environment,
                                  stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        fake_daemon.accept()[0].close()
        connection, _ = fake_daemon.accept()
        with connection:
            assert connection.recv(4096).startswith(b"get token p timeout=")
            connection.sendall(b"ok 4 0\ntok\n")
        assert client.communicate(timeout=rig.PATIENCE) == (b"tok\n", b"")


@needs_strace
@pytest.mark.parametrize("fault, then, received", [
    ("connect:error=EAGAIN:when=1", ["fcntl", "setsockopt", "connect", "fcntl"], 0),
    ("sendto:error=EAGAIN:when=1", ["poll", "sendto"], 0),
    ("sendto:retval=10:when=1", ["poll", "sendto"], 10),  # as if these had been taken
])
def test_what_the_kernel_takes_later_is_handed_over_again(home, fake_daemon, tmp_path, fault, then,
                                                          received):
    trace = tmp_path / "trace"
    client = subprocess.Popen(["strace", "-o", trace, "-e", f"inject={fault}",
                               rig.BUILD / "kubetoken", "get", "p"], env=home.environment,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    connection, _ = fake_daemon.accept()
    with connection:
        assert connection.recv(4096) == b"get token p timeout=30 tell once\n"[received:]
        connection.sendall(b"ok 4 0\ntok\n")
    assert client.communicate(timeout=rig.PATIENCE) == (b"tok\n", b"")
    calls = re.findall(r"^(\w+)\(", trace.read_text().replace("\nppoll(", "\npoll("), re.M)
    at = calls.index(fault.partition(":")[0]) + 1
    assert calls[at:at + len(then)] == then, calls
