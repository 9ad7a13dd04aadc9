"""JSON that leaves us has no NaN: answers are refused, figures say null."""

from __future__ import annotations

import json

import numpy as np
import pytest

from find_core.errors import FindError
from find_core.support.json_text import figures_text, json_text

NAN, INF = float("nan"), float("inf")


def test_round_trip():
    data = {"a": [1, 2.5, None, True, "é"], "b": {"c": []}}
    assert json.loads(json_text(data)) == data
    assert json_text(data, ensure_ascii=False) == json.dumps(data, ensure_ascii=False)
    assert json_text({"b": 1, "a": 2}, sort_keys=True, separators=(",", ":")) == '{"a":2,"b":1}'


@pytest.mark.parametrize("number", [NAN, INF, -INF, np.float64("nan")])
@pytest.mark.parametrize(
    ("wrap", "place"),
    [(lambda x: x, "it"), (lambda x: [0, x], "[1]"), (lambda x: {"a": {"b": (1.0, {"c": x})}}, "a.b[1].c")],
)  # fmt: skip
def test_exception_names_the_number(number, wrap, place):
    with pytest.raises(FindError, match="not a finite number") as caught:
        json_text(wrap(number))
    assert place in str(caught.value) and isinstance(caught.value, ValueError)


def test_other_errors_stay_what_they_are():
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="Circular"):
        json_text(loop)
    with pytest.raises(TypeError):
        json_text({1, 2})


def test_figures_that_were_not_measured_are_null():
    text = figures_text({"miou": NAN, "rows": [(1.0, INF), {"x": np.float64("nan")}]}, indent=1)
    assert json.loads(text) == {"miou": None, "rows": [[1.0, None], {"x": None}]}
