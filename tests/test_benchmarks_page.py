"""Figures on pages are those of the stored results, and say whose they are."""

from __future__ import annotations

import pytest

from benchmarks.page import __main__ as page
from benchmarks.page import format as text
from tests.test_docs import ROOT


@pytest.fixture(scope="module")
def wanted() -> dict[str, str]:
    return page.pages()


def test_pages_are_up_to_date(wanted):
    assert {"docs/benchmarks.md", "README.md", "find_ros/README.md"} == set(wanted)
    for path, content in wanted.items():
        shown = (ROOT / path).read_text(encoding="utf-8")
        assert shown == content, f"{path}: run python -m benchmarks.page"


def test_a_changed_result_changes_the_page(wanted, monkeypatch):
    changed = dict(text.result("benchmarks/results/core.json"))
    changed["encoded_scene"] = {"slow_ms": 123456.0, "fast_ms": 1.0, "ratio": 123456.0}
    real = text.result

    def result(path):
        return changed if path.endswith("core.json") else real(path)

    monkeypatch.setattr("benchmarks.page.model.result", result)
    after = page.pages()
    assert {p for p in wanted if wanted[p] != after[p]} == {"docs/benchmarks.md", "README.md"}
    assert "123456 ms" in after["README.md"]


def test_another_model_is_named():
    fingerprint, parameters = text.shipped()
    assert text.measured_with(fingerprint) == "the shipped one"
    assert "another one" in text.measured_with("0" * 16)
    assert text.measured_with(None) == "not recorded"
    assert parameters > 1_000_000


def test_every_result_is_on_the_page(wanted):
    for folder in (text.TRAINING, text.BENCHMARKS):
        for file in sorted((ROOT / folder).glob("*.json")):
            if file.name != "coco_ids.json":  # which images were seen, not a result
                assert f"{folder}/{file.name}" in wanted["docs/benchmarks.md"], file.name


@pytest.mark.parametrize(
    ("value", "shown"), [(0.8401, ".84"), (1.0, "1.00"), (0.0, ".00"), (0.999, "1.00")]
)
def test_shares(value, shown):
    assert text.share(value) == shown


def test_bold_means_that_the_aim_is_met_as_shown():
    figure = {"value": 0.8396, "low": 0.8, "high": 0.9}
    assert text.interval(figure, 3, 0.84).startswith("**.840**")
    assert text.interval(figure, 3, 0.85).startswith(".840")
