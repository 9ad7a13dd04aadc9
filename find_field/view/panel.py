"""The panel beside the scene: ask, show by example, look, measure, copy.

All who have the page open see and move the same controls, as they see the same answer.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from find_core.errors import FindError
from find_core.support.printable import shown
from find_field.field.feature_field import FeatureField
from find_field.view.copying import CopyFolder
from find_field.view.drawing import Drawing, viewer_pose
from find_field.view.examples import ExamplesFolder
from find_field.view.explorer import Explorer
from find_field.view.hit_text import block, hits_table
from find_field.view.measures import COLORINGS, RELEVANCY, SEEN, Distance, height_range_m

if TYPE_CHECKING:
    import viser

UNASKED = "Write what to look for; &lt;...&gt; marks the things, as in: the &lt;mug&gt; left of the &lt;bowl&gt;"
TYPED_S = 0.1
"""A browser sends what was typed last up to so long after Enter."""


class Panel:
    """Controls of one server, and what they do to its explorer and drawing."""

    def __init__(self, server: viser.ViserServer, explorer: Explorer) -> None:
        self.server, self.gui, self.explorer = server, server.gui, explorer
        self.drawing = Drawing(server, explorer)
        self._lock = threading.RLock()
        self._ends: list[np.ndarray] = []
        self.says = self.gui.add_html("")
        self._build_question()
        self.answer = self.gui.add_html("")
        self.examples = ExamplesFolder(self)
        self.copying = CopyFolder(self.gui, explorer)
        self._build_look()
        self._build_measure()
        self.say(UNASKED)
        self.redraw()
        self.show_answer()

    def _build_question(self) -> None:
        with self.gui.add_form(None) as form:
            self.prompt = self.gui.add_text("Prompt", self.explorer.prompt)
            find = self.gui.add_button("Find", color="blue")
        find.on_click(lambda _: form.submit())
        form.on_submit(self._submitted)
        self.threshold = self.gui.add_slider(
            "Threshold",
            0.0,
            1.0,
            0.01,
            self.explorer.threshold,
            hint="score from which a thing counts",
        )
        self.threshold.on_update(lambda _: self.act(self._take_threshold))

    def _submitted(self, event: Any) -> None:
        time.sleep(TYPED_S)
        self.act(lambda: self.ask(viewer_pose(event.client)))

    def _build_look(self) -> None:
        low, high = height_range_m(self.explorer.field)
        with self.gui.add_folder("Look"):
            first = SEEN if self.explorer.relevancy is None else RELEVANCY
            self.coloring = self.gui.add_dropdown("Colours", COLORINGS, initial_value=first)
            self.slice = self.gui.add_multi_slider(
                "Height in m", low, high, 0.01, (low, high), hint="only what lies between is shown"
            )
            self.size = self.gui.add_slider("Point size", 0.2, 3.0, 0.1, 1.0)
        self.coloring.on_update(lambda _: self.act(self.redraw))
        self.slice.on_update(lambda _: self.act(self._take_slice))
        self.size.on_update(lambda _: self.act(self.redraw))

    def _build_measure(self) -> None:
        with self.gui.add_folder("Measure"):
            begin = self.gui.add_button("Measure between two clicks")
            self.distance = self.gui.add_html("")
        begin.on_click(lambda _: self.act(self._begin_measuring))

    # What the controls do.

    def act(self, work: Callable[[], None]) -> None:
        """One at a time; what is wrong stands in the panel's first line."""
        with self._lock:
            try:
                work()
            except FindError as error:
                self.say(escape(str(error)))
            except Exception as error:  # else it would be lost in a thread of the server's
                self.say(escape(shown(f"{type(error).__name__}: {error}", 300)))

    def say(self, html: str) -> None:
        """The panel's first line, read out by screen readers."""
        self.says.content = block("says", html, role="status")

    def ask(self, T_world_viewer: np.ndarray | None = None) -> None:
        """Look for what the prompt line says.

        Raises:
            FindError: it cannot be understood.
        """
        self.explorer.ask(self.prompt.value, T_world_viewer)
        if self.coloring.value == SEEN:
            self.coloring.value = RELEVANCY
        self.redraw()
        self.show_answer()

    def ask_for(self, name: str, T_world_viewer: np.ndarray | None) -> None:
        """Look for what was shown; a sentence that speaks of it already stays."""
        if f"<{name}>" not in self.prompt.value:
            self.prompt.value = f"<{name}>"
        self.ask(T_world_viewer)

    def show_answer(self) -> None:
        """Table and boxes of the explorer's hits."""
        hits = self.explorer.hits
        if hits is None:
            return
        self.drawing.draw_hits(hits)
        self.answer.content = hits_table(hits)
        self.copying.offer(hits)
        found = f"{len(hits)} found" if hits else f"not here (best score {hits.best_score:.2f})"
        places = "" if hits.place_score is None else f"; the places fit to {hits.place_score:.2f}"
        self.say(f"{escape(self.explorer.prompt)}: {found}{places}.")

    def redraw(self) -> None:
        """The points, as the controls say."""
        self.drawing.draw_points(self.coloring.value, self.size.value)

    def show_field(self, field: FeatureField) -> None:
        """Another state of the field, asked the same."""
        self.explorer.show_field(field)
        low, high = height_range_m(field)
        self.slice.min, self.slice.max = low, high
        self.slice.value = self.explorer.slice_m
        self.redraw()
        self.show_answer()

    def _take_threshold(self) -> None:
        if self.threshold.value != self.explorer.threshold:  # a slide queues many; the first did it
            self.explorer.set_threshold(self.threshold.value)
            self.show_answer()

    def _take_slice(self) -> None:
        low, high = self.slice.value
        if (low, high) != self.explorer.slice_m:
            self.explorer.slice_m = (low, high)
            self.redraw()

    def _begin_measuring(self) -> None:
        self._ends = []
        self.drawing.draw_distance(None)
        self.distance.content = block("distance", "Click on the first point.")
        self.on_next_click(self._measure)

    def _measure(self, event: Any) -> None:
        self._ends.append(self.explorer.point_at(event.ray_origin, event.ray_direction))
        if len(self._ends) == 1:
            self.distance.content = block("distance", "Click on the second point.")
            self.on_next_click(self._measure)
            return
        distance = Distance(*self._ends)
        self.drawing.draw_distance(distance)
        self.distance.content = block("distance", distance.text())

    def on_next_click(self, work: Callable[[Any], None]) -> None:
        """Give the next click in the scene to `work`, in place of what waited for one before."""
        scene = self.server.scene
        scene.remove_click_callback()

        def clicked(event: Any) -> None:
            scene.remove_click_callback()
            self.act(lambda: work(event))

        scene.on_click()(clicked)
