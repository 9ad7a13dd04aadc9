"""V4L cameras, read as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cv2

from find_core.video.sources.base import STALL_S, SourceError, SourceFrame, thin


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
                            f"{self.name} has given no image for {self.stall_s:.0f} s: check that "
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
