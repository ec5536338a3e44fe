"""Refusals and logins are counted by account, as providers count them."""
import fcntl
import os
import socket
import struct
import subprocess
import threading

import pytest

import rig
from scripted import json_answer


@pytest.fixture
def fake(fake):
    """One that looks at the password."""
    fake.good = "good"
    fake.refusal = 400

    def answer(request):
        form = request.form
        if form["grant_type"] == "password" and form["password"] != fake.good:
            return json_answer({"error": "invalid_grant", "error_description": "no"},
                               fake.refusal)
        return json_answer(fake.token())
    fake.answers["/oauth/token"] = answer
    return fake


def profile(fake, name, password="password-file = pw", user="Someone", extra=""):
    return fake.profile(name, password, user, extra)


NAMES = [f"p{i:02}" for i in range(20)]


def get_all(home, names=NAMES):
    """All at once; returns their exit codes and messages."""
    clients = [subprocess.Popen([rig.BUILD / "kubetoken", "get", name], env=home.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
               for name in names]
    errors = [c.communicate(timeout=rig.PATIENCE)[1] for c in clients]
    return [c.returncode for c in clients], errors


@pytest.mark.parametrize("status", [400, 200])  # Casdoor says it with a 200
def test_twenty_profiles_with_a_stale_password_send_it_once(fake, home, daemon, status):
    fake.refusal = status
    home.write("pw", "stale")
    home.configure("".join(profile(fake, n, user="someone" if i % 2 else "SomeOne")
                           for i, n in enumerate(NAMES)))
    daemon.start()
    codes, errors = get_all(home)
    assert set(codes) == {6}
    assert all(e.count("\n") == 1 and "invalid_grant: no" in e for e in errors)
    assert len(fake.grants()) == 1
    codes, _ = get_all(home)
    assert set(codes) == {6} and len(fake.grants()) == 1
    assert {p["state"] for p in home.status()} == {"stopped"}


def test_a_person_lifts_a_refusal_for_all(fake, home, daemon):
    home.write("pw", "good")
    home.configure("".join(profile(fake, n) for n in NAMES[:3]))
    fake.good = "not yet"
    daemon.start()
    codes, _ = get_all(home, NAMES[:3])
    assert set(codes) == {6}
    fake.good = "good"
    assert home.run("refresh", NAMES[0]).returncode == 0
    codes, errors = get_all(home, NAMES[:3])
    assert codes == [0, 0, 0], errors
    assert len(fake.grants()) == 1 + 3


def test_another_user_is_another_account(fake, home, daemon):
    home.write("pw", "stale")
    home.configure(profile(fake, "a") + profile(fake, "b", user="other"))
    daemon.start()
    get_all(home, ["a", "b"])
    assert len(fake.grants()) == 2


class OneAtATime:
    """As Keycloak with brute force detection: a login is refused while another of the user is
    under way, from whichever machine. The first ones last until the test lets them go on."""

    def __init__(self, fake):
        self.fake, self.under_way, self.most = fake, 0, 0
        self.elsewhere = 0  # so many of the next ones meet a login of another machine
        self.lock = threading.Lock()
        self.go = threading.Event()
        fake.answers["/oauth/token"] = self.answer

    def answer(self, request):
        with self.lock:
            busy = self.under_way > 0 or self.elsewhere > 0
            self.elsewhere -= self.elsewhere > 0
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        try:
            if busy:
                return json_answer({"error": "invalid_grant",
                                    "error_description": "Invalid user credentials"}, 401)
            assert self.go.wait(rig.PATIENCE)
            return json_answer(self.fake.token())
        finally:
            with self.lock:
                self.under_way -= 1


def test_logins_of_one_account_go_one_after_the_other(fake, home, daemon):
    """Also with a password that is known good: three profiles whose renewals come together."""
    keycloak = OneAtATime(fake)
    keycloak.go.set()
    home.write("pw", "good")
    home.configure("".join(profile(fake, n) for n in NAMES[:3]))
    daemon.start()
    codes, errors = get_all(home, NAMES[:3])
    assert codes == [0, 0, 0], errors
    keycloak.go.clear()
    clients = [subprocess.Popen([rig.BUILD / "kubetoken", "refresh", n], env=home.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
               for n in NAMES[:3]]
    rig.wait_until(lambda: {p["state"] for p in home.status()} == {"asking"}, "all of them")
    keycloak.go.set()
    errors = [c.communicate(timeout=rig.PATIENCE)[1] for c in clients]
    assert [c.returncode for c in clients] == [0, 0, 0], errors
    assert keycloak.most == 1 and len(fake.grants()) == 6


def test_who_waits_behind_a_login_that_is_stuck_is_told_so(fake, home, daemon):
    home.write("pw", "good")
    home.configure("".join(profile(fake, n) for n in NAMES[:2]))
    daemon.start()
    fake.hang("/oauth/token")
    first = subprocess.Popen([rig.BUILD / "kubetoken", "get", NAMES[0]], env=home.environment,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rig.wait_until(fake.grants, "a login")
    r = home.run("get", NAMES[1], "--timeout", "1s")
    assert r.returncode == 7 and r.stderr.count("\n") == 1
    assert f"still waiting for the login of profile {NAMES[0]}, which is waiting for" in r.stderr
    first.kill()
    first.wait()


def test_a_login_that_another_machine_is_in_the_way_of(fake, home, daemon):
    """The token in hand goes on being served, a typed password is kept, and one probe heals it."""
    keycloak = OneAtATime(fake)
    keycloak.go.set()
    home.configure(profile(fake, "a", password=""))
    daemon.start()
    assert home.run("login", input="good").returncode == 0
    token = home.run("get").stdout
    before = len(fake.grants())
    keycloak.elsewhere = 1
    r = home.run("refresh", "--timeout", "2s")
    assert r.returncode == 6 and "refused a password that it took before" in r.stderr
    assert home.run("get").returncode == 0
    rig.wait_until(lambda: home.status("a")["state"] == "idle", "the probe")
    assert len(fake.grants()) == before + 2 and pause_before(fake, -1) >= 5
    assert home.run("get").stdout != token


def pause_before(fake, n):
    """Seconds between that login and the one before."""
    return fake.grants()[n].at - fake.grants()[n - 1].at


def test_a_password_that_was_taken_is_refused_twice_however_many_profiles(fake, home, daemon):
    """Each with a client of its own, of a provider that gives no reason."""
    home.write("pw", "good")
    home.configure("".join(profile(fake, n).replace("client-id = client", f"client-id = {n}")
                           for n in NAMES[:6]))
    fake.answers["/oauth/token"] = lambda r: (
        json_answer({**fake.token(), "id_token": fake.id_token(aud=r.form["client_id"])})
        if r.form["password"] == fake.good else (403, {}, b""))
    daemon.start()
    codes, errors = get_all(home, NAMES[:6])
    assert codes == [0] * 6, errors
    fake.good = "other"
    clients = [subprocess.Popen([rig.BUILD / "kubetoken", "refresh", n], env=home.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
               for n in NAMES[:6]]
    assert {c.wait(rig.PATIENCE) for c in clients} == {6}
    rig.wait_until(lambda: {p["state"] for p in home.status()} == {"stopped"}, "the end of it")
    assert len(fake.grants()) == 6 + 2


def test_a_doubt_outlives_a_restart(fake, home, daemon):
    home.write("pw", "good")
    home.configure(profile(fake, "a", extra="keep-over-restart = nothing"))
    daemon.start()
    assert home.run("get").returncode == 0
    fake.good = "other"
    assert home.run("refresh", "--timeout", "1s").returncode == 6
    for _ in range(2):
        daemon.restart()
        assert home.run("get", "--timeout", "1s").returncode == 6
    assert home.run("get").returncode == 6, "the probe, and its answer"
    assert home.status("a")["state"] == "stopped"
    assert len(fake.grants()) == 3 and pause_before(fake, 2) >= 5


# ---- whose refusal it is -------------------------------------------------------------------------


def by_client(fake):
    """Auth0's way: 401 access_denied for a client's secret that is wrong."""
    fake.answers["/oauth/token"] = lambda r: (
        json_answer(fake.token()) if r.form["client_secret"] == "right" else
        json_answer({"error": fake.word, "error_description": "Unauthorized"}, 401))


@pytest.mark.parametrize("word, code", [("invalid_client", "client-refused"),
                                        ("access_denied", None)])
@pytest.mark.parametrize("restart", [False, True])
def test_a_refused_client_goes_on_once_it_is_mended(fake, home, daemon, word, code, restart):
    fake.word = word
    by_client(fake)
    home.configure(profile(fake, "a", "password = good", extra="client-secret = wrong"))
    daemon.start()
    assert home.run("get").returncode == 6
    assert code in (None, home.status("a")["error"]["code"])
    daemon.reload()
    assert home.run("get").returncode == 6
    assert len(fake.grants()) == 1, "nothing has changed"
    home.configure(profile(fake, "a", "password = good", extra="client-secret = right"))
    if restart:
        daemon.restart()
    else:
        daemon.reload()
    assert home.run("get").returncode == 0
    assert len(fake.grants()) == 2


def test_a_corrected_client_id_is_tried(fake, home, daemon):
    """Another identity: today's sentence for the password's refusal is not what answers."""
    fake.answers["/oauth/token"] = lambda r: (
        json_answer(fake.token()) if r.form["client_id"] == "client" else
        json_answer({"error": "access_denied"}, 401))
    right = profile(fake, "a", "password = good")
    home.configure(right.replace("client-id = client", "client-id = cleint"))
    daemon.start()
    assert home.run("get").returncode == 6
    home.configure(right)
    daemon.reload()
    assert home.run("get").returncode == 0
    assert len(fake.grants()) == 2


def test_a_refused_client_stops_every_profile_of_it_also_after_a_restart(fake, home, daemon):
    fake.word = "invalid_client"
    by_client(fake)
    home.configure("".join(profile(fake, n, "password = good", user=n,
                                   extra="client-secret = wrong") for n in NAMES[:4]))
    daemon.start()
    assert home.run("get", NAMES[0]).returncode == 6
    assert get_all(home, NAMES[:4])[0] == [6] * 4
    daemon.restart(crash=True)
    codes, errors = get_all(home, NAMES[:4])
    assert codes == [6] * 4 and all("invalid_client: Unauthorized" in e for e in errors)
    assert len(fake.grants()) == 1


def test_a_corrected_client_does_not_send_a_refused_password_again(fake, home, daemon):
    home.write("pw", "stale")
    home.configure(profile(fake, "a", extra="client-secret = one"))
    daemon.start()
    assert home.run("get").returncode == 6
    home.configure(profile(fake, "a", extra="client-secret = two"))
    daemon.reload()
    assert home.run("get").returncode == 6
    assert len(fake.grants()) == 1


def test_a_realm_is_another_user_database(fake, home, daemon):
    home.write("pw", "stale")
    home.configure("".join(profile(fake, n, extra=f"realm = {n}") for n in NAMES[:2]))
    fake.answers["/oauth/token"] = lambda r: (
        json_answer(fake.token()) if r.form["realm"] == NAMES[1] else
        json_answer({"error": "invalid_grant"}, 403))
    daemon.start()
    assert home.run("get", NAMES[0]).returncode == 6
    assert home.run("get", NAMES[1]).returncode == 0
    daemon.restart()
    assert home.run("get", NAMES[0]).returncode == 6
    assert home.run("get", NAMES[1]).returncode == 0
    assert [r.form["realm"] for r in fake.grants()] == [NAMES[0], NAMES[1]]


def test_a_trial_that_ends_without_a_word_is_taken_up_by_the_next(fake, home, daemon):
    home.write("pw", "good")
    home.configure("".join(profile(fake, n) for n in NAMES[:2]))
    good = fake.answers["/oauth/token"]
    seen = []

    def answer(request):
        seen.append(1)
        return good(request) if len(seen) > 1 else (500, {}, b"")
    fake.answers["/oauth/token"] = answer
    daemon.start()
    codes, errors = get_all(home, NAMES[:2])
    assert codes == [0, 0], errors


def test_six_logins_at_once_then_they_are_spread(fake, home, daemon):
    home.write("pw", "good")
    home.configure(profile(fake, "a"))
    daemon.start()
    for _ in range(6):
        assert home.run("refresh").returncode == 0
    r = home.run("refresh", "--timeout", "2s")
    assert r.returncode == 7 and "too many logins" in r.stderr and r.stderr.count("\n") == 1
    assert len(fake.grants()) == 6
    assert home.run("get").returncode == 0, "the token in hand is served"
    assert home.status("a")["state"] == "waiting"
    rig.wait_until(lambda: len(fake.grants()) == 7, "the seventh, by itself")


def test_what_did_not_reach_the_provider_is_no_login(fake, home, daemon):
    home.write("pw", "good")
    port = fake.base.rsplit(":", 1)[1]
    home.configure(profile(fake, "a").replace(port, "1"))
    daemon.start()
    for _ in range(12):
        r = home.run("refresh", "--timeout", "1s")
        assert r.returncode == 7 and "too many logins" not in r.stderr


def test_a_refresh_token_is_no_login(fake, home, daemon):
    fake.answers["/oauth/token"] = lambda _: json_answer(fake.token(refresh_token="r"))
    home.write("pw", "good")
    home.configure(profile(fake, "a"))
    daemon.start()
    for _ in range(12):
        assert home.run("refresh").returncode == 0


def test_a_silent_refusal_is_tried_again_with_another_client_secret(fake, home, daemon):
    """Which of the two was wrong is not known: for this profile either may be mended."""
    fake.answers["/oauth/token"] = lambda r: (
        json_answer(fake.token()) if r.form["client_secret"] == "right" else (403, {}, b""))
    home.write("pw", "good")
    home.write("secret", "wrong")
    home.configure(profile(fake, "a", extra="client-secret-file = secret") +
                   profile(fake, "b", extra="client-secret-file = secret"))
    daemon.start()
    assert get_all(home, ["a", "b"])[0] == [6, 6]
    assert len(fake.grants()) == 1
    home.write("secret", "right")
    first = fake.grants()[0]
    assert first.form["client_secret"] == "wrong"
    codes = [home.run("get", name).returncode for name in ("a", "b")]
    assert 0 in codes
    assert home.run("get", "a").returncode == home.run("get", "b").returncode == 0


# ---- sources that change -------------------------------------------------------------------------


def sent(fake):
    return [r.form["password"] for r in fake.grants()]


@pytest.mark.parametrize("how", ["rewritten", "replaced"])
def test_after_a_refusal_nothing_is_timed_until_the_file_changes(fake, home, daemon, how):
    home.write("pw", "stale")
    home.configure(profile(fake, "a"))
    daemon.start()
    assert home.run("get").returncode == 6
    assert "retryTimestamp" not in home.status("a")
    if how == "rewritten":
        home.write("pw", "good")
    else:
        home.write("new", "good").rename(home.config / "pw")
    rig.wait_until(lambda: home.status("a")["state"] == "idle", "a token, with nobody asking")
    assert sent(fake) == ["stale", "good"]


def test_other_files_in_the_folder_change_nothing(fake, home, daemon):
    home.write("pw", "stale")
    home.configure(profile(fake, "a"))
    daemon.start()
    assert home.run("get").returncode == 6
    home.write("other", "x")
    home.write("pw", "stale")  # written anew, and the same
    rig.wait_until(lambda: home.status("a")["state"] == "stopped", "a look at it")
    assert home.run("get").returncode == 6
    assert sent(fake) == ["stale"]


def test_a_file_that_is_mended_is_seen(fake, home, daemon):
    path = home.write("pw", "good", mode=0o644)
    home.configure(profile(fake, "a"))
    daemon.start()
    assert home.run("get").returncode == 9
    path.chmod(0o600)
    rig.wait_until(lambda: home.status("a")["state"] == "idle", "a token, with nobody asking")


def test_a_password_that_was_changed_at_the_provider_first(fake, home, daemon):
    """The order that most people take: there the token lives on, and then the source follows."""
    home.write("pw", "good")
    home.configure(profile(fake, "a"))
    daemon.start()
    token = home.run("get").stdout
    fake.good = "better"
    assert home.run("refresh", "--timeout", "1s").returncode == 6
    assert home.run("get").stdout == token
    home.write("pw", "better")
    rig.wait_until(lambda: home.status("a")["state"] == "idle", "a token by the new password")
    assert sent(fake)[:2] == ["good", "good"] and sent(fake)[-1] == "better"
    assert len(fake.grants()) <= 4, "with a probe, if that came before"


def test_a_password_that_changes_while_the_old_one_has_to_wait_goes_at_once(fake, home, daemon):
    """With nobody asking: the pause was the old one's."""
    home.write("pw", "old")
    home.configure(profile(fake, "a"))
    fake.answers["/oauth/token"] = lambda r: (
        json_answer(fake.token()) if r.form["password"] == "new" else
        (403, {"Content-Type": "text/html"}, b"<title>no</title>"))
    daemon.start()
    assert home.run("get").returncode == 7
    s = home.status("a")
    assert s["state"] == "waiting"
    assert rig.seconds(s["retryTimestamp"]) - rig.seconds(s["sinceTimestamp"]) > 250
    home.write("pw", "new")
    rig.wait_until(lambda: home.status("a")["state"] == "idle", "a token by the new password")
    assert sent(fake) == ["old", "new"]


# ---- over a restart ------------------------------------------------------------------------------


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("keep", ["tokens", "all", "nothing"])
def test_a_restart_forgets_no_refusal(fake, home, daemon, crash, keep):
    """Nor what the provider said."""
    home.write("pw", "stale")
    home.configure("".join(profile(fake, n, extra=f"keep-over-restart = {keep}")
                           for n in NAMES[:3]))
    daemon.start()
    assert set(get_all(home, NAMES[:3])[0]) == {6}
    for _ in range(3):
        daemon.restart(crash)
        codes, errors = get_all(home, NAMES[:3])
        assert set(codes) == {6} and all("invalid_grant: no" in e for e in errors)
    assert sent(fake) == ["stale"]
    home.write("pw", "good")
    assert home.run("get", NAMES[0]).returncode == 0


def test_a_crash_loop_is_no_login_loop(fake, home, daemon):
    """What the provider has not answered yet was counted before it was sent."""
    fake.hang("/oauth/token")
    home.write("pw", "good")
    home.configure(profile(fake, "a"))
    daemon.start()
    for i in range(2):
        client = subprocess.Popen([rig.BUILD / "kubetoken", "get"], env=home.environment,
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        rig.wait_until(lambda: len(fake.grants()) == i + 1, "a login")
        client.kill()
        client.wait()
        daemon.restart(crash=True)
    for _ in range(3):
        r = home.run("get", "--timeout", "1s")
        assert r.returncode == 7 and "has not answered this password" in r.stderr
        assert "refused" not in r.stderr and home.status("a")["error"]["code"] == "silence"
        daemon.restart(crash=True)
    assert len(fake.grants()) == 2


KEY_AT = 32  # in the head of the store


def test_a_store_that_is_not_to_be_believed_is_made_anew(fake, home, daemon):
    home.write("pw", "stale")
    home.configure(profile(fake, "a"))
    daemon.start()
    assert home.run("get").returncode == 6
    byte, = os.pread(daemon.stored, 1, KEY_AT)
    os.pwrite(daemon.stored, bytes([byte ^ 1]), KEY_AT)  # which a checksum covers
    daemon.restart()
    assert home.run("get").returncode == 6
    assert sent(fake) == ["stale", "stale"]
    daemon.restart()
    assert home.run("get").returncode == 6
    assert sent(fake) == ["stale", "stale"], "the new one is kept"


def sealed(content, size=None):
    fd = os.memfd_create("test", os.MFD_ALLOW_SEALING)
    os.write(fd, content)
    os.ftruncate(fd, size or len(content))
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK)
    return fd


def head(version):
    return b"KTSTORE\0" + struct.pack("=Q", version)


@pytest.mark.parametrize("make, says", [
    (lambda size: sealed(b""), "it is empty"),
    (lambda size: sealed(bytes(size)), "it is none of kubetokend's"),
    (lambda size: sealed(b"KT"), "it is none of kubetokend's"),
    (lambda size: sealed(head(2), size), "it was written by an earlier version"),
    (lambda size: sealed(head(999), size), "it was written by a later version"),
    (lambda size: sealed(head(3) + os.urandom(64), size), "its checksum is wrong"),
    (lambda size: os.open("/dev/null", os.O_RDWR), "it is no sealed memory"),
    (lambda size: os.pipe()[0], "it is no sealed memory"),
])
def test_a_state_that_cannot_be_taken_up_is_told(fake, home, daemon, make, says):
    home.write("pw", "good")
    home.configure(profile(fake, "a"))
    daemon.start()
    size = os.fstat(daemon.stored).st_size
    daemon.stop()
    daemon.forget_store()
    daemon.stored = make(size)
    daemon.start()
    assert home.run("get").returncode == 0
    assert f"is not taken up: {says};" in daemon.log.read_text()
    assert os.fstat(daemon.stored).st_size == size, "a new one is given to systemd"
    assert any("FDSTOREREMOVE=1" in m for m in daemon.messages)


def test_what_an_unknown_version_stored_is_no_reason_to_end(fake, home, daemon):
    """After a downgrade, or by a drop-in of the user's: also a second socket."""
    home.write("pw", "stale")
    home.configure(profile(fake, "a"))
    daemon.start()
    assert home.run("get").returncode == 6
    second = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    second.bind(str(home.folder / "second"))
    second.listen()
    daemon.extra = [("tokens", sealed(b"canary")), ("state", sealed(b"x")),
                    ("client", os.pipe()[0]), ("listen", second.fileno())]
    for crash in (False, True):
        daemon.restart(crash)
        assert home.run("get").returncode == 6
        assert sent(fake) == ["stale"], "the refusal is known: the right state was taken"
    for name in ("tokens", "client", "listen"):
        assert daemon.log.read_text().count(f"named {name} that is not known here") == 2
    assert daemon.log.read_text().count("not taken up: it is none of kubetokend's\n") == 2
    removed = [m for m in daemon.messages if "FDSTOREREMOVE=1" in m]
    assert any("FDNAME=tokens" in m for m in removed)
    assert "canary" not in daemon.log.read_text()
    second.close()


def test_a_provider_that_says_nothing_to_a_new_password_is_not_asked_at_speed(fake, home, daemon):
    """Its refusals may be what is lost, and it may count them."""
    fake.hang("/oauth/token")
    home.write("pw", "new")
    home.configure(profile(fake, "a", extra="timeout = 1s"))
    daemon.start()

    def pause():
        s = home.status("a")
        return "retryTimestamp" in s and (
            rig.seconds(s["retryTimestamp"]) - rig.seconds(s["sinceTimestamp"]))
    assert home.run("get", "--timeout", "1s").returncode == 7
    rig.wait_until(lambda: (pause() or 0) > 50, "a longer pause")
    assert len(fake.grants()) == 2
    before = home.status("a")
    daemon.restart()
    assert home.run("get").returncode == 7
    s = home.status("a")
    for name in ("state", "retryTimestamp", "error"):
        assert s[name] == before[name]
    assert "refused" not in home.run("status").stdout
    assert len(fake.grants()) == 2
    fake.answers["/oauth/token"] = lambda _: json_answer(fake.token())
    assert home.run("refresh").returncode == 0, "a person's word"


PAGE = (403, {"Content-Type": "text/html", "Server": "cloudflare"},
        b"<html><title>Attention Required! | Cloudflare</title>")


def test_a_page_in_the_way_costs_no_password_and_is_asked_once_for_all(fake, home, daemon):
    """What is typed is kept, the token in hand is served, and a restart is no way around it."""
    home.write("pw", "good")
    home.configure("".join(profile(fake, n, extra="keep-over-restart = nothing")
                           for n in NAMES[1:3]) + profile(fake, NAMES[0], password=""))
    daemon.start()
    assert home.run("login", NAMES[0], input="good").returncode == 0
    token = home.run("get", NAMES[0]).stdout
    fake.answers["/oauth/token"] = PAGE
    fake.requests.clear()
    r = home.run("refresh", NAMES[0], "--timeout", "1s")
    assert r.returncode == 7 and "Attention Required! | Cloudflare" in r.stderr
    assert "something between here and the provider answered" in r.stderr
    assert home.run("get", NAMES[0]).stdout == token
    codes, errors = get_all(home, NAMES[1:3])
    assert set(codes) == {7} and all("the next login is made in" in e for e in errors)
    s = home.status(NAMES[0])
    assert s["state"] == "waiting" and s["error"]["code"] == "gateway"
    assert 290 <= rig.seconds(s["retryTimestamp"]) - rig.seconds(s["sinceTimestamp"]) <= 380
    assert len(fake.grants()) == 1
    fake.answers["/oauth/token"] = lambda _: json_answer(fake.token())
    assert home.run("refresh", NAMES[0]).returncode == 0, "the typed password was kept"
    codes, errors = get_all(home, NAMES[1:3])
    assert codes == [0, 0], errors
    fake.answers["/oauth/token"] = PAGE
    home.run("refresh", NAMES[1], "--timeout", "1s")
    daemon.restart(crash=True)
    before = len(fake.grants())
    codes, errors = get_all(home, NAMES[1:3])
    assert set(codes) == {7} and len(fake.grants()) == before


def test_a_password_never_taken_is_denied_three_times_a_day_for_all_profiles(fake, home, daemon):
    home.write("pw", "good")
    home.configure("".join(profile(fake, n) for n in NAMES[:4]))
    fake.answers["/oauth/token"] = PAGE
    daemon.start()
    codes, _ = get_all(home, NAMES[:4])
    assert set(codes) == {7} and len(fake.grants()) == 1
    for name in NAMES[:2]:
        home.run("refresh", name, "--timeout", "1s")
    for _ in range(2):
        for name in NAMES[:4]:
            r = home.run("get", name)
            assert r.returncode == 6, r.stderr
        daemon.restart()
    assert len(fake.grants()) == 3
    home.write("pw", "new")
    assert home.run("get", NAMES[0]).returncode == 7
    assert len(fake.grants()) == 4, "another password is another matter"


# ---- a person's word -----------------------------------------------------------------------------


def test_logout_takes_back_a_word_that_has_not_been_used(fake, home, daemon):
    """`refresh` sends what was refused; said while the provider is away, and taken back, it does
    not."""
    home.write("pw", "stale")
    home.configure(profile(fake, "a"))
    daemon.start()
    assert home.run("get").returncode == 6
    fake.certify(trusted=False)
    assert home.run("refresh", "--timeout", "1s").returncode == 7
    assert home.run("logout").returncode == 0
    fake.certify()
    assert home.run("get").returncode == 6
    assert sent(fake) == ["stale"]


def test_a_refresh_of_twenty_profiles_sends_a_wrong_password_once(fake, home, daemon):
    """Who said it before the provider refused hears that, and is not asked for in turn."""
    home.write("pw", "stale")
    home.configure("".join(profile(fake, n) for n in NAMES))
    daemon.start()
    release = threading.Event()
    refuse = fake.answers["/oauth/token"]

    def answer(request):
        release.wait(rig.PATIENCE)
        return refuse(request)
    fake.answers["/oauth/token"] = answer
    clients = [subprocess.Popen([rig.BUILD / "kubetoken", "refresh", name], env=home.environment,
                                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
               for name in NAMES]
    rig.wait_until(lambda: {p["state"] for p in home.status()} == {"asking"}, "all of them")
    release.set()
    errors = [c.communicate(timeout=rig.PATIENCE)[1] for c in clients]
    assert {c.returncode for c in clients} == {6} and all("invalid_grant" in e for e in errors)
    assert sent(fake) == ["stale"]


def test_one_refresh_after_the_other_sends_a_wrong_password_once_in_some_seconds(fake, home,
                                                                                 daemon):
    """A loop over the profiles of one account must not lock it; what was said before counts."""
    home.write("pw", "stale")
    home.configure("".join(profile(fake, n) for n in NAMES[:2]))
    daemon.start()
    assert home.run("get", NAMES[0]).returncode == 6
    requests = b"".join(b"refresh * %s\n" % NAMES[i % 2].encode() for i in range(12))
    answers = rig.ask(home, requests)
    assert answers.count(b"error refused ") == 12
    assert sent(fake) == ["stale", "stale"]
    fake.good = "stale"

    def refreshed():
        return home.run("refresh", NAMES[1]).returncode == 0
    rig.wait_until(refreshed, "the end of these seconds")
    assert home.run("get", NAMES[0]).returncode == 0


def test_a_file_that_changes_while_its_password_is_under_way(fake, home, daemon):
    """The refusal comes when the file is changed already, and nothing more happens to it."""
    home.write("pw", "stale")
    home.configure(profile(fake, "a"))
    daemon.start()
    refuse, release = fake.answers["/oauth/token"], threading.Event()

    def answer(request):
        release.wait(rig.PATIENCE)
        return refuse(request)
    fake.answers["/oauth/token"] = answer
    client = subprocess.Popen([rig.BUILD / "kubetoken", "get"], env=home.environment,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rig.wait_until(fake.grants, "the request")
    home.write("pw", "good")
    release.set()
    client.wait(rig.PATIENCE)
    rig.wait_until(lambda: home.status("a")["state"] == "idle", "a token, with nobody asking")
    assert sent(fake) == ["stale", "good"]
