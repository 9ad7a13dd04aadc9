"""The options of find-field's commands."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from find_core.cli.common import add_model_arguments, add_rerun_argument
from find_core.errors import FieldError
from find_core.support.command_line import fraction, number, whole
from find_field.geometry.up import read_up


class UpDirection(argparse.Action):
    """An option of three numbers, or of one word."""

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: Any,
                 option_string: str | None = None) -> None:  # fmt: skip
        try:
            setattr(namespace, self.dest, read_up(" ".join(values)))
        except FieldError as error:
            parser.error(f"{option_string}: {error}")


def _add_up(parser: argparse.ArgumentParser, usual: str) -> None:
    parser.add_argument("--up", nargs="+", action=UpDirection, metavar="UP", help=f"up in the world frame: three numbers X Y Z; z; auto, estimated from cameras and surfaces; or check, z unless those speak clearly against it (default: {usual})")  # fmt: skip


def _add_prompt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--prompt-json", type=Path, metavar="FILE", help="prompt with references as JSON")  # fmt: skip
    _add_reference(parser)


def _add_reference(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reference", "--ref", action="append", default=[], metavar="NAME=PHOTO:KIND=VALUES", help="what <NAME> looks like: this=photo.jpg:box=40,30,180,170 (or point, circle, polygon, scribble, mask)")  # fmt: skip


def add_lift_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", type=Path, nargs="?", help="meta.json sequence, 7-Scenes or transforms.json")
    add("--nerf", type=Path, metavar="CONFIG", help="instead of a folder: config.yml of any trained nerfstudio run; what it renders at its own cameras is lifted")  # fmt: skip
    add("--render-px", type=whole(16, 4096), default=288, metavar="PX", help="shorter side of views rendered for --nerf (default: %(default)s)")  # fmt: skip
    add("--out", type=Path, required=True, help="file to write, e.g. room.field")
    add("--voxel", type=number(1e-4, 100), default=0.01, metavar="M", help="side of a voxel, metres (default: %(default)s)")  # fmt: skip
    add("--rank", type=whole(1, 4096), default=48, metavar="K", help="coefficients per voxel (default: %(default)s)")  # fmt: skip
    add("--start", type=whole(), default=0, metavar="N", help="leave out the first N frames")
    add("--every", type=whole(1), default=1, metavar="N", help="use every n-th frame")
    add("--limit", type=whole(1), metavar="N", help="use at most this many frames")
    add("--max-depth", type=number(above=0), default=6.0, metavar="M", help="leave out surface beyond so many metres (default: %(default)s)")  # fmt: skip
    add("--frame", help="name of the world frame (default: what the folder says)")
    _add_up(parser, "auto for 7-Scenes, check for transforms.json, else z")
    add("--no-forget", action="store_true", help="keep what later frames see through (usually that is gone or moved)")  # fmt: skip
    add("--pixel", action="store_true", help="also keep pixel features (embeddings_at(kind='pixel'))")  # fmt: skip
    add("--registered", action="store_true", help="7-Scenes: depth is already registered to colour")
    add("--json", action="store_true", help="print a JSON summary")
    add_rerun_argument(parser)
    add_model_arguments(parser)


def add_query_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("field", type=Path, help="a .field file")
    add("prompt", nargs="?", help='text with <entities>, e.g. "the <mug>"')
    _add_prompt(parser)
    add("--threshold", type=fraction, help="score at which an object is found; default: the model's own")  # fmt: skip
    add("--max-hits", type=whole(1), default=10, help="per entity, best first (default: %(default)s)")  # fmt: skip
    add("--picture", type=Path, help="image to write: the field from above, with relevancy and boxes")  # fmt: skip
    add("--ply", type=Path, help="point cloud to write, with the relevancy for the first entity")
    add("--colors", choices=("relevancy", "rgb", "pca"), default="relevancy", help="of --ply (default: %(default)s)")  # fmt: skip
    add("--json", action="store_true", help="print the answer as JSON")
    add_rerun_argument(parser)
    add_model_arguments(parser)


def add_export_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("field", type=Path, help="a .field file, or config.yml of ns-train find-field")
    add("out", type=Path, help="a .ply or .npz file; of a training run, or with --up, also .field")
    add("--voxel", type=number(1e-4, 100), metavar="M", help="of a training run: side of a voxel, metres")  # fmt: skip
    add("--rays", type=whole(1), metavar="N", help="of a training run: rays rendered in all")
    _add_up(parser, "a field's own; of a training run as it was configured")
    add("--colors", choices=("rgb", "pca", "relevancy"), default="rgb", help="of a .ply: as seen, by embedding, or by relevancy for --prompt (default: %(default)s)")  # fmt: skip
    add("--prompt", help="what --colors relevancy is for, e.g. 'the <mug>'")
    _add_prompt(parser)
    add("--json", action="store_true", help="print a JSON summary")
    add_model_arguments(parser)


def add_merge_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("fields", type=Path, nargs="+", metavar="FIELD", help="two .field files or more, of one world frame")  # fmt: skip
    add("--out", type=Path, required=True, help="file to write, e.g. both.field")
    add("--json", action="store_true", help="print a JSON summary")


def add_info_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("field", type=Path, help="a .field file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_view_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("field", type=Path, help="a .field file")
    add("prompt", nargs="?", default="", help="what to look for at the start, e.g. 'the <mug>'")
    _add_reference(parser)
    add("--threshold", type=fraction, help="score at which an object is found; default: the model's own")  # fmt: skip
    add("--follow", action="store_true", help="show the file again whenever it was written anew, as by ~/save of a field_server")  # fmt: skip
    add("--host", default="127.0.0.1", help="address to serve on; anything but this machine's own opens the view to the network, with a token (default: %(default)s)")  # fmt: skip
    add("--port", type=whole(1, 65535), default=8700, help="port to serve on (default: %(default)s)")  # fmt: skip
    add_model_arguments(parser)
