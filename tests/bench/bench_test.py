"""The bench's own judgement: it says of a missed target that it is missed, and of a figure that is
none that it is none; and it counts what it says it counts."""
import contextlib
import importlib.machinery
import importlib.util
import json
import math
import pathlib
import subprocess
import sys
import xml.dom.minidom

import jsonschema
import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import counting
import judge
import picture
from ground import NotMeasured

COUNTS = (HERE / "counts").read_text(encoding="utf-8")


def program(name):
    """The bench's programs have no ending."""
    loader = importlib.machinery.SourceFileLoader(f"bench_{name}", str(HERE / name))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


@pytest.fixture(scope="module")
def bench():
    return program("bench")


@pytest.fixture(scope="module")
def gate():
    return program("gate")


# ---- targets ---------------------------------------------------------------------------------

@pytest.mark.parametrize("figure, target, verdict", [
    (1.15, 1.15, "met"), (1.16, 1.15, "MISSED"), (0, 0, "met"), (1, 0, "MISSED"),
    (7, None, "told"), (NotMeasured("git is not installed"), 1, "not measured")])
def test_a_figure_is_met_up_to_its_target_and_missed_beyond(figure, target, verdict):
    assert judge.against_target(figure, target)[0] == verdict


@pytest.mark.parametrize("figure", [math.nan, math.inf, -1, None, "7", True])
@pytest.mark.parametrize("target", [1e9, None])
def test_a_figure_that_is_none_is_never_met(figure, target):
    verdict, why = judge.against_target(figure, target)
    assert verdict == "not measured" and "the measurement is broken" in why
    verdict, why = judge.against_held(figure, "most", 1e9)
    assert judge.is_broken(verdict) and "the measurement is broken" in why


def test_a_row_is_worth_what_its_worst_figure_is():
    met, missed, none, told = (1, "met"), (1, "MISSED"), (1, "not measured"), (None, "told")
    assert judge.of_row([met, told]) == "met"
    assert judge.of_row([met, none, missed]) == "MISSED"
    assert judge.of_row([met, none]) == "not measured"
    assert judge.of_row([told]) == "told"
    assert judge.of_row([]) == "not measured"
    assert judge.of_row([met, (None, "not measured")]) == "met"


# ---- what is held ----------------------------------------------------------------------------

@pytest.mark.parametrize("figure, how, held, verdict", [
    (12, "exact", 12, "held"), (13, "exact", 12, "GROWN"), (11, "exact", 12, "SHRUNK"),
    (6.5, "exact", 6, "GROWN"), (7700, "10%", 7000, "held"), (7701, "10%", 7000, "GROWN"),
    (6300, "10%", 7000, "held"), (6299, "10%", 7000, "SHRUNK"), (1.05, "most", 1.05, "held"),
    (1.06, "most", 1.05, "GROWN"), (0.5, "most", 1.05, "held"), (99, "told", 1, "told"),
    (NotMeasured("valgrind is not installed"), "exact", 12, "not run")])
def test_a_count_is_held_as_it_is_said(figure, how, held, verdict):
    assert judge.against_held(figure, how, held)[0] == verdict


def test_the_counts_that_are_held_have_a_name_and_a_way_of_being_held():
    counts = judge.read_counts(COUNTS)
    assert counts["client.system-calls"][1] == "exact"
    assert counts["client.instructions"][1] == "10%"
    for wrong in ("a 1 exact 1\na 2 exact 2\n", "a 1 about 1\n", "a 1 exact\n", "a one exact 1\n"):
        with pytest.raises(ValueError):
            judge.read_counts(wrong)


def test_the_gate_fails_by_what_has_grown_and_not_by_what_is_missing(gate, capsys):
    counts = judge.read_counts("x 12 exact -\ny 7 told -\n")
    assert gate.report({"x": 12, "y": 700}, counts)
    assert gate.report({"x": NotMeasured("strace is not installed")}, counts)
    assert "not run: strace is not installed" in capsys.readouterr().out
    assert not gate.report({"x": 13}, counts)
    assert "GROWN" in capsys.readouterr().out
    assert not gate.report({"x": 11}, counts)
    assert "write the smaller number into tests/bench/counts" in capsys.readouterr().out


# ---- the bench's report ----------------------------------------------------------------------

def measured_row(bench, monkeypatch, measure):
    monkeypatch.setitem(bench.ROWS, "x", ("a row", measure))
    monkeypatch.setattr(bench, "Ground", lambda lasting: contextlib.nullcontext())
    return bench.measure_row("x", None)


def test_a_row_that_breaks_off_keeps_what_it_has_and_is_not_met(bench, monkeypatch):
    def breaks(_):
        yield "one", 1, 2
        raise OSError("no more")

    def lacks(_):
        yield "one", 1, 2
        raise NotMeasured("git is not installed")
    for measure, why in ((breaks, "it broke: OSError"), (lacks, "git is not installed")):
        row = measured_row(bench, monkeypatch, measure)
        assert [f["verdict"] for f in row["figures"]] == ["met", "not measured"]
        assert why in row["figures"][1]["why"] and row["verdict"] == "not measured"


def test_what_the_bench_writes_has_its_form_and_says_what_was_missed(bench, monkeypatch, capsys):
    def measure(_):
        yield "one", 1.5, 2
        yield "two", 3, 2
        yield "three", math.nan, 2
        yield "four", 4, None
    row = measured_row(bench, monkeypatch, measure)
    schema = json.loads((HERE / "bench.schema.json").read_text(encoding="utf-8"))
    whole = {"kernel": "6.1", "processors": 2, "rows": [row]}
    jsonschema.Draft202012Validator(schema).validate(whole)
    bench.show(row)
    said = capsys.readouterr().out
    assert "two" in said and "MISSED" in said and row["verdict"] == "MISSED"
    assert [f["verdict"] for f in row["figures"]] == ["met", "MISSED", "not measured", "told"]
    row["figures"][2]["figure"] = 1
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate(whole)


def test_a_row_that_is_not_there_is_named():
    r = subprocess.run([HERE / "bench", "--rows", "peers,nonsense"], capture_output=True, text=True,
                       stdin=subprocess.DEVNULL, timeout=60)
    assert r.returncode == 2 and "no such row: nonsense" in r.stderr


# ---- counting --------------------------------------------------------------------------------

TRACE = """\
epoll_wait(4, [], 34, 0)                = 0
epoll_wait(4, [{events=EPOLLIN, data={u32=1, u64=1}}], 34, -1) = 1
accept4(3, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK) = 14
recvfrom(14, "get exec/v1 p once"..., 4096, MSG_DONTWAIT, NULL, NULL) = 51
sendmsg(14, {msg_name=NULL, msg_namelen=0}, MSG_DONTWAIT|MSG_NOSIGNAL) = 790
close(14)                               = 0
accept4(3, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK) = -1 EAGAIN (Resource temporarily unavailable)
epoll_wait(4, [{events=EPOLLIN, data={u32=1, u64=1}}], 34, -1) = 1
accept4(3, NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK) = 14
recvfrom(14, 0x7ff, 4096, MSG_DONTWAIT, NULL, NULL) = -1 EAGAIN (Resource temporarily unavailable)
epoll_ctl(4, EPOLL_CTL_ADD, 14, {events=EPOLLIN}) = 0
epoll_wait(4, [{events=EPOLLIN, data={u32=2, u64=2}}], 34, -1) = 1
recvfrom(14, "get exec/v1 p once"..., 4096, MSG_DONTWAIT, NULL, NULL) = 51
sendmsg(14, {msg_name=NULL, msg_namelen=0}, MSG_DONTWAIT|MSG_NOSIGNAL) = 790
"""


def test_the_calls_of_a_get_are_those_from_the_wait_to_its_answer():
    assert [end - begin + 1 for begin, end in counting.count_calls(counting.calls(TRACE))] == [4, 7]


def test_what_callgrind_does_not_say_is_no_number():
    assert counting.collected("==1== Collected : 9376\n") == 9376
    with pytest.raises(NotMeasured):
        counting.collected("==1== Command: kubetoken\n")


# ---- the soak --------------------------------------------------------------------------------

def soaked(**changes):
    samples = [{"seconds": i, "dirtyKb": 560, "descriptors": 14, "errors": 0, "zombies": []}
               for i in range(60)]
    return {"faults": 9, "gets": 100, "getsInVain": 5, "descriptorsBefore": 14,
            "descriptorsAfter": 14, "samples": samples, **changes}


def test_a_soak_without_growth_has_no_finding():
    assert judge.soak(soaked()) == []


def test_a_soak_names_what_grew_what_was_kept_and_what_was_not_tried():
    grown = soaked(descriptorsAfter=15, faults=0)
    for i, sample in enumerate(grown["samples"]):
        sample["dirtyKb"] += i
    grown["samples"][30]["zombies"] = grown["samples"][31]["zombies"] = ["4711"]
    grown["samples"][40]["zombies"] = ["4712"]  # collected before the next look
    assert judge.soak(grown) == [
        "there were no faults, or no gets: nothing was tried",
        "619 KB of private dirty memory, more than 600",
        "the memory grew by 20 KB from the second third to the last",
        "descriptors that were kept: 1", "zombies that were left: 4711"]
    assert judge.soak(soaked(samples=[])) == ["0 samples are too few to tell"]


def test_the_picture_is_xml_and_has_each_panel():
    drawn = picture.draw("a < b", [0, 1, 2], [("memory", {"KB": [1, 2, 3]}, 2),
                                              ("errors", {"n": [0, 0, 0]}, None)])
    document = xml.dom.minidom.parseString(drawn)
    assert len(document.getElementsByTagName("polyline")) == 2
    assert "stroke-dasharray" in drawn and "memory" in drawn
    assert picture.ticks(600)[-1] >= 600 and len(picture.ticks(600)) <= 7
