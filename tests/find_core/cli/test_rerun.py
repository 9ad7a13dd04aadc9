"""`--rerun` of find-core: what is in the file is what was found."""

from __future__ import annotations

import json
import signal
import sys

import numpy as np
import pytest

import find_core
from find_core.cli import live, main
from find_core.drawing.rerun_file import rerun_file
from find_core.errors import FindError
from find_core.page.source import Moment
from find_core.results import Localization
from tests.find_core.video.fakes import ColorFind, paint, write_video
from tests.rrd import Recording

FRAMES = [paint([("red", 2 * n, 10, 20, 15)] if n < 5 else []) for n in range(8)]


@pytest.fixture(autouse=True)
def installed():
    rerun = pytest.importorskip("rerun", reason="the extra [rerun] is not installed")
    rerun.set_strict_mode(True)  # what cannot be logged is an error


@pytest.fixture
def clip(tmp_path, monkeypatch):
    monkeypatch.setattr(find_core, "load", lambda name, device: ColorFind(), raising=False)
    write_video(tmp_path / "clip.mp4", FRAMES)
    return tmp_path / "clip.mp4"


def test_a_video(clip, tmp_path):
    out, file = tmp_path / "out", tmp_path / "found.rrd"
    prompts = ["--prompt", "the <red>", "--prompt", "the <blue>"]
    args = ["localize", str(clip), *prompts, "--no-video", "--out", str(out), "--rerun", str(file)]
    assert main(args) == 0
    told = Recording(file)
    lines = [json.loads(s) for s in (out / "localizations.jsonl").read_text().splitlines()]
    assert told.entities == {
        "/camera", "/camera/masks", "/camera/boxes", "/scores/relevance/0", "/scores/relevance/1",
        "/scores/entity/0", "/scores/entity/1",
    }  # fmt: skip
    assert len(told.stamps_ns) == len(FRAMES) and sorted(told.stamps_ns) == told.stamps_ns
    scores = [line["entities"][0]["score"] for line in lines[::2]]
    assert np.ravel(told.rows("/scores/entity/0", "Scalar")) == pytest.approx(scores, abs=1e-4)
    kinds = told.rows("/camera", "AnnotationContext")[0][0]
    assert [k["class_description"]["info"]["label"] for k in kinds] == ["", "red", "blue"]
    texts = told.rows("/camera/boxes", "Text")
    assert [bool(t) for t in texts] == [n < 5 for n in range(8)] and texts[0][0].startswith("red #")
    halves = told.rows("/camera/boxes", "HalfSize2D")[0][0]
    x1, y1, x2, y2 = lines[0]["entities"][0]["box_xyxy"]
    assert halves == pytest.approx([(x2 - x1) / 2, (y2 - y1) / 2], abs=0.01)
    mask = np.frombuffer(bytes(told.rows("/camera/masks", "ImageBuffer")[0][0]), np.uint8)
    area = sum(mask == 1)
    assert area == pytest.approx(4 * halves[0] * halves[1], rel=0.1)


def test_a_search_and_a_picture(clip, tmp_path):
    common = ["--prompt", "the <red>", "--out", str(tmp_path / "out")]
    found, picture = tmp_path / "a.rrd", tmp_path / "b.rrd"
    assert main(["localize", str(clip), *common, "--search", "--rerun", str(found)]) == 0
    assert Recording(found).rows("/camera/boxes", "Text")
    find_core.drawing.write_image(tmp_path / "photo.png", FRAMES[0])
    assert main(["localize", str(tmp_path / "photo.png"), *common, "--rerun", str(picture)]) == 0
    assert len(Recording(picture).stamps_ns) == 1


def test_what_open_pages_saw(tmp_path, monkeypatch):
    handlers = {}
    monkeypatch.setattr(live.signal, "signal", handlers.__setitem__)
    find, file = ColorFind(), tmp_path / "live.rrd"
    found = find.encode(FRAMES[0]).localize(find.compile("the <red>"))
    assert isinstance(found, Localization)
    with pytest.raises(SystemExit), rerun_file(file, keep_interrupted=True) as rerun:
        write = live._recorder(rerun)
        write(Moment(FRAMES[0], 1_000, 0.0))
        write(Moment(FRAMES[0], 2_000, 0.0, "the <red>", found, 0.75))
        handlers[signal.SIGTERM]()  # the process is asked to end: what was seen is kept
    told = Recording(file)
    assert told.stamps_ns == [1_000, 2_000]
    assert told.rows("/scores/relevance/0", "Scalar") == [[0.75]]


def test_an_error_leaves_no_file(tmp_path):
    with pytest.raises(ZeroDivisionError), rerun_file(tmp_path / "x.rrd") as rerun:
        rerun.frame(FRAMES[0], 0)
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_is_said_before_the_work(clip, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(find_core, "load", None)
    args = [
        "localize",
        str(clip),
        "--prompt",
        "the <red>",
        "--out",
        str(tmp_path / "out"),
        "--rerun",
    ]
    assert main([*args, "x.mp4"]) == 2 and "x.rrd" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "rerun", None)
    monkeypatch.setattr("find_core.drawing.rerun_file.find_spec", lambda name: None)
    assert main([*args, "x.rrd"]) == 2 and "find_ros[rerun]" in capsys.readouterr().err
    with pytest.raises(FindError):
        rerun_file(tmp_path / "noend")
