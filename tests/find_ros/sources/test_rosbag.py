"""A bag written by rosbags, read back as a camera."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("rosbags", reason="rosbags is not installed (pip install .[video])")
pytest.importorskip("sensor_msgs", reason="ROS messages are not installed (pip install .[ros])")

from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore
from scipy.spatial.transform import Rotation

from find_core.errors import FindError
from find_ros.sources.open import open_player_source
from tests.find_ros.harness import HEIGHT, WIDTH, scene

STORE = get_typestore(Stores.ROS2_HUMBLE)
START_NS, PERIOD_NS = 10**18, 100_000_000


def T_base_camera() -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("x", -90, degrees=True).as_matrix()
    T[:3, 3] = 0.1, 0, 0.5
    return T


def T_map_base(n: float) -> np.ndarray:
    T = np.eye(4)
    T[:3, :3] = Rotation.from_euler("z", 10 * n, degrees=True).as_matrix()
    T[:3, 3] = n, 0, 0
    return T


def make(name: str, **fields):
    return STORE.types[name](**fields)


def header(stamp_ns: int, frame: str):
    stamp = make("builtin_interfaces/msg/Time", sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    return make("std_msgs/msg/Header", stamp=stamp, frame_id=frame)


def image(pixels: np.ndarray, encoding: str, stamp_ns: int):
    data = np.frombuffer(np.ascontiguousarray(pixels).tobytes(), np.uint8)
    return make(
        "sensor_msgs/msg/Image", header=header(stamp_ns, "optical"), height=HEIGHT, width=WIDTH,
        encoding=encoding, is_bigendian=0, step=len(data) // HEIGHT, data=data,
    )  # fmt: skip


def transform(parent: str, child: str, T: np.ndarray, stamp_ns: int):
    x, y, z, w = Rotation.from_matrix(T[:3, :3]).as_quat()
    own = make(
        "geometry_msgs/msg/Transform",
        translation=make("geometry_msgs/msg/Vector3", x=T[0, 3], y=T[1, 3], z=T[2, 3]),
        rotation=make("geometry_msgs/msg/Quaternion", x=x, y=y, z=z, w=w),
    )
    stamped = make(
        "geometry_msgs/msg/TransformStamped",
        header=header(stamp_ns, parent), child_frame_id=child, transform=own,
    )  # fmt: skip
    return make("tf2_msgs/msg/TFMessage", transforms=[stamped])


def info(stamp_ns: int, fx: float):
    roi = make(
        "sensor_msgs/msg/RegionOfInterest",
        x_offset=0,
        y_offset=0,
        height=0,
        width=0,
        do_rectify=False,
    )
    return make(
        "sensor_msgs/msg/CameraInfo", header=header(stamp_ns, "optical"), height=HEIGHT, width=WIDTH,
        distortion_model="plumb_bob", d=np.zeros(5), k=np.array([fx, 0, 48, 0, fx, 36, 0, 0, 1.0]),
        r=np.eye(3).ravel(), p=np.zeros(12), binning_x=0, binning_y=0, roi=roi,
    )  # fmt: skip


@pytest.fixture(params=[StoragePlugin.SQLITE3, StoragePlugin.MCAP], ids=["sqlite3", "mcap"])
def bag(request, tmp_path):
    path = tmp_path / "run"
    with Writer(path, version=9, storage_plugin=request.param) as writer:
        topics = {
            "/camera/color/image_raw": "sensor_msgs/msg/Image",
            "/camera/depth/image": "sensor_msgs/msg/Image",
            "/camera/color/camera_info": "sensor_msgs/msg/CameraInfo",
            "/other/camera_info": "sensor_msgs/msg/CameraInfo",
            "/tf": "tf2_msgs/msg/TFMessage",
            "/tf_static": "tf2_msgs/msg/TFMessage",
        }
        opened = {t: writer.add_connection(t, k, typestore=STORE) for t, k in topics.items()}

        def write(topic, at_ns, msg):
            writer.write(opened[topic], at_ns, STORE.serialize_cdr(msg, topics[topic]))

        write("/tf_static", START_NS, transform("base", "optical", T_base_camera(), 0))
        for n in range(5):
            at = START_NS + n * PERIOD_NS
            write("/tf", at, transform("map", "base", T_map_base(n), at))
            write("/other/camera_info", at, info(at, 1.0))
            write("/camera/color/camera_info", at, info(at, 90.0))
            # Pictures lie between two transforms; depth is recorded a little after its picture.
            stamp = at + PERIOD_NS // 2
            write("/camera/color/image_raw", stamp, image(scene(n), "rgb8", stamp))
            depth = np.full((HEIGHT, WIDTH), 1000 + n, np.uint16)
            write("/camera/depth/image", stamp + 1000, image(depth, "16UC1", stamp))
    return path


def test_feature(bag):
    source = open_player_source(str(bag), world_frame="map")
    assert source.has_depth and source.has_pose and source.frame_count == 5
    frames = list(source.frames())
    assert [f.time_s for f in frames] == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])
    for n, frame in enumerate(frames):
        assert (frame.image_rgb == scene(n)).all() and frame.K[0, 0] == 90
        assert frame.depth_m[3, 3] == pytest.approx(1 + n / 1000)
        if n < 4:
            want = T_map_base(n + 0.5) @ T_base_camera()
            np.testing.assert_allclose(frame.T_world_camera, want, atol=1e-6)
    assert frames[4].T_world_camera is None, "after the last transform nothing is known"


def test_a_frame_nobody_speaks_of(bag):
    source = open_player_source(str(bag), world_frame="moon")
    assert not source.has_pose
    assert all(f.T_world_camera is None for f in source.frames())


def test_exception(tmp_path):
    (tmp_path / "metadata.yaml").write_text("nonsense")
    with pytest.raises(FindError, match="Cannot read the bag"):
        open_player_source(str(tmp_path))


def record(path, topics: dict[str, list], kinds: dict[str, str] | None = None) -> None:
    """A bag of topics with their messages, one each `PERIOD_NS`; kinds: where the first is bytes."""
    with Writer(path, version=9, storage_plugin=StoragePlugin.SQLITE3) as writer:
        for topic, messages in topics.items():
            kind = kinds[topic] if kinds else messages[0].__msgtype__
            connection = writer.add_connection(topic, kind, typestore=STORE)
            for n, msg in enumerate(messages):
                raw = msg if isinstance(msg, bytes) else STORE.serialize_cdr(msg, kind)
                writer.write(connection, START_NS + n * PERIOD_NS, raw)


def compressed(pixels: np.ndarray, format_name: str):
    data = cv2.imencode(".png", pixels)[1]
    return make("sensor_msgs/msg/CompressedImage", header=header(START_NS, "optical"),
                format=format_name, data=data)  # fmt: skip


def colour(n: int = 0, frame: str = "optical"):
    msg = image(scene(n), "rgb8", START_NS + n * PERIOD_NS)
    msg.header.frame_id = frame
    return msg


DEPTH = np.full((HEIGHT, WIDTH), 1000, np.uint16)


@pytest.mark.parametrize(
    "others",
    [
        {"/a/depth": [image(DEPTH, "16UC1", START_NS)]},
        {"/a/image/compressed": [compressed(DEPTH, "16UC1; png")]},
        {"/a/image/compressed": [compressed(DEPTH, "16UC1; compressedDepth png")]},
        {"/a/infra": [image(scene()[..., 0], "mono8", START_NS)]},
    ],
    ids=["raw depth", "depth as png", "compressedDepth", "grey"],
)
def test_colour_is_chosen_by_what_a_topic_carries(tmp_path, others):
    """Whatever the topics are called, and in whatever order they were recorded."""
    record(tmp_path / "bag", others | {"/z/colour": [colour()]})
    [frame] = open_player_source(str(tmp_path / "bag")).frames()
    assert (frame.image_rgb == scene()).all()


def test_a_bad_message_costs_itself(tmp_path):
    """A broken image, bytes that are no message, a transform without a rotation."""
    lost = transform("map", "optical", np.eye(4), START_NS + PERIOD_NS)
    lost.transforms[0].transform.rotation.w = 0.0
    broken = colour(1)
    broken.step = 3
    good = [transform("map", "optical", np.eye(4), START_NS), lost]
    good.append(transform("map", "optical", np.eye(4), START_NS + 2 * PERIOD_NS))
    record(tmp_path / "bag", {"/image": [colour(), broken, colour(2), colour(3)], "/tf": good})
    told: list[tuple[str, str]] = []
    source = open_player_source(
        str(tmp_path / "bag"), world_frame="map", warn=lambda *about: told.append(about)
    )
    frames = list(source.frames())
    assert [round(f.time_s * 10) for f in frames] == [0, 2, 3]
    assert len(told) == 1 and "Left out of bag: an image: Step 3" in told[0][1]
    assert frames[0].T_world_camera is not None and frames[2].T_world_camera is None


def test_depth_of_another_frame_is_no_depth(tmp_path):
    told: list[tuple[str, str]] = []
    record(tmp_path / "bag", {"/image": [colour(frame="colour")],
                              "/depth": [image(DEPTH, "16UC1", START_NS)]})  # fmt: skip
    source = open_player_source(str(tmp_path / "bag"), warn=lambda *about: told.append(about))
    [frame] = source.frames()
    assert frame.depth_m is None and "depth is in optical, the image in colour" in told[0][1]


def test_damaged_beginnings_cost_themselves(tmp_path):
    """Bytes that are no message at the begin of an image topic and among the transforms."""
    T = transform("map", "optical", np.eye(4), START_NS)
    later = transform("map", "optical", np.eye(4), START_NS + PERIOD_NS)
    kinds = {"/z/image": "sensor_msgs/msg/Image", "/tf": "tf2_msgs/msg/TFMessage"}
    topics = {"/z/image": [b"\0\1\0\0", colour(), colour(1)],
              "/tf": [b"\0\1\0\0\xff\xff", T, later]}  # fmt: skip
    record(tmp_path / "damaged", topics, kinds)
    told: list[tuple[str, str]] = []
    source = open_player_source(
        str(tmp_path / "damaged"), world_frame="map", warn=lambda *about: told.append(about)
    )
    frames = list(source.frames())
    assert len(frames) == 2 and all(f.T_world_camera is not None for f in frames)
    assert len(told) == 1 and "a message on /z/image" in told[0][0]


@pytest.mark.parametrize(
    ("change", "focal_px"),
    [({}, 90.0), ({"height": 2 * HEIGHT, "width": 2 * WIDTH}, 45.0), ({"width": 2 * WIDTH}, None),
     ({"k": np.zeros(9)}, None), ({"k": np.full(9, np.nan)}, None), ({"height": 0, "width": 0}, None)],
)  # fmt: skip
def test_intrinsics_belong_to_one_size(tmp_path, change, focal_px):
    """Scaled where the shape is the image's; else left out and told, not used."""
    own = info(START_NS, 90.0)
    for name, value in change.items():
        setattr(own, name, value)
    told: list[tuple[str, str]] = []
    record(tmp_path / "bag", {"/camera_info": [own], "/image": [colour()]})
    source = open_player_source(str(tmp_path / "bag"), warn=lambda *about: told.append(about))
    [frame] = source.frames()
    if focal_px is None:
        assert frame.K is None and "camera_info" in told[0][1]
    else:
        assert frame.K[0, 0] == pytest.approx(focal_px) and not told
