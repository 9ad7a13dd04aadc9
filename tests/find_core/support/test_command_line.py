"""How a command tells what is wrong."""

from __future__ import annotations

import argparse
import warnings

from find_core.support.command_line import run_command


def test_a_warning_is_a_sentence(capsys):
    """Not the file and the line of code that Python would show."""
    before = warnings.formatwarning

    def run(args: argparse.Namespace) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            text = warnings.formatwarning("x.pt is altered.", UserWarning, "a.py", 7)
            print(text, end="")

    assert run_command("find-core", argparse.ArgumentParser(), [], run) == 0
    assert capsys.readouterr().out == "find-core: x.pt is altered.\n"
    assert warnings.formatwarning is before
