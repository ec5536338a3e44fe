"""What the user manager does with the service, and what outlives it."""
import subprocess

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
    assert service.show("FileDescriptorStoreMax") == "8"
