"""Whose certificates are believed: the system's authorities, or with `ca-file` those alone."""
import os
import ssl
import subprocess

import pytest

import scripted
from test_faults import INSIDE, run_in_a_namespace


def make_authority_the_systems(folder, ca_file):
    """As file and as folder, in a namespace of our own."""
    folder.mkdir()
    name = subprocess.run(["openssl", "x509", "-noout", "-hash", "-in", ca_file], check=True,
                          capture_output=True, text=True).stdout.strip()
    for place in ("ca-certificates.crt", f"{name}.0"):
        (folder / place).write_bytes(ca_file.read_bytes())
    subprocess.run(["mount", "--bind", folder, "/etc/ssl/certs"], check=True)


def enter(request):
    """Whether this is the namespace; else the test has been run in one."""
    if INSIDE not in os.environ:
        run_in_a_namespace(request.node.name, __file__)
        return False
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    return True


def is_refused(home, profile):
    r = home.run("get", "--timeout", "2s", profile)
    assert r.returncode == 7 and "certificate" in r.stderr, r.stderr
    assert home.status(profile)["error"]["code"] == "tls"


@pytest.fixture
def https_proxy(fake):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    files = scripted.apiserver.make_tls_files(fake.folder, "proxy", names=("127.0.0.1",))
    context.load_cert_chain(files.cert, files.key)
    proxy = scripted.Proxy(context=context)
    proxy.ca = files.ca
    yield proxy
    proxy.stop()


def test_beside_ca_file_no_other_authority_counts(request, fake, home, daemon, tmp_path,
                                                  https_proxy):
    if not enter(request):
        return
    company = tmp_path / "company.pem"
    company.write_bytes(https_proxy.ca.read_bytes())
    make_authority_the_systems(tmp_path / "certs", fake.ca_file)
    theirs, ours = f"ca-file = {fake.ca_file}\n", f"ca-file = {company}\n"
    home.configure(fake.profile("by-system").replace(theirs, "") +
                   fake.profile("by-file").replace(theirs, ours))
    daemon.start()
    assert home.run("get", "by-system").returncode == 0
    is_refused(home, "by-file")


@pytest.mark.parametrize("by", ["key", "environment"])
def test_nor_does_one_for_a_proxy(request, fake, home, daemon, tmp_path, https_proxy, by):
    """The proxy's certificate is by the system's, the provider's by the file's."""
    if not enter(request):
        return
    make_authority_the_systems(tmp_path / "certs", https_proxy.ca)
    url = f"https://127.0.0.1:{https_proxy.port}"
    if by == "environment":
        home.environment["https_proxy"] = url
    home.configure(fake.profile(extra=f"proxy = {url}" if by == "key" else ""))
    daemon.start()
    is_refused(home, "p")
    assert https_proxy.seen == []
