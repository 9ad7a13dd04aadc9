from __future__ import annotations

import time

import pytest

from tests.web.browser import free_port


@pytest.fixture
def view(room, oracle):
    """Server and panel, in this process, so that their state can be read."""
    pytest.importorskip("viser", reason="viser is not installed (pip install .[view])")
    from find_field.view.door import open_server
    from find_field.view.explorer import Explorer
    from find_field.view.panel import Panel

    server = open_server("127.0.0.1", free_port(), "", "toy")
    yield Panel(server, Explorer(room, oracle))
    server.stop()


@pytest.fixture
def until():
    """Waits for what the server's threads do."""

    def wait(condition) -> None:
        end_s = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end_s, "it did not come"
            time.sleep(0.01)

    return wait
