"""The Makefile, in a copy of the sources: what is built again when, by which compiler, and for
which machine. And what is linked into the programs that there are."""
import os
import re
import shutil
import subprocess

import pytest

import rig

PROGRAMS = {"kubetoken", "kubetokend", "kubetoken-fetch", "kubetoken-admin"}
CROSS = "aarch64-linux-gnu"
COMPILERS = ("cc", "c99", "gcc", "clang", "musl-gcc", "x86_64-linux-gnu-gcc")

# Compiles nothing, which is enough to see what make has compiled, and with what.
PRETENDS = '''for word; do
    [ "$previous" = -o ] && : > "$word"
    previous=$word
done
exit 0
'''


class Tree:
    def __init__(self, folder):
        self.folder = folder
        self.calls = folder / "calls"  # of compilers
        self.bin = folder / "bin"
        self.bin.mkdir()
        shutil.copy(rig.TOP / "Makefile", folder)
        for name in ("client", "common", "daemon", "man"):
            shutil.copytree(rig.TOP / name, folder / name)

    def program(self, name, text):
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{text}")
        path.chmod(0o755)
        return path

    def compiler(self, does, name="compiler", says=()):
        """Notes how it is called. `says`: (option, what is printed of it)."""
        answers = "".join(f"case $1 in {option}) echo '{text}'; exit;; esac\n"
                          for option, text in says)
        return self.program(name, f'echo "{name}" "$@" >> "{self.calls}"\n{answers}{does}')

    def make(self, *arguments):
        """Returns what was done: "CC build/..." and "LINK build/..."."""
        r = subprocess.run(["make", "-j2", *arguments], cwd=self.folder, text=True,
                           env={"PATH": f"{self.bin}:{os.environ['PATH']}", "LC_ALL": "C"},
                           capture_output=True, timeout=rig.PATIENCE)
        assert (r.returncode, r.stderr) == (0, ""), r.stderr
        return {tuple(line.split()) for line in r.stdout.splitlines()
                if line.startswith(("  CC", "  LINK"))}

    def pretend(self, *arguments):
        return self.make(f"CC={self.compiler(PRETENDS)}", "PKG_CONFIG=true", *arguments)

    def change(self, pattern, replacement):
        makefile = self.folder / "Makefile"
        text, n = re.subn(pattern, replacement, makefile.read_text(), flags=re.M)
        assert n == 1
        makefile.write_text(text)

    def readelf(self, *arguments):
        return subprocess.run(["readelf", *arguments], cwd=self.folder, capture_output=True,
                              text=True, check=True).stdout

    def help(self, *emulator):
        r = subprocess.run([*emulator, self.folder / "build" / "kubetoken", "--help"],
                           capture_output=True, text=True, timeout=rig.PATIENCE)
        return r.returncode == 0 and "kubectl" in r.stdout

    def is_static_pie(self):
        program = ("-W", "build/kubetoken")
        return (re.search(r"Type:\s+DYN", self.readelf("-h", *program)) is not None
                and "INTERP" not in self.readelf("-l", *program)
                and "NEEDED" not in self.readelf("-d", *program))


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


# ---- what is built again ---------------------------------------------------------------------

def linked(done):
    return {path.split("/")[-1] for what, path in done if what == "LINK"}


def compiled(done):
    return {path for what, path in done if what == "CC"}


def test_what_is_built_is_not_built_again(tree):
    assert linked(tree.pretend()) == PROGRAMS
    assert tree.pretend() == set()


@pytest.mark.parametrize("program, lists", [
    ("kubetoken", ["CLIENT", "CLIENT_COMMON"]),
    ("kubetokend", ["DAEMON", "DAEMON_COMMON", "DAEMON_LIBS"]),
    ("kubetoken-fetch", ["FETCH", "FETCH_COMMON", "FETCH_LIBS"]),
    ("kubetoken-admin", ["ADMIN", "ADMIN_CLIENT", "ADMIN_COMMON", "ADMIN_LIBS"])])
def test_a_shorter_list_is_linked_anew_and_nothing_compiled(tree, program, lists):
    tree.pretend()
    for name in lists:
        tree.change(rf"^({name} :?=) \S+", r"\1")
        done = tree.pretend()
        assert program in linked(done) and not compiled(done), name
    assert tree.pretend() == set()


def test_what_the_linker_is_told_links_anew(tree):
    tree.pretend()
    done = tree.pretend("LDFLAGS=-Wl,-O1")
    assert linked(done) == PROGRAMS and not compiled(done)


def test_what_the_compiler_is_told_builds_all_anew(tree):
    everything = tree.pretend()
    for flag in ("CPPFLAGS=-DX", "CFLAGS=-O3", "LIBEXECDIR=/elsewhere", "MUSL=/nowhere"):
        assert tree.pretend(flag) == everything, flag
        assert tree.pretend() == everything


def test_what_was_asked_for_first_makes_no_difference(tree):
    (tree.folder / "tests" / "manual").mkdir(parents=True)
    (tree.folder / "tests" / "manual" / "codes.c").touch()
    tree.pretend()
    for goal in ("build/kubetoken", "build/static/client/main.o", "build/codes"):
        tree.pretend(goal)
        assert tree.pretend() == set(), goal


# ---- by what ---------------------------------------------------------------------------------

def test_every_program_obeys_the_flags_of_who_builds(tree):
    tree.pretend("CPPFLAGS=-DTHEIRS", "CFLAGS=-O3 -fno-plt", "LDFLAGS=-Wl,-O1")
    calls = [line.split() for line in tree.calls.read_text().splitlines()]
    compiling = [words for words in calls if "-c" in words]
    linking = [words for words in calls if "-c" not in words and "-o" in words]
    assert len(compiling) > 60 and len(linking) == len(PROGRAMS)
    assert all({"-DTHEIRS", "-O3", "-fno-plt"} <= set(words) for words in compiling)
    assert all({"-Wl,-O1", "-O3", "-fno-plt"} <= set(words) for words in linking)
    assert not any("-Os" in words or "-O2" in words for words in calls)


def test_the_compiler_that_is_named_is_the_only_one(tree):
    compiler = tree.compiler(f'exec "{shutil.which("gcc")}" "$@"')
    for other in COMPILERS:
        tree.compiler("exit 1", other)
    tree.make(f"CC={compiler}", "build/kubetoken")
    assert {line.split()[0] for line in tree.calls.read_text().splitlines()} == {"compiler"}
    assert tree.is_static_pie() and tree.help()


@pytest.mark.parametrize("flags, level", [
    ([], "2"),
    (["CPPFLAGS=-D_FORTIFY_SOURCE=2"], "2"),
    (["CPPFLAGS=-Wdate-time -D_FORTIFY_SOURCE=3"], "3"),
    (["CFLAGS=-g3 -O2 -Wp,-U_FORTIFY_SOURCE,-D_FORTIFY_SOURCE=3"], "3"),
    (["CFLAGS=-g3 -O2 -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3"], "3"),
    (["CFLAGS=-g3 -O2 -U_FORTIFY_SOURCE"], "")])
def test_fortify_source_is_theirs_where_they_say_so(tree, flags, level):
    if not any(flag.startswith("CFLAGS") for flag in flags):
        flags = [*flags, "CFLAGS=-g3 -O2"]  # with the macros
    objects = "build/static/common/time.o", "build/common/time.o"
    tree.make("CC=gcc", *flags, *objects)  # without a warning
    for path in objects:
        # the last word on each; an #undef has no value
        macros = dict(re.findall(r"macro : (\w+) ?(.*)",
                                 tree.readelf("--debug-dump=macro", path)))
        assert macros["__STDC__"] == "1"
        assert macros.get("_FORTIFY_SOURCE", "") == level


@pytest.mark.parametrize("musl", [[], ["MUSL="]], ids=["musl", "glibc"])
def test_the_client_is_a_static_pie_whatever_the_libc_and_the_flags(tree, musl):
    tree.make("CC=gcc", *musl, "LDFLAGS=-pie", "build/kubetoken")
    assert tree.is_static_pie() and tree.help()


@pytest.mark.skipif(not shutil.which("clang"), reason="clang is not installed")
def test_clang_builds_the_client_too(tree):
    tree.make("CC=clang", "build/kubetoken")
    assert tree.is_static_pie() and tree.help()


# ---- for which machine -----------------------------------------------------------------------

@pytest.mark.skipif(not shutil.which(f"{CROSS}-gcc"), reason=f"{CROSS}-gcc is not installed")
def test_a_cross_compiler_builds_the_client_of_its_machine(tree):
    tree.make(f"CC={CROSS}-gcc", "build/kubetoken")
    assert re.search(r"Machine:\s+AArch64", tree.readelf("-h", "build/kubetoken"))
    assert tree.is_static_pie()
    if shutil.which("qemu-aarch64"):
        assert tree.help("qemu-aarch64")


MUSL = "/usr/lib/x86_64-linux-musl"
debian_musl = pytest.mark.skipif(not os.path.exists(f"{MUSL}/rcrt1.o"),
                                 reason="the musl of Debian for x86-64 is not installed")


def musl_folder(tree, multiarch, machine):
    """That of the libc.a which the client would be linked with; None: the compiler's own."""
    tree.compiler(PRETENDS, says=[("-print-multiarch", multiarch), ("-dumpmachine", machine)])
    tree.make(f"CC={tree.bin / 'compiler'}", "build/kubetoken")
    found = re.findall(r" (\S+)/libc\.a ", tree.calls.read_text())
    return found[0] if found else None


@debian_musl
@pytest.mark.parametrize("multiarch, machine", [
    ("x86_64-linux-gnu", "x86_64-linux-gnu"), ("", "x86_64-linux-gnu"),
    ("", "x86_64-pc-linux-gnu")])
def test_musl_is_found_by_the_machine(tree, multiarch, machine):
    tree.program("musl-gcc", "exit 1")
    assert musl_folder(tree, multiarch, machine) == MUSL


@pytest.mark.parametrize("line", ['exec "${{REALGCC:-gcc}}" "$@" -specs "{}/musl-gcc.specs"\n',
                                  "exec gcc -specs={}/musl-gcc.specs \"$@\"\n"])
@pytest.mark.parametrize("machine, own", [("s390x-redhat-linux", True),
                                          ("riscv64-redhat-linux", False)])
def test_musl_is_found_where_a_musl_gcc_of_that_machine_has_it(tree, line, machine, own):
    folder = tree.folder / "musl" / "lib"
    (folder / ".." / "include").mkdir(parents=True)
    (folder / "rcrt1.o").touch()
    (folder / "musl-gcc.specs").write_text("-dynamic-linker /lib/ld-musl-s390x.so.1 -nostdlib\n")
    tree.program("musl-gcc", line.format(folder))
    assert musl_folder(tree, "", machine) == (str(folder) if own else None)
    assert (f"-isystem {folder}/../include " in tree.calls.read_text()) == own


# ---- what is linked into the programs --------------------------------------------------------

def listed(program):
    """The objects and the libraries that the Makefile lists for it."""
    line, = re.findall(rf"^{program}: (.*)$", (rig.BUILD / "links").read_text(), re.M)
    return ([rig.BUILD / word for word in line.split() if word.endswith(".o")],
            [word for word in line.split() if not word.endswith(".o")])


def symbols(objects, which):
    """By object."""
    out = subprocess.run(["nm", "-AgP", which, *objects], capture_output=True, text=True,
                         check=True).stdout
    found = {str(path): set() for path in objects}
    for line in out.splitlines():
        path, name, _ = line.split(maxsplit=2)
        found[path.rstrip(":")].add(name)
    return found


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_each_object_of_a_program_is_needed_by_its_main(program):
    objects, _ = listed(program)
    wanted = symbols(objects, "--undefined-only")
    defined = symbols(objects, "--defined-only")
    superfluous = set(wanted)
    reached = [path for path in wanted if path.endswith("/main.o")]
    while reached:
        path = reached.pop()
        superfluous.discard(path)
        reached += [o for o in superfluous if defined[o] & wanted[path]]
    assert len(objects) > 10 and not superfluous


@pytest.mark.parametrize("program", sorted(PROGRAMS))
def test_each_library_of_a_program_is_needed(program):
    out = subprocess.run(["readelf", "-dW", rig.BUILD / program], capture_output=True, text=True,
                         check=True).stdout
    needed = re.findall(r"NEEDED.*\[(.*?)\]", out)
    _, libraries = listed(program)
    for library in libraries:
        flags = subprocess.run(["pkg-config", "--libs-only-l", library], capture_output=True,
                               text=True, check=True).stdout.split()
        name = flags[0].replace("-l", "lib", 1)
        assert any(re.match(rf"{name}\b", n) for n in needed), library
