"""What compiles for musl, what is judged of arm64 under qemu-user, and what is installed for that.
The emulator, dpkg and apt-get are stand-ins; the programs are those that there are."""
import os
import re
import shutil
import subprocess

import pytest

import rig
import test_build

tree = test_build.tree


# ---- musl ------------------------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which("musl-gcc"), reason="musl-gcc is not installed")
def test_what_glibc_alone_has_is_an_error(tree):
    goal = "build/musl/common/time.checked"
    tree.make(goal)
    source = tree.folder / "common" / "time.c"
    text = source.read_text()
    for line in ("void *p = (void *)malloc_trim;", "int unused(void) { return 0; }"):
        source.write_text(f"#include <malloc.h>\n{text}\n{line}\n")
        r = subprocess.run(["make", goal], cwd=tree.folder, capture_output=True, text=True,
                           timeout=rig.PATIENCE, check=False)
        assert r.returncode == 2 and "common/time.c" in r.stderr, line
    source.write_text(text)
    tree.make(goal)


# ---- arm64 -----------------------------------------------------------------------------------

def test_a_cross_compilers_libraries_are_those_of_its_triplet(tree):
    """Any triplet that there are libraries of serves; the machine is another."""
    triplet = next((d for d in os.listdir("/usr/lib")
                    if os.path.isdir(f"/usr/lib/{d}/pkgconfig") and "-" in d), None)
    if not triplet:
        pytest.skip("no folder of libraries is named by a triplet here")
    asks = tree.program("pkg-config", f'echo "$PKG_CONFIG_LIBDIR" >> "{tree.folder}/asked"')
    compiler = tree.compiler(test_build.PRETENDS, says=[("-print-multiarch", triplet)])

    def asked(machine):
        tree.program("uname", f"echo {machine}")
        tree.make(f"CC={compiler}", f"PKG_CONFIG={asks}", f"BUILD={machine}",
                  f"{machine}/kubetokend")
        words = set((tree.folder / "asked").read_text().splitlines())
        (tree.folder / "asked").unlink()
        return words

    assert asked("another") == {f"/usr/lib/{triplet}/pkgconfig:/usr/share/pkgconfig"}
    assert asked(triplet.split("-")[0]) == {""}


class Emulated:
    """A folder as `make check-arm64` builds one, and an emulator that runs this machine's own."""

    def __init__(self, folder):
        self.folder, self.bin = folder / "build", folder / "bin"
        (self.folder / "unit").mkdir(parents=True)
        self.bin.mkdir()
        for name in test_build.PROGRAMS:
            (self.folder / name).symlink_to(rig.BUILD / name)

    def write(self, path, text):
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def unit(self, name, *lines, status=0):
        self.write(self.folder / "unit" / name,
                   "\n".join(f"echo '{line}'" for line in lines) + f"\nexit {status}")

    def run(self, version):
        self.write(self.bin / "qemu-aarch64", f'[ "$1" = --version ] && echo "qemu-aarch64 version '
                   f'{version} (Debian)" && exit\nexec "$@"')
        r = subprocess.run([rig.TOP / "tests" / "arm64", self.folder],
                           capture_output=True, text=True,
                           env={**os.environ, "PATH": f"{self.bin}:{os.environ['PATH']}"},
                           timeout=2 * rig.PATIENCE, check=False)
        assert r.stderr == ""
        return r.returncode, r.stdout


@pytest.fixture
def emulated(tmp_path):
    return Emulated(tmp_path)


def has_ended(pid):
    """Nobody may be there to collect it."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def fails(name):
    return f"[  FAILED  ] {name}"


def test_what_the_emulator_cannot_do_is_named_and_nothing_else_is_forgiven(emulated):
    emulated.unit("attempt_test", fails("a_fetcher_that_hangs_is_killed"), status=1)
    emulated.unit("system_watch_test", status=9)
    emulated.unit("url_test", "[  SKIPPED ] it_is_long", "[  SKIPPED ] it_is_long")
    status, said = emulated.run("7.2.22")
    assert status == 0, said
    assert ("not held: attempt_test: a_fetcher_that_hangs_is_killed: this qemu-user lacks "
            "execveat(2), which starts a fetcher\n") in said
    assert re.search("^not run:  system_watch_test: this qemu-user lacks SO_DETACH_FILTER", said,
                     re.M)
    assert said.count("url_test: it_is_long: it says why") == 1
    assert said.endswith("\n11 passed, 0 failed\n")  # of the unit tests two programs

    assert emulated.run("10.0.2")[0] == 1, "that version can"

    emulated.unit("heap_test", fails("what_comes_after_the_lock"), fails("another_thing"), status=2)
    emulated.unit("attempt_test", fails("another_thing"), status=1)
    emulated.unit("secret_test", fails("no_core_dump_holds_a_secret"), status=139)
    emulated.unit("fetcher_test", status=1)
    status, said = emulated.run("7.2.22")
    assert status == 1
    assert re.findall("^FAILED: (.*)", said, re.M) == ["attempt_test", "fetcher_test", "heap_test",
                                                      "secret_test"]


def test_what_a_test_leaves_behind_is_not_waited_for_and_ends(emulated):
    left = emulated.folder / "left"
    emulated.write(emulated.folder / "unit" / "url_test", f"sleep 1000 & echo $! > {left}")
    status, said = emulated.run("7.2.22")
    assert status == 0, said
    rig.wait_until(lambda: has_ended(int(left.read_text())), "the end of what was left behind")


def test_a_build_without_unit_tests_is_no_success(emulated):
    status, said = emulated.run("7.2.22")
    assert status == 1 and "FAILED: the unit tests were built\n" in said


# ---- what is installed for that ----------------------------------------------------------------

class Packages:
    """A stand-in for dpkg and apt-get, and what was asked of them."""

    def __init__(self, folder, foreign="", installed=(), native="amd64"):
        self.folder, self.calls = folder, folder / "calls"
        self.write("dpkg", "case $1 in --print-architecture) echo %s;; "
                   "--print-foreign-architectures) echo '%s';; *) echo dpkg $* >> %s;; esac" %
                   (native, foreign, self.calls))
        self.write("dpkg-query", f"echo '{' '.join(f'{p}=installed' for p in installed)} '")
        self.write("apt-get", f'echo apt-get "$@" >> {self.calls}')
        self.write("apt-cache", "echo 'Candidate: 1'")
        self.write("sudo", 'exec "$@"')
        self.write("id", "echo 0")

    def write(self, name, text):
        (self.folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (self.folder / name).chmod(0o755)

    def install(self, *options):
        """(exit code, what it said, what dpkg was told, the words of each `apt-get install`)"""
        r = subprocess.run([rig.TOP / "packaging" / "install-dependencies", *options],
                           env={"PATH": f"{self.folder}:/usr/bin:/bin"}, capture_output=True,
                           text=True, timeout=rig.PATIENCE, check=False)
        calls = self.calls.read_text().splitlines() if self.calls.exists() else []
        words = [c.split(" install ")[1].split() for c in calls if " install " in c]
        return r.returncode, r.stderr, [c for c in calls if c.startswith("dpkg")], words


@pytest.mark.parametrize("foreign, adds", [("", True), ("i386\narm64", False)])
def test_arm64_is_added_once_and_nothing_is_removed_for_it(tmp_path, foreign, adds):
    status, said, dpkg, words = Packages(tmp_path, foreign).install("--build", "--arm64")
    assert status == 0
    assert dpkg == (["dpkg --add-architecture arm64"] if adds else [])
    assert ("from now on dpkg takes packages of arm64 too" in said) == adds
    own, others = map(set, words)
    assert {"gcc-aarch64-linux-gnu", "make", "libcurl4-openssl-dev"} <= own
    assert {"libcurl4-openssl-dev:arm64", "musl-dev:arm64", "--no-remove",
            "Dpkg::Options::=--path-exclude=/usr/share/man/*"} <= others
    assert not any(":arm64" in word or "path-exclude" in word for word in own)


def test_without_that_word_no_architecture_is_added(tmp_path):
    status, _, dpkg, words = Packages(tmp_path).install("--build")
    assert (status, dpkg) == (0, [])
    own, = words
    assert not any("arm64" in word for word in own) and "--no-remove" not in own


def test_a_library_of_another_machine_is_another_package(tmp_path):
    there = ("libjwt-dev:arm64", "make:amd64", "libcurl4-openssl-dev:amd64", "pkg-config:all")
    words = sum(Packages(tmp_path, "arm64", there).install("--build", "--arm64")[3], [])
    assert {"libjwt-dev", "libcurl4-openssl-dev:arm64"} <= set(words)
    assert not {"libjwt-dev:arm64", "make", "libcurl4-openssl-dev", "pkg-config"} & set(words)


def test_on_arm64_itself_nothing_is_crossed(tmp_path):
    status, said, dpkg, words = Packages(tmp_path, native="arm64").install("--build", "--arm64")
    assert (status, dpkg, words) == (1, [], [])
    assert said == ("install-dependencies: this machine is arm64 itself: make check runs all there "
                    "is\n")
