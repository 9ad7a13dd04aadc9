"""Prompts, references, regions: what is understood, and what is refused with which words."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import find_core as fc
from find_core.prompts.prompt import PLACEHOLDER
from find_core.prompts.reference import region_from_json, region_to_json

PHOTO = np.zeros((200, 300, 3), np.uint8)


def reference(**region) -> fc.Reference:
    return fc.Reference(PHOTO, **(region or {"box": (40, 30, 180, 170)}))


def test_smoke():
    prompt = fc.Prompt.parse("the <white mug> left of <thing>", thing=reference())
    assert [e.label for e in prompt.entities] == ["white mug", "thing"]
    assert [e.is_visual for e in prompt.entities] == [False, True]
    assert prompt.text == "the white mug left of thing"
    text, spans = prompt.sentence()
    assert text == f"the white mug left of {PLACEHOLDER}"
    assert [text[a:b] for a, b in spans] == ["white mug", PLACEHOLDER]


def test_prompt_without_brackets_is_one_entity():
    prompt = fc.Prompt.parse("the red cup")
    assert [e.label for e in prompt.entities] == ["the red cup"]
    assert prompt.sentence() == ("the red cup", [(0, 11)])


def test_bind_known_leaves_other_references_aside():
    known = {"thing": reference(), "other": reference(point=(3, 4))}
    prompt = fc.Prompt.bind_known("the <mug> left of <thing>", known)
    assert [e.reference for e in prompt.entities] == [None, known["thing"]]
    with pytest.raises(fc.PromptError, match="'other' is never used"):
        fc.Prompt.bind("the <mug> left of <thing>", known)


def test_literal_brackets():
    prompt = fc.Prompt.parse(r"a <b \< c> and \>")
    assert [e.label for e in prompt.entities] == ["b < c"]
    assert prompt.text == "a b < c and >"


def test_one_reference_may_be_named_twice():
    thing = reference()
    prompt = fc.Prompt.parse("<thing> next to <thing>", thing=thing)
    assert all(e.reference is thing for e in prompt.entities)


words = st.text(alphabet=st.characters(blacklist_categories=("Cs",)), min_size=1, max_size=12)


@given(st.lists(st.tuples(st.booleans(), words), min_size=1, max_size=6))
def test_markup_round_trip(pieces):
    parts = [fc.PromptEntity(w.strip()) if e and w.strip() else w for e, w in pieces]
    if not any(isinstance(p, fc.PromptEntity) for p in parts):
        parts.append(fc.PromptEntity("mug"))
    prompt = fc.Prompt(tuple(parts))
    again = fc.Prompt.parse(prompt.markup)
    assert again.text == prompt.text
    assert [e.label for e in again.entities] == [e.label for e in prompt.entities]
    text, spans = again.sentence()
    assert [text[a:b] for a, b in spans] == [e.label for e in again.entities]


@pytest.mark.parametrize(
    "region",
    [
        {"box": (40, 30, 180, 170)},
        {"point": (10, 20)},
        {"polygon": [(0, 0), (50, 0), (0, 50)]},
        {"circle": (100, 100, 20)},
        {"scribble": [(10, 10), (50, 60), (90, 10)]},
        {"mask": np.eye(200, 300, dtype=bool)},
    ],
)
def test_json_round_trip(region):
    prompt = fc.Prompt.parse("the <mug> by <it>", it=reference(**region))
    again = fc.Prompt.from_json(json.loads(json.dumps(prompt.to_json())))
    assert again.markup == prompt.markup
    theirs, ours = again.entities[1].reference, prompt.entities[1].reference
    assert theirs is not None and ours is not None
    assert np.array_equal(theirs.mask, ours.mask)
    assert np.array_equal(theirs.image, ours.image)


@given(x=st.integers(0, 290), y=st.integers(0, 190), w=st.integers(1, 10), h=st.integers(1, 10))
def test_box_covers_its_pixels(x, y, w, h):
    mask = fc.Region.box(x, y, x + w, y + h).to_mask(200, 300)
    assert mask.sum() == w * h
    assert mask[y : y + h, x : x + w].all()


@given(st.floats(0, 299), st.floats(0, 199))
def test_point_marks_its_pixel(x, y):
    assert fc.Region.point(x, y).to_mask(200, 300)[round(y), round(x)]


def test_negative_region_survives_json():
    region = fc.Region.circle(5, 5, 3, positive=False)
    again = region_from_json(region_to_json(region))
    assert again.kind == "circle" and not again.positive


def test_image_by_name_and_path(tmp_path):
    import cv2

    cv2.imwrite(str(tmp_path / "mug.png"), PHOTO + 7)
    region = {"kind": "point", "data": [3, 4]}
    form = {"prompt": "<a> on <b>", "references": {
        "a": {"image": {"path": "mug.png"}, "region": region},
        "b": {"image": {"name": "camera"}, "region": region}}}  # fmt: skip
    prompt = fc.Prompt.from_json(form, base_dir=tmp_path, images={"camera": PHOTO})
    assert prompt.entities[0].reference.image.mean() == 7


BAD_PROMPTS = [
    ("the <mug", "never closed"),
    ("the mug>", "Unbalanced"),
    ("the <a <b>>", "Unbalanced"),
    ("the <>", "empty"),
    ("the < >", "empty"),
    ("", "empty"),
    ("   ", "empty"),
    ("a" * 3000, "at most"),
    (None, "a string"),
]


@pytest.mark.parametrize(("text", "says"), BAD_PROMPTS)
def test_exception_prompt(text, says):
    with pytest.raises(fc.PromptError, match=says):
        fc.Prompt.parse(text)


def test_exception_unused_and_unknown_reference():
    with pytest.raises(fc.PromptError, match="never used"):
        fc.Prompt.parse("the <mug>", thing=reference())
    with pytest.raises(fc.PromptError, match="Reference"):
        fc.Prompt.parse("the <mug>", mug="photo.png")


BAD_REFERENCES = [
    (dict(), "exactly one region"),
    (dict(box=(0, 0, 5, 5), point=(1, 1)), "exactly one region"),
    (dict(blob=3), "exactly one region"),
    (dict(box=(5, 5, 5, 9)), "empty"),
    (dict(box=(500, 500, 600, 600)), "outside"),
    (dict(box="x"), "takes|needs"),
    (dict(box=3), "takes a tuple"),
    (dict(point=(3, 4, 0)), "tuple of 2"),
    (dict(box=(0, 0, 5, 5, True)), "tuple of 4"),
    (dict(circle=(5, 5)), "tuple of 3"),
    (dict(point=("3", "4")), "needs numbers"),
    (dict(point=(True, True)), "needs numbers"),
    (dict(point=(float("nan"), 1)), "finite"),
    (dict(point=(-5, 3)), "outside"),
    (dict(circle=(5, 5, -1)), "not positive"),
    (dict(polygon=[(0, 0), (1, 1)]), "at least three"),
    (dict(scribble=[]), "at least one"),
    (dict(mask=np.zeros((200, 300), bool)), "empty"),
    (dict(mask=np.ones((20, 30), bool)), "own size"),
    (dict(mask=np.ones((200, 300), np.uint8)), "bool"),
]


@pytest.mark.parametrize(("region", "says"), BAD_REFERENCES)
def test_exception_reference(region, says):
    with pytest.raises(fc.PromptError, match=says):
        fc.Reference(PHOTO, **region)


BAD_IMAGES = [
    (np.zeros((10, 10), np.uint8), "shape"),
    (np.zeros((10, 10, 4), np.uint8), "shape"),
    (np.zeros((10, 10, 3), np.float32), "dtype"),
    (np.zeros((0, 10, 3), np.uint8), "pixels"),
    ("photo.png", "shape"),
]


@pytest.mark.parametrize(("image", "says"), BAD_IMAGES)
def test_exception_image(image, says):
    with pytest.raises(fc.ImageError, match=says):
        fc.Reference(image, point=(1, 1))


POINT = {"kind": "point", "data": [3, 4]}
BAD_JSON = [
    (None, "in JSON"),
    ([], "in JSON"),
    ({"prompt": 3}, "in JSON"),
    ({"prompt": "a", "version": 9}, "version"),
    ({"prompt": "a", "references": []}, "object"),
    ({"prompt": "<a>", "references": {"a": 1}}, "reference"),
    (
        {"prompt": "<a>", "references": {"a": {"image": {"path": "none.png"}, "region": POINT}}},
        "No image file",
    ),
    (
        {"prompt": "<a>", "references": {"a": {"image": {"name": "x"}, "region": POINT}}},
        "No image is known",
    ),
    (
        {"prompt": "<a>", "references": {"a": {"image": {"png_base64": "%%"}, "region": POINT}}},
        "base64",
    ),
    (
        {"prompt": "<a>", "references": {"a": {"image": {"png_base64": "aGk="}, "region": POINT}}},
        "decode",
    ),
    ({"prompt": "<a>", "references": {"a": {"image": {}, "region": POINT}}}, "image"),
]


@pytest.mark.parametrize(("data", "says"), BAD_JSON)
def test_exception_json(data, says):
    with pytest.raises((fc.PromptError, fc.ImageError), match=says):
        fc.Prompt.from_json(data, base_dir=".")
