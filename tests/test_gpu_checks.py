"""The GPU checks, dry: the program that a machine with a GPU runs, on the CPU with tiny models."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tools.gpu_checks import __main__ as checks
from tools.gpu_checks.carry import MANIFEST, SITE, TEXTS_VARIABLE, open_carry

ROOT = Path(__file__).parents[1]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "tools/gpu_checks"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT)


def test_dry_run(tmp_path):
    out = tmp_path / "dry.json"
    done = run("--out", str(out), "--dry-run", "--minutes", "30")
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert report["dry_run"] and list(report["parts"]) == list(checks.PARTS)
    assert report["environment"]["torch"]
    assert report["parts"]["tests"]["status"] == 0
    assert " passed" in report["parts"]["tests"]["summary"]
    for name in ("default", "focalt"):
        part = report["parts"][name]
        assert part["identical_fingerprints"]
        for mode in ("fp32", "bf16", "bf16 compiled"):
            figures = part["modes"][mode]  # which is larger is a matter of the machine's neighbours
            assert figures["frame_8_prompts_ms"] > 0 and figures["encode_ms"] > 0
    assert report["parts"]["training"]["tiny"]["samples_a_second"] > 0


def test_without_a_gpu_it_says_so(tmp_path):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    done = run("--out", str(tmp_path / "x.json"))
    assert done.returncode == 2 and "There is no GPU" in done.stdout
    assert not (tmp_path / "x.json").exists()


def test_one_part_that_fails_costs_no_other(tmp_path, monkeypatch, capsys):
    def part_of(name):
        def part(device, dry, until):
            if name == "default":
                raise RuntimeError("no memory")
            return {"figure": 1}

        return part

    out = tmp_path / "x.json"
    monkeypatch.setattr(checks, "part_of", part_of)
    monkeypatch.setattr(sys, "argv", ["gpu_checks", "--out", str(out), "--dry-run"])
    monkeypatch.setenv("TORCHDYNAMO_DISABLE", os.environ.get("TORCHDYNAMO_DISABLE", "0"))
    assert checks.main() == 1
    report = json.loads(out.read_text())
    assert report["parts"]["default"]["error"] == "RuntimeError: no memory"
    assert report["parts"]["training"]["figure"] == 1
    assert "failed: default" in capsys.readouterr().out


def test_the_parts_fit_into_five_minutes():
    assert sum(checks.PARTS.values()) < 5 * 60 - 15


def test_carried_packages_stand_behind_installed_ones(tmp_path, monkeypatch):
    folder = tmp_path / "carry"
    (folder / SITE).mkdir(parents=True)
    (folder / SITE / "only_carried_here.py").write_text("WHERE = 'carry'\n")
    (folder / SITE / "numpy.py").write_text("raise ImportError('the wrong one')\n")
    (folder / MANIFEST).write_text('{"folder": "carry"}')
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv(TEXTS_VARIABLE, "")
    assert open_carry(tmp_path / "nowhere", tmp_path) == {"folder": None}
    assert open_carry(folder, tmp_path)["folder"] == "carry"
    import numpy
    import only_carried_here  # type: ignore[import-not-found]

    assert only_carried_here.WHERE == "carry" and numpy.ndarray
