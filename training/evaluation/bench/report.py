"""A run as Markdown and as one self-contained HTML page with its worst and best cases."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2

from find_core.errors import FindError
from find_core.support.files import write_text
from find_core.support.json_text import figures_text
from training.evaluation.bench.cases import Case, Cases

JPEG_QUALITY = 80
STYLE = """body{font:15px/1.45 system-ui,sans-serif;max-width:75rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.2rem .6rem;text-align:left}
figure{display:inline-block;margin:.5rem;width:36rem;vertical-align:top}img{width:100%}
figcaption{font-size:13px}"""


def write_report(result: dict[str, Any], cases: Cases, folder: Path) -> None:
    """FOLDER/report.md, FOLDER/report.html and FOLDER/report.json."""
    write_text(folder / "report.json", figures_text(result, indent=1) + "\n")
    write_text(folder / "report.md", markdown(result))
    write_text(folder / "report.html", page(result, cases))


def flat(figures: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """("pq", {"value", "low", ...}) of each figure, groups joined by a full stop."""
    for name, node in figures.items():
        here = f"{path}.{name}" if path else name
        if "value" in node:
            yield here, node
        else:
            yield from flat(node, here)


def percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}"


def shown(name: str, figure: dict[str, Any]) -> str:
    """ "45.1 [43.0, 47.2]": percent, but clicks as they are."""
    if figure.get("value") is None:
        return "–"
    scale = 1 if name.rsplit(".", 1)[-1].startswith("noc") else 100
    value, low, high = (f"{scale * figure[k]:.1f}" for k in ("value", "low", "high"))
    return f"{value} [{low}, {high}]"


def rows(result: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Figure, value with its interval, what it was counted over."""
    out = []
    for name, figure in flat(result["figures"]):
        counted = f"{figure['images']} images" + (
            f", {figure['n']} answers" if "n" in figure else ""
        )
        out.append((name, shown(name, figure), counted))
    return out


def facts(result: dict[str, Any]) -> list[str]:
    """What was measured, in lines."""
    about = f"Data: {result['data']}"
    about += f", split {result['split']}" if result["split"] else ""
    about += f", the first {result['limit']} images" if result["limit"] else ""
    size = f", input {result['input_px']} px" if result["input_px"] else ""
    return [
        f"Model: {result['model']}, fingerprint {result['fingerprint']}{size}.", f"{about}.",
        "Percent (NoC: clicks) with 95 % intervals; images are resampled.", *result["notes"],
    ]  # fmt: skip


def markdown(result: dict[str, Any]) -> str:
    lines = [f"# {result['suite']}: {result['model']}", "", *(f"- {f}" for f in facts(result)), "",
             "| figure | value [95 %] | over |", "|---|---|---|"]  # fmt: skip
    lines += [f"| {a} | {b} | {c} |" for a, b, c in rows(result)]
    return "\n".join(lines) + "\n"


def page(result: dict[str, Any], cases: Cases) -> str:
    """One HTML page that needs no other file."""
    title = html.escape(f"{result['suite']}: {result['model']}")
    body = [f"<h1>{title}</h1>", "<ul>", *(f"<li>{html.escape(f)}</li>" for f in facts(result)), "</ul>",
            "<table><tr><th>figure</th><th>value [95 %]</th><th>over</th></tr>"]  # fmt: skip
    body += [
        "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
        for row in rows(result)
    ]
    body.append("</table>")
    for heading, members in (("Worst", cases.worst()), ("Best", cases.best())):
        body += [f"<h2>{heading}</h2>", *(_figure(case) for case in members)] if members else []
    inner = "\n".join(body)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head><body>\n{inner}\n</body></html>\n"
    )


def _figure(case: Case) -> str:
    ok, data = cv2.imencode(".jpg", case.picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])  # fmt: skip
    assert ok
    source = base64.b64encode(data.tobytes()).decode("ascii")
    caption = html.escape(case.caption)
    return (f'<figure><img alt="{caption}" src="data:image/jpeg;base64,{source}">'
            f"<figcaption>{caption}</figcaption></figure>")  # fmt: skip


def read_result(path: Path) -> dict[str, Any]:
    """A stored run: its JSON, or the folder of its report.

    Raises:
        FindError: missing, or not a run of a bench suite.
    """
    file = path / "report.json" if path.is_dir() else path
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise FindError(f"Cannot read {file} ({type(error).__name__}): name a report.") from None
    if not isinstance(result, dict) or not {"suite", "model", "figures"} <= set(result):
        raise FindError(f"{file} is no report of a bench suite: it lacks suite, model or figures.")
    return result


def by_suite(results: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Runs of one suite on one data set together, in the order given."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        asked = [str(result.get("data", "")), str(result.get("split") or ""), str(result.get("limit") or "all")]  # fmt: skip
        groups.setdefault(f"{result['suite']} on {' '.join(a for a in asked if a)}", []).append(
            result
        )
    return groups
