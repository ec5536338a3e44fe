"""The package of Debian: what is in it, and its whole life with somebody who is logged in.
KUBETOKEN_FULL also builds it twice, elsewhere, and compares. With KUBETOKEN_ROOT it is installed
there, which has to have what it depends on."""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "systemd"))

import machine

PATIENCE = 1200  # seconds; reached only by a hang
FULL = bool(os.environ.get("KUBETOKEN_FULL"))
PATHS = """
usr/bin/kubectl-kubetoken usr/bin/kubectl_complete-kubetoken usr/bin/kubetoken usr/bin/kubetokend
usr/lib/systemd/catalog/kubetoken.catalog
usr/lib/systemd/user/kubetoken.service usr/lib/systemd/user/kubetoken.socket
usr/libexec/kubetoken/kubetoken-admin usr/libexec/kubetoken/kubetoken-fetch
usr/libexec/kubetoken/user-managers
usr/share/bash-completion/completions/kubetoken.bash
usr/share/fish/vendor_completions.d/kubetoken.fish
usr/share/zsh/vendor-completions/_kubetoken usr/share/kubetoken/hardened.conf
usr/share/man/man1/kubectl-kubetoken.1.gz usr/share/man/man1/kubectl_complete-kubetoken.1.gz
usr/share/man/man1/kubetoken.1.gz usr/share/man/man5/kubetoken.conf.5.gz
usr/share/man/man7/kubetoken-codes.7.gz usr/share/man/man7/kubetoken-protocol.7.gz
usr/share/man/man8/kubetokend.8.gz
""".split()


def build(folder, prefix="", **environment):
    """Returns the package and the log."""
    if not shutil.which("dh") or not shutil.which("dpkg-buildpackage"):
        pytest.skip("debhelper and dpkg-dev are not here: packaging/install-dependencies --deb")
    folder.mkdir(parents=True)
    log = folder / "log"
    r = subprocess.run(f"{prefix} exec packaging/build-deb {folder}", shell=True, cwd=TOP,
                       capture_output=True, text=True, timeout=PATIENCE, check=False,
                       stdin=subprocess.DEVNULL,
                       env={**os.environ, "DEB_BUILD_OPTIONS": "nocheck parallel=2",
                            "BUILD_DEB_LOG": str(log), **environment})
    assert r.returncode == 0, r.stderr[-4000:]
    package = pathlib.Path(r.stdout.strip())
    assert package.parent == folder and package.suffix == ".deb"
    return package, log.read_text(errors="replace")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("deb") / "deb")


@pytest.fixture(scope="module")
def package(built):
    return built[0]


def listed(package):
    """Its files, with mode and owner."""
    lines = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True,
                           env={**os.environ, "TZ": "UTC"}).stdout.splitlines()
    return {words[5].removeprefix("./"): words for words in (line.split() for line in lines)}


def field(package, name):
    return subprocess.run(["dpkg-deb", "-f", package, name], capture_output=True, text=True,
                          check=True).stdout.strip()


def test_everything_is_at_debians_places(package):
    files = {name for name, words in listed(package).items() if name and not name.endswith("/")}
    elsewhere = {name for name in files if not name.startswith("usr/share/doc/kubetoken/")}
    assert elsewhere - {"usr/share/lintian/overrides/kubetoken"} == set(PATHS)
    assert {"usr/share/doc/kubetoken/copyright", "usr/share/doc/kubetoken/changelog.gz"} <= files
    assert {words[1] for words in listed(package).values()} == {"root/root"}


def test_it_says_what_it_holds_of_others(package):
    version = subprocess.run(["dpkg-query", "-W", "-f", "${source:Version}", "musl-dev"],
                             capture_output=True, text=True, check=True).stdout
    assert field(package, "Static-Built-Using") == f"musl (= {version})"
    assert field(package, "Multi-Arch") == "foreign"


def test_no_path_of_where_it_was_built_is_in_it(package, tmp_path):
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True)
    for path in (tmp_path / "usr").rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert b"/kubetoken-0." not in path.read_bytes(), path


def test_lintian_has_nothing_to_say(package):
    if not shutil.which("lintian"):
        pytest.skip("lintian is not here")
    r = subprocess.run(["lintian", "--allow-root", "--fail-on", "error,warning", package],
                       capture_output=True, text=True, timeout=PATIENCE, check=False)
    said = [line for line in r.stdout.splitlines() if line[:2] in ("E:", "W:")
            # a field of 2023, which its older versions do not know
            and not line.endswith("unknown-field Static-Built-Using")]
    assert not said, said


def test_all_is_compiled_hardened(built, tmp_path):
    if not shutil.which("blhc"):
        pytest.skip("blhc is not here")
    log = tmp_path / "log"
    log.write_text(built[1])
    r = subprocess.run(["blhc", log], capture_output=True, text=True, check=False)
    assert r.returncode == 0, r.stdout[:2000]


@pytest.mark.skipif(not FULL, reason="it takes another build: KUBETOKEN_FULL")
def test_it_is_the_same_wherever_it_is_built(package, tmp_path):
    elsewhere = tmp_path / "another-place"
    elsewhere.mkdir()
    other, _ = build(tmp_path / "other", "umask 0077;", TMPDIR=str(elsewhere),
                     TZ="Pacific/Kiritimati", LC_ALL="C")
    assert other.read_bytes() == package.read_bytes()


def test_its_life_with_somebody_who_is_logged_in(package):
    """life.py says what has to be true."""
    root = os.environ.get("KUBETOKEN_ROOT") or None
    try:
        with machine.Machine(f"deb-{os.getpid()}", root, bare=True) as m:
            shutil.copy(package, m.path("/srv/kubetoken.deb"))
            m.run(f"/usr/bin/python3 {machine.SOURCE}/tests/packaging/life.py /srv/kubetoken.deb "
                  "2>&1")
    except machine.Missing as error:
        pytest.skip(f"no machine with systemd: {error}")
    except subprocess.CalledProcessError as error:
        pytest.fail(error.output[-4000:])
