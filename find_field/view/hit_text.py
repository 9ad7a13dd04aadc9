"""Hits as text: a table for people, YAML and poses to copy into programs."""

from __future__ import annotations

from html import escape

import numpy as np
from scipy.spatial.transform import Rotation

from find_core.errors import FieldError
from find_core.support.json_text import json_text
from find_field.field.hits import FieldHit, FieldHits, place_text, size_text

YAML, POSE, POSE_STAMPED = "YAML", "geometry_msgs/Pose", "geometry_msgs/PoseStamped"
FORMS = (YAML, POSE, POSE_STAMPED)


def quaternion_xyzw(T_world_object: np.ndarray) -> np.ndarray:
    """(4,) float64 unit quaternion (x, y, z, w) of a (4, 4) transform, w not negative."""
    xyzw = Rotation.from_matrix(T_world_object[:3, :3]).as_quat()
    return xyzw if xyzw[3] >= 0 else -xyzw


def hit_text(hit: FieldHit, form: str, frame: str) -> str:
    """A hit in one of `FORMS`; poses are those of its box, in the world frame `frame`.

    Raises:
        FieldError: another form.
    """
    if form == YAML:
        values = {"frame": frame, **hit.to_json()}
        return "\n".join(f"{key}: {json_text(value)}" for key, value in values.items())
    if form == POSE:
        return _pose(hit)
    if form == POSE_STAMPED:
        inner = "\n".join(f"  {line}" for line in _pose(hit).splitlines())
        return f"header: {{frame_id: {json_text(frame)}}}\npose:\n{inner}"
    raise FieldError(f"A hit is written as {', '.join(FORMS)}, not {form!r}.")


def block(name: str, html: str, role: str = "") -> str:
    """HTML for the panel, set as its controls are; name: of the element, role: for screen readers."""
    told = f' role="{role}"' if role else ""
    return f'<div id="{name}"{told} style="padding: 0 0.75em; font-size: 0.85em">{html}</div>'


def hits_table(hits: FieldHits) -> str:
    """HTML: one row a hit, then one an entity that is not there; texts are no markup."""
    rows = [
        (str(n), hit.label, f"{hit.score:.2f}", place_text(hit), size_text(hit))
        for n, hit in enumerate(hits, 1)
    ]
    rows += [
        ("", entity.label, f"{entity.best_score:.2f}", "not here", "")
        for entity in hits.entities
        if not entity.found
    ]
    names = ("", "Thing", "Score", "Place x, y, z in metres", "Size in cm")
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    body = "".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in rows)
    table = (
        f'<table style="width: 100%; text-align: left"><thead><tr>{head}</tr></thead><tbody>{body}'
    )
    return block("hits", f"{table}</tbody></table>")


def _pose(hit: FieldHit) -> str:
    lines = []
    for name, letters, values in (
        ("position", "xyz", hit.T_world_object[:3, 3]),
        ("orientation", "xyzw", quaternion_xyzw(hit.T_world_object)),
    ):
        inner = ", ".join(f"{a}: {float(v):.6f}" for a, v in zip(letters, values, strict=True))
        lines.append(f"{name}: {{{inner}}}")
    return "\n".join(lines)
