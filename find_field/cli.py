"""find-field: lift posed RGB-D folders into fields, query them, export them."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from find_core.cli.common import add_model_arguments, load_model
from find_core.errors import FieldError, FindError, PromptError
from find_core.prompts.prompt import Prompt
from find_core.prompts.text_form import parse_references, read_prompt_file
from find_core.support.command_line import Direction, Parser, fraction, number, run_command, whole
from find_core.support.files import replace_file
from find_core.support.printable import shown

if TYPE_CHECKING:
    import numpy as np

    from find_field.field.feature_field import FeatureField
    from find_field.field.hits import FieldHits

_EXAMPLES = """examples:
  find-field lift rgbd_folder --out room.field --voxel 0.02
  find-field query room.field "the <white mug> next to the <book>" --picture hits.png
  find-field query room.field "<this>" --ref this=mug.jpg:box=40,30,180,170 --json
  find-field export room.field room.ply --colors pca
  find-field export outputs/room/find-field/RUN/config.yml room.field
  find-field info room.field
"""


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `find-field`; returns the exit status (2: the sentence on stderr says why)."""
    return run_command("find-field", _parser(), args, lambda options: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="find-field", description=__doc__, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_lift(commands)
    _add_query(commands)
    _add_export(commands)
    info = _command(commands, "info", run_info, "what a field holds", "find-field info room.field")
    info.add_argument("field", type=Path, help="a .field file")
    info.add_argument("--json", action="store_true", help="print JSON")
    return parser


def _command(commands: Any, name: str, run: Any, text: str, example: str) -> Any:
    parser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(run=run)
    return parser


def _add_lift(commands: Any) -> None:
    parser = _command(commands, "lift", run_lift, "posed RGB-D folder into a field, no training",
                      "find-field lift rgbd_folder --out room.field --voxel 0.02 --every 2")  # fmt: skip
    parser.add_argument("folder", type=Path, help="meta.json sequence, 7-Scenes or transforms.json")
    parser.add_argument("--out", type=Path, required=True, help="file to write, e.g. room.field")
    parser.add_argument("--voxel", type=number(1e-4, 100), default=0.01, metavar="M", help="side of a voxel, metres (default: %(default)s)")  # fmt: skip
    parser.add_argument("--rank", type=whole(1, 4096), default=48, metavar="K", help="coefficients per voxel (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--every", type=whole(1), default=1, metavar="N", help="use every n-th frame"
    )
    parser.add_argument("--limit", type=whole(1), metavar="N", help="use at most this many frames")
    parser.add_argument("--max-depth", type=number(above=0), default=6.0, metavar="M", help="leave out surface beyond so many metres (default: %(default)s)")  # fmt: skip
    parser.add_argument("--frame", help="name of the world frame (default: what the folder says)")
    parser.add_argument("--up", type=number(), nargs=3, action=Direction, default=(0.0, 0.0, 1.0), metavar=("X", "Y", "Z"), help="direction that is up in that frame (default: 0 0 1)")  # fmt: skip
    parser.add_argument(
        "--pixel",
        action="store_true",
        help="also keep pixel features (embeddings_at(kind='pixel'))",
    )
    parser.add_argument("--registered", action="store_true", help="7-Scenes: depth is already registered to colour")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a JSON summary")
    add_model_arguments(parser)


def _add_query(commands: Any) -> None:
    parser = _command(commands, "query", run_query, "where the objects are that a prompt speaks of",
                      'find-field query room.field "the <mug> left of <this>" '
                      "--ref this=photo.jpg:box=40,30,180,170 --json")  # fmt: skip
    parser.add_argument("field", type=Path, help="a .field file")
    parser.add_argument("prompt", nargs="?", help='text with <entities>, e.g. "the <mug>"')
    parser.add_argument("--prompt-json", type=Path, metavar="FILE", help="prompt with references as JSON")  # fmt: skip
    parser.add_argument("--reference", "--ref", action="append", default=[], metavar="NAME=PHOTO:KIND=VALUES", help="what <NAME> looks like: this=photo.jpg:box=40,30,180,170 (or point, circle, polygon, scribble, mask)")  # fmt: skip
    parser.add_argument("--threshold", type=fraction, help="score at which an object is found; default: the model's own")  # fmt: skip
    parser.add_argument(
        "--max-hits",
        type=whole(1),
        default=10,
        help="per entity, best first (default: %(default)s)",
    )
    parser.add_argument(
        "--picture",
        type=Path,
        help="image to write: the field from above, with relevancy and boxes",
    )
    parser.add_argument(
        "--ply", type=Path, help="point cloud to write, with the relevancy for the first entity"
    )
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")
    add_model_arguments(parser)


def _add_export(commands: Any) -> None:
    parser = _command(commands, "export", run_export, "a field, or a training run, in another form",
                      "find-field export room.field room.ply --colors pca\n  "
                      "find-field export outputs/room/find-field/RUN/config.yml room.field")  # fmt: skip
    parser.add_argument(
        "field", type=Path, help="a .field file, or config.yml of ns-train find-field"
    )
    parser.add_argument("out", type=Path, help="a .ply or .npz file; of a training run also .field")
    parser.add_argument(
        "--voxel",
        type=number(1e-4, 100),
        metavar="M",
        help="of a training run: side of a voxel, metres",
    )
    parser.add_argument(
        "--colors",
        choices=("rgb", "pca"),
        default="rgb",
        help="of a .ply: as seen, or by embedding (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print a JSON summary")


def run_lift(options: argparse.Namespace) -> int:
    from find_field.io.datasets import open_folder
    from find_field.lift import LiftConfig, Lifter

    folder = open_folder(options.folder, options.registered).take(options.every, options.limit)
    for sentence in folder.skipped[:3]:
        print(f"left out: {sentence}", file=sys.stderr)
    if len(folder.skipped) > 3:
        print(f"left out: {len(folder.skipped) - 3} more", file=sys.stderr)
    find = load_model(options)
    config = LiftConfig(
        voxel_size_m=options.voxel, rank=options.rank, pixel=options.pixel,
        max_depth_m=options.max_depth, frame=options.frame or folder.frame,
        up_world=tuple(options.up),
    )  # fmt: skip
    lifter = Lifter(find, config)
    seconds = {"read": 0.0, "encode": 0.0, "lift": 0.0}
    for files in _progress(folder.files, "lifting"):
        marks = [time.perf_counter()]
        try:
            frame = files.read()
            if frame.depth_m is None:
                raise FieldError(f"{frame.name} has no depth.")
        except FindError as error:  # a bad frame costs itself
            folder.skipped.append(shown(error, 300))
            print(f"left out: {folder.skipped[-1]}", file=sys.stderr)
            continue
        marks.append(time.perf_counter())
        scene = find.encode(frame.rgb)
        scene.semantic_map()  # kept by the scene; made here, its time counts as encoding
        marks.append(time.perf_counter())
        lifter.add(frame, scene)
        marks.append(time.perf_counter())
        for part, start, end in zip(seconds, marks, marks[1:], strict=False):
            seconds[part] += end - start
    field = lifter.field()
    field.save(options.out)
    summary = {**_summary(field), "out": str(options.out), "skipped": len(folder.skipped)}
    summary["ms_per_frame"] = {
        k: round(1e3 * v / lifter.frames_fused, 1) for k, v in seconds.items()
    }
    _print(summary, options.json)
    return 0


def run_query(options: argparse.Namespace) -> int:
    prompt = _prompt(options)
    field = _load(options.field)
    find = load_model(options)
    hits = field.query(prompt, find, max_hits=options.max_hits, threshold=options.threshold)
    if options.picture or options.ply:
        relevancy = field.relevancy(prompt, find)
        if options.ply:
            field.to_ply(options.ply, relevancy=relevancy[0])
        if options.picture:
            _write_top_view(field, relevancy.max(axis=0), hits, options.picture)
    if options.json:
        print(json.dumps(hits.to_json(), indent=2))
    else:
        _print_hits(hits)
    return 0


def run_export(options: argparse.Namespace) -> int:
    trained = options.field.suffix in (".yml", ".yaml")
    kinds = (".field", ".ply", ".npz") if trained else (".ply", ".npz")
    if options.out.suffix not in kinds:
        raise FieldError(f"Export to {' or '.join(kinds)}, not {options.out.name!r}.")
    field = _trained(options) if trained else _load(options.field)
    if options.out.suffix == ".ply":
        field.to_ply(options.out, colors=options.colors)
    elif options.out.suffix == ".npz":
        field.to_npz(options.out)
    else:
        field.save(options.out)
    _print({"out": str(options.out), "voxels": len(field)}, options.json)
    return 0


def _load(path: Path) -> FeatureField:
    from find_field.field.feature_field import load

    return load(path)


def _trained(options: argparse.Namespace) -> FeatureField:
    """The field of a finished `ns-train find-field`, given its config.yml."""
    if not options.field.is_file():
        raise FieldError(f"No file {options.field}: ns-train prints where its config.yml is.")
    try:
        from find_field.nerf.runs import export_run
    except ImportError as error:
        raise FieldError(
            f"A training run needs nerfstudio ({error}): pip install find_ros[field]."
        ) from None
    chosen = {} if options.voxel is None else {"voxel_size_m": options.voxel}
    return export_run(options.field, **chosen)


def run_info(options: argparse.Namespace) -> int:
    _print(_summary(_load(options.field)), options.json)
    return 0


def _summary(field: FeatureField) -> dict[str, Any]:
    points = field.points_world_m
    low, high = (points.min(axis=0), points.max(axis=0)) if len(field) else ([], [])
    return {
        "voxels": len(field),
        "voxel_size_m": field.voxel_size_m,
        "low_world_m": [round(float(v), 3) for v in low],
        "high_world_m": [round(float(v), 3) for v in high],
        "channels": {n: list(c.basis.shape) for n, c in field.channels.items()},
        "bytes_per_voxel": field.bytes_per_voxel(),
        **field.provenance,
    }


def _prompt(options: argparse.Namespace) -> Prompt:
    if (options.prompt is None) == (options.prompt_json is None):
        raise PromptError("Give either a prompt or --prompt-json FILE.")
    if options.prompt_json is not None:
        return read_prompt_file(options.prompt_json)
    return Prompt.bind(options.prompt, parse_references(options.reference))


def _progress(items: Any, text: str) -> Any:
    from rich.console import Console
    from rich.progress import track

    return track(items, text, console=Console(stderr=True))


def _print(summary: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(summary, indent=2))
    else:
        for key, value in summary.items():
            print(f"{key:>18}  {value}")


def _print_hits(hits: FieldHits) -> None:
    for hit in hits:
        x, y, z = hit.centroid_world_m
        size = " x ".join(f"{100 * e:.1f}" for e in hit.extent_m)
        print(f"{hit.label:<24} score {hit.score:.2f}  at ({x:.3f}, {y:.3f}, {z:.3f}) m  {size} cm")
    for entity in hits.entities:
        if not entity.found:
            print(f"{entity.label:<24} not here (best score {entity.best_score:.2f})")


def _write_top_view(
    field: FeatureField, relevancy: np.ndarray, hits: FieldHits, path: Path
) -> None:
    import cv2

    from find_field.io.export import heat_colors
    from find_field.io.render import top_view

    image = top_view(field, heat_colors(relevancy, field.colors), hits, margin_m=0.5)
    try:
        replace_file(path, lambda file: cv2.imwrite(str(file), image[..., ::-1]), FieldError)
    except cv2.error:
        raise FieldError(f"{path.name!r} names no image format: end it in .png or .jpg.") from None


if __name__ == "__main__":
    sys.exit(main())
