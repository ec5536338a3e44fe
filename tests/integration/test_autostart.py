"""Where no systemd offers the socket: the client starts a daemon, in all the odd places."""
import contextlib
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import threading

import pytest

import rig


def link_of(path):
    try:
        return os.readlink(path)
    except OSError:  # it was closed just now
        return None


def daemons(socket_path):
    """The pids of the daemons that have the socket at that path bound."""
    inodes = set()
    for line in pathlib.Path("/proc/net/unix").read_text().splitlines():
        if line.endswith(f" {socket_path}"):
            inodes.add(f"socket:[{line.split()[6]}]")
    found = set()
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if process.joinpath("comm").read_text() != "kubetokend\n":
                continue
            links = {link_of(fd) for fd in process.joinpath("fd").iterdir()}
        except OSError:
            continue
        if links & inodes:
            found.add(int(process.name))
    return found


@pytest.fixture
def auto(home, fake):
    """A home whose clients may start a daemon; what they started is ended."""
    del home.environment["KUBETOKEN_AUTOSTART"]
    home.configure(fake.profile())
    yield home
    end(home.socket_path)


def end(socket_path):
    for pid in daemons(socket_path):
        fd = os.pidfd_open(pid)
        with contextlib.suppress(ProcessLookupError):  # the first may have been enough
            os.kill(pid, signal.SIGTERM)
            os.kill(pid, signal.SIGCONT)  # a test may have stopped it
        wait_end(fd)


def wait_end(pidfd):
    import select
    try:
        assert select.select([pidfd], [], [], rig.PATIENCE)[0], "it does not end"
    finally:
        os.close(pidfd)


def only_daemon(home):
    found = daemons(home.socket_path)
    assert len(found) == 1, found
    return found.pop()


def test_the_first_get_starts_a_daemon_and_the_next_ones_use_it(auto, fake):
    first = auto.run("get")
    assert first.returncode == 0 and first.stderr == "", first.stderr
    pid = only_daemon(auto)
    assert auto.run("get").stdout == first.stdout
    assert only_daemon(auto) == pid and len(fake.grants()) == 1
    assert auto.socket_path.parent.stat().st_mode & 0o777 == 0o700
    assert auto.socket_path.stat().st_mode & 0o777 == 0o600


def test_not_when_it_is_switched_off(auto):
    auto.environment["KUBETOKEN_AUTOSTART"] = "0"
    r = auto.run("get")
    assert r.returncode == 3 and r.stderr.endswith("; start it with: kubetoken restart\n")
    assert not auto.socket_path.exists()


@pytest.mark.parametrize("command", ["reload", "logout", "version"])
def test_not_for_what_needs_no_daemon(auto, command):
    auto.run(command)
    assert not auto.socket_path.exists()


@pytest.mark.parametrize("command", ["status", "refresh", "kubeconfig"])
def test_for_other_commands_too(auto, command):
    assert auto.run(command).returncode == 0
    only_daemon(auto)


def test_it_keeps_nothing_of_the_client(auto):
    """kubectl reads the plugin's stdout until every holder has closed it."""
    other, mine = os.pipe()
    os.set_inheritable(mine, True)
    p = subprocess.Popen([rig.BUILD / "kubetoken", "get"], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, close_fds=False,
                         env={**auto.environment, "KUBERNETES_EXEC_INFO": "{\"apiVersion\":"
                              "\"client.authentication.k8s.io/v1\",\"spec\":{}}"})
    os.close(mine)
    out, err = p.communicate(timeout=rig.PATIENCE)  # returns at end of file only
    assert p.returncode == 0 and b"ExecCredential" in out and err == b""
    assert os.read(other, 1) == b"", "an inherited descriptor stayed open"
    os.close(other)
    process = pathlib.Path(f"/proc/{only_daemon(auto)}")
    assert os.readlink(process / "cwd") == "/"
    assert {os.readlink(process / "fd" / n) for n in "012"} == {"/dev/null"}
    assert int(process.joinpath("stat").read_text().split()[5]) == int(process.name), "no session"


def test_fifty_first_clients_start_one_daemon(auto, fake):
    results = []
    threads = [threading.Thread(target=lambda: results.append(auto.run("get")))
               for _ in range(50)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert {(r.returncode, r.stderr) for r in results} == {(0, "")}
    assert len({r.stdout for r in results}) == 1
    only_daemon(auto)
    assert len(fake.grants()) == 1


def test_a_dead_daemons_socket_is_replaced(auto):
    assert auto.run("status").returncode == 0
    pid = only_daemon(auto)
    fd = os.pidfd_open(pid)
    os.kill(pid, signal.SIGKILL)
    wait_end(fd)
    assert auto.socket_path.exists()
    assert auto.run("get").returncode == 0
    assert only_daemon(auto) != pid


@pytest.mark.parametrize("mode", [0o755, 0o700, 0o777, 0o1777, 0o770])
def test_a_folder_that_was_there_keeps_its_mode(auto, tmp_path, mode):
    folder = tmp_path / "there"
    folder.mkdir()
    folder.chmod(mode)
    auto.environment["KUBETOKEN_SOCKET"] = f"{folder}/kt.sock"
    r = auto.run("get")
    end(folder / "kt.sock")
    assert folder.stat().st_mode & 0o7777 == mode
    if mode & 0o022:
        assert r.returncode == 3 and f"{folder} (mode {mode:o}); close it" in r.stderr, r.stderr
    else:
        assert r.returncode == 0, r.stderr


def remove(folder):
    """The daemon, which sees it, may take its lock there once more."""
    def gone():
        shutil.rmtree(folder, ignore_errors=True)
        return not folder.exists()
    rig.wait_until(gone, "the end of the folder")


@pytest.mark.parametrize("how", ["unlink", "replace", "folder"])
def test_it_ends_when_its_path_is_no_longer_its_own(auto, how):
    assert auto.run("status").returncode == 0
    pidfd = os.pidfd_open(only_daemon(auto))
    if how == "unlink":
        auto.socket_path.unlink()
    elif how == "replace":
        other = auto.socket_path.with_name("other")
        other.write_text("")
        other.rename(auto.socket_path)
    else:
        remove(auto.socket_path.parent)
    wait_end(pidfd)
    if how == "replace":
        assert auto.socket_path.read_text() == "", "it removed what was not its own"
        r = auto.run("get")
        assert r.returncode == 3
        auto.socket_path.unlink()
    assert auto.run("get").returncode == 0


def test_it_ends_when_nobody_asks(home):
    daemon = rig.Daemon(home, activated=False, arguments=("--idle-exit", "1s"))
    try:
        assert daemon.start().process.wait(rig.PATIENCE) == 0
    finally:
        daemon.close()
    assert not home.socket_path.exists()


def test_without_configuration_it_says_what_to_write(auto):
    (auto.config / "kubetoken.conf").unlink()
    r = auto.run("get")
    assert r.returncode == 9 and str(auto.config / "kubetoken.conf") in r.stderr
    assert r.stdout == "" and r.stderr.count("\n") == 1


def test_without_a_home_it_says_so(auto):
    del auto.environment["HOME"], auto.environment["XDG_CONFIG_HOME"]
    r = auto.run("get")
    assert r.returncode == 9 and "HOME is not set" in r.stderr and r.stderr.count("\n") == 1


def test_where_kubetokend_is_missing_it_says_so(auto, tmp_path):
    alone = tmp_path / "kubetoken"
    shutil.copy(rig.BUILD / "kubetoken", alone)
    r = subprocess.run([alone, "get"], env={**auto.environment, "PATH": "/nowhere"},
                       capture_output=True, text=True, timeout=rig.PATIENCE)
    assert r.returncode == 3 and "kubetokend cannot be run" in r.stderr


def test_a_living_daemon_is_not_replaced(auto):
    assert auto.run("status").returncode == 0
    pid = only_daemon(auto)
    r = subprocess.run([rig.BUILD / "kubetokend"], env=auto.environment, capture_output=True,
                       text=True, timeout=rig.PATIENCE)
    assert r.returncode == 1 and "serves" in r.stderr
    assert only_daemon(auto) == pid


def test_what_is_no_daemons_socket_is_not_removed(auto):
    """A datagram socket answers no connection either, and somebody uses it."""
    auto.socket_path.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(auto.socket_path))
        r = subprocess.run([rig.BUILD / "kubetokend"], env=auto.environment, capture_output=True,
                           text=True, timeout=rig.PATIENCE)
        assert r.returncode == 1 and str(auto.socket_path) in r.stderr
        assert auto.socket_path.is_socket()
    auto.socket_path.unlink()


def test_a_file_in_the_sockets_place_is_not_removed(auto):
    auto.socket_path.parent.mkdir(mode=0o700)
    auto.socket_path.write_text("somebody's")
    r = subprocess.run([rig.BUILD / "kubetokend"], env=auto.environment, capture_output=True,
                       text=True, timeout=rig.PATIENCE)
    assert r.returncode == 1 and f"{auto.socket_path} is no socket" in r.stderr
    assert auto.socket_path.read_text() == "somebody's"


def offer(home, wants):
    (home.runtime / "systemd").mkdir()
    (home.runtime / "systemd" / "private").touch()
    if wants:
        folder = home.folder / "config" / "systemd" / "user" / "sockets.target.wants"
        folder.mkdir(parents=True)
        (folder / "kubetoken.socket").symlink_to(rig.TOP / "systemd" / "kubetoken.socket")


def test_not_where_systemd_offers_the_socket(auto):
    offer(auto, True)
    r = auto.run("get")
    assert r.returncode == 3 and "systemctl --user" in r.stderr
    assert not auto.socket_path.exists()


def test_an_empty_name_of_a_socket_is_none(auto):
    offer(auto, True)
    auto.environment["KUBETOKEN_SOCKET"] = ""
    assert auto.run("get").returncode == 3
    assert not auto.socket_path.exists()


def test_not_where_systemd_offers_it_and_no_variable_says_so(auto):
    """As in a job of cron: the socket is in /run/user/UID, and so is the manager."""
    offer(auto, True)
    del auto.environment["XDG_RUNTIME_DIR"]
    folder = f"/run/user/{os.geteuid()}"
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("needs root and a mount namespace")
    script = (f"mount -t tmpfs none /run && mkdir -p {folder} && mount --bind {auto.runtime} "
              f"{folder} && exec {rig.BUILD}/kubetoken get")
    r = subprocess.run(["unshare", "-m", "sh", "-c", script], env=auto.environment, text=True,
                       capture_output=True, timeout=rig.PATIENCE)
    end(f"{folder}/kubetoken/socket")
    assert r.returncode == 3 and "systemctl --user" in r.stderr, r.stderr
    assert not auto.socket_path.exists()


def test_where_systemd_does_not_have_it_enabled(auto):
    offer(auto, False)
    assert auto.run("get").returncode == 0


# ---- odd places --------------------------------------------------------------------------------

root = pytest.mark.skipif(os.geteuid() != 0, reason="changes its user, so it needs root")


def as_user(name, *command, **environment):
    """Runs a command as another user, with nothing in its environment but what is given."""
    user = pwd.getpwnam(name)
    return subprocess.run(command, env={"PATH": "/usr/bin:/bin", "HOME": "/", **environment},
                          user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/",
                          capture_output=True, text=True, timeout=rig.PATIENCE)


@pytest.fixture
def installed():
    """The programs where any user can run them (a checkout may be below a closed folder), and
    what such a user's clients started is ended."""
    import tempfile
    with tempfile.TemporaryDirectory(prefix="kubetoken-") as folder:
        os.chmod(folder, 0o755)
        for name in ("kubetoken", "kubetokend", "kubetoken-fetch"):
            shutil.copy(rig.BUILD / name, folder)
        yield pathlib.Path(folder)


@root
def test_su_keeps_another_users_runtime_directory(auto, installed):
    """`su nobody` without `-`: a folder that cannot even be entered."""
    r = as_user("nobody", installed / "kubetoken", "get", XDG_RUNTIME_DIR=str(auto.runtime))
    assert r.returncode == 3 and "XDG_RUNTIME_DIR" in r.stderr and r.stderr.count("\n") == 1


@root
def test_sudo_e_leaves_nothing_in_the_users_runtime_directory(auto):
    nobody = pwd.getpwnam("nobody")
    os.chown(auto.runtime, nobody.pw_uid, nobody.pw_gid)
    r = auto.run("get")
    assert r.returncode == 3 and "belongs to another user" in r.stderr
    assert list(auto.runtime.iterdir()) == []


@root
def test_root_does_not_take_a_users_daemon_for_its_own(auto, installed):
    nobody = pwd.getpwnam("nobody")
    for folder in (auto.runtime, auto.folder / "config", auto.config):
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    for folder in auto.folder.parents:
        if folder.stat().st_uid == 0 and folder != pathlib.Path("/tmp"):
            folder.chmod(folder.stat().st_mode | 0o111)
    r = as_user("nobody", installed / "kubetoken", "get", XDG_RUNTIME_DIR=str(auto.runtime),
                XDG_CONFIG_HOME="/nowhere")
    assert r.returncode == 9, r.stderr
    r = auto.run("get")
    assert r.returncode == 3 and f"uid {nobody.pw_uid}" in r.stderr


@root
def test_without_a_runtime_directory_it_is_a_folder_in_tmp(installed):
    """As in a container, or after `su`: the folder is made, and one of another owner refused."""
    user = pwd.getpwnam("daemon")
    folder = pathlib.Path(f"/tmp/kubetoken-{user.pw_uid}")
    assert not folder.exists(), "left over; remove it"
    config = installed / "config" / "kubetoken"
    config.mkdir(parents=True)
    (config / "kubetoken.conf").write_text("colour = blue\n")
    mine = {"XDG_CONFIG_HOME": str(config.parent)}
    try:
        r = as_user("daemon", installed / "kubetoken", "get")
        assert r.returncode == 9 and "/.config/kubetoken/kubetoken.conf" in r.stderr, r.stderr
        r = as_user("daemon", installed / "kubetoken", "get", **mine)
        assert r.returncode == 9 and f"{config}/kubetoken.conf" in r.stderr, r.stderr
        assert folder.stat().st_uid == user.pw_uid and folder.stat().st_mode & 0o777 == 0o700
        end(folder / "socket")
        os.chown(folder, 0, 0)
        r = as_user("daemon", installed / "kubetoken", "get")
        assert r.returncode == 3 and "belongs to somebody else" in r.stderr
    finally:
        end(folder / "socket")
        shutil.rmtree(folder, ignore_errors=True)
