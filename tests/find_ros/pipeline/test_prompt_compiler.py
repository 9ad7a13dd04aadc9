from __future__ import annotations

import json
import threading
import time
from types import SimpleNamespace

import numpy as np
import pytest

from find_core.errors import FindError, PromptError
from find_core.prompts.prompt import Reference
from find_ros.pipeline.inference import Worker  # noqa: F401  (importable without a running ROS)
from find_ros.pipeline.prompt_compiler import PromptCompiler, PromptStatus
from find_ros.pipeline.prompt_text import read_prompt
from find_ros.pipeline.reference_store import MAX_REFERENCES, ReferenceStore
from find_ros.support.log_throttle import REPEAT_S, ThrottledLogger

PHOTO = np.full((8, 10, 3), 7, np.uint8)


class SlowCompiler(PromptCompiler):
    """A prompt compiler that can be held up, and that remembers its reports."""

    def __init__(self, **options) -> None:
        self.reports: list[PromptStatus] = []
        self.compiled: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        super().__init__(self._slow_compile, self.reports.append, **options)

    def _slow_compile(self, prompt):
        self.gate.wait(10)
        if "boom" in prompt.text:
            raise RuntimeError("out of memory")
        self.compiled.append(prompt.text)
        return SimpleNamespace(prompt=prompt)

    def settle(self, reports: int) -> None:
        end_s = time.monotonic() + 10
        while len(self.reports) < reports:
            assert time.monotonic() < end_s, self.reports
            time.sleep(0.005)


@pytest.fixture
def compiler():
    compiler = SlowCompiler()
    yield compiler
    compiler.gate.set()
    compiler.close()


def test_a_prompt_becomes_active(compiler):
    compiler.submit("the <mug>")
    compiler.settle(1)
    assert compiler.active.prompt.text == "the mug" and compiler.active.version == 1


@pytest.mark.parametrize("bad", ["the <mug", '{"prompt": 3}', "{nonsense", "", "a boom"])
def test_a_bad_prompt_leaves_the_old_one_active_and_says_why(compiler, bad):
    compiler.submit("the <mug>")
    compiler.settle(1)
    compiler.submit(bad)
    compiler.settle(2)
    assert compiler.active.text == "the <mug>"
    assert compiler.reports[1].error and compiler.error == compiler.reports[1].error
    compiler.submit("the <bowl>")
    compiler.settle(3)
    assert compiler.active.text == "the <bowl>" and compiler.error == ""


def test_the_old_prompt_works_on_while_the_new_one_compiles(compiler):
    compiler.submit("<old>")
    compiler.settle(1)
    compiler.gate.clear()
    compiler.submit("<new>")
    assert compiler.active.text == "<old>"
    compiler.gate.set()
    compiler.settle(2)
    assert compiler.active.text == "<new>"


def test_only_the_newest_of_many_is_compiled(compiler):
    compiler.gate.clear()
    compiler.submit("<first>")
    time.sleep(0.1)  # so that the compiler is at work on the first
    for n in range(20):
        compiler.submit(f"<number {n}>")
    compiler.gate.set()
    compiler.settle(2)
    assert compiler.compiled == ["first", "number 19"]


def test_the_same_prompt_twice_is_compiled_once(compiler):
    for n in range(3):
        compiler.submit("the <mug>")
        compiler.settle(n + 1)
    assert compiler.compiled == ["the mug"]
    assert [r.repeated for r in compiler.reports] == [False, True, True]
    assert {r.state for r in compiler.reports} == {"active"}


def test_a_reference_is_bound_by_its_name_even_when_it_comes_later(compiler):
    compiler.submit("the <mug> next to <thing>")
    compiler.settle(1)
    assert not compiler.active.prompt.entities[1].is_visual
    compiler.add_reference("thing", PHOTO)
    compiler.settle(2)
    assert compiler.active.prompt.entities[1].is_visual
    compiler.add_reference("thing", PHOTO.copy())  # latched topics repeat themselves
    compiler.add_reference("other", PHOTO)
    time.sleep(0.05)
    assert len(compiler.reports) == 2


def test_a_region_of_a_named_picture(compiler):
    region = {"kind": "box", "data": [2, 2, 6, 6], "positive": True}
    prompt = {
        "prompt": "<it>",
        "references": {"it": {"image": {"name": "photo"}, "region": region}},
    }
    compiler.submit(json.dumps(prompt))
    compiler.settle(1)
    assert compiler.reports[0].state == "waiting" and not compiler.error and not compiler.active
    compiler.add_reference("photo", PHOTO)
    compiler.settle(2)
    assert [r.state for r in compiler.reports] == ["waiting", "active"]
    assert compiler.active.prompt.entities[0].reference.mask.sum() == 16


def test_references_are_bounded():
    store = ReferenceStore()
    for n in range(MAX_REFERENCES + 5):
        assert store.put(f"r{n}", PHOTO) and not store.put(f"r{n}", PHOTO.copy())
    assert len(store.all()) == MAX_REFERENCES and "r0" not in store.all()


def test_read_prompt_takes_the_whole_picture_in_a_sentence():
    prompt = read_prompt("the <a> and <b>", {"b": PHOTO})
    assert isinstance(prompt.entities[1].reference, Reference)
    assert prompt.entities[1].reference.mask.all() and not prompt.entities[0].is_visual


def test_exception_is_a_find_error():
    with pytest.raises(FindError):
        read_prompt("{]", {})
    with pytest.raises(PromptError, match="closed"):
        read_prompt("the <mug", {})


def test_complaints_are_said_once_and_then_at_a_sane_rate():
    said, now = [], [0.0]
    throttled_log = ThrottledLogger(said.append, clock=lambda: now[0])
    for n in range(100):
        now[0] = n * 0.1
        throttled_log.warn("a", "trouble a")
        throttled_log.warn("b", "trouble b")
    assert said == ["trouble a", "trouble b"]
    now[0] = REPEAT_S + 0.05
    throttled_log.warn("a", "trouble a")
    assert len(said) == 3 and "99 more" in said[2]
