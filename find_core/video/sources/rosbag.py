"""Frames of a ROS 2 bag (rosbag2, sqlite3 or mcap) or a ROS 1 bag, read without ROS."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from find_core.errors import FindError
from find_core.support.printable import shown
from find_core.video.sources.base import Clock, SourceError, SourceFrame, log, thin
from find_core.video.sources.image_encodings import (
    ImageMessageError,
    decode_compressed,
    decode_rgb,
)

IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")


@contextmanager
def open_bag(path: Path) -> Iterator[Any]:
    """An open `rosbags.highlevel.AnyReader`, for a `with` statement.

    Args:
        path: the bag's folder, its .db3 or .mcap file in that folder, or a ROS 1 .bag file.

    Raises:
        SourceError: not a bag, or a damaged one; also when that shows only while it is read.
    """
    try:
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore
    except ImportError:
        raise SourceError("Reading bags needs rosbags: pip install rosbags.") from None
    folder = path.parent if path.suffix in (".db3", ".mcap") else path
    if folder.is_dir() and not (folder / "metadata.yaml").is_file():
        raise SourceError(
            f"Cannot read the bag {path.name}: no metadata.yaml beside its recording; "
            "ros2 bag reindex writes one."
        )
    if path != folder and not _lists(folder / "metadata.yaml", path.name):
        raise SourceError(
            f"{path.name} is not listed in the metadata.yaml beside it: give the folder, or "
            "ros2 bag reindex it."
        )
    # Foreign bytes make the parsers below raise anything from KeyError to sqlite3.DatabaseError.
    try:
        reader = AnyReader([folder], default_typestore=get_typestore(Stores.ROS2_HUMBLE))
        reader.open()
    except Exception as error:
        if "storage plugin" in str(error).lower():
            raise SourceError(
                f"Cannot read the bag {path.name}: its metadata.yaml names a storage_identifier that "
                f"is not read ({shown(error, 60)}): write sqlite3 or mcap there, "
                "or ros2 bag reindex it."
            ) from None
        raise SourceError(f"Cannot read the bag {path.name}: {_why(error)}.") from None
    try:
        yield reader
    except ImageMessageError as error:
        raise SourceError(
            f"The bag {path.name} holds an image that cannot be read: {error}"
        ) from None
    except FindError:
        raise
    except Exception as error:
        raise SourceError(f"Reading the bag {path.name} broke off: {_why(error)}.") from None
    finally:
        reader.close()


def _lists(metadata: Path, name: str) -> bool:
    """Whether a bag's metadata names a recording; the whole bag is read then."""
    try:
        return name in metadata.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def _why(error: Exception) -> str:
    """One line of a parser's error, and what to do about it; no full stop."""
    said = shown(" ".join(str(error)[:2000].split()), 200).rstrip(".") or type(error).__name__
    return f"{said} (is it whole? ros2 bag info tells, ros2 bag reindex may mend it)"


def looks_like_bag(path: Path) -> bool:
    """A ROS bag by its names, whole or damaged: a file, or a folder with a recording in it."""
    inside = ("metadata.yaml", "*.db3", "*.mcap")
    return path.suffix in (".mcap", ".db3", ".bag") or any(
        next(path.glob(pattern), None) for pattern in inside
    )


class BagSource:
    """One image topic of a bag; stamps are the headers', or the recorder's where they are zero."""

    is_live = False

    def __init__(self, path: Path, topic: str | None = None) -> None:
        self.path, self.name = Path(path), Path(path).name
        with open_bag(self.path) as reader:
            topics = {c.topic: c for c in reader.connections if c.msgtype in IMAGE_TYPES}
            if not topics or (topic and topic not in topics):
                wanted = f"no image topic {topic}" if topic else "no image topic"
                raise SourceError(
                    f"{self.name} has {wanted}; images: {', '.join(topics) or 'none'}."
                )
            self.topic = topic or _colour_topic(reader, topics)
            self.frame_count = topics[self.topic].msgcount or None
            self.duration_s = reader.duration * 1e-9
            count = self.frame_count or 0
            self._period_s = self.duration_s / count if 0 < self.duration_s < 1e9 and count else 0.1
            self._start_ns = reader.start_time
        self._told: set[str] = set()
        self.identity = f"{self.name}:{self.topic}:{self.frame_count}:{self._start_ns}"

    def frames(
        self, start_s: float = 0.0, stop_s: float = float("inf"), first_index: int = 0
    ) -> Iterator[SourceFrame]:
        first_ns: int | None = None
        clock, index, left_out = Clock(self._period_s), first_index, 0
        with open_bag(self.path) as reader:
            wanted = [c for c in reader.connections if c.topic == self.topic]
            for connection, recorded_ns, raw in reader.messages(connections=wanted):
                try:
                    message = reader.deserialize(raw, connection.msgtype)
                    stamp = message.header.stamp
                    stamp_ns = (stamp.sec * 10**9 + stamp.nanosec) or recorded_ns
                    first_ns = stamp_ns if first_ns is None else first_ns
                    time_s = clock((stamp_ns - first_ns) * 1e-9)
                    if time_s >= stop_s:
                        break
                    if time_s < start_s - 1e-6:
                        continue
                    image = decode_message(message)
                except Exception as error:  # of the parser, whatever kind: it costs itself
                    left_out += 1
                    if left_out == 1:
                        log.warning("%s: left out: %s", self.name, shown(error, 300))
                    continue
                yield SourceFrame(index, time_s, stamp_ns, image)
                index += 1
        clock.report(self.name, self._told)
        if left_out:
            log.warning("%s: %d messages were left out.", self.name, left_out)
        if left_out and index == first_index and start_s <= 0:
            raise SourceError(f"Not one image of {shown(self.name)} on {self.topic} can be read.")

    def sample(self, period_s: float) -> Iterator[SourceFrame]:
        yield from thin(self.frames(), period_s)


def _colour_topic(reader: Any, topics: dict[str, Any]) -> str:
    """Colour before grey, depth never; told by what a topic carries, not by its name."""
    grey: str | None = None
    for topic in topics:
        first = next(reader.messages(connections=[topics[topic]]), None)
        if first is None:
            continue
        try:
            image = decode_message(reader.deserialize(first[2], topics[topic].msgtype))
        except Exception:  # depth, or damaged
            continue
        if (image != image[..., :1]).any():
            return topic
        grey = grey or topic
    return grey or next(iter(topics))


def decode_message(message: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a sensor_msgs Image or CompressedImage.

    Raises:
        ImageMessageError: an encoding that is not read, or fields that contradict each other; inside
            of `open_bag` it becomes a SourceError that names the bag.
    """
    if hasattr(message, "format"):
        return decode_compressed(message.format, message.data)
    fields = message.encoding, message.height, message.width, message.step
    image = decode_rgb(*fields, message.data)
    return image if image.flags.writeable else image.copy()
