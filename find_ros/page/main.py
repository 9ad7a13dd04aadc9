"""python -m find_ros.page: its arguments."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import rclpy
from rclpy.context import Context
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

from find_core.cli.live import add_page_arguments
from find_core.page.saved import default_folder
from find_core.page.server import check_installed, serve
from find_core.support.command_line import Parser, run_command
from find_ros.page.source import RosSource
from find_ros.support.resources import use_fastdds_profile

EPILOG = """\
Topics are remapped as everywhere: --ros-args -r image:=/camera/color/image_raw -r __ns:=/robot

Needs the extra [page]. docs/page.md says what the page can do.
"""


def build_parser() -> Parser:
    parser = Parser(
        prog="ros2 run find_ros page",
        description="Serve a page that shows the camera with what a running localizer finds.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--localizer", default="localizer", help="name of its node (default: localizer)"
    )
    parser.add_argument(
        "--cameras", default="", help="of the localizer, where it has several: front,wrist"
    )
    parser.add_argument(
        "--compressed", action="store_true", help="subscribe to image/compressed instead of image"
    )
    add_page_arguments(parser)
    return parser


def main(args: Sequence[str] | None = None) -> int:
    """Serve the page until SIGINT or SIGTERM; the exit status."""
    given = list(sys.argv[1:] if args is None else args)
    own = remove_ros_args(["page", *given])[1:]
    return run_command("find_ros page", build_parser(), own, lambda options: _run(options, given))


def _run(options: argparse.Namespace, given: list[str]) -> int:
    check_installed()
    use_fastdds_profile()
    context = Context()
    rclpy.init(args=given, context=context, signal_handler_options=SignalHandlerOptions.NO)
    try:
        source = RosSource(
            context,
            localizer=options.localizer,
            cameras=[name.strip() for name in options.cameras.split(",") if name.strip()],
            compressed=options.compressed,
        )
        try:
            serve(
                source,
                host=options.host,
                port=options.port,
                prompts_dir=options.prompts or default_folder(),
            )
        finally:
            source.shut_down()
    finally:
        context.try_shutdown()
    return 0
