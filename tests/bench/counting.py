"""What is counted exactly, or nearly so, whatever else the machine does: system calls, allocations,
instructions, page faults. Each function returns figures by the names that the file `counts` has."""
import pathlib
import re
import shutil
import signal
import statistics
import subprocess

from ground import rig
from ground import REQUEST, Counter, NotMeasured, need, run

GETS = 20
BATCHES = 3


class Askers:
    """Processes that are there while it is counted: each stands for a client-go that asks once.
    (The second time, its token would count as rejected.)"""

    def __init__(self, number):
        self.processes = [subprocess.Popen(["cat"], stdin=subprocess.PIPE,
                                           stdout=subprocess.DEVNULL) for _ in range(number)]

    def __enter__(self):
        return self.processes

    def __exit__(self, *_):
        for process in self.processes:
            process.communicate()


def state(pid):
    return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0]


def rest(place):
    """Until the daemon waits for what comes next: it sleeps nowhere else."""
    rig.wait_until(lambda: state(place.pid) == "S", "the end of what the daemon does")


def ask_once(place, request, taken):
    """One request and its answer. It is there before its connection is taken; or (taken: whether
    a connection is that waits for its request) after."""
    rest(place)
    stop = taken is None
    if stop:
        place.daemon.signal(signal.SIGSTOP)
    with rig.connect(place.home) as connection:
        if taken:
            rig.wait_until(taken, "a connection that is taken")
            rest(place)
        connection.sendall(request)
        if stop:
            place.daemon.signal(signal.SIGCONT)
        answer = connection.recv(65536)
    if not answer.startswith(b"ok "):
        raise NotMeasured(f"a get was answered: {answer[:200]!r}")


def ask(place, name, number=GETS, taken=None):
    """So many of them, one after the other."""
    with Askers(number) as askers:
        for asker in askers:
            request = f"{REQUEST.format(name)} client-go={asker.pid}\n".encode()
            ask_once(place, request, taken)
    rest(place)


# ---- the client ------------------------------------------------------------------------------

def with_own_parent(words):
    """A shell that does not become the command: each get has a parent of its own."""
    return ["sh", "-c", '"$@"; exit $?', "sh", *map(str, words)]


def client_system_calls(ground, place):
    need("strace")
    trace = ground.folder / "client-trace"
    run(with_own_parent(["strace", "-o", trace, rig.BUILD / "kubetoken", "get", "p"]),
        env=place.environment())
    return len(re.findall(r"^\w+\(", trace.read_text(), re.M))


def client_instructions(place):
    need("valgrind")
    words = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null",
             rig.BUILD / "kubetoken", "get", "p"]
    return collected(run_for_errors(with_own_parent(words), place.environment()))


def run_for_errors(words, environment):
    return run(["sh", "-c", 'exec "$@" 2>&1 >/dev/null', "sh", *words], env=environment)


def collected(text):
    found = re.search(r"Collected\s*:\s*(\d+)", text)
    if not found:
        raise NotMeasured("callgrind said no number")
    return int(found[1])


def client_memory(place):
    """Page faults, median, and KB that are resident when it exits."""
    command = {"get": [rig.BUILD / "kubetoken", "get", "p"]}
    measured = place.spawn_time(21, command, resident=True)["get"]
    if measured["failed"]:
        raise NotMeasured(f"{measured['failed']} gets failed")
    return sorted(measured["faults"])[10], measured["resident"]


def client(ground):
    place = ground.place().start()
    place.get("p")
    faults, resident = client_memory(place)
    return {"client.system-calls": attempt(client_system_calls, ground, place),
            "client.instructions": attempt(client_instructions, place),
            "client.faults": faults, "client.resident-kb": resident}


def attempt(measure, *arguments):
    """A figure, or the reason why there is none."""
    try:
        return measure(*arguments)
    except NotMeasured as why:
        return why


# ---- the daemon ------------------------------------------------------------------------------

def calls(trace):
    """Of strace's output: (name, result) in order."""
    return re.findall(r"^(\w+)\(.*\)\s+= (-?\d+|\?)", trace, re.M)


def count_calls(found):
    """Of each get: where the wait stands that its connection ends, and the call that its answer
    takes."""
    gets = []
    waking = begin = None
    for number, (name, result) in enumerate(found):
        if name in ("epoll_wait", "epoll_pwait"):
            waking = number
        elif name == "accept4" and result.isdigit():
            begin = number if waking is None else waking
            waking = None
        elif name in ("sendmsg", "sendto", "writev", "write") and begin is not None:
            gets.append((begin, number))
            begin = None
    return gets


def waits_for_request(trace):
    """Whether a connection is that was taken and not answered yet."""
    found = calls(trace.read_text())
    gets = count_calls(found)
    since = found[gets[-1][1]:] if gets else found
    return any(name == "accept4" and result.isdigit() for name, result in since)


def usual_length(gets):
    """The calls of a get until its answer is out: their median, since now and then something else
    comes between."""
    return statistics.median(end - begin + 1 for begin, end in gets)


def wait_for_quiet(place, trace):
    """For a second after a fetcher has ended each peer is asked whether it is one."""
    def is_forgotten():
        before = len(trace.read_text())
        ask(place, "p", 1)
        return "getpgid" not in trace.read_text()[before:]
    rig.wait_until(is_forgotten, "the end of a fetcher to be forgotten")


def daemon_system_calls(ground):
    """Until an answer is out: where the request is there at once, and where it comes later. And
    from one get to the next."""
    need("strace")
    place, trace = ground.place(), ground.folder / "daemon-trace"
    place.start(shutil.which("strace"),
                ("-D", "-o", str(trace), str(rig.BUILD / "kubetokend")))
    place.get("p")
    ask(place, "p", 2)
    wait_for_quiet(place, trace)
    ask(place, "p")
    at_once = count_calls(calls(trace.read_text()))[-GETS:]
    ask(place, "p", taken=lambda: waits_for_request(trace))
    later = count_calls(calls(trace.read_text()))[-GETS:]
    return (usual_length(at_once), usual_length(later),
            (at_once[-1][0] - at_once[0][0]) / (GETS - 1))


def allocations(place, counter, taken):
    """Those of one get: until its answer is out, and all."""
    before = counter.counted()
    ask(place, "p", 1, taken)
    after = counter.counted()
    if after["answers"] != before["answers"] + 1:
        raise NotMeasured("the answers could not be counted")
    return tuple(after[name] - before[name] for name in ("until_answers", "allocations"))


def daemon_allocations(ground):
    """As daemon_system_calls() has them."""
    place = ground.place()
    counter = Counter(place)
    place.start()
    counter.started()
    place.get("p")
    ask(place, "p", 2)
    at_once, later = ([allocations(place, counter, taken) for _ in range(GETS)]
                      for taken in (None, lambda: counter.counted()["answering"]))
    return tuple(statistics.median(column) for column in
                 ((get[0] for get in at_once), (get[0] for get in later),
                  (get[1] for get in at_once)))


def daemon_instructions(ground, profiles):
    """Of a get, with so many profiles. Valgrind knows not all that it takes to start a fetcher, so
    the daemon has its token from the life before."""
    need("valgrind")
    place = ground.place([f"p{i}" for i in range(profiles)])
    out = place.home.folder / "callgrind"
    name = f"p{profiles // 2}"
    place.start()
    place.get(name)
    place.stop()
    counter = Counter(place)
    place.start(shutil.which("valgrind"), ("--tool=callgrind", f"--callgrind-out-file={out}",
                                           "--quiet", str(rig.BUILD / "kubetokend")))
    counter.started()
    ask(place, name, 2)
    return min(batch(place, counter, name, out, number) for number in range(1, BATCHES + 1))


def batch(place, counter, name, out, number):
    """Instructions of a get. The least of some batches counts, since now and then a timer of the
    daemon's own runs out."""
    counter.mark(counter.ZERO)
    ask(place, name)
    counter.mark(counter.DUMP)
    text = pathlib.Path(f"{out}.{number}").read_text()
    return int(re.search(r"^totals: (\d+)", text, re.M)[1]) / GETS


def several(names, measure, *arguments):
    """Several figures at once, or for each of them why there are none."""
    found = attempt(measure, *arguments)
    return dict(zip(names, [found] * len(names) if isinstance(found, NotMeasured) else found))


def daemon(ground):
    return {name: figure for what, measure in (("system-calls", daemon_system_calls),
                                               ("mallocs", daemon_allocations))
            for name, figure in several(
                [f"daemon.{what}-{when}" for when in ("until-answer", "request-later", "per-get")],
                measure, ground).items()}


def instructions_of_both(ground, profiles=5000):
    one = daemon_instructions(ground, 1)
    return one, daemon_instructions(ground, profiles) / one


def scale(ground):
    return several(("scale.instructions-per-get", "scale.instructions-5000-over-1"),
                instructions_of_both, ground)
