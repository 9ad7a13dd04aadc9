"""One rule of time, one bad frame, one writer: videos, bags and folders as people have them."""

from __future__ import annotations

import json
import logging
import math
import os
from fractions import Fraction

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from find_core.errors import FindError
from find_core.support.files import locked
from find_core.video import offline
from find_core.video.offline import localize_video
from find_core.video.records import read_records
from find_core.video.sources import CameraSource, SourceError, open_source, thin
from find_core.video.sources.base import MAX_GAP_S, Clock
from find_core.video.writer import MAX_GAP_S as SHOWN_GAP_S
from find_core.video.writer import VideoWriter
from tests.find_core.video.fakes import ColorFind, paint

av = pytest.importorskip("av")


@given(st.lists(st.none() | st.floats(0, 1e10) | st.floats(allow_nan=True), max_size=40))
def test_times_never_fall_and_are_finite(stamps):
    clock = Clock(0.1)
    times = [clock(stamp) for stamp in stamps]
    assert all(math.isfinite(t) for t in times) and times == sorted(times)


@pytest.mark.parametrize(
    ("stamps", "times"),
    [
        ([0, 0.1, 0.2], [0, 0.1, 0.2]),
        ([None, None, None], [0, 0.1, 0.2]),
        ([0, 0.1, None, 0.3], [0, 0.1, 0.2, 0.3]),
        ([5, 5.1, 0, 0.1], [5, 5.1, 5.2, 5.3]),
        ([0, 0.1, 1.7e9, 1.7e9 + 1], [0, 0.1, 0.2, 1.2]),
        ([0, 0.2, 0.1, 0.3], [0, 0.2, 0.2, 0.3]),
        ([0, 3000.0], [0, 3000.0]),
    ],
    ids=["plain", "none", "one missing", "goes back", "clock set", "out of order", "a pause"],
)
def test_the_rule(stamps, times):
    clock = Clock(0.1)
    np.testing.assert_allclose([clock(stamp) for stamp in stamps], times, atol=1e-6)
    assert MAX_GAP_S > 3000


def write(path, n=6, fmt=None, codec="libx264", rate=10, first=0):
    with av.open(f"file:{path}", "w", format=fmt) as out:
        stream = out.add_stream(codec, rate=rate)
        stream.width, stream.height = 64, 48
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for k in range(n):
            pixels = np.full((48, 64, 3), 20 + 30 * (first + k), np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, "rgb24")
            frame.pts = k
            for packet in stream.encode(frame):
                out.mux(packet)
        for packet in stream.encode():
            out.mux(packet)
    return path


@pytest.mark.parametrize(("fmt", "codec"), [("h264", "libx264"), ("mjpeg", "mjpeg")])
def test_a_stream_without_stamps_is_read_at_its_rate(tmp_path, fmt, codec, caplog):
    source = open_source(write(tmp_path / f"pi.{fmt}", fmt=fmt, codec=codec))
    with caplog.at_level(logging.WARNING):
        times = [f.time_s for f in source.frames()]
    assert len(times) == 6 and times == sorted(set(times))
    assert len(list(source.frames(times[3] - 1e-4))) == 3  # a resumed run
    assert len(list(source.sample(2 * times[1]))) in (3, 4)
    assert len(caplog.records) <= 1


def test_joined_recordings_go_on(tmp_path):
    a, b = (write(tmp_path / f"{k}.ts", fmt="mpegts", first=2 * k) for k in range(2))
    (tmp_path / "both.ts").write_bytes(a.read_bytes() + b.read_bytes())
    times = [f.time_s for f in open_source(tmp_path / "both.ts").frames()]
    assert len(times) >= 10 and times == sorted(times)
    assert len(list(thin(open_source(tmp_path / "both.ts").frames(), 0.2))) >= 5


def test_thinning_begins_anew_where_time_goes_back():
    frames = [type("F", (), {"time_s": t})() for t in (10.0, 10.5, 11.0, 0.0, 0.5, 1.0)]
    assert len(list(thin(iter(frames), 0.5))) == 6


@pytest.mark.parametrize(
    "name", ["2024-05-01T10:00:00.mp4", "run %03d.mp4", "tür 1 [x].mp4", "123"]
)
def test_names_with_odd_characters(tmp_path, monkeypatch, name):
    write(tmp_path / name, fmt="mp4")
    assert len(list(open_source(tmp_path / name).frames())) == 6
    monkeypatch.chdir(tmp_path)
    assert len(list(open_source(name).frames())) == 6
    with VideoWriter(name + ".out.mp4") as writer:
        writer.write(np.zeros((48, 64, 3), np.uint8), 0.0)
    assert len(list(open_source(name + ".out.mp4").frames())) == 1


def test_numbers_are_cameras_only_in_plain_digits(tmp_path):
    assert isinstance(open_source("7"), CameraSource)
    for name in ("²", "12345678901234567890", "１", "a\0b", "x" * 5000, "\udcff"):
        with pytest.raises(SourceError, match="Nothing at") as caught:
            open_source(name)
        assert str(caught.value).isprintable() and len(str(caught.value)) < 400


@pytest.mark.parametrize("fps", [float("inf"), float("nan"), -1.0, 1e9])
def test_exception_of_rates(tmp_path, fps):
    cv2.imwrite(str(tmp_path / "1.png"), paint([]))
    with pytest.raises(SourceError, match="fps"):
        open_source(tmp_path, fps=fps)


def test_the_film_is_read_and_not_its_cover(tmp_path):
    film = av.open(str(write(tmp_path / "film.mp4")))
    jpeg = cv2.imencode(".jpg", np.full((120, 160, 3), 200, np.uint8))[1].tobytes()
    with film, av.open(str(tmp_path / "cover.mp4"), "w") as out:
        cover = out.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 160, 120, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        stream = out.add_stream_from_template(film.streams.video[0])
        packet = av.Packet(jpeg)
        packet.stream, packet.pts, packet.dts, packet.time_base = cover, 0, 0, Fraction(1, 90000)
        out.mux(packet)
        for packet in film.demux(film.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                out.mux(packet)
    frames = list(open_source(tmp_path / "cover.mp4").frames())
    assert len(frames) == 6 and frames[0].image.shape == (48, 64, 3)


def folder_of(tmp_path, count=4):
    for n in range(count):
        cv2.imwrite(str(tmp_path / f"{n}.png"), paint([("red", 2 + 2 * n, 10, 20, 15)])[..., ::-1])
    return tmp_path


def test_a_bad_image_costs_itself(tmp_path, caplog):
    folder = folder_of(tmp_path / "in" if (tmp_path / "in").mkdir() is None else tmp_path)
    (folder / "2.png").write_bytes((folder / "2.png").read_bytes()[:60])
    (folder / "._0.png").write_bytes(b"notes of macOS")
    (folder / "1²2.png").write_bytes((folder / "0.png").read_bytes())
    os.rename(folder / "1²2.png", os.fsencode(folder) + b"/\xff.png")  # noqa: PTH104
    with caplog.at_level(logging.WARNING):
        report = localize_video(open_source(folder), ColorFind(), ["<red>"], tmp_path / "out")
    assert report.frame_count == 4 and "Left out" in caplog.text and "2.png" in caplog.text
    assert json.loads((tmp_path / "out/timeline.json").read_text())["frames"] == 4


def test_exception_of_a_folder_of_bad_images(tmp_path):
    for n in range(3):
        (tmp_path / f"{n}.png").write_bytes(b"none")
    with pytest.raises(SourceError, match="Not one of 3"):
        list(open_source(tmp_path).frames())


@pytest.mark.parametrize("gap_s", [3600.0, 86_000.0, -50.0])
def test_a_gap_is_cut_out_of_the_video(tmp_path, gap_s):
    with VideoWriter(tmp_path / "v.mp4") as writer:
        for time_s in (0.0, 0.1, 100 + gap_s, 100.1 + gap_s):
            writer.write(np.zeros((48, 64, 3), np.uint8), time_s)
    source = open_source(tmp_path / "v.mp4")
    times = [f.time_s for f in source.frames()]
    assert len(times) == 4 and times[-1] < 5 + SHOWN_GAP_S


# -- resuming, and two at once ----------------------------------------------------------------


def interrupted(folder, out, monkeypatch):
    """A run that stopped after a saved state."""
    monkeypatch.setattr(offline, "CHECKPOINT_FRAMES", 2)

    def stop(stage, done, total):
        if done == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        localize_video(open_source(folder), ColorFind(), ["<red>"], out, progress=stop)
    assert (out / "resume.json").is_file()


STATES = {
    "empty": lambda out: (out / "resume.json").write_bytes(b""),
    "cut": lambda out: (out / "resume.json").write_bytes((out / "resume.json").read_bytes()[:50]),
    "list": lambda out: (out / "resume.json").write_text("[]"),
    "nested": lambda out: (out / "resume.json").write_text("[" * 90_000),
    "no stream": lambda out: _state(out, stream={}),
    "stream of another kind": lambda out: _state(out, stream=3),
    "no followers": lambda out: _state(out, stream={"followers": []}),
    "bytes below 0": lambda out: _state(out, bytes=-1),
    "time as text": lambda out: _state(out, time_s="1"),
    "more lines than there are": lambda out: _state(out, bytes=10**9),
    "lines lost": lambda out: os.truncate(out / "localizations.part.jsonl", 10),
}


def _state(out, **changes):
    path = out / "resume.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize("what", STATES)
def test_a_damaged_state_is_none(tmp_path, monkeypatch, what):
    """The job begins anew, and its lines are those of a run that was never interrupted."""
    (tmp_path / "in").mkdir()
    folder = folder_of(tmp_path / "in", 8)
    localize_video(open_source(folder), ColorFind(), ["<red>"], tmp_path / "whole", annotate=False)
    interrupted(folder, tmp_path / "out", monkeypatch)
    STATES[what](tmp_path / "out")
    localize_video(open_source(folder), ColorFind(), ["<red>"], tmp_path / "out", annotate=False)
    a, b = (list(read_records(tmp_path / d / "localizations.jsonl")) for d in ("whole", "out"))
    assert a == b and len(a) == 8


def test_two_runs_into_one_folder(tmp_path):
    (tmp_path / "in").mkdir()
    folder = folder_of(tmp_path / "in")
    with (
        locked(tmp_path / "out/localizations.jsonl"),
        pytest.raises(FindError, match="Another process"),
    ):
        localize_video(open_source(folder), ColorFind(), ["<red>"], tmp_path / "out")
    report = localize_video(open_source(folder), ColorFind(), ["<red>"], tmp_path / "out")
    assert report.frame_count == 4 and not list((tmp_path / "out").glob(".*"))
