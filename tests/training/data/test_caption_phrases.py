"""Names in captions: few, and right."""

from __future__ import annotations

import pytest

from training.data.formats.records import InstanceLabel, Record
from training.data.queries.caption_phrases import caption_phrases, with_caption_names

NAMES = ("dog", "couch", "hot dog", "fire hydrant", "bus", "cat", "light", "cup")


@pytest.mark.parametrize(
    ("caption", "phrases"),
    [
        ("Two small dogs on a red couch.", ("small dog", "dog", "red couch", "couch")),
        ("A hot dog in a bun", ("hot dog",)),
        ("A yellow fire hydrant next to two buses", ("yellow fire hydrant", "fire hydrant", "bus")),
        ("There is no dog here", ()),
        ("A dog house behind a bus stop", ()),
        ("A toy cat sits.", ()),
        ("The light is on", ()),
    ],
)
def test_what_captions_name(caption: str, phrases: tuple[str, ...]) -> None:
    assert caption_phrases([caption], NAMES) == phrases


def test_what_a_caption_names_is_not_absent() -> None:
    dog = InstanceLabel("dog", frozenset(["dog"]), None, "dog", "photos")
    record = Record("a", lambda: None, (dog,), captions=("A black dog and a cat.",),
                    absent=("cat", "bus"), source="photos")  # fmt: skip
    found = with_caption_names(record, NAMES)
    assert found.caption_names == ("black dog", "cat") and found.absent == ("bus",)
