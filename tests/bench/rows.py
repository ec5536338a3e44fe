"""The rows of the bench: what is measured, and what is aimed at. Each is a function of the ground
that yields (what, figure, target); no target is None, no figure the reason why (NotMeasured)."""
import contextlib
import json
import os
import pathlib
import random
import resource
import shutil
import statistics
import subprocess
import time

import counting
import judge
import peers
from ground import (HERE, REQUEST, ROOT, NotMeasured, Place, built, end, memory, need, rig, run,
                    switches)

ROWS = {}  # name -> (title, measure)


def row(name, title):
    def add(measure):
        ROWS[name] = title, measure
        return measure
    return add


# ---- memory ----------------------------------------------------------------------------------

def with_tokens(ground, number):
    """A daemon with so many tokens; rows share it."""
    lasting = ground.lasting
    key = f"with-{number}"
    if key not in lasting.shared:
        place = lasting.place([f"p{i}" for i in range(number)], extra="start = with-daemon")
        before = len(lasting.fake.tokens)
        place.start()
        # to look into the daemon meanwhile would keep it, and the provider, from working
        rig.wait_until(lambda: len(lasting.fake.tokens) >= before + number, f"{number} requests")
        rig.wait_until(lambda: all("expirationTimestamp" in p for p in place.home.status()),
                       f"{number} tokens")
        rest(place)
        lasting.shared[key] = place
    return lasting.shared[key]


def rest(*places):
    """Until a second goes by in which none of them wakes up."""
    def still():
        before = [switches(p.pid) for p in places]
        time.sleep(1)
        return before == [switches(p.pid) for p in places]
    rig.wait_until(still, "a daemon with nothing to do")


@row("locked", "memory locked by 1,000 profiles with tokens, KB")
def locked(ground):
    yield "locked", memory(with_tokens(ground, 1000).pid)["locked"], 2048


def crowd(place, number):
    """So many connections at once, each with an answer, and gone again."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < number + 100:
        raise NotMeasured(f"no more than {hard} descriptors are allowed here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    connections = []
    try:
        for _ in range(number):
            connections.append(rig.connect(place.home))
        for connection in connections:
            with contextlib.suppress(OSError):  # who may stay is the daemon's to say
                connection.sendall(b"get exec/v1 p timeout=30\n")
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.recv(65536)
    finally:
        for connection in connections:
            connection.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@row("own-memory", "private dirty memory of a daemon, KB")
def own_memory(ground):
    place = ground.place().start()
    place.get("p")
    rest(place)
    yield "idle", memory(place.pid)["dirty"], 500
    load(place, place.socket, "-n", "100000", "-c", "16")
    yield "after 100,000 gets", memory(place.pid)["dirty"], 500
    crowd(place, 4000)
    time.sleep(60)  # what is measured
    yield "a minute after 4,000 connections", memory(place.pid)["dirty"], 600


def private_kb(ground, number):
    place = ground.place([f"p{i}" for i in range(number)]).start()
    place.home.run("status")
    rest(place)
    found = memory(place.pid)["private"]
    place.stop()
    return found


@row("profile-memory", "profiles without tokens, KB")
def profile_memory(ground):
    one, many = private_kb(ground, 1), private_kb(ground, 5000)
    yield "a profile", (many - one) / 4999, 4
    yield "5,000 profiles", many, 20 * 1024


# ---- counts ----------------------------------------------------------------------------------

def counted(figures):
    counts = judge.read_counts((HERE / "counts").read_text(encoding="utf-8"))
    for name, figure in figures.items():
        yield name.split(".")[1].replace("-", " "), figure, counts[name][2]


@row("daemon-counts", "a get in the daemon, counted")
def daemon_counts(ground):
    yield from counted(counting.daemon(ground))


@row("client-counts", "the client as kubectl runs it, counted")
def client_counts(ground):
    yield from counted(counting.client(ground))


@row("scale", "a get with 5,000 profiles, x with one")
def scale(ground):
    yield from counted(counting.scale(ground))


# ---- times -----------------------------------------------------------------------------------

def epoll_floor(ground, place):
    """A bare epoll server that gives the answer of the daemon."""
    if "floor" not in ground.shared:
        answer, path = ground.folder / "answer", ground.folder / "floor"
        answer.write_bytes(rig.ask(place.home, f"{REQUEST.format('p')}\n".encode()))
        process = ground.server([built("sockload"), "serve", path, answer], path)
        ground.shared["floor"] = path, process.pid
    return ground.shared["floor"]


def paired(measured, name, base):
    """The median of what one took over the other, round by round."""
    for which in (name, base):
        if measured[which]["failed"]:
            raise NotMeasured(f"{which} failed {measured[which]['failed']} times")
    return statistics.median(a / b for a, b in zip(measured[name]["wall"], measured[base]["wall"]))


def at_floor(folder):
    """A runtime folder for the client in which the floor listens."""
    (folder / "kubetoken").mkdir(mode=0o700, parents=True)
    folder.chmod(0o700)
    return folder / "kubetoken" / "socket"


@row("process", "a whole get, x a program without libc (median of 5 runs of 400)")
def process(ground):
    place = ground.place().start()
    place.get("p")
    floor, _ = epoll_floor(ground, place)
    link = at_floor(ground.folder / "floor-run")
    os.link(floor, link)
    get = [rig.BUILD / "kubetoken", "get", "p"]
    ask = built("socket_floor")
    commands = {"exit": [built("exit_floor")], "floor": [ask, floor, REQUEST.format("p")],
                "get": get, "client": [f"XDG_RUNTIME_DIR={ground.folder / 'floor-run'}", *get],
                "daemon": [ask, place.socket, REQUEST.format("p")]}
    runs = [place.spawn_time(400, commands, seed=i) for i in range(1, 6)]

    def median(name, base):
        return statistics.median(paired(measured, name, base) for measured in runs)
    yield "get", median("get", "floor"), 1.15
    yield "client alone", median("client", "floor"), None
    yield "daemon alone", median("daemon", "floor"), None
    yield "get, x a process that only ends", median("get", "exit"), None


def load(place, path, *options, request=None, server=None):
    """What sockload saw; a failed answer spoils all."""
    words = [built("sockload"), "load", "-r", request or REQUEST.format("p") + "\\n",
             *(["-P", server] if server else []), *options, path]
    seen = json.loads(run(words, env=place.environment()))
    if seen["failed"] or not seen["answers"]:
        raise NotMeasured(f"{seen['failed']} of {seen['answers'] + seen['failed']} answers failed")
    return seen


LOADS = {"16 new": ("-c", "16"), "16 kept": ("-c", "16", "-k"), "64 kept": ("-c", "64", "-k")}
TURNS, TURN = 9, 0.3
LIST_KEYS = "\\x00\\x00\\x00\\x01\\x0b"


def turns(ground, place):
    """Server CPU per answer, in microseconds: load -> server -> all turns, shuffled."""
    floor, floor_pid = epoll_floor(ground, place)
    servers = {"kubetokend": (place.socket, None, place.pid), "epoll": (floor, None, floor_pid)}
    with contextlib.suppress(NotMeasured):
        path, pid = peers.ssh_agent(ground)
        servers["ssh-agent"] = path, LIST_KEYS, pid
    found = {what: {name: [] for name in servers} for what in LOADS}
    order = [(what, name) for what in LOADS for name in servers] * TURNS
    random.Random(1).shuffle(order)
    for what, name in order:
        path, request, pid = servers[name]
        # one that is kept is not told to close
        request = request or REQUEST.format("p").replace(
            " once", "" if what.endswith("kept") else " once") + "\\n"
        seen = load(place, path, "-t", TURN, *LOADS[what], request=request, server=pid)
        found[what][name].append(seen["cpu"])
    return found


@row("server-cpu", "server CPU for an answer")
def server_cpu(ground):
    place = ground.place().start()
    place.get("p")
    for what, found in turns(ground, place).items():
        ours = statistics.median(found["kubetokend"])
        if "ssh-agent" in found:
            yield f"{what}, x ssh-agent", ours / statistics.median(found["ssh-agent"]), 1
        else:
            yield f"{what}, x ssh-agent", NotMeasured("ssh-agent is not installed"), 1
        yield f"{what}, x raw epoll", ours / statistics.median(found["epoll"]), None


# ---- the provider ----------------------------------------------------------------------------

def authorities(ground):
    """The system's, and the provider's among them: a folder that is hashed, with the bundle."""
    need("openssl")
    system, folder = pathlib.Path("/etc/ssl/certs"), ground.folder / "certs"
    if not (system / "ca-certificates.crt").exists():
        raise NotMeasured("the system's certificates are not in /etc/ssl/certs")
    shutil.copytree(system, folder)
    bundle = folder / "ca-certificates.crt"
    bundle.write_bytes(bundle.read_bytes() + ground.fake.ca_file.read_bytes())
    shutil.copy(ground.fake.ca_file, folder / "bench.pem")
    run(["openssl", "rehash", folder])
    return folder


def first_gets(ground, folder, rounds):
    """A daemon whose profiles know no other authorities than the system's."""
    need("unshare", "mount")
    names = [f"p{i}" for i in range(rounds + 3)]
    place = ground.place(names)
    config = place.home.config / "kubetoken.conf"
    place.home.configure("".join(line for line in config.read_text().splitlines(True)
                                 if not line.startswith("ca-file")))
    return place.start(shutil.which("unshare"), (
        "--mount", *([] if ROOT else ["--map-root-user"]), "sh", "-c",
        f'mount --bind "{folder}" /etc/ssl/certs && exec "$@"', "sh",
        str(rig.BUILD / "kubetokend")))


@row("first-get", "a first get and a refresh, x one POST by libcurl (the system's authorities)")
def first_get(ground, rounds=25):
    folder = authorities(ground)
    place = first_gets(ground, folder, rounds)
    post = [built("one_post"), ground.fake.base + "/oauth/token", folder, "grant_type=password"]

    def against_post(command):
        measured = place.spawn_time(rounds, {"ours": [rig.BUILD / "kubetoken", command, "p%n"],
                                             "post": post}, warm_ups=2)
        return paired(measured, "ours", "post")
    yield "first get", against_post("get"), 1.4
    yield "refresh", against_post("refresh"), 1.1


# ---- idle ------------------------------------------------------------------------------------

class Foreign(Place):
    """Of another user, where we are root."""

    def __init__(self, ground, number):
        super().__init__(ground.folder / f"user-{number}", ground.fake)
        self.who = {"user": 61000 + number, "group": 61000 + number,
                    "extra_groups": []} if ROOT else {}
        self.programs, self.process = ground.folder / "programs", None
        self.configure(["p"])
        self.home.settle()
        if ROOT:
            for path in [self.home.folder, *self.home.folder.rglob("*")]:
                os.chown(path, self.who["user"], self.who["group"])

    def popen(self, *words):
        return subprocess.Popen(words, env=self.home.environment, stdin=subprocess.DEVNULL,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **self.who)

    def start(self):
        self.process = self.popen(self.programs / "kubetokend")
        rig.wait_until(self.socket.exists, "a daemon's socket")
        if self.popen(self.programs / "kubetoken", "get", "p").wait(rig.PATIENCE) != 0:
            raise NotMeasured("the get of another user failed")
        return self

    @property
    def pid(self):
        return self.process.pid

    def close(self):
        if self.process:
            end(self.process)


def hundred_users(ground):
    """Each with a token; rows share them."""
    ground = ground.lasting
    if "users" not in ground.shared:
        ground.shared["users"] = start_users(ground)
    return ground.shared["users"]


def start_users(ground):
    ground.folder.chmod(0o755)
    programs = ground.folder / "programs"
    programs.mkdir()
    for name in ("kubetoken", "kubetokend", "kubetoken-fetch"):
        shutil.copy(rig.BUILD / name, programs)
    places = []
    for number in range(100):
        places.append(Foreign(ground, number))
        ground.callback(places[-1].close)
        places[-1].start()
    return places


@row("idle", "wake-ups in 60 s, no renewal due")
def idle(ground):
    one = ground.place().start()
    one.get("p")
    what = {"one daemon": [one], "1,000 tokens": [with_tokens(ground, 1000)],
            "100 daemons" + (" of 100 users" if ROOT else ""): hundred_users(ground)}
    rest(*(place for places in what.values() for place in places))
    before = {name: [switches(p.pid) for p in places] for name, places in what.items()}
    time.sleep(60)  # what is measured
    for name, places in what.items():
        yield name, sum(switches(p.pid) for p in places) - sum(before[name]), 0


def descriptors(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def ask_as_root(place):
    run([rig.BUILD / "kubetoken", "status", "--uid", place.who["user"], "--metrics"],
        env={"KUBETOKEN_SOCKET": str(place.socket)})


@row("jump-host", "100 users with a daemon and a token each")
def jump_host(ground):
    if not ROOT:
        raise NotMeasured("only root can be a hundred users")
    places = hundred_users(ground)
    rest(*places)
    found = [memory(p.pid) for p in places]
    yield "private dirty memory of one, KB", statistics.median(f["dirty"] for f in found), 500
    yield "the most of them", max(f["dirty"] for f in found), 600
    yield "all memory of all, what they share counted once, KB", sum(f["pss"] for f in found), None
    yield "locked memory of one, KB", max(f["locked"] for f in found), None
    yield "descriptors of one", max(descriptors(p.pid) for p in places), None
    yield "processes", sum(1 + len(pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text()
                                   .split()) for p in places), 100
    before = [switches(p.pid) for p in places]
    for place in places:
        ask_as_root(place)
    rest(*places)
    yield ("wake-ups of one when root asks for its metrics",
           max(switches(p.pid) - b for p, b in zip(places, before)), None)


# ---- 5,000 profiles --------------------------------------------------------------------------

def peak(pid, during):
    """KB that the daemon's memory grows by for a moment."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")  # VmHWM begins anew

    def high():
        return int(next(line for line in pathlib.Path(f"/proc/{pid}/status").read_text()
                        .splitlines() if line.startswith("VmHWM")).split()[1])
    before = high()
    during()
    return high() - before


def took(place, act):
    """Milliseconds: on the daemon's CPU, and by the clock, which is the machine's business too."""
    began = time.monotonic(), on_cpu(place)
    pid = began[1] and place.pid
    act()
    before = began[1] if pid == place.pid else 0
    return on_cpu(place) - before, (time.monotonic() - began[0]) * 1000


def on_cpu(place):
    """Milliseconds so far; of one that does not run, none."""
    if not place.daemon or not place.daemon.alive:
        return 0
    return int(pathlib.Path(f"/proc/{place.pid}/schedstat").read_text().split()[0]) / 1e6


def restart(place):
    place.stop()
    place.start()


@row("many", "5,000 profiles: ms on a CPU, and KB")
def many(ground, times=5):
    place = ground.place([f"p{i}" for i in range(5000)]).start()
    for what, act, target in (("start", lambda: restart(place), 213),
                              ("reload", place.daemon.reload, 185)):
        cpu, clock = zip(*(took(place, act) for _ in range(times)))
        yield f"{what}, ms on a CPU", statistics.median(cpu), target
        yield f"{what}, ms by the clock", statistics.median(clock), None
    yield "status, KB that it sends", len(place.home.run("status").stdout) / 1024, None
    if not ROOT:
        raise NotMeasured("only root can look into a daemon that guards its memory")
    yield ("status, KB that it takes meanwhile",
           peak(place.pid, lambda: place.home.run("status", "--json")), 390)


# ---- what was seen before ---------------------------------------------------------------------

@row("soak", "soak: 20 profiles, tokens of 5 to 10 s, faults")
def soak(_):
    path = rig.BUILD / "bench" / "soak.json"
    if not path.exists():
        raise NotMeasured("it takes an hour by itself: make soak MINUTES=60")
    seen = json.loads(path.read_text(encoding="utf-8"))
    minutes = seen["samples"][-1]["seconds"] / 60
    dirty = [s["dirtyKb"] for s in seen["samples"]]
    yield f"KB, the most in {minutes:.0f} min", max(dirty), judge.SOAK_KB
    yield "findings: " + ("; ".join(judge.soak(seen)) or "none"), len(judge.soak(seen)), 0


@row("peers", "whole processes, x a get")
def others(ground):
    place = ground.place().start()
    place.get("p")
    commands, missing = peers.commands(ground)
    get = {"get": [rig.BUILD / "kubetoken", "get", "p"]}
    measured = place.spawn_time(60, {**get, **commands}) if commands else {}
    for name in commands:
        yield name, counting.attempt(paired, measured, name, "get"), None
    for name, why in missing.items():
        yield name, why, None
