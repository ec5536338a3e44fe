import signal

import pytest

import failing
import rig
import sanitized
import scripted

# What is run in the background, or by nohup, ignores these, and what it starts inherits that.
signal.signal(signal.SIGINT, signal.default_int_handler)
for number in (signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_DFL)


def pytest_configure():
    sanitized.begin()


def pytest_unconfigure():
    sanitized.end()


def pytest_collection_modifyitems(items):
    for item in items:
        why = sanitized.reason(item.nodeid)
        if why:
            item.add_marker(pytest.mark.skip(reason=f"sanitized: {why}"))


@pytest.fixture(scope="session", autouse=True)
def nothing_found_at_the_end():
    """Of what outlives a test; ends behind all fixtures, as does the next one behind its test's."""
    yield
    sanitized.fail_if_found()


@pytest.fixture(autouse=True)
def nothing_found():
    yield
    sanitized.fail_if_found()


@pytest.fixture(scope="session")
def provider(tmp_path_factory):
    p = rig.Provider(tmp_path_factory.mktemp("provider"), "--short-lifetime", "12")
    yield p
    p.stop()


@pytest.fixture
def own_provider(tmp_path):
    """One that the test may stop and change."""
    p = rig.Provider(tmp_path / "provider", "--short-lifetime", "12")
    yield p
    p.stop()


@pytest.fixture
def home(tmp_path):
    return rig.Home(tmp_path / "home")


@pytest.fixture
def daemon(home):
    """Made and, in the end, stopped; the test configures `home` and starts it."""
    d = rig.Daemon(home)
    yield d
    d.close()


@pytest.fixture
def fake(tmp_path):
    """A scripted provider."""
    folder = tmp_path / "fake"
    folder.mkdir()
    p = scripted.Provider(folder)
    yield p
    p.stop()


@pytest.fixture(scope="session")
def library(tmp_path_factory):
    """What has a call of a program fail (failing.py)."""
    return failing.build(tmp_path_factory.mktemp("failing"))
