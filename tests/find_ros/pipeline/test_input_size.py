"""Another input size for a running model: tried beside the frames, taken when it serves."""

from __future__ import annotations

import threading

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed (pip install .[ros])")

from find_core.errors import FindError
from find_ros.pipeline.model_loader import RunningModel, model_values
from find_ros.support.last_net import start_plain_thread
from tests.find_core.page.fakes import ShownFind, SizedFind

LONG_S = 60.0


class Trial:
    """What `RunningModel` asks and tells; a try waits until it may end."""

    def __init__(self) -> None:
        self.may_end, self.begun = threading.Event(), threading.Event()
        self.told: list[tuple[int, str]] = []
        self.over = threading.Event()
        self.error: Exception | None = None

    def tried(self, find) -> None:
        self.begun.set()
        assert self.may_end.wait(LONG_S)
        if self.error is not None:
            raise self.error

    def report(self, in_use: int, error: str) -> None:
        self.told.append((in_use, error))
        self.over.set()


def running(trial: Trial, find=None, parameter: int = 0) -> RunningModel:
    find = SizedFind() if find is None else find
    return RunningModel(find, parameter, trial.tried, trial.report, start_plain_thread)


def test_frames_have_the_old_size_until_the_new_one_serves():
    trial = Trial()
    model = running(trial)
    old = model.find
    model.want(64)
    assert trial.begun.wait(LONG_S) and model.find is old and model.input_px == 128
    trial.may_end.set()
    assert trial.over.wait(LONG_S)
    assert model.input_px == 64 and trial.told == [(64, "")]
    values = model_values(model)
    assert (values["input_px"], values["input_px_own"], values["input_px_error"]) == (64, 128, "")
    model.want(64)
    assert model.close(LONG_S) and trial.told == [(64, "")], "it is of that size"


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (FindError("The GPU's memory does not hold it."), "not taken: The GPU's memory"),
        (RuntimeError("no such kernel"), "not taken: RuntimeError: no such kernel"),
    ],
)
def test_a_size_that_fails_leaves_the_old_one(error, says):
    trial = Trial()
    trial.error = error
    trial.may_end.set()
    model = running(trial, SizedFind(96), parameter=96)
    model.want(160)
    assert trial.over.wait(LONG_S)
    [(in_use, sentence)] = trial.told
    assert in_use == 96 and model.input_px == 96
    assert sentence == model.error and f"input_px 160 was {says}" in sentence
    trial.error, trial.over = None, threading.Event()
    model.want(160)
    assert trial.over.wait(LONG_S) and model.input_px == 160 and model.error == ""


def test_the_last_wish_counts():
    trial = Trial()
    model = running(trial)
    model.want(64)
    assert trial.begun.wait(LONG_S)
    for px in (160, 192, 96):
        model.want(px)
    trial.may_end.set()
    assert trial.over.wait(LONG_S)
    assert model.input_px == 96 and trial.told == [(96, "")]


def test_a_failure_that_nobody_wants_any_more_is_not_told():
    """Else the node would set the parameter back over the newer wish."""
    trial = Trial()
    trial.error = FindError("too large.")
    model = running(trial)
    model.want(160)
    assert trial.begun.wait(LONG_S)
    model.want(0)
    trial.may_end.set()
    assert model.close(LONG_S)
    assert not trial.told and not model.error and model.input_px == 128


def test_a_closed_one_takes_nothing_over():
    trial = Trial()
    model = running(trial)
    model.want(64)
    assert trial.begun.wait(LONG_S)
    assert not model.close(0.0), "it is still at it"
    trial.may_end.set()
    assert model.close(LONG_S) and model.input_px == 128 and not trial.told
    model.want(96)
    assert model.input_px == 128


def test_exception():
    """Sentences for what cannot be; the value of the start can always be had again."""
    model = running(Trial(), SizedFind(1000), parameter=1000)
    assert model.problem(384) == model.problem(0) == model.problem(1000) == ""
    assert "takes at most 384; 385 can be given at its start only" in model.problem(385)
    own = running(Trial(), ShownFind())
    assert "decides its input size for itself" in own.problem(64) and own.problem(0) == ""
    assert own.input_px == own.own_px == 0
    assert model_values(None)["input_px"] == 0


def test_exception_of_too_small_a_size():
    from find_core.testing import tiny_find

    model = running(Trial(), tiny_find())
    assert model.problem(32) == "" and model.own_px == 64
    assert "at least 32" in model.problem(31)
