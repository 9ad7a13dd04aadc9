"""What the commands share: arguments, prompts and references, the model."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from find_core.errors import PromptError

if TYPE_CHECKING:
    from find_core.predictor import Find
    from find_core.prompts.prompt import Prompt, Reference

_REFERENCE = re.compile(
    r"(?P<name>[^=]+)=(?P<path>.+):(?P<kind>mask|box|point|polygon|circle|scribble)=(?P<value>.+)"
)


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
        type=int,
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
        help="a prompt as JSON (schema prompt), pictures by path relative to the file",
    )
    parser.add_argument(
        "--reference",
        action="append",
        default=[],
        metavar="NAME=PHOTO:KIND=VALUES",
        help="what <NAME> looks like: cup=photo.jpg:box=40,30,180,170 (or point=x,y, circle=x,y,r, "
        "polygon=x,y,x,y,..., scribble=x,y,..., mask=mask.png)",
    )
    parser.add_argument(
        "--threshold", type=float, help="score at which a thing is found; default: the model's own"
    )


def load_model(args: argparse.Namespace) -> Find:
    import find_core

    given = {
        "language_cache": args.language_cache,
        "input_px": args.input_px,
        "runtime": args.runtime,
    }
    options = {name: value for name, value in given.items() if value is not None}
    return find_core.load(args.model, device=args.device, **options)


def read_prompts(args: argparse.Namespace) -> list[Prompt]:
    """All prompts of a command line; each reference goes to the prompts that name it.

    Raises:
        PromptError: none given, a malformed reference, one that no prompt names.
    """
    from find_core.prompts.prompt import Prompt

    references = dict(parse_reference(text) for text in args.reference)
    used: set[str] = set()
    prompts = []
    for text in args.prompt:
        named = {e.label for e in Prompt.parse(text).entities} & set(references)
        used |= named
        prompts.append(Prompt.bind(text, {name: references[name] for name in named}))
    prompts += [_prompt_of_file(path) for path in args.prompt_json]
    if unused := sorted(set(references) - used):
        raise PromptError(f"No prompt names the reference {unused[0]!r}: write <{unused[0]}>.")
    if not prompts:
        raise PromptError("Say what to look for: --prompt 'the <red cup>'.")
    return prompts


def _prompt_of_file(path: Path) -> Prompt:
    import json

    from find_core.prompts.prompt import Prompt

    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PromptError(f"No prompt file at {path}: check the path.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise PromptError(f"{path} is not JSON ({error}).") from None
    return Prompt.from_json(data, base_dir=path.parent)


def parse_reference(text: str) -> tuple[str, Reference]:
    """'cup=photo.jpg:box=40,30,180,170' -> ("cup", Reference).

    Raises:
        PromptError: not of that form, or the region is none. ImageError: no such picture.
    """
    from find_core.images import read_image
    from find_core.prompts.prompt import Reference

    match = _REFERENCE.fullmatch(text)
    if match is None:
        raise PromptError(
            f"Cannot read the reference {text!r}: write NAME=PHOTO:KIND=VALUES, "
            "e.g. cup=photo.jpg:box=40,30,180,170."
        )
    image, kind = read_image(match["path"]), match["kind"]
    return match["name"], Reference(image, **{kind: _region_value(kind, match["value"])})


def _region_value(kind: str, text: str) -> Any:
    if kind == "mask":
        from find_core.images import read_image

        return read_image(text).max(axis=2) > 127
    try:
        numbers = [float(number) for number in text.split(",")]
    except ValueError:
        raise PromptError(f"A {kind} takes numbers with commas between, got {text!r}.") from None
    if kind in ("polygon", "scribble"):
        return list(zip(numbers[::2], numbers[1::2], strict=len(numbers) % 2 == 0))
    return numbers
