"""One open page: its panels, and the clock that keeps them fresh."""

from __future__ import annotations

from nicegui import context, ui

from find_core.page.session import Session
from find_core.page.view.findings import FindingsPanel
from find_core.page.view.picture import PicturePanel
from find_core.page.view.prompt import PromptPanel
from find_core.page.view.style import CSS, PRIMARY, WARNING
from find_core.page.view.timeline import TimelinePanel

PICTURE_S, WORDS_S = 0.05, 0.5


def build(session: Session) -> None:
    """The page of one viewer."""
    ui.colors(primary=PRIMARY, negative=WARNING)
    ui.add_css(CSS)
    client = context.client
    client.on_connect(lambda: session.come(client.id))
    client.on_delete(lambda: session.leave(client.id))
    with ui.element("main").classes("find-page"):
        with ui.element("div").classes("find-head find-row"):
            with ui.element("h1"):
                ui.label(session.source.name)
            says = ui.label().props('role=status aria-live=polite data-testid="says"')
            age = ui.label().classes("find-quiet").props('data-testid="age"')
        with ui.element("div").classes("find-column"):
            picture = PicturePanel(session)
            timeline = TimelinePanel(session, picture)
        with ui.element("div").classes("find-column"):
            prompt = PromptPanel(session)
            findings = FindingsPanel(session)
    picture.when_kept = prompt.kept

    def words() -> None:
        says.text, age.text = session.says(), session.age()
        timeline.refresh()
        findings.refresh()
        prompt.refresh()

    ui.timer(PICTURE_S, picture.refresh)
    ui.timer(WORDS_S, words)
