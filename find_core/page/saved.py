"""Prompts that stay: JSON files that `find-core localize --prompt-json` reads too."""

from __future__ import annotations

import os
import re
from pathlib import Path

from find_core.page.source import PageError
from find_core.prompts.prompt import Prompt
from find_core.prompts.text_form import read_prompt_file
from find_core.support.files import write_text
from find_core.support.json_text import json_text

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.-]{0,59}")


def default_folder() -> Path:
    """Where the desktop keeps data of programs: $XDG_DATA_HOME/find/prompts."""
    home = os.environ.get("XDG_DATA_HOME") or str(Path.home() / ".local" / "share")
    return Path(home) / "find" / "prompts"


class SavedPrompts:
    """Prompts by name, each a file of `folder`, which is made with the first."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        found = self.folder.glob("*.json") if self.folder.is_dir() else ()
        return sorted(path.stem for path in found if _NAME.fullmatch(path.stem))

    def save(self, name: str, prompt: Prompt) -> None:
        """Write the prompt, reference images included; an old one of that name is replaced.

        Raises:
            PageError: the name is none, or the disk refuses.
        """
        text = json_text(prompt.to_json(), ensure_ascii=False, indent=1) + "\n"
        write_text(self._path(name), text, PageError)

    def load(self, name: str) -> Prompt:
        """The prompt of that name.

        Raises:
            PromptError, ImageError: the file is gone or damaged. PageError: the name is none.
        """
        return read_prompt_file(self._path(name))

    def _path(self, name: str) -> Path:
        name = name.strip()
        if not _NAME.fullmatch(name):
            raise PageError("A saved prompt's name has letters, digits, spaces, _ . and - only.")
        return self.folder / f"{name}.json"
