"""A file system that stops to answer, as an NFS server or a disk may: by FUSE, without libfuse.
What waits for it cannot be killed. Takes root and /dev/fuse."""
import ctypes
import os
import stat
import struct
import threading

HEADER = struct.Struct("<IIQQIIII")
FORGET, INIT, OPEN, READ, RELEASE, FLUSH, INTERRUPT, ACCESS, BATCH_FORGET = (
    2, 26, 14, 15, 18, 25, 36, 34, 42)
LOOKUP, GETATTR = 1, 3
ENOSYS = 38

libc = ctypes.CDLL(None, use_errno=True)


class Mount:
    """A folder with one file in it; `hung`: from now on no request is answered."""

    def __init__(self, folder, name, content):
        self.folder, self.name, self.content = str(folder), name, content
        self.hung = threading.Event()
        self.waited_for = threading.Event()  # somebody waits in vain
        os.makedirs(self.folder)
        self.fd = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
        self._mount(f"fd={self.fd},rootmode=40000,user_id=0,group_id=0,allow_other")
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _mount(self, options):
        if libc.mount(b"test", self.folder.encode(), b"fuse", ctypes.c_ulong(6),
                      options.encode()) < 0:  # MS_NOSUID | MS_NODEV
            os.close(self.fd)
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def let_go(self):
        """What waits."""
        libc.umount2(self.folder.encode(), 3)  # MNT_FORCE | MNT_DETACH: the connection is aborted

    def close(self):
        self.let_go()
        self.thread.join()
        os.close(self.fd)

    def _attributes(self, node):
        mode, size = (stat.S_IFDIR | 0o755, 0) if node == 1 else (
            stat.S_IFREG | 0o644, len(self.content))
        return struct.pack("<QQQQQQIIIIIIIIII", node, size, 1, 0, 0, 0, 0, 0, 0, mode, 1, 0, 0, 0,
                           4096, 0)

    def _answer(self, opcode, node, body):
        if opcode == INIT:
            return 0, struct.pack("<IIIIHHIIHHI28x", 7, 31, 4096, 0, 1, 1, 4096, 1, 1, 0, 0)
        if opcode == LOOKUP:
            if body.rstrip(b"\0").decode() != self.name:
                return -2, b""
            return 0, struct.pack("<QQQQII", 2, 0, 0, 0, 0, 0) + self._attributes(2)
        if opcode == GETATTR:
            return 0, struct.pack("<QII", 0, 0, 0) + self._attributes(node)
        if opcode == OPEN:
            return 0, struct.pack("<QII", 1, 0, 0)
        if opcode == READ:
            offset, size = struct.unpack_from("<QI", body, 8)
            return 0, self.content[offset:offset + size]
        return (0 if opcode in (FLUSH, RELEASE, ACCESS) else -ENOSYS), b""

    def _serve(self):
        while True:
            try:
                request = os.read(self.fd, 1 << 17)
            except OSError:
                return  # it is no longer mounted
            _, opcode, unique, node, *_ = HEADER.unpack_from(request)
            if opcode in (FORGET, BATCH_FORGET, INTERRUPT):
                continue
            if self.hung.is_set():
                self.waited_for.set()
                continue
            error, data = self._answer(opcode, node, request[HEADER.size:])
            os.write(self.fd, struct.pack("<IiQ", 16 + len(data), error, unique) + data)
