"""Stand-ins: nearest of the same class in another image, the same every time, said where from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from find_core.errors import FindError
from tests.training.evaluation.bench.test_suites import Colors
from training.evaluation.bench import sources
from training.evaluation.bench.interleave import (
    build,
    nearest_stand_ins,
    read_interleaved,
    template_sentences,
)
from training.evaluation.bench.retrieval import interleaved_recalls

ROOT = Path(__file__).parents[4]


def test_nearest_by_hand(root) -> None:
    """Colours change by 3 an image, so that the next image's is the nearest of the same class."""
    images = list(sources.panoptic_set(root, "val2017").images)
    nearest = nearest_stand_ins(Colors(), images)
    person = {n + 1: 1000 * (n + 1) + 14 for n in range(5)}
    for n in (2, 3, 4):
        (image, segment), cosine = nearest[n, person[n]]
        assert segment == person[image] and abs(image - n) == 1 and 0.99 < cosine < 1
    grass = 1000 + 7
    assert nearest[1, grass][0] == (2, 2007)
    assert all(a[0] != b[0][0] for a, b in nearest.items()), "always another image"
    crowd = 4000 + 21
    assert (4, crowd) not in nearest


def test_equals_a_slow_search(root) -> None:
    images = list(sources.panoptic_set(root, "val2017").images)
    rows = {}
    for image in images:
        pixels, truth = image.read()
        for number, kind, crowd in zip(truth.ids, truth.classes, truth.crowd, strict=True):
            mask = truth.id_map == number
            if not crowd and mask.sum() >= 200:
                rows[image.image_id, number] = kind, Colors().embed_region(pixels, mask)
    nearest = nearest_stand_ins(Colors(), images)
    for key, (kind, vector) in rows.items():
        rivals = {k: float(v.astype(float) @ vector) for k, (c, v) in rows.items()
                  if c == kind and k[0] != key[0]}  # fmt: skip
        if rivals:
            assert rivals[nearest[key][0]] == pytest.approx(max(rivals.values()), abs=1e-6)


def test_deterministic_and_its_provenance_is_in_the_file(root) -> None:
    first, again, other = (build(Colors(), root, "val2017", "entity", seed=s) for s in (0, 0, 1))
    assert first == again != other
    about = first["provenance"]
    assert about["model"] == "colours" and about["fingerprint"] == "0" and about["seed"] == 0
    assert "not the published file" in about["stand_ins"] and "val2017" in about["stand_ins"]
    phrase = first["annotations"][0]["phrase"][0]
    assert set(phrase["reference"]) == {"image_id", "annotation_id", "prob", "cosine"}
    shown = sum(p["reference"]["prob"] < 0.5 for a in first["annotations"] for p in a["phrase"])
    assert about["shown"] == shown > 0


def test_references_left_out_and_kept(root, tmp_path) -> None:
    """An entry whose reference image scores above its own image: wrong where that image is a
    candidate, right where it is left out."""
    path = tmp_path / "interleave.json"
    path.write_text(json.dumps(build(Colors(), root, "val2017", "entity", seed=1)))
    entries = read_interleaved(root, "val2017", "entity", path)
    n = next(i for i, e in enumerate(entries) if e.shown)
    place = {e.image_id: i for i, e in enumerate(entries)}
    scores = np.eye(len(entries))
    for image in entries[n].reference_images:
        scores[n, place[image]] = 2.0
    kept, left_out = (interleaved_recalls(scores, entries, flag) for flag in (False, True))
    assert kept["ir1"]["value"] == 0.8 and left_out["ir1"]["value"] == 1.0
    assert kept["tr1"]["value"] < 1.0 and left_out["tr1"]["value"] == 1.0


def test_template_sentences_say_what_they_are(root) -> None:
    data = template_sentences(root, "val2017")
    assert "no sentences of FIND-Bench" in data["provenance"]["sentences_by"]
    first = data["annotations"][0]
    assert first["sentence"] == "A photo of the grass and the sky and the person and the cup."
    assert first["sentence_raw"].startswith("A photo of [1007]<the grass> and [1000]<the sky>")
    crowded = data["annotations"][3]["sentence"]
    assert "person" not in crowded, "two of a class in the image"


def test_crops_where_a_model_has_no_regions(root) -> None:
    class Crops(Colors):
        embed_region = None

    data = build(Crops(), root, "val2017", "entity")
    assert "crop" in data["provenance"]["stand_ins"]

    class Nothing:
        name, fingerprint = "nothing", "0"

    with pytest.raises(FindError, match="embed_region, or embed_image"):
        build(Nothing(), root, "val2017", "entity")


def test_command(root, tmp_path) -> None:
    """Template, stand-ins of the blind model, and the suite that reads them."""

    def run(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, "-m", *arguments], cwd=ROOT, text=True, capture_output=True)  # fmt: skip

    made = run("training.evaluation.bench.interleave", "--data", str(root), "--model", "blind",
               "--out", str(tmp_path / "i.json"))  # fmt: skip
    assert made.returncode == 0, made.stderr
    out = tmp_path / "figures.json"
    done = run("training.evaluate", "--suite", "bench-interleaved-retrieval-entity", "--model",
               "oracle", "--data", str(root), "--file", str(tmp_path / "i.json"), "--json", str(out),
               "--report", str(tmp_path / "report"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(out.read_text())["figures"]
    assert figures["references_left_out"]["ir5"]["value"] == 1.0
    assert (tmp_path / "report" / "report.html").stat().st_size > 1000
    refused = run("training.evaluate", "--suite", "bench-segmentation", "--model", "clip:/nowhere", "--data", str(root))  # fmt: skip
    assert refused.returncode == 2 and len(refused.stderr.strip().splitlines()) == 1
