"""Who may speak to the page: a token where it is open to a network, size limits, no other sites.

ASGI middleware in front of everything that NiceGUI serves, websockets included.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

COOKIE = "find_page"
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Guard:
    """Lets through what is allowed.

    Args:
        app: what is behind it.
        token: that a request must bring once in its address (`?token=`), and then in a cookie; ""
            none is asked for, and then only addresses of this machine are answered to, so that no
            other site's name can be pointed at the page.
        max_bytes: of a request's body.
    """

    def __init__(self, app: App, token: str, max_bytes: int) -> None:
        self.app, self.token, self.max_bytes = app, token, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        given = query.get("token", [""])[0]
        if self.token and self._is_token(given) and scope["type"] == "http":
            await _refuse(send, 303, "", [(b"location", _path(scope)), self._cookie()])
        elif (refusal := self._refusal(scope, headers)) is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
        else:
            await _refuse(send, *refusal)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if not self.token and _hostname(host) not in LOOPBACK:
            return 403, "This page answers to addresses of its own machine only."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "Another site asks in your name: open the page itself."
        if self.token and not self._is_token(_cookie(headers.get("cookie", ""))):
            return 403, "This page needs its token: open the address that was printed at its start."
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            length = headers.get("content-length", "")
            if not length.isdigit():
                return 411, "Say how long the upload is."
            if int(length) > self.max_bytes:
                return 413, f"An upload has at most {self.max_bytes / 2**20:.0f} MiB."
        return None

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self.token.encode())

    def _cookie(self) -> tuple[bytes, bytes]:
        return b"set-cookie", f"{COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Lax".encode()


def _cookie(header: str) -> str:
    try:
        morsel = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _path(scope: Scope) -> bytes:
    path: bytes = scope.get("raw_path") or b"/"
    return b"/" + path.lstrip(b"/")  # "//elsewhere" would be another machine


async def _refuse(
    send: Send, status: int, sentence: str, headers: list[tuple[bytes, bytes]] | None = None
) -> None:
    plain = (b"content-type", b"text/plain; charset=utf-8")
    await send(
        {"type": "http.response.start", "status": status, "headers": [plain, *(headers or [])]}
    )
    await send({"type": "http.response.body", "body": sentence.encode()})
