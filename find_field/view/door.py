"""viser's server behind the live page's rules: who may speak to it, and how it is told.

viser asks nobody who they are. What it listens with is given the rules here, before it listens.
"""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Callable, Iterator
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from find_core.page.guard import Rules
from find_core.page.server import check_free
from find_core.page.source import PageError

if TYPE_CHECKING:
    import viser

MAX_BODY_BYTES = 0  # viser takes no request with a body; uploads come over the websocket


def check_installed() -> None:
    """Raises PageError: viser is not, or is older than what is spoken here."""
    if find_spec("viser") is None:
        raise PageError("The view needs viser: pip install 'find_ros[view]'.")
    import viser

    if int(viser.__version__.split(".")[0]) < 1:
        raise PageError(
            f"The view needs viser 1.1 or newer, here is {viser.__version__} (nerfstudio's): use "
            "an environment without nerfstudio, pip install 'find_ros[view]'."
        )


def open_server(host: str, port: int, token: str, title: str) -> viser.ViserServer:
    """A server that listens, with an empty scene.

    Args:
        token: that visitors must bring; "" it answers to this machine's own addresses alone.

    Raises:
        PageError: viser is not installed, or the address cannot be had.
    """
    check_installed()
    import viser

    class Server(viser.ViserServer):
        def request_share_url(self, verbose: bool = True) -> str | None:
            """No visitor can have the scene sent through somebody's tunnel."""
            return None

    check_free(host, port)
    logging.getLogger("websockets.server").setLevel(logging.CRITICAL)  # who comes and goes midway
    with _ruled(Rules(token, MAX_BODY_BYTES)) as asked, contextlib.redirect_stdout(io.StringIO()):
        server = Server(host=host, port=port, label=title, verbose=False)
    if not asked or server.get_port() != port:
        server.stop()
        raise PageError(
            f"The view cannot be at {host}:{port}: choose another --port, or another viser (1.1)."
        )
    server.gui.configure_theme(show_logo=False, show_share_button=False, control_width="large")
    return server


@contextlib.contextmanager
def _ruled(rules: Rules) -> Iterator[list[bool]]:
    """Whatever begins to listen through websockets meanwhile keeps the rules; it is noted."""
    import websockets.asyncio.server as listening

    plain, asked = listening.serve, list[bool]()

    def serve(handler: Any, *where: Any, process_request: Any = None, **options: Any) -> Any:
        asked.append(True)
        return plain(handler, *where, process_request=_checked(rules, process_request), **options)

    listening.serve = serve  # type: ignore[assignment, misc]
    try:
        yield asked
    finally:
        listening.serve = plain  # type: ignore[misc]


def _checked(rules: Rules, answer: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """`answer`, for requests that the rules let through."""
    from websockets import Headers
    from websockets.http11 import Response

    def checked(connection: Any, request: Any) -> Any:
        query = request.path.partition("?")[2]
        headers = {name.lower(): value for name, value in request.headers.raw_items()}
        is_page = headers.get("upgrade", "").lower() != "websocket"
        if is_page and rules.enters(query):
            where = Headers([("Location", "/"), ("Set-Cookie", rules.cookie)])
            return Response(HTTPStatus.SEE_OTHER, "See Other", where, b"")
        if (refusal := rules.refusal(headers)) is not None:
            status, sentence = refusal
            text = sentence.encode()
            told = [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(text))),
            ]
            return Response(status, HTTPStatus(status).phrase, Headers(told), text)
        return answer(connection, request)

    return checked
