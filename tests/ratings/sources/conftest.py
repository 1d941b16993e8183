"""Sources of ratings: a web server, and an index of packages."""

import pytest
from movielens_sets import Server


@pytest.fixture
def server(monkeypatch):
    """A web server on loopback that has no file yet."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    running = Server({})
    yield running
    running.server.shutdown()
    running.thread.join()
    running.server.server_close()


@pytest.fixture
def no_index(monkeypatch, tmp_path):
    """pip looks into a local folder only, which is empty until the test puts a wheel there."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    return wheels
