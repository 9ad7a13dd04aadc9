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
VALUE = "(event) => emit(event.target.value)"


class FindingsPanel:
    """The table of the newest moment."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._rows: list[dict[str, Any]] = []
        self._known = session.threshold
        self._sizing = False
        with ui.element("section").classes("find-panel").props('aria-label="Found things"'):
            with ui.element("h2"):
                ui.label("Found")
            self._table = ui.table(columns=COLUMNS, rows=[], row_key="row")
            self._table.classes("find-table").props(
                'flat dense hide-pagination :rows-per-page-options="[0]" '
                'no-data-label="Nothing yet" data-testid="findings"'
            )
            self._build_threshold()
            if len(session.source.cameras) > 1:
                ui.select(
                    list(session.source.cameras),
                    label="Camera",
                    value=session.source.camera,
                    on_change=lambda e: session.show_camera(e.value),
                ).props("outlined dense").classes("w-full")

            self._size = (
                ui.select(
                    {},
                    label="Input size: smaller is faster, larger finds smaller things",
                    on_change=lambda e: self._set_size(e.value),
                )
                .props('outlined dense data-testid="input-size"')
                .classes("w-full")
            )
        self._show_sizes()

    def _build_threshold(self) -> None:
        """The browser's own slider: Quasar's does not tell screen readers what has the focus."""
        with ui.element("label").classes("find-row find-quiet"):
            ui.label("Score from which a thing counts as found")
            self._number = ui.label()
            self._slider = ui.element("input").classes("find-slider")
            self._slider.props("type=range min=0.05 max=0.95 step=0.01")
            self._slider.on("input", lambda e: self._show(float(e.args)), js_handler=VALUE)
            self._slider.on("change", lambda e: self._set(float(e.args)), js_handler=VALUE)
        self._show(self._known)

    def refresh(self) -> None:
        """Show the newest moment's findings, and the threshold that others may have set."""
        moment = self.session.moment
        rows = [_row(n, f) for n, f in enumerate(moment.findings)] if moment is not None else []
        if rows != self._rows:
            self._rows = rows
            self._table.rows = rows
        threshold = self.session.threshold
        if threshold != self._known:  # somebody set it; a slider that is being moved is left alone
            self._known = threshold
            self._show(threshold)
        if not self._sizing:
            self._show_sizes()

    def _show_sizes(self) -> None:
        """The sizes to choose from, once the source knows them, and the one in use."""
        sizes, now_px = self.session.source.input_sizes, self.session.source.input_px
        self._size.visible = len(sizes) > 1
        if sizes and (sizes != tuple(self._size.options) or self._size.value != now_px):
            self._size.set_options({px: f"{px} px" for px in sizes}, value=now_px)

    def _show(self, threshold: float) -> None:
        self._number.text = f"{threshold:.2f}"
        self._slider.props["value"] = f"{threshold:.2f}"

    async def _set_size(self, input_px: int) -> None:
        """May take a while: the old one serves until the new one does."""
        if input_px == self.session.source.input_px:
            return  # what others chose was shown
        self._sizing = True
        error = await done(self.session.source.set_input_px, input_px)
        self._sizing = False
        if error:
            tell(error)

    async def _set(self, threshold: float) -> None:
        if error := await done(self.session.source.set_threshold, threshold):
            tell(error)
            self._show(self._known)
        else:
            self._known = threshold


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
