"""Thousands of profiles, and crowds of peers: what the daemon says of them comes in parts, and what
they took goes back (docs/design.md §7)."""
import contextlib
import json
import re
import socket

import rig

MANY = 3000
SLOW = 100  # readers who read nothing
CROWD = 800  # peers; from 256 on, says daemon/server.c
TOKENS = 50
MIB = 1024  # KiB


def configuration(names, extra=""):
    return ("[defaults]\nissuer = https://login.example.com\nclient-id = client\n"
            f"password-file = /nowhere\n{extra}" +
            "".join(f"[profile {name}]\nusername = user-of-{name}\n" for name in names))


def cluster(i):
    return f"cluster-{i:05}"


def memory(daemon, what):
    """In KiB: RssAnon, VmLck, of the daemon."""
    with open(f"/proc/{daemon.process.pid}/status", encoding="ascii") as status:
        return int(re.search(rf"^{what}:\s+(\d+) kB$", status.read(), re.M)[1])


class Peer:
    """One that takes its answer in parts, as far as it is told to read."""

    def __init__(self, home, request):
        self.socket = rig.connect(home)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.sendall(request)
        self.file = self.socket.makefile("rb")

    def part(self):
        """Its word, and what it is."""
        word, out, err = self.file.readline().split()
        assert err == b"0"
        return word, self.file.read(int(out))

    def rest(self):
        """Parts up to the answer that ends them."""
        text, count, word = b"", 0, b"part"
        while word == b"part":
            word, some = self.part()
            text += some
            count += 1
        assert word == b"ok"
        return text.decode(), count

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()


def without_times(text):
    return re.sub(r"\d+ (s|min)\b", "some time", text)


def test_what_comes_in_parts_is_what_comes_whole(home, daemon):
    home.configure(configuration(map(cluster, range(MANY))))
    home.settle()
    daemon.start()
    whole = rig.ask(home, b"status * * columns=80\n").decode().partition("\n")[2]
    with Peer(home, b"status * * columns=80 parts once\n") as peer:
        text, count = peer.rest()
        assert count > 5 and without_times(text) == without_times(whole)
        assert peer.file.read() == b""  # once
    r = home.run("status", env={"COLUMNS": "80"})
    assert without_times(r.stdout) == without_times(whole) and r.returncode == 0
    assert r.stdout.splitlines()[-1].split()[:3] == [cluster(MANY - 1), "user-of-cluster-02999",
                                                     "idle"]
    assert [p["profile"] for p in home.status()] == [cluster(i) for i in range(MANY)]
    assert home.run("list").stdout.split() == [cluster(i) for i in range(MANY)]
    with Peer(home, b"status json * parts\n") as peer:
        text, count = peer.rest()
        assert count > 20 and len(json.loads(text)["profiles"]) == MANY
        peer.socket.sendall(b"status name * parts once\n")  # the connection serves on
        assert peer.rest()[0].split() == [cluster(i) for i in range(MANY)]


def test_a_short_answer_has_one_part_and_an_error_none(home, daemon):
    home.configure(configuration(["a", "b"]))
    daemon.start()
    with Peer(home, b"status json * parts\nstatus name nobody parts\n") as peer:
        text, count = peer.rest()
        assert count == 1 and len(json.loads(text)["profiles"]) == 2
        assert peer.file.readline().startswith(b"error no-profile 0 ")


def test_what_changes_between_two_parts_is_told_as_it_is_then(home, daemon):
    """Nobody is told of twice, and the document stays one."""
    home.configure(configuration(map(cluster, range(MANY))))
    home.settle()
    daemon.start()
    with Peer(home, b"status json * parts once\n") as peer, \
            Peer(home, b"status * * parts once\n") as other:
        first = peer.part()[1].decode()
        table = other.part()[1].decode()
        home.configure(configuration(map(cluster, range(0, 2 * MANY, 2))))
        daemon.reload()
        profiles = json.loads(first + peer.rest()[0])["profiles"]
        names = [p["profile"] for p in profiles]
        assert names == sorted(set(names))
        begun = re.findall(r'"profile":"([^"]+)"', first)
        assert names[:len(begun)] == begun == [cluster(i) for i in range(len(begun))]
        assert cluster(2 * MANY - 2) in names  # it came
        assert cluster(MANY - 1) not in names  # it went
        table += other.rest()[0]
        rows = [line.split()[0] for line in table.splitlines() if line.startswith("cluster-")]
        assert rows == sorted(set(rows)) and len(rows) >= MANY / 2


def test_who_does_not_read_holds_no_memory(home, daemon):
    """Each would have had 400 KB waiting, of which none is a secret."""
    home.configure(configuration(map(cluster, range(MANY))))
    home.settle()
    daemon.start()
    home.run("status", "--json")
    before, locked = memory(daemon, "RssAnon"), memory(daemon, "VmLck")
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(home, b"status json * parts once\n"))
                 for _ in range(SLOW)]
        for peer in peers:
            peer.part()
        assert home.run("status", "-q").returncode == 0  # it answers others
        assert memory(daemon, "RssAnon") - before < 10 * MIB
        assert memory(daemon, "VmLck") - locked < MIB
        whole = [stack.enter_context(Peer(home, b"status json * once\n")) for _ in range(10)]
        for peer in whole:
            peer.file.peek()
        assert memory(daemon, "VmLck") - locked < MIB


def test_what_a_crowd_took_goes_back_also_when_one_stays(home, daemon):
    home.configure(configuration(["a"]))
    daemon.start()
    before = memory(daemon, "RssAnon")
    with contextlib.ExitStack() as stack:
        for _ in range(CROWD):
            peer = stack.enter_context(rig.connect(home))
            peer.sendall(b"get to")  # half a request
        stays = rig.connect(home)
        stays.sendall(b"version\n")
        assert stays.recv(1000).startswith(b"ok ")
        took = memory(daemon, "RssAnon") - before
        assert took > CROWD / 2, "there is nothing to give back"
    with stays:
        rig.wait_until(lambda: memory(daemon, "RssAnon") - before < took / 2, "the memory")


def test_a_token_locks_little_more_than_it_is_long(home, daemon, fake):
    home.configure("[defaults]\nstart = with-daemon\n" +
                   "".join(fake.profile(cluster(i), user=f"user-{i}") for i in range(TOKENS)))
    daemon.start()
    rig.wait_until(lambda: {p["state"] for p in home.status()} == {"idle"}, "all tokens")
    lengths = sum(map(len, set(fake.tokens)))
    assert len(fake.tokens) == TOKENS
    # beside it 1 KiB a profile of what is known of it, 200 KiB whatever their number
    assert memory(daemon, "VmLck") < lengths / 1024 + TOKENS + 200
