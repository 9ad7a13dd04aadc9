"""The localizer's places: the same object gets the same box as from a field of the same view."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sensor_msgs", reason="ROS messages are not installed (pip install .[ros])")

from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

import find_field as ff
from find_core.results import Entity, Instance, Localization, box_of_mask
from find_field.evaluation.toy_world import sample_world
from find_field.geometry.boxes import box_iou, inside_box
from find_field.geometry.pinhole import transform
from find_ros.messages import objects_3d
from find_ros.messages.geometry import Intrinsics
from find_ros.messages.objects_3d import UP_OPTICAL, SpatialObject, spatial_objects


@pytest.fixture(scope="module")
def seen():
    """(world, its oracle, one view of it, labels (H, W))."""
    world = sample_world(seed=3, count=5)
    oracle = world.oracle()
    frame = world.frames(1, (240, 320), oracle=oracle)[0]
    labels = world.render(frame.K, frame.T_world_camera, (240, 320))[2]
    return world, oracle, frame, labels


def localized(world, labels) -> Localization:
    entities = []
    for number, thing in enumerate(world.things):
        mask = labels == number + 2
        found = (0.9, mask, box_of_mask(mask), np.zeros(4, np.float32))
        instances = (Instance(*found, track_id=number),)
        entities.append(Entity(*found, label=thing.name, found=True, instances=instances))
    return Localization(0.9, tuple(entities), *labels.shape)


def places(seen, T_out_camera, up=objects_3d.UP) -> list[SpatialObject]:
    world, _, frame, labels = seen
    depth_m = np.nan_to_num(frame.depth_m)
    intrinsics = Intrinsics(frame.K, None, *labels.shape)
    return spatial_objects(localized(world, labels), depth_m, intrinsics, T_out_camera, 0, up)


def test_one_object_one_box(seen):
    """As a field of the same view has it, but for the rim of round things: a field drops what is
    seen grazingly."""
    _, oracle, frame, _ = seen
    field = ff.lift([frame], oracle, voxel_size_m=0.005)
    found = places(seen, frame.T_world_camera)
    assert len(found) > 2
    for place in found:
        hit = field.query(place.label, oracle)[0]
        np.testing.assert_allclose(place.center_m, hit.T_world_object[:3, 3], atol=0.01)
        np.testing.assert_allclose(place.extent_m, hit.extent_m, atol=0.015)
        if place.label.endswith("box"):
            ours = place.T_out_object, place.extent_m
            assert box_iou(ours, (hit.T_world_object, hit.extent_m)) > 0.75, place.label


def test_json_keeps_its_box_along_the_axes(seen):
    """center_m and extent_m hold the oriented box, which stands in keys of its own."""
    frame = seen[2]
    found = places(seen, frame.T_world_camera)
    for place, data in zip(found, objects_3d.objects_to_json(found, "world"), strict=True):
        T, extent = np.array(data["T_frame_object"]), np.array(data["object_extent_m"])
        np.testing.assert_allclose(T[:3, 3], data["center_m"], atol=1e-3)
        np.testing.assert_allclose(T[:3, 2], (0, 0, 1), atol=1e-6)
        corners = np.array([[(i >> a & 1) - 0.5 for a in range(3)] for i in range(8)]) * extent
        spans = np.ptp(corners @ T[:3, :3].T, axis=0)
        np.testing.assert_allclose(data["extent_m"], spans, atol=1e-3)
        assert inside_box(place.points_m, T, extent + 1e-3).mean() > 0.95  # JSON is rounded


def test_markers_are_the_boxes(seen):
    frame = seen[2]
    found = places(seen, frame.T_world_camera)
    shown = objects_3d.objects_to_markers(found, Header(frame_id="world"), "ns").markers[1::2]
    assert len(shown) == len(found) > 2
    for marker, place in zip(shown, found, strict=True):
        q = marker.pose.orientation
        R = Rotation.from_quat([q.x, q.y, q.z, q.w]).as_matrix()
        np.testing.assert_allclose(R, place.T_out_object[:3, :3], atol=1e-6)
        np.testing.assert_allclose(
            [marker.scale.x, marker.scale.y, marker.scale.z], place.extent_m, atol=1e-6
        )


def test_boxes_of_a_camera_stand_upright_in_its_image(seen):
    frame = seen[2]
    world = {p.label: p for p in places(seen, frame.T_world_camera)}
    for place in places(seen, np.eye(4), UP_OPTICAL):
        np.testing.assert_allclose(place.T_out_object[:3, 2], UP_OPTICAL, atol=1e-9)
        moved = transform(frame.T_world_camera, place.center_m)
        assert np.linalg.norm(moved - world[place.label].center_m) < 0.05


@pytest.mark.parametrize("max_points", [0, 300])
@pytest.mark.parametrize("sparse", [1, 4])
def test_silhouettes_and_background_are_left_out(max_points, sparse):
    """A mask a few pixels too large, over an edge that the camera has smeared, at any density."""
    K = np.array([[200.0, 0, 64], [0, 200, 48], [0, 0, 1]])
    depth_m, mask = np.full((96, 128), 2.0, np.float32), np.zeros((96, 128), bool)
    depth_m[20:70, 30:80] = 1.0
    depth_m[20:70, 80] = 1.4
    mask[20:70, 30:84] = True
    depth_m[np.arange(96) % sparse != 0] = 0
    instance = Instance(0.9, mask, box_of_mask(mask), np.zeros(4, np.float32))
    entity = Entity(0.9, mask, instance.box_xyxy, instance.embedding, label="it", found=True,
                    instances=(instance,))  # fmt: skip
    (place,) = spatial_objects(Localization(0.9, (entity,), 96, 128), depth_m,
                               Intrinsics(K, None, 96, 128), np.eye(4), max_points, UP_OPTICAL)  # fmt: skip
    np.testing.assert_array_equal(place.points_m[:, 2], 1.0)
    expected = (mask & (depth_m == 1)).sum() / (mask & (depth_m > 0)).sum()
    kept = len(place.points_m) / min((mask & (depth_m > 0)).sum(), max_points or 10**6)
    assert kept == pytest.approx(expected, abs=0.02)
