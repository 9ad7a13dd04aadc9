"""A run of the engine: every image is asked about until it has a sentence or its attempts are used up.

What was asked and what came back stands in OUT/journal.jsonl before anything else happens, so that
the same command goes on after kill -9. Order of asking does not show in the results.
"""

from __future__ import annotations

import dataclasses
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from find_core.errors import ImageError
from training.data_engine.ask import Answered, Refusal
from training.data_engine.budget import Budget
from training.data_engine.images import Item
from training.data_engine.journal import Journal
from training.data_engine.writers.base import Usage, Wish, WriterSource
from training.engine.spread import MOST_LOSSES, WorkerLostError, Workers

Progress = Callable[[int, int], None]
LONGEST_SLEEP_S = 1.0


@dataclass(frozen=True)
class Rules:
    """
    Attributes:
        wish: of every image. attempts: requests an image at most.
        patience: so many answers in a row that were none end the run, for paid writers.
    """

    wish: Wish = field(default_factory=Wish)
    attempts: int = 2
    patience: int = 20


@dataclass
class Story:
    """What happened to one image."""

    accepted: tuple[str, ...] = ()
    refused: list[Refusal] = field(default_factory=list)
    attempts: int = 0
    last: tuple[Refusal, ...] = ()
    """Refused by the last answer."""

    def take(self, answered: Answered) -> None:
        self.attempts += 1
        self.accepted = self.accepted or answered.accepted
        self.refused += answered.refused
        self.last = answered.refused


@dataclass
class Run:
    """All stories by image id, and why the run ended before its end, if it did."""

    stories: dict[int, Story]
    budget: Budget
    stopped: str = ""


class Engine:
    """Asks about images until nothing is left to ask, or a limit is reached.

    Args:
        journal: where everything goes first; what it holds is not asked again.
    """

    def __init__(
        self, source: WriterSource, rules: Rules, journal: Journal, budget: Budget,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:  # fmt: skip
        self.source, self.rules, self.journal, self.budget = source, rules, journal, budget
        self._sleep = sleep
        self._silent = 0
        self._losses: dict[int, int] = {}
        self._running: dict[Future[Answered], tuple[Item, Usage]] = {}

    def run(self, items: Sequence[Item], workers: Workers, progress: Progress) -> Run:
        """Work off the items; see `Run`.

        Raises:
            WriterError: the writer cannot go on. What was done is in the journal.
        """
        run = Run({item.image_id: Story() for item in items}, self.budget)
        restore(self.journal.entries, run)
        attempts = self.rules.attempts if self.source.repeats else 1
        waiting = deque(
            i for i in items
            if not run.stories[i.image_id].accepted and run.stories[i.image_id].attempts < attempts
        )  # fmt: skip
        done = len(items) - len(waiting)
        progress(done, len(items))
        while (waiting and not run.stopped) or self._running:
            while waiting and not run.stopped and len(self._running) < workers.capacity:
                if self._must_wait():
                    break
                self._ask(waiting, run, workers)
            for future in list(wait(self._running, self._longest(), FIRST_COMPLETED).done):
                item = self._settle(future, run)
                story = run.stories[item.image_id]
                if not story.accepted and story.attempts < attempts:
                    waiting.append(item)
                else:
                    done += 1
                    progress(done, len(items))
            if self.source.paid and self._silent >= self.rules.patience and not run.stopped:
                run.stopped = f"{self._silent} answers in a row were none"
        return run

    def _longest(self) -> float | None:
        """How long to wait for an answer before looking whether the next request may be made."""
        return min(LONGEST_SLEEP_S, self.budget.wait_s()) or None

    def _must_wait(self) -> bool:
        """Is it too early for a request? Sleeps where no answer can come meanwhile."""
        delay = self.budget.wait_s()
        if delay > 0 and not self._running:
            self._sleep(min(delay, LONGEST_SLEEP_S))
        return delay > 0

    def _ask(self, waiting: deque[Item], run: Run, workers: Workers) -> None:
        item = waiting[0]
        story = run.stories[item.image_id]
        reasons = tuple(f"{r.reason}: {r.detail}" for r in story.last)
        wish = dataclasses.replace(self.rules.wish, refused=reasons, attempt=story.attempts)
        most = self._most(item, wish)
        if self.source.paid and (why := self.budget.refuses(most)):
            run.stopped = why
            return
        waiting.popleft()
        self.journal.add({"asked": item.image_id, "most": dataclasses.astuple(most)})
        self.budget.set_aside(most)
        self._running[workers.submit(item, wish)] = item, most

    def _most(self, item: Item, wish: Wish) -> Usage:
        """What the request can cost; nothing where no image can be read, as none is made then."""
        if not self.source.paid:
            return Usage()
        try:
            return self.source.most_usage(item.read(), wish)
        except ImageError:
            return Usage()

    def _settle(self, future: Future[Answered], run: Run) -> Item:
        item, most = self._running.pop(future)
        try:
            answered = future.result()
        except WorkerLostError as error:  # what it cost is not known: the most
            self._losses[item.image_id] = self._losses.get(item.image_id, 0) + 1
            if self._losses[item.image_id] < MOST_LOSSES:
                self.budget.book(most, most)
                return item
            answered = Answered((), (Refusal("no answer", str(error)),), most)
        none = any(r.reason == "no answer" for r in answered.refused) and not answered.accepted
        self._silent = self._silent + 1 if none else 0
        self.journal.add(entry_of(item.image_id, answered, most))
        self.budget.book(most, answered.usage)
        self.budget.pause(answered.wait_s)
        run.stories[item.image_id].take(answered)
        return item


def entry_of(image_id: int, answered: Answered, most: Usage) -> dict[str, Any]:
    """A line of the journal."""
    return {
        "image": image_id, "accepted": answered.accepted,
        "refused": [dataclasses.astuple(r) for r in answered.refused],
        "used": dataclasses.astuple(answered.usage), "most": dataclasses.astuple(most),
    }  # fmt: skip


def restore(entries: Sequence[Mapping[str, Any]], run: Run) -> None:
    """Bring stories and book to where the journal ends. Questions without an answer count in full."""
    budget = run.budget
    for entry in entries:
        most = Usage(*entry["most"])
        if "asked" in entry:
            budget.requests += 1
            budget.asked, budget.answered = budget.asked + most.asked, budget.answered + most.answered  # fmt: skip
            continue
        used = Usage(*entry["used"])
        budget.asked += used.asked - most.asked
        budget.answered += used.answered - most.answered
        refused = tuple(Refusal(*r) for r in entry["refused"])
        if entry["image"] in run.stories:
            answered = Answered(tuple(entry["accepted"]), refused, used)
            run.stories[entry["image"]].take(answered)
