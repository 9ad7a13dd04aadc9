"""Parameters as a dataclass: name, type, default, range, meaning, and when a change takes effect.

A node's parameters are the fields of one dataclass, made with `param(...)`. The dataclass is the one
place of each default: `table_of` gives it as rows (for --help, tests and the package page), and
`declare_parameters` declares them on a node and returns an instance that follows the node's values.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from find_core.support.printable import quoted
from find_ros.support.text import printable

T = TypeVar("T")
P = TypeVar("P")


@dataclasses.dataclass(frozen=True)
class Param:
    """One parameter.

    Attributes:
        name, default, meaning: as `ros2 param describe` shows them.
        low, high: inclusive range of a number.
        choices: allowed strings; empty: any.
        live: a change takes effect at once; otherwise it is refused while the node is configured.
        check: raises ValueError or FindError with a sentence for values that cannot be.
        check_change: the same, for values other than the start's that come later, from the graph.
    """

    name: str
    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    check: Callable[[Any], Any] | None = None
    check_change: Callable[[Any], Any] | None = None

    def descriptor(self) -> ParameterDescriptor:
        when = "Live." if self.live else "Takes effect at configure."
        # Dynamic: ROS would refuse `max_age_s:=5` and `source:=0`; `typed` says what is meant.
        out = ParameterDescriptor(
            name=self.name, description=f"{self.meaning} {when}", dynamic_typing=True
        )
        if self.choices:
            out.additional_constraints = "One of: " + ", ".join(self.choices)
        if self.low is not None and self.high is not None:
            if isinstance(self.default, int):
                bounds = IntegerRange(from_value=int(self.low), to_value=int(self.high), step=1)
                out.integer_range = [bounds]
            else:
                limits = FloatingPointRange(from_value=float(self.low), to_value=float(self.high))
                out.floating_point_range = [limits]
        return out

    def typed(self, value: Any) -> Any:
        """`value` as this parameter's type: 5 for 5.0, 0 for "0", an empty list for none.

        Raises:
            ValueError: it is of another type.
        """
        kind = type(self.default)
        if kind is list:
            values = [] if value is None else value
            if isinstance(values, list | tuple) and all(isinstance(v, str) for v in values):
                return list(values)
        elif type(value) is kind:
            return value
        elif kind is float and type(value) is int:
            return float(value)
        elif kind is int and type(value) is float and value.is_integer():
            return int(value)
        elif kind is str and type(value) in (int, float):
            return str(value)
        wanted = {
            bool: "true or false", int: "a whole number", float: "a number", str: "text",
            list: "a list of texts",
        }[kind]  # fmt: skip
        raise ValueError(f"{self.name} must be {wanted}, got {quoted(value)}.")

    def problem(self, value: Any, *, changed: bool = False) -> str:
        """Why a `typed` value cannot be, or ''.

        Args:
            changed: it came after the start.
        """
        if isinstance(value, int | float) and not isinstance(value, bool):
            if not math.isfinite(value):
                return f"{self.name} must be a finite number, got {value}."
            low, high = self.low, self.high
            if low is not None and high is not None and not low <= value <= high:
                return f"{self.name} must be in the range of {low:g} to {high:g}, got {value:g}."
        if self.choices and value not in self.choices:
            return f"{self.name} must be one of {', '.join(self.choices)}, got {quoted(value)}."
        try:
            if self.check is not None:
                self.check(value)
            if changed and self.check_change is not None:
                self.check_change(value)
        except ValueError as error:
            return printable(f"{self.name}: {error}", 500)
        return ""


def param(
    default: T,
    meaning: str,
    low: float | None = None,
    high: float | None = None,
    *,
    choices: Sequence[str] = (),
    live: bool = False,
    check: Callable[[T], Any] | None = None,
    check_change: Callable[[T], Any] | None = None,
) -> T:
    """A field of a node's parameter dataclass; for the arguments see `Param`."""
    about = {
        "default": default, "meaning": meaning, "low": low, "high": high,
        "choices": tuple(choices), "live": live, "check": check, "check_change": check_change,
    }  # fmt: skip
    if isinstance(default, list):
        field: Any = dataclasses.field(default_factory=lambda: list(default), metadata=about)
    else:
        field = dataclasses.field(default=default, metadata=about)
    return field  # type: ignore[no-any-return]


def table_of(parameters: type) -> tuple[Param, ...]:
    """The rows of a parameter dataclass, in its order."""
    return tuple(Param(name=f.name, **f.metadata) for f in dataclasses.fields(parameters))


def declare_parameters(
    node: Node,
    parameters: type[P],
    *,
    is_configured: Callable[[], bool] = lambda: False,
    why_not: Callable[[dict[str, Any]], str] = lambda changed: "",
    on_change: Callable[[dict[str, Any]], None] = lambda changed: None,
) -> P:
    """Declare a parameter dataclass on a node.

    Args:
        is_configured: whether parameters that are not live are in use just now.
        why_not: called with {name: value} of a live change that the table allows; a sentence
            refuses it, "" accepts it.
        on_change: called with {name: value} after a live change was accepted.

    Returns:
        The values, which follow what is set on the node.

    Raises:
        ValueError: an override that cannot be, at start.
    """
    table = {row.name: row for row in table_of(parameters)}
    values = parameters()
    for row in table.values():
        declared = node.declare_parameter(row.name, row.default, row.descriptor())
        value = row.typed(declared.value)
        if problem := row.problem(value):
            raise ValueError(problem)
        setattr(values, row.name, value)
    start = dataclasses.replace(values)  # type: ignore[type-var]

    def on_set(given: list[Parameter]) -> SetParametersResult:
        changed: dict[str, Any] = {}
        for parameter in given:
            row = table.get(parameter.name)
            if row is None:
                continue  # not ours: use_sim_time and the like
            try:
                value = row.typed(parameter.value)
            except ValueError as error:
                return SetParametersResult(successful=False, reason=str(error))
            if not row.live and is_configured() and value != getattr(values, row.name):
                reason = f"{row.name} takes effect at configure: deactivate and clean up first."
                return SetParametersResult(successful=False, reason=reason)
            known = value in (getattr(values, row.name), getattr(start, row.name))
            if problem := row.problem(value, changed=not known):
                return SetParametersResult(successful=False, reason=problem)
            changed[row.name] = value
        live = {name: value for name, value in changed.items() if table[name].live}
        if live and (problem := why_not(live)):
            return SetParametersResult(successful=False, reason=problem)
        for name, value in changed.items():
            setattr(values, name, value)
        if live:
            on_change(live)
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(on_set)
    return values
