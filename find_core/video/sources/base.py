"""Where frames come from: video files and streams, folders of pictures, cameras, ROS 2 bags.

    source = open_source("kitchen.mp4")       # or "photos/", "/dev/video0", "bag/", "rtsp://..."
    for frame in source.frames(): ...

Times are the recording's own (presentation stamps, header stamps), so that a variable frame rate
is seen as it was filmed; pictures stand upright (rotation metadata applied).
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np

from find_core.errors import FindError
from find_core.images import read_image

PICTURES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff")
STALL_S = 5.0


class SourceError(FindError, RuntimeError):
    """A video, camera or bag cannot be opened or read."""


@dataclass(frozen=True, eq=False)
class SourceFrame:
    """Attributes:
    index: number of the frame in its source, from 0.
    time_s: seconds since the source's first frame. stamp_ns: the recording's own clock.
    image: (H, W, 3) uint8 RGB, upright.
    """

    index: int
    time_s: float
    stamp_ns: int
    image: np.ndarray


class Source(Protocol):
    """What every source can do.

    Attributes:
        name: for titles. is_live: frames come once, in real time.
        frame_count, duration_s: as far as known; None for live ones.
        identity: changes when the content does (resuming checks it).
    """

    @property
    def name(self) -> str: ...
    @property
    def is_live(self) -> bool: ...
    @property
    def frame_count(self) -> int | None: ...
    @property
    def duration_s(self) -> float | None: ...
    @property
    def identity(self) -> str: ...

    def frames(
        self, start_s: float = 0.0, stop_s: float = float("inf"), first_index: int = 0
    ) -> Iterator[SourceFrame]:
        """Frames with start_s <= time_s < stop_s, numbered from `first_index`."""
        ...

    def sample(self, period_s: float) -> Iterator[SourceFrame]:
        """About one frame every `period_s` seconds, as cheaply as the format allows.

        Their `index` counts what was decoded, which may be the key frames alone.
        """
        ...


def open_source(
    what: str | Path | int, *, fps: float | None = None, topic: str | None = None
) -> Source:
    """Open a video file or URL, a folder of pictures, a camera, or a rosbag2.

    Args:
        what: path, URL, camera number or device.
        fps: frames per second of a folder of pictures (default 10).
        topic: image topic of a bag; default its first.

    Raises:
        SourceError: with a sentence that says what is missing.
    """
    text = str(what)
    if text.isdigit() or text.startswith("/dev/video"):
        return CameraSource(text)
    if "://" in text:
        return VideoSource(text)
    path = Path(text)
    if not path.exists():
        raise SourceError(
            f"Nothing at {path}: give a video, a folder of pictures, a bag or 0, 1..."
        )
    if looks_like_bag(path):
        from find_core.video.sources.rosbag import BagSource

        return BagSource(path, topic)
    if path.is_dir():
        return FolderSource(path, fps or 10.0)
    return VideoSource(text)


def looks_like_bag(path: Path) -> bool:
    """A ROS bag by its names, whole or damaged: a file, or a folder with a recording in it."""
    inside = ("metadata.yaml", "*.db3", "*.mcap")
    return path.suffix in (".mcap", ".db3", ".bag") or any(
        next(path.glob(pattern), None) for pattern in inside
    )


def next_due_s(time_s: float, period_s: float) -> float:
    """When the next frame is wanted: on a fixed grid, so that 30 a second thin to 20, not to 15."""
    return (np.floor(time_s / period_s + 1e-6) + 1) * period_s if period_s > 0 else time_s


def thin(
    frames: Iterator[SourceFrame], period_s: float, due_s: float = -float("inf")
) -> Iterator[SourceFrame]:
    """At most one frame every `period_s` seconds, none before `due_s`; 0 keeps all."""
    for frame in frames:
        if frame.time_s >= due_s - 1e-6:
            yield frame
            due_s = next_due_s(frame.time_s, period_s)


class VideoSource:
    """A video file or network stream through PyAV (FFmpeg)."""

    def __init__(self, path: str) -> None:
        self.path, self.is_live = path, "://" in path
        self.name = Path(path).name
        with self._open() as container:
            stream = _video_stream(container, path)
            self.frame_count = stream.frames or None
            self.duration_s = container.duration / 1e6 if container.duration else None
            start = stream.start_time
            self._start_s = float(start * stream.time_base) if start is not None else 0.0
            if self.frame_count is None and self.duration_s and stream.average_rate:
                self.frame_count = round(self.duration_s * float(stream.average_rate))
        self.identity = f"{self.name}" if self.is_live else _identity(Path(path))

    def _open(self) -> Any:
        try:
            import av
        except ImportError:
            raise SourceError("Reading videos needs PyAV: pip install av.") from None
        try:
            return av.open(self.path, timeout=(10.0, STALL_S) if self.is_live else None)
        except (av.FFmpegError, OSError) as error:
            raise SourceError(
                f"Cannot open {self.name} as a video ({error.strerror or error}): give a file that "
                "FFmpeg can read, or a folder of pictures."
            ) from None

    def frames(
        self, start_s: float = 0.0, stop_s: float = float("inf"), first_index: int = 0
    ) -> Iterator[SourceFrame]:
        yield from self._decode(start_s, stop_s, first_index, 0.0)

    def sample(self, period_s: float) -> Iterator[SourceFrame]:
        # Key frames decode alone; where they lie too far apart, all frames are decoded but only
        # the wanted ones converted and handed out, which is still little beside the model.
        keys = self._key_times_s()
        gaps = np.diff([0.0, *keys, self.duration_s or (keys[-1] if keys else 0.0)])
        only_keys = len(keys) > 1 and float(gaps.max()) <= 1.5 * period_s
        yield from self._decode(0.0, float("inf"), 0, period_s, only_keys)

    def _key_times_s(self) -> list[float]:
        with self._open() as container:
            stream = _video_stream(container, self.path)
            packets = (p for p in container.demux(stream) if p.is_keyframe and p.pts is not None)
            return [float(p.pts * p.time_base) - self._start_s for p in packets]

    def _decode(
        self, start_s: float, stop_s: float, index: int, period_s: float, only_keys: bool = False
    ) -> Iterator[SourceFrame]:
        with self._open() as container:
            stream = _video_stream(container, self.path)
            stream.thread_type = "AUTO"
            if only_keys:
                stream.codec_context.skip_frame = "NONKEY"
            if start_s > 0 and not self.is_live:
                target = int((start_s + self._start_s) / stream.time_base)
                container.seek(max(target, 0), stream=stream, backward=True)
            due_s = start_s
            for frame in _decoded(container, stream, self.name):
                time_s = 0.0 if frame.time is None else frame.time - self._start_s
                if time_s >= stop_s:
                    return
                if time_s < start_s - 1e-6:
                    continue
                if time_s >= due_s - 1e-6:
                    yield SourceFrame(index, time_s, round(time_s * 1e9), _upright(frame))
                    due_s = next_due_s(time_s, period_s)
                index += 1


def _video_stream(container: Any, name: str) -> Any:
    if not container.streams.video:
        raise SourceError(f"{Path(name).name} holds no video stream: give a video file.")
    return container.streams.video[0]


def _decoded(container: Any, stream: Any, name: str) -> Iterator[Any]:
    """Decode packet by packet: a damaged one costs its own frames, not the rest of the file."""
    import av

    bad = 0
    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets, None)
        except av.FFmpegError as error:
            raise SourceError(f"Reading {name} broke off ({error.strerror}).") from None
        if packet is None:
            return
        try:
            yield from packet.decode()
        except av.InvalidDataError:
            bad += 1
            if bad > 500:
                raise SourceError(f"{name} is damaged: more than 500 packets fail.") from None


def _upright(frame: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a PyAV frame, turned as its rotation metadata says."""
    image = frame.to_ndarray(format="rgb24")
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


class FolderSource:
    """Pictures of a folder in natural order (2 before 10), at a given rate."""

    is_live = False

    def __init__(self, path: Path, fps: float) -> None:
        self.name, self.fps = path.name, fps
        self.paths = sorted(
            (p for p in path.iterdir() if p.suffix.lower() in PICTURES), key=_natural
        )
        if not self.paths:
            raise SourceError(f"{path} holds no pictures ({', '.join(PICTURES)}).")
        if not fps > 0:
            raise SourceError(f"fps is {fps}: give the pictures' rate, e.g. --fps 10.")
        self.frame_count, self.duration_s = len(self.paths), len(self.paths) / fps
        self.identity = f"{path.name}:{len(self.paths)}:{fps}:{_identity(self.paths[-1])}"

    def frames(
        self, start_s: float = 0.0, stop_s: float = float("inf"), first_index: int = 0
    ) -> Iterator[SourceFrame]:
        for n, index in enumerate(self._indices(start_s, stop_s, 1)):
            yield self._frame(index, first_index + n)

    def sample(self, period_s: float) -> Iterator[SourceFrame]:
        for index in self._indices(0.0, float("inf"), max(1, round(period_s * self.fps))):
            yield self._frame(index, index)

    def _indices(self, start_s: float, stop_s: float, step: int) -> range:
        first = max(0, int(np.ceil((start_s - 1e-6) * self.fps)))
        last = int(min(len(self.paths), np.ceil((stop_s - 1e-6) * self.fps)))
        return range(first, last, step)

    def _frame(self, index: int, number: int) -> SourceFrame:
        time_s = index / self.fps
        return SourceFrame(number, time_s, round(time_s * 1e9), read_image(self.paths[index]))


class CameraSource:
    """A V4L camera by number or device; frames are stamped when they arrive."""

    is_live, frame_count, duration_s = True, None, None

    def __init__(self, device: str, stall_s: float = STALL_S) -> None:
        self.device, self.stall_s = device, stall_s
        self.name = self.identity = f"camera {device}"

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(int(self.device) if self.device.isdigit() else self.device)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the newest frame rather than a second-old queue
        return capture

    def frames(
        self, start_s: float = 0.0, stop_s: float = float("inf"), first_index: int = 0
    ) -> Iterator[SourceFrame]:
        """Until `stop_s`; a camera that stalls is opened again until `stall_s` have passed."""
        capture = self._open()
        began = seen = time.monotonic()
        offset_ns, index = time.time_ns() - time.monotonic_ns(), first_index
        try:
            while True:
                bgr = capture.read()[1] if capture.isOpened() else None
                now = time.monotonic()
                if bgr is None:
                    if now - seen > self.stall_s:
                        raise SourceError(
                            f"{self.name} has given no picture for {self.stall_s:.0f} s: check that "
                            "it is plugged in and that no other program holds it."
                        )
                    capture.release()
                    time.sleep(0.2)
                    capture = self._open()
                    continue
                seen = now
                if now - began >= stop_s:
                    return
                stamp_ns = offset_ns + int(now * 1e9)
                image = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
                yield SourceFrame(index, now - began, stamp_ns, image)
                index += 1
        finally:
            capture.release()

    def sample(self, period_s: float) -> Iterator[SourceFrame]:
        yield from thin(self.frames(), period_s)


def _natural(path: Path) -> list[Any]:
    """Sort key in which frame_2 comes before frame_10."""
    return [int(t) if t.isdigit() else t.lower() for t in re.split(r"(\d+)", path.name)]


def _identity(path: Path) -> str:
    stat = path.stat()
    return f"{path.name}:{stat.st_size}:{stat.st_mtime_ns}"
