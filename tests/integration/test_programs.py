"""The daemon's own programs on the disk: one that is missing, one that was replaced."""
import json
import os
import shutil

import pytest

import rig
from rig import wait_until
from test_doctor import doctor


@pytest.fixture
def apart(home, daemon, tmp_path):
    """A folder with kubetokend alone, and a daemon that is run from there."""
    folder = tmp_path / "programs"
    folder.mkdir()
    shutil.copy(rig.BUILD / "kubetokend", folder)
    daemon.program = folder / "kubetokend"
    return folder


def install(folder, name, source=None):
    """As an installer does it: whole, by rename."""
    shutil.copy(source or rig.BUILD / name, folder / "new")
    os.replace(folder / "new", folder / name)


def health(home):
    return json.loads(home.run("status", "--json").stdout)


def start_without_fetcher(home, daemon, fake):
    home.configure(fake.profile())
    daemon.start()
    if "fetcherError" not in health(home):
        pytest.skip("another kubetoken-fetch is installed on this machine")


def test_a_daemon_without_its_fetcher_serves_the_error_and_goes_on_when_it_is_there(
        home, daemon, apart, fake):
    start_without_fetcher(home, daemon, fake)
    r = home.run("get")
    assert r.returncode == 1 and "kubetoken-fetch: No such file or directory" in r.stderr, r.stderr
    assert r.stderr.startswith("kubetoken: p: kubetoken-fetch failed: ")
    assert "No such file or directory" in rig.unwrapped(home.run("status").stdout)
    assert daemon.alive and not fake.requests
    install(apart, "kubetoken-fetch")
    wait_until(lambda: home.run("get").returncode == 0, "a look at the disk")
    assert "fetcherError" not in health(home) and health(home)["fetcherCurrent"]


def test_one_that_cannot_be_run_is_as_good_as_missing(home, daemon, apart, fake):
    (apart / "kubetoken-fetch").touch(0o644)
    start_without_fetcher(home, daemon, fake)
    assert f"{apart}/kubetoken-fetch: Permission denied" in home.run("get").stderr
    install(apart, "kubetoken-fetch")
    assert home.run("refresh", "p").returncode == 0


def test_an_inspection_looks_for_the_fetcher_too(home, daemon, apart, fake):
    start_without_fetcher(home, daemon, fake)
    r = home.run("inspect", "-", input=fake.token()["id_token"])
    assert r.returncode == 1 and "No such file or directory" in r.stderr
    install(apart, "kubetoken-fetch")
    assert home.run("inspect", "-", input=fake.token()["id_token"]).stdout.count("iss") >= 1


def test_doctor_says_that_the_fetcher_is_missing(home, daemon, apart, fake):
    start_without_fetcher(home, daemon, fake)
    found = doctor(home).found()
    assert ("daemon", "error", "fetcher") in found
    assert not [f for f in found if f[2] == "outdated"], "it is missing, not another"


def test_a_daemon_that_was_replaced_on_the_disk_is_reported(home, daemon, apart, fake):
    install(apart, "kubetoken-fetch")
    home.configure(fake.profile())
    daemon.start()
    assert health(home)["daemonCurrent"] and "warning" not in home.run("status").stdout
    install(apart, "kubetokend")
    assert health(home)["daemon"] == str(apart / "kubetokend")
    assert not health(home)["daemonCurrent"] and health(home)["fetcherCurrent"]
    assert f"{apart}/kubetokend is not the one that this daemon runs" in rig.unwrapped(
        home.run("status").stdout)
    assert doctor(home).found() == [("daemon", "warning", "outdated")]
    install(apart, "kubetoken-fetch")  # a whole upgrade is one line
    assert rig.unwrapped(home.run("status").stdout).count(
        "is not the one that this daemon runs") == 1
    assert doctor(home).found() == [("daemon", "warning", "outdated")]
    daemon.restart()
    assert health(home)["daemonCurrent"] and "warning" not in home.run("status").stdout


def test_systemd_is_told_of_the_missing_fetcher_until_it_is_there(home, daemon, apart, fake):
    start_without_fetcher(home, daemon, fake)
    ready = daemon.messages[-1]
    assert "READY=1\nSTATUS=kubetoken-fetch failed: " in ready
    assert ready.endswith("/kubetoken-fetch: No such file or directory"), ready
    install(apart, "kubetoken-fetch")
    assert home.run("status").returncode == 0
    daemon.wait_for("STATUS=Serving 1 profile")
