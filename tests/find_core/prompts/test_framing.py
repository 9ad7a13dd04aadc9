"""Pictures of the thing alone are placed as things lie in scenes; regions of scenes stay as they are."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import find_core as fc
from find_core.prompts.framing import SIDE, framed, shows_whole_image
from find_core.testing import tiny_find

RNG = np.random.default_rng(0)
SCENE = RNG.integers(0, 255, (120, 160, 3), dtype=np.uint8)
PHOTO = np.full((90, 60, 3), (250, 240, 230), np.uint8)
PHOTO[20:70, 15:45] = RNG.integers(0, 255, (50, 30, 3), dtype=np.uint8)
WHOLE_BOX = (0, 0, 60, 90)


def test_a_part_stays_as_it_is() -> None:
    mask = np.zeros((90, 60), bool)
    mask[10:80, 10:50] = True
    image, shown = framed(PHOTO, mask, 64, 96)
    assert image is PHOTO and shown is mask


@pytest.mark.parametrize("size", [(90, 60), (30, 400), (3, 2), (700, 900)])
def test_a_whole_image_lies_small_in_the_middle(size: tuple[int, int]) -> None:
    image = RNG.integers(0, 255, (*size, 3), dtype=np.uint8)
    canvas, shown = framed(image, np.ones(size, bool), 64, 96)
    assert canvas.shape == (64, 96, 3) and canvas.dtype == np.uint8
    rows, columns = np.nonzero(shown)
    height, width = rows.max() - rows.min() + 1, columns.max() - columns.min() + 1
    assert shown.sum() == height * width
    assert height <= round(SIDE * 64) and width <= round(SIDE * 96)
    assert height == round(SIDE * 64) or width == round(SIDE * 96)
    assert abs((rows.min() + rows.max() + 1) / 2 - 32) <= 1
    assert abs((columns.min() + columns.max() + 1) / 2 - 48) <= 1


def test_the_ground_has_the_colour_of_the_border() -> None:
    canvas, shown = framed(PHOTO, np.ones((90, 60), bool), 64, 96)
    assert (canvas[~shown] == (250, 240, 230)).all()
    assert shows_whole_image(np.ones((9, 6), bool))


def test_references_and_classes_read_the_framed_picture() -> None:
    find = tiny_find()
    vision = find.config.vision
    canvas, shown = framed(PHOTO, np.ones((90, 60), bool), vision.short_side_px, vision.max_side_px)
    whole = fc.Reference(PHOTO, box=WHOLE_BOX)
    by_hand = fc.Reference(canvas, mask=shown)
    a, b = (find.compile(fc.Prompt.parse("<it>", it=r)).semantic for r in (whole, by_hand))
    torch.testing.assert_close(a, b, rtol=0, atol=0)
    rows = find.classes([fc.Prompt.parse("<it>", it=r) for r in (whole, by_hand)])
    torch.testing.assert_close(rows[0], rows[1], rtol=0, atol=0)


def test_the_words_of_a_references_label_do_not_reach_its_answer() -> None:
    """A mug's picture that is called "carton" asks for the mug."""
    find = tiny_find()
    scene = find.encode(SCENE)
    answers = []
    for name in ("mug", "carton"):
        for sentence in ("the <{}>", "the <{}> left of the <plate>"):
            reference = {name: fc.Reference(PHOTO, box=WHOLE_BOX)}
            prompt = fc.Prompt.parse(sentence.format(name), **reference)
            answers.append(scene.localize(prompt, threshold=0.0).entities[0])
    for k in (0, 1):
        mug, carton = answers[k], answers[k + 2]
        assert mug.score == carton.score and np.array_equal(mug.mask, carton.mask)
        assert np.array_equal(mug.embedding, carton.embedding)
        assert (mug.label, carton.label) == ("mug", "carton")
    words = [scene.localize(f"the <{n}>", threshold=0.0).entities[0] for n in ("mug", "carton")]
    assert words[0].score != words[1].score  # of words the words do change the answer
