"""The truth tables of Kleene's strong three-valued logic, and that no truth passes for a bool."""

from __future__ import annotations

import itertools

import pytest
import torch

from training.truth import FALSE, TRUE, UNKNOWN, Truth

AND = {(TRUE, TRUE): TRUE, (TRUE, UNKNOWN): UNKNOWN, (TRUE, FALSE): FALSE,
       (UNKNOWN, UNKNOWN): UNKNOWN, (UNKNOWN, FALSE): FALSE, (FALSE, FALSE): FALSE}  # fmt: skip
OR = {(TRUE, TRUE): TRUE, (TRUE, UNKNOWN): TRUE, (TRUE, FALSE): TRUE,
      (UNKNOWN, UNKNOWN): UNKNOWN, (UNKNOWN, FALSE): UNKNOWN, (FALSE, FALSE): FALSE}  # fmt: skip


def test_the_tables() -> None:
    for a, b in itertools.product(Truth, repeat=2):
        key = (a, b) if (a, b) in AND else (b, a)
        assert a & b is AND[key] and a | b is OR[key]
        assert ~(a & b) is (~a | ~b)
    assert ~TRUE is FALSE and ~FALSE is TRUE and ~UNKNOWN is UNKNOWN


def test_of_many_and_of_none() -> None:
    assert Truth.all_of([]) is TRUE and Truth.any_of([]) is FALSE
    assert Truth.all_of([TRUE, UNKNOWN, FALSE]) is FALSE
    assert Truth.any_of([FALSE, UNKNOWN]) is UNKNOWN
    assert Truth.when(True) is TRUE and Truth.when(False) is FALSE


def test_a_truth_is_no_bool_but_a_number_in_tables() -> None:
    with pytest.raises(TypeError, match="compare it"):
        bool(UNKNOWN)
    table = torch.full((3,), int(UNKNOWN))
    table[0], table[1] = TRUE, FALSE
    assert table.tolist() == [1, 0, -1] and (table == UNKNOWN).tolist() == [False, False, True]
