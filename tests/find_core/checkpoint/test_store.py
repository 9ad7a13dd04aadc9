"""The native format: what is saved comes back; what is broken is refused by name."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import find_core as fc
from find_core import checkpoint as ck
from find_core.checkpoint import open as checkpoint_open
from find_core.checkpoint import store
from find_core.encoders import VisionConfig, build_vision
from find_core.errors import CheckpointError, EncoderError
from find_core.model.find import FindModel
from find_core.testing import tiny_config, tiny_find

IMAGE = np.random.default_rng(0).integers(0, 255, (64, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def find():
    return tiny_find(seed=3)


@pytest.fixture()
def folder(find, tmp_path) -> Path:
    return ck.save(tmp_path / "model", find.model, notes={"data": ["scene 1"]})


def _edit_config(folder: Path, **changes) -> None:
    path = folder / ck.CONFIG_FILE
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _edit_weights(folder: Path, change) -> None:
    path = folder / ck.WEIGHTS_FILE
    tensors = load_file(path)
    change(tensors)
    fingerprint = store.tensors_hash(tensors)  # as a program that wrote such weights would
    _edit_config(folder, fingerprint=fingerprint)
    save_file(tensors, path, {"fingerprint": fingerprint})


def _flip_bit(folder: Path) -> None:
    path = folder / ck.WEIGHTS_FILE
    data = bytearray(path.read_bytes())
    data[-1000] ^= 4
    path.write_bytes(data)


def test_smoke(find, folder):
    """A saved model gives the same answers."""
    loaded = fc.load(str(folder), device="cpu")
    assert loaded.config == find.config and loaded.fingerprint == find.fingerprint
    for a, b in zip(
        find.encode(IMAGE).localize("the <mug>").entities,
        loaded.encode(IMAGE).localize("the <mug>").entities,
        strict=True,
    ):
        # Other memory, other rounding: equal to the last bits, not in them.
        assert a.score == pytest.approx(b.score, abs=1e-5)
        assert np.mean(a.mask != b.mask) < 0.01


def test_everything_is_kept(find, folder):
    read = ck.read(folder)
    assert read.config == find.config and read.notes == {"data": ["scene 1"]}
    assert read.fingerprint == json.loads((folder / ck.CONFIG_FILE).read_text())["fingerprint"]
    state = find.model.state_dict()
    assert state.keys() == read.tensors.keys()
    assert all(torch.equal(state[name], read.tensors[name]) for name in state)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_halves_the_file(find, folder, tmp_path, dtype):
    small = ck.save(tmp_path / "half", find.model, dtype=dtype)
    sizes = [(f / ck.WEIGHTS_FILE).stat().st_size for f in (folder, small)]
    assert sizes[1] < 0.6 * sizes[0]
    tensors = ck.read(small).tensors
    assert all(t.dtype == torch.float32 for t in tensors.values())
    model = ck.build(ck.read(small)).model
    for name, tensor in find.model.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor.to(dtype).float())


def test_frozen_encoders_travel_only_when_they_must(find, folder, tmp_path):
    """tiny_conv is named in the config; a FocalNet's weights are in the file."""
    assert not [n for n in ck.read(folder).tensors if n.startswith(("vision.", "language."))]
    options = {"embed_dim": 4, "depths": [1, 1, 1, 1], "focal_levels": 1}
    config = tiny_config(vision=VisionConfig("focal_dw", options))
    vision = build_vision(config.vision)
    model = FindModel(config, vision.channels, 16)
    with pytest.raises(CheckpointError, match="vision="):
        ck.save(tmp_path / "focal", model)
    parts = ck.build(ck.read(ck.save(tmp_path / "focal", model, vision)))
    image = torch.rand(1, 3, 32, 32)
    assert all(torch.equal(a, b) for a, b in zip(parts.vision(image), vision(image), strict=True))
    assert not any(p.requires_grad or p.is_meta for p in parts.vision.parameters())
    assert not parts.vision.training
    _edit_weights(tmp_path / "focal", lambda t: [t.pop(n) for n in list(t) if "vision" in n])
    with pytest.raises(CheckpointError, match="lacks the weights of its vision encoder"):
        ck.build(ck.read(tmp_path / "focal"))


def test_nothing_is_left_at_random_or_on_meta(folder):
    model = ck.build(ck.read(folder)).model
    assert not any(t.is_meta for t in (*model.parameters(), *model.buffers()))
    assert not model.training


def _truncate(folder: Path) -> None:
    path = folder / ck.WEIGHTS_FILE
    path.write_bytes(path.read_bytes()[:-100])


class _Hostile:
    def __reduce__(self):
        return os.mkdir, (str(_Hostile.proof),)

    proof = Path("/nonexistent")


def _hostile_weights(folder: Path) -> None:
    _Hostile.proof = folder / "pwned"
    (folder / ck.WEIGHTS_FILE).write_bytes(pickle.dumps(_Hostile()))


def _drop(name: str):
    return lambda folder: _edit_weights(folder, lambda t: t.pop(name))


def _put(name: str, tensor: torch.Tensor):
    return lambda folder: _edit_weights(folder, lambda t: t.update({name: tensor}))


def _twice(folder: Path) -> None:
    path = folder / ck.CONFIG_FILE
    path.write_text(path.read_text().replace("{", '{"format": "x", ', 1))


BROKEN = {
    "no config": (lambda f: (f / ck.CONFIG_FILE).unlink(), "has no config.json.*find-core import"),
    "no weights": (lambda f: (f / ck.WEIGHTS_FILE).unlink(), "model.safetensors is missing"),
    "truncated": (_truncate, "truncated, damaged or not a safetensors file"),
    "empty": (lambda f: (f / ck.WEIGHTS_FILE).write_bytes(b""), "not a safetensors file"),
    "hostile pickle": (_hostile_weights, "truncated, damaged or not a safetensors file"),
    "config not JSON": (lambda f: (f / ck.CONFIG_FILE).write_text("{"), "not JSON"),
    "config not UTF-8": (lambda f: (f / ck.CONFIG_FILE).write_bytes(b"\xff\xfe"), "not UTF-8"),
    "config doubled": (lambda f: _twice(f), "stands there twice"),
    "config nested": (lambda f: (f / ck.CONFIG_FILE).write_text("[" * 90_000), "nested deeper"),
    "one flipped bit": (_flip_bit, "weights are not those that were saved"),
    "a web page": (
        lambda f: (f / ck.WEIGHTS_FILE).write_bytes(b"<!doctype html><html>"),
        "is a web page",
    ),
    "an LFS pointer": (
        lambda f: (f / ck.WEIGHTS_FILE).write_bytes(b"version https://git-lfs.github.com/spec/v1"),
        "is a Git LFS pointer",
    ),
    "foreign": (lambda f: _edit_config(f, format="bert"), "not of the format 'find_core'"),
    "newer": (lambda f: _edit_config(f, version=2), "version 2, this program reads 1: update"),
    "config list": (lambda f: (f / ck.CONFIG_FILE).write_text("[]"), "not of the format"),
    "no model": (lambda f: _edit_config(f, model=None), "no object"),
    "unknown key": (lambda f: _edit_config(f, model={"depth": 3}), "depth is unknown"),
    "other save": (lambda f: _edit_config(f, fingerprint="0"), "not of one save"),
    "bad notes": (lambda f: _edit_config(f, notes=[]), "notes must be an object"),
    "missing tensor": (_drop("level_embed.weight"), "level_embed.weight is missing"),
    "unknown tensor": (_put("extra.weight", torch.zeros(1)), "extra.weight is unknown"),
    "mis-shaped": (
        _put("level_embed.weight", torch.zeros(3, 5)),
        r"level_embed.weight has shape \(3, 5\) instead of \(3, 32\)",
    ),
    "integer": (_put("level_embed.weight", torch.zeros(3, 32, dtype=torch.int64)), "not a float"),
    "NaN": (_put("level_embed.weight", torch.full((3, 32), torch.nan)), "NaN or infinity"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_exception(folder, case):
    damage, words = BROKEN[case]
    damage(folder)
    with pytest.raises(CheckpointError, match=words):
        ck.build(ck.read(folder))
    assert not (folder / "pwned").exists()


def test_many_problems_are_counted(folder):
    _edit_weights(folder, lambda t: [t.pop(n) for n in list(t)[:9]])
    with pytest.raises(CheckpointError, match=r"is missing; .* \(and 6 more\)"):
        ck.build(ck.read(folder))


@pytest.mark.parametrize(
    "sizes", [{"num_heads": 0}, {"num_heads": 5}, {"num_layers": 10**6}, {"mask_dim": 10**9}]
)
def test_impossible_sizes(folder, sizes):
    model = json.loads((folder / ck.CONFIG_FILE).read_text())["model"]
    _edit_config(folder, model=model | sizes)
    with pytest.raises(CheckpointError, match="does not describe a model"):
        ck.read(folder)


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("vision", {"mean": ["1", "2", "3"]}), ("vision", {"std": [1, 1]}), ("vision", {"std": [1, 0, 1]}),
        ("vision", {"mean": 3}), ("vision", {"options": 5}), ("vision", {"size_divisibility": 100_000}),
        ("vision", {"short_side_px": 10**6}), ("vision", {"short_side_px": 0}), ("language", {"options": []}),
        ("language", {"max_tokens": 10**9}), ("", {"threshold": 7.0}), ("", {"relevance_scale": 1e300}),
        ("", {"hidden_dim": "512"}), ("", {"single_things": 1}), ("", {"selection": "\ud800"[:0]}),
    ],
)  # fmt: skip
def test_impossible_values(folder, part, values):
    model = json.loads((folder / ck.CONFIG_FILE).read_text())["model"]
    _edit_config(folder, model=model | ({part: model[part] | values} if part else values))
    with pytest.raises(CheckpointError, match=next(iter(values))):
        ck.read(folder)


def test_a_byte_order_mark_is_no_damage(folder):
    path = folder / ck.CONFIG_FILE
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert ck.read(folder).config == ck.read(folder).config


def test_unknown_encoder(folder):
    model = json.loads((folder / ck.CONFIG_FILE).read_text())["model"]
    _edit_config(folder, model=model | {"vision": {"name": "resnet"}})
    with pytest.raises(EncoderError, match="Unknown vision encoder 'resnet'"):
        ck.build(ck.read(folder))


def test_language_of_another_width(folder):
    model = json.loads((folder / ck.CONFIG_FILE).read_text())["model"]
    _edit_config(folder, model=model | {"language": {"name": "tiny_text", "options": {"width": 9}}})
    with pytest.raises(EncoderError, match="width 16, this language encoder gives 9"):
        ck.build(ck.read(folder)).language()


def test_a_failed_save_leaves_the_old_one(find, folder, monkeypatch):
    """Atomic: an error while writing changes nothing and leaves no litter."""

    def fail(tensors, path, metadata):
        Path(path).write_bytes(b"half a file")
        raise OSError("No space left on device")

    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    monkeypatch.setattr("safetensors.torch.save_file", fail)
    with pytest.raises(CheckpointError, match=r"cannot be written.*No space left"):
        ck.save(folder, tiny_find(seed=4).model)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert ck.build(ck.read(folder)).model


def test_a_save_cut_between_its_two_files_is_noticed(find, folder, monkeypatch):
    replace = Path.replace
    monkeypatch.setattr(
        Path, "replace", lambda a, b: replace(a, b) if b.suffix == ".safetensors" else 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        ck.save(folder, tiny_find(seed=4).model)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="not of one save"):
        ck.read(folder)


def test_the_file_is_independent_of_when_it_is_written(find, folder, tmp_path):
    again = ck.save(tmp_path / "again", find.model, notes={"data": ["scene 1"]})
    for name in (ck.CONFIG_FILE, ck.WEIGHTS_FILE):
        assert (folder / name).read_bytes() == (again / name).read_bytes()


def test_resolve(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(checkpoint_open, "SHARE", tmp_path / "share")
    shutil.copytree(folder, tmp_path / "share" / "find-tabletop")
    resolve = checkpoint_open.resolve
    assert resolve(folder) == folder
    assert resolve("find-tabletop") == tmp_path / "share" / "find-tabletop"
    assert resolve("find-base") == tmp_path / "share" / "find-tabletop"
    assert fc.load(device="cpu").config.name == "tiny"
    with pytest.raises(
        CheckpointError, match=r"no checkpoint 'nothing'.*find-tabletop.*FIND:focalt"
    ):
        resolve("nothing")
    with pytest.raises(CheckpointError, match="choose xueyanz/FIND:focalt or xueyanz/FIND:focall"):
        resolve("xueyanz/FIND:davit")


def test_both_names_of_the_packaged_checkpoint_stay_when_its_folder_is_renamed(
    folder, monkeypatch, tmp_path
):
    monkeypatch.setattr(checkpoint_open, "SHARE", tmp_path)
    shutil.copytree(folder, tmp_path / "find-base")
    for name in ("find-base", "find-tabletop"):
        assert checkpoint_open.resolve(name) == tmp_path / "find-base"
    with pytest.raises(CheckpointError, match="find-base, find-tabletop"):
        checkpoint_open.resolve("find-nothing")


def test_resolve_hub(folder, monkeypatch, tmp_path):
    """The hub is asked for the right files, and its failures are told in one sentence."""
    hub = pytest.importorskip("huggingface_hub")
    asked = []
    monkeypatch.setattr(
        hub, "hf_hub_download", lambda repo, file, **_: asked.append((repo, file)) or folder / file
    )
    monkeypatch.setattr(checkpoint_open, "hub_answers", lambda: True)
    resolve = checkpoint_open.resolve
    assert resolve("xueyanz/FIND:focall").name == "find_focall_llama_x640.pt"
    assert resolve("someone/find-kitchen") == folder
    assert asked == [
        ("xueyanz/FIND", "find_focall_llama_x640.pt"),
        ("someone/find-kitchen", "config.json"),
        ("someone/find-kitchen", "model.safetensors"),
    ]

    def offline(repo, file, **_):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(hub, "hf_hub_download", offline)
    with pytest.raises(
        CheckpointError, match=r"cannot be downloaded.*no route to host.*resolve/main"
    ):
        resolve("xueyanz/FIND:focalt")
