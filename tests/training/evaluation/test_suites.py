"""The suites run on any Find, and a perfect Find gets perfect figures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from find_core.images import read_image
from find_core.results import Entity, InteractiveSegmentation, Localization, box_of_mask
from find_core.testing import tiny_find
from tests.training.worlds import COLORS, write_world
from training.data.formats.tabletop import read_split
from training.evaluate import table
from training.evaluation import real_suite, sheets, tabletop_suite
from training.evaluation.real_suite import add_ones, recalls, ridge


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("suite")
    write_world(root, "val", 4, seed=5)
    write_world(root, "held", 3, seed=6)
    for path in [root / "held" / "scenes.jsonl"]:  # every ball is of a held-out kind
        scenes = [json.loads(line) for line in path.read_text().splitlines()]
        for instance in (i for s in scenes for i in s["instances"]):
            instance["held_out"] = instance["kind"] == "ball"
        path.write_text("\n".join(map(json.dumps, scenes)) + "\n")
    return root


class SeeingScene:
    """Finds coloured shapes by their pixels: a perfect answerer of the miniature world."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.height, self.width = image.shape[:2]
        self.embedding = np.ones(4, np.float32)
        self.object_embeddings = np.ones((1, 4), np.float32)

    def _parts(self) -> dict[str, np.ndarray]:
        """Shape masks by name."""
        found = {}
        for color, rgb in COLORS.items():
            near = (np.abs(self.image.astype(int) - rgb).max(-1) < 40).astype(np.uint8)
            count, labels, stats, _ = cv2.connectedComponentsWithStats(near)
            for n in range(1, count):
                _, _, w, h, area = stats[n]
                if area > 100:
                    shape = "box" if area > 0.9 * w * h else "ball"
                    found[f"{color} {shape}"] = labels == n
        return found

    @property
    def object_mask_logits(self) -> np.ndarray:
        return np.stack([np.where(m, 1.0, -1.0) for m in self._parts().values()]).astype(np.float32)

    def localize_many(self, prompts: list, **_: object) -> list[Localization]:
        return [self.localize(p) for p in prompts]

    def localize(self, prompt, **_: object) -> Localization:
        parts, entities = self._parts(), []
        for entity in prompt.entities:
            if entity.reference is not None:
                other = SeeingScene(entity.reference.image)._parts()
                name = max(other, key=lambda n: (other[n] & entity.reference.mask).sum())
            else:
                name = entity.label.split(" left of")[0]
            mask = parts.get(name, np.zeros(self.image.shape[:2], bool))
            score = 0.9 if name in parts else 0.1
            entities.append(Entity(score, mask, box_of_mask(mask), np.zeros(4), label=entity.label))
        return Localization(1.0, tuple(entities), self.height, self.width)

    def interact(self, *prompts) -> InteractiveSegmentation:
        parts = list(self._parts().values()) + [np.ones(self.image.shape[:2], bool)]
        regions = [p[0].to_mask(self.height, self.width) for p in prompts]
        masks = np.stack([next(m for m in parts if (m & r).any()) for r in regions])
        return InteractiveSegmentation(masks, np.ones(len(masks)))


class SeeingFind:
    name = "seeing"

    def encode(self, image: np.ndarray) -> SeeingScene:
        return SeeingScene(image)

    def embed_caption(self, text: str) -> np.ndarray:
        return np.ones(4, np.float32)

    def compile(self, prompt):
        from find_core.tasks.retrieve import RetrievalQuery

        return RetrievalQuery(np.ones(4, np.float32), np.ones((1, 4), np.float32))


def test_a_perfect_find_gets_perfect_figures(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tabletop_suite, "MIN_REFERENCE_PX", 100)
    metrics = tabletop_suite.run_suite(SeeingFind(), world, None, lambda done, total: None)
    for split_name in ("known", "held_out"):
        for question in ("text_name", "reference", "sentence", "click"):
            assert metrics[split_name][question]["miou"]["value"] > 0.9, (split_name, question)
        assert metrics[split_name]["presence_of_things"]["auc"]["value"] == 1.0
    assert set(metrics["held_out_miou_by_kind"]) == {"ball"}
    assert metrics["known"]["text_name"]["oracle_miou"]["value"] > 0.9


def test_the_suite_runs_on_a_real_find(world: Path) -> None:
    metrics = tabletop_suite.run_suite(tiny_find(), world, 2, lambda done, total: None)
    assert metrics["known"]["text_name"]["miou"]["n"] > 0
    assert 0 <= metrics["known"]["retrieval"]["caption_r1"]["value"] <= 1
    lines = table({"suite": "tabletop", "model": "m", "fingerprint": "f", "figures": metrics})
    assert "known.text_name.miou" in lines and "n=" in lines
    json.dumps(metrics)


def test_ridge_recovers_a_linear_map() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(200, 5)), rng.normal(size=(5, 3))
    y = x @ w + 2.0
    weights = ridge(x, y, 1e-6)
    np.testing.assert_allclose(add_ones(x) @ weights, y, atol=1e-4)


def test_recalls_and_semantic_figures_by_hand() -> None:
    scores = np.array([[3.0, 1, 2], [5, 4, 0], [0, 1, 2]])
    assert recalls(scores)["r1"]["value"] == pytest.approx(2 / 3, abs=1e-3)
    assert recalls(scores)["r5"]["value"] == 1.0
    metrics = real_suite.semantic_metrics(np.array([[3, 1], [0, 0]]))
    assert metrics == {"semantic_miou": 0.75, "pixel_accuracy": 0.75, "classes": 1}


@pytest.mark.parametrize(
    ("caption", "marked"),
    [
        ("a cup on a table", "a <cup> on a <table>"),
        ("an apple, a red bowl and a pen", "an <apple>, a <red bowl> and a <pen>"),
        ("nothing here", "nothing here"),
    ],
)
def test_listed_things_become_entities(caption: str, marked: str) -> None:
    assert tabletop_suite.mark_listed(caption) == marked


def test_sheets_show_the_first_scenes_with_one_absent_thing(world: Path, tmp_path: Path) -> None:
    known, held = sheets.write_sheets(tiny_find(), world, tmp_path, count=2)
    assert (known.name, held.name) == ("known_kinds.jpg", "held_out_kinds.jpg")
    assert read_image(known).shape == read_image(held).shape  # two of three columns hold images
    assert read_image(known).shape[1] == 3 * (400 + 6) + 6
    scene = read_split(world, "val")[0]
    said = sheets.prompt_of(scene)
    assert said.startswith(scene["sentences"][0]["text"])
    assert said.endswith(f"and the <{scene['absent'][0]['text']}>")


def test_thresholds_are_drawn_for_the_sides_that_have_answers(tmp_path: Path) -> None:
    curve = {
        "threshold": [0.25, 0.5, 0.75],
        "found": [1.0, 0.9, 0.5],
        "false_alarms": [0.5, 0.1, 0],
    }
    presence = {"auc": {"present": 10, "absent": 20}, "by_threshold": curve}
    metrics = {"known": {"presence_of_things": presence}, "held_out": {}}
    one = read_image(sheets.draw_thresholds(metrics, tmp_path / "one.png"))
    both = metrics | {"held_out": {"presence_of_things": presence}}
    two = read_image(sheets.draw_thresholds(both, tmp_path / "two.png"))
    assert one.shape == two.shape and one.shape[1] > 2 * one.shape[0]
    orange = [np.abs(x.astype(int) - [255, 127, 14]).sum(2) < 30 for x in (one, two)]
    assert not orange[0].any() and orange[1].sum() > 50
