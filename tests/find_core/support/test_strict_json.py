"""JSON from outside: what the schema refuses is refused, in one short printable sentence."""

from __future__ import annotations

import json

import jsonschema
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import find_core as fc
from find_core.errors import FindError
from find_core.images import to_png_base64
from find_core.prompts.prompt import MAX_REFERENCES
from find_core.prompts.text_form import parse_references, prompt_from_json_text
from find_core.schemas import load_schema
from find_core.support.printable import quoted, shown
from find_core.support.strict_json import MAX_JSON_VALUES, parse_json

PHOTO = {"png_base64": to_png_base64(np.zeros((20, 30, 3), np.uint8))}
POINT = {"kind": "point", "data": [3, 4]}


def prompt(region=POINT, image=PHOTO, **more):
    return {
        "prompt": "the <a>",
        "references": {"a": {"image": image, "region": region}},
        **more,
    }


REFUSED = {
    "positive as text": prompt({**POINT, "positive": "false"}),
    "positive as a number": prompt({**POINT, "positive": 0}),
    "unknown key": {"prompt": "a", "referencess": {}},
    "unknown key of a reference": {
        "prompt": "<a>", "references": {"a": {"image": PHOTO, "region": POINT, "x": 1}}},
    "unknown key of an image": prompt(image={**PHOTO, "x": 1}),
    "unknown key of a region": prompt({**POINT, "x": 1}),
    "two images": prompt(image={**PHOTO, "name": "camera"}),
    "no image": prompt(image={}),
    "number as text": prompt({"kind": "point", "data": ["3", "4"]}),
    "text as a box": prompt({"kind": "box", "data": "1234"}),
    "keys as a point": prompt({"kind": "point", "data": {"3": 1, "4": 1}}),
    "rubbish behind": prompt({"kind": "point", "data": [10, 10, "junk"]}),
    "a number too many": prompt({"kind": "point", "data": [10, 10, 10]}),
    "booleans as numbers": prompt({"kind": "point", "data": [True, False]}),
    "version true": {"version": True, "prompt": "a"},
    "version as text": {"version": "1", "prompt": "a"},
    "null references": {"prompt": "a", "references": None},
    "list of references": {"prompt": "a", "references": []},
    "empty": {},
    "width below 0": prompt({"kind": "scribble", "data": [[1, 1]], "width_px": -1}),
    "mask as text": prompt({"kind": "mask", "data": PHOTO["png_base64"]}),
    "kind of another type": prompt({"kind": ["point"], "data": [1, 1]}),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_the_schema_refuses_is_refused(name):
    assert list(jsonschema.Draft202012Validator(load_schema("prompt")).iter_errors(REFUSED[name]))
    with pytest.raises(fc.PromptError) as caught:
        prompt_from_json_text(json.dumps(REFUSED[name]))
    assert str(caught.value).isprintable() and len(str(caught.value)) < 400


TEXTS = {
    "doubled key": '{"prompt": "a", "prompt": "b"}',
    "doubled reference": '{"prompt": "<a>", "references": {"a": {}, "a": {}}}',
    "NaN": '{"prompt": "a", "version": NaN}',
    "infinite": json.dumps(prompt()).replace("[3, 4]", "[3, Infinity]"),
    "too large": json.dumps(prompt()).replace("[3, 4]", "[3, 1e999]"),
    "400 digits": json.dumps(prompt()).replace("[3, 4]", "[3, " + "9" * 400 + "]"),
    "10,000 digits": json.dumps(prompt()).replace("[3, 4]", "[3, " + "9" * 10_000 + "]"),
    "infinite width": json.dumps(prompt({"kind": "scribble", "data": [[1, 1]], "width_px": 7})).replace("7}", "Infinity}"),
    "huge width": json.dumps(prompt({"kind": "scribble", "data": [[1, 1]], "width_px": 2**63})),
    "wide width": json.dumps(prompt({"kind": "scribble", "data": [[1, 1]] * 9000, "width_px": 1000})),
    "nested": "[" * 90_000,
    "nested and closed": '{"prompt": "a", "x": ' + "[" * 900 + "]" * 900 + "}",
    "surrogate": '{"prompt": "the \\ud800"}',
    "surrogate key": '{"prompt": "a", "\\udfff": 1}',
    "surrogate path": json.dumps(prompt(image={"path": "/\ud800"})),
    "control characters": '{"prompt": "<a\\u0007\\n>", "references": {"b\\u001b[2J\\n": 3}}',
    "values": '{"prompt": "a", "x": [' + "1," * MAX_JSON_VALUES + "1]}",
    "points": json.dumps(prompt({"kind": "polygon", "data": [[1, 2]] * 20_000})),
    "long error": '{"prompt": "' + "<" * 2_000_000 + '"}',
    "long key": '{"' + "k" * 2_000_000 + '": 1, "prompt": "a"}',
    "long kind": json.dumps(prompt({"kind": "x" * 2_000_000, "data": []})),
    "cut": '{"prompt": "a',
    "nothing": "",
}  # fmt: skip


@pytest.mark.parametrize("name", TEXTS)
def test_exception_of_texts_that_are_no_prompt(name):
    with pytest.raises(fc.PromptError) as caught:
        prompt_from_json_text(TEXTS[name])
    said = str(caught.value)
    assert said.isprintable() and said.encode() and len(said) < 400


def test_references_are_compared_with_the_sentence_before_they_are_decoded():
    many = {f"r{n}": {"image": {"name": "p"}, "region": POINT} for n in range(MAX_REFERENCES)}
    bad = {"image": {"png_base64": "no image"}, "region": POINT}
    data = {"prompt": "the <r0>", "references": many | {"r0": bad}}
    with pytest.raises(fc.PromptError, match="'r1' is never used"):
        fc.Prompt.from_json(data)
    with pytest.raises(fc.PromptError, match=f"at most {MAX_REFERENCES}"):
        fc.Prompt.from_json({**data, "references": many | {"x": bad}})


@pytest.mark.parametrize("path", ["a.png", "/etc/hostname", "../a.png", "/proc/self/environ"])
def test_without_a_folder_no_path_is_read(path):
    with pytest.raises(fc.PromptError, match="Files are not read"):
        prompt_from_json_text(json.dumps(prompt(image={"path": path})))


@pytest.mark.parametrize(
    "values", ["1,1,9,1,9,9,5", "1_0,2", "１,2", "nan,2", "1,2,0", "", "1e999,2", "1,,2"]
)
def test_exception_of_numbers_on_the_command_line(tmp_path, values):
    import cv2

    cv2.imwrite(str(tmp_path / "p.png"), np.zeros((20, 30, 3), np.uint8))
    kind = "polygon" if values.count(",") > 3 else "point"
    with pytest.raises(fc.PromptError):
        parse_references([f"a={tmp_path}/p.png:{kind}={values}"])


def test_shares_of_the_image_are_no_pixels():
    with pytest.raises(fc.PromptError, match="shares"):
        fc.Region.box(0.1, 0.1, 0.5, 0.5)
    assert fc.Region.box(0, 0, 1, 1).to_mask(9, 9).sum() == 1
    assert fc.Region.box(4, 4, 4.4, 4.4).to_mask(9, 9).sum() == 1


numbers = st.floats() | st.integers() | st.booleans() | st.none() | st.text(max_size=3)
regions = st.fixed_dictionaries(
    {}, optional={
        "kind": st.sampled_from(["point", "box", "circle", "polygon", "scribble", "mask", "x"]) | numbers,
        "data": st.lists(numbers | st.lists(numbers, max_size=3), max_size=5) | numbers,
        "positive": st.booleans() | numbers, "width_px": numbers, "x": numbers,
    },
)  # fmt: skip


@given(regions)
@settings(max_examples=300, deadline=None)
def test_nothing_is_accepted_that_the_schema_refuses(region):
    data = prompt(region)
    fits = jsonschema.Draft202012Validator(load_schema("prompt")).is_valid(data)
    try:
        prompt_from_json_text(json.dumps(data))
        assert fits
    except FindError as error:
        assert str(error).isprintable()


@given(st.text(alphabet=st.characters(), max_size=200), st.integers(3, 100))
def test_shown_text_is_short_and_printable(text, limit):
    out = shown(text, limit)
    assert out.isprintable() and len(out) <= limit and out.encode() is not None
    assert out == text or not text.isprintable() or len(text) > limit


def test_shown_takes_no_time_for_long_text():
    assert len(shown("\ud800" * 10**7)) == 80
    assert quoted([0] * 10**7) == "list of 10000000"
    assert quoted(10**5000) == "a number of type int"


@given(st.binary(max_size=60))
def test_any_bytes_are_json_or_an_error(data):
    try:
        json.dumps(parse_json(data, "It", FindError), allow_nan=False)
    except FindError as error:
        assert str(error).isprintable()
