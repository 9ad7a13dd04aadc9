"""References and prompts as text: one grammar for every door."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

import find_core as fc
from find_core.prompts.text_form import parse_reference, parse_references, read_prompt_file


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), np.zeros((60, 80, 3), np.uint8))
    mask = np.zeros((60, 80), np.uint8)
    mask[10:20, 30:50] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    return path


REGIONS = [
    ("box", "40,10,50,20", [40, 10, 50, 20]),
    ("box", " 40, 1e1 ,5.0e1,+20", [40, 10, 50, 20]),
    ("point", "3,4", [3, 4]),
    ("circle", "9,9,4.5", [9, 9, 4.5]),
    ("polygon", "1,1,9,1,5,9", [[1, 1], [9, 1], [5, 9]]),
    ("scribble", "1,1,9,.5", [[1, 1], [9, 0.5]]),
]


@pytest.mark.parametrize("kind, values, data", REGIONS)
@pytest.mark.parametrize("form", ["{photo}:{kind}={values}", "{photo}@{kind}:{values}"])
def test_forms_of_a_reference(photo, form, kind, values, data):
    text = form.format(photo=photo, kind=kind, values=values)
    name, reference = parse_reference(f"red cup={text}")
    assert name == "red cup" and reference.region.kind == kind and reference.region.positive
    np.testing.assert_array_equal(reference.region.data, data)


@pytest.mark.parametrize("form", ["{photo}:mask={mask}", "{photo}@mask:{mask}"])
def test_mask_of_a_file(photo, form):
    text = form.format(photo=photo, mask=photo.with_name("mask.png"))
    reference = parse_reference(f"x={text}")[1]
    assert reference.mask.sum() == 200 and reference.mask[15, 40]


def test_path_may_hold_the_signs_of_the_grammar(photo):
    odd = photo.with_name("a=b@box:1,2.png")
    odd.write_bytes(photo.read_bytes())
    name, reference = parse_reference(f"x={odd}:point=3,4")
    assert name == "x" and reference.region.kind == "point"


BAD = [
    ("x={photo}", "NAME=PHOTO:KIND=VALUES"),
    ("={photo}:point=3,3", "NAME=PHOTO:KIND=VALUES"),
    (" ={photo}:point=3,3", "NAME=PHOTO:KIND=VALUES"),
    ("x={photo}:blob=3,3", "NAME=PHOTO:KIND=VALUES"),
    ("x={photo}:point=", "NAME=PHOTO:KIND=VALUES"),
    ("x=nowhere.png:point=3,3", "No image file"),
    ("x={photo}:box=1,2", "tuple of 4"),
    ("x={photo}:point=3,3,1", "tuple of 2"),
    ("x={photo}:box=1,2,30,40,1", "tuple of 4"),
    ("x={photo}:polygon=1,2,3,4,5", "pairs"),
    ("x={photo}:scribble=1,2,3", "pairs"),
    ("x={photo}:polygon=1,2,3,4", "at least three"),
    ("x={photo}:point=5000,1", "outside"),
    ("x={photo}:point=a,1", "takes numbers"),
    ("x={photo}:point=3,", "takes numbers"),
    ("x={photo}:point=1_0,1", "takes numbers"),
    ("x={photo}:point=\uff11,1", "takes numbers"),
    ("x={photo}:point=nan,1", "takes numbers"),
    ("x={photo}:point=inf,1", "takes numbers"),
    ("x={photo}:point=1e999,1", "takes numbers"),
    ("x={photo}:point=0x1,1", "takes numbers"),
]


@pytest.mark.parametrize("text, says", BAD)
def test_bad_references_say_so(photo, text, says):
    with pytest.raises(fc.FindError, match=says):
        parse_reference(text.format(photo=photo))


def test_two_references_of_one_name(photo):
    texts = [f"x={photo}:point=3,4", f"y={photo}:point=3,4"]
    assert list(parse_references(texts)) == ["x", "y"]
    with pytest.raises(fc.PromptError, match="Two references are called 'x'"):
        parse_references([*texts, f"x={photo}@box:1,2,30,40"])


def test_prompt_file(photo):
    prompt = {"prompt": "the <cup>", "references": {"cup": {
        "image": {"path": "photo.png"}, "region": {"kind": "point", "data": [3, 4]}}}}  # fmt: skip
    path = photo.with_name("prompt.json")
    path.write_text(json.dumps(prompt))
    assert read_prompt_file(path).entities[0].is_visual
    for text, says in [("{", "not JSON"), ("[]", "in JSON"), ("\udc80", "not UTF-8")]:
        path.write_bytes(text.encode("utf-8", "surrogatepass"))
        with pytest.raises(fc.PromptError, match=says):
            read_prompt_file(path)
    with pytest.raises(fc.PromptError, match="No prompt file"):
        read_prompt_file(photo.with_name("none.json"))
