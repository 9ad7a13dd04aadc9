"""What to look for: the sentence, its entities, references, prompts of before."""

from __future__ import annotations

from nicegui import ui

from find_core.page.marking import prompt_with
from find_core.page.session import Session
from find_core.page.stills import cut_out, jpeg
from find_core.page.view.asking import done, tell
from find_core.prompts.prompt import Prompt


class PromptPanel:
    """The prompt line and what belongs to it."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self._shown: object = None
        self._filled = False
        with ui.element("section").classes("find-panel").props('aria-label="Prompt"'):
            with ui.element("h2"):
                ui.label("What to look for")
            self._line = (
                ui.input(
                    "Prompt: a sentence, with <things> in brackets",
                    value=session.source.prompt,
                    on_change=self._typed,
                    validation=lambda text: session.read(text or "").error or None,
                )
                .props('outlined autocomplete=off spellcheck=false data-testid="prompt"')
                .classes("w-full")
                .on("keydown.enter", self._ask)
            )
            self._entities = ui.element("div").classes("find-row").props('data-testid="entities"')
            with ui.element("div").classes("find-row"):
                self._button = ui.button("Look for it", on_click=self._ask).props("no-caps")
                self._busy = ui.spinner().props('aria-label="The prompt is being read"')
                self._busy.visible = False
            self._references = ui.element("div").classes("find-row")
            self._build_store()
        self._typed()

    def _build_store(self) -> None:
        with ui.element("div").classes("find-row"):
            self._before = ui.select(
                {}, label="Prompts of before", on_change=lambda e: self._recall(e.value)
            ).classes("find-grow")
            self._before.props("outlined dense")
        with ui.element("div").classes("find-row"):
            self._name = ui.input("Save under this name").classes("find-grow")
            self._name.props("outlined dense autocomplete=off")
            ui.button("Save", on_click=self._save).props("outline no-caps")

    def refresh(self) -> None:
        """Show references and prompts of others too."""
        moment = self.session.moment
        if not self._filled and moment is not None and moment.prompt:
            self._filled = True
            self._line.value = self._line.value or moment.prompt  # what is looked for already
        now = (self.session.references, list(self.session.recent))
        if now != self._shown:
            self._shown = now
            self._show_references()
            self._show_before()

    async def kept(self, name: str, ask: bool) -> None:
        """A reference was made; `ask`: look for it at once."""
        self.refresh()
        if ask:
            self._line.value = prompt_with(self._line.value or "", name)
            await self._ask()
        self._typed()

    def _typed(self) -> None:
        """Show what the sentence's entities are."""
        self._entities.clear()
        with self._entities:
            for label, visual in self.session.read(self._line.value or "").entities:
                kind = "shown in a picture" if visual else "in words"
                look = "find-chip find-chip-picture" if visual else "find-chip"
                ui.label(f"{label}: {kind}").classes(look)

    async def _ask(self) -> None:
        text = self._line.value or ""
        if not text.strip() or not self._line.validate():
            return
        self._busy.visible = True
        self._button.disable()
        error = await done(self.session.ask, text)
        self._busy.visible = False
        self._button.enable()
        if error:
            self._line.error = error
        self.refresh()

    async def _save(self) -> None:
        name = self._name.value or ""
        if error := await done(self.session.save, name, self._line.value or ""):
            tell(error)
        else:
            ui.notify(f"Saved as {name.strip()}.")
            self._show_before()

    async def _recall(self, key: str | None) -> None:
        if not key:
            return
        kind, _, name = key.partition(":")
        self._before.value = None
        found: list[Prompt] = []
        if kind == "saved":
            if error := await done(lambda: found.append(self.session.saved.load(name))):
                tell(error)
        else:
            found = [p for p in self.session.recent if p.markup == name]
        if found:
            self._line.value = self.session.recall(found[0])
            self.refresh()
            await self._ask()

    def _show_before(self) -> None:
        options = {f"recent:{p.markup}": p.markup for p in self.session.recent}
        options |= {f"saved:{n}": f"saved: {n}" for n in self.session.saved.names()}
        self._before.set_options(options)

    def _show_references(self) -> None:
        self._references.clear()
        with self._references:
            for name, reference in self.session.references.items():
                picture = self.session.pictures.put(jpeg(cut_out(reference)))
                with ui.element("div").classes("find-row find-chip find-chip-picture"):
                    ui.element("img").classes("find-reference").props(
                        f'src="/picture/still/{picture}" alt="the reference"'
                    )
                    ui.label(f"<{name}>")
                    ui.button("Insert", on_click=lambda n=name: self._insert(n)).props(
                        f'flat dense no-caps aria-label="Insert {_quoted(name)} into the prompt"'
                    )
                    ui.button("Remove", on_click=lambda n=name: self._remove(n)).props(
                        f'flat dense no-caps aria-label="Remove the reference {_quoted(name)}"'
                    )

    def _insert(self, name: str) -> None:
        self._line.value = f"{self._line.value or ''} <{name}>".strip()

    def _remove(self, name: str) -> None:
        self.session.drop(name)
        self.refresh()
        self._typed()


def _quoted(name: str) -> str:
    """Fit for an attribute."""
    return name.replace('"', "'")
