"""A run goes on after kill -9, keeps its limits, and says what it refused."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.training.data_engine.fake_server import chat, good, segments_of
from training.data.formats.references import entity_sentences
from training.data_engine.__main__ import main
from training.data_engine.journal import Journal
from training.evaluation.bench import sources

ROOT = Path(__file__).parents[3]


def sentences(root, out, *more) -> int:
    return main(["sentences", "--data", str(root), "--out", str(out), *map(str, more)])


def to(server, *more) -> list:
    return ["--writer", "server", "--url", server.url, "--name", "a-model", "--in-flight", 1, *more]


def test_the_file_is_what_loaders_and_suites_read(root, tmp_path) -> None:
    assert sentences(root, tmp_path, "--sentences", 1) == 0
    path = tmp_path / "entity_val2017.json"
    data = json.loads(path.read_text())
    assert (
        len(data["annotations"]) == 5 and "built-in templates" in data["provenance"]["sentences_by"]
    )
    for a in data["annotations"]:
        for p in a["phrase"]:
            assert a["sentence"][p["start_idx"] : p["end_idx"]] == p["phrase"]
    spoken = sources.entity_images(root, "val2017", "entity", path)
    assert [s.image_id for s in spoken] == [1, 2, 3, 4, 5]
    assert entity_sentences(path)[1][0] == (
        "<A young man> stands on <the grass>, number 0.",
        [1014, 1007],
    )
    assert "| with a sentence | 5 |" in (tmp_path / "report_val2017.md").read_text()


def test_the_same_again_and_paragraphs(root, tmp_path) -> None:
    for name in ("a", "b"):
        assert sentences(root, tmp_path / name, "--long") == 0
    files = [(tmp_path / n / "entity_val2017_long.json").read_bytes() for n in ("a", "b")]
    assert files[0] == files[1]
    many = [len(a["phrase"]) for a in json.loads(files[0])["annotations"]]
    assert len(many) == 5 and min(many) >= 2


def test_kill_9_costs_at_most_the_request_under_way(root, tmp_path, server) -> None:
    assert sentences(root, tmp_path / "whole", *to(server)) == 0
    reached, free = threading.Event(), threading.Event()
    before = len(server.requests)

    def stuck(body, n):
        if n == before + 3:
            reached.set()
            free.wait(60)
        return good(body, n)

    server.answer = stuck
    command = [
        "sentences",
        "--data",
        str(root),
        "--out",
        str(tmp_path / "killed"),
        *map(str, to(server)),
    ]
    process = subprocess.Popen([sys.executable, "-m", "training.data_engine", *command], cwd=ROOT)
    assert reached.wait(300), "the third request never came"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    free.set()
    assert not (tmp_path / "killed" / "entity_val2017.json").exists()
    assert main(command) == 0
    asked = server.asked_about()[before:]
    assert len(asked) == 6 and len(set(asked)) == 5, "one of them twice: the one under way"
    for name in ("entity_val2017.json",):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert "| requests | 6 |" in (tmp_path / "killed" / "report_val2017.md").read_text()


def test_several_requests_at_a_time_give_the_same_file(root, tmp_path, server) -> None:
    for name, count in (("one", 1), ("many", 4)):
        assert sentences(root, tmp_path / name, *to(server, "--in-flight", count)) == 0
    for file in ("entity_val2017.json", "report_val2017.md"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "many" / file).read_bytes()


def test_a_torn_line_is_cut_off_and_other_work_is_not_continued(tmp_path, root) -> None:
    path = tmp_path / "journal.jsonl"
    with Journal(path, {"work": 1}) as journal:
        journal.add({"image": 1})
    with path.open("ab") as file:
        file.write(b'{"image": 2, "acc')
    with Journal(path, {"work": 1}) as journal:
        assert journal.entries == [{"image": 1}]
        journal.add({"image": 3})
        with pytest.raises(Exception, match="Another process"):
            Journal(path, {"work": 1})
    with Journal(path, {"work": 1}) as journal:
        assert journal.entries == [{"image": 1}, {"image": 3}]
    with pytest.raises(Exception, match="work=1, not 2"):
        Journal(path, {"work": 2})
    path.write_text("nonsense\n")
    with pytest.raises(Exception, match="is damaged"):
        Journal(path, {"work": 1})
    assert sentences(root, tmp_path) == 0 and sentences(root, tmp_path, "--seed", 1) == 2


def test_requests_are_bounded_over_runs(root, tmp_path, server, capsys) -> None:
    assert sentences(root, tmp_path, *to(server, "--requests", 3)) == 3
    assert len(server.requests) == 3
    assert "all 3 requests are made" in capsys.readouterr().err
    report = (tmp_path / "report_val2017.md").read_text()
    assert (
        "**Not finished: all 3 requests are made.**" in report and "| not asked yet | 2 |" in report
    )
    assert len(json.loads((tmp_path / "entity_val2017.json").read_text())["annotations"]) == 3
    assert (
        sentences(root, tmp_path, *to(server, "--requests", 3)) == 3 and len(server.requests) == 3
    )
    assert (
        sentences(root, tmp_path, *to(server, "--requests", 9)) == 0 and len(server.requests) == 5
    )


def test_cost_is_bounded_over_runs(root, tmp_path, server) -> None:
    prices = ["--price-in", 1, "--price-out", 10, "--answer-tokens", 100]
    server.answer = lambda body, n: chat(json.dumps({"sentences": ["[1]<x> lies."]}), {"prompt_tokens": 900, "completion_tokens": 90})  # fmt: skip
    assert sentences(root, tmp_path, *to(server, *prices, "--cost", 0.006)) == 3
    first = len(server.requests)
    assert 1 <= first <= 3, "0.0018 each, and each needs its most set aside"
    assert sentences(root, tmp_path, *to(server, *prices, "--cost", 0.006)) == 3
    assert len(server.requests) == first
    assert sentences(root, tmp_path, *to(server, *prices, "--cost", 1)) == 0
    assert len(server.requests) == 10, "five images, two attempts each"


def test_a_refused_answer_is_told_and_asked_once_more(root, tmp_path, server) -> None:
    def liar(body, n):
        if "refused" in body["messages"][-1]["content"]:
            return good(body, n)
        _, name = segments_of(body)[0]
        return chat(json.dumps({"sentences": [f"[31337]<The {name}> is there."]}))

    server.answer = liar
    assert sentences(root, tmp_path, *to(server)) == 0
    assert len(server.requests) == 10
    report = (tmp_path / "report_val2017.md").read_text()
    assert (
        "| unknown id | 5 |" in report
        and "`31337 for 'The" in report
        and "| with a sentence | 5 |" in report
    )


def test_a_server_that_never_answers_ends_the_run(root, tmp_path, server, capsys) -> None:
    server.answer = lambda body, n: (500, {}, b"")
    assert sentences(root, tmp_path, *to(server, "--patience", 4)) == 3
    assert len(server.requests) == 4 and "4 answers in a row were none" in capsys.readouterr().err
    server.answer = good
    assert sentences(root, tmp_path, *to(server, "--attempts", 3)) == 0
    assert "| with a sentence | 5 |" in (tmp_path / "report_val2017.md").read_text()


def test_a_wrong_key_ends_in_a_sentence(root, tmp_path, server, capsys, monkeypatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "very-secret")
    server.answer = lambda body, n: (401, {}, b"who are you")
    assert sentences(root, tmp_path, *to(server)) == 2
    error = capsys.readouterr().err
    assert "401" in error and "very-secret" not in error
    assert "very-secret" not in "".join(p.read_text() for p in tmp_path.iterdir() if p.is_file())


def test_a_damaged_label_image_costs_itself_alone(root, tmp_path) -> None:
    import shutil

    other = tmp_path / "coco"
    shutil.copytree(root, other)
    (other / "annotations" / "panoptic_val2017" / "000000000002.png").write_bytes(b"\x89PNG cut")
    assert sentences(other, tmp_path / "out") == 0
    report = (tmp_path / "out" / "report_val2017.md").read_text()
    assert "| with a sentence | 4 |" in report and "| no image | 1 |" in report


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--writer", "server"], "--name"), (["--writer", "server", "--name", "m"], "--url"),
        (["--writer", "transformers", "--name", "/nowhere"], "cannot be loaded"),
        (["--captions", "/nowhere.json"], "/nowhere.json"), (["--cost", "1"], "needs prices"),
        (["--requests", "0"], "whole number"),
    ],
)  # fmt: skip
def test_mistakes_end_in_a_sentence(root, tmp_path, capsys, more, words) -> None:
    assert sentences(root, tmp_path, *more) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and words in error[0]
