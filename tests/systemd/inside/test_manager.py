"""What the user manager does with the service, and what outlives it."""
import os
import pathlib
import signal
import stat
import subprocess

import pytest

import service as kubetoken
from service import wait_until


def start_get(profile="p"):
    return subprocess.Popen([kubetoken.CLIENT, "get", profile], stdin=subprocess.DEVNULL,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(get):
    out, err = get.communicate(timeout=kubetoken.PATIENCE)
    assert get.returncode == 0, err
    return out


def test_what_make_install_says_starts_it_at_each_login_and_now(service, fake):
    service.systemctl("disable", "--now", "kubetoken.socket")
    service.configure(fake.profile())
    service.systemctl("daemon-reload")
    service.systemctl("enable", "--now", "kubetoken.socket")
    assert service.show("UnitFileState", "kubetoken.socket") == "enabled"
    assert service.show("WantedBy", "kubetoken.socket") == "sockets.target"
    assert service.get("p")
    assert service.pid()


def test_two_hundred_gets_start_one_daemon_and_send_one_request(service, fake):
    service.configure(fake.profile())
    gets = [start_get() for _ in range(200)]
    assert len({end(get) for get in gets}) == 1
    assert len(fake.grants()) == 1


def test_a_fetch_goes_on_while_the_manager_is_executed_again(service, fake):
    service.configure(fake.profile())
    fake.answers["/oauth/token"] = lambda _: (fake.hanging.wait(),
                                              fake.default_answer("/oauth/token"))[1]
    with start_get() as get:
        wait_until(fake.grants, "a request")
        pid = service.pid()
        service.systemctl("daemon-reexec")
        fake.hanging.set()
        token = end(get)
    assert service.pid() == pid
    service.systemctl("restart", service.name)
    assert service.get("p") == token
    assert len(fake.grants()) == 1


def test_stop_forgets_and_the_socket_stays(service, fake):
    service.configure(fake.profile())
    token = service.get("p")
    service.systemctl("stop", service.name)
    assert service.get("p") != token
    assert len(fake.grants()) == 2


def test_the_store_is_one_descriptor_and_is_not_multiplied(service, fake):
    service.configure(fake.profile())
    service.get("p")
    for _ in range(3):
        service.systemctl("restart", service.name)
        service.get("p")
    assert service.show("NFileDescriptorStore") == "1"
    assert service.show("FileDescriptorStoreMax") == "64"


def share_there(service, name):
    r = service.run("share", name, "--profile", "p")
    assert r.returncode == 0, r.stderr
    return pathlib.Path(r.stdout.strip())


def get_there(path, **kwargs):
    return subprocess.run([kubetoken.CLIENT, "get"], stdin=subprocess.DEVNULL, text=True,
                          capture_output=True, timeout=kubetoken.PATIENCE,
                          env={**os.environ, "KUBETOKEN_SOCKET": str(path),
                               "KUBETOKEN_AUTOSTART": "0"}, **kwargs)


@pytest.mark.parametrize("hardened", [False, True])
def test_a_share_outlives_a_restart_and_a_crash_and_ends_with_a_stop(service, fake, hardened):
    if hardened:
        service.harden()
    service.configure(fake.profile())
    token = service.get("p")
    paths = [share_there(service, f"box{i}") for i in range(32)]
    folder = paths[0].parent.parent
    assert folder == pathlib.Path(os.environ["XDG_RUNTIME_DIR"]) / "kubetoken-share"
    modes = [stat.S_IMODE(p.stat().st_mode) for p in (folder, paths[0].parent, paths[0])]
    assert modes == [0o700, 0o700, 0o600]
    assert service.run("unshare", "box1").returncode == 0
    for how in ("restart", "crash"):
        if how == "restart":
            service.systemctl("restart", service.name)
        else:
            former = service.pid()
            service.kill(signal.SIGKILL, former)
            wait_until(lambda: service.pid() != former, "another daemon")
        assert get_there(paths[0]).stdout == get_there(paths[31]).stdout == token
        assert len(service.status()["shares"]) == 31 and not paths[1].parent.exists()
        wait_until(lambda: service.show("NFileDescriptorStore") == "32", "the state and 31 shares")
    service.systemctl("stop", service.name)
    assert not folder.exists()
    assert get_there(paths[0]).returncode == 3
    service.get("p")
    assert service.status()["shares"] == []
    again = share_there(service, "box0")
    assert again == paths[0] and get_there(again).returncode == 0
    assert len(fake.grants()) == 2
