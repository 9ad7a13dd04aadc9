"""Recordings for the viewer Rerun: frames with masks, boxes and scores on a timeline.

The entities are listed in docs/howto/rerun.md. Needs the extra [rerun].
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from find_core.drawing.overlay import label_of
from find_core.drawing.palette import DARK, entity_color
from find_core.errors import FindError
from find_core.results import Localization
from find_core.support.files import replacing

TIMELINE = "stamp"
JPEG_QUALITY = 85


def rerun_file(
    path: Path | None, keep_interrupted: bool = False
) -> AbstractContextManager[RerunFile | None]:
    """An .rrd file to write into while a `with` block lasts; None for no path.

    Raises:
        FindError: the SDK is not installed, the name is another kind of file's, or the file cannot
            be written.
    """
    if path is None:
        return nullcontext()
    check_rerun(path)
    return RerunFile(path, keep_interrupted)


def check_rerun(path: Path) -> None:
    """Before long work: whether the file can be written later.

    Raises:
        FindError: the SDK is not installed, or the name does not end in .rrd.
    """
    if path.suffix != ".rrd":
        raise FindError(f"Rerun's files end in .rrd: call it {path.stem or 'out'}.rrd.")
    if find_spec("rerun") is None:
        raise FindError("--rerun needs the Rerun SDK: pip install 'find_ros[rerun]'.")


class RerunFile(AbstractContextManager["RerunFile"]):
    """Writes an .rrd file through Rerun's own recording stream.

    The file has its name when the `with` block ends; left by an error, the block leaves none.

    Args:
        keep_interrupted: Ctrl-C, or an exit that was asked for, is an end like any other.
    """

    def __init__(self, path: Path, keep_interrupted: bool = False) -> None:
        import rerun

        self.rerun: Any = rerun
        self._kept = (KeyboardInterrupt, SystemExit) if keep_interrupted else ()
        self._file = ExitStack()  # the temporary file, which takes the name or goes
        self._stream = rerun.RecordingStream("find", make_default=False)
        self._stream.save(str(self._file.enter_context(replacing(path))))
        self._labels: tuple[str, ...] | None = None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stream.flush(blocking=True)
        self._stream.disconnect()
        if kind is None or issubclass(kind, self._kept):
            self._file.close()
            return
        with suppress(FindError):  # the caller's own error says more
            self._file.__exit__(kind, error, trace)

    def at(self, stamp_ns: int) -> None:
        """What is logged from now on is of this time, nanoseconds since 1970."""
        self._stream.set_time(TIMELINE, timestamp=np.datetime64(stamp_ns, "ns"))

    def log(self, entity: str, *what: Any, static: bool = False) -> None:
        self._stream.log(entity, *what, static=static)

    def image(self, entity: str, image_rgb: np.ndarray) -> None:
        """(H, W, 3) uint8 RGB, as JPEG."""
        quality = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
        _, data = cv2.imencode(".jpg", image_rgb[..., ::-1], quality)
        self.log(entity, self.rerun.EncodedImage(contents=data.tobytes(), media_type="image/jpeg"))

    def frame(
        self,
        image_rgb: np.ndarray,
        stamp_ns: int,
        answers: Sequence[Localization] = (),
        relevance: Sequence[float] = (),
    ) -> None:
        """One frame of a camera with what was found in it.

        Args:
            image_rgb: (H, W, 3) uint8. answers: one a prompt; entities are counted over all.
            relevance: one a prompt; where given, in place of the answers' own.
        """
        self.at(stamp_ns)
        self.image("camera", image_rgb)
        values = [*relevance] or [answer.relevance for answer in answers]
        for n, value in enumerate(values):
            self.log(f"scores/relevance/{n}", self.rerun.Scalars(float(value)))
        entities = [entity for answer in answers for entity in answer.entities]
        self._legend(tuple(entity.label for entity in entities))
        labels = np.zeros(image_rgb.shape[:2], np.uint8)
        boxes, texts, kinds = [], [], []
        for k, entity in enumerate(entities):
            self.log(f"scores/entity/{k}", self.rerun.Scalars(float(entity.score)))
            for instance in (entity.instances or (entity,)) if entity.found else ():
                labels[instance.mask] = k + 1
                boxes.append(instance.box_xyxy)
                texts.append(label_of(entity.label, instance))
                kinds.append(k + 1)
        form = self.rerun.Box2DFormat.XYXY
        array = np.array(boxes, np.float32).reshape(-1, 4)
        self.log("camera/masks", self.rerun.SegmentationImage(labels, opacity=0.5))
        self.log(
            "camera/boxes",
            self.rerun.Boxes2D(array=array, array_format=form, labels=texts, class_ids=kinds),
        )

    def _legend(self, labels: tuple[str, ...]) -> None:
        """Names and colours of the entities, once and whenever the prompt changes."""
        if labels == self._labels:
            return
        self._labels = labels
        kinds = [_kind(0, "", (*DARK, 0))]
        kinds += [_kind(k + 1, label, (*entity_color(k), 255)) for k, label in enumerate(labels)]
        self.log("camera", self.rerun.AnnotationContext(kinds))
        for k, label in enumerate(labels):
            series = self.rerun.SeriesLines(names=label, colors=entity_color(k))
            self.log(f"scores/entity/{k}", series)


def _kind(number: int, label: str, rgba: tuple[int, ...]) -> Any:
    """What a number in a segmentation image means."""
    from rerun.datatypes import AnnotationInfo, ClassDescription, ClassDescriptionMapElem, ClassId

    class Number(ClassId):
        """The SDK's own calls `np.asarray(copy=...)`, which numpy 1 does not know."""

        def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
            return np.asarray(self.id, dtype)

    info = AnnotationInfo(number, label, rgba)
    return ClassDescriptionMapElem(Number(number), ClassDescription(info=info))
