"""find-core live: a camera, video or folder in the browser, with prompts."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from find_core.cli.common import (
    Formatter,
    add_model_arguments,
    add_rerun_argument,
    load_model,
)
from find_core.support.command_line import fraction, number, whole

if TYPE_CHECKING:
    from find_core.drawing.rerun_file import RerunFile
    from find_core.page.source import Moment, TakeMoment

EPILOG = """\
Examples:
  find-core live 0                                  a camera by its number
  find-core live kitchen.mp4 --prompt "the <red cup>"
  find-core live photos/ --fps 5 --host 0.0.0.0     for the network, with a token
  find-core live 0 --rerun session.rrd              what open pages saw, for the viewer Rerun

Needs the extra [page]. docs/page.md says what the page can do.
"""


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser(
        "live",
        help="watch a camera, video or folder in the browser and say what to look for",
        description="Serve a page that shows the source with what was found in it.",
        epilog=EPILOG,
        formatter_class=Formatter,
    )
    parser.add_argument("source", help="camera number, video file or URL, folder of pictures, bag")
    parser.add_argument("--prompt", default="", help="what to look for at the start")
    parser.add_argument(
        "--threshold",
        type=fraction,
        help="score at which a thing is found; default: the model's own",
    )
    parser.add_argument("--fps", type=number(1e-3, 1000), help="rate of a folder (default: 10)")
    parser.add_argument("--topic", help="image topic of a bag; default: its first")
    add_model_arguments(parser)
    add_page_arguments(parser)
    add_rerun_argument(parser)
    parser.set_defaults(run=run)


def add_page_arguments(parser: argparse.ArgumentParser) -> None:
    """Where the page is served, and where its prompts are saved."""
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to serve on; anything but this machine's own opens the page to the network, "
        "with a token (default: 127.0.0.1)",
    )
    parser.add_argument(
        "--port", type=whole(1, 65535), default=8600, help="port to serve on (default: 8600)"
    )
    parser.add_argument(
        "--prompts",
        type=Path,
        metavar="DIR",
        help="where prompts are saved (default: ~/.local/share/find/prompts)",
    )


def run(args: argparse.Namespace) -> int:
    from find_core.drawing.rerun_file import rerun_file
    from find_core.page.saved import default_folder
    from find_core.page.server import check_installed, serve
    from find_core.page.stream_source import StreamSource
    from find_core.video.sources import open_source

    check_installed()
    source = open_source(args.source, fps=args.fps, topic=args.topic)
    with rerun_file(args.rerun, keep_interrupted=True) as rerun:
        print("Loading the model.", file=sys.stderr)
        watch = None if rerun is None else _recorder(rerun)
        find = load_model(args)
        stream = StreamSource(find, source, args.threshold, find.at_input_px, watch)
        serve(
            stream,
            host=args.host,
            port=args.port,
            prompt=args.prompt,
            prompts_dir=args.prompts or default_folder(),
        )
    return 0


def _recorder(rerun: RerunFile) -> TakeMoment:
    """What writes each moment; SIGTERM then ends the file too, not only the process."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))

    def write(moment: Moment) -> None:
        found = [] if moment.localization is None else [moment.localization]
        rerun.frame(moment.image_rgb, moment.stamp_ns, found, [moment.relevance] if found else ())

    return write
