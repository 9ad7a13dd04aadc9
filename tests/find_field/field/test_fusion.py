"""The warm field: after every frame the same, bit for bit, as one made of all sums at once."""

from __future__ import annotations

import numpy as np
import pytest

import find_field as ff
from find_core.errors import FieldError
from find_field.field.data import Channel, FieldData
from find_field.field.quantized import QuantizedVectors, to_half
from find_field.field.storage import ARRAYS
from find_field.field.voxels import unpack


def batch_field(lifter) -> FieldData:
    """Slow twin: every voxel's means, worked out of the sums in one go."""
    sums, own = lifter._fusion._geometry.view, lifter._fusion
    weight = np.maximum(sums[:, :1], 1e-12)
    ijk = unpack(own._index.keys())
    channels = {}
    for name, channel in own._channels.items():
        mean = channel.values.view / weight
        spread = channel.squares.view / weight[:, 0] - np.einsum("nk,nk->n", mean, mean)
        variance = to_half(np.maximum(spread, 0))
        channels[name] = Channel(channel.basis, to_half(mean), variance)
    return FieldData(
        own.voxel_size_m, ijk,
        ((ijk + 0.5) * own.voxel_size_m + sums[:, 1:4] / weight).astype(np.float32),
        np.clip(np.rint(sums[:, 4:] / weight), 0, 255).astype(np.uint8),
        sums[:, 0].copy(), own._count.view.copy(), channels, {},
    )  # fmt: skip


def assert_equal(got: FieldData, want: FieldData) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(got, name), getattr(want, name), err_msg=name)
        assert getattr(got, name).dtype == getattr(want, name).dtype, name
    assert set(got.channels) == set(want.channels)
    for name, channel in want.channels.items():
        for part in ("basis", "coefficients", "variance"):
            np.testing.assert_array_equal(
                getattr(got.channels[name], part), getattr(channel, part), err_msg=f"{name}.{part}"
            )


def test_warm_equals_batch_after_every_frame(frames, oracle):
    lifter = ff.Lifter(oracle, voxel_size_m=0.01, pixel=True, basis_frames=2)
    for number, frame in enumerate(frames):
        lifter.add(frame)
        if number == 3:
            continue  # two frames between two looks
        live, batch = lifter._live(), batch_field(lifter)
        assert len(live) == len(lifter) > 1000
        assert_equal(live, batch)
        anew = QuantizedVectors(batch.channels["semantic"].coefficients)
        queries = np.eye(anew._rows.view.shape[1], dtype=np.float32)
        np.testing.assert_array_equal(live.search_index.cosines(queries), anew.cosines(queries))
    assert_equal(lifter.field(), batch_field(lifter))


def test_a_frame_costs_the_voxels_that_it_touches(frames, oracle, monkeypatch):
    lifter = ff.Lifter(oracle, voxel_size_m=0.01, basis_frames=1)
    for frame in frames[:6]:
        lifter.add(frame)
    lifter.query("red box")
    renewed: list[int] = []
    update = QuantizedVectors.update

    def counting(self, rows, vectors, length):
        renewed.append(len(vectors))
        update(self, rows, vectors, length)

    monkeypatch.setattr(QuantizedVectors, "update", counting)
    lifter.query("red box")
    assert renewed == []  # a second question costs no voxel
    part = frames[6]
    depth = np.where(np.arange(part.width) < part.width // 4, part.depth_m, np.nan)
    lifter.add(ff.PosedFrame(part.rgb, depth, part.K, part.T_world_camera))
    lifter.query("red box")
    assert len(renewed) == 1 and 0 < renewed[0] < len(lifter) / 2


def test_answers_of_the_warm_field_are_those_of_its_copy(frames, oracle):
    lifter = ff.Lifter(oracle, voxel_size_m=0.01, basis_frames=1)
    for frame in frames:
        lifter.add(frame)
        warm = lifter.query("the <red box> and the <green ball>", threshold=0.4)
        cold = lifter.field().query("the <red box> and the <green ball>", oracle, threshold=0.4)
        assert warm.to_json() == cold.to_json() and warm.best_score == cold.best_score
    assert len(warm) == 2


def test_going_on_from_a_field_is_as_if_it_had_never_stopped(frames, oracle):
    first = ff.Lifter(oracle, voxel_size_m=0.01)
    for frame in frames[:6]:
        first.add(frame)
    saved = first.field()
    more = ff.Lifter(oracle, start=saved, voxel_size_m=0.5)  # the field's own size stays
    assert_equal(more.field(), saved)  # to the last bit, while nothing is added
    for frame in frames[6:]:
        first.add(frame)
        more.add(frame)
    want, got = first.field(), more.field()
    np.testing.assert_array_equal(got.ijk, want.ijk)
    np.testing.assert_array_equal(got.count, want.count)
    np.testing.assert_array_equal(got.channels["semantic"].basis, want.channels["semantic"].basis)
    np.testing.assert_allclose(got.points_world_m, want.points_world_m, atol=1e-5)
    coefficients = [f.channels["semantic"].coefficients.astype(np.float32) for f in (got, want)]
    np.testing.assert_allclose(*coefficients, atol=2e-3)  # the file's float16
    assert np.abs(got.colors.astype(int) - want.colors).max() <= 1
    assert got.provenance["frames"] == len(frames) and got.provenance["source"] == "merge"
    merged = saved.merge(ff.lift(frames[6:], oracle, voxel_size_m=0.01))
    assert set(map(tuple, merged.ijk)) == set(map(tuple, got.ijk))


def test_exception_going_on_with_another_model(room):
    from find_field.evaluation.oracle import OracleFind

    with pytest.raises(FieldError, match="made with model"):
        ff.Lifter(OracleFind(["mug"], embedding_dim=32), start=room)
