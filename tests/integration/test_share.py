"""A share (`kubetoken share`): a socket where guests get the token of one profile that is in hand,
and can do nothing else."""
import contextlib
import fcntl
import json
import os
import pathlib
import re
import signal
import socket
import stat
import threading
import time
import warnings

import pytest

import rig
from rig import unwrapped, wait_until
from scripted import json_answer

VERBS = re.findall(r'^    \[VERB_\w+\] = "([a-z-]+)",$',
                   (rig.TOP / "common" / "protocol.c").read_text(encoding="utf-8"), re.M)
SECRET = b"canary-of-a-guest"


@pytest.fixture
def shared(fake, home, daemon):
    """Two profiles, each with a token, and one of them shared: returns the socket's path."""
    home.configure(fake.profile("p") + fake.profile("q", user="other"))
    daemon.start()
    for name in "pq":
        assert home.run("get", name).returncode == 0
    return share(home)


def share(home, name="box", profile="p", *args):
    r = home.run("share", name, "--profile", profile, *args)
    assert r.returncode == 0, r.stderr
    return pathlib.Path(r.stdout.strip())


def place(home, name="box"):
    return home.runtime / "kubetoken-share" / name / "socket"


def guest(home, path, *args):
    """The client, where the share is all there is."""
    return home.run(*args, env={"KUBETOKEN_SOCKET": str(path), "XDG_RUNTIME_DIR": ""})


@contextlib.contextmanager
def connected(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(rig.PATIENCE)
        s.connect(str(path))
        yield s


def read(s):
    answer = b""
    while chunk := s.recv(65536):
        answer += chunk
    return answer.decode()


def ask(path, request):
    """One request of a guest, raw; all until the daemon closes."""
    with connected(path) as s:
        s.sendall(request)
        with contextlib.suppress(OSError):  # who drained us may be gone
            s.shutdown(socket.SHUT_WR)
        return read(s)


def shares(home):
    return json.loads(home.run("status", "--json").stdout)["shares"]


def entries(home, event, *args):
    lines = map(json.loads, home.run("log", "--json", *args).stdout.splitlines())
    return [line for line in lines if line["event"] == event]


def unwatched(home):
    """How all stands, but for how long."""
    text = home.run("status", "--json").stdout
    return re.sub(r'"(expiresInSeconds|handOuts)":\d+', "", text)


# ---- what a guest gets ---------------------------------------------------------------------------


def test_a_guest_gets_the_token_in_hand_and_the_log_says_by_which_share(fake, home, shared):
    token = home.run("get", "p").stdout
    assert shared == place(home)
    assert [p.name for p in shared.parent.iterdir()] == ["socket"]
    modes = [stat.S_IMODE(os.lstat(p).st_mode) for p in (shared.parent, shared)]
    assert modes == [0o700, 0o600]
    grants = len(fake.grants())
    for args in ((), ("p",), ("--min-validity", "5m"), ("-o", "exec/v1"), ("--rehearse", "1m")):
        if "--rehearse" in args:
            args = (*args, "-o", "json")
        r = guest(home, shared, "get", *args)
        assert (r.returncode, r.stderr) == (0, "") and token.strip() in r.stdout
    assert len(fake.grants()) == grants
    lines = unwrapped(home.run("log", "p").stdout)
    assert re.search(r"handed out to \S+ \(\d+\) by the share box, 5 times", lines), lines
    # what is the same process at home is told apart
    assert {e.get("share") for e in entries(home, "hand-out", "p")} == {None, "box"}
    assert shares(home)[0]["handOuts"] == 5
    status = unwrapped(home.run("status").stdout)
    assert re.search(r"^p: shared as box for 7 h 59 min more: " + re.escape(str(shared)) + "$",
                     status, re.M), status


# What stands in a request's line behind its verb, and behind the line: less than that announces, so
# that who reads it waits for more.
REST = {"login": (b" * * secret=16384", SECRET), "inspect": (b" * * secret=16384", SECRET),
        "share": (b" * * share=box for=1h renew", b""), "unshare": (b" * * share=box", b"")}
OTHERS = [(verb, verb.encode() + REST.get(verb, (b"",))[0] + b"\n", REST.get(verb, (b"", b""))[1])
          for verb in VERBS if verb != "get"]
OTHERS += [("profile q", b"get token q\n", b""), ("profile other", b"get json other once\n", b""),
           ("another token for a rejected one", b"get token p rejected once\n", b""),
           ("another token for a rejected one", b"get * * rejected client-go=1\n", b""),
           ("login", b"login refresh-token p secret=16384\n", SECRET),
           ("status", b"status metrics * with-user parts\n", b"")]


def test_a_guest_can_do_nothing_else(fake, home, daemon, shared):
    """Every word of the protocol, also one that is new by now."""
    assert {"get", "login", "logout", "share", "stop", "watch"} < set(VERBS) and len(VERBS) >= 19
    before, grants = unwatched(home), len(fake.requests)
    for what, line, block in OTHERS:
        answer = ask(shared, line + block)
        assert re.match(r"error not-shared 0 \d+\nkubetoken: a share gives the token of its "
                        r"profile and nothing else: ", answer), (line, answer)
        assert f": {what} is not what box gives, a share of profile p;" in answer, (line, answer)
        assert "canary" not in answer
    # several in one line of words, and behind an answer
    answer = ask(shared, b"get token p\nlogout\nget token p\n")
    assert re.sub(r"eyJ\S+", "T", answer) == re.sub(
        r"eyJ\S+", "T", re.sub(r"(?s)(ok \d+ 0\n\S+\n)(error not-shared.*\n)(ok.*)", r"\1\2\1",
                               answer))
    assert answer.count("ok ") == 2 and answer.count("error not-shared") == 1
    assert "error bad-request" in ask(shared, b"nonsense\n")
    assert unwatched(home) == before and len(fake.requests) == grants
    assert daemon.alive


def test_each_command_says_so_at_a_share(home, shared):
    for args in (["status"], ["list"], ["inspect"], ["logout"], ["refresh"], ["reload"], ["stop"],
                 ["log"], ["why"], ["get", "q"], ["get", "--rejected"], ["share", "more"],
                 ["unshare", "box"], ["run", "--", "true"]):
        r = guest(home, shared, *args)
        assert r.returncode == (125 if args[0] == "run" else 1), (args, r.stderr)
        assert "a share gives the token of its profile and nothing else" in r.stderr, args
        assert r.stdout == "" and "canary" not in r.stderr
    assert guest(home, shared, "login", "p").returncode != 0
    assert [s["share"] for s in shares(home)] == ["box"]


# ---- a guest sets nothing in motion --------------------------------------------------------------


def test_a_guest_starts_no_request_whatever_is_wrong_at_home(fake, home, daemon):
    home.configure(fake.profile("p", extra="keep-fresh = 1s"))
    daemon.start()
    path = share(home)
    grants = len(fake.grants())
    for args, says in ((("--min-validity", "50m"), None),
                       (("--min-validity", "2h"), "the token in hand lives 59 min")):
        r = guest(home, path, "get", *args)
        assert (r.returncode, says is None or says in r.stderr) == (says is not None, True), r
    # what a client-go says of itself is not looked at
    pid = os.getpid()
    for _ in range(4):
        assert ask(path, b"get token p client-go=%d once\n" % pid).startswith("ok ")
    assert len(fake.grants()) == grants
    assert entries(home, "rejection") == []

    assert home.run("logout", "p").returncode == 0
    r = guest(home, path, "get")
    assert (r.returncode, r.stdout) == (1, "")
    assert r.stderr == (
        "kubetoken: the share has no token to give: none is in hand, and none is being fetched; "
        "where it was opened, say kubetoken get, which tells what is missing\n")
    assert len(fake.grants()) == grants

    fake.answers["/oauth/token"] = 503, {}, b""
    assert home.run("get", "p", "--timeout", "1s").returncode == 7
    before = wait_until(lambda: home.status("p").get("retryTimestamp"), "a time to try again")
    requests = len(fake.grants())
    r = guest(home, path, "get")
    assert r.returncode == 1 and "the share has no token to give: " in r.stderr
    assert fake.host not in r.stderr and str(home.folder) not in r.stderr
    assert home.status("p")["retryTimestamp"] >= before or len(fake.grants()) > requests
    del fake.answers["/oauth/token"]
    assert home.run("get", "p").returncode == 0
    assert guest(home, path, "get").returncode == 0


def test_a_guest_waits_for_the_request_under_way_and_is_nobody_who_waits(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    path = share(home)
    assert home.run("logout").returncode == 0
    asked, go = threading.Event(), threading.Event()

    def answer(_):
        asked.set()
        go.wait(rig.PATIENCE)
        return json_answer(fake.token())
    fake.answers["/oauth/token"] = answer
    with rig.converse(home) as at_home, connected(path) as one, connected(path) as other:
        at_home.write(b"get token p once\n")
        at_home.flush()
        assert asked.wait(rig.PATIENCE)
        one.sendall(b"get token p once\n")
        other.sendall(b"get token p once timeout=1s\n")
        late = read(other)  # its own time, and nobody else's
        assert late.startswith("error share-empty") and "did not come in time" in late
        go.set()
        assert read(one).splitlines()[1:] == at_home.read().decode().splitlines()[1:]
    assert len(fake.grants()) == 2
    assert {e.get("share") for e in entries(home, "hand-out")} == {None, "box"}


def test_a_share_keeps_the_token_fresh_as_long_as_it_is_open_and_no_guest_does(fake, home, daemon):
    home.configure(fake.profile(extra="keep-fresh = 1s"))
    daemon.start()
    assert home.run("get").returncode == 0
    assert "renewalTimestamp" not in home.status("p")
    path = share(home)
    assert "renewalTimestamp" in home.status("p")
    assert home.run("share", "second").returncode == 0
    assert home.run("unshare", "box").returncode == 0 and not path.exists()
    assert "renewalTimestamp" in home.status("p")
    assert home.run("unshare", "second").returncode == 0
    assert "renewalTimestamp" not in home.status("p")


# ---- how it ends ---------------------------------------------------------------------------------


def is_over(path):
    return not path.parent.exists()


def hung_up(s):
    """Whether the daemon has closed it."""
    return s.recv(1) == b""


def ended(home, name="box"):
    """What the log says of its end."""
    return [e["text"] for e in entries(home, "unshare") if e["share"] == name]


def test_it_ends_at_its_time(home, shared):
    path = share(home, "short", "p", "--for", "1s")
    with connected(path) as s:
        assert hung_up(s)
    assert is_over(path) and ended(home, "short") == ["its time is over"]
    assert [s["share"] for s in shares(home)] == ["box"] and not is_over(shared)
    lines = unwrapped(home.run("log").stdout)
    assert re.search(r" p +the share short is open until [\d:]+\n", lines), lines
    assert re.search(r" p +the share short ended: its time is over\n", lines), lines


def test_unshare_ends_it_and_leaves_whoever_came(fake, home, daemon, shared):
    assert home.run("logout", "p").returncode == 0
    fake.hang("/oauth/token")
    with rig.converse(home) as at_home, connected(shared) as idle, connected(shared) as waiting:
        at_home.write(b"get token p\n")
        at_home.flush()
        wait_until(lambda: home.status("p")["state"] == "asking", "a request")
        idle.sendall(b"get tok")
        waiting.sendall(b"get token p tell\n")
        assert waiting.recv(5) == b"wait "
        r = home.run("unshare", "box")
        assert (r.returncode, r.stdout, r.stderr) == (0, "", "")
        assert hung_up(idle)
        assert "ok " not in read(waiting)
    assert is_over(shared) and not shared.parent.parent.exists()
    assert ended(home) == ["somebody said unshare"]
    r = home.run("unshare", "box")
    assert (r.returncode, r.stderr) == (1, "kubetoken: no share of that name is open: box; "
                                           "kubetoken status shows those that are\n")
    r = guest(home, shared, "get")
    assert r.returncode == 3 and daemon.alive


def test_a_reload_ends_what_has_lost_its_profile(fake, home, daemon, shared):
    more = share(home, "more", "q")
    home.configure("colour = blue\n")
    daemon.reload()
    assert {s["share"] for s in shares(home)} == {"box", "more"}  # that file is not in force
    home.configure(fake.profile("p") + fake.profile("new"))
    with connected(more) as s:
        daemon.reload()
        assert hung_up(s)
    assert is_over(more) and ended(home, "more") == ["its profile is configured no more"]
    assert guest(home, shared, "get").returncode == 0
    home.configure(fake.profile("p", user="somebody-else"))
    daemon.reload()
    assert is_over(shared) and ended(home) == ["the configuration names another identity now"]


@pytest.mark.parametrize("crash", [False, True])
def test_a_restart_ends_none_where_systemd_keeps_them(fake, home, daemon, crash):
    home.configure(fake.profile("p") + fake.profile("q"))
    daemon.start()
    box, other = share(home), share(home, "other", "q", "--for", "5h")
    short = share(home, "short", "p", "--for", "1h")
    share(home, "short", "p", "--for", "3h", "--renew")
    gone, removed = share(home, "gone", "q"), share(home, "removed", "q")
    assert home.run("unshare", "gone").returncode == 0
    token, before = home.run("get", "p").stdout, {s["share"]: s for s in shares(home)}
    removed.unlink()  # by somebody else: nobody reaches it any more
    with connected(box) as s:
        s.sendall(b"get token p once\n")  # is dealt with by whoever comes next
        daemon.restart(crash=crash)
    assert set(daemon.shares) == {"share-box", "share-other", "share-short"}
    after = {s["share"]: s for s in shares(home)}
    assert set(after) == {"box", "other", "short"} and is_over(gone) and not removed.exists()
    for name, now in after.items():
        ends = [rig.seconds(x["expirationTimestamp"]) for x in (before[name], now)]
        assert abs(ends[0] - ends[1]) <= 1
        assert (now["socket"], now["profile"]) == (before[name]["socket"], before[name]["profile"])
    assert guest(home, box, "get").stdout == token and guest(home, other, "get").returncode == 0
    assert len(fake.grants()) == 2
    assert home.run("unshare", "box").returncode == 0
    daemon.hear()
    assert "share-box" not in daemon.shares
    # what lost its profile meanwhile, and what another hand has in the store
    daemon.stop()
    daemon.hear()
    home.configure(fake.profile("p"))
    with socket.socket(socket.AF_UNIX) as strange:
        strange.bind(str(home.folder / "strange"))
        strange.listen()
        daemon.shares["share-strange"] = os.dup(strange.fileno())
        daemon.start()
    assert [s["share"] for s in shares(home)] == ["short"] and is_over(other) and not is_over(short)
    daemon.hear()
    assert set(daemon.shares) == {"share-short"}
    assert "the share strange, which an earlier kubetokend left, is not taken up" in \
        daemon.log.read_text()


def test_an_end_is_kept_over_a_restart(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    path = share(home, "short", "p", "--for", "1s")
    end = time.clock_gettime(time.CLOCK_BOOTTIME) + 1
    daemon.stop()
    daemon.hear()
    with connected(path) as s:  # systemd holds it
        s.sendall(b"get token p once\n")
        wait_until(lambda: time.clock_gettime(time.CLOCK_BOOTTIME) > end, "that time")
        daemon.start()
        daemon.hear()  # and lets it go
        with contextlib.suppress(ConnectionResetError):
            assert read(s) == ""
    assert is_over(path) and shares(home) == []
    daemon.hear()
    assert daemon.shares == {}


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_without_systemd_they_end_with_the_daemon_and_nothing_stays(fake, home, how):
    home.configure(fake.profile())
    daemon = rig.Daemon(home, activated=False)
    folder = home.runtime / "kubetoken-share"
    try:
        daemon.start()
        path = share(home)
        other = folder / "other"  # what is no share's is left alone
        other.mkdir()
        (other / "file").write_text("kept")
        daemon.signal(how)
        daemon.process.wait(rig.PATIENCE)
        assert is_over(path) == (how == signal.SIGTERM)
        daemon.start()
        assert is_over(path) and shares(home) == []
        assert [p.name for p in folder.iterdir()] == ["other"]
        assert (other / "file").read_text() == "kept"
        assert share(home) == path and guest(home, path, "get").returncode == 0
    finally:
        daemon.close()
    assert is_over(path)


# ---- names and places ----------------------------------------------------------------------------


def refused(home, *args, code=1):
    r = home.run("share", *args)
    assert (r.returncode, r.stdout) == (code, ""), r
    return unwrapped(r.stderr)


def test_a_name_that_is_taken_says_by_whom_and_until_when(home, shared):
    until = r"box, of profile p, until (\d+ \w+ )?\d\d:\d\d:\d\d;"
    for args in (("box", "--profile", "p"), ("box", "--profile", "q"),
                 ("box", "--profile", "q", "--renew")):
        assert re.match("kubetoken: a share of that name is open: " + until, refused(home, *args))
    before = os.lstat(shared).st_ino, rig.seconds(shares(home)[0]["expirationTimestamp"])
    r = home.run("share", "box", "--profile", "p", "--renew", "--for", "10h")
    assert r.returncode == 0 and r.stdout == f"{shared}\n"
    assert re.fullmatch(r"kubetoken: p: the share box is open until (\d+ \w+ )?[\d:]+\n", r.stderr)
    after = os.lstat(shared).st_ino, rig.seconds(shares(home)[0]["expirationTimestamp"])
    assert after[0] == before[0] and 7000 < after[1] - before[1] < 7300
    assert share(home, "fresh", "q", "--renew") == place(home, "fresh")


def test_a_name_is_no_path_and_has_its_length(home, shared):
    for name in (".", "..", ".hidden", "a/b", "a b", "", "-x", "a" * 65, "ä", "a\nb"):
        says = refused(home, "--profile", "p", "--", name, code=2)
        assert "a share's name has up to 64 of A-Z a-z 0-9 . _ @ -" in says, name
    for request in (b"share * p share=.. once\n", b"share * p share=a/b once\n",
                    b"share * p share= once\n", b"share * p once\n", b"unshare once\n",
                    b"share * p share=-a once\n", b"share * p share=%b once\n" % (b"a" * 65),
                    b"share * p share=b for=0 once\n", b"share * p share=b for=8d once\n"):
        assert b"error bad-request" in rig.ask(home, request), request
    for time in ("0", "8d", "169h"):
        assert "--for takes 1s to 7d" in refused(home, "b", "--for", time, code=2)
    assert share(home, "b", "q", "--for", "7d").exists()
    assert "name the share" in refused(home, "--profile", "p", code=2)
    room = 107 - len(str(home.runtime / "kubetoken-share" / "" / "socket")) - 1
    if room < 64:
        assert share(home, "c" * room, "p") == place(home, "c" * room)
        says = refused(home, "c" * (room + 1), "--profile", "p")
        assert "its socket's path would be longer than 107 bytes" in says
    assert len(list((home.runtime / "kubetoken-share").iterdir())) == len(shares(home))


def test_what_stands_in_its_way_is_told_and_left_alone(fake, home, daemon):
    home.configure(fake.profile())
    daemon.start()
    folder = home.runtime / "kubetoken-share"
    (folder / "box").mkdir(parents=True)
    (folder / "box" / "file").write_text("kept")
    assert f"the share cannot be opened: {folder}/box: File exists;" in refused(home, "box")
    folder.chmod(0o777)
    assert "others can write to the socket's folder: " in refused(home, "other")
    folder.chmod(0o700)
    held = os.open(folder, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    assert "another kubetokend is at work there" in refused(home, "other")
    os.close(held)
    link = home.folder / "elsewhere"
    link.mkdir()
    (folder / "link").symlink_to(link)
    assert "File exists" in refused(home, "link") and list(link.iterdir()) == []
    assert (folder / "box" / "file").read_text() == "kept" and shares(home) == []
    for name in ("box/file", "box", "link"):
        (folder / name).rmdir() if name == "box" else (folder / name).unlink()
    folder.rmdir()
    folder.symlink_to(link)
    assert "is no folder" in refused(home, "box") and list(link.iterdir()) == []


def test_there_are_so_many_and_no_more(home, shared):
    for i in range(31):
        share(home, f"n{i}")
    assert "one-more: 32 are open already;" in refused(home, "one-more", "--profile", "p")
    names = [s["share"] for s in shares(home)]
    assert names == sorted(names) and len(names) == 32


def test_what_opens_it_makes_sure_of_a_token(fake, home, daemon):
    home.configure(fake.profile("p") + fake.profile("typed", password=""))
    daemon.start()
    assert guest(home, share(home), "get").returncode == 0 and len(fake.grants()) == 1
    assert "no password is known" in refused(home, "typed", "--profile", "typed", code=5)
    assert "which profile?" in refused(home, "any", code=4)
    assert "no such profile" in refused(home, "none", "--profile", "none", code=4)
    assert [s["share"] for s in shares(home)] == ["box"]


# ---- who comes, and how many ---------------------------------------------------------------------


def test_guests_make_room_among_themselves_alone(home, daemon, shared):
    with contextlib.ExitStack() as stack:
        at_home = stack.enter_context(rig.converse(home))
        of_another = stack.enter_context(connected(share(home, "elsewhere")))
        silent = [stack.enter_context(connected(shared)) for _ in range(70)]
        answer = ask(shared, b"get token p\n")  # stays for a moment: it needs a place
        assert answer.startswith("ok ")
        left = [s for s in silent if hung_up_by_now(s)]
        assert 6 <= len(left) <= 7 and left == silent[:len(left)]  # the longest-silent ones
        assert not hung_up_by_now(of_another)  # of another share, and silent for longer
        at_home.write(b"get token p\n")
        at_home.flush()
        assert at_home.readline().startswith(b"ok ")
    assert guest(home, shared, "get").returncode == 0


def hung_up_by_now(s):
    s.setblocking(False)
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False


def test_guests_who_all_wait_take_no_place_at_home(fake, home, daemon, shared):
    assert home.run("logout", "p").returncode == 0
    fake.hang("/oauth/token")
    with contextlib.ExitStack() as stack:
        at_home = stack.enter_context(rig.converse(home))
        at_home.write(b"get token p\n")
        at_home.flush()
        wait_until(lambda: home.status("p")["state"] == "asking", "a request")
        for _ in range(64):
            s = stack.enter_context(connected(shared))
            s.sendall(b"get token p tell\n")
            assert s.recv(5) == b"wait "
        with connected(shared) as s:  # is told before it has said anything
            assert read(s).startswith("error busy ")
        assert home.run("get", "q").returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="becomes another user: needs root")
def test_another_user_does_not_get_near_it(home, daemon, shared):
    """Not by the folder; and where somebody opens that, not by the kernel's word of who it is."""
    def attempt():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            try:
                os.setgroups([])
                os.setresgid(54321, 54321, 54321)
                os.setresuid(54321, 54321, 54321)
                with socket.socket(socket.AF_UNIX) as s:
                    s.settimeout(rig.PATIENCE)
                    s.connect(str(shared))
                    s.sendall(b"get token p once\n")
                    os._exit(3 if s.recv(1) else 4)
            except PermissionError:
                os._exit(5)
            except ConnectionError:
                os._exit(4)
            finally:
                os._exit(6)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    above = [p for p in shared.parents if p not in pathlib.Path("/tmp").parents]
    modes = {p: stat.S_IMODE(p.stat().st_mode) for p in above if p != shared.parent}
    try:
        for p in modes:
            p.chmod(modes[p] | 0o011)
        assert attempt() == 5
        shared.parent.chmod(0o777)
        shared.chmod(0o777)
        assert attempt() == 4
    finally:
        for p, mode in modes.items():
            p.chmod(mode)
    assert guest(home, shared, "get").returncode == 0


def test_guests_do_not_take_the_descriptors_that_home_needs(fake, home, daemon):
    """Few are allowed: fewer shares are open, and who crowds at them crowds out guests."""
    script = home.folder / "few"
    script.write_text(f"#!/bin/sh\nexec prlimit --nofile=64:64 {rig.BUILD}/kubetokend \"$@\"\n")
    script.chmod(0o755)
    daemon.program = script
    home.configure(fake.profile("p") + fake.profile("q"))
    daemon.start()
    paths = [share(home, f"n{i}") for i in range(4)]
    assert "one-more: 4 are open already;" in refused(home, "one-more", "--profile", "p")
    with contextlib.ExitStack() as stack, rig.converse(home) as at_home:
        at_home.write(b"get token q\n")
        at_home.flush()
        assert at_home.readline().startswith(b"ok ") and at_home.readline()
        for path in paths * 20:
            s = stack.enter_context(connected(path))
            with contextlib.suppress(OSError):
                s.sendall(b"get token p\nget tok")
                s.recv(1)  # it has its answer, or was sent away
        assert home.run("logout", "q").returncode == 0
        r = home.run("get", "q")  # a fetcher is started
        assert r.returncode == 0, r.stderr
        at_home.write(b"get token q\n")
        at_home.flush()
        assert at_home.readline().startswith(b"ok ")
        assert guest(home, paths[3], "get").returncode == 0
    assert len(fake.grants()) == 3
