"""The tiny published instance with its recorded inputs and outputs (tests/golden/README.md).

Set FIND_PARITY_DIR to a folder with the full `tiny_fixtures.npz` to check every auxiliary output
too; without it the committed selection is used.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from find_core.checkpoint.published import from_published
from find_core.model import (
    FindConfig,
    FindModel,
    ImageState,
    Legend,
    Outputs,
    TokenGroup,
    VisualPrompt,
)

GOLDEN = Path(__file__).parents[2] / "golden"
TOLERANCE = 1e-5
LAYERS = range(10)


@cache
def arrays() -> dict[str, np.ndarray]:
    found = dict(np.load(GOLDEN / "backbone.npz")) | dict(np.load(GOLDEN / "interface.npz"))
    if folder := os.environ.get("FIND_PARITY_DIR"):
        found |= dict(np.load(Path(folder) / "tiny_fixtures.npz"))
    return found


def get(name: str) -> Tensor:
    return torch.from_numpy(arrays()[f"fx/{name}"])


@cache
def weights() -> dict[str, Tensor]:
    """Trainable parameters under our names, backbone left out."""
    published = {
        k: torch.from_numpy(v)
        for k, v in arrays().items()
        if k.startswith(("sem_seg_head.", "criterion.", "backbone."))
    }
    ours = from_published(published)
    return {k.removeprefix("model."): v for k, v in ours.items() if not _is_encoder(k)}


def _is_encoder(name: str) -> bool:
    return name.startswith(("vision.", "language.", "backbone."))


def model() -> FindModel:
    """A fresh instance, so that a test may break it."""
    config = FindConfig(
        hidden_dim=64,
        mask_dim=64,
        stride4_dim=64,
        ffn_dim=128,
        num_queries=20,
        num_layers=9,
        encoder_layers=2,
        num_memories=8,
    )
    built = FindModel(config, (16, 32, 64, 128), 32)
    built.load_state_dict(weights())
    return built.eval().requires_grad_(False)


def features() -> list[Tensor]:
    return [get(f"backbone/res{i}") for i in (2, 3, 4, 5)]


def relative_error(ours: Tensor, name: str) -> float:
    """max |difference| / max |golden|; infinite when shapes differ."""
    theirs = get(name)
    if ours.shape != theirs.shape:
        return float("inf")
    return float((ours - theirs).abs().max() / theirs.abs().max())


Reader = Callable[[FindModel, ImageState, Outputs], Tensor]


def _semantic(v: TokenGroup) -> Reader:
    return lambda m, image, o: m.heads.semantic(o.embeddings[v])


def _pixel(v: TokenGroup) -> Reader:
    return lambda m, image, o: m.heads.pixel(o.embeddings[v])


def _masks(v: TokenGroup) -> Reader:
    return lambda m, image, o: m.masks(o.pixel[v], image)


OBJECTS: dict[str, Reader] = {
    "pred_logits": lambda m, image, o: m.heads.class_logits(
        o.embeddings[TokenGroup.OBJECT], get("class_emb")
    ),
    "pred_masks": _masks(TokenGroup.OBJECT),
    "pred_captions": _semantic(TokenGroup.OBJECT),
    "pred_maskembs": _pixel(TokenGroup.OBJECT),
    "pred_retrievals": _semantic(TokenGroup.IMAGE),
    "pred_image_pixel": _pixel(TokenGroup.IMAGE),
}
READERS: dict[str, dict[str, Reader]] = {
    "seg": OBJECTS,
    "grounding/out": OBJECTS
    | {
        "pred_gmasks": _masks(TokenGroup.GROUNDING),
        "pred_gtexts": _semantic(TokenGroup.GROUNDING),
        "pred_grounding_query": _semantic(TokenGroup.DESCRIPTION),
    },
    "grounding_b2/out": OBJECTS
    | {
        "pred_gmasks": _masks(TokenGroup.GROUNDING),
        "pred_gtexts": _semantic(TokenGroup.GROUNDING),
        "pred_grounding_query": _semantic(TokenGroup.DESCRIPTION),
    },
    "retrieval/out": OBJECTS | {"pred_retrievals_lang": _semantic(TokenGroup.CAPTION)},
    "spatial1/out": OBJECTS
    | {
        "pred_smasks": _masks(TokenGroup.SEGMENT),
        "pred_spatials": _semantic(TokenGroup.SEGMENT),
        "pred_spatial_class": _semantic(TokenGroup.SPATIAL),
        "pred_smaskembs": _pixel(TokenGroup.SEGMENT),
        "pred_pspatials": _pixel(TokenGroup.SPATIAL),
    },
    "interleave/out": OBJECTS
    | {
        "pred_imasks": _masks(TokenGroup.ENTITY),
        "pred_interleave_objects": _semantic(TokenGroup.ENTITY),
        "pred_interleave_image": _semantic(TokenGroup.LEGEND),
        "pred_entity_class": _semantic(TokenGroup.INTERLEAVE),
        "pred_imaskembs": _pixel(TokenGroup.ENTITY),
        "pred_entity_pixel": _pixel(TokenGroup.INTERLEAVE),
        "pred_legend_pixel": _pixel(TokenGroup.LEGEND),
    },
}
READERS["second_click"] = READERS["spatial1/out"]


def worst(
    task: str,
    m: FindModel,
    image: ImageState,
    outputs: list[Outputs],
    layers: Iterable[int] = LAYERS,
) -> tuple[float, str, int]:
    """Largest relative error over every recorded output of a task, where it is, how many were read."""
    largest, where, count = 0.0, "", 0
    for n in layers:
        for key, read in READERS[task].items():
            name = f"{task}/aux_outputs/{n}/{key}" if n < 9 else f"{task}/{key}"
            if f"fx/{name}" in arrays():
                error = relative_error(read(m, image, outputs[n]), name)
                count += 1
                if not error <= largest:
                    largest, where = error, name
    return largest, where, count


def strokes(image: ImageState, masks: Tensor, positive: bool = True, row: int = 0) -> list:
    """Prompts of (N, H, W) masks; empty masks (text entities) give none."""
    return [VisualPrompt(image, row, m, i, positive) for i, m in enumerate(masks) if m.any()]


def phrases(task: str) -> list[list[Tensor]]:
    """Per image, the token rows of each phrase."""
    tokens, index = (
        get(f"{task}/extra/grounding_tokens"),
        get(f"{task}/extra/grounding_token_indices"),
    )
    return [
        [tokens[index[:, b] == p, b] for p in range(int(index[:, b].max()) + 1)]
        for b in range(tokens.shape[1])
    ]


def legend(image: ImageState) -> Legend:
    prefix = "interleave/extra/interleave_"
    return Legend(
        get(prefix + "tokens")[:, 0],
        get(prefix + "entity_indices")[:, 0].long(),
        get(prefix + "isvisual")[:, 0] > 0,
        strokes(image, get(prefix + "query_pos_mask/0")),
    )


def run(
    task: str, m: FindModel, image: ImageState | None = None
) -> tuple[ImageState, list[Outputs]]:
    """Run a recorded task on its recorded inputs."""
    with torch.no_grad():
        image = image or m.image_state(features())
        groups = m.sampler.segmentation(image.batch)
        previous = None
        if task in ("grounding/out", "grounding_b2/out"):
            texts = phrases(task.split("/")[0])
            groups |= m.sampler.grounding(texts, official_padding=True)
        elif task == "retrieval/out":
            tokens, padding = get("retrieval/extra/retrieval_tokens"), get(
                "retrieval/extra/retrieval_nonzero_mask"
            )  # fmt: skip
            groups |= m.sampler.sentence([tokens[~padding[b], b] for b in range(image.batch)])
        elif task == "spatial1/out":
            prefix = "spatial1/extra/spatial_query_"
            marks = strokes(image, get(prefix + "pos_mask/0"))
            marks += strokes(image, get(prefix + "neg_mask/0"), False)
            groups |= m.sampler.interactive([marks], [2])
        elif task == "second_click":
            marks = strokes(image, get("second_click/pos"))
            marks += strokes(image, get("second_click/neg"), False)
            groups |= m.sampler.interactive([marks], [1], with_memory=True)
            previous = get("second_click/prev_mask")
        elif task == "interleave/out":
            groups |= m.sampler.interleave([legend(image)]) | m.sampler.entity_proposals(1)
        return image, m(image, groups, previous_BNhw=previous)
