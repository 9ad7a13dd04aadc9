from __future__ import annotations

import numpy as np

from find_field.io.export import heat_colors
from find_field.io.render import draw_hits, overlay, reproject, top_view


def test_reprojected_labels_agree_with_the_view(world, frames, room, oracle):
    """Relevancy seen through a camera lies where the ray caster says the thing is."""
    view = frames[0]
    labels = world.render(view.K, view.T_world_camera, view.rgb.shape[:2])[2]
    values = room.relevancy("red box", oracle)[0]
    heat = reproject(room, values, view.K, view.T_world_camera, labels.shape)[..., 0]
    truth, found = labels == 2, np.nan_to_num(heat) > 0.5
    assert truth.sum() > 50
    assert (truth & found).sum() / (truth | found).sum() > 0.65


def test_reprojection_keeps_the_nearest(room, frames):
    """Against a slow twin: every voxel's square drawn from far to near."""
    view = frames[1]
    few = room.crop(np.arange(0, len(room), 40))
    values = np.arange(len(few), dtype=np.float32)
    got = reproject(few, values, view.K, view.T_world_camera, (60, 80))[..., 0]
    want = np.full((60, 80), np.nan, np.float32)
    T = np.linalg.inv(view.T_world_camera)
    points = few.points_world_m.astype(float) @ T[:3, :3].T + T[:3, 3]
    for row in np.argsort(-points[:, 2]):
        x, y, z = points[row]
        u, v = np.rint([view.K[0, 0] * x / z + view.K[0, 2], view.K[1, 1] * y / z + view.K[1, 2]])
        r = int(min(np.ceil(few.voxel_size_m * view.K[0, 0] / z / 2), 12))
        top, left = int(v) - r, int(u) - r
        want[max(top, 0) : max(top + 2 * r + 1, 0), max(left, 0) : max(left + 2 * r + 1, 0)] = row
    np.testing.assert_array_equal(got, want)
    assert np.isfinite(got).sum() > 500


def test_top_view_shows_things_where_they_are(world, room, oracle):
    values = room.relevancy("red box", oracle)[0]
    picture = top_view(room, heat_colors(values), width_px=300).astype(int)
    red = (picture[..., 0] > 100) & (picture[..., 2] < 60)
    low, high = np.quantile(room.points_world_m[:, :2], [0.002, 0.998], axis=0)
    v, u = np.argwhere(red).mean(0)
    xy = low[0] + (u + 0.5) / 300 * (high - low)[0], high[1] - (v + 0.5) / 300 * (high - low)[0]
    assert np.linalg.norm(np.array(xy) - world.things[0].centre_m[:2]) < 0.02
    assert (top_view(room, hits=room.query("red box", oracle), width_px=300) != picture).any()


def test_drawings_leave_the_picture_alone(frames, room, oracle):
    view = frames[0]
    before = view.rgb.copy()
    drawn = draw_hits(view.rgb, room.query("red box", oracle), view.K, view.T_world_camera)
    assert (drawn != before).any() and (view.rgb == before).all()
    assert overlay(view.rgb, np.full(view.rgb.shape[:2], np.nan)).shape == view.rgb.shape
