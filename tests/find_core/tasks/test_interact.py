"""A click's mask: which of its parts was pointed at."""

from __future__ import annotations

import numpy as np

from find_core.crops import crops_of
from find_core.preprocess import Geometry
from find_core.tasks.interact import part_at

SIZE = (96, 160)  # of the cells; the image is twice as large
GEOMETRY = Geometry((192, 320), SIZE, SIZE)


def drawn(*boxes):
    """Logits of a mask that is the union of rectangles (x, y, w, h) in cells."""
    cells = np.full((SIZE[0] // 4, SIZE[1] // 4), -3, np.float32)
    for x, y, w, h in boxes:
        cells[y : y + h, x : x + w] = 3
    return crops_of(cells[None], GEOMETRY)[0]


def marked(*points):
    mark = np.zeros(GEOMETRY.original, bool)
    for x, y in points:
        mark[8 * y + 4, 8 * x + 4] = True
    return mark


def test_a_mark_chooses_the_parts_that_it_touches():
    left, right, far = (1, 2, 5, 5), (16, 2, 5, 5), (32, 2, 5, 5)
    three = drawn(left, right, far)

    def at(*points):
        return part_at(three, marked(*points)).original()[0]

    assert np.array_equal(at((18, 4)), drawn(right).original()[0])
    assert np.array_equal(at((2, 4), (33, 4)), drawn(left, far).original()[0]), "two strokes"
    assert np.array_equal(at((1, 20)), three.original()[0]), "beside it: nothing is chosen or lost"
    one = drawn(left)
    assert part_at(one, marked((33, 4))) is one
    assert not part_at(drawn(), marked((2, 4))).original()[0].any()
