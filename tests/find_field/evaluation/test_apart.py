"""Evaluation stands beside the product: nothing of it is needed to use a field."""

from __future__ import annotations

import ast
import runpy
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from find_core.errors import FieldError
from find_field.evaluation import train_on_truth

ROOT = Path(__file__).parents[3]


def test_the_product_knows_no_evaluation():
    files = [
        p for name in ("find_core", "find_field", "find_ros") for p in (ROOT / name).rglob("*.py")
    ]
    outside = [p for p in files if p.parent != ROOT / "find_field" / "evaluation"]
    assert len(outside) > 100
    for path in outside:
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(n.startswith("find_field.evaluation") for n in names), path


def test_exception_no_truth_to_train_on(tmp_path):
    with pytest.raises(FieldError, match="no ground truth"):
        train_on_truth.oracle_of(tmp_path, "cpu")


@pytest.mark.skipif(find_spec("nerfstudio") is None, reason="nerfstudio is not installed")
@pytest.mark.parametrize("given", [["find-field-lite", "--data", "x"], ["--help"]])
def test_ns_train_is_given_the_oracle(given, monkeypatch):
    from find_field.nerf import datamanager

    monkeypatch.setattr(datamanager, "OTHER_MODELS", {})
    monkeypatch.setattr(sys, "argv", [])
    ran = []
    monkeypatch.setattr(runpy, "run_module", lambda name, **_: ran.append((name, list(sys.argv))))
    assert train_on_truth.main(given) == 0
    ((name, argv),) = ran
    method = [a for a in given if not a.startswith("-")][:1]
    rest = given[len(method) :]
    assert name == "nerfstudio.scripts.train"
    assert argv == ["ns-train", *method, "--pipeline.datamanager.find", "oracle", *rest]
    assert {"oracle": train_on_truth.oracle_of} == datamanager.OTHER_MODELS
