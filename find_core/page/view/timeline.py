"""Relevance over the last minutes; a click goes to that moment's still."""

from __future__ import annotations

from nicegui import run, ui
from nicegui.events import MouseEventArguments

from find_core.page.curve import HEIGHT, WIDTH, svg_of, time_at, words_of
from find_core.page.session import Session
from find_core.page.view.picture import PicturePanel


class TimelinePanel:
    """The curve, and buttons that go from still to still."""

    def __init__(self, session: Session, picture: PicturePanel) -> None:
        self.session, self.picture = session, picture
        self._curve = session.history.curve(session.threshold)
        with ui.element("section").classes("find-panel").props('aria-label="Relevance over time"'):
            with ui.element("h2"):
                ui.label("Relevance over the last 3 minutes")
            self._chart = ui.interactive_image(
                size=(WIDTH, HEIGHT), on_mouse=self._pointed, events=["click"], sanitize=False
            ).classes("find-curve")
            self._chart.props('role=img data-testid="curve"')
            with (
                ui.element("div")
                .classes("find-row find-quiet")
                .style("justify-content: space-between")
            ):
                ui.label("3 minutes ago")
                ui.label("now")
            self._words = ui.label().classes("find-quiet")
            with ui.element("div").classes("find-row"):
                ui.button("Earlier", on_click=lambda: self._step(-1)).props("outline dense no-caps")
                ui.button("Later", on_click=lambda: self._step(1)).props("outline dense no-caps")

    def refresh(self) -> None:
        """Draw what is known now."""
        threshold = self.session.threshold
        self._curve = self.session.history.curve(threshold)
        self._chart.content = svg_of(self._curve, threshold, self.picture.shown_s)
        words = words_of(self._curve)
        if words != self._words.text:
            self._words.text = words
            self._chart.props["aria-label"] = words

    async def _pointed(self, event: MouseEventArguments) -> None:
        if (time_s := time_at(event.image_x, self._curve)) is not None:
            await self._go(time_s, 0)

    async def _step(self, step: int) -> None:
        shown_s = self.picture.shown_s
        if shown_s is None:  # live: from now on back
            await self._go(float("inf"), -1)
        else:
            await self._go(shown_s, step)

    async def _go(self, time_s: float, step: int) -> None:
        history = self.session.history
        find = (history.still_beside, time_s, step) if step else (history.still_near, time_s)
        if (still := await run.io_bound(*find)) is not None:
            self.picture.show(still)
            self.refresh()
