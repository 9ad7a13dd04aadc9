"""A text encoder that is built when it is needed, or ahead of that."""

from __future__ import annotations

import threading

import pytest
import torch

from find_core.encoders.on_demand import LanguageOnDemand
from find_core.errors import EncoderError
from find_core.predictor import Find
from find_core.testing import tiny_find


def on_demand(builds: list[str], language):
    def build():
        builds.append(threading.current_thread().name)
        return language

    return LanguageOnDemand(build, torch.device("cpu"))


def test_built_once_when_needed():
    builds: list[str] = []
    language = tiny_find().language
    held = on_demand(builds, language)
    assert builds == []
    assert held.get() is language and held.get() is language
    assert builds == [threading.current_thread().name]


def test_built_ahead_in_a_thread_of_its_own():
    builds: list[str] = []
    held = on_demand(builds, tiny_find().language)
    held.prepare()
    held.prepare(wait=True)
    assert builds == ["language model"]
    held.get()
    assert len(builds) == 1


def test_what_fails_ahead_is_said_by_the_prompt_that_needs_it():
    def missing():
        raise EncoderError("No text encoder: pip install it.")

    tiny = tiny_find()
    find = Find(tiny.model, tiny.vision, missing, device="cpu", runtime="torch")
    find.prepare(wait=True)
    with pytest.raises(EncoderError, match="pip install"):
        find.compile("the <mug>")


def test_prompts_after_it_answer_the_same():
    ahead, later = tiny_find(), tiny_find()
    ahead.prepare(wait=True)
    a, b = (f.compile("the <mug>").entity_embeddings for f in (ahead, later))
    assert (a == b).all()
