"""Models for the nodes under test, registered by `tests.find_ros.node`: no weights, real masks."""

from __future__ import annotations

import time

from find_core.errors import FindError
from tests.find_core.page.fakes import ShownFind, SizedFind
from tests.find_core.video.fakes import ColorFind


def color_find(device: str) -> ColorFind:
    """Finds <red>, <green>, <blue> rectangles of 200 pixels and more."""
    return ColorFind()


def slow_find(device: str) -> ColorFind:
    """As `color_find`, but a frame takes 0.2 s."""
    find = ColorFind()
    encode = find.encode

    def slowly(image):
        time.sleep(0.2)
        return encode(image)

    find.encode = slowly  # type: ignore[method-assign]
    return find


def brittle_find(device: str) -> ColorFind:
    """As `color_find`, but no frame can be asked for <green>."""
    find = ColorFind()
    encode = find.encode

    def encode_brittle(image):
        scene = encode(image)
        localize = scene.localize

        def localize_brittle(compiled, **options):
            if any(e.label == "green" for e in compiled.prompt.entities):
                raise RuntimeError("no green today")
            return localize(compiled, **options)

        scene.localize = localize_brittle
        return scene

    find.encode = encode_brittle  # type: ignore[method-assign]
    return find


def shown_find(device: str) -> ShownFind:
    """As `color_find`; a reference means its colour."""
    return ShownFind()


class NarrowFind(SizedFind):
    """Of a GPU that holds nothing larger than 128 px."""

    def encode(self, image):
        if self.config.vision.short_side_px > 128:
            raise FindError("The GPU's memory does not hold it.")
        return super().encode(image)


def sized_find(device: str) -> NarrowFind:
    """As `shown_find`, of an input size: 128 px, smaller ones, and no larger one."""
    return NarrowFind()


def oracle_world():
    """(world, frames, find): a table with known things, its views, a model that knows the truth."""
    from find_field.evaluation.toy_world import sample_world

    world = sample_world(seed=1, count=4)
    oracle = world.oracle()
    return world, world.frames(8, oracle=oracle), oracle


def oracle_find(device: str):
    return oracle_world()[2]


MODELS = {
    "color": color_find, "slow": slow_find, "brittle": brittle_find, "shown": shown_find,
    "sized": sized_find, "oracle": oracle_find,
}  # fmt: skip
