"""Reads .rrd files back through Rerun's own dataframe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


class Recording:
    """Attributes:
    entities: paths of what was logged. stamps_ns: of the timeline, in order.
    """

    def __init__(self, path: Path) -> None:
        dataframe = pytest.importorskip(
            "rerun.dataframe", reason="the extra [rerun] is not installed"
        )
        self._recording = dataframe.load_recording(str(path))
        columns = self._recording.schema().component_columns()
        self.entities = {c.entity_path for c in columns if not c.entity_path.startswith("/__")}

    def rows(self, entity: str, component: str) -> list[Any]:
        """The component's values, one a stamp at which it was logged."""
        table = self._recording.view(index="stamp", contents=entity).select().read_all()
        values = table.column(f"{entity}:{component}").to_pylist()
        return [value for value in values if value is not None]

    @property
    def stamps_ns(self) -> list[int]:
        table = self._recording.view(index="stamp", contents="/**").select().read_all()
        return [int(stamp.value) for stamp in table.column("stamp")]

    def static(self, entity: str, component: str) -> Any:
        """The value of something that holds at all times."""
        table = self._recording.view(
            index="log_tick", contents=entity, include_semantically_empty_columns=True
        )
        read = table.select_static().read_all()
        return read.column(f"{entity}:{component}").to_pylist()[0]
