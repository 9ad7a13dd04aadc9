"""Video files and network streams, through PyAV (FFmpeg)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from find_core.images import MAX_MEGAPIXELS
from find_core.support.printable import shown
from find_core.video.sources.base import (
    STALL_S,
    Clock,
    SourceError,
    SourceFrame,
    file_identity,
    next_due_s,
)

MAX_BAD_PACKETS = 500
DEFAULT_RATE, MAX_RATE = 25.0, 1000.0  # frames a second, where the file tells none
# Containers with an index of times that only grow; others are read from their beginning.
SEEKABLE = ("mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi")


class VideoSource:
    """A video file or network stream through PyAV (FFmpeg)."""

    def __init__(self, path: str) -> None:
        self.path, self.is_live = path, "://" in path
        self.name = Path(path).name
        with self._open() as container:
            stream = _video_stream(container, path)
            self.frame_count = stream.frames or None
            rate = stream.average_rate or stream.guessed_rate or 0
            self._period_s = 1 / float(rate) if 0 < rate <= MAX_RATE else 1 / DEFAULT_RATE
            self.duration_s = container.duration / 1e6 if container.duration else None
            start = stream.start_time
            self._start_s = float(start * stream.time_base) if start is not None else 0.0
            if self.frame_count is None and self.duration_s and stream.average_rate:
                self.frame_count = round(self.duration_s * float(stream.average_rate))
        self._told: set[str] = set()
        self.identity = self.name if self.is_live else file_identity(Path(path))

    def _open(self) -> Any:
        try:
            import av
        except ImportError:
            raise SourceError("Reading videos needs PyAV: pip install av.") from None
        try:
            # "file:": a colon in a name is no protocol. Tags are often in other encodings.
            return av.open(
                self.path if self.is_live else f"file:{self.path}",
                timeout=(10.0, STALL_S) if self.is_live else None,
                metadata_errors="ignore",
            )
        except (av.FFmpegError, OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise SourceError(
                f"Cannot open {shown(self.name)} as a video ({shown(why)}): give a file that "
                "FFmpeg can read, or a folder of images."
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
            if start_s > 0 and container.format.name in SEEKABLE:
                target = int((start_s + self._start_s) / stream.time_base)
                container.seek(max(target, 0), stream=stream, backward=True)
            due_s, clock = start_s, Clock(self._period_s)
            for frame in _decoded(container, stream, self.name):
                time_s = clock(None if frame.time is None else frame.time - self._start_s)
                if time_s >= stop_s:
                    break
                if time_s < start_s - 1e-6:
                    continue
                if time_s >= due_s - 1e-6:
                    yield SourceFrame(index, time_s, round(time_s * 1e9), _upright(frame))
                    due_s = next_due_s(time_s, period_s)
                index += 1
            clock.report(self.name, self._told)


def _video_stream(container: Any, name: str) -> Any:
    """The film: not the picture on its cover, which some tools put first."""
    import av

    cover = av.stream.Disposition.attached_pic
    films = [s for s in container.streams.video if not s.disposition & cover]
    if not films:
        raise SourceError(f"{shown(Path(name).name)} holds no video stream: give a video file.")
    best = container.streams.best("video")
    return next((s for s in films if best is not None and s.index == best.index), films[0])


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
            if bad > MAX_BAD_PACKETS:
                raise SourceError(
                    f"{name} is damaged: more than {MAX_BAD_PACKETS} packets fail."
                ) from None
        except av.FFmpegError as error:
            raise SourceError(f"{shown(name)} cannot be decoded ({error.strerror}).") from None


def _upright(frame: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a PyAV frame, turned as its rotation metadata says."""
    if frame.width * frame.height > MAX_MEGAPIXELS * 1e6:
        raise SourceError(
            f"Its frames are {frame.width}x{frame.height}, more than {MAX_MEGAPIXELS:g} megapixels."
        )
    image = frame.to_ndarray(format="rgb24")
    matrix = _display_matrix(frame)
    return image if matrix is None else _shown(image, matrix)


def _display_matrix(frame: Any) -> np.ndarray | None:
    """(2, 2) of how a player shows the frame; None where nothing is said."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(data), np.int32, 9).reshape(3, 3)[:2, :2] / 65536
    return None


def _shown(image: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turned and mirrored as a display matrix says; as it is where that is no such thing.

    (x, y) of a pixel goes to (x a + y c, x b + y d); rows of the matrix are (a, b) and (c, d).
    """
    axes = np.round(matrix).astype(int)
    if not np.array_equal(np.abs(axes).sum(0), [1, 1]) or not np.abs(axes).sum(1).all():
        return image
    if axes[0, 0] == 0:  # across becomes down
        image = image.swapaxes(0, 1)
    down, across = axes[:, 1].sum(), axes[:, 0].sum()
    return np.ascontiguousarray(image[::down, ::across])
