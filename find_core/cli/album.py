"""find-core album: which of many pictures hold what a prompt speaks of."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from find_core.cli.common import (
    Formatter,
    add_model_arguments,
    add_prompt_arguments,
    load_model,
    read_prompts,
    write_json,
)
from find_core.errors import AlbumError
from find_core.support.command_line import number, whole
from find_core.support.files import locked
from find_core.support.json_text import json_text
from find_core.support.printable import shown

if TYPE_CHECKING:
    import numpy as np

    from find_core.predictor import Find
    from find_core.prompts.prompt import Prompt
    from find_core.tasks.album import Album, AlbumHit

SAVE_EVERY_S, SAVE_AT_MOST_EVERY = 30.0, 64  # seconds; pictures between two looks at the clock

EPILOG = """\
Examples:
  find-core album kitchen.album --add photos/
  find-core album kitchen.album --prompt "the <red mug> next to the <plate>" --out hits/
  find-core album kitchen.album --prompt "a <thing>" \\
      --reference thing=photo.jpg:box=40,30,180,170 --top 5 --json
  find-core album http://localhost:6333/kitchen --add photos/     # a Qdrant server or cluster

Writes into --out: hits.json and hits.png, the best pictures with what was meant drawn into them.
An API key for the server is read from the environment variable QDRANT_API_KEY.
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "album",
        help="which of many pictures show it?",
        description="Keep the vectors of many pictures, and search them with interleaved prompts.",
        epilog=EPILOG,
        formatter_class=Formatter,
    )
    parser.add_argument("album", help="a file, or http(s)://HOST:PORT/COLLECTION")
    parser.add_argument(
        "--add",
        nargs="+",
        type=Path,
        default=[],
        metavar="PATH",
        help="pictures, or folders of them",
    )
    add_prompt_arguments(parser)
    parser.add_argument(
        "--top", type=whole(1, 10_000), default=12, metavar="K", help="hits (default: 12)"
    )
    parser.add_argument(
        "--entity-weight", type=number(0, 100), metavar="W",
        help="weight of the marked things beside the whole sentence (default: 0.5)",
    )  # fmt: skip
    add_model_arguments(parser)
    parser.add_argument("--out", type=Path, help="folder for the hits")
    parser.add_argument("--json", action="store_true", help="print the hits as JSON on stdout")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    asked = bool(args.prompt or args.prompt_json)
    if not (asked or args.add):
        raise AlbumError("Say what to do: --add photos/, or --prompt 'the <red cup>'.")
    prompts = read_prompts(args) if asked else []
    if len(prompts) > 1:
        raise AlbumError("An album is asked one prompt at a time: give --prompt once.")
    files = picture_files(args.add)
    find = load_model(args)
    if files:
        album = _add(args.album, find, files)
    else:
        album = open_album(args.album, find, new=False)
    if prompts:
        _search(args, find, album, prompts[0])
    return 0


def _add(place: str, find: Find, files: Sequence[Path]) -> Album:
    """Add pictures, and save as it goes: where it breaks off, what was done is kept."""
    pictures = _read(_shown_progress(files))
    if "://" in place:
        album = open_album(place, find, new=True)
        count = album.add(pictures)
    else:
        with locked(Path(place), AlbumError):
            album = open_album(place, find, new=True)
            count = _add_and_save(album, Path(place), pictures)
    print(f"{count} pictures added, {len(album)} in {shown(place, 200)}.", file=sys.stderr)
    return album


def _add_and_save(album: Album, path: Path, pictures: Iterator[tuple[str, np.ndarray]]) -> int:
    count = unsaved = 0
    saved_at = time.monotonic()
    try:
        while some := album.add(islice(pictures, SAVE_AT_MOST_EVERY)):
            count, unsaved = count + some, unsaved + some
            if time.monotonic() - saved_at > SAVE_EVERY_S:
                album.save(path)
                unsaved, saved_at = 0, time.monotonic()
    except BaseException:  # Ctrl-C too: those that were encoded since are in the album
        album.save(path)
        raise
    if unsaved or not path.exists():
        album.save(path)
    return count


def open_album(place: str, find: Find, new: bool) -> Album:
    """The album of a file or server; one that is not there yet only where pictures are added."""
    from find_core.tasks.album import Album

    if "://" in place:
        url, _, collection = place.rpartition("/")
        if url.endswith("/") or not collection:  # http://host:6333 names no collection
            url, collection = place.rstrip("/"), "album"
        return Album.connect(url, find, collection, api_key=os.environ.get("QDRANT_API_KEY"))
    return Album(find) if new and not Path(place).exists() else Album.load(place, find)


def picture_files(paths: Sequence[Path]) -> list[Path]:
    """The pictures among `paths` and in the folders among them, each once, sorted.

    Raises:
        AlbumError: a path does not exist, or nothing there is a picture.
    """
    from find_core.video.sources import PICTURES

    files: dict[Path, None] = {}
    for path in paths:
        if path.is_dir():
            inside = sorted(
                p
                for p in path.rglob("*")
                # "._" files are macOS's notes on files, not pictures.
                if p.suffix.lower() in PICTURES and not p.name.startswith("._")
            )
            files |= dict.fromkeys(inside)
        elif path.is_file():
            files[path] = None
        else:
            raise AlbumError(f"No picture and no folder at {shown(path, 200)}: check the path.")
    if paths and not files:
        raise AlbumError(f"No pictures in {paths[0]}: their names end in {', '.join(PICTURES)}.")
    return list(files)


def _read(files: Iterable[Path]) -> Iterator[tuple[str, np.ndarray]]:
    """Names and pixels; a file that is no picture is named and left out."""
    from find_core.errors import ImageError
    from find_core.images import read_image

    for path in files:
        try:
            yield str(path), read_image(path)
        except ImageError as error:
            print(f"Left out: {error}", file=sys.stderr)


def _shown_progress(files: Sequence[Path]) -> Iterator[Path]:
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    yield from track(files, "encoding", console=console, disable=not console.is_terminal)


def _search(args: argparse.Namespace, find: Find, album: Album, prompt: Prompt) -> None:
    from find_core.tasks.retrieve import ENTITY_WEIGHT

    weight = ENTITY_WEIGHT if args.entity_weight is None else args.entity_weight
    hits = album.search(prompt, args.top, weight)
    answer = {
        "version": 1, "prompt": prompt.markup, "pictures": len(album),
        "hits": [hit.to_json() for hit in hits],
    }  # fmt: skip
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
        write_json(args.out / "hits.json", answer)
        _draw(args.out, find, prompt, hits, args.threshold)
    if args.json:
        print(json_text(answer, ensure_ascii=False))
    else:
        for hit in hits:
            print(f"{hit.score:7.3f}  relevance {hit.relevance:.2f}  {shown(hit.name, 400)}")


def _draw(
    out: Path, find: Find, prompt: Prompt, hits: Sequence[AlbumHit], threshold: float | None
) -> None:
    """hits.png: what the prompt means in each hit whose picture is still where it was."""
    from find_core.drawing import contact_sheet, draw_localization, write_image
    from find_core.errors import ImageError
    from find_core.images import read_image

    images, captions = [], []
    for hit in hits:
        if Path(hit.name).is_file():
            try:
                image = read_image(hit.name)
            except ImageError as error:  # it was whole when it was added
                print(f"Not drawn: {error}", file=sys.stderr)
                continue
            answer = find.encode(image).localize(prompt, threshold=threshold)
            images.append(draw_localization(image, answer))
            captions.append(f"{hit.score:.2f}  {shown(Path(hit.name).name)}")
    if images:
        write_image(out / "hits.png", contact_sheet(images, captions))
