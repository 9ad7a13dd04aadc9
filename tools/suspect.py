"""A node under fire: what it says is looked at as it comes, what is wrong with it is kept."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MAX_TEXT, MAX_ANSWER, MAX_LOG_LINE = 4000, 200_000, 3000  # characters
# Nothing that is sent decodes to more than a megabyte: what grows beyond this was believed.
MAX_GROWTH_MB = 150.0
KEPT = ("received", "published", "lifted", "in_flight", "queries_answered")


@dataclass
class Suspect:
    """A node's process and what it said."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path
    faults: list[str] = field(default_factory=list)
    values: dict[str, str] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    active: str = ""
    stamps_ns: set[int] = field(default_factory=set)
    query_ids: set[str] = field(default_factory=set)
    began_mb: float = 0.0

    def fault(self, what: str) -> None:
        if what not in self.faults and len(self.faults) < 20:
            self.faults.append(what)
            print(f"{self.name}: {what}", flush=True)

    @property
    def is_lost(self) -> bool:
        """It ended or went deaf: no use in waiting for it again."""
        return self.process.poll() is not None or any(f.startswith("deaf") for f in self.faults)

    def hears(self, topic: str, text: str) -> None:
        """Look at one JSON text that it published."""
        self.answers[topic] += 1
        limit = MAX_TEXT if topic == "prompt_status" else MAX_ANSWER
        if len(text) > limit:
            self.fault(f"{topic} of {len(text)} characters: {text[:200]}")
        try:
            data = json.loads(text, parse_constant=_no_number)
        except ValueError as error:
            return self.fault(f"{topic} is no JSON ({error}): {text[:200]}")
        if topic == "localization":
            self.stamps_ns.add(int(data["stamp_ns"]))
        elif topic == "prompt_status":
            self.active = data["active"]
        else:
            self.query_ids.add(str(data["id"]))

    def peak_mb(self) -> float:
        return _memory_mb(self.process.pid, "VmHWM")

    def reads_diagnostics(self, message: str, values: Iterable[Any]) -> None:
        self.values = {v.key: v.value for v in values}
        for text in (message, *self.values, *self.values.values()):
            if len(text) > MAX_TEXT:
                self.fault(f"/diagnostics holds {len(text)} characters: {text[:200]}")

    def books(self) -> dict[str, int]:
        """Its counters; a fault where frames are not accounted for."""
        counters = ("dropped/", "without_3d/", "exceptions/")
        out = {k: int(v) for k, v in self.values.items() if k in KEPT or k.startswith(counters)}
        done = out.get("published", out.get("lifted", 0))
        dropped = sum(n for k, n in out.items() if k.startswith("dropped/"))
        if out.get("received", -1) != done + dropped + out.get("in_flight", 0):
            self.fault(f"the books do not balance: {out}")
        return out

    def end(self) -> dict[str, Any]:
        """Interrupt it; what is known of it."""
        alive = self.process.poll() is None
        peak_mb = self.peak_mb() if alive else 0.0
        if alive and peak_mb - self.began_mb > MAX_GROWTH_MB:
            self.fault(f"memory grew from {self.began_mb:.0f} to {peak_mb:.0f} MB")
        began_s = time.monotonic()
        if alive:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.fault("does not end")
            self.process.kill()
            self.process.wait()
        ended_s = time.monotonic() - began_s
        log = self.log.read_text(errors="replace").splitlines()
        longest = max(map(len, log), default=0)
        if longest > MAX_LOG_LINE:
            self.fault(f"a log line of {longest} characters")
        if any(line.startswith("Traceback") for line in log):
            self.fault("a traceback in its log")
        return {
            "alive": alive,
            "exit_status": self.process.returncode,
            "seconds_to_end": round(ended_s, 2),
            "books": self.books(),
            "said": dict(self.answers),
            "log_lines": len(log),
            "longest_line": longest,
            "memory_mb": {"before": round(self.began_mb), "peak": round(peak_mb)},
            "faults": self.faults,
        }


def _no_number(name: str) -> None:
    raise ValueError(f"holds {name}")


def _memory_mb(pid: int, key: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1e3
    return 0.0
