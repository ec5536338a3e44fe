"""Many profiles of one provider, and an upgrade beneath a running daemon."""
import json
import os
import shutil
import subprocess
import threading

import rig
from scripted import json_answer


def profiles(fake, names):
    return "".join(fake.profile(name, user=name) for name in names)


def test_two_requests_at_once_for_one_provider(fake, home, daemon):
    names = [f"p{i}" for i in range(20)]
    lock, release = threading.Lock(), threading.Event()
    running, most = 0, 0

    def answer(_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        release.wait()
        with lock:
            running -= 1
        return json_answer(fake.token())
    fake.answers["/oauth/token"] = answer
    home.configure(profiles(fake, names))
    daemon.start()
    clients = [subprocess.Popen([rig.BUILD / "kubetoken", "get", name], env=home.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE) for name in names]
    rig.wait_until(lambda: {p["state"] for p in home.status()} == {"asking"}, "twenty requests")
    rig.wait_until(lambda: running == 2, "two of them at the provider")
    r = home.run("get", "p19", "--timeout", "2s")
    assert r.returncode == 7 and "still waiting for the request of profile p" in r.stderr
    release.set()
    for client in clients:
        out, err = client.communicate(timeout=rig.PATIENCE)
        assert client.returncode == 0 and err == b"" and out.count(b".") == 2
    assert most == 2 and len(fake.grants()) == 20


def test_who_waits_does_not_wait_for_renewals_of_other_profiles(fake, home, daemon):
    """Two that nobody waits for have the provider's two places: it says nothing to them."""
    fake.lifetime = 4
    home.configure(fake.profile("a", user="a", extra="keep-fresh = always") +
                   fake.profile("b", user="b", extra="keep-fresh = always") +
                   fake.profile("c", user="c"))
    daemon.start()
    assert [home.run("get", name).returncode for name in ("a", "b")] == [0, 0]
    release = threading.Event()

    def answer(request):
        if request.form["username"] != "c":
            release.wait()
        return json_answer(fake.token())
    fake.answers["/oauth/token"] = answer
    try:
        rig.wait_until(lambda: len(fake.grants()) == 4, "two renewals")
        fake.lifetime = 3600
        r = home.run("get", "c")
        assert (r.returncode, r.stderr) == (0, "")
        assert {home.status(name)["state"] for name in ("a", "b")} == {"asking"}
    finally:
        release.set()


def test_profiles_that_go_make_room(fake, home, daemon):
    """A request given up, by a reload or a logout, gives its slot to the next."""
    names = ["a", "b", "c"]
    fake.hang("/oauth/token")
    home.configure(profiles(fake, names))
    daemon.start()
    clients = [subprocess.Popen([rig.BUILD / "kubetoken", "get", name], env=home.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for name in names]
    rig.wait_until(lambda: len(fake.grants()) == 2, "two requests")
    rig.wait_until(lambda: {p["state"] for p in home.status()} == {"asking"}, "the third")
    del fake.answers["/oauth/token"]
    waiting = ({"a", "b", "c"} - {r.form["username"] for r in fake.grants()}).pop()
    home.configure(profiles(fake, [waiting]))
    daemon.reload()
    assert home.run("get", waiting).returncode == 0
    for client in clients:
        client.wait(rig.PATIENCE)


def test_status_tells_when_the_fetcher_on_disk_is_another(fake, home, tmp_path):
    own = tmp_path / "programs"
    own.mkdir()
    for name in ("kubetokend", "kubetoken-fetch"):
        shutil.copy(rig.BUILD / name, own)
    home.configure(profiles(fake, ["p"]))
    with open(tmp_path / "log", "w") as log:
        daemon = subprocess.Popen([own / "kubetokend"], env=home.environment, stderr=log)
    try:
        rig.wait_until(lambda: home.run("status").returncode == 0, "the daemon")
        assert "restart" not in home.run("status").stdout
        shutil.copy(rig.BUILD / "kubetoken-fetch", own / "new")
        os.replace(own / "new", own / "kubetoken-fetch")
        assert "restart it with: kubetoken restart" in home.run("status").stdout
        whole = json.loads(home.run("status", "--json").stdout)
        assert (whole["fetcherCurrent"], whole["configurationInForce"]) == (False, True)
        (own / "kubetoken-fetch").unlink()
        assert home.run("get").returncode == 0, "it goes on with the one that it opened"
    finally:
        daemon.terminate()
        daemon.wait(rig.PATIENCE)
