"""Who owes a request makes room when there is none; who is owed an answer never does (P10)."""
import contextlib
import re
import resource
import select
import threading

import pytest

import rig
from rig import connect, wait_until

LIMIT = 64  # of the daemon's descriptors
FLOOD = 100
CLIENTS = 4096  # daemon/server.c
GET = b"get token slow tell once\n"


class Scene:
    """Profile p has its token in hand; the provider of profile slow answers when it is told to."""

    def __init__(self, home, fake, folder):
        self.home, self.fake, self.folder = home, fake, folder
        self.told, self.peers, self.clients = threading.Event(), [], []
        self.daemon = None
        fake.answers["/oauth/token"] = self.answer

    def answer(self, request):
        if request.form["username"] == "slow":
            self.told.wait()
        return self.fake.default_answer("/oauth/token")

    def start(self, limit=LIMIT):
        program = self.folder / "limited"
        program.write_text(f'#!/bin/sh\nulimit -n {limit}\nexec {rig.BUILD}/kubetokend "$@"\n')
        program.chmod(0o700)
        self.daemon = rig.Daemon(self.home, program=program)
        self.home.configure(
            self.fake.profile() + self.fake.profile("slow", user="slow", extra="timeout = 50s"))
        self.daemon.start()
        assert self.home.run("get", "p").returncode == 0
        return self

    def peer(self, request=b""):
        self.peers.append(connect(self.home))
        with contextlib.suppress(BrokenPipeError):  # it may be sent away at once
            self.peers[-1].sendall(request)
        return self.peers[-1]

    def waiting(self):
        """One that is told what it waits for, or, where it was sent away, why. As a client does it
        comes again where another took its place before its request was there."""
        while True:
            s = self.peer(GET)
            if said := answer(s, 1):
                return s, said

    def fill(self):
        """With those who wait, until there is no room for another. Returns them."""
        waiting = []
        while True:
            s, said = self.waiting()
            if said.startswith(b"error busy"):
                assert re.search(
                    r"^error busy 0 \d+\nkubetoken: kubetokend has too much to do: \d+ peers wait "
                    r"for an answer; try again in a moment\n$", (said + answer(s)).decode())
                return waiting
            waiting.append(s)
            assert len(waiting) < LIMIT

    def settle(self):
        """Whoever has come is accepted in turn, and served at once, if its request is there."""
        wait_until(lambda: answer(self.peer(b"get token p once\n")).startswith(b"ok "), "a token")

    def wait_for_slow(self):
        wait_until(lambda: any(r.form["username"] == "slow" for r in self.fake.grants()),
                   "the request that waits")

    def close(self):
        self.told.set()
        for s in self.peers:
            s.close()
        if self.daemon:
            self.daemon.close()


@pytest.fixture
def scene(home, fake, tmp_path):
    s = Scene(home, fake, tmp_path)
    yield s
    s.close()


def is_closed(peer):
    """By the daemon, whatever has come before."""
    poll = select.poll()
    poll.register(peer, 0)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def answer(peer, least=1 << 30):
    """So much of it, or until it is closed."""
    data = b""
    with contextlib.suppress(ConnectionResetError):  # it was not listened to any more
        while len(data) < least and (chunk := peer.recv(65536)):
            data += chunk
    return data


def test_a_get_that_waits_outlives_three_floods_of_silent_peers(scene):
    scene.start()
    waiting, watching = [scene.waiting()[0]], scene.peer(b"watch\n")
    scene.wait_for_slow()
    for _ in range(3):
        flood = [scene.peer() for _ in range(FLOOD)]
        scene.settle()
        closed = [is_closed(s) for s in flood]
        assert FLOOD - LIMIT < sum(closed) < FLOOD
        assert closed == sorted(closed, reverse=True), "not the one that was silent longest"
        late, said = scene.waiting()
        assert said.startswith(b"wait "), "a get that comes in a flood"
        waiting.append(late)
    assert not is_closed(watching)
    scene.told.set()
    said = [answer(s) for s in waiting]
    assert all(scene.fake.tokens[-1].encode() in text for text in said)
    assert len(scene.fake.grants()) == 2


def test_who_owes_a_request_goes_first_then_who_does_not_read_then_who_watches(scene):
    scene.start()
    watching = scene.peer(b"watch\n")
    unread = scene.peer(b"status\n" * 3000)
    silent = [scene.peer() for _ in range(5)]
    assert answer(watching, 1)
    waiting, order = [], [*silent, unread, watching]
    while not is_closed(watching):
        s, said = scene.waiting()
        assert said.startswith(b"wait ")
        waiting.append(s)
        closed = [is_closed(s) for s in order]
        assert closed == sorted(closed, reverse=True) and len(waiting) < LIMIT
    scene.told.set()
    assert len(waiting) > LIMIT / 4 and all(b"\nok " in b"\n" + answer(s) for s in waiting)


def test_where_all_wait_for_an_answer_others_get_theirs_at_once(scene):
    """Who would have to wait too is sent away, and tries again: the client does."""
    scene.start()
    waiting = scene.fill()
    assert LIMIT / 4 < len(waiting)
    assert scene.home.run("get", "p").returncode == 0
    r = scene.home.run("get", "slow", "--timeout", "1s")
    assert (r.returncode, r.stderr) == (1, "kubetoken: kubetokend has too much to do: as many as "
                                        "it takes wait for an answer; try again in a moment\n")
    late = threading.Thread(target=lambda: scene.clients.append(scene.home.run("get", "slow")))
    late.start()
    scene.settle()
    assert not any(is_closed(s) for s in waiting)
    scene.told.set()
    late.join()
    assert scene.clients[0].returncode == 0, scene.clients[0].stderr
    said = [answer(s) for s in waiting]
    assert all(scene.fake.tokens[-1].encode() in text for text in said)


def test_who_waits_does_not_keep_a_fetcher_from_its_start(scene):
    scene.start()
    waiting = scene.fill()
    r = scene.home.run("refresh", "p")
    assert r.returncode == 1 and "kubetokend has too much to do: " in r.stderr
    waiting[0].close()
    r = wait_until(lambda: scene.home.run("refresh", "p").stdout, "a new token")
    assert r == "p: a new token\n"


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < CLIENTS + 200,
                    reason="RLIMIT_NOFILE is too low for that many connections")
def test_with_as_many_clients_as_there_may_be_the_one_silent_longest_goes(scene):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, CLIENTS + 200), hard))
    try:
        scene.start(limit=CLIENTS + 200)
        waiting, _ = scene.waiting()
        silent = [scene.peer() for _ in range(CLIENTS - 2)]
        scene.settle()  # by one that may be the last for whom there is room
        assert not any(is_closed(s) for s in (waiting, *silent))
        silent += [scene.peer(), scene.peer()]
        scene.settle()
        closed = [is_closed(s) for s in silent]
        assert 1 <= sum(closed) <= 2 and closed == sorted(closed, reverse=True)
        assert not is_closed(waiting)
        scene.told.set()
        assert b"\nok " in b"\n" + answer(waiting)
    finally:
        scene.daemon.close()
        for s in scene.peers:
            s.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_half_a_request_has_ten_seconds_and_no_more_by_each_byte(scene):
    """Who has begun nothing, and who waits for an answer, may be silent for longer."""
    scene.start()
    (waiting, _), idle = scene.waiting(), scene.peer()
    half = [scene.peer(b"get token p"), scene.peer(b"version\nget"),
            scene.peer(b"login text p secret=20\nhunt")]
    dripping = [scene.peer(b"get "), scene.peer(b"login text p secret=4000\nx")]
    unread = scene.peer(b"status\n" * 3000)
    for _ in range(rig.PATIENCE * 4):
        left = [s for s in dripping if not is_closed(s)]
        if not left:
            break
        for s in left:
            with contextlib.suppress(BrokenPipeError):
                s.sendall(b"x")
        select.select(left, [], [], 0.25)
    else:
        raise AssertionError("each byte gives it more time")
    for s in half:
        answer(s)  # until it is closed
    rig.wait_until(lambda: is_closed(unread), "the end of who does not read")
    assert not is_closed(waiting) and not is_closed(idle)
    idle.sendall(b"get token p once\n")
    assert answer(idle).startswith(b"ok ")
    scene.told.set()
    assert b"\nok " in b"\n" + answer(waiting)
