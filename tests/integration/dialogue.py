"""A person at a terminal: a program behind a pty, what it shows, what is typed."""
import os
import pty
import selectors
import signal
import termios
import time

import rig


class Dialogue:
    """Waits for what the program shows, a part after the other."""

    def __init__(self, argv, env, cwd=None):
        self.shown = ""
        self.seen = 0  # how far of it was waited for
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            if cwd:
                os.chdir(cwd)
            os.execve(argv[0], [str(a) for a in argv], env)
        self.before = termios.tcgetattr(self.terminal)
        self.code = None

    def _read(self, deadline):
        with selectors.DefaultSelector() as selector:
            selector.register(self.terminal, selectors.EVENT_READ)
            if not selector.select(max(0, deadline - time.monotonic())):
                raise AssertionError(f"nothing more came: {self.shown}")
        try:
            data = os.read(self.terminal, 65536)
        except OSError:  # EIO: its last holder is gone
            data = b""
        self.shown += data.decode().replace("\r\n", "\n")
        return bool(data)

    def expect(self, text):
        deadline = time.monotonic() + rig.PATIENCE
        while text not in self.shown[self.seen:]:
            assert self._read(deadline), f"{text!r} was not shown: {self.shown}"
        self.seen = self.shown.index(text, self.seen) + len(text)
        return self

    def type(self, text):
        os.write(self.terminal, text.encode())
        return self

    def answer(self, question, text):
        """Waits for the question, and answers it."""
        return self.expect(question).type(text + "\n")

    @property
    def echoes(self):
        return bool(termios.tcgetattr(self.terminal)[3] & termios.ECHO)

    def interrupt(self):
        return self.type("\x03")

    def end(self):
        """Reads to its end. Returns the exit status."""
        if self.code is None:
            deadline = time.monotonic() + rig.PATIENCE
            while self._read(deadline):
                pass
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.code

    def close(self):
        if self.code is None:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
        os.close(self.terminal)
