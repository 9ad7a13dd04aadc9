"""Writes docs/benchmarks.md, and the figures on other pages, from the stored results.

    python -m benchmarks.page            # write
    python -m benchmarks.page --check    # exit 1 where a page differs from the results

Other pages hold figures between `<!-- figures: NAME -->` and `<!-- /figures -->`; the text between
is written by the function that `BLOCKS` names.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable

from benchmarks.page import bench, field, gpu, judge, model, places, speed, trust
from benchmarks.page.format import ROOT, shipped

PAGE = "docs/benchmarks.md"
BLOCKS: dict[str, tuple[str, Callable[[], str]]] = {
    "headline": ("README.md", model.headline),
    "latency": ("find_ros/README.md", places.latency),
}


def page() -> str:
    fingerprint, parameters = shipped()
    head = f"""# Benchmarks

<!-- Written by `python -m benchmarks.page` from stored results. Do not edit: run the script. -->

Every figure here comes from a result file that a script wrote. The shipped model, `find-tabletop`, has
{parameters / 1e6:.2f} M trained parameters and the fingerprint `{fingerprint}`. Below each table stands the command that
made it, its file, and the model it was measured with. Where that is **another one**, the shipped model's figures may
differ; where it is not recorded, the same holds. Times are of two cores without a GPU; what was measured on one is in docs/speed.md."""
    return (
        "\n\n".join(
            [
                head,
                model.rendered(),
                judge.judge(),
                model.real(),
                model.photos(),
                bench.bench(),
                model.video(),
                field.field(),
                places.node(),
                gpu.gpu(),
                trust.trust(),
                speed.speed(),
                model.learning(),
            ]
        )
        + "\n"
    )


def filled(text: str, name: str, content: str) -> str:
    """`text` with the block `name` replaced."""
    pattern = rf"(<!-- figures: {name} -->\n).*?(<!-- /figures -->)"
    new, count = re.subn(pattern, lambda m: f"{m[1]}{content}\n{m[2]}", text, flags=re.S)
    if count != 1:
        raise SystemExit(f"{BLOCKS[name][0]} has {count} blocks {name!r} instead of one.")
    return new


def pages() -> dict[str, str]:
    """Every written page by its path, as it should be."""
    out = {PAGE: page()}
    for name, (path, content) in BLOCKS.items():
        text = out.get(path) or (ROOT / path).read_text(encoding="utf-8")
        out[path] = filled(text, name, content())
    return out


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 on a difference"
    )
    check, status = parser.parse_args().check, 0
    for path, text in pages().items():
        file = ROOT / path
        if file.exists() and file.read_text(encoding="utf-8") == text:
            continue
        if check:
            print(f"{path} differs from the stored results: run python -m benchmarks.page.")
            status = 1
        else:
            file.write_text(text, encoding="utf-8")
            print(f"wrote {path}")
    return status


if __name__ == "__main__":
    sys.exit(main())
