"""Albums: the same order as scoring every picture, whatever keeps the vectors."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import cv2
import jsonschema
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

import find_core as fc
from find_core.cli import main
from find_core.cli.album import open_album, picture_files
from find_core.schemas import load_schema
from find_core.support.files import locked, read_tensors
from find_core.tasks import retrieve as retrieval
from find_core.testing import tiny_find

pytest.importorskip("qdrant_client", reason="albums need the extra [album]")
PROMPTS = ["the <mug> next to the <plate>", "a red thing", "<bowl>"]


@pytest.fixture(scope="module")
def find():
    return tiny_find(0)


@pytest.fixture(scope="module")
def pictures():
    rng = np.random.default_rng(0)
    sizes = [(64, 64), (64, 96), (80, 60)]
    return {
        f"{n}.png": rng.integers(0, 256, (*sizes[n % 3], 3), np.uint8) for n in range(40)
    }  # more than one group of `BATCH`


@pytest.fixture(scope="module")
def album(find, pictures):
    album = fc.Album(find)
    assert album.add(pictures.items()) == len(album) == 40
    return album


@pytest.mark.parametrize("weight", [0.0, 0.5, 5.0])
@pytest.mark.parametrize("prompt", PROMPTS)
def test_order_and_scores_are_those_of_all_pictures(find, pictures, album, prompt, weight):
    query, names = find.compile(prompt), list(pictures)
    scenes = [find.encode(image) for image in pictures.values()]
    scores = {n: retrieval.score(query, s, weight) for n, s in zip(names, scenes, strict=True)}
    hits = album.search(prompt, top=40, entity_weight=weight)
    assert [h.score for h in hits] == pytest.approx(sorted(scores.values(), reverse=True), abs=1e-5)
    for hit in hits:
        scene = scenes[names.index(hit.name)]
        assert hit.score == pytest.approx(scores[hit.name], abs=1e-5)
        assert hit.relevance == pytest.approx(scene.relevance(query), abs=1e-5)
        assert len(hit.entity_cosines) == len(query.labels)
    # A product of fewer rows may be summed in another order: the same hits, to rounding.
    few = album.search(query, 3, weight)
    assert [h.name for h in few] == [h.name for h in hits[:3]]
    assert [h.score for h in few] == pytest.approx([h.score for h in hits[:3]], abs=1e-6)


def test_few_candidates_still_rank_by_the_whole_score(find, album, monkeypatch):
    """Each half proposes its best; the picture that is best in a half is among the hits' candidates."""
    monkeypatch.setattr("find_core.tasks.album.CANDIDATES", 4)
    hits = album.search(PROMPTS[0], top=1)
    assert len(hits) == 1
    everything = album.search(PROMPTS[0], top=40)
    assert hits[0].name in {h.name for h in everything[:10]}
    assert [h.score for h in everything] == sorted((h.score for h in everything), reverse=True)


def test_a_query_of_the_published_protocol(find, album):
    hits = album.search(retrieval.paper_query(find, PROMPTS[0]), top=5)
    assert len(hits) == 5 and all(len(h.entity_cosines) == 2 for h in hits)


def test_references_and_their_own_pictures(find, pictures, album):
    prompt = fc.Prompt.parse(
        "the <thing>", thing=fc.Reference(pictures["3.png"], box=(5, 5, 40, 40))
    )
    found = {h.name for h in album.search(prompt, top=40)}
    assert found == set(pictures)
    assert {h.name for h in album.search(prompt, top=40, exclude=["3.png", "no.png"])} == found - {
        "3.png"
    }


def test_save_and_load(find, album, tmp_path):
    loaded = fc.Album.load(album.save(tmp_path / "a.album"), find)
    assert loaded.names() == album.names() and len(loaded) == 40
    for prompt in PROMPTS:
        before, after = album.search(prompt, 40), loaded.search(prompt, 40)
        scores = {h.name: h.score for h in before}
        assert [scores[h.name] for h in after] == pytest.approx([h.score for h in after], abs=2e-3)


def test_an_empty_album_is_saved_and_searched(find, tmp_path):
    path = fc.Album(find).save(tmp_path / "a.album")
    assert fc.Album.load(path, find).search(PROMPTS[0]) == []


def test_names_again_replace_and_removed_ones_are_gone(find, pictures):
    album = fc.Album(find)
    album.add([("a", pictures["0.png"]), ("b", pictures["1.png"]), ("a", pictures["2.png"])])
    want = retrieval.score(find.compile("mug"), find.encode(pictures["2.png"]))
    assert {h.name: h.score for h in album.search("mug")}["a"] == pytest.approx(want, abs=1e-5)
    album.remove(["a", "never there"])
    assert album.names() == {"b"} and [h.name for h in album.search("mug")] == ["b"]


def test_pictures_before_a_bad_one_are_kept(find, pictures):
    album = fc.Album(find)
    with pytest.raises(fc.ImageError):
        album.add([("a", pictures["0.png"]), ("b", np.zeros((4, 4), np.uint8))])
    assert album.names() == {"a"}


def test_vectors_from_elsewhere(find, pictures, album):
    scenes = [find.encode(image) for image in pictures.values()]
    rows = album._records()
    objects = {r.payload["name"]: np.asarray(r.vector["objects"], np.float32) for r in rows}
    same = fc.Album(find)
    same.insert(
        list(pictures),
        np.stack([s.embedding for s in scenes]),
        np.stack([objects[name] for name in pictures]).reshape(
            len(pictures), -1, find.embedding_dim
        ),
    )
    hits, expected = same.search(PROMPTS[0], 5), album.search(PROMPTS[0], 5)
    assert [h.name for h in hits] == [h.name for h in expected]
    assert [h.score for h in hits] == pytest.approx([h.score for h in expected], abs=1e-5)
    with pytest.raises(fc.AlbumError, match="do not fit this model"):
        same.insert(["a.png"], np.zeros((1, 3), np.float32), np.zeros((1, 2, 3), np.float32))


def test_another_model_is_refused(find, album, tmp_path):
    path = album.save(tmp_path / "a.album")
    with pytest.raises(fc.AlbumError, match="another model"):
        fc.Album.load(path, tiny_find(1))
    with pytest.raises(fc.AlbumError, match="another model"):
        fc.Album(tiny_find(1), album.client)


def test_what_is_no_album(find, album, tmp_path):
    with pytest.raises(fc.AlbumError, match="No album at"):
        fc.Album.load(tmp_path / "no.album", find)
    (tmp_path / "pickle.album").write_bytes(b"\x80\x04K\x01.")
    with pytest.raises(fc.AlbumError, match="not a safetensors file"):
        fc.Album.load(tmp_path / "pickle.album", find)
    save_file({"image": torch.zeros(1)}, tmp_path / "other.album")
    with pytest.raises(fc.AlbumError, match="no album of this version"):
        fc.Album.load(tmp_path / "other.album", find)
    tensors, metadata = read_tensors(album.save(tmp_path / "a.album"))
    save_file({**tensors, "image": tensors["image"][:3]}, tmp_path / "cut.album", metadata)
    with pytest.raises(fc.AlbumError, match="is damaged: 'image' has shape"):
        fc.Album.load(tmp_path / "cut.album", find)
    models = pytest.importorskip("qdrant_client").models
    album.client.create_collection(
        "texts", vectors_config=models.VectorParams(size=3, distance=models.Distance.DOT)
    )
    with pytest.raises(fc.AlbumError, match="is no album: choose another name"):
        fc.Album(find, album.client, "texts")


def _with_nan(tensors):
    objects = tensors["objects"].clone()
    objects[0, 0, 0] = torch.nan
    return tensors | {"objects": objects}


DAMAGES = {
    "NaN": lambda t, m: (_with_nan(t), m),
    "no objects": lambda t, m: ({"image": t["image"]}, m),
    "flat": lambda t, m: (t | {"objects": t["objects"].flatten(1)}, m),
    "narrow": lambda t, m: (t | {"image": t["image"][:, :-1].contiguous()}, m),
    "scalar": lambda t, m: (t | {"image": torch.tensor(1.0)}, m),
    "long vectors": lambda t, m: (t | {"image": t["image"] * 100}, m),
    "no names": lambda t, m: (t, {k: v for k, v in m.items() if k != "names"}),
    "names cut": lambda t, m: (t, m | {"names": m["names"][:-3]}),
    "names as numbers": lambda t, m: (t, m | {"names": json.dumps(list(range(len(t["image"]))))}),
    "one name for all": lambda t, m: (t, m | {"names": json.dumps(["a"] * len(t["image"]))}),
    "names nested": lambda t, m: (t, m | {"names": "[" * 90_000}),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_an_album_is_whole_or_refused(find, album, tmp_path, what):
    tensors, metadata = read_tensors(album.save(tmp_path / "a.album"))
    save_file(
        *DAMAGES[what](tensors, metadata)[:1],
        tmp_path / "b.album",
        DAMAGES[what](tensors, metadata)[1],
    )
    with pytest.raises(fc.AlbumError, match=r"b\.album.*(damaged|not whole)"):
        fc.Album.load(tmp_path / "b.album", find)


class _Refusing(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_error(503)

    def log_message(self, *_):
        pass


def test_a_server_that_does_not_answer_or_refuses(find):
    with pytest.raises(fc.AlbumError, match="check its URL"):
        fc.Album.connect("http://127.0.0.1:9", find)
    server = HTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        with pytest.raises(fc.AlbumError, match="503"):
            fc.Album.connect(f"http://127.0.0.1:{server.server_port}", find)
    finally:
        server.shutdown()
        server.server_close()


# -- the command line ---------------------------------------------------------------------------


@pytest.fixture()
def folder(pictures, tmp_path, find, monkeypatch):
    monkeypatch.setattr(fc, "load", lambda *_, **__: find, raising=False)
    (tmp_path / "photos/deep").mkdir(parents=True)
    for n, (name, image) in enumerate(list(pictures.items())[:5]):
        place = tmp_path / "photos" / ("deep" if n == 4 else ".") / name
        cv2.imwrite(str(place), image[..., ::-1])
    (tmp_path / "photos/notes.txt").write_text("no picture")
    return tmp_path


def test_add_then_search(folder, capsys):
    file, out = str(folder / "a.album"), folder / "hits"
    assert main(["album", file, "--add", str(folder / "photos")]) == 0
    assert "5 pictures added" in capsys.readouterr().err
    asked = ["album", file, "--prompt", PROMPTS[0], "--top", "3", "--out", str(out), "--json"]
    assert main(asked) == 0
    answer = json.loads(capsys.readouterr().out)
    jsonschema.validate(answer, load_schema("album_hits"))
    assert answer["pictures"] == 5 and len(answer["hits"]) == 3
    assert json.loads((out / "hits.json").read_text()) == answer
    assert cv2.imread(str(out / "hits.png")) is not None


def test_add_more_and_a_broken_picture(folder, capsys):
    file = str(folder / "a.album")
    main(["album", file, "--add", str(folder / "photos/0.png"), str(folder / "photos/1.png")])
    (folder / "photos/broken.png").write_bytes(b"no picture")
    assert main(["album", file, "--add", str(folder / "photos"), "--prompt", "<mug>"]) == 0
    said = capsys.readouterr()
    assert "Left out: Cannot decode" in said.err and "5 in" in said.err
    assert len(said.out.splitlines()) == 5


@pytest.mark.parametrize(
    "more, sentence",
    [
        ([], "Say what to do"),
        (["--prompt", "<mug>"], "No album at"),
        (["--add", "nowhere/"], "No picture and no folder"),
        (["--prompt", "<a>", "--prompt", "<b>"], "one prompt at a time"),
        (["--prompt", "<a>", "--top", "0"], "--top: '0' is not a whole number at least 1"),
    ],
)
def test_bad_input_is_one_sentence(folder, capsys, more, sentence):
    assert main(["album", str(folder / "no.album"), *more]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1


def test_a_folder_without_pictures(tmp_path):
    with pytest.raises(fc.AlbumError, match="No pictures in"):
        picture_files([tmp_path])


@pytest.mark.parametrize(
    "place, url, collection",
    [
        ("http://host:6333", "http://host:6333", "album"),
        ("http://host:6333/", "http://host:6333", "album"),
        ("https://host/kitchen", "https://host", "kitchen"),
    ],
)
def test_places_on_servers(find, monkeypatch, place, url, collection):
    seen = []
    monkeypatch.setattr(fc.Album, "connect", lambda *a, **k: seen.append((a, k)))
    open_album(place, find, new=False)
    assert seen[0][0] == (url, find, collection)


def test_a_name_that_is_not_utf8(folder, capfd):
    (folder / "photos/0.png").rename(os.fsdecode(os.fsencode(folder / "photos") + b"/\xff.png"))
    file = str(folder / "a.album")
    assert main(["album", file, "--add", str(folder / "photos")]) == 0
    assert main(["album", file, "--prompt", PROMPTS[0], "--json", "--out", str(folder / "o")]) == 0
    hits = json.loads(capfd.readouterr().out)["hits"]
    assert sum(hit["name"].endswith("\udcff.png") for hit in hits) == 1
    assert len(json.loads((folder / "o/hits.json").read_text())["hits"]) == 5


def test_two_writers_of_one_album(folder, capsys):
    """The second is told, and drops nothing of the first."""
    file = folder / "a.album"
    with locked(file, fc.AlbumError):
        assert main(["album", str(file), "--add", str(folder / "photos")]) == 2
    assert "Another process is writing" in capsys.readouterr().err
    assert main(["album", str(file), "--add", str(folder / "photos")]) == 0
    assert sorted(p.name for p in folder.iterdir()) == ["a.album", "photos"]


@pytest.mark.parametrize("end", [KeyboardInterrupt, RuntimeError])
def test_what_breaks_off_keeps_what_was_done(folder, find, monkeypatch, end):
    count = 0
    encode = find.encode

    def breaking(image):
        nonlocal count
        count += 1
        if count > 3:
            raise end
        return encode(image)

    monkeypatch.setattr(find, "encode", breaking)
    with contextlib.suppress(end):
        main(["album", str(folder / "a.album"), "--add", str(folder / "photos")])
    monkeypatch.undo()
    assert len(fc.Album.load(folder / "a.album", find)) == 3


def test_a_picture_damaged_since_is_left_out_of_the_drawing(folder, capsys):
    file = str(folder / "a.album")
    main(["album", file, "--add", str(folder / "photos")])
    (folder / "photos/0.png").write_bytes(b"no picture")
    asked = ["album", file, "--prompt", PROMPTS[0], "--out", str(folder / "o")]
    assert main(asked) == 0 and "Not drawn" in capsys.readouterr().err
