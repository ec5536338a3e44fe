"""Whose certificates are believed: the system's authorities, or with `ca-file` those alone."""
import os
import ssl
import subprocess

import pytest

import scripted
from test_faults import INSIDE, run_in_a_namespace


def make_authority_the_systems(folder, ca_file):
    """As file and as folder, in a namespace of our own."""
    have_authorities(folder, in_folder=[ca_file], in_file=ca_file.read_bytes())


def have_authorities(folder, in_folder=(), in_file=b""):
    """Those of the system from now on: by hash in the folder, and in the file."""
    if not folder.is_dir():
        folder.mkdir()
        subprocess.run(["mount", "--bind", folder, "/etc/ssl/certs"], check=True)
    for old in folder.iterdir():
        old.unlink()
    for number, ca_file in enumerate(in_folder):
        name = subprocess.run(["openssl", "x509", "-noout", "-hash", "-in", ca_file], check=True,
                              capture_output=True, text=True).stdout.strip()
        (folder / f"{name}.{number}").write_bytes(ca_file.read_bytes())
    (folder / "ca-certificates.crt").write_bytes(in_file)


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


def namesake(fake, folder):
    """An authority of the name of the provider's."""
    name = next(fake.folder.glob("certificate-*.crt")).name.split(".")[0].removesuffix("-ca")
    folder.mkdir()
    return scripted.apiserver.make_tls_files(folder, name).ca


def test_who_is_in_the_folder_or_in_the_file_is_an_authority(request, fake, home, daemon,
                                                             tmp_path):
    """The file is read last, and no later: what is in one of them alone is trusted."""
    if not enter(request):
        return
    certs, broken = tmp_path / "certs", b"-----BEGIN CERTIFICATE-----\nbroken\n"
    ca, other = fake.ca_file, namesake(fake, tmp_path / "other")
    home.configure("".join(fake.profile(name).replace(f"ca-file = {fake.ca_file}\n", "")
                           for name in ("folder", "file", "both", "neither", "gone")))
    have_authorities(certs, in_folder=[ca], in_file=broken)  # so that it is seen who reads it
    daemon.start()
    assert home.run("get", "folder").returncode == 0
    have_authorities(certs, in_file=ca.read_bytes())
    assert home.run("get", "file").returncode == 0
    have_authorities(certs, in_folder=[other], in_file=ca.read_bytes())
    assert home.run("get", "both").returncode == 0
    have_authorities(certs, in_folder=[other], in_file=other.read_bytes())
    is_refused(home, "neither")
    (certs / "ca-certificates.crt").unlink()  # libcurl's to tell, as where there is no folder
    r = home.run("get", "--timeout", "2s", "gone")
    assert r.returncode == 9 and "ca-certificates.crt" in r.stderr, r.stderr
    assert home.status("gone")["error"]["code"] == "tls-file"


def test_so_is_one_for_a_proxy(request, fake, home, daemon, tmp_path, https_proxy):
    """The proxy's authority is in the file alone, the provider's in the folder."""
    if not enter(request):
        return
    have_authorities(tmp_path / "certs", in_folder=[fake.ca_file],
                     in_file=https_proxy.ca.read_bytes())
    home.configure(fake.profile(extra=f"proxy = https://127.0.0.1:{https_proxy.port}")
                   .replace(f"ca-file = {fake.ca_file}\n", ""))
    daemon.start()
    assert home.run("get", "p").returncode == 0, home.status("p")
    assert https_proxy.seen
