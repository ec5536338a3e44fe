"""The package of Debian: what is in it, its whole life with somebody who is logged in, and what
Debian runs of it (autopkgtest). KUBETOKEN_FULL also builds it twice, elsewhere, and compares.

With KUBETOKEN_ROOT all of it happens in another Debian, in that folder: the package is built, with
its tests, by an ordinary user without network, and looked at by that Debian's lintian and blhc.
What that takes has to be there: its build dependencies, and what packaging/debian/tests/control and
life.py want."""
import os
import pathlib
import shlex
import shutil
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TOP / "tests" / "systemd"))

import machine

PATIENCE = 1200  # seconds; reached only by a hang
FULL = bool(os.environ.get("KUBETOKEN_FULL"))
ROOT = os.environ.get("KUBETOKEN_ROOT") or None
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


class Place:
    """Where it is built and looked at: here, or in a machine over KUBETOKEN_ROOT."""

    def __init__(self, folder, inside=None):
        self.folder, self.inside, self.count = folder, inside, 0

    def run(self, script):
        """Returns status and output."""
        if self.inside:
            try:
                return 0, self.inside.run(f"( {script}\n) 2>&1")
            except subprocess.CalledProcessError as error:
                return error.returncode, error.output
        r = subprocess.run(script, shell=True, cwd=TOP, stdin=subprocess.DEVNULL, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False,
                           timeout=PATIENCE)
        return r.returncode, r.stdout

    def has(self, program):
        return self.run(f"command -v {program}")[0] == 0

    def new_folder(self):
        """A name that is the same as it is seen in there and, by see(), from here."""
        self.count += 1
        folder = pathlib.Path("/home/kt" if self.inside else self.folder) / f"place-{self.count}"
        self.see(folder).mkdir()
        if self.inside:
            os.chown(self.see(folder), machine.UID, machine.UID)
        return folder

    def see(self, path):
        return self.inside.path(path) if self.inside else pathlib.Path(path)

    def bring(self, path):
        """A copy of a file in there; here, the file."""
        if not self.inside:
            return pathlib.Path(path)
        return pathlib.Path(shutil.copy(self.see(path), self.folder))

    def build(self, prefix="", **environment):
        """Returns the package, as it is named in there, and the log."""
        if not self.has("dh") or not self.has("dpkg-buildpackage"):
            pytest.skip("debhelper and dpkg-dev are not here: packaging/install-dependencies --deb")
        folder = self.new_folder()
        # The tests of the sources run by themselves here; elsewhere they are a part of it.
        options = "parallel=2" if self.inside else "nocheck parallel=2"
        variables = {"DEB_BUILD_OPTIONS": options, "BUILD_DEB_LOG": f"{folder}/log", **environment}
        words = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
        status, output = self.run(f"cd {machine.SOURCE if self.inside else TOP} && {prefix} "
                                  f"exec env {words} packaging/build-deb --source {folder}")
        assert status == 0, output[-4000:]
        made = [pathlib.Path(line) for line in output.split()]
        assert [path.suffix for path in made] == [".deb", ".dsc", ".xz"], output
        assert {path.parent for path in made} == {folder}
        return made[0], self.see(folder / "log").read_text(errors="replace")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("deb")
    if not ROOT:
        yield Place(folder)
        return
    try:
        with machine.Machine(f"deb-build-{os.getpid()}", ROOT, bare=True) as m:
            yield Place(folder, m)
    except machine.Missing as error:
        pytest.skip(f"no machine with systemd: {error}")


@pytest.fixture(scope="module")
def built(place):
    return place.build()


@pytest.fixture(scope="module")
def package(place, built):
    return place.bring(built[0])


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


def test_it_says_what_it_holds_of_others(place, package):
    status, version = place.run("dpkg-query -W -f '${source:Version}' musl-dev")
    assert status == 0, version
    assert field(package, "Static-Built-Using") == f"musl (= {version})"
    assert field(package, "Multi-Arch") == "foreign"


def test_no_path_of_where_it_was_built_is_in_it(package, tmp_path):
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True)
    for path in (tmp_path / "usr").rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert b"/kubetoken-0." not in path.read_bytes(), path


def test_lintian_has_nothing_to_say(place, built):
    if not place.has("lintian"):
        pytest.skip("lintian is not here")
    # Thousands of files of the sources take it minutes.
    sources = f"{built[0].parent}/*.dsc" if FULL else ""
    _, said = place.run(f"lintian --allow-root --tag-display-limit 0 --pedantic {sources} "
                        f"{built[0]}")
    said = [line for line in said.splitlines() if line[:2] in ("E:", "W:", "I:", "P:")
            # a field of 2023, which its older versions do not know
            and not line.endswith("unknown-field Static-Built-Using")]
    assert not said, said


def test_all_is_compiled_hardened(place, built):
    if not place.has("blhc"):
        pytest.skip("blhc is not here")
    status, said = place.run(f"blhc {built[0].parent}/log")
    assert status == 0, said[:2000]


@pytest.mark.skipif(not FULL, reason="it takes another build: KUBETOKEN_FULL")
def test_it_is_the_same_wherever_it_is_built(place, built):
    other, _ = place.build("umask 0077;", TMPDIR=str(place.new_folder()),
                           TZ="Pacific/Kiritimati", LC_ALL="C", DEB_BUILD_OPTIONS="nocheck")
    for pattern in ("*.deb", "*.tar.xz"):
        one, = place.see(built[0].parent).glob(pattern)
        another, = place.see(other.parent).glob(pattern)
        assert one.read_bytes() == another.read_bytes(), pattern


@pytest.fixture
def elsewhere(package):
    """A machine that has the package in /srv, and not installed."""
    try:
        with machine.Machine(f"deb-{os.getpid()}", ROOT, bare=True) as m:
            shutil.copy(package, m.path("/srv/kubetoken.deb"))
            yield m
    except machine.Missing as error:
        pytest.skip(f"no machine with systemd: {error}")


def run_in(m, script, **how):
    try:
        return m.run(f"( {script} ) 2>&1", **how)
    except subprocess.CalledProcessError as error:
        pytest.fail(error.output[-4000:])


def test_its_life_with_somebody_who_is_logged_in(elsewhere):
    """life.py says what has to be true."""
    run_in(elsewhere, f"/usr/bin/python3 {machine.SOURCE}/tests/packaging/life.py "
           "/srv/kubetoken.deb")


def test_what_debian_runs_of_it(elsewhere):
    """As autopkgtest does: the package alone is installed, and where it was built is not there."""
    tests = f"cd {machine.SOURCE} && packaging/debian/tests/"
    run_in(elsewhere, "rm -f /usr/sbin/policy-rc.d; dpkg -i /srv/kubetoken.deb", as_root=True)
    assert "by the user manager" in run_in(elsewhere, tests + "get")
    assert "without a user manager" in run_in(elsewhere, "unset XDG_RUNTIME_DIR; " + tests + "get")
    assert "kubectl got its token" in run_in(
        elsewhere, f"cd {machine.SOURCE} && KUBETOKEN_BUILD=/usr/bin tests/demo")
    # Where there is no system bus or logind, it says so.
    said = run_in(elsewhere, "systemctl start dbus.socket; systemctl start systemd-logind.service; "
                  f"{tests}login || [ $? = 77 ]", as_root=True)
    assert "by the user manager" in said or "no systemd with logind" in said, said
