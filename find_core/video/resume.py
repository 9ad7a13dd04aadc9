"""resume.json: where an interrupted run of a recording goes on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from find_core.errors import FindError
from find_core.support.formats import Key, read_state

LAYOUT = {
    "key": Key((str,)),
    "bytes": Key((int,), low=0),
    "stream": Key((dict,)),
    "index": Key((int,), low=0),
    "time_s": Key((float,), low=0),
}


def read_resume(saved: Path, part: Path, key: str) -> dict[str, Any] | None:
    """The state of an interrupted run; None where it is damaged, and the run begins anew.

    Args:
        part: the lines written so far. A power loss can leave fewer than the state counts on.
        key: identifies the run: source, prompts, model and settings.

    Raises:
        FindError: it is the state of another run.
    """
    state = read_state(saved, LAYOUT)
    if state is not None and state["key"] != key:
        raise FindError(
            f"{saved.parent} holds an unfinished run of another video, prompt, model or setting: "
            f"give another folder, or delete {saved.name} there to begin anew."
        )
    return None if state is None or part.stat().st_size < state["bytes"] else state
