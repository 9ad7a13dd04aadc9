"""The only place that knows the tensor names of the published FIND checkpoints (docs/spec.md 4).

Our names: those of `FindModel`, and `vision.*` / `language.*` for frozen encoders whose weights
travel in the file. Every rule is read in both directions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch

from find_core.encoders.base import LanguageConfig, VisionConfig
from find_core.errors import CheckpointError
from find_core.model.config import FindConfig

_DECODER = "sem_seg_head.pixel_decoder."
_PREDICTOR = "sem_seg_head.predictor."
_LANGUAGE = _PREDICTOR + "lang_encoder.lang_encoder."
LANG_PROJ = _PREDICTOR + "lang_encoder.lang_proj"

# Ours, published. {i} and {j} are numbers, {rest} is anything; the first rule that fits counts.
RENAMES: tuple[tuple[str, str], ...] = (
    ("pixel_decoder.adapters.{i}.norm.{rest}", _DECODER + "adapter_{i}.norm.{rest}"),
    ("pixel_decoder.adapters.{i}.conv.{rest}", _DECODER + "adapter_{i}.{rest}"),
    ("pixel_decoder.layers.{i}.norm.{rest}", _DECODER + "layer_{i}.norm.{rest}"),
    ("pixel_decoder.layers.{i}.conv.{rest}", _DECODER + "layer_{i}.{rest}"),
    ("pixel_decoder.encoder.{rest}", _DECODER + "transformer.encoder.layers.{rest}"),
    ("pixel_decoder.{rest}", _DECODER + "{rest}"),
    (
        "interface.layers.{i}.content_norm.{rest}",
        _PREDICTOR + "content_attention.layers.{i}.norm.{rest}",
    ),
    (
        "interface.layers.{i}.content.{rest}",
        _PREDICTOR + "content_attention.layers.{i}.multihead_attn.{rest}",
    ),
    (
        "interface.layers.{i}.condition_norm.{rest}",
        _PREDICTOR + "condition_attention.layers.{i}.norm.{rest}",
    ),
    (
        "interface.layers.{i}.condition.{rest}",
        _PREDICTOR + "condition_attention.layers.{i}.self_attn.{rest}",
    ),
    ("interface.layers.{i}.ffn.{rest}", _PREDICTOR + "transformer_ffn_layers.{i}.{rest}"),
    ("heads.decoder_norm.{rest}", _PREDICTOR + "decoder_norm.{rest}"),
    ("heads.class_embed.weight", _PREDICTOR + "class_embed"),
    ("heads.mask_embed.0.{rest}", _PREDICTOR + "mask_embed.layers.0.{rest}"),
    ("heads.mask_embed.2.{rest}", _PREDICTOR + "mask_embed.layers.1.{rest}"),
    ("heads.mask_embed.4.{rest}", _PREDICTOR + "mask_embed.layers.2.{rest}"),
    ("heads.logit_scale", _PREDICTOR + "lang_encoder.logit_scale"),
    ("lang_proj.weight", LANG_PROJ),
    ("language.{rest}", _LANGUAGE + "{rest}"),
    ("level_embed.{rest}", _PREDICTOR + "level_embed.{rest}"),
    ("sampler.mask_spatial_embed.{i}.weight", _PREDICTOR + "mask_sptial_embed.{i}"),
    ("sampler.query_feat.{rest}", _PREDICTOR + "query_feat.{rest}"),
    ("sampler.query_embed.{rest}", _PREDICTOR + "query_embed.{rest}"),
    ("sampler.spatial_featured.{rest}", _PREDICTOR + "spatial_featured.{rest}"),
    ("sampler.spatial_embed.{rest}", _PREDICTOR + "spatial_embed.{rest}"),
    ("sampler.pn_indicator.{rest}", _PREDICTOR + "pn_indicator.{rest}"),
    *(
        (
            f"vision.blocks.{{i}}.{{j}}.{n}.{ours}.{{rest}}",
            f"backbone.blocks.{{i}}.{{j}}.{theirs}.{{rest}}",
        )
        for n, kind in enumerate(("spatial", "channel"))
        for ours, theirs in (
            ("conv1", f"{kind}_block.conv1.fn.dw"),
            ("norm1", f"{kind}_block.{'window' if n == 0 else 'channel'}_attn.norm"),
            ("attention", f"{kind}_block.{'window' if n == 0 else 'channel'}_attn.fn"),
            ("conv2", f"{kind}_block.conv2.fn.dw"),
            ("norm2", f"{kind}_block.ffn.norm"),
            ("mlp", f"{kind}_block.ffn.fn.net"),
        )
    ),
    ("vision.{rest}", "backbone.{rest}"),
)

# Multiplied from the right in the reference (x @ W), so transposed for nn.Linear.
TRANSPOSED = re.compile(r"heads\.class_embed|lang_proj|sampler\.mask_spatial_embed")
# Of no use to a model: a constant, a loss weight, and LLaMA itself where it was saved along.
IGNORED = re.compile(
    rf"dilation_kernel$|criterion\.empty_weight$|{re.escape(_LANGUAGE)}(model|lm_head)\."
)


def to_ours(name: str) -> str | None:
    """Our name of a published tensor; None when no rule knows it."""
    return _rename(name, source=1)


def to_published(name: str) -> str | None:
    """The published name of one of our tensors; None when there is none."""
    return _rename(name, source=0)


def is_transposed(our_name: str) -> bool:
    """Whether a tensor (by our name) is stored the other way round in published files."""
    return TRANSPOSED.match(our_name) is not None


def _compile(source: int) -> list[tuple[re.Pattern[str], str]]:
    kinds = {"i": r"(?P<i>\d+)", "j": r"(?P<j>\d+)", "rest": r"(?P<rest>.+)"}
    return [
        (
            re.compile(
                re.sub(r"\\{(\w+)\\}", lambda m: kinds[m[1]], re.escape(rule[source])) + "$"
            ),
            rule[1 - source],
        )
        for rule in RENAMES
    ]


_PATTERNS = (_compile(0), _compile(1))


def _rename(name: str, source: int) -> str | None:
    for pattern, template in _PATTERNS[source]:
        if match := pattern.match(name):
            return template.format(**match.groupdict())
    return None


def infer_config(state: Mapping[str, torch.Tensor]) -> FindConfig:
    """The sizes of a published model, read off its tensors.

    What shapes cannot tell is as published: 8 heads, 32 norm groups, short side 640 (the released
    x640 files), hidden layer -12 of LLaMA-7B.

    Raises:
        CheckpointError: the tensors are not those of a published FIND model.
    """
    try:
        return _infer_config(state)
    except KeyError as error:
        raise CheckpointError(
            f"This is not a published FIND checkpoint: it has no tensor {error.args[0]!r}."
        ) from None
    except IndexError:
        raise CheckpointError(
            "This is not a published FIND checkpoint: its tensors have other shapes."
        ) from None


def _infer_config(state: Mapping[str, torch.Tensor]) -> FindConfig:
    hidden_dim = state[_PREDICTOR + "class_embed"].shape[0]
    first_ffn = state[_PREDICTOR + "transformer_ffn_layers.0.linear1.weight"]
    vision, language = _infer_vision(state), _infer_language(state)
    return FindConfig(
        name=f"find-{vision.name}-{language.name}",
        vision=vision,
        language=language,
        hidden_dim=hidden_dim,
        mask_dim=state[_DECODER + "mask_features.weight"].shape[0],
        stride4_dim=state[_DECODER + "layer_1.weight"].shape[0],
        num_heads=8,
        ffn_dim=first_ffn.shape[0],
        num_queries=state[_PREDICTOR + "query_feat.weight"].shape[0] - 1,
        num_layers=_count(state, _PREDICTOR + "transformer_ffn_layers.{}.linear1.weight"),
        encoder_layers=_count(state, _DECODER + "transformer.encoder.layers.{}.linear1.weight"),
        norm_groups=32,
        num_memories=state[_PREDICTOR + "spatial_embed.weight"].shape[0],
    )


def _infer_vision(state: Mapping[str, torch.Tensor]) -> VisionConfig:
    if "backbone.convs.0.proj.weight" in state:
        name = "davit_d3" if state["backbone.convs.1.proj.weight"].shape[-1] == 2 else "davit_d5"
        stem, unit = "convs.0", "backbone.blocks.{}.{{}}.spatial_block.conv1.fn.dw.weight"
        options: dict[str, Any] = {}
    else:
        block = "backbone.layers.0.blocks.0."
        name = "focal_dw" if block + "dw1.weight" in state else "focal"
        stem, unit = "patch_embed", "backbone.layers.{}.blocks.{{}}.gamma_1"
        options = {"focal_levels": _count(state, block + "modulation.focal_layers.{}.0.weight")}
    options["embed_dim"] = state[f"backbone.{stem}.proj.weight"].shape[0]
    options["depths"] = [_count(state, unit.format(stage)) for stage in range(4)]
    return VisionConfig(
        name,
        options,
        mean=(123.675, 116.28, 103.53),
        std=(58.395, 57.12, 57.375),
        short_side_px=640,
        max_side_px=1024,
    )


def _infer_language(state: Mapping[str, torch.Tensor]) -> LanguageConfig:
    width = state[LANG_PROJ].shape[0]
    if _LANGUAGE + "token_embedding.weight" in state:
        layers = _count(state, _LANGUAGE + "resblocks.{}.ln_1.weight")
        vocabulary = state[_LANGUAGE + "token_embedding.weight"].shape[0]
        options: dict[str, Any] = {"width": width, "layers": layers, "vocabulary": vocabulary}
        return LanguageConfig("unicl", options, max_tokens=77)
    options = {"model": "huggyllama/llama-7b", "layer": -12}
    return LanguageConfig("causal_lm", options, max_tokens=77)


def _count(state: Mapping[str, torch.Tensor], template: str) -> int:
    """How many consecutive numbers from 0 on give a name that exists."""
    count = 0
    while template.format(count) in state:
        count += 1
    return count
