"""The table of found things, and the controls of what counts as found."""

from __future__ import annotations

from typing import Any

from nicegui import ui

from find_core.page.session import Session
from find_core.page.source import Finding
from find_core.page.view.asking import done, tell

COLUMNS = [
    {"name": "label", "label": "Thing", "field": "label", "align": "left"},
    {"name": "found", "label": "Found", "field": "found", "align": "left"},
    {"name": "score", "label": "Score", "field": "score"},
    {"name": "id", "label": "Id", "field": "id"},
    {"name": "place", "label": "Place x, y, z in metres", "field": "place", "align": "left"},
]


class FindingsPanel:
    """The table of the newest moment."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._rows: list[dict[str, Any]] = []
        self._moved = False
        with ui.element("section").classes("find-panel").props('aria-label="Found things"'):
            with ui.element("h2"):
                ui.label("Found")
            self._table = ui.table(columns=COLUMNS, rows=[], row_key="row")
            self._table.classes("find-table").props(
                'flat dense hide-pagination :rows-per-page-options="[0]" '
                'no-data-label="Nothing yet" data-testid="findings"'
            )
            ui.label("Score from which a thing counts as found").classes("find-quiet")
            with ui.element("div").classes("find-row").style("padding: 0 12px"):
                self._threshold = (
                    ui.slider(min=0.05, max=0.95, step=0.01, value=session.threshold)
                    .props('label aria-label="Score from which a thing counts as found"')
                    .classes("find-grow")
                    .on("change", self._set_threshold)
                )
                self._number = ui.label().classes("find-quiet")
                self._number.bind_text_from(self._threshold, "value", lambda v: f"{v:.2f}")
            if len(session.source.cameras) > 1:
                ui.select(
                    list(session.source.cameras),
                    label="Camera",
                    value=session.source.camera,
                    on_change=lambda e: session.source.show_camera(e.value),
                ).props("outlined dense").classes("w-full")

    def refresh(self) -> None:
        """Show the newest moment's findings, and the threshold that others may have set."""
        moment = self.session.moment
        rows = [_row(n, f) for n, f in enumerate(moment.findings)] if moment is not None else []
        if rows != self._rows:
            self._rows = rows
            self._table.rows = rows
        if not self._moved and abs(self._threshold.value - self.session.threshold) > 1e-3:
            self._threshold.value = self.session.threshold

    async def _set_threshold(self) -> None:
        self._moved = True
        if error := await done(self.session.source.set_threshold, float(self._threshold.value)):
            tell(error)
        self._moved = False


def _row(number: int, finding: Finding) -> dict[str, Any]:
    place = finding.position_m
    where = "" if place is None else ", ".join(f"{v:.2f}" for v in place) + f" ({finding.frame_id})"
    return {
        "row": number,
        "label": finding.label,
        "found": "yes" if finding.found else "no",
        "score": f"{finding.score:.2f}",
        "id": "" if finding.track_id is None else str(finding.track_id),
        "place": where,
    }
