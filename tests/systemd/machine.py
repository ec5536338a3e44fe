#!/usr/bin/python3
"""A real systemd, with a real user manager, beside the machine's own: as PID 1 of namespaces, over
an overlay of the machine's / (or of another root). What is written there is in memory and goes
with it. Inside are the accounts root and kt (4711), systemd-journald, kt's `systemd --user`, a bus
where there is a dbus-daemon, and a network of its own with loopback alone.

usage: tests/systemd/machine.py [--name NAME] start [--root FOLDER] [--build FOLDER]
       tests/systemd/machine.py [--name NAME] run [--as-root] COMMAND...
       tests/systemd/machine.py [--name NAME] stop

`start` installs what is built in --build (build/); with --root it is built inside, with that root's
own libraries, and --build is where that is kept. It installs no package. Needs root.
"""
import argparse
import contextlib
import ctypes
import fcntl
import os
import pathlib
import secrets
import select
import shlex
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
STATE = pathlib.Path("/run/kubetoken-machine")
SOURCE = "/srv/kubetoken"  # in the machine: this tree, not to be written
BUILD = "/srv/build"
OTHER = "kubetokend-keeps-more"  # in there: another version
USER, UID = "kt", 4711
PATIENCE = 120  # seconds; reached only by a hang

NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWPID, NEWNET = (
    0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x20000000, 0x40000000)
RDONLY, NOSUID, NODEV, NOEXEC, REMOUNT, BIND, MOVE, REC, PRIVATE = (
    1, 2, 4, 8, 32, 4096, 8192, 16384, 1 << 18)
DETACH = 2
PR_SET_PDEATHSIG = 1

libc = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """This machine lacks something without which there can be no other one."""


def check(result, what):
    if result != 0:
        number = ctypes.get_errno()
        raise Missing(f"{what}: {os.strerror(number)}")


def mount(source, target, kind=None, flags=0, data=None):
    def text(value):
        return None if value is None else os.fsencode(str(value))
    check(libc.mount(text(source), text(target), text(kind), ctypes.c_ulong(flags), text(data)),
          f"cannot mount {kind or source} on {target}")


# ---- what is in the machine ------------------------------------------------------------------

UNITS = {
    # Without the dependencies that each unit has by default: no device, no swap, no time.
    "machine.target": f"""[Unit]
DefaultDependencies=no
Wants=systemd-journald.socket systemd-journald-dev-log.socket systemd-journald.service
Wants=user@{UID}.service shell-root.socket shell-{USER}.socket
""",
    # As systemd's own, but without PAM and logind.
    f"user@{UID}.service": f"""[Unit]
DefaultDependencies=no
After=systemd-journald.service
[Service]
Type=notify
User={USER}
ExecStart=/lib/systemd/systemd --user
Environment=XDG_RUNTIME_DIR=/run/user/{UID}
Environment=DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{UID}/bus
Slice=user-{UID}.slice
KillMode=mixed
Delegate=yes
TasksMax=infinity
""",
}

SHELL_SOCKET = """[Unit]
DefaultDependencies=no
[Socket]
ListenStream=/run/shell-{user}
SocketMode=0666
Accept=yes
MaxConnections=1000
"""

SHELL = """[Unit]
DefaultDependencies=no
CollectMode=inactive-or-failed
[Service]
User={user}
ExecStart=/bin/sh
StandardInput=socket
StandardOutput=socket
StandardError=socket
WorkingDirectory=~
Environment=PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin LANG=C.UTF-8
Environment=SYSTEMD_PAGER= SYSTEMD_COLORS=0 PYTHONDONTWRITEBYTECODE=1 KUBETOKEN_MACHINE=yes
Environment=XDG_RUNTIME_DIR=/run/user/{uid}
Environment=DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/{uid}/bus
"""

USER_UNITS = {
    "dbus.socket": "[Socket]\nListenStream=%t/bus\n",
    "dbus.service": "[Unit]\nRequires=dbus.socket\n[Service]\nType=notify\n"
                    "ExecStart=/usr/bin/dbus-daemon --session --address=systemd: --nofork "
                    "--nopidfile --systemd-activation --syslog-only\nSlice=session.slice\n",
}


def fill(root, stage):
    """The overlay's own files: no unit but those of packages and of ours, and two accounts."""
    units, user_units = root / "etc/systemd/system", root / "etc/systemd/user"
    for folder in (units, user_units, root / "var/log/journal", root / "var/lib/systemd"):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for name, text in UNITS.items():
        (units / name).write_text(text)
    for user, uid in (("root", 0), (USER, UID)):
        (units / f"shell-{user}.socket").write_text(SHELL_SOCKET.format(user=user))
        (units / f"shell-{user}@.service").write_text(SHELL.format(user=user, uid=uid))
    if (root / "usr/bin/dbus-daemon").exists():
        for name, text in USER_UNITS.items():
            (user_units / name).write_text(text)
        wants = user_units / "sockets.target.wants"
        wants.mkdir()
        (wants / "dbus.socket").symlink_to("../dbus.socket")
    (root / "etc/machine-id").unlink(missing_ok=True)
    (root / "etc/machine-id").write_text(secrets.token_hex(16) + "\n")
    # at once where each user has a journal of their own, which `journalctl --user` reads
    flushed = root / "run/systemd/journal/flushed"
    flushed.parent.mkdir(parents=True)
    flushed.touch()
    # where the mounts of a service are made; the user manager counts on another service's
    (root / "run/systemd/unit-root").mkdir(mode=0o700)
    (root / "etc/hostname").write_text("machine\n")
    (root / "etc/hosts").write_text("127.0.0.1 localhost machine\n::1 localhost\n")
    (root / "etc/fstab").unlink(missing_ok=True)
    (root / "usr/lib/modules").mkdir(exist_ok=True)
    add_account(root)
    if stage:
        shutil.copytree(stage, root, dirs_exist_ok=True)


def add_account(root):
    group = (root / "etc/group").read_text()
    journal = [line + ("" if line.endswith(":") else ",") + USER
               if line.startswith("systemd-journal:") else line for line in group.splitlines()]
    (root / "etc/group").write_text("\n".join([*journal, f"{USER}:x:{UID}:", ""]))
    with open(root / "etc/passwd", "a", encoding="ascii") as f:
        f.write(f"{USER}:x:{UID}:{UID}::/home/{USER}:/bin/sh\n")
    for folder, owner, mode in ((f"home/{USER}", UID, 0o700), (f"run/user/{UID}", UID, 0o700),
                                ("run/user/0", 0, 0o700)):
        (root / folder).mkdir(parents=True)
        os.chown(root / folder, owner, owner)
        (root / folder).chmod(mode)


def make_devices(root):
    mount("dev", root / "dev", "tmpfs", NOSUID, "mode=0755")
    for name in ("null", "zero", "full", "random", "urandom", "tty"):
        (root / "dev" / name).touch()
        mount(f"/dev/{name}", root / "dev" / name, flags=BIND)
    for name in ("pts", "shm"):
        (root / "dev" / name).mkdir()
    mount("devpts", root / "dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    mount("shm", root / "dev/shm", "tmpfs", NOSUID, "mode=1777")
    for name, target in (("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd"),
                         ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")):
        (root / "dev" / name).symlink_to(target)


def make_root(space, lower, stage, build):
    """Returns the folder that becomes /. Runs in the namespaces of the machine."""
    mount("machine", space, "tmpfs", 0, "mode=0755,size=75%")
    root = space / "root"
    for folder in (root, space / "upper", space / "work"):
        folder.mkdir()
    mount("overlay", root, "overlay", 0,
          f"lowerdir={lower},upperdir={space}/upper,workdir={space}/work")
    for name in ("proc", "sys", "dev", "run", "tmp"):
        (root / name).mkdir(exist_ok=True)
    mount("proc", root / "proc", "proc", NOSUID | NODEV | NOEXEC)
    mount("sysfs", root / "sys", "sysfs", NOSUID | NODEV | NOEXEC | RDONLY)
    mount("cgroup2", root / "sys/fs/cgroup", "cgroup2", NOSUID | NODEV | NOEXEC)
    make_devices(root)
    mount("run", root / "run", "tmpfs", NOSUID | NODEV, "mode=0755")
    mount("tmp", root / "tmp", "tmpfs", NOSUID | NODEV, "mode=1777")
    fill(root, stage)
    for source, target, flags in ((TOP, SOURCE, RDONLY), (build, BUILD, 0)):
        target = root / target[1:]
        target.mkdir(parents=True, exist_ok=True)
        mount(source, target, flags=BIND)
        mount("none", target, flags=REMOUNT | BIND | flags)
    return root


# ---- namespaces ------------------------------------------------------------------------------

def outermost():
    """Makes the mount namespace's own root, which a chroot hides, this process's root."""
    own = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        check(libc.setns(own, NEWNS), "cannot enter a mount namespace")
    finally:
        os.close(own)


def leave_mounts():
    """Into a mount namespace of our own, nothing of which is seen outside."""
    check(libc.unshare(NEWNS), "cannot make a mount namespace")
    here = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    outermost()  # in a chroot / is no mount
    mount("none", "/", flags=REC | PRIVATE)
    os.fchdir(here)
    os.chroot(".")
    os.close(here)


def become_root(root):
    """root, a mount, becomes the root of the namespace: after a chroot alone the kernel would make
    no user namespace in there."""
    here = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    outermost()
    os.fchdir(here)
    mount(".", "/", flags=MOVE)
    os.chroot(".")
    os.chdir("/")
    os.close(here)


def make_cgroup(space, name):
    """A cgroup (version 2) below our own, and this process in it."""
    hierarchy = space / "cgroup"
    hierarchy.mkdir(exist_ok=True)
    mount("cgroup2", hierarchy, "cgroup2", NOSUID | NODEV | NOEXEC)
    own = [line[3:].strip() for line in open("/proc/self/cgroup", encoding="ascii")
           if line.startswith("0::")]
    folder = hierarchy / (own[0].lstrip("/") if own else "")
    if ".." in folder.parts or not folder.is_dir():
        folder = hierarchy
    folder = folder / f"kubetoken-machine-{name}"
    try:
        folder.mkdir(exist_ok=True)
        return folder, folder.parent
    except OSError as error:
        raise Missing(f"cannot make a cgroup (version 2): {error.strerror}") from None


def remove_cgroup(folder):
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        for path, _, _ in os.walk(folder, topdown=False):
            with contextlib.suppress(OSError):
                os.rmdir(path)
        time.sleep(0.02)


def bring_up_loopback():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS, UP


def become_init(space, options, report):
    """In the first process of the new namespaces: becomes systemd, or says why not."""
    try:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        check(libc.unshare(NEWNS), "cannot make a mount namespace")
        bring_up_loopback()
        socket.sethostname("machine")
        root = make_root(space, options.root or "/", options.stage, options.build)
        become_root(root)
        console = os.open("/run/console", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
        null = os.open("/dev/null", os.O_RDONLY)
        for fd, number in ((null, 0), (console, 1), (console, 2)):
            os.dup2(fd, number)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        os.execve("/lib/systemd/systemd",
                  ["/lib/systemd/systemd", "--system", "--unit=machine.target",
                   "--show-status=false", "--log-target=journal"],
                  {"container": "kubetoken-machine", "TERM": "linux",
                   "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"})
    except Exception as error:
        os.write(report, f"{error}\n".encode())
    finally:
        os._exit(1)


def start_init(space, options, report):
    """Returns pid and cgroup."""
    leave_mounts()
    folder, parent = make_cgroup(space, options.name)
    (folder / "cgroup.procs").write_text("0")
    check(libc.unshare(NEWCGROUP | NEWUTS | NEWIPC | NEWPID | NEWNET), "cannot make namespaces")
    pid = os.fork()
    if pid == 0:
        become_init(space, options, report)
    with contextlib.suppress(OSError):  # or we would be in what is to be removed
        (parent / "cgroup.procs").write_text("0")
    return pid, folder


def keep(options):
    """The machine's keeper: starts it, and ends with it, at SIGTERM, or when stdin ends. What it
    has to say goes to stdout: the pid, or why there is none."""
    wake_up, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    # execve() closes it, which says that all went well
    report, reported = os.pipe()
    space = pathlib.Path(tempfile.mkdtemp(prefix="space-", dir=STATE / options.name))
    pid = folder = None
    try:
        pid, folder = start_init(space, options, reported)
        os.close(reported)
        why = os.read(report, 4096).decode()
        if why:
            raise Missing(why.strip())
        print(pid, flush=True)
        init = os.pidfd_open(pid)
        select.select([init, wake_up, *([] if options.stay else [0])], [], [])
    except Missing as error:
        print(f"missing: {error}", flush=True)
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        if folder:
            remove_cgroup(folder)
            # who started it may be dead; what is mounted in there is not to be removed
            if libc.umount2(os.fsencode(space / "cgroup"), DETACH) == 0:
                shutil.rmtree(STATE / options.name, ignore_errors=True)


# ---- from outside ----------------------------------------------------------------------------

def lacking(root):
    """What this machine lacks, by name, or None."""
    if os.geteuid() != 0:
        return "it takes root"
    if not os.path.exists(f"{root or ''}/lib/systemd/systemd"):
        return "systemd is not installed"
    if "\toverlay\n" not in pathlib.Path("/proc/filesystems").read_text() and subprocess.run(
            ["modprobe", "-q", "overlay"], check=False, stderr=subprocess.DEVNULL).returncode:
        return "the kernel has no overlayfs"
    return None


def shell(socket_path, script):
    """Has a shell of the machine do it. Yields its output, line by line; returns its status."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.connect(socket_path)
        # the script is read first, so that nothing in it reads on
        marker = secrets.token_hex(8)
        s.sendall(f"{{ {script}\n}} </dev/null\necho {marker} $?\n".encode())
        s.shutdown(socket.SHUT_WR)
        with s.makefile("r", encoding="utf-8", errors="replace") as lines:
            for line in lines:
                before, found, status = line.partition(marker)
                if before:
                    yield before
                if found:
                    return int(status)
    raise RuntimeError("the machine has gone away")


class Machine:
    """One that lives as long as the `with` statement, or, if it is to stay, until stop()."""

    def __init__(self, name="test", root=None, build=None, stay=False, bare=False):
        """With bare, without kubetoken."""
        self.folder = STATE / name
        self.name, self.root, self.stay, self.bare = name, root, stay, bare
        self.build = pathlib.Path(build or TOP / "build")
        self.keeper = self.pid = None

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        why = lacking(self.root)
        if why:
            raise Missing(why)
        self.stop()  # what a killed one of that name has left
        make_folder(self.folder)
        self.build.mkdir(parents=True, exist_ok=True)
        stage = None
        if not self.root and not self.bare:
            stage = self.folder / "stage"
            make_install(TOP, self.build, DESTDIR=stage)
        self._start_keeper(stage)
        self._wait()
        if self.root and not self.bare:
            # of two make-s at once each would do the other's work
            self.run("make -s -j2 -C {0} BUILD={1} all {1}/{2} && make -s -C {0} BUILD={1} install"
                     .format(SOURCE, BUILD, OTHER), as_root=True)

    def _start_keeper(self, stage):
        words = [sys.executable, os.path.abspath(__file__), "--name", self.name, "keep",
                 "--build", str(self.build.resolve())]
        words += ["--root", str(self.root)] if self.root else []
        words += ["--stage", str(stage)] if stage else []
        words += ["--stay"] if self.stay else []
        log = open(self.folder / "log", "wb")
        with log:
            self.keeper = subprocess.Popen(
                words, stdin=subprocess.DEVNULL if self.stay else subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=log, text=True, start_new_session=True)
        (self.folder / "keeper").write_text(str(self.keeper.pid))
        answer = self.keeper.stdout.readline().strip()
        if not answer.isdigit():
            raise Missing(answer.partition("missing: ")[2] or (self.folder / "log").read_text())
        self.pid = int(answer)
        (self.folder / "pid").write_text(answer)

    def path(self, path):
        """Of a file in the machine, as it is seen from here."""
        return pathlib.Path(f"/proc/{self.pid}/root{path}")

    def _wait(self):
        """Until both shells and the user manager answer."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.keeper.poll() is None:
            with contextlib.suppress(OSError, RuntimeError, subprocess.CalledProcessError):
                self.run("true", as_root=True)
                self.run("systemctl --user is-system-running --wait >/dev/null 2>&1; "
                         "systemctl --user show-environment >/dev/null 2>&1")
                return
            time.sleep(0.05)
        console = ""
        with contextlib.suppress(OSError):
            console = self.path("/run/console").read_text(errors="replace")
        raise RuntimeError(f"the machine did not start:\n{console}")

    def stream(self, script, as_root=False):
        return shell(str(self.path(f"/run/shell-{'root' if as_root else USER}")), script)

    def run(self, script, as_root=False):
        """Returns what it printed; an exception where it fails."""
        lines, output = self.stream(script, as_root), []
        while True:
            try:
                output.append(next(lines))
            except StopIteration as end:
                if end.value:
                    raise subprocess.CalledProcessError(end.value, script,
                                                        "".join(output)) from None
                return "".join(output)

    def find(self):
        """One that was started to stay."""
        try:
            self.pid = int((self.folder / "pid").read_text())
            os.stat(self.path("/run/shell-root"))
        except (OSError, ValueError):
            raise Missing(f"there is no machine {self.name}; start it") from None
        return self

    def stop(self):
        keeper = self.folder / "keeper"
        if self.keeper:
            self.keeper.terminate()
            self.keeper.wait()
            self.keeper.stdout.close()
            if self.keeper.stdin:
                self.keeper.stdin.close()
            self.keeper = None
        elif keeper.exists():
            end_keeper(int(keeper.read_text()))
        shutil.rmtree(self.folder, ignore_errors=True)
        with contextlib.suppress(OSError):
            STATE.rmdir()


def make_folder(folder):
    """Below STATE, which the end of another machine may take away in between."""
    while not folder.exists():
        STATE.mkdir(exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            folder.mkdir()


def end_keeper(pid):
    with contextlib.suppress(OSError):
        fd = os.pidfd_open(pid)
        with open(f"/proc/{pid}/cmdline", "rb") as f:
            if b"machine.py" in f.read():
                signal.pidfd_send_signal(fd, signal.SIGTERM)
                select.select([fd], [], [], PATIENCE)
        os.close(fd)


def make_install(top, build, **variables):
    """One at a time: of two make-s at once each would do the other's work, and read its halves."""
    with open(build / ".install", "w", encoding="ascii") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        for what in (f"{build}/{OTHER}", "install"):
            r = subprocess.run(["make", "-s", "-C", str(top), what, f"BUILD={build}",
                                *(f"{name}={value}" for name, value in variables.items())],
                               check=False, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True)
            if r.returncode:
                raise RuntimeError(f"make {what} fails:\n{r.stdout}")


def parse():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", default="by-hand")
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb in ("start", "keep"):
        sub = verbs.add_parser(verb)
        sub.add_argument("--root")
        sub.add_argument("--build", default=TOP / "build")
        if verb == "keep":
            sub.add_argument("--stage")
            sub.add_argument("--stay", action="store_true")
    run = verbs.add_parser("run")
    run.add_argument("--as-root", action="store_true")
    run.add_argument("command", nargs=argparse.REMAINDER)
    verbs.add_parser("stop")
    return parser.parse_args()


def main():
    options = parse()
    if options.verb == "keep":
        keep(options)
        return 0
    try:
        if options.verb == "start":
            Machine(options.name, options.root, options.build, stay=True).start()
        elif options.verb == "stop":
            Machine(options.name).stop()
        else:
            machine = Machine(options.name).find()
            print(machine.run(shlex.join(options.command), options.as_root), end="")
    except Missing as error:
        print(f"machine.py: {error}", file=sys.stderr)
        return 77
    except subprocess.CalledProcessError as error:
        print(error.output or "", end="")
        return error.returncode
    return 0


if __name__ == "__main__":
    sys.exit(main())
