"""The registry and the tiny encoders the whole suite runs on."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core.encoders import (
    LanguageConfig,
    LanguageEncoder,
    VisionConfig,
    VisionEncoder,
    build_language,
    build_vision,
)
from find_core.errors import EncoderError, PromptError

TINY_VISION = VisionConfig("tiny_conv", {"channels": [4, 6, 8, 10]})
TINY_TEXT = LanguageConfig("tiny_text", {"width": 12}, max_tokens=20)


def test_smoke():
    vision, language = build_vision(TINY_VISION), build_language(TINY_TEXT)
    assert isinstance(vision, VisionEncoder) and isinstance(language, LanguageEncoder)
    assert vision.channels == (4, 6, 8, 10) and language.width == 12
    assert [tuple(m.shape) for m in vision(torch.zeros(2, 3, 64, 32))] == [
        (2, 4, 16, 8),
        (2, 6, 8, 4),
        (2, 8, 4, 2),
        (2, 10, 2, 1),
    ]


@pytest.mark.parametrize(
    ("build", "config", "words"),
    [
        (build_vision, VisionConfig("resnet"), "Unknown vision encoder 'resnet': choose one of"),
        (build_language, LanguageConfig("gpt"), "Unknown language encoder 'gpt': choose one of"),
        (build_vision, VisionConfig("tiny_conv", {"depth": 3}), "unexpected keyword argument"),
        (build_language, LanguageConfig("tiny_text", {"depth": 3}), "unexpected keyword argument"),
    ],
)
def test_exception(build, config, words):
    with pytest.raises(EncoderError, match=words):
        build(config)


def test_vision_is_seeded_and_leaves_the_global_random_stream_alone():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    a, b = build_vision(TINY_VISION), build_vision(TINY_VISION)
    assert torch.equal(torch.rand(3), expected)
    image = torch.rand(1, 3, 32, 32)
    assert all(torch.equal(x, y) for x, y in zip(a(image), b(image), strict=True))
    other = build_vision(VisionConfig("tiny_conv", {"channels": [4, 6, 8, 10], "seed": 1}))
    assert not torch.equal(a(image)[0], other(image)[0])


def test_stays_frozen_in_training():
    vision = build_vision(TINY_VISION)
    around = torch.nn.Sequential(vision).train()
    assert around.training and not vision.training
    assert not any(p.requires_grad for p in vision.parameters())


def test_text_is_the_same_in_every_process():
    """Python salts its own hash per process; token states must not depend on it."""
    code = (
        "from find_core.encoders import *;"
        "print(build_language(LanguageConfig('tiny_text')).encode(['the Mug'])[0].states.tolist())"
    )
    environment = {"PYTHONHASHSEED": "12345", "PYTHONPATH": ":".join(sys.path)}
    other = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    here = build_language(LanguageConfig("tiny_text")).encode(["the Mug"])[0].states.tolist()
    assert other.stdout.strip() == str(here)


def test_equal_words_are_close_different_words_are_not():
    tokens = build_language(LanguageConfig("tiny_text")).encode(["mug, Mug can"])[0]
    _, mug, _, again, can = torch.nn.functional.normalize(tokens.states, dim=1)
    assert mug @ again > 0.98 > 0.9 > mug @ can


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(max_size=12), min_size=1, max_size=4))
def test_offsets_point_at_the_words(texts):
    language = build_language(TINY_TEXT)
    for text, tokens in zip(texts, language.encode(texts), strict=True):
        assert tokens.offsets[0].tolist() == [0, 0] and tokens.offsets.dtype == np.int64
        words = "".join(text[a:b] for a, b in tokens.offsets[1:])
        assert words == "".join(text.split())
        assert torch.equal(tokens.states, language.encode([text])[0].states)


def test_over_long_text():
    with pytest.raises(PromptError, match="21 tokens, the encoder reads at most 20"):
        build_language(TINY_TEXT).encode(["word " * 20])
