"""Whole recordings: files written, interrupted runs, live sources, damaged input."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

import find_core.video.offline as offline
import find_core.video.replay as replay
from find_core.errors import FindError
from find_core.results import rle_to_mask
from find_core.video.offline import localize_video
from find_core.video.records import by_frame, localization_from_json, merged, read_records
from find_core.video.sources import SourceFrame, open_source
from tests.find_core.video.fakes import ColorFind, paint, write_video

av = pytest.importorskip("av")


def scene(n):
    red = [("red", 2 + 2 * n, 10, 20, 15)] if 10 <= n < 25 else []
    blue = [("blue", 20, 40, 18, 20)] if 20 <= n < 35 else []
    return paint(red + blue)


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_video(path, [scene(n) for n in range(40)])


@pytest.fixture(scope="module")
def done(clip, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    report = localize_video(open_source(clip), ColorFind(), ["the <red>", "<blue>"], out)
    return out, report


def test_intervals_and_moments(done):
    _, report = done
    (red,), (blue,) = report.intervals
    assert abs(red.start_s - 1.0) <= 0.11 and abs(red.end_s - 2.5) <= 0.11
    assert abs(blue.start_s - 2.0) <= 0.11 and abs(blue.end_s - 3.5) <= 0.11
    assert report.moments == report.intervals and report.frame_count == 40
    assert [e["kind"] for e in report.events] == ["appear", "appear", "lost"]


def test_lines(done):
    out, _ = done
    records = list(read_records(out / "localizations.jsonl"))
    assert len(records) == 80, "one line a frame and prompt"
    line = records[2 * 15]
    assert (line["frame_index"], line["prompt_index"]) == (15, 0) and line["time_s"] == 1.5
    entity = line["entities"][0]
    assert entity["label"] == "red" and entity["found"] and entity["track_id"] == 1
    assert abs(rle_to_mask(entity["mask_rle"]).sum() - 300) <= 20
    assert not (out / "localizations.part.jsonl").exists() and not (out / "resume.json").exists()


def test_line_round_trip(done):
    out, _ = done
    for group in by_frame(read_records(out / "localizations.jsonl")):
        for record in group:
            again = localization_from_json(record).to_json()
            assert again == {key: record[key] for key in again}
        assert len(merged(group).entities) == 2


def test_pictures_and_video(done):
    out, report = done
    for name in ("timeline.png", "moments.png"):
        assert cv2.imread(str(out / name)) is not None
    with av.open(str(out / "annotated.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == report.frame_count == 40
    np.testing.assert_allclose([f.time for f in frames], report.times_s, atol=1e-3)
    plain, drawn = scene(15), frames[15].to_ndarray(format="rgb24")
    assert np.abs(plain.astype(int) - drawn)[10:25, 32:52].mean() > 20, "the mask is tinted"


def test_one_prompt_gives_one_line_a_frame(clip, tmp_path):
    localize_video(open_source(clip), ColorFind(), ["<red>"], tmp_path, annotate=False, top=0)
    assert len((tmp_path / "localizations.jsonl").read_text().splitlines()) == 40
    assert not (tmp_path / "annotated.mp4").exists() and not (tmp_path / "moments.png").exists()


class Killed(Exception):
    pass


class DyingFind(ColorFind):
    def encode(self, image):
        if self.encoded == 23:
            raise Killed
        return super().encode(image)


@pytest.mark.parametrize("fps", [None, 5.0])
def test_interrupted_run_goes_on_and_ends_the_same(clip, done, tmp_path, monkeypatch, fps):
    monkeypatch.setattr(offline, "CHECKPOINT_FRAMES", 5)
    prompts = ["the <red>", "<blue>"]
    whole = ColorFind()
    localize_video(open_source(clip), whole, prompts, tmp_path / "whole", fps=fps, annotate=False)
    limit = 23 if fps is None else 13
    monkeypatch.setattr(DyingFind, "encoded", 0, raising=False)
    find = DyingFind()
    find.encoded = 23 - limit
    with pytest.raises(Killed):
        localize_video(open_source(clip), find, prompts, tmp_path / "a", fps=fps, annotate=False)
    part = tmp_path / "a" / "localizations.part.jsonl"
    part.write_text(part.read_text() + '{"half a li')  # killed in the middle of a write
    find = ColorFind()
    localize_video(open_source(clip), find, prompts, tmp_path / "a", fps=fps, annotate=False)
    assert 0 < find.encoded < whole.encoded, "only the rest was done again"
    for name in ("localizations.jsonl", "timeline.json"):
        assert (tmp_path / "a" / name).read_text() == (tmp_path / "whole" / name).read_text()


@pytest.mark.parametrize("resuming", [False, True])
def test_a_link_in_the_place_of_the_lines_is_not_followed(
    clip, done, tmp_path, monkeypatch, resuming
):
    monkeypatch.setattr(offline, "CHECKPOINT_FRAMES", 5)
    out, victim, prompts = tmp_path / "a", tmp_path / "victim", ["the <red>", "<blue>"]
    out.mkdir()
    part = out / "localizations.part.jsonl"
    if resuming:
        with pytest.raises(Killed):
            localize_video(open_source(clip), DyingFind(), prompts, out, annotate=False)
        part.rename(victim)
    else:
        victim.write_text("mine\n" * 9)
    part.symlink_to(victim)
    before = victim.read_bytes()
    localize_video(open_source(clip), ColorFind(), prompts, out, annotate=False)
    assert victim.read_bytes() == before
    assert (out / "localizations.jsonl").read_text() == (
        done[0] / "localizations.jsonl"
    ).read_text()
    assert not (out / "localizations.jsonl").is_symlink()


def test_unfinished_run_of_something_else_is_refused(clip, tmp_path, monkeypatch):
    monkeypatch.setattr(offline, "CHECKPOINT_FRAMES", 5)
    with pytest.raises(Killed):
        localize_video(open_source(clip), DyingFind(), ["<red>"], tmp_path)
    with pytest.raises(FindError, match="unfinished run of another"):
        localize_video(open_source(clip), ColorFind(), ["<blue>"], tmp_path)


class LiveSource:
    name = identity = "camera"
    is_live, frame_count, duration_s = True, None, None

    def frames(self, start_s=0.0, stop_s=float("inf"), first_index=0):
        for n in range(1000):
            if n / 10 >= stop_s:
                return
            if n == 38:
                raise KeyboardInterrupt
            yield SourceFrame(n, n / 10, 7 * 10**18 + n * 10**8, scene(n))


@pytest.mark.parametrize("seconds, count", [(3.0, 30), (float("inf"), 38)])
def test_live_source_until_the_time_or_ctrl_c(tmp_path, seconds, count):
    report = localize_video(LiveSource(), ColorFind(), ["<red>"], tmp_path, seconds=seconds)
    assert report.frame_count == count and len(report.intervals[0]) == 1
    assert (tmp_path / "moments.png").is_file(), "cut from the annotated video"
    with av.open(str(tmp_path / "annotated.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == count


def test_folder_source(tmp_path):
    (tmp_path / "in").mkdir()
    for n in range(12):
        cv2.imwrite(str(tmp_path / "in" / f"{n}.png"), paint([("red", 10, 10, 20, 20)])[..., ::-1])
    out = tmp_path / "out"
    report = localize_video(open_source(tmp_path / "in", fps=4), ColorFind(), ["<red>"], out)
    assert [(i.start_s, i.end_s) for i in report.intervals[0]] == [(0.0, 3.0)]


def test_damaged_lines_are_named(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"frame_index": 0}\nnot json\n')
    with pytest.raises(FindError, match="Line 2 of"):
        list(read_records(path))


def test_summary_is_json(done):
    out, report = done
    summary = json.loads((out / "timeline.json").read_text())
    assert summary["prompts"][0]["prompt"] == "the <red>"
    assert summary["prompts"][1]["intervals"] == [report.intervals[1][0].to_json()]


@pytest.mark.parametrize("annotate", [True, False])
def test_stills_of_the_best_moments_are_the_frames_named(clip, tmp_path, annotate, monkeypatch):
    """With the annotated video, they come from its pass: the lines are read twice, not three times."""
    reads = []
    plain = offline.read_records
    for module in (offline, replay):
        monkeypatch.setattr(module, "read_records", lambda path: reads.append(path) or plain(path))
    kept = {}
    write = offline.write_image
    monkeypatch.setattr(
        offline,
        "write_image",
        lambda path, image: kept.update({path.name: image}) or write(path, image),
    )
    source = open_source(clip)
    report = localize_video(source, ColorFind(), ["<red>"], tmp_path, annotate=annotate, top=1)
    assert len(reads) == 2
    peak_s = report.moments[0][0].peak_s
    frame = next(f for f in source.frames() if abs(f.time_s - peak_s) < 1e-6)
    group = next(
        g
        for g in by_frame(plain(tmp_path / "localizations.jsonl"))
        if g[0]["time_s"] == round(peak_s, 6)
    )
    expected = offline.draw_localization(frame.image, merged(group))
    sheet = kept["moments.png"]
    small = offline.contact_sheet(
        [expected], [f"<red>  {offline.clock(peak_s)}  {report.moments[0][0].score:.2f}"]
    )
    assert np.array_equal(sheet, small)
