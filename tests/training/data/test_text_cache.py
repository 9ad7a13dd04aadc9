"""The texts cache: the encoder's own answers, in the order asked, however they were grouped."""

from __future__ import annotations

import numpy as np
import torch

from find_core.encoders import build_language
from training.data.text_cache import GROUP, TextCache
from training.recipes import recipe


def test_every_text_is_what_the_encoder_says_of_it_alone() -> None:
    encoder = build_language(recipe("tiny").model.language)
    cache = TextCache(encoder)
    texts = [f"the {'very ' * n}red ball" for n in (*range(2 * GROUP), 3, 0)]
    for _ in range(2):  # the second time from memory
        for text, tokens in zip(texts, cache.encode(texts), strict=True):
            (alone,) = encoder.encode([text])
            torch.testing.assert_close(tokens.states, alone.states, atol=2e-3, rtol=2e-3)
            assert np.array_equal(tokens.offsets, alone.offsets)


def test_the_oldest_are_forgotten() -> None:
    cache = TextCache(build_language(recipe("tiny").model.language), capacity=3)
    cache.encode(["a", "b", "c"])
    cache.encode(["a", "d"])
    assert list(cache._known) == ["c", "a", "d"]
