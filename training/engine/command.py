"""How a training command ends: in one sentence, whatever a user can cause."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from find_core.errors import FindError
from find_core.support.command_line import SENTENCE_LIMIT
from find_core.support.printable import shown


@contextmanager
def ends_in_a_sentence(command: str) -> Iterator[None]:
    """Errors a user can cause become one line on stderr and exit status 2; Ctrl-C gives 130.

    Args:
        command: what the line begins with, e.g. "training.train".
    """
    try:
        yield
    except BrokenPipeError:  # `... --print | head` is no error
        sys.exit(0)
    except (FindError, OSError) as error:
        print(f"{command}: {shown(error, SENTENCE_LIMIT)}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print(f"{command}: interrupted.", file=sys.stderr)
        sys.exit(130)
