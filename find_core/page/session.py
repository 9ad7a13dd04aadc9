"""What all open pages of one source share: the newest moment, history, references, prompts."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

from find_core.errors import FindError, PromptError
from find_core.page.history import History
from find_core.page.marking import check_name
from find_core.page.saved import SavedPrompts
from find_core.page.source import Moment, PageSource
from find_core.page.stills import LivePicture, Pictures
from find_core.prompts.prompt import MAX_REFERENCES, Prompt
from find_core.prompts.reference import Reference

RECENT = 20
QUIET_S = 3.0
USUAL_THRESHOLD = 0.5


@dataclass(frozen=True)
class Reading:
    """A prompt line as one types it.

    Attributes:
        entities: label, and whether a picture shows it. error: what is wrong with it; "" nothing.
    """

    entities: tuple[tuple[str, bool], ...] = ()
    error: str = ""


class Session:
    """May be used from several threads.

    Args:
        source: what is watched. It runs while at least one page is open.
        prompts_dir: where prompts are saved.
    """

    def __init__(self, source: PageSource, prompts_dir: Path) -> None:
        self.source, self.saved = source, SavedPrompts(prompts_dir)
        self.history, self.pictures, self.live = History(), Pictures(), LivePicture()
        self.references: dict[str, Reference] = {}
        self.recent: list[Prompt] = []
        self.moment: Moment | None = None
        self.number = 0
        self._answered = ""
        self._heard_s = time.monotonic()
        self._lock = threading.RLock()
        self._viewers: set[str] = set()

    # Who looks.

    def come(self, viewer: str) -> None:
        """A page was opened."""
        with self._lock:
            first = not self._viewers
            self._viewers.add(viewer)
            if first:
                self._heard_s = time.monotonic()
                self.source.open(self._take)

    def leave(self, viewer: str) -> None:
        """A page was closed; the source stops with the last one."""
        with self._lock:
            there = viewer in self._viewers
            self._viewers.discard(viewer)
            if there and not self._viewers:
                self.source.close()

    def end(self) -> None:
        with self._lock:
            if self._viewers:
                self._viewers.clear()
                self.source.close()

    def _take(self, moment: Moment) -> None:
        if moment.localization is not None:  # plain images between two answers change nothing
            if moment.prompt != self._answered:
                self.history.forget()
            self._answered = moment.prompt
            self.history.take(moment)
        self._heard_s = time.monotonic()
        self.moment, self.number = moment, self.number + 1

    # What is asked.

    def read(self, text: str) -> Reading:
        """What a sentence means, or what is wrong with it."""
        if not text.strip():
            return Reading()
        try:
            prompt = Prompt.bind_known(text, self.references)
        except PromptError as error:
            return Reading(error=str(error))
        return Reading(tuple((e.label, e.is_visual) for e in prompt.entities))

    def ask(self, text: str) -> None:
        """Look for this from now on; blocks until that is so.

        Raises:
            FindError: it cannot be understood, or is refused.
        """
        prompt = Prompt.bind_known(text, self.references)
        self.source.set_prompt(prompt)
        self.history.forget()
        with self._lock:
            others = [p for p in self.recent if p.markup != prompt.markup]
            self.recent = [prompt, *others][:RECENT]

    def show_camera(self, name: str) -> None:
        """Show another camera of the source, whose history is another one."""
        self.source.show_camera(name)
        self.history.forget()

    def recall(self, prompt: Prompt) -> str:
        """Take over a prompt's references; the sentence to ask for."""
        for entity in prompt.entities:
            if entity.reference is not None:
                self.keep(entity.label, entity.reference)
        return prompt.markup

    def keep(self, name: str, reference: Reference) -> str:
        """Remember a reference, in place of an old one of that name; its name as it was taken.

        Raises:
            PromptError: the name is none, or there are as many as a prompt takes.
        """
        name = check_name(name)
        with self._lock:
            if name not in self.references and len(self.references) >= MAX_REFERENCES:
                raise PromptError(f"There are {MAX_REFERENCES} references already: remove one.")
            self.references = self.references | {name: reference}
        return name

    def drop(self, name: str) -> None:
        with self._lock:
            self.references = {k: v for k, v in self.references.items() if k != name}

    def save(self, name: str, text: str) -> None:
        """Save the sentence with its references.

        Raises:
            FindError: it cannot be understood, the name is none, or the disk refuses.
        """
        self.saved.save(name, Prompt.bind_known(text, self.references))

    # How things stand.

    @property
    def threshold(self) -> float:
        given = self.source.threshold
        return USUAL_THRESHOLD if given is None else given

    def says(self) -> str:
        """What is being done, or what is waited for, in plain words."""
        try:
            waiting = self.source.waits_for()
        except FindError as error:
            waiting = [str(error)]
        if waiting:
            return "Waiting: " + "; ".join(waiting) + "."
        if self.moment is None:
            return "Waiting for the first picture."
        if time.monotonic() - self._heard_s > QUIET_S:
            return "No new picture comes any more."
        return f"Looking for {self.moment.prompt}" if self.moment.prompt else "No prompt yet."

    def age(self) -> str:
        """How old the picture is."""
        if self.moment is None:
            return "no picture yet"
        return f"picture {max(time.monotonic() - self.moment.taken_s, 0.0):.1f} s old"
