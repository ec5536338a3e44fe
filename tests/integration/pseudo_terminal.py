"""A terminal as a person has it: what a program writes becomes the picture that stands there."""
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

import rig

# What is understood; anything else ends the test.
TOKEN = re.compile(r"\x1b\[(\??)([0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n])", re.S)


class Screen:
    """The text of a terminal's screen, line by line, and what was taken down from the other one."""

    def __init__(self, columns, rows):
        self.columns, self.rows = columns, rows
        self.other = False  # the alternate screen is the one that is seen
        self.cursor = True
        self.colours = set()  # all that were ever set
        self.lines, self.row, self.column = [""], 0, 0
        self.main = None

    def feed(self, text):
        at = 0
        while at < len(text):
            m = TOKEN.match(text, at)
            if not m:  # half a sequence
                assert text[at] == "\x1b" and len(text) - at < 16, repr(text[at:])
                return text[at:]
            at = m.end()
            if m[3]:
                self._sequence(m[1], m[2], m[3])
            elif m[4] == "\r":
                self.column = 0
            elif m[4] == "\n":
                self._new_line()
            else:
                self._put(m[5])
        return ""

    def _new_line(self):
        self.row += 1
        while len(self.lines) <= self.row:
            self.lines.append("")
        if self.other:
            assert self.row < self.rows, "it scrolls"

    def _put(self, character):
        if self.column == self.columns:
            self._new_line()
            self.column = 0
        line = self.lines[self.row].ljust(self.column)
        self.lines[self.row] = line[:self.column] + character + line[self.column + 1:]
        self.column += 1

    def _sequence(self, private, number, letter):
        what = private + number + letter
        if what in ("?1049h", "?1049l"):
            assert self.other == (letter == "l"), "it is there already"
            self.other = not self.other
            if self.other:
                self.main = (self.lines, self.row, self.column)
                self.lines, self.row, self.column = [""], 0, 0
            else:
                self.lines, self.row, self.column = self.main
        elif what in ("?25h", "?25l"):
            self.cursor = letter == "h"
        elif what == "H":
            self.row = self.column = 0
        elif what == "J":
            del self.lines[self.row + 1:]
            self.lines[self.row] = self.lines[self.row][:self.column]
        elif what == "K":
            self.lines[self.row] = self.lines[self.row][:self.column]
        else:
            assert letter == "m" and not private, what
            self.colours |= set(number.split(";")) - {"0"}


class Terminal:
    """Runs the client on one, by the words before it if there are any."""

    def __init__(self, home, *args, columns=80, rows=24, env=None,
                 before=()):
        self.master, slave = pty.openpty()
        self.screen = Screen(columns, rows)
        self.rest, self.raw = "", b""
        self._size(columns, rows)

        def lead():
            os.setsid()
            fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        environment = {**home.environment, "TERM": "xterm", **(env or {})}
        self.process = subprocess.Popen(
            [*before, rig.BUILD / "kubetoken", *args], stdin=slave, stdout=slave, stderr=slave,
            env={k: v for k, v in environment.items() if v is not None}, preexec_fn=lead)
        os.close(slave)

    def _size(self, columns, rows):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def resize(self, columns, rows=24):
        """As when a window is drawn larger: the programs in it get SIGWINCH."""
        self.screen.columns, self.screen.rows = columns, rows
        self._size(columns, rows)

    def type(self, keys):
        os.write(self.master, keys)

    @property
    def text(self):
        return "\n".join(self.screen.lines)

    def _read(self):
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the last one who had it open is gone
            return False
        self.raw += data
        self.rest = self.screen.feed(self.rest + data.decode())
        return True

    def until(self, condition, what="the picture"):
        """Reads until the condition holds of what stands there."""
        deadline = time.monotonic() + rig.PATIENCE
        while not condition(self.text):
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.master], [], [], left)[0], (what, self.text)
            assert self._read(), (what, self.text)
        return self.text

    def until_text(self, text):
        return self.until(lambda shown: text in shown, text)

    def end(self):
        """Reads to the end. Returns the exit code, and what stands there."""
        while self._read():
            pass
        return self.process.wait(rig.PATIENCE), self.text

    def close(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait(rig.PATIENCE)
        os.close(self.master)
