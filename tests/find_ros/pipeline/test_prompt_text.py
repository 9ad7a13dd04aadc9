"""Prompts from outside: no files, no endless work, a sentence for everything else."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from find_core import images
from find_core.errors import FindError, PromptError
from find_core.prompts import prompt as core_prompt
from find_ros.pipeline.prompt_text import PromptLimits, read_prompt

PHOTO = np.full((8, 10, 3), 7, np.uint8)
BOX = {"kind": "box", "data": [1, 1, 5, 5]}
LIMITS = PromptLimits(max_bytes=2000, max_references=3)


def with_image(image, name: str = "a") -> str:
    return json.dumps({"prompt": "the <a>", "references": {name: {"image": image, "region": BOX}}})


def test_named_and_inline_images():
    named = read_prompt(with_image({"name": "photo"}), {"photo": PHOTO})
    assert named.entities[0].reference.mask.sum() == 16
    inline = named.to_json()["references"]["a"]["image"]
    assert (read_prompt(with_image(inline), {}).entities[0].reference.image == PHOTO).all()


@pytest.mark.parametrize(
    "image",
    [
        {"path": "photo.png"}, {"path": "/etc/shadow"}, {"path": ""}, {"path": None},
        {"path": "x.png", "name": "photo"}, {"name": "photo", "path": "../x.png"}, "photo.png", [], None,
    ],
)  # fmt: skip
def test_no_file_is_looked_at(monkeypatch, image):
    looked = []
    monkeypatch.setattr(images, "read_bytes", lambda *path, **options: looked.append(path))
    with pytest.raises(PromptError, match="names no files"):
        read_prompt(with_image(image), {"photo": PHOTO})
    assert not looked


def test_unused_references_are_refused_before_they_are_drawn(monkeypatch):
    drawn = []
    monkeypatch.setattr(core_prompt.Reference, "from_json", lambda *a, **k: drawn.append(a))
    with pytest.raises(PromptError, match="'b' is never used"):
        read_prompt(with_image({"name": "photo"}, "b"), {"photo": PHOTO})
    many = {f"r{n}": {"image": {"name": "photo"}, "region": BOX} for n in range(4)}
    sentence = " ".join(f"<r{n}>" for n in range(4))
    with pytest.raises(PromptError, match="4 references, more than the 3 of max_references"):
        read_prompt(json.dumps({"prompt": sentence, "references": many}), {"photo": PHOTO}, LIMITS)
    assert not drawn


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("x" * 2001, "2001 bytes, more than the 2000 of max_prompt_bytes"),
        ("é" * 1001, "2002 bytes"),
        ("<a\ud800>", "not valid Unicode"),
        ('{"prompt": "<\\udfff>"}', "not valid Unicode"),
        ('{"prompt": "<a>", "x": NaN}', "NaN"),
        ('{"prompt": "<a>", "x": -Infinity}', "Infinity"),
        ('{"a":' * 390, "."),
        ('{"n": ' + "9" * 1900, "."),
        ("{", "is not"),
    ],
)
def test_exception_says_what_is_wrong(text, sentence):
    with pytest.raises(PromptError, match=sentence):
        read_prompt(text, {}, LIMITS)


def test_nesting_without_end():
    with pytest.raises(PromptError, match="nested deeper"):
        read_prompt('{"a":' * 100_000 + "1" + "}" * 100_000, {})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["prompt", "references", "image", "name", "region", "a", "kind",
                                       "data", "png_base64", "version"]), inner, max_size=5),
    max_leaves=12,
)  # fmt: skip


@given(st.dictionaries(st.sampled_from(["prompt", "references", "version"]), json_values))
@settings(max_examples=300, deadline=None)
def test_whatever_comes_in_it_is_a_prompt_or_a_find_error(data):
    try:
        read_prompt(json.dumps(data), {"photo": PHOTO})
    except FindError as error:
        assert str(error)
