"""The folder from which a hit is copied into a program."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from find_field.field.hits import FieldHits
from find_field.view.explorer import Explorer
from find_field.view.hit_text import FORMS, YAML, block, hit_text

if TYPE_CHECKING:
    import viser

NONE = "no hit"
# The text stands in an attribute, so that nothing in it can be script.
BUTTON = (
    '<button type="button" id="copy" data-text="{text}" '
    'onclick="navigator.clipboard.writeText(this.dataset.text).then(() =&gt; '
    "{{ this.textContent = 'Copied'; }})\">Copy</button>"
)


class CopyFolder:
    """One hit as text."""

    def __init__(self, gui: viser.GuiApi, explorer: Explorer) -> None:
        self.explorer = explorer
        self._hits: FieldHits | None = None
        with gui.add_folder("Copy"):
            self.choice = gui.add_dropdown("Hit", (NONE,))
            self.form = gui.add_dropdown("As", FORMS, initial_value=YAML)
            self.text = gui.add_html("")
        self.choice.on_update(lambda _: self.refresh())
        self.form.on_update(lambda _: self.refresh())

    def offer(self, hits: FieldHits) -> None:
        """These hits, the first of them chosen."""
        self._hits = hits
        names = [f"{n} {hit.label}" for n, hit in enumerate(hits, 1)] or [NONE]
        self.choice.options = names
        self.choice.value = names[0]
        self.refresh()

    def refresh(self) -> None:
        """The chosen hit in the chosen form."""
        number = self.choice.value.partition(" ")[0]
        if not self._hits or not number.isdigit() or int(number) > len(self._hits):
            self.text.content = ""
            return
        text = hit_text(self._hits[int(number) - 1], self.form.value, self.explorer.field.frame)
        button = BUTTON.format(text=escape(text, quote=True))
        shown = f'<pre style="white-space: pre-wrap; user-select: all">{escape(text)}</pre>'
        self.text.content = block("text", shown + button)
