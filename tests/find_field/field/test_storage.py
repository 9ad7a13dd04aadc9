from __future__ import annotations

import json
import struct
from types import SimpleNamespace

import numpy as np
import pytest

import find_field as ff
from find_core.errors import FieldError
from find_field.field import blocks


def assert_same(a, b):
    for name in ("ijk", "points_world_m", "colors", "weight", "count"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.provenance == b.provenance and a.voxel_size_m == b.voxel_size_m
    for name, channel in a.channels.items():
        for part in ("basis", "coefficients", "variance"):
            np.testing.assert_array_equal(getattr(channel, part), getattr(b.channels[name], part))


@pytest.fixture
def saved(room, tmp_path):
    return room.save(tmp_path / "room.field")


def test_round_trip(room, saved, oracle):
    loaded = ff.load(saved)
    assert_same(room, loaded)
    want, got = room.query("red box", oracle)[0], loaded.query("red box", oracle)[0]
    np.testing.assert_array_equal(want.centroid_world_m, got.centroid_world_m)


def test_the_model_that_will_be_asked_is_made_ready(room, saved, oracle):
    calls = []
    find = SimpleNamespace(prepare=lambda wait=False: calls.append(wait))
    assert_same(room, ff.load(saved, find))
    assert calls == [False, True]
    assert_same(room, ff.load(saved, oracle))  # which has nothing to prepare


def test_layout_can_be_read_without_the_library(room, saved):
    """The documented layout, by hand: header length, JSON, raw arrays."""
    raw = saved.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    assert header["__metadata__"]["format"] == "find-field"
    entry = header["semantic.coefficients"]
    start, end = entry["data_offsets"]
    array = np.frombuffer(raw[8 + length :][start:end], np.float16).reshape(entry["shape"])
    np.testing.assert_array_equal(array, room.channels["semantic"].coefficients)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_truncated(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(FieldError, match=r"truncated|damaged"):
        ff.load(saved)


def test_foreign_newer_missing_and_incomplete(room, saved, tmp_path):
    from safetensors.numpy import load_file, save_file

    arrays = load_file(saved)
    info = json.dumps({"voxel_size_m": 0.01, "provenance": {}})
    other = tmp_path / "other.field"
    cases = [
        ({"a": np.ones(2)}, None, "no field"),
        (arrays, {"format": "find-field", "version": "99", "info": info}, "newer"),
        (arrays, {"format": "find-field", "version": "1", "info": "{"}, "not JSON"),
        (arrays, {"format": "find-field", "version": "1", "info": "{}"}, "voxel_size_m"),
        ({k: v for k, v in arrays.items() if k != "ijk"},
         {"format": "find-field", "version": "1", "info": info}, "ijk"),
        (arrays | {"weight": arrays["weight"][:-1]},
         {"format": "find-field", "version": "1", "info": info}, "weight"),
    ]  # fmt: skip
    for tensors, metadata, says in cases:
        save_file(tensors, other, metadata)
        with pytest.raises(FieldError, match=says):
            ff.load(other)
    with pytest.raises(FieldError, match="No field at"):
        ff.load(tmp_path / "nowhere.field")
    (tmp_path / "picture.field").write_bytes(b"\x89PNG\r\n\x1a\n" * 99)
    with pytest.raises(FieldError, match="not a field"):
        ff.load(tmp_path / "picture.field")


def test_a_failed_save_leaves_the_old_file(room, saved, tmp_path, monkeypatch):
    before = saved.read_bytes()

    def fail(arrays, path, metadata):
        path.write_bytes(b"half")
        raise OSError("disk full")

    with monkeypatch.context() as patched, pytest.raises(FieldError, match="disk full"):
        patched.setattr("safetensors.numpy.save_file", fail)
        room.save(saved)
    assert saved.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["room.field"]
    with pytest.raises(FieldError, match="cannot be written"):
        room.save(saved / "room.field")  # below a file


def test_saving_makes_missing_folders(room, tmp_path):
    """Minutes of lifting are not lost to a folder that nobody made."""
    assert_same(room, ff.load(room.save(tmp_path / "new" / "folder" / "room.field")))


def test_embeddings_at(world, room, oracle):
    thing = world.things[1]  # a ball: its top is seen from everywhere
    top = np.array(thing.centre_m) + [0, 0, thing.size_m[2] / 2]
    got = room.embeddings_at(np.stack([top, top + [0, 0, 1], [np.nan] * 3]))
    assert got.shape == (3, 64) and got.dtype == np.float32
    assert got[0] @ oracle.vector(thing.name) / np.linalg.norm(got[0]) > 0.98
    assert np.isnan(got[1:]).all()
    assert np.isfinite(room.embeddings_at(top + [0, 0, 1], max_distance_m=2)).all()
    with pytest.raises(FieldError, match="pixel=True"):
        room.embeddings_at(top, kind="pixel")
    with pytest.raises(FieldError, match="world metres"):
        room.embeddings_at(np.zeros((2, 2)))


def test_memory_per_voxel_is_what_it_says(room, oracle):
    room.query("red box", oracle)
    told = room.bytes_per_voxel()
    channel = room.channels["semantic"]
    stored = sum(
        a.nbytes for a in (channel.coefficients, channel.variance, room.weight, room.count)
    )
    assert told["semantic"] == stored / len(room)
    assert told["semantic"] + told["search index"] <= 160


def _changed(arrays, info, what):
    """A field's arrays and header with one thing wrong."""
    arrays, info = dict(arrays), json.loads(json.dumps(info))
    n = len(arrays["ijk"])
    with_nan = arrays["semantic.coefficients"].copy()
    with_nan[n // 2, 0] = np.nan
    array_changes = {
        "NaN coefficients": {"semantic.coefficients": with_nan},
        "infinite points": {"points_world_m": np.full((n, 3), np.inf, np.float32)},
        "far points": {"points_world_m": np.full((n, 3), 1e30, np.float32)},
        "flat ijk": {"ijk": arrays["ijk"].reshape(-1)},
        "wide ijk": {"ijk": np.zeros((n, 4), np.int32)},
        "ijk as floats": {"ijk": arrays["ijk"].astype(np.float32)},
        "huge ijk": {"ijk": np.full((n, 3), 2**31 - 1, np.int32)},
        "grey colours": {"colors": arrays["colors"][:, :1]},
        "negative weight": {"weight": -arrays["weight"] - 1},
        "short basis": {"semantic.basis": arrays["semantic.basis"][:, :-1]},
        "more coefficients than width": {
            "semantic.basis": arrays["semantic.basis"][:9]},
        "scalar": {"count": np.array(3, np.int32)},
        "coefficients as integers": {"semantic.coefficients": with_nan.astype(np.int16)},
        "another channel's rows": {
            "pixel.basis": np.eye(4, dtype=np.float32), "pixel.variance": np.ones(3, np.float16),
            "pixel.coefficients": np.ones((3, 4), np.float16)},
        "half a channel": {"pixel.basis": np.eye(4, dtype=np.float32)},
    }  # fmt: skip
    info_changes = {
        "voxel size 0": {"voxel_size_m": 0}, "voxel size NaN": {"voxel_size_m": float("nan")},
        "voxel size below 0": {"voxel_size_m": -1.0}, "voxel size as text": {"voxel_size_m": "0.01"},
        "voxel size true": {"voxel_size_m": True}, "huge voxel size": {"voxel_size_m": 1e300},
        "provenance a list": {"provenance": []}, "model a number": {"provenance": {"model": 3}},
        "frame a list": {"provenance": {"frame": []}}, "frames true": {"provenance": {"frames": True}},
        "no up": {"provenance": {"up_world": [0, 0, 0]}}, "up text": {"provenance": {"up_world": "z"}},
        "up infinite": {"provenance": {"up_world": [0, 0, 1e400]}},
    }  # fmt: skip
    return arrays | array_changes.get(what, {}), info | info_changes.get(what, {})


DAMAGES = [
    "NaN coefficients", "infinite points", "far points", "flat ijk", "wide ijk", "ijk as floats",
    "huge ijk", "grey colours", "negative weight", "short basis", "more coefficients than width",
    "scalar", "coefficients as integers", "another channel's rows", "half a channel", "voxel size 0",
    "voxel size NaN", "voxel size below 0", "voxel size as text", "voxel size true", "huge voxel size",
    "provenance a list", "model a number", "frame a list", "frames true", "no up", "up text",
    "up infinite",
]  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_a_field_is_whole_or_refused(room, saved, tmp_path, what):
    from safetensors.numpy import load_file, save_file

    good = {"voxel_size_m": 0.01, "provenance": {}}
    arrays, info = _changed(load_file(saved), good, what)
    metadata = {"format": "find-field", "version": "1", "info": json.dumps(info)}
    save_file(arrays, tmp_path / "other.field", metadata)
    with pytest.raises(FieldError, match="no whole field") as caught:
        ff.load(tmp_path / "other.field")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 500


@pytest.mark.parametrize("version", ["9" * 5000, "-1", "²", "", "0"])
def test_exception_of_odd_versions(saved, tmp_path, version):
    from safetensors.numpy import load_file, save_file

    save_file(load_file(saved), tmp_path / "v.field", {"format": "find-field", "version": version})
    with pytest.raises(FieldError, match="file version"):
        ff.load(tmp_path / "v.field")


def test_a_mapped_field_answers_the_same(room, oracle, tmp_path):
    path = room.save(tmp_path / "room.field", search=True)
    mapped, read = ff.load(path, mapped=True), ff.load(path)
    assert mapped.has_search_index and read.has_search_index
    prompt = "the <red box> and the <green ball>"
    want = room.query(prompt, oracle).to_json()
    assert mapped.query(prompt, oracle).to_json() == read.query(prompt, oracle).to_json() == want
    np.testing.assert_array_equal(mapped.relevancy(prompt, oracle), room.relevancy(prompt, oracle))
    assert_same(room, mapped)
    assert_same(room, mapped.crop(np.arange(len(room))))
    with pytest.raises(ValueError, match="read-only"):
        mapped.weight[0] = 1
    mapped.save(path)  # over the file that it is mapped from
    assert_same(room, mapped)
    assert_same(room, ff.load(path, mapped=True))
    assert not ff.load(path).has_search_index  # a small field makes its own


def test_what_a_query_of_a_mapped_field_reads(room, oracle, tmp_path, monkeypatch):
    """Not the coefficients of what is not meant, nor anything else of it."""
    monkeypatch.setattr(blocks, "BLOCK_ROWS", 64)
    mapped = ff.load(room.save(tmp_path / "room.field", search=True), mapped=True)
    assert not mapped.unchecked._checked.any()
    hit = mapped.query("the <red box>", oracle)[0]
    checked = mapped.unchecked._checked
    assert checked[np.unique(hit.voxel_rows // 64)].all() and checked.mean() < 0.7


@pytest.mark.parametrize("name", ["points_world_m", "semantic.coefficients", "weight"])
def test_damaged_values_of_a_mapped_field_are_refused_when_they_are_used(
    room, oracle, tmp_path, monkeypatch, name
):
    from safetensors import safe_open
    from safetensors.numpy import save_file

    monkeypatch.setattr(blocks, "BLOCK_ROWS", 64)
    path = room.save(tmp_path / "room.field", search=True)
    with safe_open(path, framework="numpy") as file:
        metadata, arrays = file.metadata(), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    row = room.query("the <red box>", oracle)[0].voxel_rows[5]
    arrays[name][row] = np.nan
    save_file(arrays, path, metadata)
    with pytest.raises(FieldError, match="not finite"):
        ff.load(path)
    mapped = ff.load(path, mapped=True)
    message = f"voxels {row // 64 * 64} to .*{name}.*not finite"
    with pytest.raises(FieldError, match=message):
        mapped.query("the <red box>", oracle)
    for use in (lambda: mapped.save(tmp_path / "b.field"), mapped.pca_colors, mapped.check,
                lambda: mapped.embeddings_at([0, 0, 0]), lambda: mapped.to_ply(tmp_path / "b.ply"),
                lambda: mapped.merge(room), lambda: room.merge(mapped), lambda: mapped.crop([row]),
                lambda: ff.Lifter(oracle, start=mapped)):  # fmt: skip
        with pytest.raises(FieldError, match="not finite"):
            use()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"semantic.search": np.zeros((3, 2), np.int8)}, "shape"),
        ({"semantic.search_factor": np.full(1, np.nan, np.float32)}, "shape|finite"),
        ({"weight": np.zeros(2, np.float32)}, "shape"),
        ({"semantic.basis": np.full((64, 48), np.inf, np.float32)}, "not finite"),
    ],
)
@pytest.mark.parametrize("mapped", [True, False])
def test_shapes_and_small_arrays_are_checked_at_once(room, tmp_path, change, message, mapped):
    from safetensors import safe_open
    from safetensors.numpy import save_file

    path = room.save(tmp_path / "room.field", search=True)
    with safe_open(path, framework="numpy") as file:
        metadata, arrays = file.metadata(), {n: file.get_tensor(n) for n in file.keys()}  # noqa: SIM118
    save_file(arrays | change, path, metadata)
    with pytest.raises(FieldError, match=message):
        ff.load(path, mapped=mapped)


@pytest.mark.parametrize("keep", [0, 5, 100, -1])
def test_a_truncated_field_is_not_mapped(saved, keep):
    saved.write_bytes(saved.read_bytes()[:keep])
    with pytest.raises(FieldError, match=r"truncated|damaged"):
        ff.load(saved, mapped=True)
