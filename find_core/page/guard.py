"""Who may speak to the page: a token where it is open to a network, size limits, no other sites.

ASGI middleware in front of everything that NiceGUI serves, websockets included.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
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


class Rules:
    """Who is let in, and what a request may hold.

    Args:
        token: that a request must bring once in its address (`?token=`), and then in a cookie; ""
            none is asked for, and then only addresses of this machine are answered to, so that no
            other site's name can be pointed at the page.
        max_bytes: of a request's body.
    """

    def __init__(self, token: str, max_bytes: int) -> None:
        self.token, self.max_bytes = token, max_bytes

    def enters(self, query: str) -> bool:
        """Whether an address's query string brings the token; it gets the cookie."""
        return bool(self.token) and self._is_token(parse_qs(query).get("token", [""])[0])

    def refusal(self, headers: Mapping[str, str], method: str = "GET") -> tuple[int, str] | None:
        """Status and sentence; None: come in. headers: by name in small letters."""
        host = headers.get("host", "")
        if not self.token and _hostname(host) not in LOOPBACK:
            return 403, "This page answers to addresses of its own machine only."
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "Another site asks in your name: open the page itself."
        if self.token and not self._is_token(_cookie(headers.get("cookie", ""))):
            return 403, "This page needs its token: open the address that was printed at its start."
        if method not in ("GET", "HEAD", "OPTIONS"):
            length = headers.get("content-length", "")
            if not length.isdigit():
                return 411, "Say how long the upload is."
            if int(length) > self.max_bytes:
                return 413, f"An upload has at most {self.max_bytes / 2**20:.0f} MiB."
        return None

    @property
    def cookie(self) -> str:
        """For the header set-cookie."""
        return f"{COOKIE}={self.token}; Path=/; HttpOnly; SameSite=Lax"

    def _is_token(self, text: str) -> bool:
        return hmac.compare_digest(text.encode(), self.token.encode())


class Guard:
    """Lets through what the rules allow.

    Args:
        app: what is behind it. token, max_bytes: as `Rules`.
    """

    def __init__(self, app: App, token: str, max_bytes: int) -> None:
        self.app, self.rules = app, Rules(token, max_bytes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
        query = scope.get("query_string", b"").decode("latin-1")
        method = scope["method"] if scope["type"] == "http" else "GET"
        if scope["type"] == "http" and self.rules.enters(query):
            cookie = (b"set-cookie", self.rules.cookie.encode())
            await _refuse(send, 303, "", [(b"location", _path(scope)), cookie])
        elif (refusal := self.rules.refusal(headers, method)) is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 4403})
        else:
            await _refuse(send, *refusal)


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
