from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from jsonschema import validate

import find_field as ff
from find_core import Prompt, Reference
from find_core.errors import FieldError, PromptError
from find_field.evaluation.toy_world import ToyObject, World
from find_field.field.hits import JSON_VERSION
from find_field.field.quantized import QuantizedVectors
from find_field.geometry.boxes import box_iou
from find_field.schemas import answer_schema


def test_every_thing_is_found_where_it_is(world, room, oracle):
    for thing in world.things:
        hits = room.query(thing.name, oracle)
        best = hits[0]
        assert len(hits) == 1 and best.label == thing.name and best.score > 0.9
        assert np.linalg.norm(best.centroid_world_m - thing.centre_m) < 0.02
        assert np.linalg.norm(best.T_world_object[:3, 3] - thing.centre_m) < 0.01
        truth = thing.T_world_object, np.asarray(thing.size_m)
        # A ball has no yaw, and its lower half is hidden: its box is only roughly right.
        iou = box_iou((best.T_world_object, best.extent_m), truth)
        assert iou > (0.5 if thing.ball else 0.75)


def test_hit_contract(room, oracle):
    hit = room.query("red box", oracle)[0]
    n = len(hit.points_world_m)
    assert hit.points_world_m.shape == (n, 3) and hit.relevancy.shape == (n,)
    np.testing.assert_array_equal(room.points_world_m[hit.voxel_rows], hit.points_world_m)
    np.testing.assert_allclose(hit.centroid_world_m, hit.points_world_m.mean(0), atol=1e-5)
    R = hit.T_world_object[:3, :3]
    np.testing.assert_allclose(R.T @ R, np.eye(3), atol=1e-9)
    assert np.linalg.det(R) == pytest.approx(1) and R[2, 2] == pytest.approx(1)
    assert hit.extent_m[0] >= hit.extent_m[1] - 1e-3
    np.testing.assert_allclose(hit.embedding @ oracle.vector("red box"), 1, atol=0.05)


def test_several_entities_keep_their_order_and_hits_are_sorted(room, oracle):
    hits = room.query("the <green ball> next to the <white box>", oracle)
    assert [e.label for e in hits.entities] == ["green ball", "white box"]
    assert sorted(h.entity_index for h in hits) == [0, 1]
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    for entity in hits.entities:
        assert entity.found and entity.hits[0].label == entity.label


def test_reference_prompt(world, frames, room, oracle):
    _, _, labels = world.render(frames[0].K, frames[0].T_world_camera, frames[0].rgb.shape[:2])
    thing = Reference(frames[0].rgb, mask=labels == 4)  # things[2]
    hits = room.query(Prompt.parse("the <red box> left of <this>", this=thing), oracle)
    assert hits.entities[1].label == "this"
    found = hits.entities[1].hits[0].centroid_world_m
    assert np.linalg.norm(found - world.things[2].centre_m) < 0.02


def test_not_here_is_an_answer(room, oracle):
    hits = room.query("the <violin> on the <red box>", oracle)
    assert not hits.entities[0].found and hits.entities[1].found
    alone = room.query("violin", oracle)
    assert alone == [] and 0 <= alone.best_score < 0.5
    assert alone.best_score == alone.entities[0].best_score


def test_instances_are_separated_in_space():
    ball = dict(size_m=(0.08,) * 3, ball=True)
    world = World([ToyObject("ball", (x, 0, 0.04), **ball) for x in (-0.2, 0, 0.2)])
    oracle = world.oracle()
    field = ff.lift(world.frames(8, oracle=oracle), oracle)
    hits = field.query("ball", oracle)
    assert sorted(round(h.centroid_world_m[0], 1) for h in hits) == [-0.2, 0.0, 0.2]
    assert len(field.query("ball", oracle, max_hits=2)) == 2


def test_rivals_and_negatives_take_what_is_theirs(room, oracle):
    """Against a rival that fits better, relevancy falls below a half everywhere."""
    alone = room.relevancy("red box", oracle)[0]
    against = room.relevancy("red box", oracle, negatives=("red box",))[0]
    assert alone.max() > 0.9 and against.max() <= 0.5
    both = room.relevancy("<red box> and <red box>", oracle)  # twins do not exclude each other
    np.testing.assert_allclose(both[1], alone, atol=1e-6)


def test_refinement_grows_a_part_to_the_whole(room, oracle):
    part = room.query("red box", oracle, threshold=0.999, refine_cosine=1.0)
    whole = room.query("red box", oracle, threshold=0.999)
    assert len(whole[0].points_world_m) > len(part[0].points_world_m)


def test_exception_other_embedding_space(room, oracle):
    class Other:
        name, fingerprint, compile = "other", "elsewhere", oracle.compile

    with pytest.raises(FieldError, match=r"'oracle'.*'other'.*lift the frames again"):
        room.query("red box", Other())
    with pytest.raises(FieldError, match="QueryConfig"):
        room.query("red box", oracle, treshold=0.1)
    with pytest.raises(PromptError):
        room.query("<red box", oracle)


def test_field_of_before_spaces_named_the_vision_encoder(room, oracle):
    """The identity in its file is the first part of today's."""
    old, new = "1b84b503596917c0", "1b84b503596917c0-cfd3122c"

    class Same:
        name, fingerprint, compile, config = "same", new, oracle.compile, oracle.config

    field = dataclasses.replace(room, provenance={**room.provenance, "fingerprint": old})
    assert field.query("red box", Same())[0].score == room.query("red box", oracle)[0].score
    later = dataclasses.replace(room, provenance={**room.provenance, "fingerprint": new})
    assert len(field.merge(later)) == len(room)
    other = dataclasses.replace(room, provenance={**room.provenance, "fingerprint": new[:-1] + "0"})
    with pytest.raises(FieldError, match="models"):
        later.merge(other)


def test_json_fits_its_schema(room, oracle):
    for prompt in ("the <red box> near the <violin>", "violin"):
        answer = json.loads(json.dumps(room.query(prompt, oracle).to_json()))
        validate(answer, answer_schema())
        assert answer["version"] == JSON_VERSION and answer["frame"] == "map"


def test_hit_as_trimesh(room, oracle):
    hit = room.query("red box", oracle)[0]
    box = hit.to_trimesh()
    np.testing.assert_allclose(box.volume, hit.extent_m.prod(), rtol=1e-6)
    np.testing.assert_allclose(box.centroid, hit.T_world_object[:3, 3], atol=1e-9)
    assert len(hit.to_trimesh("points").vertices) == len(hit.points_world_m)


def test_open3d_missing_is_told(room, oracle, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "open3d", None)
    with pytest.raises(FieldError, match="pip install open3d"):
        room.query("red box", oracle)[0].to_open3d()


@pytest.mark.parametrize("n, k", [(0, 8), (5, 8), (9000, 48)])
def test_directions_agree_with_float_cosines(n, k):
    rng = np.random.default_rng(0)
    vectors = (rng.standard_normal((n, k)) * rng.lognormal(0, 2, (n, 1))).astype(np.float16)
    vectors[:1] = 0
    queries = rng.standard_normal((3, k)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    table = QuantizedVectors(vectors)
    exact = vectors.astype(np.float64)
    exact /= np.maximum(np.linalg.norm(exact, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(table.cosines(queries), queries @ exact.T, atol=5e-3)
    rows = np.arange(n)[::3]
    np.testing.assert_array_equal(table.cosines(queries, rows), table.cosines(queries)[:, rows])


def test_one_voxel_field_and_empty_crop(room, oracle):
    assert room.crop(np.zeros(len(room), bool)).query("red box", oracle) == []
    assert room.crop(np.arange(1)).query("red box", oracle) == []


def joined(seed=0):
    """Two things on a plank of odds and ends, all a little relevant: one cluster above the threshold."""
    rng = np.random.default_rng(seed)
    meant = np.eye(64, dtype=np.float32)[0]
    cells, vectors = [], []
    for x in range(200):
        for y in range(6):
            cells.append((x, y, 0))
            other = rng.standard_normal(64)
            other[0] = 0
            other /= np.linalg.norm(other)
            thing = x in range(20, 30) or x in range(150, 160)
            cosine = 0.97 if thing else 0.56
            vectors.append(cosine * meant + (1 - cosine**2) ** 0.5 * other)
    ijk, count = np.array(cells, np.int32), len(cells)
    channel = ff.Channel(
        np.eye(64, dtype=np.float32), np.array(vectors, np.float16), np.zeros(count, np.float16)
    )
    return ff.FeatureField(
        0.01, ijk, ((ijk + 0.5) * 0.01).astype(np.float32), np.zeros((count, 3), np.uint8),
        np.ones(count, np.float32), np.ones(count, np.int32), {"semantic": channel},
        {"fingerprint": "oracle-64"},
    )  # fmt: skip


def test_a_hit_is_a_thing_and_not_all_that_hangs_together(oracle):
    from find_field.field.clusters import Likeness, clusters

    field = joined()
    prompt = Prompt.parse("<this>", this=Reference(np.zeros((8, 8, 3), np.uint8), box=(0, 0, 8, 8)))
    compiled = dataclasses.replace(
        oracle.compile("red box"), prompt=prompt, entity_embeddings=np.eye(64, dtype=np.float32)[:1]
    )
    everything = clusters(field, np.arange(len(field)), ff.QueryConfig())
    assert len(everything) == 1 and not Likeness(field).is_one(everything[0])
    hits = field.query(compiled, oracle, max_hits=100)
    found = sorted((h.points_world_m[:, 0].min(), h.points_world_m[:, 0].max()) for h in hits[:2])
    np.testing.assert_allclose(found, [(0.205, 0.295), (1.505, 1.595)], atol=1e-6)
    assert min(h.score for h in hits[:2]) > 0.99
    # Crumbs of the plank: the mean of some comes near to the prompt, and no voxel of theirs does.
    for crumb in hits[2:]:
        assert crumb.score < 0.85 and len(crumb.points_world_m) < 30


def test_what_fills_the_place_is_one_thing(room, oracle):
    """Nothing is left of a table when what the place has in common is taken off; it is one all the same."""
    (hit,) = room.query("table", oracle)
    assert len(hit.points_world_m) > 0.6 * len(room)


def test_a_large_hit_must_beat_the_words_of_large_things(room, oracle, monkeypatch):
    """What is asked for is a little like the box, and what the box looks like is called "wall"."""
    box = oracle.vector("red box")
    aside = oracle.vector("something else") - (oracle.vector("something else") @ box) * box
    aside /= np.linalg.norm(aside)
    means = {"keyboard": 0.58 * box + np.sqrt(1 - 0.58**2) * aside, "wall": box, "panel": box}
    plain = oracle.vector
    monkeypatch.setattr(oracle, "vector", lambda name: means.get(name, plain(name)))
    assert len(room.query("keyboard", oracle)) == 1  # no longer than a metre
    asked = {"large_m": 0.05}
    answer = room.query("keyboard", oracle, **asked)
    assert not answer and answer.best_score < 0.5
    assert len(room.query("keyboard", oracle, **asked, large_words=())) == 1
    assert len(room.query("keyboard", oracle, **asked, large_words=("floor",))) == 1
    assert len(room.query("panel", oracle, **asked)) == 1  # means the same as "wall"
