"""Who is let in: the live page's rules hold before viser's server."""

from __future__ import annotations

import http.client

import pytest

pytest.importorskip("viser", reason="viser is not installed (pip install .[view])")

from find_core.page.source import PageError
from find_field.view.door import open_server
from tests.web.browser import free_port


@pytest.fixture(params=["", "secret"])
def door(request):
    server = open_server("127.0.0.1", free_port(), request.param, "door")
    yield server, request.param
    server.stop()


def answer(server, path: str = "/", **headers: str):
    """Status, location and cookie, text."""
    link = http.client.HTTPConnection("127.0.0.1", server.get_port(), timeout=30)
    link.request("GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()})
    got = link.getresponse()
    text = got.read()
    link.close()
    return got.status, got.getheader("location"), got.getheader("set-cookie") or "", text


def websocket(server, **headers: str) -> int:
    upgrade = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==",
    }  # fmt: skip
    link = http.client.HTTPConnection("127.0.0.1", server.get_port(), timeout=30)
    link.request("GET", "/", headers=upgrade | headers)
    status = link.getresponse().status
    link.close()
    return status


def test_pages_and_sockets(door):
    server, token = door
    own = f"http://127.0.0.1:{server.get_port()}"
    cookie = {"Cookie": f"find_page={token}"} if token else {}
    assert answer(server, **cookie)[0] == 200
    assert websocket(server, Origin=own, **cookie) == 101
    assert websocket(server, Origin="http://elsewhere.example", **cookie) == 403
    if token:
        assert answer(server)[0] == 403 and b"token" in answer(server)[3]
        assert websocket(server, Origin=own) == 403
        assert answer(server, "/?token=wrong")[0] == 403
        status, location, given, _ = answer(server, "/?token=secret")
        assert status == 303 and location == "/" and "find_page=secret" in given
    else:
        assert answer(server, Host="evil.example")[0] == 403


def test_nobody_can_share_it(door):
    assert door[0].request_share_url() is None


def test_a_taken_port_is_said(door):
    with pytest.raises(PageError, match="choose another --port"):
        open_server("127.0.0.1", door[0].get_port(), "", "second")
