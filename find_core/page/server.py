"""Serves the page: NiceGUI with our routes for pictures, behind the guard."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from find_core.page.guard import LOOPBACK, Guard
from find_core.page.session import Session
from find_core.page.source import PageError, PageSource
from find_core.page.stills import MAX_UPLOAD_BYTES

PORT = 8600
FORM_BYTES = 64 * 1024  # around an uploaded file
RECONNECT_S = 5.0
END_S = 1


def serve(
    source: PageSource,
    *,
    prompts_dir: Path,
    host: str = "127.0.0.1",
    port: int = PORT,
    prompt: str = "",
    say: Callable[[str], None] = print,
) -> None:
    """Serve the page until SIGINT or SIGTERM; blocks, in the main thread.

    Args:
        host: the page is for this machine alone by default; another address opens it, with a token.
        prompt: looked for at the start; "" none. prompts_dir: where prompts are saved.
        say: gets the line that tells the page's address.

    Raises:
        PageError: NiceGUI is not installed, or the address cannot be had.
    """
    check_installed()
    from nicegui import app, ui

    from find_core.page.view.page import build

    check_free(host, port)
    token = "" if host in LOOPBACK else secrets.token_urlsafe(16)
    session = Session(source, prompts_dir)
    if prompt:
        session.ask(prompt)
    _add_routes(session)
    app.add_middleware(Guard, token=token, max_bytes=MAX_UPLOAD_BYTES + FORM_BYTES)
    ui.page("/", title=f"{source.name} · FIND", language="en-US")(lambda: build(session))
    say(announcement(host, port, token))
    try:
        ui.run(
            host=host,
            port=port,
            show=False,
            reload=False,
            show_welcome_message=False,
            reconnect_timeout=RECONNECT_S,
            favicon="🔎",
            timeout_graceful_shutdown=END_S,
        )
    finally:
        session.end()


def check_installed() -> None:
    """Raises PageError: NiceGUI is not."""
    if find_spec("nicegui") is None:
        raise PageError("The page needs NiceGUI: pip install 'find_ros[page]'.")


def announcement(
    host: str, port: int, token: str, can: str = "sees the camera and sets the prompt"
) -> str:
    """One line: where the page is, and to whom it is open; can: what those can do then."""
    if not token:
        return f"The page is at http://{_in_url(host)}:{port}/, for this machine alone."
    name = socket.gethostname() if host in ("0.0.0.0", "::") else host
    return (
        f"The page is open to the network, unencrypted: whoever has this address {can}: "
        f"http://{_in_url(name)}:{port}/?token={token}"
    )


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def check_free(host: str, port: int) -> None:
    """Raises PageError: the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except (OSError, OverflowError) as error:
        raise PageError(
            f"The page cannot be at {host}:{port} ({error}): choose another --port or --host."
        ) from None


def _add_routes(session: Session) -> None:
    """What the browser fetches beside the page: the live picture, and stills by name."""
    from fastapi import Response
    from nicegui import app

    def picture(data: bytes | None, seconds: int) -> Response:
        if data is None:
            return Response(status_code=404)
        kept = f"private, max-age={seconds}" if seconds else "no-store"
        return Response(data, media_type="image/jpeg", headers={"Cache-Control": kept})

    # Plain functions run in threads of the server, so that drawing holds up no other page.
    @app.get("/picture/live/{number}")
    def live(number: int) -> Response:
        moment = session.moment
        return picture(session.live.of(moment) if moment is not None else None, 0)

    @app.get("/picture/still/{name}")
    def still(name: str) -> Response:
        return picture(session.pictures.get(name), 3600)
