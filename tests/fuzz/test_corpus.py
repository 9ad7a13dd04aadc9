"""Inputs that fuzzing found worth keeping: each gives an answer, or one short sentence, in time."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.mutate import mutated
from tests.fuzz.run import CORPUS, Broken, check
from tests.fuzz.targets import TARGETS, Target, all_targets

NAMES = sorted(p.name for p in CORPUS.iterdir() if p.is_dir())


def test_the_corpus_is_small_and_whole():
    files = [p for p in CORPUS.rglob("*") if p.is_file()]
    assert len(files) >= 200 and sum(p.stat().st_size for p in files) < 1_000_000
    assert set(NAMES) <= set(all_targets())


@pytest.mark.parametrize("name", NAMES)
def test_kept_inputs(name, tmp_path, monkeypatch):
    target = all_targets()[name]
    monkeypatch.chdir(tmp_path)
    for whole in target.seeds(tmp_path):
        check(target, whole, tmp_path)
    for path in sorted((CORPUS / name).iterdir()):
        check(target, path.read_bytes(), tmp_path)


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_some_mutations(name, tmp_path, monkeypatch):
    target, rng = TARGETS[name], random.Random(1)
    monkeypatch.chdir(tmp_path)
    pool = target.seeds(tmp_path)
    for _ in range(150):
        check(target, mutated(rng.choice(pool), pool, rng), tmp_path)


@pytest.mark.parametrize(
    "run",
    [lambda d, f: 1 // 0, lambda d, f: [][0], lambda d, f: exec("assert False")],
    ids=["arithmetic", "index", "assertion"],
)
def test_the_law_is_one_that_can_be_broken(run, tmp_path):
    with pytest.raises(Broken):
        check(Target("parser", lambda _: [b""], run), b"", tmp_path)
