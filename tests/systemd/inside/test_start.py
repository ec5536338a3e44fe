"""A start that cannot succeed: tried again every 2 s, for ever, without a flood of lines, and the
socket stays."""
import json
import pathlib

import pytest

import service as kubetoken
from service import wait_until

RUNTIME = pathlib.Path("/run/user/4711")
CANNOT_START = {
    "no program": "ExecStart=\nExecStart=/nowhere/kubetokend",
    "a credential that is not there": "LoadCredential=password:/nowhere/password",
    "a bad option": f"ExecStart=\nExecStart={kubetoken.DAEMON} --no-such-option",
}


def lines_since(service, cursor):
    return [json.loads(line) for line in
            service.journal(f"--after-cursor={cursor}").splitlines()]


def cursor(service):
    return json.loads(service.journal("-n1").splitlines()[-1])["__CURSOR"]


def starts(lines):
    """When systemd began with each, in seconds."""
    return [int(line["__MONOTONIC_TIMESTAMP"]) / 1e6 for line in lines
            if line.get("MESSAGE", "").startswith(f"Starting {kubetoken.Service.name}")]


@pytest.mark.parametrize("why", CANNOT_START)
def test_a_start_that_cannot_succeed_is_tried_every_two_seconds(service, fake, why):
    service.configure(fake.profile())
    service.get("p")
    service.systemctl("stop", service.name)
    begin = cursor(service)
    service.drop_in("broken", f"[Service]\n{CANNOT_START[why]}\n")
    service.systemctl("start", service.name, check=False)
    wait_until(lambda: int(service.show("NRestarts")) >= 1, "a restart")
    wait_until(lambda: len(starts(lines_since(service, begin))) >= 2, "another start")
    lines = lines_since(service, begin)
    times = starts(lines)
    assert len(times) >= 2 and all(b - a > 1.9 for a, b in zip(times, times[1:]))
    ours = [line["MESSAGE"] for line in lines if line.get("_COMM") == "kubetokend"]
    assert len(ours) <= (len(times) if why == "a bad option" else 0), ours
    assert service.show("ActiveState", "kubetoken.socket") == "active"


@pytest.mark.parametrize("why, cause", zip(CANNOT_START, [
    "its program is missing, or cannot be run (status 203)",
    "a credential of its unit cannot be loaded (status 243)",
    "it does not know an option in its ExecStart= (status 2)"]))
def test_a_client_is_told_why_no_daemon_starts(service, fake, why, cause):
    """Its connection has one started; when it asks, the next start may just be under way."""
    service.configure(fake.profile())
    service.drop_in("broken", f"[Service]\n{CANNOT_START[why]}\n")
    for _ in range(2):
        r = kubetoken.command(kubetoken.CLIENT, "get", "p", check=False)
        assert r.returncode == 3, r.stderr
        assert f"kubetokend does not start: {cause}; see: " in r.stderr


def test_what_could_not_start_serves_once_it_can(service, fake):
    service.configure(fake.profile())
    service.drop_in("broken", f"[Service]\n{CANNOT_START['no program']}\n")
    service.systemctl("start", service.name, check=False)
    wait_until(lambda: service.show("SubState") == "auto-restart", "a failed start")
    (service.drop_ins / "broken.conf").unlink()
    service.systemctl("daemon-reload")
    assert service.get("p")


def test_to_complete_a_line_starts_no_daemon(service, fake):
    """The link that systemd keeps for an active unit says whether one runs."""
    service.configure(fake.profile())
    complete = kubetoken.CLIENT, "__complete", "get", ""
    assert kubetoken.command(*complete).stdout == ":4\n"
    assert service.show("ActiveState") == "inactive"
    service.get("p")
    asked = len(fake.requests)
    units = RUNTIME / "systemd" / "units"
    assert (units / "invocation:kubetoken.service").is_symlink()
    assert kubetoken.command(*complete).stdout == "p\n:4\n"
    assert len(fake.requests) == asked
    service.systemctl("stop", service.name)
    assert kubetoken.command(*complete).stdout == ":4\n"
    assert service.show("ActiveState") == "inactive"
