"""As recorded, whatever the recording's clock does."""

from __future__ import annotations

import pytest

from find_ros.sources.pace import MAX_LATE_S, Pace


class Player:
    """Waits as it is told, on a clock of its own."""

    def __init__(self) -> None:
        self.now_s, self.told = 50.0, []
        self.pace = Pace(self.told.append, lambda: self.now_s)

    def show(self, time_s: float, rate_hz: float = 0.0, work_s: float = 0.0) -> float:
        self.now_s += self.pace.wait_s(time_s, rate_hz)
        shown_s = self.now_s
        self.now_s += work_s
        return shown_s - 50.0


def test_as_recorded_and_without_drift():
    player = Player()
    shown = [player.show(t, work_s=0.03) for t in (0.0, 0.1, 0.2, 0.5)]
    assert shown == pytest.approx([0, 0.1, 0.2, 0.5]) and not player.told


def test_at_a_rate():
    player = Player()
    assert [player.show(t, 10.0) for t in (0, 7, 99, 3)] == pytest.approx([0, 0.1, 0.2, 0.3])
    assert not player.told


def test_a_late_start_costs_no_time():
    assert Player().show(1e9) == 0


@pytest.mark.parametrize("jump_s", [1_699_999_995.0, -5.0, 3600.0])
def test_a_clock_that_jumps_is_told_and_not_waited_for(jump_s):
    player = Player()
    shown = [player.show(t) for t in (0.0, 0.1, 0.1 + jump_s, 0.2 + jump_s)]
    assert shown == pytest.approx([0, 0.1, 0.1, 0.2], abs=1e-4)
    assert len(player.told) == 1 and f"{jump_s:.0f} s" in player.told[0]


def test_after_a_pause_it_does_not_hurry():
    player = Player()
    player.show(0.0)
    player.now_s += 30
    assert [player.show(t) for t in (0.1, 0.1 + MAX_LATE_S, 1.6)] == pytest.approx([30, 30, 30.5])
