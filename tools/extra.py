"""The requirements of one of this distribution's extras, a line each, without the distribution's own.

    pip install --no-deps -e . && python tools/extra.py docs > docs.txt && pip install -r docs.txt

For what works from the source alone, and so needs neither torch nor what else an extra comes on top of.
"""

from __future__ import annotations

import re
import sys
from importlib.metadata import requires

NAME = "find_ros"


def requirements_of(extra: str) -> list[str]:
    """As pip takes them.

    Raises:
        SystemExit: there is no such extra.
    """
    marked = re.compile(rf"^(?P<what>[^;]+);\s*extra == [\"']{re.escape(extra)}[\"']$")
    found = [
        match["what"].strip() for line in requires(NAME) or () if (match := marked.match(line))
    ]
    if not found:
        sys.exit(f"{NAME} has no extra {extra!r}.")
    return found


if __name__ == "__main__":
    print("\n".join(requirements_of(sys.argv[1])))
