#!/usr/bin/python3
"""A package's life beside a user who is logged in: installed, used at once, upgraded, removed,
purged. Run by test_deb.py as the user kt in a machine without kubetoken.

usage: life.py PACKAGE
"""
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "systemd" / "inside"), str(HERE.parent / "systemd"),
                str(HERE.parent / "integration")]

import scripted
import service as kubetoken
from service import as_root, command, wait_until

POLICY = "/usr/sbin/policy-rc.d"
RUNTIME = pathlib.Path("/run/user/4711/kubetoken")


def state(unit):
    return command("systemctl", "--user", "is-active", unit, check=False).stdout.strip()


def main_pid():
    return command("systemctl", "--user", "show", "-P", "MainPID",
                   "kubetoken.service").stdout.strip()


def files():
    """All there are that a package could leave; dpkg's own notes and caches aside."""
    skipped = ["/proc", "/sys", "/dev", "/run", "/tmp", "/srv", "/var/cache", "/var/log",
               "/var/lib/dpkg", "/var/lib/systemd/catalog", str(pathlib.Path.home())]
    paths = " -o ".join(f"-path {folder}" for folder in skipped)
    return set(as_root(f"find / -xdev \\( {paths} \\) -prune -o -print").splitlines())


def get():
    r = command("kubetoken", "get", check=False)
    assert r.returncode == 0, r.stderr
    return r.stdout


def dpkg(*words):
    as_root("DEBIAN_FRONTEND=noninteractive dpkg " + " ".join(words))


def live(package, provider):
    config = pathlib.Path.home() / ".config/kubetoken"
    config.mkdir(parents=True)
    (config / "kubetoken.conf").touch(mode=0o600)
    (config / "kubetoken.conf").write_text(provider.profile())
    before = files()

    # As in the building of an image, where nothing is to be started.
    as_root(f"printf '#!/bin/sh\\nexit 101\\n' >{POLICY}; chmod 755 {POLICY}")
    dpkg("-i", package)
    assert state("kubetoken.socket") == "inactive", "policy-rc.d is not asked"
    dpkg("-P", "kubetoken")
    as_root(f"rm {POLICY}")
    before.discard(POLICY)

    dpkg("-i", package)
    assert state("kubetoken.socket") == "active", "a login that is open has no socket"
    assert state("kubetoken.service") == "inactive", "a daemon runs for somebody who never asked"
    token = get()
    first, asked = main_pid(), len(provider.grants())
    assert asked == 1 and first != "0"

    # An upgrade in mid-life: another process, the same token, and nothing asked again.
    dpkg("-i", package)
    wait_until(lambda: main_pid() not in ("0", first), "a daemon of the new version")
    assert get() == token and len(provider.grants()) == asked
    assert state("kubetoken.socket") == "active"

    # Whoever has put it out does not get it back.
    command("systemctl", "--user", "mask", "--now", "kubetoken.socket")
    dpkg("-i", package)
    assert state("kubetoken.socket") == "inactive", "a masked socket was started"
    command("systemctl", "--user", "unmask", "kubetoken.socket")
    dpkg("-i", package)
    assert state("kubetoken.socket") == "active"
    get()

    dpkg("-r", "kubetoken")
    assert main_pid() == "0" and not (RUNTIME / "socket").exists(), "a daemon without its program"
    dpkg("-P", "kubetoken")
    left = files() - before
    assert not left, left
    assert (config / "kubetoken.conf").exists(), "what is the user's is gone"


def main():
    with tempfile.TemporaryDirectory() as folder:
        provider = scripted.Provider(pathlib.Path(folder))
        try:
            live(sys.argv[1], provider)
        finally:
            provider.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
