"""find-core segment: every pixel of a picture into the classes given."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from find_core.cli.common import Formatter, add_model_arguments, load_model, write_json
from find_core.support.command_line import fraction
from find_core.support.json_text import json_text

if TYPE_CHECKING:
    import numpy as np

    from find_core.results import Segment

EPILOG = """\
Examples:
  find-core segment desk.jpg --classes mug,table,wall --stuff table,wall --out out/
  find-core segment desk.jpg --classes "a red mug,the table" --mode instance --json

Writes into --out: segments.json, annotated.png, and for panoptic and semantic ids.png (16 bit:
segment ids, or class index + 1).
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "segment",
        help="divide a picture into classes",
        description="Divide a picture into the classes given.",
        epilog=EPILOG,
        formatter_class=Formatter,
    )
    parser.add_argument("image", type=Path, help="picture file")
    parser.add_argument("--classes", required=True, help="names with commas between")
    parser.add_argument("--stuff", default="", help="those of them that are material, not things")
    parser.add_argument(
        "--mode",
        default="panoptic",
        choices=("panoptic", "instance", "semantic"),
        help="default: panoptic",
    )
    parser.add_argument("--threshold", type=fraction, help="least score of a segment")
    add_model_arguments(parser)
    parser.add_argument("--out", type=Path, help="folder for the results")
    parser.add_argument("--json", action="store_true", help="print the segments as JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    from find_core.errors import FindError
    from find_core.images import read_image

    if args.out is None and not args.json:
        raise FindError("Say where the results go: --out DIR, or --json for stdout.")
    image = read_image(args.image)
    names, stuff = _names(args.classes), _names(args.stuff)
    if unknown := sorted(set(stuff) - set(names)):
        raise FindError(f"--stuff {unknown[0]!r} is not among --classes: add it there.")
    scene = load_model(args).encode(image)
    if args.mode == "semantic":
        result: Any = scene.segment(names, "semantic")
        ids, segments = result.class_map + 1, _segments_of_map(result.class_map, names, stuff)
    else:
        result = scene.segment(names, args.mode, stuff=stuff, score_threshold=args.threshold)
        ids, segments = getattr(result, "id_map", None), list(result.segments)
    answer = {"version": 1, "mode": args.mode, "segments": [segment_to_json(s) for s in segments]}
    if args.json:
        print(json_text(answer, ensure_ascii=False))
    if args.out is not None:
        _write(args.out, image, ids, segments, answer)
    return 0


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _segments_of_map(class_map: np.ndarray, names: list[str], stuff: list[str]) -> list[Segment]:
    """One segment per class that occurs; a class map has no scores of its own."""
    import numpy as np

    from find_core.results import Segment, box_of_mask

    found = []
    for k in np.unique(class_map):
        mask = class_map == k
        thing = names[k] not in stuff
        found.append(Segment(int(k) + 1, int(k), names[k], thing, 1.0, mask, box_of_mask(mask)))
    return found


def segment_to_json(segment: Segment) -> dict[str, Any]:
    from find_core.results import mask_to_rle

    return {
        "id": segment.id,
        "label": segment.label,
        "is_thing": segment.is_thing,
        "score": round(segment.score, 4),
        "box_xyxy": [round(float(v), 2) for v in segment.box_xyxy],
        "mask_rle": mask_to_rle(segment.mask),
    }


def _write(
    out: Path,
    image: np.ndarray,
    ids: np.ndarray | None,
    segments: list[Segment],
    answer: dict[str, Any],
) -> None:
    import cv2
    import numpy as np

    from find_core.drawing import draw_localization, write_image
    from find_core.results import Entity, Localization

    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "segments.json", answer)
    if ids is not None:
        cv2.imwrite(str(out / "ids.png"), ids.astype(np.uint16))
    entities = tuple(
        Entity(s.score, s.mask, s.box_xyxy, np.zeros(0), label=s.label, found=True)
        for s in segments
    )
    drawn = draw_localization(image, Localization(1.0, entities, *image.shape[:2]))
    write_image(out / "annotated.png", drawn)
    print(f"Wrote {len(segments)} segments to {out}/.", file=sys.stderr)
