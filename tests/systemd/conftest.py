"""What is below inside/ runs in a machine of its own (machine.py), and is reported here, test by
test. KUBETOKEN_ROOT names another root than this machine's; KUBETOKEN_FULL has all of it run."""
import json
import os
import pathlib
import shlex
import sys

import pytest

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
    """The machine, and pytest in it."""

    def __init__(self, items):
        self.output, self.ended = [], None
        self.machine = machine.Machine(
            f"test-{os.getpid()}", os.environ.get("KUBETOKEN_ROOT") or None,
            os.environ.get("KUBETOKEN_BUILD"))
        self.machine.__enter__()
        full = "KUBETOKEN_FULL=1 " if os.environ.get("KUBETOKEN_FULL") else ""
        # not below /tmp, which a service may have for itself
        words = ["/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=short",
                 f"--confcutdir={machine.SOURCE}/tests/systemd",
                 f"--basetemp=/home/{machine.USER}/tests",
                 *(name_of(item.nodeid) for item in items)]
        self.lines = self.machine.stream(
            f"cd {machine.SOURCE}/tests/systemd/inside && {full}{shlex.join(words)} 2>&1")

    def reports(self, config, name):
        """Those of one test. pytest runs them in the order in which they were named."""
        for line in self.lines:
            before, found, data = line.partition(MARK)
            if not found:
                self.output.append(line)
                continue
            report = config.hook.pytest_report_from_serializable(config=config,
                                                                 data=json.loads(data))
            if isinstance(report.longrepr, list):  # where a test was skipped; JSON has no tuples
                report.longrepr = tuple(report.longrepr)
            if name_of("inside/" + report.nodeid.rpartition("inside/")[2]) != name:
                continue
            yield report
            if report.when == "teardown":
                return
        raise RuntimeError("pytest in the machine has ended:\n" + "".join(self.output[-60:]))

    def close(self):
        self.machine.stop()


def outcome_instead(item, outcome, why):
    """The item becomes one that does nothing but that."""
    def runtest():
        outcome(why)
    item.setup, item.runtest = lambda: None, runtest


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
        try:
            if not hasattr(session, "run_inside"):
                session.run_inside = Run([i for i in session.items
                                          if INSIDE in pathlib.Path(i.path).parents])
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            for report in session.run_inside.reports(item.config, name_of(item.nodeid)):
                report.nodeid = item.nodeid
                note(report)
                item.ihook.pytest_runtest_logreport(report=report)
            item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
            return True
        except machine.Missing as error:
            outcome_instead(item, pytest.skip, f"no machine with systemd: {error}")
        except Exception as error:
            outcome_instead(item, pytest.fail, f"the machine with systemd: {error}")
        return None

    def note(report):
        if report.when == "call":
            for key, value in report.user_properties:
                if key == "row":
                    columns[report.nodeid] = value

    def pytest_sessionfinish(session):
        if hasattr(session, "run_inside"):
            session.run_inside.close()

    def pytest_terminal_summary(terminalreporter):
        for number, row in enumerate(columns.values()):
            if number == 0:
                terminalreporter.section("gets while the daemon is disturbed")
            terminalreporter.write_line(row)
