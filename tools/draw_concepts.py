"""Draw docs/figures/*.svg, the figures of docs/concepts.md.

    python tools/draw_concepts.py            # write them
    python tools/draw_concepts.py --check    # exit 1 where the files are others

The table of attention is drawn from `find_core/model/attention_table.py` itself.
"""

from __future__ import annotations

import argparse
import sys
from html import escape
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from find_core.drawing.palette import PALETTE
from find_core.model.attention_table import ATTENTION_TABLE, IMAGE_SOURCE, TokenGroup

FOLDER = Path(__file__).resolve().parents[1] / "docs/figures"
INK, PAPER, FROZEN, TRAINED, DATA = "#1f2933", "#ffffff", "#dbe9f4", "#fde8c4", "#eef1f4"
ORANGE, SKY, GREEN, _, BLUE, RED, _ = ("#%02x%02x%02x" % rgb for rgb in PALETTE)  # noqa: UP031

SHORT = {
    TokenGroup.OBJECT: "object proposals", TokenGroup.GROUNDING: "grounding proposals",
    TokenGroup.SEGMENT: "click proposals", TokenGroup.ENTITY: "entity proposals",
    TokenGroup.IMAGE: "image query", TokenGroup.SPATIAL: "click query",
    TokenGroup.CAPTION: "caption query", TokenGroup.CLASS: "class query",
    TokenGroup.DESCRIPTION: "phrase queries", TokenGroup.LEGEND: "legend query",
    TokenGroup.INTERLEAVE: "entity queries", TokenGroup.SPATIAL_TOKENS: "click tokens",
    TokenGroup.REFERENCE_TOKENS: "reference tokens", TokenGroup.CAPTION_TOKENS: "caption tokens",
    TokenGroup.CLASS_TOKENS: "class tokens", TokenGroup.DESCRIPTION_TOKENS: "phrase tokens",
    TokenGroup.LEGEND_TOKENS: "legend tokens", TokenGroup.MEMORY: "memory",
}  # fmt: skip


class Drawing:
    """An SVG of given size in pixels, with a white ground so that it reads on dark pages too."""

    def __init__(self, title: str, width: int, height: int) -> None:
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" '
            f'font-family="Helvetica, Arial, sans-serif" font-size="14" fill="{INK}">',
            f"<title>{escape(title)}</title>",
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" '
            f'markerHeight="8" orient="auto"><path d="M0 0L8 4L0 8z" fill="{INK}"/></marker></defs>',
            f'<rect width="{width}" height="{height}" rx="8" fill="{PAPER}"/>',
        ]

    def box(self, x: int, y: int, w: int, h: int, text: str, fill: str = DATA) -> None:
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="6" fill="{fill}" stroke="{INK}"/>'
        )
        lines = text.split("\n")
        for n, line in enumerate(lines):
            self.text(x + w // 2, y + h // 2 + 5 + round(18 * (n - (len(lines) - 1) / 2)), line)

    def text(self, x: int, y: int, text: str, anchor: str = "middle", more: str = "") -> None:
        self.parts.append(
            f'<text x="{x}" y="{y}" text-anchor="{anchor}" {more}>{escape(text)}</text>'
        )

    def arrow(self, *points: tuple[int, int]) -> None:
        path = "M" + "L".join(f"{x} {y}" for x, y in points)
        self.parts.append(
            f'<path d="{path}" fill="none" stroke="{INK}" stroke-width="1.5" marker-end="url(#tip)"/>'
        )

    def scene(self, x: int, y: int, found: tuple[str, ...] = (), scale: float = 1.0) -> None:
        """A table with a mug, a bowl and a ball; those in `found` are filled and outlined."""
        shapes = {
            "mug": ('<rect x="22" y="34" width="24" height="30" rx="3" {0}/>'
                    '<path d="M46 42q12 6 0 14" fill="none" stroke="{1}" stroke-width="3"/>', ORANGE),
            "bowl": ('<path d="M66 48h40q-4 20-20 20t-20-20z" {0}/>', SKY),
            "ball": ('<circle cx="130" cy="56" r="11" {0}/>', GREEN),
        }  # fmt: skip
        self.parts.append(f'<g transform="translate({x} {y}) scale({scale})">')
        self.parts.append(f'<rect width="160" height="92" fill="#f7f4ee" stroke="{INK}"/>')
        self.parts.append('<path d="M0 66h160v26h-160z" fill="#d9c7a8"/>')
        for name, (shape, color) in shapes.items():
            on = name in found
            paint = f'fill="{color if on else "#c3c9cf"}" stroke="{INK}" stroke-width="{2 if on else 1}"'
            self.parts.append(shape.format(paint, color if on else "#c3c9cf"))
        self.parts.append("</g>")

    def svg(self) -> str:
        return "\n".join([*self.parts, "</svg>"]) + "\n"


def prompts() -> Drawing:
    """What may be asked: words, a region, both in one sentence."""
    d = Drawing("One interface: words, regions of images, and sentences of both", 860, 330)
    rows = (("words", "the <mug>", ("mug",)), ("a region of an image", "<this>", ("bowl",)),
            ("both in one sentence", "the <mug> next to <this>", ("mug", "bowl")))  # fmt: skip
    for n, (kind, sentence, found) in enumerate(rows):
        y = 18 + n * 104
        d.text(20, y + 22, kind, "start", 'font-weight="bold"')
        d.text(20, y + 48, sentence, "start", 'font-size="17"')
        if "this" in sentence:
            d.scene(266, y + 2, scale=0.8)
            d.parts.append(
                f'<rect x="316" y="{y + 36}" width="40" height="25" fill="none" stroke="{RED}" stroke-width="3"/>'
            )
            d.text(366, y + 86, "this", "start", f'fill="{RED}" font-size="13"')
        d.arrow((410, y + 42), (478, y + 42))
        d.box(480, y + 20, 96, 44, "FIND", TRAINED)
        d.arrow((578, y + 42), (656, y + 42))
        d.scene(660, y, found)
    return d


def pipeline() -> Drawing:
    """Frozen encoders, the trained interface between them, what comes out."""
    d = Drawing("Frozen encoders, and the trained interface between them", 860, 380)
    d.scene(20, 40)
    d.text(100, 152, "image")
    d.arrow((182, 86), (208, 86))
    d.box(210, 56, 120, 60, "vision encoder\n(frozen)", FROZEN)
    d.arrow((332, 86), (358, 86))
    d.box(360, 56, 120, 60, "pixel decoder\n3 levels + 1/4", TRAINED)
    d.text(100, 220, "the <mug>")
    d.text(100, 238, "next to <this>")
    d.text(100, 258, "with an image for <this>", more='font-size="12"')
    d.arrow((182, 232), (208, 232))
    d.box(210, 202, 120, 60, "language model\n(frozen)", FROZEN)
    d.arrow((332, 232), (358, 232))
    d.box(360, 202, 120, 60, "sampler\ntokens, queries", TRAINED)
    d.arrow((420, 118), (420, 200))
    d.text(412, 164, "pixels of regions", "end", 'font-size="12"')
    d.arrow((482, 86), (556, 86), (556, 118))
    d.arrow((482, 232), (556, 232), (556, 210))
    d.box(480, 120, 152, 88, "interface\n9 layers of content\nand conditional\nattention", TRAINED)
    d.arrow((632, 150), (668, 110))
    d.arrow((632, 178), (668, 220))
    d.box(670, 80, 172, 60, "pixel embedding ·\nmask features = mask", DATA)
    d.box(670, 190, 172, 60, "semantic embedding\ncosine = what it is", DATA)
    tasks = ("segment", "ground", "click", "retrieve", "interleaved")
    for n, task in enumerate(tasks):
        d.box(40 + n * 160, 310, 140, 40, task, PAPER)
    d.text(430, 298, "the five kinds of question are rows of one table of attention", more='font-size="13"')  # fmt: skip
    return d


def attention() -> Drawing:
    """The table of `find_core.model.attention_table`, as it is."""
    rows = list(ATTENTION_TABLE)
    columns = [IMAGE_SOURCE, *(g for g in TokenGroup if any(_seen(r, g) for r in rows))]
    left, top, cell = 190, 158, 26
    width, height = left + cell * len(columns) + 90, top + cell * len(rows) + 56
    d = Drawing("Who sees whom: content and conditional attention", width, height)
    for n, column in enumerate(columns):
        x = left + n * cell + cell // 2
        name = "image" if column == IMAGE_SOURCE else SHORT[TokenGroup(column)]
        d.text(0, 0, name, "start", f'font-size="13" transform="translate({x + 4} {top - 8}) rotate(-55)"')  # fmt: skip
    for m, row in enumerate(rows):
        y = top + m * cell
        d.text(left - 10, y + 18, SHORT[row], "end", 'font-size="13"')
        for n, column in enumerate(columns):
            x = left + n * cell
            rule = ATTENTION_TABLE[row]
            fill = ORANGE if rule.content == column else SKY if column in rule.condition else PAPER
            d.parts.append(
                f'<rect x="{x}" y="{y}" width="{cell}" height="{cell}" fill="{fill}" stroke="#b8c0c8"/>'
            )
            if fill != PAPER:
                d.text(x + cell // 2, y + 18, "c" if fill == ORANGE else "x", more='font-size="12"')
    y = top + cell * len(rows) + 34
    for x, fill, mark, text in ((20, ORANGE, "c", "content: takes information in"),
                                (280, SKY, "x", "conditional: exchanges it")):  # fmt: skip
        d.parts.append(f'<rect x="{x}" y="{y - 15}" width="20" height="20" fill="{fill}"/>')
        d.text(x + 10, y, mark, more='font-size="12"')
        d.text(x + 28, y, text, "start", 'font-size="13"')
    return d


def _seen(row: TokenGroup, group: TokenGroup) -> bool:
    rule = ATTENTION_TABLE[row]
    return rule.content == group or group in rule.condition


def caching() -> Drawing:
    """What is computed once a prompt, once a frame, and every time."""
    d = Drawing("A prompt is compiled once, a frame encoded once", 860, 230)
    d.box(20, 30, 200, 60, "prompt: words, references")
    d.arrow((222, 60), (278, 60))
    d.box(280, 30, 260, 60, "compile, once a prompt:\nentity vectors, legend states", TRAINED)
    d.box(20, 140, 200, 60, "frame")
    d.arrow((222, 170), (278, 170))
    d.box(280, 140, 260, 60, "encode, once a frame:\nlevels, keys and values, features", TRAINED)
    d.arrow((542, 60), (588, 100))
    d.arrow((542, 170), (588, 130))
    d.box(590, 80, 130, 70, "ask, every time:\nentity proposals", TRAINED)
    d.arrow((722, 115), (748, 115))
    d.box(750, 85, 92, 60, "masks,\nscores")
    return d


def field() -> Drawing:
    """Posed frames become voxels with embeddings, which answer the same prompts."""
    d = Drawing("A 3D feature field: lift, then query", 860, 220)
    for n in (2, 1, 0):
        d.scene(24 + 14 * n, 40 + 12 * n, ("mug", "bowl", "ball"), 0.9)
    d.text(110, 180, "RGB-D frames, T_world_camera", more='font-size="13"')
    d.arrow((206, 100), (258, 100))
    d.box(260, 66, 150, 68, "an embedding\nper pixel\nof each view", TRAINED)
    d.arrow((412, 100), (448, 100))
    d.box(450, 66, 160, 68, "weighted means\nin voxels, k numbers\nin a basis", DATA)
    d.arrow((612, 100), (648, 100))
    d.box(650, 66, 190, 68, "points, oriented box, pose\nin metres", DATA)
    d.arrow((530, 190), (530, 138))
    d.text(530, 208, 'query: "the <mug> next to <this>"', more='font-size="13"')
    return d


FIGURES = {"prompts": prompts, "pipeline": pipeline, "attention": attention,
           "caching": caching, "field": field}  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 where one differs"
    )
    check = parser.parse_args().check
    stale = []
    for name, draw in FIGURES.items():
        file, svg = FOLDER / f"{name}.svg", draw().svg()
        if not file.is_file() or file.read_text(encoding="utf-8") != svg:
            stale.append(file.name)
            if not check:
                file.write_text(svg, encoding="utf-8")
    if check and stale:
        print(
            f"Not as drawn: {', '.join(stale)}. Run python tools/draw_concepts.py.", file=sys.stderr
        )
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
