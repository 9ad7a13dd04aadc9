"""Reports: Markdown, one page that needs no other file, cases, and one table of many."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from find_core.errors import FindError
from training.evaluation.bench.cases import Cases
from training.evaluation.bench.models.ends import Blind, Oracle
from training.evaluation.bench.options import Options
from training.evaluation.bench.report import read_result
from training.evaluation.bench.run import run_bench
from training.evaluation.bench.table import tables


def picture(value: int) -> np.ndarray:
    return np.full((8, 8, 3), value, np.uint8)


def test_the_worst_and_the_best_are_kept_and_only_they_are_drawn() -> None:
    cases, drawn = Cases(kept=2), []
    scores = [0.5, 0.9, 0.1, 0.4, 0.3, 0.95, 0.05, 0.5]

    def draw(n: int) -> np.ndarray:
        drawn.append(n)
        return picture(n)

    for n, score in enumerate(scores):
        cases.add(score, f"case {n}", lambda n=n: draw(n))
    assert [c.caption for c in cases.worst()] == ["case 6", "case 2"]
    assert [c.caption for c in cases.best()] == ["case 5", "case 1"]
    assert 7 not in drawn, "in the middle: never drawn"


def test_few_cases_are_shown_once() -> None:
    cases = Cases(kept=6)
    for n in range(3):
        cases.add(n, str(n), lambda n=n: picture(n))
    assert [c.caption for c in cases.worst()] == ["0", "1", "2"] and cases.best() == []


def test_report_files(root, tmp_path) -> None:
    result = run_bench("bench-entity", Blind(), Options(root), tmp_path / "out")
    markdown = (tmp_path / "out" / "report.md").read_text()
    row = next(line for line in markdown.splitlines() if line.startswith("| all.ciou"))
    value = result["figures"]["all"]["ciou"]
    assert (
        f"{100 * value['value']:.1f} [{100 * value['low']:.1f}, {100 * value['high']:.1f}]" in row
    )
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.count("<img") == 5 and page.count("data:image/jpeg;base64,") == 5
    assert not re.search(r'(src|href)="(?!data:)', page), "self-contained"
    assert "A person stands on the grass." in page
    assert read_result(tmp_path / "out") == json.loads(json.dumps(result))


def test_words_are_escaped(root, tmp_path) -> None:
    class Odd(Blind):
        name = "<script>alert(1)</script>"

    run_bench("bench-entity", Odd(), Options(root), tmp_path)
    assert "<script>" not in (tmp_path / "report.html").read_text()


def test_one_table_of_many_reports(root) -> None:
    runs = [run_bench(s, m, Options(root, most_clicks=2))
            for s in ("bench-entity", "bench-interactive") for m in (Oracle(), Blind())]  # fmt: skip
    text = tables(runs)
    assert text.count("## bench-entity on coco") == 1 and text.count("## bench-interactive") == 1
    oracle, blind = [line for line in text.splitlines() if line.startswith(("| oracle", "| blind"))][:2]  # fmt: skip
    assert oracle.count("100.0 [100.0, 100.0]") == 7 and blind.count("[") == 7
    clicks = next(line for line in text.splitlines() if line.startswith("| oracle") and "1.0 [1.0, 1.0]" in line)  # fmt: skip
    assert clicks.count(" 1.0 [1.0, 1.0]") == 4, "NoC is clicks, not percent"
    assert "[" not in tables(runs, intervals=False).split("|---")[1].split("##")[0].replace("`", "")


def test_what_is_no_report_is_told(tmp_path) -> None:
    with pytest.raises(FindError, match="name a report"):
        read_result(tmp_path)
    (tmp_path / "report.json").write_text("[]")
    with pytest.raises(FindError, match="lacks suite"):
        read_result(tmp_path)
