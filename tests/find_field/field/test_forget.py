"""Free space: what a frame sees through is forgotten, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import find_field as ff
from find_field.evaluation import moves
from find_field.evaluation.toy_world import ToyObject, World, look_at, sample_world
from find_field.field.quantized import QuantizedVectors
from find_field.field.tables import RowRanges, VoxelIndex
from find_field.field.voxels import neighbours, pack, unpack
from find_field.geometry.free_space import FreeSpace
from tests.find_field.field.test_fusion import assert_equal, batch_field

K = np.array([[100.0, 0, 49.5], [0, 100, 39.5], [0, 0, 1]])


def space(depth_m, T=np.eye(4), slack_m=0.01, noise_per_m=0.0, edge_px=2):
    return FreeSpace(depth_m, K, T, slack_m=slack_m, noise_per_m=noise_per_m, edge_px=edge_px)


def test_a_ray_passes_through_what_is_clearly_before_its_surface():
    wall = space(np.full((80, 100), 2.0))
    points = np.array(
        [[0, 0, 1.0], [0, 0, 1.98], [0, 0, 1.995], [0, 0, 2.5], [0, 0, -1], [3, 0, 1]]
    )
    assert wall.through(points).tolist() == [True, True, False, False, False, False]
    assert wall.through(points, closer_m=0.02).tolist() == [True, True, True, False, False, False]
    noisy = space(np.full((80, 100), 2.0), noise_per_m=0.1)
    assert noisy.through(points)[:2].tolist() == [True, False]


def test_edges_thin_things_and_the_unknown_are_spared():
    depth = np.full((80, 100), 2.0)
    depth[:, 50] = 1.0  # a pole of one pixel
    at = lambda px: np.array([[(px - 49.5) / 100, 0, 1.0]])  # noqa: E731
    for px, free in ((50, False), (52, False), (48, False), (53, True), (47, True)):
        assert space(depth).through(at(px))[0] == free
    assert space(depth).through(at(52), narrow=True)[0]
    depth[:, 50] = np.nan
    assert not space(depth).through(at(51))[0] and space(depth).through(at(53))[0]


def test_a_slanted_surface_does_not_see_through_itself():
    """The slow twin of a table seen grazingly: its own points, at every pixel."""
    world = World([])
    T = look_at(np.array([0.9, 0.1, 0.15]), np.zeros(3))
    _, depth, labels = world.render(K, T, (80, 100))
    rows, cols = np.nonzero(labels == 1)
    z = depth[rows, cols].astype(float)
    points = np.stack([(cols - K[0, 2]) / 100 * z, (rows - K[1, 2]) / 100 * z, z], 1)
    points = points @ T[:3, :3].T + T[:3, 3]
    free = space(np.where(depth > 0, depth, np.nan), T, slack_m=0.002)
    assert len(points) > 500 and not free.through(points).any()
    assert free.through(points + 0.9 * (T[:3, 3] - points)).mean() > 0.5


def test_room_is_left_for_as_much_as_an_image_disagrees():
    """Of exact points of the table less, so that what lies low over it is seen through; of noisy ones all."""
    T = look_at(np.array([0.6, 0.1, 0.6]), np.zeros(3))
    _, depth, labels = World([]).render(K, T, (80, 100))
    rows, cols = np.nonzero(labels == 1)
    z = depth[rows, cols].astype(float)
    points = np.stack([(cols - K[0, 2]) / 100 * z, (rows - K[1, 2]) / 100 * z, z], 1)
    points = points @ T[:3, :3].T + T[:3, 3]
    low = np.array([[0.0, 0.0, 0.03]])
    noise = np.random.default_rng(0).normal(0, 0.012, points.shape)
    for seen, through in ((points[:0], False), (points, True), (points + noise, False)):
        free = space(np.where(depth > 0, depth, np.nan), T, 0.002, 0.03, 3)
        free.settle(seen)
        assert free.through(low)[0] == through
        assert not free.through(points).any()


def test_a_low_box_that_was_taken_is_forgotten():
    box = ToyObject("red box", (0.0, 0.0, 0.0125), (0.12, 0.09, 0.025), 0.3)
    full, empty = World([box]), World([])
    oracle = full.oracle()
    frames = full.frames(8, (240, 320), oracle=oracle)
    lifter = ff.Lifter(oracle, voxel_size_m=0.01, basis_frames=1)
    for frame in frames:
        lifter.add(frame)
    assert len(lifter.query("red box")) == 1
    for frame in empty.frames(12, (240, 320), oracle=oracle):
        lifter.add(frame)
    assert not lifter.query("red box")


def test_rows_are_taken_out_of_the_index():
    rng = np.random.default_rng(0)
    ijk = np.unique(rng.integers(-9, 9, (400, 3)), axis=0)
    keys = rng.permutation(pack(ijk))
    for share in (0.1, 0.5, 1.0):
        index = VoxelIndex(keys)
        gone = rng.permutation(len(keys))[: int(share * len(keys))]
        moved, holes = index.remove(gone)
        table = keys.copy()
        table[holes] = table[moved]
        left = table[: len(keys) - len(gone)]
        np.testing.assert_array_equal(np.sort(left), np.sort(np.delete(keys, gone)))
        np.testing.assert_array_equal(index.find(left), np.arange(len(left)))
        assert len(index) == len(left) and (index.find(keys[gone]) == -1).all()


def test_only_what_a_frame_may_see_through_is_asked(taken, monkeypatch):
    """The same field, to the last bit, as when all voxels are asked."""
    _, oracle, before, after = taken
    monkeypatch.setattr(RowRanges, "ROWS", 16)
    asked, fields = [], []
    plain = FreeSpace.near
    for near in (plain, lambda self, low, high: np.arange(len(low))):
        monkeypatch.setattr(
            FreeSpace, "near", lambda *a, near=near: asked.append(near(*a)) or asked[-1]
        )
        fields.append(ff.lift([*before, *after], oracle, voxel_size_m=0.01, basis_frames=1))
    assert_equal(*fields)
    assert sum(map(len, asked[: len(asked) // 2])) < sum(map(len, asked[len(asked) // 2 :]))


def test_a_box_that_may_hold_free_points_is_near():
    rng = np.random.default_rng(4)
    T = look_at(np.array([0.9, 0.1, 0.5]), np.zeros(3))
    free = space(np.full((80, 100), 1.5, np.float32), T)
    points = rng.uniform(-1.5, 1.5, (4000, 3))
    size = rng.uniform(0, 0.2, (4000, 3))
    near = np.zeros(4000, bool)
    near[free.near(points - size, points + size)] = True
    through = free.through(points)
    assert through.sum() > 50 and near[through].all() and near.mean() < 0.5


def test_neighbours_are_the_27():
    near = unpack(neighbours(pack(np.array([[3, -1, 0]]))))
    assert len(near) == 27 and np.abs(near - [3, -1, 0]).max() == 1


@pytest.fixture(scope="module")
def taken():
    """A world before and after its first object was taken."""
    world = sample_world(seed=1, count=4)
    without, oracle = World(world.things[1:]), world.oracle()
    before = world.frames(8, (90, 120), oracle=oracle)
    return world, oracle, before, without.frames(8, (90, 120), oracle=oracle)


def test_the_warm_field_is_the_batch_field_while_things_go(taken):
    _, oracle, before, after = taken
    lifter = ff.Lifter(oracle, voxel_size_m=0.01, pixel=True, basis_frames=1)
    counts = []
    for frame in [*before, *after]:
        lifter.add(frame)
        live, batch = lifter._live(), batch_field(lifter)
        assert_equal(live, batch)
        anew = QuantizedVectors(batch.channels["semantic"].coefficients)
        queries = np.eye(anew._rows.view.shape[1], dtype=np.float32)
        np.testing.assert_array_equal(live.search_index.cosines(queries), anew.cosines(queries))
        counts.append(len(live))
    assert min(np.diff(counts)) < -50, "nothing went"
    once = ff.lift([*before, *after], oracle, voxel_size_m=0.01, pixel=True, basis_frames=1)
    assert_equal(lifter.field(), once)


def test_can_be_switched_off(taken):
    world, oracle, before, after = taken
    fields = [
        ff.lift([*before, *after, *after], oracle, voxel_size_m=0.01, forget=f) for f in (0, 1)
    ]
    assert [bool(f.query(world.things[0].name, oracle)) for f in fields] == [True, False]


def test_the_older_frame_takes_nothing_away(taken):
    """Frames that come late, by their stamps, say nothing of what was confirmed since."""
    world, oracle, before, after = taken
    name = world.things[0].name
    stamped = lambda frames, start: [replace(f, stamp_ns=start + i) for i, f in enumerate(frames)]  # noqa: E731
    late = [*stamped(before, 1000), *stamped(after, 0), *stamped(after, 10)]
    assert ff.lift(late, oracle, voxel_size_m=0.01).query(name, oracle)
    in_time = [*stamped(before, 1000), *stamped(after, 2000), *stamped(after, 3000)]
    assert not ff.lift(in_time, oracle, voxel_size_m=0.01).query(name, oracle)


def test_a_hit_says_when_it_was_last_seen(taken, tmp_path):
    """Of an object that the later frames do not show; also from a file, and of both in a merge."""
    world, oracle, before, after = taken
    name, other = world.things[0].name, world.things[1].name
    frames = [replace(f, stamp_ns=10 * (i + 1)) for i, f in enumerate([*before, *after])]
    field = ff.lift(frames, oracle, voxel_size_m=0.01, forget=False)
    old, kept = field.query(name, oracle)[0], field.query(other, oracle)[0]
    assert old.last_seen_ns == 80 and 140 <= kept.last_seen_ns <= 160
    assert 1 < old.times_seen <= 8 and 4 < kept.times_seen <= 16
    assert not field.query(name, oracle, seen_since_ns=81) and field.query(
        name, oracle, seen_since_ns=80
    )
    assert field.query(other, oracle, seen_since_ns=81)[0].to_json() == kept.to_json()
    again = ff.load(field.save(tmp_path / "a.field"))
    assert again.query(name, oracle)[0].to_json() == old.to_json()
    both = again.merge(ff.lift(frames[8:], oracle, voxel_size_m=0.01, basis_frames=1))
    assert both.query(name, oracle)[0].last_seen_ns == 80
    assert both.query(other, oracle)[0].times_seen > kept.times_seen
    unstamped = ff.lift(before, oracle, voxel_size_m=0.01).query(name, oracle)[0]
    assert unstamped.last_seen_ns is None and unstamped.times_seen > 0
    assert not ff.lift(before, oracle, voxel_size_m=0.01).query(name, oracle, seen_since_ns=0)


def test_exact_worlds_follow():
    figures = moves.toy(range(2), (120, 160))
    assert figures["static_equal"] and figures["others_found"]
    assert figures["static_voxels"] > 20_000 and figures["static_voxels_lost"] == 0
    assert max(figures["taken_gone_after"]) <= 12 and max(figures["moved_gone_after"]) <= 12
    assert max(figures["moved_found_after"]) <= 2


def test_a_room_keeps_its_surface(tmp_path, world, oracle):
    """The room's figure on a folder whose depth has a Kinect's noise."""
    from tests.find_field.folders import write_sequence

    rng = np.random.default_rng(0)
    noisy = [
        replace(f, depth_m=(f.depth_m + rng.normal(0, 0.003, f.depth_m.shape) * f.depth_m**2).astype(np.float32))
        for f in world.frames(12, (120, 160))
    ]  # fmt: skip
    figures = moves.room(write_sequence(tmp_path, noisy), voxel_size_m=0.01)
    assert figures["surface_kept"] >= 0.99 and figures["surface_voxels"] > 5000
