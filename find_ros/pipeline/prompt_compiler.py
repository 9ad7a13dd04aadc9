"""Prompts change live: compiled beside the running loop, swapped between two frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from find_core.errors import FindError
from find_core.prompts.prompt import Prompt, Reference
from find_core.prompts.text_form import prompt_from_json_text
from find_core.support.lru import Lru

if TYPE_CHECKING:  # it brings torch, which nodes import when they load a model
    from find_core.prompts.compiled import CompiledPrompt

# Images kept by name; the one not renewed for longest goes first.
MAX_REFERENCES = 32


class ReferenceStore:
    """Reference images by name, (H, W, 3) uint8 RGB; at most `MAX_REFERENCES`."""

    def __init__(self) -> None:
        self._images: Lru[str, np.ndarray] = Lru(MAX_REFERENCES)

    def put(self, name: str, image_rgb: np.ndarray) -> bool:
        """False when the very same image is there already: latched topics repeat themselves."""
        known = self._images.peek(name)
        if known is not None and np.array_equal(known, image_rgb):
            return False
        self._images.put(name, image_rgb)
        return True

    def all(self) -> dict[str, np.ndarray]:
        """The images that are kept now, by name."""
        return dict(self._images.items())


@dataclass(frozen=True, eq=False)
class ActivePrompt:
    """A prompt in use.

    Attributes:
        compiled: what the model made of it.
        text: as it was given.
        version: counts up.
    """

    compiled: CompiledPrompt
    text: str
    version: int

    @property
    def prompt(self) -> Prompt:
        return self.compiled.prompt

    @property
    def markup(self) -> str:
        """The sentence with its `<entities>`."""
        return self.prompt.markup


class PromptCompiler:
    """Takes prompts and reference pictures, compiles the newest in its own thread.

    Args:
        compile_prompt: `Find.compile`.
        report: called after each try with (text, error sentence or ''), from the compiler's thread.

    `active` is the prompt to use for the next frame; None until the first one compiled. A prompt
    that cannot be compiled leaves it as it is.
    """

    def __init__(
        self, compile_prompt: Callable[[Prompt], CompiledPrompt], report: Callable[[str, str], None]
    ) -> None:
        self.active: ActivePrompt | None = None
        self.error = ""
        self._compile, self._report = compile_prompt, report
        self._references = ReferenceStore()
        self._wanted: str | None = None
        self._text = ""  # the newest prompt that was asked for, good or bad
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="prompt compiler", daemon=True)
        self._thread.start()

    def submit(self, text: str) -> None:
        """Ask for a prompt: a sentence with `<...>`, or the JSON form. The newest one wins."""
        with self._changed:
            if text == self._text and not self.error:
                return  # latched topics deliver the same prompt more than once
            self._text = self._wanted = text
            self._changed.notify()

    def add_reference(self, name: str, image_rgb: np.ndarray) -> None:
        """Keep a picture (H, W, 3) uint8 RGB by name; recompile a prompt that speaks of it."""
        with self._changed:
            if not self._references.put(name, image_rgb):
                return
            if name in self._text:
                self._wanted = self._text
                self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while self._wanted is None and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                text, self._wanted = self._wanted, None
                images = self._references.all()
            error = self._try(str(text), images)
            if not self._closed:
                self.error = error
                self._report(str(text), error)

    def _try(self, text: str, images: dict[str, np.ndarray]) -> str:
        """Compile and swap; '' or the sentence that says why not."""
        try:
            compiled = self._compile(read_prompt(text, images))
        except FindError as error:
            return str(error)
        except Exception as error:  # the running loop must outlive whatever a prompt can cause
            return f"The prompt could not be compiled ({type(error).__name__}: {error})."
        version = self.active.version + 1 if self.active else 1
        self.active = ActivePrompt(compiled, text, version)
        return ""


def read_prompt(text: str, images: dict[str, np.ndarray]) -> Prompt:
    """A sentence or the JSON form -> `Prompt`.

    Args:
        images: pictures by name, (H, W, 3) uint8 RGB. In a sentence `<name>` means the whole
            picture; the JSON form says which region of {"image": {"name": ...}}.

    Raises:
        FindError: with a sentence that says what was wrong.
    """
    if text.lstrip().startswith("{"):
        return prompt_from_json_text(text, images=images)
    return Prompt.bind_known(text, {name: _whole(image) for name, image in images.items()})


def _whole(image_rgb: np.ndarray) -> Reference:
    height, width = image_rgb.shape[:2]
    return Reference(image_rgb, box=(0, 0, width, height))
