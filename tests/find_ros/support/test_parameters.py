"""Parameters as a dataclass: one place of each default, and what values are taken for."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

import rclpy
from rclpy.parameter import Parameter

from find_ros.support.parameters import declare_parameters, param, table_of


def no_home(text: str) -> None:
    if "home" in text:
        raise ValueError("nobody's home.")


@dataclass
class Example:
    rate_hz: float = param(1.0, "How often.", 0.0, 10.0, live=True)
    count: int = param(3, "How many.", 1, 9)
    source: str = param("", "From where.", live=True, check_change=no_home)
    names: list[str] = param([], "Who.")  # noqa: RUF009
    loud: bool = param(False, "Whether.", live=True)


ROWS = {row.name: row for row in table_of(Example)}


@pytest.mark.parametrize(
    ("name", "given", "taken"),
    [
        ("rate_hz", 5, 5.0), ("count", 4.0, 4), ("source", 0, "0"), ("source", 1.5, "1.5"),
        ("names", None, []), ("names", ("a", "b"), ["a", "b"]), ("loud", True, True),
    ],
)  # fmt: skip
def test_values_are_taken_as_a_person_means_them(name, given, taken):
    value = ROWS[name].typed(given)
    assert value == taken and type(value) is type(taken)


@pytest.mark.parametrize(
    ("name", "given", "sentence"),
    [
        ("rate_hz", "fast", "must be a number, got 'fast'"), ("rate_hz", True, "must be a number"),
        ("count", 1.5, "a whole number"), ("count", float("inf"), "a whole number"),
        ("source", True, "must be text"), ("names", "a", "a list of texts"),
        ("names", [1], "a list of texts"), ("loud", 1, "true or false"),
    ],
)  # fmt: skip
def test_exception_of_another_type(name, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        ROWS[name].typed(given)


@pytest.fixture
def node(_ros):
    node = rclpy.create_node("example")
    yield node
    node.destroy_node()


def test_feature(node):
    """The dataclass follows what is set; each refusal is a sentence and changes nothing."""
    heard: list[dict] = []
    values = declare_parameters(node, Example, is_configured=lambda: True, on_change=heard.append)
    assert values == Example()

    def set_one(name, value):
        return node.set_parameters([Parameter(name, value=value)])[0]

    assert set_one("rate_hz", 5).successful and values.rate_hz == 5.0
    assert heard == [{"rate_hz": 5.0}] and isinstance(values.rate_hz, float)
    for name, value, reason in (
        ("rate_hz", 11, "range"),
        ("rate_hz", float("nan"), ""),
        ("rate_hz", "high", "a number"),
        ("count", 4, "takes effect at configure"),
        ("source", "/home", "nobody's home"),
    ):
        result = set_one(name, value)
        assert not result.successful and reason in result.reason
    assert values == Example(rate_hz=5.0) and len(heard) == 1


def test_a_live_change_can_be_refused_by_what_runs(node):
    heard: list[dict] = []
    why_not = lambda changed: "It is too loud here." if changed.get("loud") else ""  # noqa: E731
    values = declare_parameters(node, Example, why_not=why_not, on_change=heard.append)
    given = [Parameter("loud", value=True), Parameter("rate_hz", value=2.0)]
    result = node.set_parameters_atomically(given)
    assert not result.successful and result.reason == "It is too loud here."
    assert values == Example() and not heard
    assert node.set_parameters([given[1]])[0].successful and heard == [{"rate_hz": 2.0}]


def test_exception_of_an_override(_ros):
    with pytest.raises(ValueError, match="must be a number"):
        overridden({"rate_hz": "high"})
    assert overridden({"source": 0, "rate_hz": 2}) == Example(source="0", rate_hz=2.0)
    assert overridden({"names": ["a"]}).names == ["a"]
    assert overridden({"source": "/home"}).source == "/home", "who starts it may say so"


def overridden(given: dict) -> Example:
    overrides = [Parameter(name, value=value) for name, value in given.items()]
    node = rclpy.create_node("overridden", parameter_overrides=overrides)
    try:
        return declare_parameters(node, Example)
    finally:
        node.destroy_node()
