"""What every command shares: it ends in a sentence, and its options have ranges.

def main(argv=None) -> int:
    return run_command("find-core", parser, argv, lambda args: args.run(args))
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from find_core.errors import FindError
from find_core.support.printable import quoted, shown

SENTENCE_LIMIT = 600


class UsageError(FindError):
    """The arguments of a command cannot be understood."""


class Parser(argparse.ArgumentParser):
    """An `ArgumentParser` whose errors are one sentence, without the whole usage before it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{shown(message, SENTENCE_LIMIT)} (see {self.prog} --help)")


def run_command(
    name: str,
    parser: argparse.ArgumentParser,
    argv: Sequence[str] | None,
    run: Callable[[argparse.Namespace], int | None],
) -> int:
    """Parse the arguments and run the command; returns its exit status.

    What a user can cause is one printable sentence on stderr and status 2, Ctrl-C is 130, a pipe
    that is closed early (`... | head`) is no error. Other exceptions are faults of the program.
    """
    for stream in (sys.stdout, sys.stderr):
        # File names that are not UTF-8 come as lone surrogates, which print raises over.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    # A sentence for the user, without the line of code that it came from.
    formatted = warnings.formatwarning
    warnings.formatwarning = lambda message, *_, **__: f"{name}: {shown(message, SENTENCE_LIMIT)}\n"
    try:
        args = parser.parse_args(argv)
        if getattr(args, "command", None):
            name = f"{name} {args.command}"
        status = int(run(args) or 0)
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        # Python would report the rest of the output at exit.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (FindError, OSError) as error:
        _say(name, shown(error, SENTENCE_LIMIT))
        return 2
    except MemoryError as error:
        _say(name, f"not enough memory ({shown(error) or 'no details'}): use smaller input.")
        return 2
    except KeyboardInterrupt:
        _say(name, "interrupted.")
        return 128 + signal.SIGINT
    finally:
        warnings.formatwarning = formatted


def _say(name: str, sentence: str) -> None:
    with contextlib.suppress(OSError):
        print(f"{name}: {sentence}", file=sys.stderr)


def number(
    low: float = -math.inf, high: float = math.inf, *, above: float | None = None
) -> Callable[[str], float]:
    """An argparse type: a finite number in [low, high], or above `above`."""

    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high) or (
            above is not None and value <= above
        ):
            raise argparse.ArgumentTypeError(_range(text, "a number", low, high, above))
        return value

    return read


def whole(low: int = 0, high: int = 10**9) -> Callable[[str], int]:
    """An argparse type: an integer in [low, high]."""

    def read(text: str) -> int:
        plain = text.strip().lstrip("+-")
        value = int(text) if plain.isascii() and plain.isdigit() and len(plain) < 15 else None
        if value is None or not low <= value <= high:
            raise argparse.ArgumentTypeError(_range(text, "a whole number", low, high, None))
        return value

    return read


fraction = number(0, 1)
"""An argparse type: a number in [0, 1]."""
seconds = number(above=0)
"""An argparse type: a duration above 0 seconds."""


def _range(text: str, kind: str, low: float, high: float, above: float | None) -> str:
    limits = [f"above {above:g}"] if above is not None else []
    limits += [f"at least {low:g}"] if low > -math.inf and above is None else []
    limits += [f"at most {high:g}"] if high < math.inf and high < 10**9 else []
    return f"{quoted(text, 40)} is not {kind}{' ' if limits else ''}{' and '.join(limits)}"


class Direction(argparse.Action):
    """An option of three finite numbers that are not all zero."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        if not 1e-6 < math.hypot(*values) < 1e6:
            parser.error(
                f"{option_string}: {values} is no direction: give three numbers, not 0 0 0"
            )
        setattr(namespace, self.dest, tuple(values))
