"""A run as one HTML file that needs no network: film, relevance curve, prompt, what was found,
and the scene in 3D where it is known."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from find_core.page.report_cloud import SCRIPT, Cloud, cloud_data, cloud_html
from find_core.page.report_template import TEMPLATE
from find_core.page.source import PageError
from find_core.page.stills import cut_out, fitted, jpeg
from find_core.prompts.prompt import Prompt
from find_core.support.files import write_text
from find_core.support.json_text import json_text
from find_core.video.timeline import Interval

MAX_FRAMES, MAX_SIDE_PX = 240, 720
WIDTH, HEIGHT = 1000, 160


@dataclass(frozen=True, eq=False)
class Shot:
    """One frame of the film: (H, W, 3) uint8 RGB with drawings, at `time_s`; relevance in [0, 1]."""

    image_rgb: np.ndarray
    time_s: float
    relevance: float


@dataclass(frozen=True)
class Row:
    """What became of one entity: in how many frames it was found, and when it was at its best."""

    label: str
    found_in: int
    frames: int
    best_score: float
    best_s: float
    tracks: int


def write_report(
    path: Path,
    *,
    title: str,
    prompt: Prompt,
    shots: Sequence[Shot],
    intervals: Sequence[Interval],
    threshold: float,
    rows: Sequence[Row],
    commands: Sequence[tuple[str, str]],
    cloud: Cloud | None = None,
) -> Path:
    """Write the page.

    Args:
        shots: in time order, at least one; of more than `MAX_FRAMES`, evenly spread ones are shown.
        intervals: when the prompt is relevant, in the seconds of `shots`; threshold: that opens one.
        commands: what to do next: what it is for, and the command.
        cloud: the scene in 3D; None: it is not known.

    Raises:
        PageError: there is no frame, or the disk refuses.
    """
    if not shots:
        raise PageError("There is no frame to show.")
    film = [shots[i] for i in _spread(len(shots), MAX_FRAMES)]
    data: dict[str, Any] = {
        "times": [round(s.time_s, 3) for s in film],
        "relevance": [round(s.relevance, 3) for s in film],
        "frames": [_data_url(fitted(s.image_rgb, MAX_SIDE_PX)) for s in film],
    }
    if cloud is not None:
        data["cloud"] = cloud_data(cloud)
    text = Template(TEMPLATE).substitute(
        title=html.escape(title),
        prompt=_prompt_html(prompt),
        width=WIDTH,
        height=HEIGHT,
        curve=_curve(shots, intervals, threshold),
        rows="".join(_row_html(row) for row in rows),
        commands="".join(
            f"<li>{html.escape(what)}<pre><code>{html.escape(command)}</code></pre></li>"
            for what, command in commands
        ),
        cloud=cloud_html(cloud) if cloud is not None else "",
        cloud_script=SCRIPT if cloud is not None else "",
        # "</script>" inside the data would end it.
        data=json_text(data).replace("</", "<\\/"),
    )
    write_text(path, text, PageError)
    return path


def _prompt_html(prompt: Prompt) -> str:
    """The sentence with its entities marked, and a picture of each reference."""
    sentence = "".join(
        f"<mark>{html.escape(p.label)}</mark>" if not isinstance(p, str) else html.escape(p)
        for p in prompt.parts
    )
    pictures = "".join(
        f'<figure><img src="{_data_url(cut_out(e.reference))}" alt="">'
        f"<figcaption>{html.escape(e.label)}</figcaption></figure>"
        for e in prompt.entities
        if e.reference is not None
    )
    return f'<p class="prompt">{sentence}</p>{pictures}'


def _row_html(row: Row) -> str:
    cells = (
        row.label,
        f"{row.found_in} of {row.frames}",
        f"{row.best_score:.2f}",
        f"{row.best_s:.1f} s",
        str(row.tracks),
    )
    first, *others = (html.escape(cell) for cell in cells)
    return f'<tr><th scope="row">{first}</th>' + "".join(f"<td>{c}</td>" for c in others) + "</tr>"


def _curve(shots: Sequence[Shot], intervals: Sequence[Interval], threshold: float) -> str:
    begin_s, span_s = shots[0].time_s, max(shots[-1].time_s - shots[0].time_s, 1e-6)

    def x(time_s: float) -> float:
        return WIDTH * (time_s - begin_s) / span_s

    def y(value: float) -> float:
        return 8 + (HEIGHT - 16) * (1 - value)

    blue = "".join(
        f'<rect x="{x(i.start_s):.1f}" y="0" width="{max(x(i.end_s) - x(i.start_s), 2):.1f}" '
        f'height="{HEIGHT}" class="interval"/>'
        for i in intervals
    )
    level = (
        f'<line x1="0" x2="{WIDTH}" y1="{y(threshold):.1f}" y2="{y(threshold):.1f}" class="level"/>'
    )
    points = " ".join(f"{x(s.time_s):.1f},{y(s.relevance):.1f}" for s in shots)
    return f'{blue}{level}<polyline points="{points}" class="curve"/>'


def _spread(count: int, most: int) -> list[int]:
    """Indices of at most `most` of `count`, evenly spread, the first and last among them."""
    return sorted({round(i) for i in np.linspace(0, count - 1, min(count, most))})


def _data_url(image: np.ndarray) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(jpeg(image)).decode("ascii")
