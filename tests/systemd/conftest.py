"""What is below inside/ runs in a machine of its own (machine.py), and is reported here, test by
test. KUBETOKEN_ROOT names another root than this machine's; KUBETOKEN_FULL has all of it run."""
import json
import os
import pathlib
import shlex
import sys

import pytest
from _pytest.runner import runtestprotocol

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import machine

INSIDE = pathlib.Path(__file__).resolve().parent / "inside"
MARK = "@report "
in_there = "KUBETOKEN_MACHINE" in os.environ
columns = {}  # by row of the table, what was counted


def name_of(nodeid):
    """Without the folders, which differ between here and there."""
    return nodeid.partition("inside/")[2]


class Run:
    """The machine, and pytest in it: once for each file, since of several processes that share the
    tests among them each has whole files of its own, and does not know before which."""

    def __init__(self):
        self.path, self.lines, self.output = None, None, []
        self.machine = machine.Machine(
            f"test-{os.getpid()}", os.environ.get("KUBETOKEN_ROOT") or None,
            os.environ.get("KUBETOKEN_BUILD"))
        self.machine.__enter__()

    def begin(self, path, names):
        full = "KUBETOKEN_FULL=1 " if os.environ.get("KUBETOKEN_FULL") else ""
        # not below /tmp, which a service may have for itself
        words = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short",
                 f"--confcutdir={machine.SOURCE}/tests/systemd",
                 f"--basetemp=/home/{machine.USER}/tests", *names]
        self.path, self.output = path, []
        self.lines = self.machine.stream(
            f"cd {machine.SOURCE}/tests/systemd/inside && {full}{shlex.join(words)} 2>&1")

    def reports(self, item):
        """Those of one test. pytest runs them in the order in which they were named."""
        if item.path != self.path:
            self.begin(item.path, [name_of(other.nodeid) for other in item.session.items
                                   if other.path == item.path])
        for line in self.lines:
            before, found, data = line.partition(MARK)
            if not found:
                self.output.append(line)
                continue
            report = item.config.hook.pytest_report_from_serializable(config=item.config,
                                                                      data=json.loads(data))
            if isinstance(report.longrepr, list):  # where a test was skipped; JSON has no tuples
                report.longrepr = tuple(report.longrepr)
            name = name_of("inside/" + report.nodeid.rpartition("inside/")[2])
            if name != name_of(item.nodeid):
                raise RuntimeError(f"pytest in the machine ran {name} instead")
            yield report
            if report.when == "teardown":
                return
        raise RuntimeError("pytest in the machine has ended:\n" + "".join(self.output[-60:]))

    def close(self):
        self.machine.stop()


def outcome_instead(item, outcome, why):
    """The item becomes one that does nothing but that. What pytest has set up for it ends with it:
    the next one may be run in the machine, and then nothing would end it."""
    def runtest():
        outcome(why)
    item.setup, item.runtest = lambda: None, runtest
    runtestprotocol(item, nextitem=None)


if in_there:
    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(report):
        data = config_here.hook.pytest_report_to_serializable(config=config_here, report=report)
        reporter = config_here.pluginmanager.get_plugin("terminalreporter")
        reporter.write_line("")
        reporter.write_line(MARK + json.dumps(data))

    def pytest_configure(config):
        global config_here
        config_here = config
else:
    def pytest_runtest_protocol(item, nextitem):
        if INSIDE not in pathlib.Path(item.path).parents:
            return None
        session = item.session
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        try:
            start_inside(session)
            for report in session.run_inside.reports(item):
                report.nodeid = item.nodeid
                note(report)
                item.ihook.pytest_runtest_logreport(report=report)
        except machine.Missing as error:
            outcome_instead(item, pytest.skip, f"no machine with systemd: {error}")
        except Exception as error:
            outcome_instead(item, pytest.fail, f"the machine with systemd: {error}")
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True

    def start_inside(session):
        """Once: where it fails, it fails for each test."""
        if not hasattr(session, "run_inside"):
            session.run_inside = None
            try:
                session.run_inside = Run()
            except Exception as error:
                session.why_not_inside = error
        if session.run_inside is None:
            raise session.why_not_inside

    def note(report):
        if report.when == "call":
            for key, value in report.user_properties:
                if key == "row":
                    columns[report.nodeid] = value

    def pytest_sessionfinish(session):
        if getattr(session, "run_inside", None):
            session.run_inside.close()

    def pytest_terminal_summary(terminalreporter):
        for number, row in enumerate(columns.values()):
            if number == 0:
                terminalreporter.section("gets while the daemon is disturbed")
            terminalreporter.write_line(row)
