"""Where the provider's host, or the proxy's, refuses connections: that is certain after two of
them, 2 s apart, and who waits for a first token is told, whatever time they have."""
import contextlib
import os
import socket
import subprocess

import rig
import test_faults
from test_fetcher_program import Fetch

LONG = ("--timeout", "1h")  # rig.Home.run() does not wait for half of it


@contextlib.contextmanager
def closed_port():
    """One that nobody listens at, and that nobody else gets."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{s.getsockname()[1]}"


def is_told(home, place):
    """`get` fails, and names who refused."""
    r = home.run("get", *LONG)
    assert (r.returncode, r.stdout) == (7, "")
    assert r.stderr.startswith(
        f"kubetoken: p: the provider cannot be reached: {place} refused the connection; "), r.stderr


def test_a_first_get_is_told_long_before_its_time_is_up(fake, home, daemon):
    fake.refuse()
    home.configure(fake.profile())
    daemon.start()
    is_told(home, fake.host)
    assert home.status("p")["state"] == "waiting"
    is_told(home, fake.host)
    assert daemon.log.read_text().count("refused the connection") == 1


def test_so_it_is_where_the_proxy_refuses(fake, home, daemon):
    with closed_port() as place:
        home.configure(fake.profile(extra=f"proxy = http://me:canary@{place}"))
        daemon.start()
        is_told(home, f"{fake.host}: {place}")
    assert fake.requests == []
    assert "canary" not in home.run("status").stdout + daemon.log.read_text()


def test_once_somebody_listens_the_next_get_has_a_token(fake, home, daemon):
    """Within five seconds of a failure it is answered with that, after them it is tried at once: it
    does not wait for the back-off."""
    fake.refuse()
    home.configure(fake.profile())
    daemon.start()
    is_told(home, fake.host)
    fake.listen_again()
    rig.wait_until(lambda: home.run("get", *LONG).returncode == 0, "a token")


def test_a_token_in_hand_is_served_meanwhile(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    token = home.run("get").stdout
    fake.refuse()
    r = home.run("refresh", *LONG)
    assert r.returncode == 7 and "refused the connection" in r.stderr
    assert home.run("get").stdout == token


def address(provider, *addresses):
    """What the fetcher says of a name with these addresses."""
    fetch = Fetch(provider)
    text = "".join(f"{a} provider.test\n" for a in addresses)
    with open("/etc/hosts", "w", encoding="ascii") as f:
        f.write(text)
    assert fetch(issuer=f"https://provider.test:{provider.port}/", seconds=5) == "temporary"
    assert fetch.result["code"] == b"connect"
    return fetch.result["nobody-listens"], fetch.result["detail"].decode()


def test_each_address_of_a_name_has_to_refuse(request, fake, tmp_path):
    if test_faults.INSIDE not in os.environ:
        test_faults.run_in_a_namespace(request.node.name, __file__)
        return
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    subprocess.run(["ip", "route", "add", "unreachable", "10.0.0.1"], check=True)
    test_faults.replace_in_etc(tmp_path, "nsswitch.conf", "hosts: files\n")
    test_faults.replace_in_etc(tmp_path, "hosts", "")
    fake.refuse()
    refuses, is_away, no_way = "127.0.0.1", "10.0.0.1", "10.0.0.2"
    host = f"provider.test:{fake.port}"
    said = (b"1", f"{host}: 127.0.0.1:{fake.port} refused the connection")
    assert address(fake, refuses) == said
    assert address(fake, refuses, no_way) == said  # as on many a machine for IPv6
    assert address(fake, refuses, "127.0.0.2")[0] == b"1"
    assert address(fake, refuses, is_away)[0] == b"0"
    assert address(fake, is_away)[0] == b"0"
    assert address(fake, no_way)[0] == b"0"
