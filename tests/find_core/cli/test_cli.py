"""The command line, end to end with a tiny checkpoint and with the coloured stand-in."""

from __future__ import annotations

import json
import subprocess
import sys

import cv2
import jsonschema
import numpy as np
import pytest

import find_core
from find_core.cli import main
from find_core.schemas import load_schema
from tests.find_core.video.fakes import ColorFind, paint, write_video


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    root = tmp_path_factory.mktemp("files")
    frames = [paint([("red", 2 * n, 10, 20, 15)] if 10 <= n < 25 else []) for n in range(40)]
    write_video(root / "clip.mp4", frames)
    cv2.imwrite(str(root / "photo.png"), frames[15][..., ::-1])
    cv2.imwrite(str(root / "mask.png"), 255 * (frames[15][..., 0] > 180).astype(np.uint8))
    return root


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A checkpoint directory of milliseconds."""
    from find_core.checkpoint.store import save
    from find_core.testing import tiny_find

    find = tiny_find(0)
    out = tmp_path_factory.mktemp("tiny")
    return str(save(out, find.model, find.vision, find.language))


@pytest.fixture()
def color(monkeypatch):
    monkeypatch.setattr(find_core, "load", lambda name, device: ColorFind(), raising=False)


def validate(name, data):
    jsonschema.validate(data, load_schema(name))


def test_localize_video(files, tmp_path, color, capsys):
    args = ["localize", str(files / "clip.mp4"), "--prompt", "the <red>", "--out", str(tmp_path)]
    assert main(args) == 0
    names = {p.name for p in tmp_path.iterdir()}
    assert names == {
        "localizations.jsonl", "timeline.json", "timeline.png", "moments.png", "annotated.mp4",
    }  # fmt: skip
    lines = (tmp_path / "localizations.jsonl").read_text().splitlines()
    assert len(lines) == 40
    for line in lines:
        validate("localization", json.loads(line))
    validate("video_timeline", json.loads((tmp_path / "timeline.json").read_text()))
    assert "1 interval(s) in 40 frames" in capsys.readouterr().out


def test_localize_json_prints_only_json(files, tmp_path, color, capsys):
    clip = str(files / "clip.mp4")
    main(["localize", clip, "--prompt", "<red>", "--out", str(tmp_path), "--json", "--no-video"])
    out = json.loads(capsys.readouterr().out)
    validate("video_timeline", out)
    assert abs(out["prompts"][0]["moments"][0]["start_s"] - 1.0) <= 0.11
    assert not (tmp_path / "annotated.mp4").exists()


def test_localize_search(files, tmp_path, color, capsys):
    clip = str(files / "clip.mp4")
    args = ["localize", clip, "--prompt", "<red>", "--search", "--top", "2", "--out", str(tmp_path)]
    assert main([*args, "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    validate("video_timeline", out)
    assert out == json.loads((tmp_path / "moments.json").read_text())
    (moment,) = out["prompts"][0]["moments"]
    assert moment["found"] and abs(moment["start_s"] - 1.0) <= 0.3
    assert {p.name for p in tmp_path.iterdir()} == {"moments.json", "moments.png", "timeline.png"}
    assert main(args) == 0 and "Looked at" in capsys.readouterr().out


def test_localize_picture_with_the_real_model_and_a_reference(files, tiny, tmp_path, capsys):
    photo = str(files / "photo.png")
    args = ["localize", photo, "--prompt", "the <mug> by <it>", "--model", tiny, "--json",
            "--reference", f"it={photo}:box=30,10,50,25", "--threshold", "0", "--out", str(tmp_path)]  # fmt: skip
    assert main(args) == 0
    out = json.loads(capsys.readouterr().out)
    validate("localization", out)
    assert [e["label"] for e in out["entities"]] == ["mug", "it"]
    assert cv2.imread(str(tmp_path / "annotated.png")).shape == (72, 96, 3)


def test_localize_video_with_the_real_model(files, tiny, tmp_path):
    clip = str(files / "clip.mp4")
    args = ["localize", clip, "--prompt", "a <mug>", "--model", tiny, "--out", str(tmp_path)]
    assert main([*args, "--fps", "4", "--no-video"]) == 0
    lines = (tmp_path / "localizations.jsonl").read_text().splitlines()
    assert len(lines) == 16
    for line in lines:
        validate("localization", json.loads(line))


def test_prompt_json_file(files, color, tmp_path, capsys):
    data = {"version": 1, "prompt": "the <red>"}
    (tmp_path / "p.json").write_text(json.dumps(data))
    photo = str(files / "photo.png")
    assert main(["localize", photo, "--prompt-json", str(tmp_path / "p.json"), "--json"]) == 0
    out = json.loads(capsys.readouterr().out)
    validate("localization", out)
    assert out["entities"][0]["found"]


@pytest.mark.parametrize("mode", ["panoptic", "instance", "semantic"])
def test_segment(files, tiny, tmp_path, capsys, mode):
    args = ["segment", str(files / "photo.png"), "--classes", "mug,table", "--stuff", "table"]
    args += ["--mode", mode, "--model", tiny, "--threshold", "0", "--out", str(tmp_path), "--json"]
    assert main(args) == 0
    out = json.loads(capsys.readouterr().out)
    assert out["mode"] == mode and {s["label"] for s in out["segments"]} <= {"mug", "table"}
    assert out["segments"], "a threshold of 0 keeps something"
    written = {p.name for p in tmp_path.iterdir()}
    assert written == {"segments.json", "annotated.png"} | (
        {"ids.png"} if mode != "instance" else set()
    )
    if mode != "instance":
        ids = cv2.imread(str(tmp_path / "ids.png"), cv2.IMREAD_UNCHANGED)
        assert set(np.unique(ids)) - {0} == {s["id"] for s in out["segments"]}


def test_info(tiny, capsys):
    assert main(["info", "--model", tiny, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["name"] == "tiny" and facts["embedding_dim"] == 32 and facts["fingerprint"]
    assert main(["info", "--model", tiny]) == 0 and "fingerprint" in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore:x.pt is not one")
def test_import_refuses_what_is_none(tmp_path, capsys):
    (tmp_path / "x.pt").write_bytes(b"nothing")
    assert main(["import", str(tmp_path / "x.pt"), "--out", str(tmp_path / "out")]) == 2
    assert "find-core import:" in capsys.readouterr().err


BAD = {
    "no prompt": (["localize", "{clip}", "--out", "{out}"], "Say what to look for"),
    "no out": (["localize", "{clip}", "--prompt", "<red>"], "Say where the results go"),
    "no file": (["localize", "none.mp4", "--prompt", "<red>", "--out", "{out}"], "Nothing at"),
    "bad brackets": (["localize", "{clip}", "--prompt", "the <red", "--out", "{out}"], "never closed"),
    "bad reference": (
        ["localize", "{clip}", "--prompt", "<x>", "--reference", "x=y", "--out", "{out}"],
        "NAME=PHOTO:KIND=VALUES",
    ),
    "unused reference": (
        ["localize", "{clip}", "--prompt", "<red>", "--out", "{out}",
         "--reference", "x={photo}:point=3,3"],
        "No prompt names the reference 'x'",
    ),
    "bad fps": (["localize", "{clip}", "--prompt", "<red>", "--out", "{out}", "--fps", "0"], "--fps"),
    "live search": (["localize", "0", "--prompt", "<red>", "--out", "{out}", "--search"], "--search"),
    "foreign stuff": (
        ["segment", "{photo}", "--classes", "a", "--stuff", "b", "--json"], "not among --classes"
    ),
}  # fmt: skip


@pytest.mark.parametrize("args, message", BAD.values(), ids=BAD)
def test_exceptions_are_one_sentence(args, message, files, tmp_path, color, capsys):
    places = {"clip": files / "clip.mp4", "photo": files / "photo.png", "out": tmp_path}
    assert main([a.format(**places) for a in args]) == 2
    error = capsys.readouterr().err.strip()
    assert message in error and "Traceback" not in error and "\n" not in error


@pytest.mark.parametrize("command", ["localize", "segment", "info", "import"])
def test_help_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as done:
        main([command, "--help"])
    assert done.value.code == 0
    assert f"find-core {command}" in capsys.readouterr().out.split("Example", 1)[1]


def test_help_is_quick_to_import():
    """--help must not load torch, matplotlib or PyAV."""
    code = (
        "import sys; from find_core.cli.main import build_parser; build_parser(); "
        "print([m for m in ('torch', 'matplotlib', 'av', 'rosbags') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_options_of_the_model_are_handed_to_load(monkeypatch):
    import argparse

    import find_core
    from find_core.cli import common as cli

    given = {}
    monkeypatch.setattr(find_core, "load", lambda name, **options: given.update(options))
    parser = argparse.ArgumentParser()
    cli.add_model_arguments(parser)
    words = ["--language-cache", "kitchen.cache", "--device", "cpu", "--input-px", "288"]
    cli.load_model(parser.parse_args(words))
    assert given == {"device": "cpu", "language_cache": "kitchen.cache", "input_px": 288}
