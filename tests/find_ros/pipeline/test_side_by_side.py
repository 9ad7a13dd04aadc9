"""Several prompts in one compiler: ids, times to live, images that come late, bounds."""

from __future__ import annotations

import json
import time

import jsonschema
import pytest
from referencing import Registry, Resource

from find_core.errors import PromptError
from find_core.schemas import load_schema as core_schema
from find_ros.pipeline.prompt_compiler import MAX_PENDING
from find_ros.pipeline.prompt_request import OWN, read_request
from find_ros.pipeline.prompt_text import DEFAULT_LIMITS
from find_ros.schemas import load_schema
from tests.find_ros.pipeline.test_prompt_compiler import PHOTO, SlowCompiler

REGION = {"kind": "box", "data": [2, 2, 6, 6]}


def request(prompt_id: str = "", sentence: str = "the <mug>", photo: str = "", **more) -> str:
    data = {"version": 1, "prompt": sentence, "references": {}} | more
    if prompt_id:
        data["id"] = prompt_id
    if photo:
        data["references"] = {"it": {"image": {"name": photo}, "region": REGION}}
    return json.dumps(data)


def removal(prompt_id: str) -> str:
    return json.dumps({"version": 1, "id": prompt_id, "remove": True})


@pytest.fixture
def compiler():
    compiler = SlowCompiler(max_prompts=2, reference_wait_s=0.3)
    yield compiler
    compiler.gate.set()
    compiler.close()


def in_use(compiler) -> list[tuple[str, str]]:
    return [(p.id, p.markup) for p in compiler.in_use]


def test_prompts_live_side_by_side_and_the_own_one_comes_first(compiler):
    compiler.submit(request("a", "the <bowl>"))
    compiler.settle(1)
    compiler.submit("the <mug>")
    compiler.settle(2)
    assert in_use(compiler) == [(OWN, "the <mug>"), ("a", "the <bowl>")]
    assert compiler.active.markup == "the <mug>"
    own_version = compiler.active.version
    compiler.submit(request("a", "the <plate>"))
    compiler.settle(3)
    assert in_use(compiler)[1] == ("a", "the <plate>")
    assert compiler.active.version == own_version, "the own prompt is not compiled anew"
    compiler.submit(removal("a"))
    compiler.settle(4)
    assert in_use(compiler) == [(OWN, "the <mug>")] and compiler.reports[3].state == "removed"


def test_an_id_that_is_refused_leaves_its_old_prompt_and_the_own_error(compiler):
    compiler.submit(request("a"))
    compiler.settle(1)
    compiler.submit(request("a", "the <mug"))
    compiler.settle(2)
    assert compiler.reports[1].id == "a" and "never closed" in compiler.reports[1].error
    assert in_use(compiler) == [("a", "the <mug>")] and compiler.error == ""


def test_a_time_to_live_ends_unless_it_is_renewed(compiler):
    text = request("a", ttl_s=0.4)
    compiler.submit(text)
    compiler.settle(1)
    version = compiler.in_use[0].version
    for n in range(3):
        time.sleep(0.2)
        compiler.submit(text)
        compiler.settle(n + 2)
    assert compiler.in_use[0].version == version and compiler.reports[-1].repeated
    compiler.settle(5)
    assert compiler.reports[4].state == "expired" and not compiler.in_use


def test_more_prompts_than_allowed_are_refused_in_a_sentence(compiler):
    for n, prompt_id in enumerate("abc"):
        compiler.submit(request(prompt_id))
        compiler.settle(n + 1)
    assert "max_prompts" in compiler.reports[2].error and compiler.reports[2].id == "c"
    compiler.submit("the <own>")  # has a place of its own
    compiler.submit(request("a", "the <other>"))  # takes no new one
    compiler.settle(5)
    assert in_use(compiler) == [(OWN, "the <own>"), ("b", "the <mug>"), ("a", "the <other>")] or (
        in_use(compiler) == [(OWN, "the <own>"), ("a", "the <other>"), ("b", "the <mug>")]
    )


def test_the_picture_may_come_after_the_prompt(compiler):
    compiler.submit(request("a", "<it>", photo="photo"))
    compiler.settle(1)
    compiler.submit(request("a", "<it>", photo="photo"))  # its asker repeats itself
    compiler.settle(2)
    assert [(r.state, r.error, r.repeated) for r in compiler.reports] == [
        ("waiting", "", False),
        ("waiting", "", True),
    ]
    compiler.add_reference("photo", PHOTO)
    compiler.settle(3)
    assert compiler.reports[2].state == "active"
    assert compiler.in_use[0].prompt.entities[0].reference.mask.sum() == 16


def test_a_picture_that_never_comes_ends_in_a_sentence(compiler):
    began_s = time.monotonic()
    compiler.submit(request("a", "<it>", photo="photo"))
    for _ in range(2):
        time.sleep(0.1)
        compiler.submit(request("a", "<it>", photo="photo"))
    compiler.settle(4)
    assert compiler.reports[3].state == "refused" and "photo" in compiler.reports[3].error
    assert 0.3 <= time.monotonic() - began_s < 5, "repeating does not put it off"
    assert not compiler.in_use


def test_a_new_image_of_a_name_reaches_only_who_points_at_it(compiler):
    compiler.add_reference("photo", PHOTO)
    compiler.submit(request("a", "<it>", photo="photo"))
    compiler.settle(1)
    compiler.submit(request("b", "the <mug>"))
    compiler.settle(2)
    compiler.add_reference("photo", PHOTO + 1)
    compiler.settle(3)
    time.sleep(0.05)
    assert [r.id for r in compiler.reports] == ["a", "b", "a"]


def test_a_prompt_that_the_model_fails_on_goes(compiler):
    compiler.submit(request("a"))
    compiler.settle(1)
    compiler.fail(compiler.in_use[0], "The model failed.")
    compiler.settle(2)
    assert compiler.reports[1].error == "The model failed." and not compiler.in_use


def test_what_waits_for_the_compiler_is_bounded(compiler):
    compiler.gate.clear()
    compiler.submit("<first>")
    time.sleep(0.1)
    for n in range(3 * MAX_PENDING):
        compiler.submit(request(f"id{n}"))
    assert len(compiler._asked) == MAX_PENDING
    compiler.gate.set()
    compiler.settle(1 + MAX_PENDING)
    assert len(compiler.in_use) == 3


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"id": ""}, "id is 1 to 64"),
        ({"id": 7}, "id is 1 to 64"),
        ({"id": "a" * 65}, "id is 1 to 64"),
        ({"id": "a b"}, "id is 1 to 64"),
        ({"id": "a", "ttl_s": 0}, "ttl_s is"),
        ({"id": "a", "ttl_s": True}, "ttl_s is"),
        ({"id": "a", "ttl_s": 1e9}, "ttl_s is"),
        ({"id": "a", "remove": 1}, "remove is"),
        ({"remove": True}, "need an id"),
        ({"ttl_s": 3}, "need an id"),
    ],
)
def test_exception_of_a_request(more, sentence):
    text = json.dumps({"version": 1, "prompt": "the <mug>"} | more)
    with pytest.raises(PromptError, match=sentence):
        read_request(text, DEFAULT_LIMITS)
    assert list(validator().iter_errors(json.loads(text))), "the schema refuses it too"


def validator() -> jsonschema.Draft202012Validator:
    core = Resource.from_contents(core_schema("prompt"))
    registry = Registry().with_resource(core.id(), core)
    return jsonschema.Draft202012Validator(load_schema("prompt_request"), registry=registry)


@pytest.mark.parametrize(
    "text", [request(), request("a/b:1.c-d"), request("a", "<it>", "photo", ttl_s=2), removal("a")]
)
def test_the_schema_takes_what_is_read(text):
    assert read_request(text, DEFAULT_LIMITS).text == text
    validator().validate(json.loads(text))


def test_an_id_has_no_line_break_at_its_end():
    """Here Python's `$`, which the schema's validator uses, is more generous than ECMA's."""
    with pytest.raises(PromptError, match="id is 1 to 64"):
        read_request('{"id": "a\\n", "prompt": "the <mug>"}', DEFAULT_LIMITS)
