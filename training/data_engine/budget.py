"""Limits on what a run may ask of others: number, rate and cost.

Before a request its highest cost is set aside, afterwards what it did cost is booked. So no limit is
passed, whatever a server counts. One process keeps the book, also where many work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from find_core.errors import FindError
from training.data_engine.writers.base import Usage


@dataclass(frozen=True)
class Limits:
    """None is no limit.

    Attributes:
        requests: in all, those of earlier runs of the same folder included. per_minute: evenly spread.
        cost: in the currency of the prices. asked_price, answered_price: of a million tokens.

    Raises:
        FindError: a cost without prices.
    """

    requests: int | None = None
    per_minute: float | None = None
    cost: float | None = None
    asked_price: float = 0.0
    answered_price: float = 0.0

    def __post_init__(self) -> None:
        if self.cost is not None and not self.asked_price + self.answered_price > 0:
            raise FindError("A limit on cost needs prices: --price-in and --price-out, of a million tokens.")  # fmt: skip

    def price(self, usage: Usage) -> float:
        return (usage.asked * self.asked_price + usage.answered * self.answered_price) / 1_000_000


class Budget:
    """The book of one run. Usages that were set aside and not booked count in full.

    Args:
        clock: seconds, monotonic.
    """

    def __init__(self, limits: Limits, clock: Callable[[], float] = time.monotonic) -> None:
        self.limits, self._clock = limits, clock
        self.requests = 0
        self.asked = self.answered = 0
        self._aside: list[Usage] = []
        self._next = clock()

    @property
    def cost(self) -> float:
        """Booked, and set aside."""
        booked = self.limits.price(Usage(self.asked, self.answered))
        return booked + sum(map(self.limits.price, self._aside))

    def refuses(self, most: Usage) -> str:
        """Why a request that may use `most` must not be made, or ""."""
        limits = self.limits
        if limits.requests is not None and self.requests >= limits.requests:
            return f"all {limits.requests} requests are made"
        if limits.cost is not None and self.cost + limits.price(most) > limits.cost:
            return f"{self.cost:.4f} of {limits.cost} are spent, and the next request may cost more than the rest"  # fmt: skip
        return ""

    def wait_s(self) -> float:
        """Seconds until the next request may be made."""
        return max(0.0, self._next - self._clock())

    def set_aside(self, most: Usage) -> None:
        """A request is made now."""
        self.requests += 1
        self._aside.append(most)
        if self.limits.per_minute:
            self._next = max(self._next, self._clock()) + 60.0 / self.limits.per_minute

    def book(self, most: Usage, used: Usage) -> None:
        """A request that was set aside is over."""
        self._aside.remove(most)
        self.asked += used.asked
        self.answered += used.answered

    def pause(self, seconds: float) -> None:
        """No request for so long."""
        self._next = max(self._next, self._clock() + seconds)
