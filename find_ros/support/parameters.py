"""Parameters as a table: name, default, range, meaning, and when a change takes effect."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.node import Node
from rclpy.parameter import Parameter


@dataclass(frozen=True)
class Param:
    """One parameter.

    Attributes:
        name, default, meaning: as `ros2 param describe` shows them.
        low, high: inclusive range of a number. choices: allowed strings; empty: any.
        live: a change takes effect at once; otherwise it is refused while the node is configured.
        check: raises ValueError or FindError with a sentence for values that cannot be.
    """

    name: str
    default: Any
    meaning: str
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False
    check: Callable[[Any], Any] | None = None

    def descriptor(self) -> ParameterDescriptor:
        when = "Live." if self.live else "Takes effect at configure."
        out = ParameterDescriptor(name=self.name, description=f"{self.meaning} {when}")
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

    def problem(self, value: Any) -> str:
        """Why `value` cannot be, or ''. Type and range are held by rclpy through the descriptor."""
        if isinstance(value, float) and not math.isfinite(value):
            return f"{self.name} must be a finite number, got {value}."
        if self.choices and value not in self.choices:
            return f"{self.name} must be one of {', '.join(self.choices)}, got {value!r}."
        try:
            if self.check is not None:
                self.check(value)
        except ValueError as error:
            return f"{self.name}: {error}"
        return ""


class ParameterTable:
    """Declares a table of parameters on a node and keeps their values as attributes.

    Args:
        is_configured: whether parameters that are not live are in use just now.
        on_change: called with {name: value} after a live change was accepted.

    Raises:
        rclpy's InvalidParameter... or ValueError: an override that cannot be, at start.
    """

    def __init__(
        self,
        node: Node,
        table: Sequence[Param],
        *,
        is_configured: Callable[[], bool] = lambda: False,
        on_change: Callable[[dict[str, Any]], None] = lambda changed: None,
    ) -> None:
        self._params = {param.name: param for param in table}
        self._is_configured, self._on_change = is_configured, on_change
        self._values: dict[str, Any] = {}
        for param in table:
            value = node.declare_parameter(param.name, _typed(param), param.descriptor()).value
            value = _plain(value)
            if problem := param.problem(value):
                raise ValueError(problem)
            self._values[param.name] = value
        node.add_on_set_parameters_callback(self._on_set)

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_values"][name]
        except KeyError:
            raise AttributeError(f"no parameter {name!r} was declared") from None

    def _on_set(self, parameters: list[Parameter]) -> SetParametersResult:
        changed = {}
        for parameter in parameters:
            param = self._params.get(parameter.name)
            if param is None:
                continue  # not ours: use_sim_time and the like
            value = _plain(parameter.value)
            if not param.live and self._is_configured() and value != self._values[param.name]:
                reason = f"{param.name} takes effect at configure: deactivate and clean up first."
                return SetParametersResult(successful=False, reason=reason)
            if problem := param.problem(value):
                return SetParametersResult(successful=False, reason=problem)
            changed[param.name] = value
        self._values.update(changed)
        live = {name: value for name, value in changed.items() if self._params[name].live}
        if live:
            self._on_change(live)
        return SetParametersResult(successful=True)


def _typed(param: Param) -> Any:
    """An empty list carries no type: ROS needs to be told that it holds strings."""
    if param.default == []:
        return Parameter.Type.STRING_ARRAY
    return param.default


def _plain(value: Any) -> Any:
    """String arrays as lists; None (an array that was never set) as an empty one."""
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else value
