"""find-field: lift posed RGB-D folders into fields, query them, look at them, export them."""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from find_core.cli.common import load_model
from find_core.errors import FieldError, FindError, PromptError
from find_core.prompts.prompt import Prompt
from find_core.prompts.text_form import parse_references, read_prompt_file
from find_core.runtime import process
from find_core.support.command_line import Parser, run_command
from find_core.support.files import replace_file
from find_core.support.json_text import json_text
from find_core.support.printable import shown
from find_field.cli_arguments import (
    add_export_arguments,
    add_info_arguments,
    add_lift_arguments,
    add_merge_arguments,
    add_query_arguments,
    add_view_arguments,
)
from find_field.field.hits import hits_text
from find_field.geometry.up import Up

if TYPE_CHECKING:
    from find_core.drawing.rerun_file import RerunFile
    from find_field.field.feature_field import FeatureField
    from find_field.field.hits import FieldHits
    from find_field.io.datasets import PosedFolder

_EXAMPLES = """examples:
  find-field lift rgbd_folder --out room.field --voxel 0.02
  find-field lift --nerf outputs/room/nerfacto/RUN/config.yml --out room.field
  find-field query room.field "the <white mug> next to the <book>" --picture hits.png
  find-field query room.field "<this>" --ref this=mug.jpg:box=40,30,180,170 --json
  find-field view room.field "the <mug>"
  find-field export room.field room.ply --colors pca
  find-field export outputs/room/find-field/RUN/config.yml room.field
  find-field info room.field
"""


def main(args: Sequence[str] | None = None) -> int:
    """Entry point of `find-field`; returns the exit status (2: the sentence on stderr says why)."""
    process.prepare()
    return run_command("find-field", _parser(), args, lambda options: options.run(options))


def _parser() -> argparse.ArgumentParser:
    parser = Parser(
        prog="find-field", description=__doc__, epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (run, arguments, text, example) in _COMMANDS.items():
        arguments(_command(commands, name, run, text, example))
    return parser


def _command(commands: Any, name: str, run: Any, text: str, example: str) -> Any:
    parser = commands.add_parser(
        name, help=text, description=text[0].upper() + text[1:] + ".", epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.set_defaults(run=run)
    return parser


def _to_lift(options: argparse.Namespace) -> PosedFolder:
    """The frames of a folder, or those that a trained run renders."""
    if (options.folder is None) == (options.nerf is None):
        raise FieldError("Give either a folder, or --nerf with the config.yml of a trained run.")
    if options.nerf is None:
        from find_field.io.datasets import open_folder

        folder = open_folder(options.folder, options.registered)
    else:
        with contextlib.redirect_stdout(sys.stderr):  # what nerfstudio says is no answer
            folder = _nerf("views", options.nerf).open_run(options.nerf, options.render_px)
    folder = folder.take(options.every, options.limit, options.start)
    if not folder.files:
        raise FieldError(f"{folder.path} has no frame left after --start {options.start}.")
    return folder


def run_lift(options: argparse.Namespace) -> int:
    from find_core.drawing.rerun_file import rerun_file

    with rerun_file(options.rerun) as rerun:
        return _lift(options, rerun)


def _lift(options: argparse.Namespace, rerun: RerunFile | None) -> int:
    from find_field.io.rerun_scene import log_field, log_posed_frame, log_world
    from find_field.lift import LiftConfig, Lifter

    folder = _to_lift(options)
    for sentence in folder.skipped[:3]:
        print(f"left out: {sentence}", file=sys.stderr)
    if len(folder.skipped) > 3:
        print(f"left out: {len(folder.skipped) - 3} more", file=sys.stderr)
    find = load_model(options)
    config = LiftConfig(
        voxel_size_m=options.voxel, rank=options.rank, pixel=options.pixel,
        max_depth_m=options.max_depth, frame=options.frame or folder.frame,
        up_world=options.up or folder.up, forget=not (options.no_forget or options.nerf),
        source="lift" if options.nerf is None else "lift --nerf",
    )  # fmt: skip
    lifter = Lifter(find, config)
    seconds = {"read": 0.0, "encode": 0.0, "lift": 0.0}
    for number, files in enumerate(_progress(folder.files, "lifting")):
        marks = [time.perf_counter()]
        try:
            frame = files.read()
            if frame.depth_m is None or not np.isfinite(frame.depth_m).any():
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
        if rerun:
            log_posed_frame(rerun, frame, number)
        for part, start, end in zip(seconds, marks, marks[1:], strict=False):
            seconds[part] += end - start
    field = lifter.field()
    field.save(options.out)
    if rerun:
        log_world(rerun, field.frame, field.up_world)
        log_field(rerun, field)
    _say_up(lifter.up)
    summary = {**_summary(field), "out": str(options.out), "skipped": len(folder.skipped)}
    summary["ms_per_frame"] = {
        k: round(1e3 * v / lifter.frames_fused, 1) for k, v in seconds.items()
    }
    _print(summary, options.json)
    return 0


def run_query(options: argparse.Namespace) -> int:
    from find_core.drawing.rerun_file import check_rerun

    prompt = _prompt(options)
    if options.rerun:
        check_rerun(options.rerun)
    field = _load(options.field, mapped=True)
    find = load_model(options)
    hits = field.query(prompt, find, max_hits=options.max_hits, threshold=options.threshold)
    if options.picture or options.ply or options.rerun:
        relevancy = field.relevancy(prompt, find)
        if options.rerun:
            from find_field.io.rerun_scene import write_answer

            write_answer(options.rerun, field, relevancy.max(axis=0), hits)
        if options.ply:
            _write_ply(field, options.colors, options.ply, relevancy[0])
        if options.picture:
            _write_top_view(field, relevancy.max(axis=0), hits, options.picture)
    if options.json:
        print(json_text(hits.to_json(), indent=2))
    else:
        print(hits_text(hits))
    return 0


def run_view(options: argparse.Namespace) -> int:
    from find_field.view.command import run_view

    return run_view(options)


def run_export(options: argparse.Namespace) -> int:
    trained = options.field.suffix in (".yml", ".yaml")
    kinds = (".field", ".ply", ".npz") if trained or options.up else (".ply", ".npz")
    if options.out.suffix not in kinds:
        raise FieldError(f"Export to {' or '.join(kinds)}, not {options.out.name!r}.")
    prompt = _prompt(options) if options.colors == "relevancy" else None
    field = _trained(options) if trained else _load(options.field)
    if options.up and not trained:
        field = _with_up(field, options.up)
    if options.out.suffix == ".ply":
        relevancy = None if prompt is None else field.relevancy(prompt, load_model(options))[0]
        _write_ply(field, options.colors, options.out, relevancy)
    elif options.out.suffix == ".npz":
        field.to_npz(options.out)
    else:
        field.save(options.out)
    _print({"out": str(options.out), "voxels": len(field)}, options.json)
    return 0


def run_merge(options: argparse.Namespace) -> int:
    if len(options.fields) < 2:
        raise FieldError("Give two fields or more to merge.")
    field = _load(options.fields[0])
    for path in options.fields[1:]:
        field = field.merge(_load(path))
    field.save(options.out)
    _print({**_summary(field), "out": str(options.out)}, options.json)
    return 0


def _write_ply(field: FeatureField, colors: str, path: Path, relevancy: np.ndarray | None) -> None:
    if colors == "relevancy":
        field.to_ply(path, relevancy=relevancy)
    else:
        field.to_ply(path, field.pca_colors() if colors == "pca" else field.colors, relevancy)


def _with_up(field: FeatureField, asked: str | tuple[float, float, float]) -> FeatureField:
    """The field with another up; what it holds stays where it is."""
    from find_field.geometry.up import UpEvidence, choose_up

    if asked in ("auto", "check"):
        raise FieldError("A field no longer has the cameras that up is estimated from: give three numbers.")  # fmt: skip
    up = choose_up(asked, UpEvidence())
    return replace(field, provenance={**field.provenance, **up.to_json()})


def _say_up(up: Up) -> None:
    """On stderr, unless up is what was asked for or promised."""
    if up.source in ("surfaces", "cameras"):
        print(f"Up is {up}. If that is wrong give --up X Y Z.", file=sys.stderr)
    elif up.source == "assumed":
        print(f"Up is {up}: boxes stand along it. If that is wrong give --up X Y Z.", file=sys.stderr)  # fmt: skip


def _load(path: Path, mapped: bool = False) -> FeatureField:
    from find_field.field.feature_field import load

    return load(path, mapped=mapped)


def _nerf(module: str, config: Path) -> Any:
    """A module of the nerfstudio plug-in, for a run's config.yml."""
    if not config.is_file():
        raise FieldError(f"No file {config}: ns-train prints where its config.yml is.")
    try:
        return import_module(f"find_field.nerf.{module}")
    except ImportError as error:
        raise FieldError(
            f"A training run needs nerfstudio ({error}): pip install find_ros[field]."
        ) from None


def _trained(options: argparse.Namespace) -> FeatureField:
    """The field of a finished `ns-train find-field`, given its config.yml."""
    export_run = _nerf("runs", options.field).export_run
    given = {"voxel_size_m": options.voxel, "rays": options.rays, "up": options.up}
    field = export_run(options.field, **{k: v for k, v in given.items() if v is not None})
    source = field.provenance["up_source"]
    _say_up(Up(field.provenance["up_world"], source, field.provenance["up_confidence"]))
    return field


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
        print(json_text(summary, indent=2))
    else:
        for key, value in summary.items():
            print(f"{key:>18}  {value}")


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


_COMMANDS: dict[str, tuple[Callable[..., int], Callable[..., None], str, str]] = {
    "lift": (run_lift, add_lift_arguments, "posed RGB-D folder into a field, no training",
             "find-field lift rgbd_folder --out room.field --voxel 0.02 --every 2"),
    "query": (run_query, add_query_arguments, "where the objects are that a prompt speaks of",
              'find-field query room.field "the <mug> left of <this>" --ref this=photo.jpg:box=40,30,180,170 --json'),
    "view": (run_view, add_view_arguments, "a field in the browser: look, ask, point, measure",
             "find-field view room.field\n  "
             'find-field view room.field "the <mug>" --host 0.0.0.0     for the network, with a token'),
    "export": (run_export, add_export_arguments, "a field, or a training run, in another form",
               "find-field export room.field room.ply --colors pca\n  "
               "find-field export outputs/room/find-field/RUN/config.yml room.field"),
    "merge": (run_merge, add_merge_arguments, "fields of one place in one",
              "find-field merge left.field right.field --out both.field"),
    "info": (run_info, add_info_arguments, "what a field holds", "find-field info room.field"),
}  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
