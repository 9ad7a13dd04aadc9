"""The published files: every name of docs/spec.md 4, both ways, and nothing else."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from find_core import checkpoint as ck
from find_core.checkpoint import published as published
from find_core.checkpoint.key_mapping import (
    _PATTERNS,
    IGNORED,
    RENAMES,
    infer_config,
    is_transposed,
    to_ours,
    to_published,
)
from find_core.encoders import VisionConfig, build_vision
from find_core.errors import CheckpointError
from find_core.model.attention_table import TokenGroup
from find_core.model.config import FindConfig
from find_core.model.find import FindModel
from find_core.testing import tiny_config

GOLDEN = Path(__file__).parents[2] / "golden"
SHAPES: dict[str, dict[str, list[int]]] = json.loads(
    gzip.decompress((GOLDEN / "state_dict_shapes.json.gz").read_bytes())
)


def to_published_state(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The inverse of `from_published`: how a published file is made here."""
    names = {name: to_published(name) for name in tensors}
    assert None not in names.values()
    return {
        str(names[name]): tensor.T.contiguous() if is_transposed(name) else tensor
        for name, tensor in tensors.items()
    }


def _meta_state(model: str) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in SHAPES[model].items()}


def _kept(model: str) -> dict[str, tuple[int, ...]]:
    return {n: tuple(s) for n, s in SHAPES[model].items() if not IGNORED.match(n)}


@pytest.mark.parametrize("model", SHAPES)
def test_full_size_models_carry_the_published_names_and_shapes(model):
    """Models built from the inferred config have exactly the published tensors, both ways."""
    config = infer_config(_meta_state(model))
    width = SHAPES[model]["sem_seg_head.predictor.lang_encoder.lang_proj"][0]
    ours = ck.expected_shapes(config, width)
    forward = {
        to_published(name): tuple(reversed(shape)) if is_transposed(name) else tuple(shape)
        for name, shape in ours.items()
    }
    assert forward == _kept(model)
    assert {to_ours(name) for name in _kept(model)} == set(ours)


@pytest.mark.parametrize("model", SHAPES)
def test_full_size_round_trip(model):
    tensors = published.from_published(_meta_state(model))
    back = to_published_state(tensors)
    assert {name: tuple(t.shape) for name, t in back.items()} == _kept(model)


def test_only_two_published_tensors_are_ignored():
    for model, names in SHAPES.items():
        ignored = {name for name in names if IGNORED.match(name)}
        assert ignored == {"dilation_kernel", "criterion.empty_weight"}, model


def test_inferred_configs():
    configs = {model: infer_config(_meta_state(model)) for model in SHAPES}
    assert [c.vision.name for c in configs.values()] == [
        "focal_dw",
        "focal",
        "davit_d3",
        "davit_d5",
        "focal_dw",
    ]
    assert [c.language.name for c in configs.values()] == [*["causal_lm"] * 4, "unicl"]
    defaults = FindConfig()
    for config in configs.values():
        for size in ("hidden_dim", "mask_dim", "num_heads", "ffn_dim", "num_queries"):
            assert getattr(config, size) == getattr(defaults, size)
        assert (config.num_layers, config.encoder_layers, config.num_memories) == (9, 6, 32)
        assert _channels_built(config) == _channels_read(configs, config)


def _channels_built(config: FindConfig) -> tuple[int, ...]:
    with torch.device("meta"):
        return build_vision(config.vision).channels


def _channels_read(configs, config) -> tuple[int, ...]:
    shapes = SHAPES[next(model for model, c in configs.items() if c is config)]
    decoder = "sem_seg_head.pixel_decoder."
    names = [f"adapter_{i}.weight" for i in (1, 2, 3)] + ["input_proj.weight"]
    return tuple(shapes[decoder + name][1] for name in names)


def test_every_rule_is_used_and_undone():
    """No dead rule; applying a rule and its inverse gives the name back."""
    names = {name for model in SHAPES for name in _kept(model)}
    for name in names:
        assert to_published(to_ours(name)) == name
    used = {_rule_of(name) for name in names}
    assert used == set(range(len(RENAMES)))


def _rule_of(name: str) -> int:
    return next(i for i, (pattern, _) in enumerate(_PATTERNS[1]) if pattern.match(name))


def test_unknown_names_have_no_translation():
    assert to_ours("roi_head.weight") is None and to_published("roi_head.weight") is None


# A miniature of the published layout: small enough to write to disk, with values.
MINI = tiny_config(
    vision=infer_config(_meta_state("focalt_llama_lang")).vision,
    num_heads=8,
    norm_groups=32,
    stride4_dim=32,
    mask_dim=32,
)


@pytest.fixture(scope="module")
def mini_state() -> dict[str, torch.Tensor]:
    options = {"embed_dim": 4, "depths": [1, 1, 1, 1], "focal_levels": 2}
    config = replace(MINI, vision=replace(MINI.vision, options=options))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        vision = build_vision(config.vision)
        model = FindModel(config, vision.channels, 24)
        for parameter in model.parameters():
            torch.nn.init.normal_(parameter)
    tensors = dict(model.state_dict()) | {f"vision.{k}": v for k, v in vision.state_dict().items()}
    extra = {
        "dilation_kernel": torch.ones(1, 1, 3, 3),
        "criterion.empty_weight": torch.ones(134),
    }
    return to_published_state(tensors) | extra


@pytest.fixture()
def mini_file(mini_state, tmp_path) -> Path:
    torch.save(mini_state, tmp_path / "mine.pt")
    return tmp_path / "mine.pt"


def test_import(mini_state, mini_file, tmp_path):
    """A .pt file becomes a directory that holds the same numbers, x @ W turned round."""
    with pytest.warns(UserWarning, match="not one of the released files"):
        folder = published.import_published(mini_file, tmp_path / "out")
    read = ck.read(folder)
    assert read.notes["imported_from"] == "mine.pt"
    assert read.notes["sha256"] == hashlib.sha256(mini_file.read_bytes()).hexdigest()
    predictor = "sem_seg_head.predictor."
    assert torch.equal(
        read.tensors["heads.class_embed.weight"], mini_state[predictor + "class_embed"].T
    )
    assert torch.equal(
        read.tensors["lang_proj.weight"], mini_state[predictor + "lang_encoder.lang_proj"].T
    )
    assert torch.equal(
        read.tensors["sampler.mask_spatial_embed.1.weight"],
        mini_state[predictor + "mask_sptial_embed.1"].T,
    )
    parts = ck.build(read)
    assert parts.vision(torch.zeros(1, 3, 32, 32))[3].shape == (1, 32, 1, 1)
    assert torch.equal(
        parts.vision.patch_embed.proj.weight, mini_state["backbone.patch_embed.proj.weight"]
    )
    back = to_published_state(read.tensors)
    assert all(torch.equal(back[n], t) for n, t in mini_state.items() if not IGNORED.match(n))


def test_reading_the_pt_directly_equals_importing_it(mini_file, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        direct = ck.read(mini_file)
        imported = ck.read(published.import_published(mini_file, tmp_path / "out"))
    assert direct.config == imported.config
    assert all(torch.equal(t, imported.tensors[n]) for n, t in direct.tensors.items())


def test_llama_saved_along_is_dropped(mini_state):
    llama = "sem_seg_head.predictor.lang_encoder.lang_encoder.model."
    extra = {llama + "layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}
    plain, dropped = (published.from_published(mini_state | more) for more in ({}, extra))
    assert plain.keys() == dropped.keys()


CLASS_EMBED = "sem_seg_head.predictor.class_embed"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("backbone.norm3.bias"), "backbone.norm3.bias is missing"),
        (lambda s: s.update({"head.weight": torch.ones(1)}), "head.weight is unknown"),
        (
            lambda s: s.update({"backbone.norm3.bias": torch.ones(3)}),
            r"backbone.norm3.bias has shape \(3,\) instead of \(32,\)",
        ),
        (lambda s: s.pop(CLASS_EMBED), "not a published FIND checkpoint.*class_embed"),
        (lambda s: s.clear(), "not a published FIND checkpoint"),
        (
            lambda s: s.update({CLASS_EMBED: torch.ones(32, 31)}),
            r"class_embed has shape \(32, 31\)",
        ),
    ],
)
def test_exception(mini_state, change, words):
    state = dict(mini_state)
    change(state)
    with pytest.raises(CheckpointError, match=words):
        published.from_published(state)


class _Hostile:
    proof = ""

    def __reduce__(self):
        return os.mkdir, (_Hostile.proof,)


@pytest.mark.parametrize("kind", ["hostile", "truncated", "empty", "text", "list", "objects"])
def test_unreadable_files(mini_file, tmp_path, kind):
    """Refused with one sentence, and without running what is in them."""
    _Hostile.proof = str(tmp_path / "pwned")
    if kind == "hostile":
        torch.save({"a": _Hostile()}, mini_file)
    elif kind == "list":
        torch.save([torch.ones(1)], mini_file)
    elif kind == "objects":
        torch.save({"epoch": 3}, mini_file)
    else:
        data = mini_file.read_bytes()
        mini_file.write_bytes({"truncated": data[:-500], "empty": b"", "text": b"hello"}[kind])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(CheckpointError, match=r"not a readable PyTorch file|plain dictionary"):
            published.import_published(mini_file, tmp_path / "out")
    assert not (tmp_path / "pwned").exists() and not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["find_focalt_llama_x640.pt", "grin_focall_llama_x640.pt"])
def test_released_names_must_have_the_released_hash(mini_file, tmp_path, name):
    file = mini_file.rename(tmp_path / name)
    with pytest.raises(CheckpointError, match=r"truncated or altered \(it has \d+ of"):
        published.import_published(file, tmp_path / "out")
    with pytest.warns(UserWarning, match="not one of the released files"):
        published.import_published(file, tmp_path / "out", allow_altered=True)


def test_released_hash_is_accepted_without_a_word(mini_file, tmp_path, monkeypatch):
    sha256 = hashlib.sha256(mini_file.read_bytes()).hexdigest()
    release = published.Release("find_focalt_llama_x640.pt", 1, sha256)
    monkeypatch.setattr(published, "RELEASES", {"focalt": release})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        published.import_published(mini_file, tmp_path / "out")


def test_missing_file(tmp_path):
    with pytest.raises(CheckpointError, match=r"There is no file .*huggingface.co/xueyanz/FIND"):
        published.import_published(tmp_path / "nothing.pt", tmp_path / "out")


def test_golden_backbone_through_the_importer():
    """The golden weights under published names give the golden maps through our names."""
    with np.load(GOLDEN / "backbone.npz") as arrays:
        golden = {name: torch.from_numpy(arrays[name]) for name in arrays}
    weights = {to_ours(n): t for n, t in golden.items() if n.startswith("backbone.")}
    options = {"embed_dim": 16, "depths": [1, 1, 2, 1], "focal_levels": 3}
    vision = build_vision(VisionConfig("focal_dw", options))
    ck.fill(vision, {name.removeprefix("vision."): t for name, t in weights.items()})
    expected = golden["fx/backbone/res5"]
    error = (vision(golden["fx/padded"])[3] - expected).abs().max() / expected.abs().max()
    assert error < 1e-5


def test_golden_model_from_file_to_answer(tmp_path):
    """A .pt file of the golden weights, imported, gives the golden answers: names, sizes, all."""
    arrays = dict(np.load(GOLDEN / "backbone.npz")) | dict(np.load(GOLDEN / "interface.npz"))
    golden = {name: torch.from_numpy(array) for name, array in arrays.items()}
    torch.save({n: t for n, t in golden.items() if not n.startswith("fx/")}, tmp_path / "tiny.pt")
    with pytest.warns(UserWarning, match="not one of the released files"):
        folder = published.import_published(tmp_path / "tiny.pt", tmp_path / "out")
    parts = ck.build(ck.read(folder))
    with torch.no_grad():
        image = parts.model.image_state(parts.vision(golden["fx/padded"]))
        outputs = parts.model(image, parts.model.sampler.segmentation(1))[-1]
        masks = parts.model.masks(outputs.pixel[TokenGroup.OBJECT], image)
        semantic = parts.model.heads.semantic(outputs.embeddings[TokenGroup.OBJECT])
    for ours, name in ((masks, "pred_masks"), (semantic, "pred_captions")):
        expected = golden[f"fx/seg/{name}"]
        assert float((ours - expected).abs().max() / expected.abs().max()) < 1e-5
