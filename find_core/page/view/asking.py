"""Work that blocks, done beside the page's loop; its errors become words on the page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nicegui import run, ui

from find_core.errors import FindError


async def done(work: Callable[..., Any], *given: Any) -> str:
    """Do it in a thread; what went wrong, "" nothing."""
    try:
        await run.io_bound(work, *given)
    except FindError as error:
        return str(error)
    return ""


def tell(sentence: str) -> None:
    """A sentence that is read out too and stays until it is closed."""
    ui.notify(sentence, type="warning", close_button="Close", timeout=0, multi_line=True)
