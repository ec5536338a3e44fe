"""kubetoken as the user kt has it in the machine: installed, and run by a real user manager."""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import machine

CLIENT, DAEMON = "/usr/local/bin/kubetoken", "/usr/local/bin/kubetokend"
UNITS = pathlib.Path("/usr/local/lib/systemd/user")
HARDENED = pathlib.Path("/usr/local/share/kubetoken/hardened.conf")
FULL = bool(os.environ.get("KUBETOKEN_FULL"))
ENABLED = pathlib.Path.home() / ".config/systemd/user/sockets.target.wants/kubetoken.socket"
PATIENCE = 90  # seconds; reached only by a hang


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"never came: {what}")


def command(*words, check=True, **kwargs):
    r = subprocess.run(words, text=True, capture_output=True, timeout=PATIENCE,
                       **({} if "input" in kwargs else {"stdin": subprocess.DEVNULL}), **kwargs)
    assert not check or r.returncode == 0, (words, r.stdout, r.stderr)
    return r


def as_root(script):
    lines, output = machine.shell("/run/shell-root", script), []
    while True:
        try:
            output.append(next(lines))
        except StopIteration as end:
            assert end.value == 0, "".join(output)
            return "".join(output)


class Service:
    name = "kubetoken.service"
    config = pathlib.Path.home() / ".config" / "kubetoken"
    drop_ins = pathlib.Path.home() / ".config" / "systemd" / "user" / "kubetoken.service.d"

    def systemctl(self, *words, check=True):
        return command("systemctl", "--user", *words, check=check)

    def start_socket(self):
        self.config.mkdir(parents=True, exist_ok=True)
        # enabled, or else a client that meets none would start a daemon of its own
        how = ("start",) if ENABLED.is_symlink() else ("enable", "--now")
        self.systemctl(*how, "kubetoken.socket")

    def clear(self):
        pid = self.show("MainPID")
        if pid != "0":
            self.kill(signal.SIGCONT, int(pid))
        self.systemctl("stop", "kubetoken.socket", self.name, check=False)
        self.systemctl("reset-failed", check=False)
        shutil.rmtree(self.config, ignore_errors=True)
        if self.drop_ins.exists():
            shutil.rmtree(self.drop_ins)
            self.systemctl("daemon-reload")

    def show(self, name, unit=None):
        return self.systemctl("show", "-P", name, unit or self.name).stdout.strip()

    def configure(self, text):
        path = self.config / "kubetoken.conf"
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")

    def drop_in(self, name, text):
        self.drop_ins.mkdir(parents=True, exist_ok=True)
        (self.drop_ins / f"{name}.conf").write_text(text, encoding="utf-8")
        self.systemctl("daemon-reload")

    def harden(self):
        self.drop_in("hardened", HARDENED.read_text(encoding="utf-8"))

    def run(self, *words, **kwargs):
        """The client."""
        return command(CLIENT, *words, check=False, **kwargs)

    def get(self, *words):
        r = self.run("get", *words)
        assert r.returncode == 0, r.stderr
        return r.stdout

    def status(self):
        return json.loads(self.run("status", "--json").stdout)

    def pid(self):
        """Of the daemon that is up."""
        def running():
            pid, state = self.show("MainPID"), self.show("ActiveState")
            return pid != "0" and state == "active" and int(pid)
        return wait_until(running, "a daemon that is up")

    @staticmethod
    def kill(number, pid):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass

    def journal(self, *words):
        command("journalctl", "--sync", check=False)
        return command("journalctl", "--user", "-o", "json", "--no-pager", "-u", self.name,
                       *words).stdout
