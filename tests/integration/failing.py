"""Has a program fail one of its allocations or system calls after the other (failing.c)."""
import contextlib
import mmap
import os
import pathlib
import re
import struct
import subprocess

import rig

ALLOCATIONS, SYSTEM_CALLS = 0, 1
KINDS = {"allocation": ALLOCATIONS, "system call": SYSTEM_CALLS}
FULL = os.environ.get("KUBETOKEN_FULL")
ERRORS_MOST = 4  # that one call can fail with, in failing.c
SOURCE = pathlib.Path(__file__).with_name("failing.c")
FOREVER = (1 << 64) - 1
LAYOUT = struct.Struct("@iI2Q2Q2QIi32s2I16Q32s")  # struct control
HELD = LAYOUT.size - 32 - 16 * 8 - 4


def build(folder):
    """The object to preload."""
    path = folder / "failing.so"
    subprocess.run(["cc", "-std=gnu11", "-Wall", "-Wextra", "-O1", "-g", "-shared", "-fPIC",
                    "-fno-toplevel-reorder", "-o", path, SOURCE, "-ldl"], check=True)
    return path


def numbers(total, most, full=FOREVER):
    """The calls that fail: all, or the first and some of the rest; full: where all are to fail, so
    many."""
    if FULL:
        most = FOREVER if FULL == "all" else full
    if total <= most:
        return range(1, total + 1)
    step = (total - most // 2) / (most - most // 2)
    rest = [most // 2 + round(step * (i + 1)) for i in range(most - most // 2)]
    return sorted({*range(1, most // 2 + 1), *rest})


class Control:
    """The page that the program and the test share."""

    def __init__(self, folder, library):
        self.path = folder / "failing"
        self.environment = {"LD_PRELOAD": str(library), "KUBETOKEN_TEST_FAILING": str(self.path)}
        with open(self.path, "wb+") as f:
            f.truncate(mmap.PAGESIZE)
            self.page = mmap.mmap(f.fileno(), mmap.PAGESIZE)

    def _get(self):
        v = LAYOUT.unpack_from(self.page)
        return {"pid": v[0], "counted": v[2:4], "fired": v[8], "error": v[9],
                "name": v[10].split(b"\0")[0].decode(), "waiting": v[11], "frames": v[13:29],
                "by": v[29].split(b"\0")[0].decode()}

    def renew(self):
        """For the next program."""
        LAYOUT.pack_into(self.page, 0, *[0] * 10, b"", 0, 0, *[0] * 16, b"")

    def count(self):
        """From now on; nothing fails."""
        pid = struct.unpack_from("=i", self.page)[0]
        waiting = self._get()["waiting"]
        LAYOUT.pack_into(self.page, 0, pid, *[0] * 9, b"", waiting, 0, *[0] * 16, b"")

    @property
    def by(self):
        """The library whose call failed, or for which libc made it; "" of the program itself."""
        return self._get()["by"]

    @property
    def pid(self):
        return self._get()["pid"]

    def counted(self, kind):
        return self._get()["counted"][kind]

    def fail(self, kind, number, choice=0, until=None):
        """The call with that number, from now on; with until, those up to it as well."""
        self.count()
        ends = [0, 0], [0, 0]
        ends[0][kind] = number
        ends[1][kind] = until or number
        struct.pack_into("=2Q2Q", self.page, 24, *ends[0], *ends[1])
        struct.pack_into("=I", self.page, 4, choice)

    def end(self):
        """Nothing fails any more. Whether anything has."""
        struct.pack_into("=2Q2Q", self.page, 24, 0, 0, 0, 0)
        return self._get()["fired"] > 0

    @contextlib.contextmanager
    def held(self):
        """What comes meanwhile the program sees at once, behind this."""
        struct.pack_into("=I", self.page, HELD, 1)
        try:
            yield
        finally:
            struct.pack_into("=I", self.page, HELD, 0)

    def settle(self, alive):
        """Waits until the program waits for what comes next, or is gone."""
        rig.wait_until(lambda: self._get()["waiting"] or not alive(), "an end of its work")

    def short(self):
        return self._get()["name"]

    def what(self, maps=""):
        """What failed, for a person."""
        now = self._get()
        error = os.strerror(now["error"])
        return f"{now['name']} by {now['by']}: {error}{where(now['frames'], maps)}"


def where(frames, maps):
    """The lines of the sources that the addresses are of, as far as that is known."""
    lines = []
    for address in filter(None, frames):
        for line in maps.splitlines():
            m = re.match(r"([0-9a-f]+)-([0-9a-f]+) \S+ ([0-9a-f]+) \S+ \S+ +(/.*)", line)
            if not m or not int(m[1], 16) <= address < int(m[2], 16):
                continue
            at = address - int(m[1], 16) + int(m[3], 16) - 1
            r = subprocess.run(["addr2line", "-fspe", m[4], hex(at)], text=True,
                               stdout=subprocess.PIPE)
            lines.append(r.stdout.strip() if "kubetoken" in m[4] else os.path.basename(m[4]))
    return "".join(f"\n    {line}" for line in lines)
