"""Three-valued truth (Kleene's strong logic): a claim is true, false, or nobody can tell.

Labels never say everything. What they leave open is `UNKNOWN`, and is neither taught nor denied.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable
from enum import IntEnum


class Truth(IntEnum):
    """The value of a claim. The numbers are those of the truth tables in tensors (int64 or int8).

    `a & b`, `a | b` and `~a` are the logic's operators. A truth has no `bool()`: compare it with
    `TRUE` or `FALSE`, because "not true" and "false" differ.
    """

    FALSE = 0
    TRUE = 1
    UNKNOWN = -1

    def __bool__(self) -> bool:
        raise TypeError("A three-valued truth is no bool: compare it with TRUE or FALSE.")

    def __and__(self, other: int) -> Truth:
        return _lesser(self, Truth(other))

    def __or__(self, other: int) -> Truth:
        return ~_lesser(~self, ~Truth(other))

    def __invert__(self) -> Truth:
        return _OPPOSITE[self]

    @staticmethod
    def all_of(truths: Iterable[Truth]) -> Truth:
        """The conjunction; `TRUE` of none."""
        return functools.reduce(operator.and_, truths, Truth.TRUE)

    @staticmethod
    def any_of(truths: Iterable[Truth]) -> Truth:
        """The disjunction; `FALSE` of none."""
        return functools.reduce(operator.or_, truths, Truth.FALSE)

    @staticmethod
    def when(condition: bool) -> Truth:
        """`TRUE` or `FALSE` of a condition that is known."""
        return Truth.TRUE if condition else Truth.FALSE


FALSE, TRUE, UNKNOWN = Truth.FALSE, Truth.TRUE, Truth.UNKNOWN
_OPPOSITE = {FALSE: TRUE, TRUE: FALSE, UNKNOWN: UNKNOWN}


def _lesser(a: Truth, b: Truth) -> Truth:
    """The lesser of two truths in the order false, unknown, true."""
    for value in (FALSE, UNKNOWN):
        if value in (a, b):
            return value
    return TRUE
