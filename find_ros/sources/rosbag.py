"""A recorded robot as a camera: colour, depth, calibration and pose out of a rosbag2, without ROS."""

from __future__ import annotations

from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from find_core.errors import FieldError
from find_core.video.sources.base import SourceError
from find_core.video.sources.image_encodings import DEPTH_ENCODINGS, ImageMessageError
from find_core.video.sources.rosbag import decode_message, open_bag
from find_field.io.frame_files import scaled_intrinsics
from find_ros.messages.camera_info import raw_matrix
from find_ros.messages.errors import UNUSABLE, MessageError, PoseError, check_same_frame
from find_ros.messages.images import compressed_to_rgb, depth_to_m
from find_ros.messages.poses import interpolate, pose_to_matrix
from find_ros.sources.base import PlayedFrame, Warn, say_nothing

IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO, TF = "sensor_msgs/msg/CameraInfo", "tf2_msgs/msg/TFMessage"
GREY_ENCODINGS = ("mono8", "8UC1", "mono16")
# How far apart the stamps of colour and depth may lie, and how many depths are kept for pairing.
PAIR_NS, KEPT_DEPTHS = 20_000_000, 8
FIRST_MESSAGES = 10  # of a topic, that may be damaged before it counts as empty


class BagCamera:
    """The first colour camera of a bag, with the depth, calibration and tf recorded beside it.

    Args:
        path: the bag's folder, or its .mcap or .db3 file. world_frame: of the poses.

    Raises:
        SourceError: not a bag, or no colour images in it.
    """

    is_live = False

    def __init__(self, path: Path, world_frame: str = "world", warn: Warn = say_nothing) -> None:
        self.path, self._warn = path, warn
        self.world_frame = world_frame
        with open_bag(self.path) as reader:
            self._colour, self._depth = _camera_topics(reader, self.path.name)
            self.frame_count: int | None = reader.topics[self._colour].msgcount
            self.duration_s: float | None = reader.duration * 1e-9
            infos = [c.topic for c in reader.connections if c.msgtype == INFO]
            self._info = _nearest_name(self._colour, infos)
            self._tree = _TfTree(reader)
        self.has_depth, self.has_pose = self._depth is not None, self._tree.has(world_frame)

    def frames(self) -> Iterator[PlayedFrame]:
        first_ns: int | None = None
        info: Any = None
        depths: deque[tuple[int, Any]] = deque(maxlen=KEPT_DEPTHS)
        waiting: deque[tuple[int, Any]] = deque()
        wanted = {self._colour, self._depth, self._info}
        with open_bag(self.path) as reader:
            connections = [c for c in reader.connections if c.topic in wanted]
            for connection, recorded_ns, raw in reader.messages(connections=connections):
                try:
                    msg = reader.deserialize(raw, connection.msgtype)
                except Exception as error:  # the parser's, of whatever kind
                    self._leave_out(f"a message on {connection.topic}", error)
                    continue
                if connection.topic == self._info:
                    info = msg
                    continue
                stamp_ns = (msg.header.stamp.sec * 10**9 + msg.header.stamp.nanosec) or recorded_ns
                (waiting if connection.topic == self._colour else depths).append((stamp_ns, msg))
                # Depth is often recorded after its image: an image waits for the next one.
                while waiting and (self._depth is None or len(waiting) > 1):
                    first_ns = waiting[0][0] if first_ns is None else first_ns
                    yield from self._frame(*waiting.popleft(), first_ns, depths, info)
            while waiting:
                first_ns = waiting[0][0] if first_ns is None else first_ns
                yield from self._frame(*waiting.popleft(), first_ns, depths, info)

    def _frame(
        self, stamp_ns: int, msg: Any, first_ns: int, depths: deque[tuple[int, Any]], info: Any
    ) -> Iterator[PlayedFrame]:
        """The frame, or none where its image cannot be read."""
        near = min(depths, key=lambda d: abs(d[0] - stamp_ns), default=None)
        paired = near is not None and abs(near[0] - stamp_ns) <= PAIR_NS
        depth_m = None
        try:
            if paired and near is not None:
                check_same_frame(near[1].header.frame_id, msg.header.frame_id)
                depth_m = depth_to_m(near[1])
        except UNUSABLE as error:  # it costs the depth, not the image
            self._leave_out("depth", error)
        try:
            image_rgb = decode_message(msg)
        except UNUSABLE as error:
            self._leave_out("an image", error)
            return
        K = self._intrinsics(info, (image_rgb.shape[0], image_rgb.shape[1]))
        pose = self._tree.lookup(self.world_frame, msg.header.frame_id, stamp_ns)
        yield PlayedFrame(image_rgb, (stamp_ns - first_ns) * 1e-9, depth_m, K, pose)

    def _intrinsics(self, info: Any, size: tuple[int, int]) -> np.ndarray | None:
        """(3, 3) of an image of `size` (H, W); None where none were recorded, or of no such image."""
        if info is None:
            return None
        try:
            own = int(info.height), int(info.width)
            return scaled_intrinsics(raw_matrix(info), own, size, f"an image on {self._colour}")
        except (MessageError, FieldError) as error:
            self._leave_out("camera_info", error)
            return None

    def _leave_out(self, what: str, error: Exception) -> None:
        self._warn(what, f"Left out of {self.path.name}: {what}: {error}")


def _camera_topics(reader: Any, name: str) -> tuple[str, str | None]:
    """(colour, depth or None). What a topic carries its messages tell, not its name."""
    found: dict[str, list[str]] = {"colour": [], "grey": [], "depth": []}
    for connection in reader.connections:
        if connection.msgtype in (IMAGE, COMPRESSED):
            kind = _kind_of(reader, connection)
            found.setdefault(kind, []).append(connection.topic)
    images = found["colour"] + found["grey"]
    if not images:
        raise SourceError(f"{name} has no colour images: record the camera's image topic.")
    # "aligned_depth_to_color" and the like before the depth camera's own view.
    depth = sorted(found["depth"], key=lambda t: ("aligned" not in t and "registered" not in t, t))
    return images[0], depth[0] if depth else None


def _kind_of(reader: Any, connection: Any) -> str:
    """What the first message of a topic that is whole carries; "none" where there is none."""
    for _, _, raw in islice(reader.messages(connections=[connection]), FIRST_MESSAGES):
        try:
            return _carries(reader.deserialize(raw, connection.msgtype))
        except Exception:  # the parser's, of whatever kind
            continue
    return "none"


def _carries(msg: Any) -> str:
    """ "colour", "grey", "depth" (raw), or "other": depth of a compressed topic, or nothing known."""
    if not hasattr(msg, "format"):
        if msg.encoding in DEPTH_ENCODINGS:
            return "depth"
        return "grey" if msg.encoding in GREY_ENCODINGS else "colour"
    try:
        compressed_to_rgb(msg)
    except ImageMessageError:
        return "other"
    return "grey" if msg.format.startswith(GREY_ENCODINGS) else "colour"


def _nearest_name(topic: str, candidates: list[str]) -> str | None:
    """The candidate that shares the longest beginning with `topic`."""

    def shared(other: str) -> int:
        same = [a == b for a, b in zip(topic, other, strict=False)]
        return same.index(False) if False in same else len(same)

    return max(candidates, key=shared, default=None)


class _TfTree:
    """All transforms of a bag, by child frame."""

    def __init__(self, reader: Any) -> None:
        self._static: dict[str, tuple[str, np.ndarray]] = {}
        moving: dict[str, tuple[str, list[tuple[int, np.ndarray]]]] = {}
        connections = [c for c in reader.connections if c.msgtype == TF]
        for connection, _, raw in reader.messages(connections=connections) if connections else ():
            try:
                transforms = reader.deserialize(raw, TF).transforms
            except Exception:  # the parser's, of whatever kind: it costs itself alone
                continue
            for t in transforms:
                try:
                    T = pose_to_matrix(t.transform.translation, t.transform.rotation)
                except PoseError:
                    continue  # it costs itself alone
                stamp_ns = t.header.stamp.sec * 10**9 + t.header.stamp.nanosec
                if connection.topic.endswith("static"):
                    self._static[t.child_frame_id] = (t.header.frame_id, T)
                else:
                    known = moving.setdefault(t.child_frame_id, (t.header.frame_id, []))
                    known[1].append((stamp_ns, T))
        self._moving = {child: (parent, sorted(poses, key=lambda p: p[0]))
                        for child, (parent, poses) in moving.items()}  # fmt: skip

    def has(self, frame: str) -> bool:
        """Whether anything hangs below `frame`."""
        return any(
            parent == frame for parent, _ in [*self._static.values(), *self._moving.values()]
        )

    def lookup(self, target: str, frame: str, stamp_ns: int) -> np.ndarray | None:
        """(4, 4) T_target_frame up the tree, or None where it is not known at that time."""
        T, seen = np.eye(4), set()
        while frame != target:
            if frame in seen:
                return None  # a loop is no tree
            seen.add(frame)
            try:
                parent, own = self._step(frame, stamp_ns)
            except (PoseError, KeyError):
                return None
            T, frame = own @ T, parent
        return _orthonormal(T)

    def _step(self, frame: str, stamp_ns: int) -> tuple[str, np.ndarray]:
        if frame in self._static:
            return self._static[frame]
        parent, poses = self._moving[frame]
        after = bisect_right(poses, stamp_ns, key=lambda pose: pose[0])
        return parent, interpolate(poses[max(0, after - 2) : after + 2], stamp_ns)


def _orthonormal(T: np.ndarray) -> np.ndarray:
    """Rounding of several products taken out of the rotation."""
    T = T.copy()
    T[:3, :3] = Rotation.from_matrix(T[:3, :3]).as_matrix()
    return T
