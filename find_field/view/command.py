"""find-field view: a field in the browser."""

from __future__ import annotations

import argparse
import secrets
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from find_core.cli.common import load_model
from find_core.page.guard import LOOPBACK
from find_core.page.server import announcement
from find_core.prompts.text_form import parse_references
from find_field.field.feature_field import FeatureField, load
from find_field.view.door import check_installed, open_server
from find_field.view.explorer import Explorer
from find_field.view.panel import Panel

LOOK_AGAIN_S = 1.0


def run_view(options: argparse.Namespace) -> int:
    """The command line's `find-field view`; until it is interrupted."""
    check_installed()
    references = parse_references(options.reference)
    if options.follow:
        wait_for(options.field)
    field = load(options.field)
    print("Loading the model.", file=sys.stderr)
    explorer = Explorer(field, load_model(options), options.threshold)
    explorer.references = references
    if options.prompt:
        explorer.ask(options.prompt)
    view(explorer, options.host, options.port, options.field if options.follow else None)
    return 0


def view(
    explorer: Explorer,
    host: str,
    port: int,
    follow: Path | None = None,
    say: Callable[[str], None] = print,
) -> None:
    """Serve the view until SIGINT; blocks.

    Args:
        host: the view is for this machine alone on loopback; another address opens it, with a token.
        follow: the field's file, shown again whenever it was written anew.
        say: gets the line that tells the address.

    Raises:
        PageError: viser is not installed, or the address cannot be had.
    """
    token = "" if host in LOOPBACK else secrets.token_urlsafe(16)
    server = open_server(host, port, token, f"{explorer.field.frame} · FIND")
    try:
        panel = Panel(server, explorer)
        say(announcement(host, port, token, "sees the field and asks it"))
        file = FollowedFile(follow) if follow is not None else None
        while True:
            time.sleep(LOOK_AGAIN_S)
            if file is not None:
                panel.act(partial(_show_newest, panel, file))
    finally:
        server.stop()


def wait_for(path: Path) -> None:
    """Until a file is there; says so once."""
    if not path.exists():
        print(f"Waiting for {path}.", file=sys.stderr)
    while not path.exists():
        time.sleep(LOOK_AGAIN_S)


class FollowedFile:
    """A field's file, which others write anew."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = self._state()

    def newer(self) -> FeatureField | None:
        """The field, if it was written since it was last read.

        Raises:
            FieldError: what was written is no field.
        """
        state = self._state()
        if state in (None, self._seen):
            return None
        self._seen = state
        return load(self.path)

    def _state(self) -> tuple[int, int, int] | None:
        try:
            stat = self.path.stat()
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _show_newest(panel: Panel, file: FollowedFile) -> None:
    field = file.newer()
    if field is not None:
        panel.show_field(field)
