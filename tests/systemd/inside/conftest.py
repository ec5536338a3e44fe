import pathlib
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent), str(HERE.parents[1] / "integration")]

import scripted
import service as kubetoken


@pytest.fixture
def fake(tmp_path):
    """A scripted provider."""
    p = scripted.Provider(tmp_path)
    yield p
    p.stop()


@pytest.fixture
def service():
    """kt's kubetoken.service: its socket is there, and it has not been started."""
    s = kubetoken.Service()
    try:
        s.start_socket()
        yield s
    finally:
        s.clear()
