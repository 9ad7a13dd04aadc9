"""Rows that grow and shrink, against plain dicts and lists."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from find_field.field.tables import GrowingArray, RowRanges, VoxelIndex

batch = st.tuples(
    st.lists(st.integers(0, 30), max_size=12), st.lists(st.integers(0, 40), max_size=5)
)


@settings(max_examples=60, deadline=None)
@given(st.lists(batch, max_size=9))
def test_index_agrees_with_a_list(batches):
    """Keys come, go, and come again."""
    index, slow = VoxelIndex(), []
    probe = np.arange(-1, 32)
    for add, take in batches:
        keys = np.unique(np.array(add, np.int64))
        rows = index.find_or_add(keys)
        slow += [key for key in keys.tolist() if key not in slow]
        assert rows.tolist() == [slow.index(key) for key in keys.tolist()]
        gone = np.unique([row for row in take if row < len(slow)]).astype(np.int64)
        moved, holes = index.remove(gone)
        for row, to in zip(moved.tolist(), holes.tolist(), strict=True):
            slow[to] = slow[row]
        slow = slow[: len(slow) - len(gone)]
        assert index.keys().tolist() == slow and len(index) == len(slow)
        want = [slow.index(key) if key in slow else -1 for key in probe.tolist()]
        assert index.find(probe).tolist() == want
    assert VoxelIndex(index.keys()).find(probe).tolist() == index.find(probe).tolist()


def test_a_key_moves_between_runs_few_times():
    index = VoxelIndex()
    for start in range(0, 64_000, 100):
        index.find_or_add(np.arange(start, start + 100))
    assert len(index) == 64_000 and len(index._runs) <= 10


def test_growing_array_keeps_rows_and_starts_new_ones_at_zero():
    grown = GrowingArray((2,), np.float32)
    grown.resize(3)[:] = 7
    view = grown.resize(5000)
    assert (view[:3] == 7).all() and (view[3:] == 0).all() and len(grown.view) == 5000


def test_ranges_hold_their_rows(monkeypatch):
    monkeypatch.setattr(RowRanges, "ROWS", 4)
    rng = np.random.default_rng(0)
    table, ranges = rng.integers(-50, 50, (23, 3)).astype(np.int32), RowRanges()
    for start, end in ((0, 3), (3, 3), (3, 14), (14, 23)):
        ranges.add(np.arange(start, end), table[start:end])
    table[[1, 6, 17]] = [[99, 0, 0], [0, -99, 0], [0, 0, 99]]
    ranges.add(np.array([1, 6, 17]), table[[1, 6, 17]])
    low, high = ranges.bounds()
    assert len(low) == 6
    for i in range(6):
        mine = table[i * 4 : i * 4 + 4]
        assert (low[i] <= mine.min(0)).all() and (high[i] >= mine.max(0)).all()
    assert (low[2] == table[8:12].min(0)).all() and (high[2] == table[8:12].max(0)).all()
    assert ranges.rows(np.array([0, 5]), 22).tolist() == [0, 1, 2, 3, 20, 21]
