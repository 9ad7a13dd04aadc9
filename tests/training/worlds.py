"""A miniature labelled world for tests: coloured shapes on a plain ground, in the tabletop format."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np

COLORS = {
    "red": (200, 40, 40),
    "green": (40, 170, 60),
    "blue": (40, 60, 200),
    "yellow": (220, 200, 40),
}
SHAPES = ("ball", "box")
HEIGHT, WIDTH = 64, 96


def draw_scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, list[dict]]:
    """(H, W, 3) uint8 RGB, (H, W) uint16 ids, instances."""
    image = np.full((HEIGHT, WIDTH, 3), 150, np.uint8)
    image += rng.integers(0, 12, image.shape, dtype=np.uint8)
    ids = np.ones((HEIGHT, WIDTH), np.uint16)
    instances = [_instance(1, "table", None, stuff=True)]
    kinds = [(c, s) for c in COLORS for s in SHAPES]
    for n, pick in enumerate(rng.permutation(len(kinds))[:3]):
        color, shape = kinds[pick]
        x, y = 16 + 32 * n + int(rng.integers(-3, 4)), int(rng.integers(16, 48))
        canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
        if shape == "ball":
            cv2.circle(canvas, (x, y), 10, 1, -1)
        else:
            cv2.rectangle(canvas, (x - 9, y - 9), (x + 9, y + 9), 1, -1)
        image[canvas > 0] = COLORS[color]
        ids[canvas > 0] = n + 2
        instances.append(_instance(n + 2, shape, color))
    for instance in instances:
        instance["visible_px"] = int((ids == instance["id"]).sum())
    return image, ids, instances


def _instance(number: int, shape: str, color: str | None, stuff: bool = False) -> dict:
    name = f"{color} {shape}" if color else shape
    return {"id": number, "asset": name.replace(" ", "_"), "kind": shape, "name": name,
            "names": [name], "color": color, "category": shape, "held_out": False,
            "stuff": stuff, "visible_px": 0, "visibility": 1.0}  # fmt: skip


def scene_json(index: int, instances: list[dict]) -> dict:
    things = [i for i in instances if not i["stuff"]]
    phrases = [
        {"text": i["name"], "instance_ids": [i["id"]], "type": "name", "matches": [i["asset"]]}
        for i in things
    ]
    phrases.append(
        {"text": f"{things[0]['name']} left of the {things[1]['name']}", "type": "relation",
         "instance_ids": [things[0]["id"]], "matches": None}
    )  # fmt: skip
    here = {i["name"] for i in things}
    absent = [n for c in COLORS for s in SHAPES if (n := f"{c} {s}") not in here]
    untrue = f"{things[1]['name']} left of the {things[0]['name']}"
    sentence = f"the <{things[0]['name']}> and the <{things[1]['name']}>"
    entities = [[things[0]["id"]], [things[1]["id"]]]
    return {
        "index": index, "seed": index, "K": np.eye(3).tolist(), "T_world_camera": np.eye(4).tolist(),
        "instances": instances, "relations": [], "phrases": phrases,
        "sentences": [{"text": sentence, "entities": entities}],
        "captions": [", ".join(sorted(here)) + " on a table"],
        "absent": [{"text": n, "type": "name", "matches": [n.replace(" ", "_")]} for n in absent]
        + [{"text": untrue, "type": "relation", "matches": None}],
    }  # fmt: skip


def write_world(root: Path, split: str = "train", count: int = 8, seed: int = 0) -> Path:
    """Write `count` scenes of ROOT/<split> in the format of training.tabletop."""
    folder = root / split
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(count):
        image, ids, instances = draw_scene(np.random.default_rng((seed, index)))
        cv2.imwrite(
            str(folder / f"{index:06d}.jpg"), image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 95]
        )
        cv2.imwrite(str(folder / f"{index:06d}.png"), ids)
        lines.append(json.dumps(scene_json(index, instances)))
    (folder / "scenes.jsonl").write_text("\n".join(lines) + "\n")
    return root
