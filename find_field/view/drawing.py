"""The scene: points, the hits' boxes with their labels, and what is measured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial.transform import Rotation

from find_core.drawing import entity_color
from find_field.field.hits import FieldHit
from find_field.geometry.boxes import BOX_EDGES, box_corners
from find_field.view.explorer import Explorer
from find_field.view.measures import (
    Distance,
    drawn_rows,
    in_slice,
    point_colors,
    seen_side,
    upwards,
)

if TYPE_CHECKING:
    import viser

PICKED_RGB, MEASURE_RGB = (20, 20, 20), (213, 94, 0)
LINE_PX = 3.0


class Drawing:
    """What `server` shows of an explorer.

    Attributes:
        points: how many are drawn.
    """

    def __init__(self, server: viser.ViserServer, explorer: Explorer) -> None:
        self.server, self.scene, self.explorer = server, server.scene, explorer
        self.points = 0
        self._drawn: dict[str, list[Any]] = {}
        self.scene.set_up_direction(tuple(upwards(explorer.field)))  # type: ignore[arg-type]
        self._look()

    def draw_points(self, coloring: str, size_voxels: float) -> None:
        """The points of the slice; coloring: of `measures.COLORINGS`."""
        field = self.explorer.field
        rows = drawn_rows(in_slice(field, *self.explorer.slice_m))
        self.points = len(rows)
        self.scene.add_point_cloud(
            "/field",
            field.points_world_m[rows],
            point_colors(field, coloring, self.explorer.relevancy)[rows],
            point_size=size_voxels * field.voxel_size_m,
            precision="float32",
            point_shading="flat",
        )

    def draw_hits(self, hits: Sequence[FieldHit]) -> None:
        """Their boxes, in place of the ones before."""
        with self.server.atomic():
            self._erase("hits")
            for n, hit in enumerate(hits, 1):
                color = entity_color(hit.entity_index)
                self._box(f"/hits/{n}", "hits", hit, color, f"{n} {hit.label} {hit.score:.2f}")

    def draw_picked(self, name: str, hit: FieldHit | None) -> None:
        """The box of what was pointed at; None: there is none to draw."""
        with self.server.atomic():
            self._erase("picked")
            if hit is not None:
                self._box("/picked", "picked", hit, PICKED_RGB, name)

    def draw_distance(self, distance: Distance | None) -> None:
        """A line with its length; None: no longer."""
        with self.server.atomic():
            self._erase("distance")
            if distance is not None:
                ends = np.stack([distance.from_world_m, distance.to_world_m])
                self._lines("/distance/line", "distance", ends[None], MEASURE_RGB)
                self._label(
                    "/distance/text", "distance", f"{distance.length_m:.3f} m", ends.mean(0)
                )

    def _box(self, name: str, kind: str, hit: FieldHit, color: tuple[int, int, int],
             text: str) -> None:  # fmt: skip
        corners = box_corners(hit.T_world_object, hit.extent_m)
        self._lines(f"{name}/box", kind, corners[BOX_EDGES], color)
        self._label(f"{name}/label", kind, text, corners[-1])

    def _lines(self, name: str, kind: str, ends: np.ndarray, color: tuple[int, int, int]) -> None:
        line = self.scene.add_line_segments(
            name, ends.astype(np.float32), color, thickness=LINE_PX, thickness_units="screen"
        )
        self._drawn.setdefault(kind, []).append(line)

    def _label(self, name: str, kind: str, text: str, place: np.ndarray) -> None:
        label = self.scene.add_label(name, text, position=place, anchor="bottom-center")
        self._drawn.setdefault(kind, []).append(label)

    def _erase(self, kind: str) -> None:
        for handle in self._drawn.pop(kind, []):
            handle.remove()

    def _look(self) -> None:
        """At the hits, or everything but strays, from the cameras' side and above."""
        field = self.explorer.field
        hits: Sequence[FieldHit] = self.explorer.hits or ()
        if not len(field):
            return
        camera = self.server.initial_camera
        seen = np.quantile(field.points_world_m, [0.02, 0.98], axis=0)
        if hits:
            seen = np.concatenate([box_corners(h.T_world_object, h.extent_m) for h in hits])
        middle = (seen.min(axis=0) + seen.max(axis=0)) / 2
        reach = max(float(np.linalg.norm(np.ptp(seen, axis=0))), 0.1) * (2.0 if hits else 1.0)
        towards = seen_side(field)
        camera.up, camera.look_at = upwards(field), middle
        camera.position = middle + reach * towards
        camera.near = reach / 1000


def viewer_pose(client: Any) -> np.ndarray | None:
    """(4, 4) T_world_camera of a visitor, OpenCV axes; None: nobody's."""
    if client is None:
        return None
    T = np.eye(4)
    w, x, y, z = client.camera.wxyz
    T[:3, :3] = Rotation.from_quat([x, y, z, w]).as_matrix()
    T[:3, 3] = client.camera.position
    return T
