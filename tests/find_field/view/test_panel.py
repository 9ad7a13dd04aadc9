"""The panel's controls without a browser: what they do to scene and answer."""

from __future__ import annotations

from types import SimpleNamespace

import cv2
import numpy as np

from find_field.view.hit_text import POSE


def node(view, name: str):
    return view.server.scene.get_handle_by_name(name)


def test_controls_move_the_scene(view, room, until):
    assert view.drawing.points == len(room) == len(node(view, "/field").points)
    assert (node(view, "/field").colors == room.colors).all(), "nothing was asked for"
    view.slice.value = (0.05, view.slice.max)
    until(lambda: 0 < view.drawing.points < len(room))
    assert node(view, "/field").points[:, 2].min() >= 0.05
    view.slice.value = (view.slice.min, view.slice.max)
    until(lambda: view.drawing.points == len(room))
    view.coloring.value = "embeddings"
    until(lambda: (node(view, "/field").colors == room.pca_colors()).all())


def test_an_answer_is_drawn_listed_and_offered(view, room, world, until):
    view.prompt.value = "the <red box>"
    view.act(view.ask)
    assert "1 found" in view.says.content and "red box" in view.answer.content
    until(lambda: view.coloring.value == "relevancy")
    [hit] = view.explorer.hits
    ends = node(view, "/hits/1/box").points
    assert ends.shape == (12, 2, 3)
    assert np.allclose(ends.reshape(-1, 3).mean(axis=0), hit.T_world_object[:3, 3], atol=1e-5)
    assert view.copying.choice.value == "1 red box" and "frame: " in view.copying.text.content
    view.copying.form.value = POSE
    until(lambda: "orientation" in view.copying.text.content)
    view.threshold.value = 1.0
    until(lambda: "not here" in view.answer.content)
    assert node(view, "/hits/1/box") is None and view.copying.text.content == ""


def test_errors_are_said_and_change_nothing(view):
    view.prompt.value = "the <red box>"
    view.act(view.ask)
    before = view.answer.content
    view.prompt.value = "the <red"
    view.act(view.ask)
    assert "never closed" in view.says.content and view.answer.content == before
    view.act(lambda: 1 / 0)
    assert "ZeroDivisionError" in view.says.content


def test_a_photo_is_marked_and_looked_for(view, frames, until):
    """The whole of a view of the table shows the table."""
    folder = view.examples
    png = cv2.imencode(".png", frames[0].rgb[..., ::-1])[1].tobytes()
    folder.upload = SimpleNamespace(value=SimpleNamespace(content=png))
    folder.name.value = "that"
    view.act(folder._take_photo)
    assert "&lt;that&gt;" in folder.known.content and folder.preview.visible
    whole = folder.preview.image.shape
    folder.across.value = (40, 60)
    until(lambda: folder.preview.image.shape[1] < whole[1])
    x1, _, x2, _ = view.explorer.references["that"].region.data
    assert (x1, x2) == (0.4 * 160, 0.6 * 160)
    folder.upload = SimpleNamespace(value=SimpleNamespace(content=b"no image"))
    view.act(folder._take_photo)
    assert "the photo" in view.says.content.lower() and "that" in view.explorer.references


def test_another_state_of_the_field_is_asked_the_same(view, room, world):
    view.prompt.value = "the <red box> by the <blue box>"
    view.act(view.ask)
    assert len(view.explorer.hits) == 2
    kept = np.linalg.norm(room.points_world_m - world.things[2].centre_m, axis=1) > 0.1
    view.show_field(room.crop(kept))
    assert view.drawing.points == kept.sum() < len(room)
    assert [hit.label for hit in view.explorer.hits] == ["red box"]
    assert "not here" in view.answer.content
