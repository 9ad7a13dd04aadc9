"""The renderer and the world on procedural shapes, small."""

from __future__ import annotations

import json

import numpy as np
import pytest

pytest.importorskip("mujoco", reason="rendering needs mujoco")

from training.tabletop import format as fmt
from training.tabletop.assets.palette import Camera, Light
from training.tabletop.language.scene_text import relations_of
from training.tabletop.scene.cameras import look_at
from training.tabletop.sequence import Actor, Script, rgbd_meta, stage, write_sequence


def test_scene_keeps_the_contract(small_world):
    rendered = small_world.scene("train", seed=1, index=0)
    assert fmt.check_scene(rendered.scene) == []
    assert rendered.rgb.shape == (72, 96, 3) and rendered.rgb.dtype == np.uint8
    assert rendered.ids.dtype == np.uint16
    listed = {i["id"]: i["visible_px"] for i in rendered.scene["instances"]}
    seen = dict(zip(*np.unique(rendered.ids[rendered.ids > 0], return_counts=True), strict=True))
    assert listed == {int(k): int(v) for k, v in seen.items()}


def test_same_seed_same_bytes(small_world):
    first = small_world.scene("train", seed=2, index=5)
    small_world.scene("train", seed=2, index=6)
    again = small_world.scene("train", seed=2, index=5)
    assert fmt.scene_line(first.scene) == fmt.scene_line(again.scene)
    assert np.array_equal(first.rgb, again.rgb) and np.array_equal(first.ids, again.ids)


def test_seeds_and_splits_differ(small_world):
    lines = {
        fmt.scene_line(small_world.scene(split, seed, 0).scene)
        for split in ("train", "val")
        for seed in (1, 2)
    }
    assert len(lines) == 4


def _setting(world, *actors, frames=1):
    script = Script(frames=frames, seed=3, camera="static", actors=list(actors), degraded=False)
    setting = stage(world, script)
    setting.camera = Camera(look_at(np.array([0, -0.5, 0.4]), np.array([0, 0, 0.02])), 40)
    setting.lights = [
        Light(
            np.array([0, 0, 2.0]),
            np.array([0, 0, -1.0]),
            np.full(3, 0.5),
            np.zeros(3),
            directional=True,
            castshadow=False,
        )
    ]
    world.show(setting)
    return setting


def test_depth_and_pose_agree_with_the_geometry(small_world):
    """Back-projected depth lands on the object's box, in the world frame."""
    setting = _setting(small_world, Actor("s-cube.0.brown", x=0.03, y=0.02))
    frame = small_world.palette.render(setting.camera)
    rows, cols = np.nonzero(frame.slots == 0)
    assert len(rows) > 20
    K = setting.camera.K(96, 72)
    rays = np.linalg.inv(K) @ np.stack([cols, rows, np.ones(len(rows))])
    points = setting.camera.T_world_camera[:3, :3] @ (rays * frame.depth_m[rows, cols])
    points = points.T + setting.camera.T_world_camera[:3, 3]
    half = small_world.gallery.geometries["s-cube.0"].extent_m()[0] / 2
    inside = np.abs(points - [0.03, 0.02, half]).max(1) < half + 0.004
    assert inside.mean() > 0.9
    assert points[:, 2].max() == pytest.approx(2 * half, abs=0.004)


def test_visibility_falls_when_something_stands_in_front(small_world):
    free = _setting(small_world, Actor("s-ball.0.blue", y=0.1))
    alone = small_world.instances(free, small_world.palette.render(free.camera))[0]
    hidden = _setting(
        small_world, Actor("s-ball.0.blue", y=0.1), Actor("s-cardbox.0.black", y=-0.02)
    )
    behind = [
        i
        for i in small_world.instances(hidden, small_world.palette.render(hidden.camera))
        if i["asset"] == "s-ball.0.blue"
    ]
    assert alone["visibility"] == pytest.approx(1, abs=0.05)
    assert not behind or behind[0]["visibility"] < 0.8


def test_the_paint_is_what_its_word_says(small_world):
    setting = _setting(small_world, Actor("s-ball.0.blue"))
    frame = small_world.palette.render(setting.camera)
    red, _, blue = frame.rgb[frame.slots == 0].mean(0)
    assert blue > 1.5 * red


def test_dropped_into_a_bowl_it_is_in_the_bowl(small_world):
    setting = _setting(small_world, Actor("s-bowl.0.blue"), Actor("s-ball.2.black", on=0))
    placed = setting.layout.placed[1]
    bowl = small_world.gallery.geometries["s-bowl.0"].extent_m()
    assert placed.inside and 0 < placed.floor_m < bowl[2]
    judged = relations_of(setting.layout, setting.camera.T_world_camera, {1, 2})
    assert (2, "in", 1) in judged.clear


def test_nothing_overlaps(small_world):
    from training.tabletop.scene.placement import gap_m

    setting = small_world.arrange("train", np.random.default_rng(0))
    standing = [p for p in setting.layout.placed if p.parent is None]
    for i, a in enumerate(standing):
        assert all(gap_m(a.outline_N2, b.outline_N2) > 0 for b in standing[i + 1 :])


def test_sequence_objects_come_and_go_with_one_id(small_world, tmp_path):
    script = Script(
        frames=4,
        seed=5,
        actors=[
            Actor("s-cube.0.brown", x=-0.08),
            Actor("s-ball.0.blue", x=0.08, appear=1, disappear=3),
        ],
    )
    scenes = write_sequence(small_world, script, tmp_path)
    balls = [[i["id"] for i in s["instances"] if i["asset"] == "s-ball.0.blue"] for s in scenes]
    assert balls == [[], [2], [2], []]
    assert all(fmt.check_scene(s) == [] for s in scenes)
    assert len(list(tmp_path.glob("*_depth.png"))) == 4


def test_sequence_moves_an_object(small_world):
    from training.tabletop.sequence import render_frames

    script = Script(
        frames=3,
        seed=5,
        camera="static",
        degraded=False,
        actors=[Actor("s-cube.0.brown", x=-0.1, to_x=0.1), Actor("s-ball.0.blue", y=0.1)],
    )
    x = [s["instances"][0]["center_world_m"][0] for s, *_ in render_frames(small_world, script)]
    assert x == pytest.approx([-0.1, 0, 0.1], abs=1e-4)


def test_rgbd_layout(small_world, tmp_path):
    script = Script(frames=2, seed=5)
    scenes = write_sequence(small_world, script, tmp_path, layout="rgbd")
    meta = json.loads((tmp_path / "meta.json").read_text())
    assert meta == json.loads(json.dumps(rgbd_meta(small_world, script, scenes)))
    assert len(list((tmp_path / "rgb").iterdir())) == len(meta["frames"]) == 2
    assert (tmp_path / "depth" / "000001.png").is_file()


@pytest.mark.parametrize("text, message", [("cube,size=3", "keys are"), ("cube,x=", "keys are")])
def test_actor_errors_say_what_to_do(text, message):
    with pytest.raises(ValueError, match=message):
        Actor.parse(text)


def test_unknown_asset_is_named(small_world):
    with pytest.raises(ValueError, match="--list"):
        stage(small_world, Script(actors=[Actor("unicorn")]))
