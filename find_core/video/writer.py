"""Annotated videos: (H, W, 3) frames with their own times into an .mp4, whole or not there."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from find_core.errors import FindError
from find_core.support.files import replacing

TICKS_PER_S = 90_000
MAX_GAP_S, SHOWN_GAP_S = 60.0, 1.0
"""A longer gap in time, or a step back, is cut to a second."""


class VideoWriter:
    """Encodes H.264 (MPEG-4 where FFmpeg lacks it); the file appears under its name on `close`.

    Left by an exception, a `with` block writes nothing.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self._file = ExitStack()  # the temporary file, which takes the name or goes
        self._container: Any = None
        self._stream: Any = None
        self._last_tick = -1
        self._last_s: float | None = None
        self._cut_s = 0.0

    def write(self, image: np.ndarray, time_s: float) -> None:
        """Add (H, W, 3) uint8 RGB shown from `time_s` on; all frames take the first one's size."""
        import av

        if self._container is None:
            self._open(image.shape[0], image.shape[1])
        height, width = self._stream.height, self._stream.width
        if image.shape[0] < height or image.shape[1] < width:
            pad = (
                (0, max(height - image.shape[0], 0)),
                (0, max(width - image.shape[1], 0)),
                (0, 0),
            )
            image = np.pad(image, pad)
        image = np.ascontiguousarray(image[:height, :width])
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        if self._last_s is not None and not 0 <= time_s - self._last_s <= MAX_GAP_S:
            self._cut_s += time_s - self._last_s - SHOWN_GAP_S  # nobody watches a still for hours
        self._last_s = time_s
        tick = round((time_s - self._cut_s) * TICKS_PER_S)
        self._last_tick = max(tick, self._last_tick + 1)
        frame.pts, frame.time_base = self._last_tick, Fraction(1, TICKS_PER_S)
        self._container.mux(self._stream.encode(frame))

    def _open(self, height: int, width: int) -> None:
        import av

        codec = "libx264" if "libx264" in av.codecs_available else "mpeg4"
        options = {"crf": "20", "preset": "veryfast"} if codec == "libx264" else {"qscale": "3"}
        part = self._file.enter_context(replacing(self.path))
        self._container = av.open(f"file:{part}", "w", format="mp4")
        self._stream = self._container.add_stream(codec, rate=30, options=options)
        self._stream.codec_context.time_base = Fraction(1, TICKS_PER_S)
        self._stream.height, self._stream.width = max(height // 2 * 2, 2), max(width // 2 * 2, 2)
        self._stream.pix_fmt = "yuv420p"  # what every player shows; needs even sides

    def close(self) -> None:
        """Finish the file and give it its name; without frames there is none."""
        with self._file.pop_all():
            if self._container is not None:
                self._container.mux(self._stream.encode())
                self._container.close()
                self._container = None

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        if self._container is not None:
            self._container.close()
        with suppress(FindError):  # the caller's own error says more
            self._file.__exit__(kind, error, trace)
