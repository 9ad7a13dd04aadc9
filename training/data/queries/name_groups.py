"""Which names are surely not true of the same object: a coarse sorting of everyday names.

Photograph sets come with class lists of their own. What one set calls "wrench" another may leave
unlabelled, and nobody said that a wrench is no animal. Names whose groups are far apart exclude
each other; within a group, and between groups that touch, nothing is concluded.
"""

from __future__ import annotations

import functools
import itertools

_WORDS: dict[str, str] = {
    "animal": "animal bear bird cat cow dog elephant giraffe horse sheep zebra",
    "person": "person man woman child boy girl people player rider",
    "vehicle": "vehicle airplane bicycle bike boat bus car motorcycle train truck",
    "sport": "frisbee kite skateboard skis snowboard surfboard racket bat glove",
    "street": "bridge building house fence roof tent platform railroad road pavement hydrant sign "
              "stairs field",
    "nature": "dirt flower grass gravel mountain river rock sand sea sky snow tree water plant",
    "furniture": "bed bench chair couch table desk cabinet counter shelf drawer rack stool",
    "room": "wall ceiling floor door window blind curtain mirror rug light blanket pillow towel net "
            "banner cloth",
    "appliance": "drier microwave oven refrigerator toaster tv sink toilet laptop keyboard remote "
                 "phone clock stove faucet lamp",
    "tableware": "bottle bowl cup fork knife spoon plate glass vase mug pan pot jar can tin carton "
                 "box basket tray teapot pitcher kettle ramekin dish container caddy scissors crate",
    "food": "food fruit vegetable banana broccoli cake carrot donut pizza sandwich apple orange "
            "tempeh tofu bread catfish mackerel rice milk avocado cheese egg oats oil potato quinoa "
            "salmon spaghetti tomato zucchini soyghurt pear cream yoghurt asparagus aubergine juice "
            "mushroom cabbage melon cucumber garlic ginger kiwi leek lemon lime mango nectarine "
            "oatghurt onion pepper papaya peach pineapple plum pomegranate beet grapefruit satsumas "
            "watermelon soup sauce ketchup butter pudding",
    "tool": "spanner saw backsaw caliper pliers drill gun hammer handsaw screwdriver measure wrench",
    "paper": "book paper cardboard",
    "bag": "backpack handbag suitcase tie umbrella toothbrush",
}  # fmt: skip
_WHOLE = {
    "bell pepper": "food", "cell phone": "appliance", "dining table": "furniture",
    "fire hydrant": "street", "glue gun": "tool", "hair drier": "appliance", "hot dog": "food",
    "baseball bat": "sport", "baseball glove": "sport", "parking meter": "street",
    "passion fruit": "food", "playing field": "street", "potted plant": "nature",
    "sports ball": "sport", "tape measure": "tool", "tennis racket": "sport",
    "traffic light": "street", "utility knife": "tool", "wine glass": "tableware",
}  # fmt: skip
_NEITHER = frozenset(["teddy bear", "hand", "mouse", "ball"])
"""Names that look like one of another group ("mouse"), or are part of one ("hand"): of no group."""
_TOUCHING = frozenset(
    frozenset(pair.split("-"))
    for pair in [
        "appliance-furniture",
        "appliance-room",
        "appliance-street",
        "appliance-tableware",
        "appliance-tool",
        "bag-room",
        "bag-tableware",
        "food-nature",
        "food-tableware",
        "furniture-room",
        "furniture-street",
        "furniture-tableware",
        "nature-room",
        "nature-street",
        "nature-tableware",
        "paper-bag",
        "paper-food",
        "paper-room",
        "paper-street",
        "paper-tableware",
        "person-bag",
        "person-room",
        "room-street",
        "room-tableware",
        "sport-bag",
        "sport-tableware",
        "sport-vehicle",
        "sport-tool",
        "tableware-tool",
        "vehicle-street",
    ]
)
_PLACES = frozenset(
    [
        "of",
        "on",
        "left",
        "right",
        "behind",
        "in",
        "with",
        "near",
        "above",
        "below",
        "under",
        "front",
        "next",
        "between",
        "from",
        "for",
        "to",
    ]
)
_GROUP = {
    word: group for group, words in _WORDS.items() for word in words.split()
} | _WHOLE  # fmt: skip


@functools.cache
def group_of(text: str) -> str | None:
    """The group of a plain noun phrase by its last known word; None for whatever says more."""
    words = text.lower().split()
    if not words or len(words) > 6 or _PLACES & set(words):
        return None
    for start, end in itertools.product(range(len(words)), range(len(words), 0, -1)):
        if " ".join(words[start:end]) in _NEITHER:
            return None
    for end in range(len(words), 0, -1):
        for start in (end - 2, end - 1):
            if start >= 0 and (found := _GROUP.get(" ".join(words[start:end]))):
                return found
        if words[end - 1].endswith("s") and (found := _GROUP.get(words[end - 1][:-1])):
            return found
    return None


def far_apart(one: str, other: str) -> bool:
    """Can the two names surely not be true of one object?"""
    a, b = group_of(one), group_of(other)
    return a is not None and b is not None and a != b and frozenset((a, b)) not in _TOUCHING


_MAY_BE_THE_SAME = tuple(
    frozenset(names.split(", "))
    for names in (
        "adjustable spanner, wrench, pipe wrench, ratchet wrench",
        "backsaw, handsaw",
        "couch, chair, bench, bed",
        "table, dining table, counter, cabinet, shelf",
        "cup, wine glass, bowl",
        "food, fruit, apple, banana, broccoli, cake, carrot, donut, hot dog, orange, pizza, sandwich",
        "mountain, rock, stone wall, gravel, sand, dirt",
        "sea, river, water",
        "building, house, roof, tent",
        "road, pavement, platform, playing field, floor",
        "paper, cardboard, book, banner",
        "curtain, window blind, window, towel, blanket, rug",
        "person, hand",
        "grass, tree, flower, potted plant",
        "satsumas, orange",
        "yoghurt, soyghurt, oatghurt",
    )
)


def labelled_apart(one: str, other: str) -> bool:
    """Do two names of one set's class list exclude each other?

    Not if they share a word ("tofu", "fried tofu"), or one object may carry both.
    """
    if set(one.split()) & set(other.split()):
        return False
    return not any(one in names and other in names for names in _MAY_BE_THE_SAME)
