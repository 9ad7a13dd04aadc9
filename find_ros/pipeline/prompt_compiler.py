"""Prompts change live: compiled beside the running loop, swapped between two frames.

The node's own prompt and those that others ask beside it, each under its id, live here together.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from find_core.errors import FindError
from find_core.prompts.prompt import Prompt
from find_ros.pipeline.prompt_request import ENVELOPE, OWN, PromptRequest, read_request
from find_ros.pipeline.prompt_text import DEFAULT_LIMITS, PromptLimits, bind_prompt
from find_ros.pipeline.reference_store import ReferenceStore
from find_ros.support.last_net import start_plain_thread
from find_ros.support.text import SENTENCE_LIMIT, printable, sentence_of

if TYPE_CHECKING:  # it brings torch, which nodes import when they load a model
    from find_core.protocols import CompiledLike


StartThread = Callable[[str, Callable[[], None]], threading.Thread]
# Requests that may wait for the compiler; beyond these the oldest are left out.
MAX_PENDING = 64


@dataclass(frozen=True, eq=False)
class ActivePrompt:
    """A prompt in use.

    Attributes:
        compiled: what the model made of it.
        text: as it was given.
        version: counts up, over all prompts.
        id: that its answers carry; `OWN` for the node's own.
    """

    compiled: CompiledLike
    text: str
    version: int
    id: str = OWN

    @property
    def prompt(self) -> Prompt:
        return self.compiled.prompt

    @property
    def markup(self) -> str:
        """The sentence with its `<entities>`."""
        return self.prompt.markup


@dataclass(frozen=True)
class PromptStatus:
    """What became of a request.

    Attributes:
        id: of the prompt. text: as it was given.
        state: "active" | "waiting" (for a reference image) | "refused" | "removed" | "expired".
        error: why it was refused; "" otherwise.
        sentence: with its `<entities>`, once it is active.
        repeated: the same request again; nothing changed.
    """

    id: str
    text: str
    state: str
    error: str = ""
    sentence: str = ""
    repeated: bool = False

    def to_json(self, in_use: Iterable[ActivePrompt]) -> dict[str, Any]:
        """The object of schemas/prompt_status.schema.json; in_use: all prompts that are."""
        in_use = list(in_use)
        return {
            "version": 1,
            "id": self.id,
            "state": self.state,
            "prompt": printable(self.text),
            "sentence": printable(self.sentence),
            "error": self.error,
            "active": next((printable(p.markup) for p in in_use if p.id == OWN), ""),
            "ids": [p.id for p in in_use if p.id != OWN],
        }


@dataclass(eq=False)
class _InUse:
    """expires_s: steady clock; None: never."""

    request: PromptRequest
    active: ActivePrompt
    expires_s: float | None


class PromptCompiler:
    """Takes requests and reference images, compiles in its own thread.

    Args:
        compile_prompt: `Find.compile`.
        report: called with the status of each request, from the compiler's thread.
        limits: of what a prompt may bring; of references kept too.
        start_thread: takes a name and what to run.
        max_prompts: most prompts beside the node's own.
        reference_wait_s: how long a prompt waits for an image that it names.

    A request that cannot be compiled leaves the prompt of its id as it is.
    """

    def __init__(
        self,
        compile_prompt: Callable[[Prompt], CompiledLike],
        report: Callable[[PromptStatus], None],
        limits: PromptLimits = DEFAULT_LIMITS,
        start_thread: StartThread = start_plain_thread,
        *,
        max_prompts: int = 8,
        reference_wait_s: float = 5.0,
    ) -> None:
        self.in_use: tuple[ActivePrompt, ...] = ()
        self.error = ""
        self._compile, self._report = compile_prompt, report
        self._limits = limits
        self._max_prompts, self._reference_wait_s = max_prompts, reference_wait_s
        self._references = ReferenceStore(limits.max_references)
        # Of the compiler's thread alone.
        self._prompts: dict[str, _InUse] = {}
        self._waiting: dict[str, tuple[PromptRequest, float]] = {}
        self._own: PromptRequest | None = None  # the newest that was asked for, good or bad
        self._version = 0
        self._tried: set[str] = set()  # ids, with the images of this round
        # Handed over to it.
        self._asked: deque[str] = deque()
        self._arrived: set[str] = set()
        self._failed: list[tuple[ActivePrompt, str]] = []
        self._at_work = self._closed = False
        self._changed = threading.Condition()
        self._thread = start_thread("prompt compiler", self._run)

    @property
    def active(self) -> ActivePrompt | None:
        """The node's own prompt, for the next frame; None until the first one compiled."""
        return next((prompt for prompt in self.in_use if prompt.id == OWN), None)

    @property
    def is_busy(self) -> bool:
        """Whether a request is still to be compiled."""
        return bool(self._at_work or self._asked)

    def submit(self, text: str) -> None:
        """Ask for a prompt: a sentence with `<...>`, or the JSON form. The newest of an id wins."""
        if len(text) > self._limits.max_bytes:
            text = text[: self._limits.max_bytes + 1]  # enough to be refused, and no more is kept
        with self._changed:
            self._asked.append(text)
            while len(self._asked) > MAX_PENDING or (
                len(self._asked) > 1 and sum(map(len, self._asked)) > 4 * self._limits.max_bytes
            ):
                self._asked.popleft()
            self._changed.notify()

    def add_reference(self, name: str, image_rgb: np.ndarray) -> None:
        """Keep an image (H, W, 3) uint8 RGB by name; prompts that speak of it are compiled anew."""
        with self._changed:
            if self._references.put(name, image_rgb):
                self._arrived.add(name)
                self._changed.notify()

    def fail(self, prompt: ActivePrompt, error: str) -> None:
        """The model cannot answer a prompt beside the node's own: it goes, and its asker is told."""
        with self._changed:
            self._failed.append((prompt, error))
            self._changed.notify()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._at_work = False
                self._changed.wait_for(self._has_work, self._pause_s())
                if self._closed:
                    return
                self._at_work = True
                texts, arrived, failed = list(self._asked), self._arrived, self._failed
                self._asked.clear()
                self._arrived, self._failed = set(), []
                images = self._references.all()
            self._tried.clear()
            for prompt, error in failed:
                self._drop_failed(prompt, error)
            for request in self._newest(texts):
                self._take(request, images)
            self._take_up(arrived, images)
            self._expire(images)

    def _has_work(self) -> bool:
        return bool(self._closed or self._asked or self._arrived or self._failed)

    def _pause_s(self) -> float | None:
        """Seconds until a prompt expires or has waited long enough."""
        times = [used.expires_s for used in self._prompts.values() if used.expires_s is not None]
        times += [until_s for _, until_s in self._waiting.values()]
        return max(0.0, min(times) - time.monotonic()) if times else None

    def _newest(self, texts: Iterable[str]) -> list[PromptRequest]:
        """The last request of each id, in the order they came."""
        newest: dict[str, PromptRequest] = {}
        for text in texts:
            try:
                request = read_request(text, self._limits)
            except FindError as error:
                self._refuse(OWN, text, sentence_of(error))
                continue
            newest.pop(request.id, None)
            newest[request.id] = request
        return list(newest.values())

    def _take(self, request: PromptRequest, images: dict[str, np.ndarray]) -> None:
        if request.remove:
            self._waiting.pop(request.id, None)
            self._drop(request.id, request.text, "removed")
            return
        used = self._prompts.get(request.id)
        is_last = used is not None and used.request.text == request.text
        # Latched topics deliver a request more than once, and askers renew theirs.
        if used is not None and is_last and not (request.id == OWN and self.error):
            used.expires_s = _expiry_s(request)
            self._say(
                PromptStatus(request.id, request.text, "active", "", used.active.markup, True)
            )
            return
        others = (set(self._prompts) | set(self._waiting)) - {OWN}
        if request.id != OWN and request.id not in others and len(others) >= self._max_prompts:
            self._refuse(
                request.id,
                request.text,
                f"{len(others)} prompts are in use beside the node's own, as many as max_prompts "
                "allows: remove one or raise the parameter.",
            )
        elif request.images() - set(images) and self._reference_wait_s > 0:
            self._wait_for_images(request)
        else:
            self._waiting.pop(request.id, None)
            self._try(request, images)

    def _wait_for_images(self, request: PromptRequest) -> None:
        waiting = self._waiting.get(request.id)
        repeated = waiting is not None and waiting[0].text == request.text
        until_s = time.monotonic() + self._reference_wait_s
        if waiting is not None and repeated:
            until_s = waiting[1]
        self._waiting[request.id] = request, until_s
        self._say(PromptStatus(request.id, request.text, "waiting", repeated=repeated))

    def _take_up(self, arrived: set[str], images: dict[str, np.ndarray]) -> None:
        """Compile what waited for images that came, and anew what speaks of them."""
        ready = [r for r, _ in self._waiting.values() if not r.images() - set(images)]
        again = [used.request for used in self._prompts.values()]
        if self._own is not None and OWN not in self._waiting:
            again = [self._own, *(r for r in again if r.id != OWN)]
        again = [r for r in again if any(r.speaks_of(name) for name in arrived)]
        newest = {r.id: r for r in (*again, *ready) if r.id not in self._tried}
        for request in newest.values():
            self._waiting.pop(request.id, None)
            self._try(request, images)

    def _expire(self, images: dict[str, np.ndarray]) -> None:
        now_s = time.monotonic()
        for request, until_s in list(self._waiting.values()):
            if now_s >= until_s:
                del self._waiting[request.id]
                self._try(request, images)  # which says what is missing
        for used in list(self._prompts.values()):
            if used.expires_s is not None and now_s >= used.expires_s:
                self._drop(used.active.id, used.request.text, "expired")

    def _try(self, request: PromptRequest, images: dict[str, np.ndarray]) -> None:
        """Compile and swap, or say why not."""
        self._tried.add(request.id)
        if request.id == OWN:
            self._own = request
        try:
            compiled = self._compile(bind_prompt(request.parsed, images, self._limits, ENVELOPE))
        except FindError as error:
            self._refuse(request.id, request.text, sentence_of(error))
            return
        except Exception as error:  # the running loop must outlive whatever a prompt can cause
            what = f"{type(error).__name__}: {error}"
            sentence = printable(f"The prompt could not be compiled ({what}).", SENTENCE_LIMIT)
            self._refuse(request.id, request.text, sentence)
            return
        self._version += 1
        active = ActivePrompt(compiled, request.text, self._version, request.id)
        self._prompts[request.id] = _InUse(request, active, _expiry_s(request))
        if request.id == OWN:
            self.error = ""
        self._show_in_use()
        self._say(PromptStatus(request.id, request.text, "active", "", active.markup))

    def _refuse(self, prompt_id: str, text: str, error: str) -> None:
        if prompt_id == OWN:
            self.error = error
        self._say(PromptStatus(prompt_id, text, "refused", error))

    def _drop(self, prompt_id: str, text: str, state: str, error: str = "") -> None:
        self._prompts.pop(prompt_id, None)
        self._show_in_use()
        self._say(PromptStatus(prompt_id, text, state, error))

    def _drop_failed(self, prompt: ActivePrompt, error: str) -> None:
        used = self._prompts.get(prompt.id)
        if used is not None and used.active is prompt:
            self._drop(prompt.id, prompt.text, "refused", error)

    def _show_in_use(self) -> None:
        """The node's own first."""
        prompts = sorted(self._prompts.values(), key=lambda used: used.active.id != OWN)
        self.in_use = tuple(used.active for used in prompts)

    def _say(self, status: PromptStatus) -> None:
        if not self._closed:
            self._report(status)


def _expiry_s(request: PromptRequest) -> float | None:
    return None if request.ttl_s is None else time.monotonic() + request.ttl_s
