"""The folder in which things are shown: in a photograph, or by a click in the scene."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from find_core.page.marking import check_name
from find_core.page.stills import cut_out, fitted
from find_field.field.hits import place_text, size_text
from find_field.view.drawing import Drawing, viewer_pose
from find_field.view.explorer import Edges, Explorer, read_photo
from find_field.view.hit_text import block

if TYPE_CHECKING:
    from collections.abc import Callable

    import viser

PREVIEW_PX = 320


class Host(Protocol):
    """What the folder needs of the panel that it is in."""

    gui: viser.GuiApi
    explorer: Explorer
    drawing: Drawing

    def act(self, work: Callable[[], None]) -> None: ...
    def say(self, html: str) -> None: ...
    def ask_for(self, name: str, T_world_viewer: np.ndarray | None) -> None: ...
    def on_next_click(self, work: Callable[[Any], None]) -> None: ...


class ExamplesFolder:
    """Names, and what they mean."""

    def __init__(self, panel: Host) -> None:
        self.panel, self.explorer, gui = panel, panel.explorer, panel.gui
        self.photo: np.ndarray | None = None
        self._photo_name = ""
        with gui.add_folder("Show it"):
            self.name = gui.add_text("Name", "this", hint="write <this> in the prompt")
            pick = gui.add_button("Click on it in the scene")
            self.upload = gui.add_upload_button("Show it in a photo", mime_type="image/*")
            self.across = gui.add_multi_slider(
                "Left and right %", 0, 100, 1, (0, 100), min_range=1, visible=False,
                hint="edges of the thing in the photo",
            )  # fmt: skip
            self.down = gui.add_multi_slider(
                "Top and bottom %", 0, 100, 1, (0, 100), min_range=1, visible=False,
                hint="edges of the thing in the photo",
            )  # fmt: skip
            self.preview = gui.add_image(np.zeros((1, 1, 3), np.uint8), visible=False)
            look = gui.add_button("Look for it")
            self.known = gui.add_html("")
            forget = gui.add_button("Forget what was shown")
        pick.on_click(lambda _: panel.act(self._await_click))
        self.upload.on_upload(lambda _: panel.act(self._take_photo))
        self.across.on_update(lambda _: panel.act(self._mark))
        self.down.on_update(lambda _: panel.act(self._mark))
        look.on_click(lambda event: panel.act(lambda: self._look(event)))
        forget.on_click(lambda _: panel.act(self._forget))
        self.refresh()

    @property
    def edges(self) -> Edges:
        """Of the region in the photo, as shares of its sides: left, top, right, bottom."""
        (left, right), (top, bottom) = self.across.value, self.down.value
        return left / 100, top / 100, right / 100, bottom / 100

    def refresh(self) -> None:
        """Say which names are known."""
        names = ", ".join(f"&lt;{escape(name)}&gt;" for name in self.explorer.names)
        self.known.content = block("known", f"Shown so far: {names or 'nothing'}.")

    def _await_click(self) -> None:
        name = check_name(self.name.value)
        self.panel.say(f"Click on what &lt;{escape(name)}&gt; is, in the scene.")
        self.panel.on_next_click(lambda event: self._pick(name, event))

    def _pick(self, name: str, event: Any) -> None:
        thing = self.explorer.pick(name, event.ray_origin, event.ray_direction)
        self.panel.drawing.draw_picked(name, thing.hit)
        self.refresh()
        self.panel.ask_for(name, viewer_pose(event.client))
        where = ", ".join(f"{v:.3f}" for v in thing.point_world_m)
        if thing.hit is not None:
            where = f"{place_text(thing.hit)} m, {size_text(thing.hit)} cm"
        self.panel.say(f"&lt;{escape(name)}&gt; is what stands at {where}.")

    def _take_photo(self) -> None:
        self.photo = read_photo(self.upload.value.content)
        self._photo_name = check_name(self.name.value)
        self.across.value = self.down.value = (0, 100)
        self._mark()
        self.across.visible = self.down.visible = self.preview.visible = True
        self.panel.say("Move the edges around the thing in the photo, then look for it.")

    def _mark(self) -> None:
        if self.photo is None:
            return
        reference = self.explorer.keep_photo(self._photo_name, self.photo, self.edges)
        self.preview.image = fitted(cut_out(reference), PREVIEW_PX)
        self.refresh()

    def _look(self, event: Any) -> None:
        self.panel.ask_for(check_name(self.name.value), viewer_pose(event.client))

    def _forget(self) -> None:
        self.explorer.forget()
        self.photo = None
        self.across.visible = self.down.visible = self.preview.visible = False
        self.panel.drawing.draw_picked("", None)
        self.refresh()
