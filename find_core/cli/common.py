"""What the commands share: arguments, prompts and references, the model."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from find_core.errors import PromptError
from find_core.prompts.prompt import Prompt
from find_core.prompts.text_form import parse_references, read_prompt_file
from find_core.support.command_line import fraction, whole
from find_core.support.files import write_text
from find_core.support.json_text import json_text
from find_core.support.printable import quoted

if TYPE_CHECKING:
    from find_core.predictor import Find
    from find_core.video.offline import Progress

Formatter = argparse.RawDescriptionHelpFormatter  # examples as they are written


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model",
        default="find-tabletop",
        help="packaged name (default: find-tabletop), directory, hub id or published .pt",
    )
    parser.add_argument("--device", default="auto", help="auto (default), cpu, cuda, cuda:1")
    parser.add_argument(
        "--input-px",
        type=whole(32, 4096),
        metavar="PX",
        help="scale images to this shorter side instead of the model's own: smaller is faster",
    )
    parser.add_argument(
        "--runtime",
        metavar="NAME",
        help="what computes the image path: auto (default), torch, onnxruntime, openvino or "
        "openvino-bf16 (docs/speed.md)",
    )
    parser.add_argument(
        "--language-cache",
        metavar="FILE",
        help="answer prompts from this file of ready texts, without the language model "
        "(made by: python -m find_core.encoders.precompute)",
    )
    parser.add_argument(
        "--no-places",
        action="store_true",
        help="in sentences of several things, choose by scores alone (docs/places.md)",
    )
    parser.add_argument(
        "--no-recognition",
        action="store_true",
        help="score by the interface alone (docs/recognition.md)",
    )


def add_prompt_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--prompt",
        action="append",
        default=[],
        metavar="TEXT",
        help="instruction, <...> marks the things to find; several are answered side by side",
    )
    parser.add_argument(
        "--prompt-json",
        action="append",
        default=[],
        type=Path,
        metavar="FILE",
        help="a prompt as JSON (schema prompt), images by path relative to the file",
    )
    parser.add_argument(
        "--reference",
        "--ref",
        action="append",
        default=[],
        metavar="NAME=PHOTO:KIND=VALUES",
        help="what <NAME> looks like: cup=photo.jpg:box=40,30,180,170 (or point=x,y, circle=x,y,r, "
        "polygon=x,y,x,y,..., scribble=x,y,..., mask=mask.png)",
    )
    parser.add_argument(
        "--threshold",
        type=fraction,
        help="score at which a thing is found; default: the model's own",
    )


def add_rerun_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rerun",
        type=Path,
        metavar="FILE.rrd",
        help="also write a recording for the viewer Rerun (docs/howto/rerun.md)",
    )


def load_model(args: argparse.Namespace) -> Find:
    import find_core

    given = {
        "language_cache": args.language_cache,
        "input_px": args.input_px,
        "runtime": args.runtime,
    }
    options = {name: value for name, value in given.items() if value is not None}
    if args.no_places:
        options["places"] = False
    if args.no_recognition:
        options["recognition"] = False
    return find_core.load(args.model, device=args.device, **options)


def read_prompts(args: argparse.Namespace) -> list[Prompt]:
    """All prompts of a command line; each reference goes to the prompts that name it.

    Raises:
        PromptError: none given, a malformed reference, one that no prompt names.
    """
    references = parse_references(args.reference)
    prompts = [Prompt.bind_known(text, references) for text in args.prompt]
    used = {entity.label for prompt in prompts for entity in prompt.entities}
    prompts += [read_prompt_file(path) for path in args.prompt_json]
    if unused := sorted(set(references) - used):
        raise PromptError(f"No prompt names the reference {quoted(unused[0])}.")
    if not prompts:
        raise PromptError("Say what to look for: --prompt 'the <red cup>'.")
    return prompts


@contextmanager
def progress_bars(quiet: bool) -> Iterator[Progress]:
    """A bar per stage on stderr."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bars:
        tasks: dict[str, Any] = {}

        def update(stage: str, done: int, total: int | None) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)

        yield update


def write_json(path: Path, data: Any) -> None:
    """Write JSON atomically, for people to read too."""
    write_text(path, json_text(data, ensure_ascii=False, indent=1) + "\n")
