"""Who may speak to the page."""

from __future__ import annotations

import asyncio

import pytest

from find_core.page.guard import Guard
from find_core.page.server import announcement

HERE = "127.0.0.1:8600"


def answer(token: str = "", kind: str = "http", method: str = "GET", query: str = "", **headers):
    """Status (or websocket close code) and headers; 200 where the request was let through."""
    sent: list[dict] = []

    async def inner(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        sent.append(message)

    given = {"host": HERE} | {k.replace("_", "-"): v for k, v in headers.items()}
    scope = {
        "type": kind, "method": method, "raw_path": b"/", "query_string": query.encode(),
        "headers": [(k.encode(), v.encode()) for k, v in given.items()],
    }  # fmt: skip
    asyncio.run(Guard(inner, token, 1000)(scope, None, send))
    first = sent[0]
    return first.get("status", first.get("code")), dict(first.get("headers", []))


def test_loopback_takes_its_own_names_only():
    assert answer()[0] == 200
    assert answer(host="localhost:8600")[0] == 200
    assert answer(host="[::1]:8600")[0] == 200
    for host in ("evil.example:8600", "127.0.0.1.evil.example", "", "["):
        assert answer(host=host)[0] == 403
        assert answer(kind="websocket", host=host)[0] == 4403


def test_no_other_site_speaks_in_ones_name():
    assert answer(origin=f"http://{HERE}")[0] == 200
    assert answer(origin="http://evil.example")[0] == 403
    assert answer(origin="null")[0] == 403
    assert answer(kind="websocket", origin="http://evil.example")[0] == 4403


def test_a_token_is_asked_for_once_and_then_kept_in_a_cookie():
    assert answer("secret", host="robot:8600")[0] == 403
    assert answer("secret", kind="websocket")[0] == 4403
    assert answer("secret", query="token=wrong")[0] == 403
    assert answer("secret", cookie="find_page=wrong")[0] == 403
    status, headers = answer("secret", query="token=secret", host="robot:8600")
    assert status == 303 and headers[b"location"] == b"/"
    cookie = headers[b"set-cookie"].decode()
    assert "HttpOnly" in cookie and "SameSite" in cookie
    kept = cookie.split(";")[0]
    assert answer("secret", cookie=kept, host="robot:8600")[0] == 200
    assert answer("secret", kind="websocket", cookie=kept)[0] == 200


@pytest.mark.parametrize(
    ("length", "status"), [("1000", 200), ("1001", 413), ("", 411), ("-1", 411)]
)
def test_uploads_are_measured(length, status):
    assert answer(method="POST", content_length=length)[0] == status


def test_the_page_says_to_whom_it_is_open():
    assert "this machine alone" in announcement("127.0.0.1", 8600, "")
    opened = announcement("0.0.0.0", 8600, "secret")
    assert "open to the network" in opened and opened.endswith(":8600/?token=secret")
    assert "\n" not in opened and "0.0.0.0" not in opened
