"""The command line `find-core`."""

from find_core.cli.main import main

__all__ = ["main"]
