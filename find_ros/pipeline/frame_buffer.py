"""Newest frame only, every camera in turn, every frame accounted for. Plain Python: no ROS here.

A frame that came in has exactly one end: published, or dropped under one cause. `FrameCounters` counts
them; `FrameStore` holds at most one frame per camera that is ready, and the few whose depth has
not come yet.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

# Images that may wait for their depth; a driver that is later than this has other troubles.
MAX_WAITING = 8
MAX_DEPTHS = 16


class FrameCounters:
    """What became of every frame; may be used from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.received = self.published = 0
        self.dropped: Counter[str] = Counter()
        self.without_3d: Counter[str] = Counter()

    def receive(self) -> None:
        with self._lock:
            self.received += 1

    def publish(self) -> None:
        with self._lock:
            self.published += 1

    def drop(self, cause: str, count: int = 1) -> None:
        if count:
            with self._lock:
                self.dropped[cause] += count

    def skip_3d(self, cause: str) -> None:
        with self._lock:
            self.without_3d[cause] += 1

    def snapshot(self) -> dict[str, Any]:
        """{"received", "published", "dropped": {cause: n}, "without_3d": {cause: n}, "in_flight"}."""
        with self._lock:
            dropped = dict(self.dropped)
            flight = self.received - self.published - sum(dropped.values())
            counts = {"received": self.received, "published": self.published, "in_flight": flight}
            return counts | {"dropped": dropped, "without_3d": dict(self.without_3d)}


@dataclass(eq=False)
class Frame:
    """Attributes: camera: its name ("" when there is one only). stamp_ns: the image's.
    received_s: steady clock, when it came in. image: the message. depth: the matching message or
    None. without_depth: why there is none, "" when none was expected."""

    camera: str
    stamp_ns: int
    received_s: float
    image: Any
    depth: Any = None
    without_depth: str = ""


class _Slot:
    """One camera's newest frame, and frames whose depth may still come."""

    def __init__(self, counters: FrameCounters) -> None:
        self.counters = counters
        self.ready: Frame | None = None
        self.waiting: deque[Frame] = deque()
        self.depths: deque[tuple[int, Any]] = deque(maxlen=MAX_DEPTHS)
        self.free_at_s = 0.0  # the rate limit's next turn

    def put(self, frame: Frame) -> None:
        """Make `frame` the newest; what is older is superseded."""
        older = [f for f in self.waiting if f.received_s <= frame.received_s]
        self.waiting = deque(f for f in self.waiting if f.received_s > frame.received_s)
        self.counters.drop("superseded", len(older) + (self.ready is not None))
        self.ready = frame

    def clear(self, cause: str) -> None:
        self.counters.drop(cause, len(self.waiting) + (self.ready is not None))
        self.ready = None
        self.waiting.clear()
        self.depths.clear()


class FrameStore:
    """Where callbacks put frames and the inference thread takes them, one camera after the other.

    Args:
        cameras: names, in turn order.
        pair_depth: hold images until their depth came; of all cameras, or of these.
        tolerance_s: how far apart the stamps of an image and its depth may lie; less than half the
            camera's period, or a neighbour's depth could be taken.
        wait_s: how long an image waits for its depth before it goes on without.
        rate_hz: at most so many frames a second of each camera; 0: no limit.
        clock: steady seconds.
    """

    def __init__(
        self,
        cameras: list[str],
        *,
        pair_depth: bool | Collection[str] = False,
        tolerance_s: float = 0.005,
        wait_s: float = 0.1,
        rate_hz: float = 0.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        every = cameras if pair_depth else ()
        self._paired = frozenset(every if isinstance(pair_depth, bool) else pair_depth)
        self.tolerance_s, self.wait_s = tolerance_s, wait_s
        self.rate_hz, self.clock = rate_hz, clock
        self.counters = {name: FrameCounters() for name in cameras}
        self._slots = {name: _Slot(self.counters[name]) for name in cameras}
        self._order = list(cameras)
        self._changed = threading.Condition()
        self._closed = False

    def put_image(self, camera: str, stamp_ns: int, image: Any) -> None:
        """Take in an image; never blocks."""
        frame = Frame(camera, stamp_ns, self.clock(), image)
        with self._changed:
            slot = self._slots[camera]
            slot.counters.receive()
            if self._closed:
                slot.counters.drop("inactive")
                return
            paired = camera in self._paired
            if paired:
                frame.depth = self._depth_near(slot, stamp_ns)
            if paired and frame.depth is None:
                slot.waiting.append(frame)
                if len(slot.waiting) > MAX_WAITING:
                    slot.waiting.popleft()
                    slot.counters.drop("superseded")
            else:
                slot.put(frame)
            self._changed.notify()

    def put_depth(self, camera: str, stamp_ns: int, depth: Any) -> None:
        """Take in a depth image and wake the image that waited for it."""
        with self._changed:
            slot = self._slots[camera]
            slot.depths.append((stamp_ns, depth))
            frame = min(slot.waiting, key=lambda f: abs(f.stamp_ns - stamp_ns), default=None)
            if frame is not None and abs(frame.stamp_ns - stamp_ns) <= self.tolerance_s * 1e9:
                frame.depth = depth
                slot.waiting.remove(frame)
                slot.put(frame)
                self._changed.notify()

    def take(self, timeout_s: float) -> Frame | None:
        """The next camera's newest frame; None after `timeout_s`, or at once when closed."""
        end_s = self.clock() + timeout_s
        with self._changed:
            while not self._closed:
                now_s = self.clock()
                self._give_up_waiting(now_s)
                if (frame := self._next(now_s)) is not None:
                    return frame
                if now_s >= end_s:
                    return None
                self._changed.wait(max(0.001, min(end_s, self._next_event_s()) - now_s))
        return None

    def close(self, cause: str = "inactive") -> None:
        """Drop what is held, under `cause`, and let no more in."""
        with self._changed:
            self._closed = True
            for slot in self._slots.values():
                slot.clear(cause)
            self._changed.notify_all()

    def open(self) -> None:
        with self._changed:
            self._closed = False

    def _next(self, now_s: float) -> Frame | None:
        for name in self._order:
            slot = self._slots[name]
            if slot.ready is not None and now_s >= slot.free_at_s:
                frame, slot.ready = slot.ready, None
                if self.rate_hz > 0:  # keep the beat, but never save up turns
                    beat_s = slot.free_at_s + 1 / self.rate_hz
                    slot.free_at_s = beat_s if beat_s > now_s else now_s + 1 / self.rate_hz
                self._order.remove(name)
                self._order.append(name)
                return frame
        return None

    def _give_up_waiting(self, now_s: float) -> None:
        """Frames whose depth did not come in time go on without it."""
        for slot in self._slots.values():
            late = [f for f in slot.waiting if now_s - f.received_s >= self.wait_s]
            if late:
                late[-1].without_depth = "no_depth"
                slot.waiting.remove(late[-1])
                slot.put(late[-1])

    def _next_event_s(self) -> float:
        times = [s.waiting[0].received_s + self.wait_s for s in self._slots.values() if s.waiting]
        times += [s.free_at_s for s in self._slots.values() if s.ready is not None]
        return min(times, default=float("inf"))

    def _depth_near(self, slot: _Slot, stamp_ns: int) -> Any:
        best = min(slot.depths, key=lambda d: abs(d[0] - stamp_ns), default=None)
        if best is None or abs(best[0] - stamp_ns) > self.tolerance_s * 1e9:
            return None
        return best[1]
