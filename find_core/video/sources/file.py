"""Video files and network streams, through PyAV (FFmpeg)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from find_core.video.sources.base import (
    STALL_S,
    SourceError,
    SourceFrame,
    file_identity,
    next_due_s,
)

MAX_BAD_PACKETS = 500


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
        self.identity = self.name if self.is_live else file_identity(Path(path))

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
            if bad > MAX_BAD_PACKETS:
                raise SourceError(
                    f"{name} is damaged: more than {MAX_BAD_PACKETS} packets fail."
                ) from None


def _upright(frame: Any) -> np.ndarray:
    """(H, W, 3) uint8 RGB of a PyAV frame, turned as its rotation metadata says."""
    image = frame.to_ndarray(format="rgb24")
    turns = round((getattr(frame, "rotation", 0) or 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
