"""find-core: localize, live, segment, album, info, import from the command line.

Errors a user can cause are one sentence on stderr and exit status 2; Ctrl-C gives 130.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from find_core.cli.common import Formatter
from find_core.runtime import process
from find_core.support.command_line import Parser, run_command

# command -> the module with `add_parser(subparsers)`; a command's own imports wait until it runs.
COMMANDS = {
    "localize": "find_core.cli.localize",
    "live": "find_core.cli.live",
    "segment": "find_core.cli.segment",
    "album": "find_core.cli.album",
    "info": "find_core.cli.model",
    "import": "find_core.cli.model",
}


def build_parser() -> Parser:
    parser = Parser(
        prog="find-core",
        description="Find what words and pictures speak of, in images and videos.",
        epilog="Example:\n  find-core localize kitchen.mp4 --prompt 'the <red cup>' --out out/",
        formatter_class=Formatter,
    )
    from find_core import __version__

    parser.add_argument("--version", action="version", version=f"find-core {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in dict.fromkeys(COMMANDS.values()):
        importlib.import_module(module).add_parser(subparsers)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    process.prepare()
    return run_command("find-core", build_parser(), argv, lambda args: args.run(args))


if __name__ == "__main__":
    sys.exit(main())
