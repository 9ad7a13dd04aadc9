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
    "bell pepper": "food", "box cutter": "tool", "cell phone": "appliance",
    "cutter knife": "tool", "dining table": "furniture",
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
    for pair in ("bag-person", "bag-room", "food-nature", "nature-street", "room-street",
                 "street-vehicle")
)  # fmt: skip
_CONTAINERS = "bottle can tin carton box jar pot basket tray crate container caddy glass cup"
_ALIKE = tuple(
    (frozenset(one.split()), frozenset(other.split()))
    for one, other in (
        (_CONTAINERS, _WORDS["food"]),
        (_CONTAINERS, "shelf rack cabinet drawer counter suitcase backpack handbag"),
        ("box container can tin pot pan kettle teapot plate", _WORDS["appliance"]),
        ("box carton tray plate", _WORDS["paper"]),
        ("glass", "window mirror door blind light"),
        ("vase pot", "plant flower tree"),
        ("bowl dish", "sink toilet lamp"),
        ("knife scissors fork spoon", _WORDS["tool"] + " knife"),
        ("cloth towel blanket pillow curtain rug", "bed couch chair bench grass paper"),
        ("door window mirror wall", "cabinet drawer shelf tv refrigerator oven microwave"),
        ("light lamp", "sign sun"),
        ("kite", "umbrella"),
        ("floor", "counter table desk bench"),
    )
)
"""Nouns of different groups that one might use of the same object."""
_GROUNDS = (
    "wall floor ceiling sky sea road grass sand snow mountain river pavement building house roof "
    "tree dirt gravel platform fence bridge"
)
_SURFACES = frozenset(_GROUNDS.split()) | {
    "brick wall",
    "stone wall",
    "tiled wall",
    "wooden wall",
    "wooden floor",
    "playing field",
}
_MOVABLE = frozenset(_WORDS) - {"street", "nature", "room"}
"""No surface is a thing of one of these groups, though the groups touch ("glass", "window")."""
_RELATIONS = "of on left right behind in with near above below under front next between from for to"
_PLACES = frozenset(_RELATIONS.split())
_GROUP = {word: group for group, words in _WORDS.items() for word in words.split()} | _WHOLE


def group_of(text: str) -> str | None:
    """The group of a plain noun phrase by its last known noun; None for whatever says more."""
    return _GROUP.get(_noun(text))


@functools.cache
def _noun(text: str) -> str:
    """The last known noun of a plain noun phrase; empty for others."""
    words = text.lower().split()
    if (whole := " ".join(words)) in _WHOLE:
        return whole
    if not words or len(words) > 6 or _PLACES & set(words):
        return ""
    runs = (words[i:j] for i, j in itertools.combinations(range(len(words) + 1), 2))
    if any(" ".join(run) in _NEITHER for run in runs):
        return ""
    for end in range(len(words), 0, -1):
        for phrase in (" ".join(words[max(0, end - 2) : end]), words[end - 1]):
            if phrase in _GROUP:
                return phrase
        if words[end - 1].removesuffix("s") in _GROUP:
            return words[end - 1].removesuffix("s")
    return ""


@functools.cache
def far_apart(one: str, other: str) -> bool:
    """Can the two names surely not be true of one object?"""
    a, b = _noun(one), _noun(other)
    if not a or not b or _GROUP[a] == _GROUP[b]:
        return False
    if (one in _SURFACES and _GROUP[b] in _MOVABLE) or (
        other in _SURFACES and _GROUP[a] in _MOVABLE
    ):
        return True
    if frozenset((_GROUP[a], _GROUP[b])) in _TOUCHING:
        return False
    mine, others = {a, a.split()[-1]}, {b, b.split()[-1]}
    return not any((mine & x and others & y) or (others & x and mine & y) for x, y in _ALIKE)


NEVER_RENDERED = frozenset(["animal", "person", "vehicle", "street", "nature"])
"""Groups of which the rendered world has no object, but for its toy animals."""
_TOYS = frozenset(["toy", "duck", "bunny", "rabbit", "bear", "teddy", "dinosaur"])


def surely_not(text: str, name: str, rendered: bool) -> bool:
    """Is a phrase surely untrue of an object of that name?"""
    group = group_of(text)
    toy = group == "animal" and bool(_TOYS & set(name.split()))
    return far_apart(text, name) or (rendered and group in NEVER_RENDERED and not toy)


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
