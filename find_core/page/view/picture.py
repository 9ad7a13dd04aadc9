"""The picture: live, or a still into which one points."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from nicegui import run, ui
from nicegui.events import MouseEventArguments, UploadEventArguments

from find_core.errors import FindError
from find_core.page.marking import Marking, Tool
from find_core.page.session import Session
from find_core.page.stills import MAX_UPLOAD_BYTES, Still, still_of, still_of_photo
from find_core.page.view.asking import tell

Kept = Callable[[str, bool], Awaitable[None]]
DRAWING = ["pointerdown", "pointermove", "pointerup", "pointerleave", "pointercancel"]


class PicturePanel:
    """Attributes: marking: what is drawn into the still; None while the picture is live.
    when_kept: called with a new reference's name, and whether to look for it at once."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.marking: Marking | None = None
        self.when_kept: Kept | None = None
        self._seen = 0
        with ui.element("section").classes("find-panel").props('aria-label="Picture"'):
            self._image = ui.interactive_image(on_mouse=self._pointed, events=["pointerdown"])
            self._image.classes("find-picture").props('role=img data-testid="picture"')
            with ui.element("div").classes("find-row"):
                self._freeze = ui.button("Freeze", on_click=self._toggle).props("no-caps")
                self._build_upload()
                self._hint = ui.label().classes("find-quiet find-grow")
            self._tools = ui.element("div").classes("find-column")
            with self._tools:
                self._build_tools()
        self._follow_mode()

    def _build_tools(self) -> None:
        with ui.element("div").classes("find-row"):
            self._tool = ui.toggle(
                {"box": "Box", "scribble": "Scribble"}, value="box", on_change=self._chosen
            ).props('no-caps aria-label="What a drag draws"')
            ui.button("Whole picture", on_click=self._whole).props("outline dense no-caps")
        with ui.element("div").classes("find-row"):
            self._edges = [
                ui.number(name, precision=0, on_change=self._numbered)
                .props(f'outlined dense aria-label="{name} edge of the box in pixels"')
                .classes("find-number")
                for name in ("Left", "Top", "Right", "Bottom")
            ]
        with ui.element("div").classes("find-row"):
            self._name = ui.input("Call it", value="this").classes("find-grow")
            self._name.props('outlined dense autocomplete=off data-testid="name"')
            ui.button("Look for this", on_click=lambda: self._keep(True)).props("no-caps")
            ui.button("Only keep it", on_click=lambda: self._keep(False)).props("outline no-caps")

    def _build_upload(self) -> None:
        """A button in place of Quasar's own list of files."""
        upload = ui.upload(
            auto_upload=True,
            max_file_size=MAX_UPLOAD_BYTES,
            max_files=1,
            on_upload=self._uploaded,
            on_rejected=lambda: tell("The photo is refused: an image of up to 16 MB is taken."),
        ).props('accept="image/*"')
        upload.style("display: none")
        # In the browser: it opens its file dialog for a click alone, not for an answer to one.
        ui.button("Show it in a photo").props("outline no-caps").on(
            "click", js_handler=f"() => getElement({upload.id}).$refs.qRef.pickFiles()"
        )

    def refresh(self) -> None:
        """Show the newest picture, while it is live."""
        if self.marking is None and self._seen != self.session.number:
            self._seen = self.session.number
            self._image.set_source(f"/picture/live/{self._seen}")

    def show(self, still: Still | None) -> None:
        """Stand still at this picture; None: live again."""
        self.marking = None if still is None else Marking(still, self._chosen_tool)
        self._seen = -1
        if still is not None:
            name = self.session.pictures.put(still.shown_jpeg)
            self._image.set_source(f"/picture/still/{name}")
        self._follow_mode()
        self._draw()

    @property
    def shown_s(self) -> float | None:
        """The time of the still; None while live, and for photographs."""
        return None if self.marking is None else self.marking.still.time_s

    @property
    def _chosen_tool(self) -> Tool:
        return "scribble" if self._tool.value == "scribble" else "box"

    async def _toggle(self) -> None:
        if self.marking is not None:
            self.show(None)
        else:
            await self._stand()

    async def _stand(self) -> None:
        if (moment := self.session.moment) is not None:
            self.show(await run.io_bound(still_of, moment))

    def _follow_mode(self) -> None:
        still = self.marking is not None
        self._freeze.text = "Live again" if still else "Freeze"
        self._tools.visible = still
        self._image.props["events"] = DRAWING if still else ["pointerdown"]
        (
            self._image.classes("find-marking")
            if still
            else self._image.classes(remove="find-marking")
        )
        self._image.props["aria-label"] = (
            "Still picture. Drag a box around the thing, or give its edges in the fields below."
            if still
            else "Live picture with what was found. The table lists the same."
        )
        self._image.update()
        self._hint.text = (
            "Drag a box around the thing, or tap it. Then give it a name."
            if still
            else "Freeze, or press on the picture, to show a thing in it."
        )

    async def _pointed(self, event: MouseEventArguments) -> None:
        if self.marking is None:
            await self._stand()
            return
        x, y = event.image_x, event.image_y
        if event.type == "pointerdown":
            self.marking.press(x, y)
        elif event.type == "pointermove":
            if not self.marking.move(x, y):
                return
        elif self.marking.release():
            self._number()
        self._draw()

    def _chosen(self) -> None:
        if self.marking is not None:
            self.marking.tool = self._chosen_tool

    def _whole(self) -> None:
        if self.marking is not None:
            self.marking.whole()
            self._number()
            self._draw()

    def _number(self) -> None:
        """The box in numbers, which may be typed as well."""
        edges = self.marking.edges if self.marking is not None else None
        for field, value in zip(self._edges, edges or (None,) * 4, strict=True):
            field.set_value(None if value is None else round(value))

    def _numbered(self) -> None:
        if self.marking is None or any(f.value is None for f in self._edges):
            return
        typed = [float(f.value) for f in self._edges]
        edges = self.marking.edges
        if edges is not None and typed == [round(v) for v in edges]:
            return  # it is the box that was drawn
        if typed[0] != typed[2] and typed[1] != typed[3]:
            self.marking.set_box((typed[0], typed[1], typed[2], typed[3]))
            self._draw()

    def _draw(self) -> None:
        self._image.content = "" if self.marking is None else self.marking.svg()

    async def _keep(self, ask: bool) -> None:
        if self.marking is None:
            return
        try:
            name = self.session.keep(self._name.value or "", self.marking.reference())
        except FindError as error:
            tell(str(error))
            return
        self.show(None)
        if self.when_kept is not None:
            await self.when_kept(name, ask)

    async def _uploaded(self, event: UploadEventArguments) -> None:
        data = await event.file.read()
        event.sender.reset()  # type: ignore[attr-defined]
        try:
            still = await run.io_bound(still_of_photo, data)
        except FindError as error:
            tell(str(error))
            return
        self.show(still)
        if self.marking is not None:
            self._whole()
