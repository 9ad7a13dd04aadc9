"""Prompts change live: compiled beside the running loop, swapped between two frames."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from find_core.errors import FindError
from find_core.prompts.prompt import Prompt
from find_ros.pipeline.prompt_text import DEFAULT_LIMITS, PromptLimits, read_prompt
from find_ros.pipeline.reference_store import ReferenceStore
from find_ros.support.last_net import start_plain_thread
from find_ros.support.text import SENTENCE_LIMIT, printable, sentence_of

if TYPE_CHECKING:  # it brings torch, which nodes import when they load a model
    from find_core.protocols import CompiledLike


StartThread = Callable[[str, Callable[[], None]], threading.Thread]


@dataclass(frozen=True, eq=False)
class ActivePrompt:
    """A prompt in use.

    Attributes:
        compiled: what the model made of it.
        text: as it was given.
        version: counts up.
    """

    compiled: CompiledLike
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
    """Takes prompts and reference images, compiles the newest in its own thread.

    Args:
        compile_prompt: `Find.compile`.
        report: called after each try with (text, error sentence or ''), from the compiler's thread.
        limits: of what a prompt may bring; of references kept too.
        start_thread: takes a name and what to run.

    `active` is the prompt to use for the next frame; None until the first one compiled. A prompt
    that cannot be compiled leaves it as it is.
    """

    def __init__(
        self,
        compile_prompt: Callable[[Prompt], CompiledLike],
        report: Callable[[str, str], None],
        limits: PromptLimits = DEFAULT_LIMITS,
        start_thread: StartThread = start_plain_thread,
    ) -> None:
        self.active: ActivePrompt | None = None
        self.error = ""
        self._compile, self._report = compile_prompt, report
        self._limits = limits
        self._references = ReferenceStore(limits.max_references)
        self._wanted: str | None = None
        self._text = ""  # the newest prompt that was asked for, good or bad
        self._closed = False
        self._changed = threading.Condition()
        self._thread = start_thread("prompt compiler", self._run)

    def submit(self, text: str) -> None:
        """Ask for a prompt: a sentence with `<...>`, or the JSON form. The newest one wins."""
        if len(text) > self._limits.max_bytes:
            text = text[: self._limits.max_bytes + 1]  # enough to be refused, and no more is kept
        with self._changed:
            if text == self._text and not self.error:
                return  # latched topics deliver the same prompt more than once
            self._text = self._wanted = text
            self._changed.notify()

    def add_reference(self, name: str, image_rgb: np.ndarray) -> None:
        """Keep a image (H, W, 3) uint8 RGB by name; recompile a prompt that speaks of it."""
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
            compiled = self._compile(read_prompt(text, images, self._limits))
        except FindError as error:
            return sentence_of(error)
        except Exception as error:  # the running loop must outlive whatever a prompt can cause
            what = f"{type(error).__name__}: {error}"
            return printable(f"The prompt could not be compiled ({what}).", SENTENCE_LIMIT)
        version = self.active.version + 1 if self.active else 1
        self.active = ActivePrompt(compiled, text, version)
        return ""
