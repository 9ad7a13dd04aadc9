"""What objects are called: by looks, not by file name.

Each LIBERO folder was looked at on a contact sheet (`python -m training.tabletop.sheets
--gallery`): `red_bowl` is white, `white_bottle` is green, `yellow_book` is beige, and so on. Rows
of `LIBERO` name a folder's look, `SHAPES` lists the procedural kinds; the models of other packages
stand in `models.MODELS`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from training.tabletop.assets import household, shapes, vessels
from training.tabletop.assets.procedural_mesh import ShapeKind

HELD_OUT_FOLDERS = frozenset(
    {
        "moka_pot",
        "yellow_moka_pot",
        "wine_bottle",
        "white_bottle",  # the same mesh, painted green
        "red_coffee_mug",
        "cookies",
        "yellow_cookies",
        "chefmate_8_frypan",
        "black_book",
        "yellow_book",
        "red_yellow_book",  # the same mesh in three covers
    }
)
"""LIBERO folders of the held-out kinds and of their variants (same mesh, other paint)."""

HELD_OUT_NAMES = (
    "moka",
    "wine bottle",
    "red coffee mug",
    "coffee mug",
    "red mug",
    "cookie",
    "frypan",
    "frying pan",
    "fry pan",
    "skillet",
    "chefmate",
    "black book",
    "espresso maker",
)
"""Names of the held-out kinds: no text of a known split may contain one. Their single words
(mug, bottle, red, book) may be used."""

_HELD_OUT_PATTERN = re.compile(r"\b(" + "|".join(HELD_OUT_NAMES) + r")(s|es)?\b")


def held_out_names_in(text: str) -> list[str]:
    """Names of held-out kinds that a text contains, as whole words ("checkered mug" is none)."""
    return [hit.group(1) for hit in _HELD_OUT_PATTERN.finditer(text.lower().replace("_", " "))]


@dataclass(frozen=True)
class Look:
    """How one LIBERO folder looks and is called."""

    names: tuple[str, ...]
    """Names true of the original only (brand, contents); the first is the usual one."""
    nouns: tuple[str, ...]
    """Plain nouns that stay true when it is recoloured."""
    color: str
    """Its one dominant colour word, or "" when no single word is fair."""
    category: str
    material: str = ""
    also: tuple[str, ...] = ()
    """Further colours that one might call it: neither claimed nor denied."""
    maybe: tuple[str, ...] = ()
    """Nouns that one might also use: neither claimed nor denied."""
    turn: str = ""
    """Rotation that stands the file's mesh upright, for example "x90"."""
    recolor: int = 0
    """How many recoloured variants to make."""
    lies: bool = False
    """Also at home lying on its side."""
    held_out: bool = False


# One row an object reads better than one argument a line.
# fmt: off
_CAN: dict[str, Any] = dict(category="food", turn="x90", lies=True, maybe=("cylinder", "jar", "cup"))
_BOX: dict[str, Any] = dict(category="food", maybe=("carton", "block", "package"), lies=True)
_BOTTLE: dict[str, Any] = dict(category="food", turn="x90", lies=True, maybe=("container",))
_CARTON: dict[str, Any] = dict(category="drink", turn="x90", lies=True, maybe=("box", "package"))
_BOWL: dict[str, Any] = dict(category="tableware", maybe=("cup", "dish", "container", "cereal bowl"))
_MUG: dict[str, Any] = dict(category="tableware", maybe=("container",))
_FURNITURE: dict[str, Any] = dict(category="furniture", maybe=("box", "drawer"))

LIBERO: dict[str, Look] = {
    "akita_black_bowl": Look(("akita black bowl", "patterned bowl"), ("bowl",), "black",
                             also=("white", "gray"), recolor=4, **_BOWL),
    "black_bowl": Look(("black and white bowl", "patterned bowl"), ("bowl",), "black",
                       also=("white", "gray"), **_BOWL),
    "red_akita_black_bowl": Look((), ("bowl",), "red", **_BOWL),
    "white_bowl": Look((), ("bowl",), "white", recolor=5, **_BOWL),
    "yellow_bowl": Look((), ("bowl",), "yellow", also=("white",), **_BOWL),
    "glazed_rim_porcelain_ramekin": Look(("glazed rim porcelain ramekin",), ("ramekin",), "white",
                                         material="porcelain", recolor=5, **_BOWL),
    "red_ramekin": Look((), ("ramekin",), "red", material="porcelain", **_BOWL),
    "basket": Look(("wicker basket",), ("basket",), "", "container", "wicker",
                   also=("white", "gray", "yellow"), recolor=4, maybe=("box",)),
    "red_basket": Look((), ("basket",), "pink", "container", "wicker", also=("red",),
                       maybe=("box",)),
    "plate": Look((), ("plate", "dish"), "white", "tableware", also=("red",), recolor=5),
    "yellow_plate": Look((), ("plate", "dish"), "yellow", "tableware", also=("white",)),
    "simple_rack": Look(("peg rack",), ("rack",), "white", "furniture", recolor=2),
    "alphabet_soup": Look(("alphabet soup", "alphabet soup can", "soup can"), ("can", "tin"), "",
                          also=("blue", "orange", "yellow"), recolor=4, **_CAN),
    "red_alphabet_soup": Look(("alphabet soup", "alphabet soup can", "soup can"), ("can", "tin"),
                              "red", also=("yellow", "green"), **_CAN),
    "tomato_sauce": Look(("tomato sauce", "tomato sauce can"), ("can", "tin"), "red",
                         also=("green", "white"), recolor=4, **_CAN),
    "yellow_tomato_sauce": Look(("tomato sauce", "tomato sauce can"), ("can", "tin"), "",
                                also=("blue", "yellow", "orange"), **_CAN),
    "bbq_sauce": Look(("bbq sauce", "barbecue sauce", "bbq sauce bottle"), ("bottle",), "brown",
                      category="food", also=("orange", "red"), lies=True, recolor=4),
    "green_bbq_sauce": Look(("bbq sauce", "barbecue sauce", "bbq sauce bottle"), ("bottle",),
                            "brown", category="food", also=("green",), lies=True),
    "ketchup": Look(("ketchup", "ketchup bottle"), ("bottle",), "orange", also=("red", "white"),
                    recolor=4, **_BOTTLE),
    "green_ketchup": Look(("ketchup", "ketchup bottle"), ("bottle",), "green", also=("white",),
                          **_BOTTLE),
    "blue_ketchup": Look((), ("bottle",), "blue", **_BOTTLE),
    "salad_dressing": Look(("salad dressing", "salad dressing bottle"), ("bottle",), "white",
                           also=("green",), recolor=4, **_BOTTLE),
    "red_salad_dressing": Look(("salad dressing", "salad dressing bottle"), ("bottle",), "",
                               also=("red", "white", "black"), **_BOTTLE),
    "butter": Look(("butter", "butter box", "box of butter"), ("box",), "",
                   also=("orange", "red", "white", "blue", "yellow"), recolor=2, **_BOX),
    "green_butter": Look(("butter", "butter box", "box of butter"), ("box",), "green",
                         also=("yellow", "white", "black"), **_BOX),
    "chocolate_pudding": Look(("chocolate pudding", "chocolate pudding box", "pudding"), ("box",),
                              "brown", also=("white", "blue", "red"), recolor=3, **_BOX),
    "green_chocolate_pudding": Look(("chocolate pudding", "chocolate pudding box", "pudding"),
                                    ("box",), "green", **_BOX),
    "cream_cheese": Look(("cream cheese", "cream cheese box"), ("box",), "",
                         also=("blue", "gray", "white"), recolor=3, **_BOX),
    "red_cream_cheese": Look(("cream cheese", "cream cheese box"), ("box",), "",
                             also=("red", "white"), **_BOX),
    "macaroni_and_cheese": Look(("macaroni and cheese", "macaroni box"), ("box",), "yellow",
                                also=("orange",), recolor=3, **_BOX),
    "popcorn": Look(("popcorn", "popcorn box", "box of popcorn"), ("box",), "blue",
                    also=("white", "red"), recolor=3, **_BOX),
    "milk": Look(("milk", "milk carton", "carton of milk"), ("carton",), "",
                 also=("red", "green", "blue", "white"), recolor=3, **_CARTON),
    "yellow_milk": Look(("milk", "milk carton", "carton of milk"), ("carton",), "yellow",
                        also=("green",), **_CARTON),
    "orange_juice": Look(("orange juice", "orange juice carton", "juice carton"), ("carton",), "",
                         also=("yellow", "orange", "green", "white"), recolor=3, **_CARTON),
    "red_orange_juice": Look(("orange juice", "juice carton"), ("carton",), "",
                             also=("red", "white"), **_CARTON),
    "bowl_drainer": Look(("bowl drainer", "dish drainer"), ("drainer",), "white", "container",
                         recolor=2, maybe=("box", "basket")),
    "brown_rack": Look(("wooden rack",), ("rack", "shelf"), "brown", "furniture", "wooden"),
    "wine_rack": Look(("wooden rack",), ("rack", "shelf"), "", "furniture", "wooden",
                      also=("brown", "white", "yellow")),
    "desk_caddy": Look(("desk caddy", "desk organizer"), ("caddy",), "brown", "container",
                       also=("purple", "black"), recolor=3, maybe=("box", "tray")),
    "yellow_desk_caddy": Look(("desk caddy", "desk organizer"), ("caddy",), "yellow", "container",
                              also=("brown",), maybe=("box", "tray")),
    "dining_set_group": Look(("dining set", "cutlery set", "placemat with cutlery"),
                             ("placemat",), "white", "tableware", maybe=("tray", "napkin")),
    "porcelain_mug": Look(("porcelain mug",), ("mug", "cup"), "white", material="porcelain",
                          recolor=6, **_MUG),
    "white_porcelain_mug": Look(("gold patterned mug",), ("mug", "cup"), "",
                                also=("white", "yellow", "brown"), **_MUG),
    "white_yellow_mug": Look(("yellow and white mug", "white and yellow mug"), ("mug", "cup"), "",
                             also=("yellow", "white"), recolor=5, **_MUG),
    "libero_mug": Look(("gray mug with letters",), ("mug", "cup"), "gray", also=("white",),
                       recolor=5, **_MUG),
    "libero_mug_yellow": Look(("brown mug with letters",), ("mug", "cup"), "",
                              also=("brown", "gray", "yellow"), **_MUG),
    "white_storage_box": Look(("storage box",), ("box",), "white", "container", recolor=3,
                              maybe=("shelf", "cabinet", "cube")),
    "wooden_cabinet_base": Look(("wooden shelf",), ("shelf", "rack"), "", "furniture", "wooden",
                                also=("black", "brown", "gray"), maybe=("cabinet", "drawer")),
    "wooden_tray": Look(("wooden tray", "wooden crate"), ("tray", "crate"), "brown", "container",
                        "wooden", recolor=3, maybe=("box", "basket")),
    "wooden_two_layer_shelf": Look(("wooden shelf", "two layer shelf"), ("shelf",), "",
                                   "furniture", "wooden", also=("black", "brown", "gray"),
                                   maybe=("table", "desk")),
    "basin_faucet": Look(("basin faucet",), ("faucet", "tap"), "white", "appliance", recolor=2),
    "flat_stove": Look(("flat stove", "hot plate"), ("stove", "cooker"), "gray", "appliance",
                       also=("black",), recolor=2, maybe=("burner",)),
    "yellow_stove": Look((), ("stove", "cooker"), "yellow", "appliance", also=("brown",)),
    "microwave": Look(("microwave oven",), ("microwave",), "black", "appliance", also=("gray",),
                      recolor=3, maybe=("oven", "box")),
    "short_cabinet": Look(("wooden cabinet", "chest of drawers"), ("cabinet",), "brown",
                          material="wooden", also=("black",), recolor=3, **_FURNITURE),
    "white_cabinet": Look((), ("cabinet",), "", material="wooden", also=("white", "gray"),
                          recolor=3, **_FURNITURE),
    "wooden_cabinet": Look(("wooden cabinet",), ("cabinet",), "", material="wooden",
                           also=("black", "brown", "gray"), **_FURNITURE),
    "yellow_cabinet": Look(("wooden cabinet",), ("cabinet",), "yellow", material="wooden",
                           also=("brown",), **_FURNITURE),
    "short_fridge": Look(("small fridge",), ("fridge", "refrigerator"), "gray", "appliance",
                         recolor=2, maybe=("cabinet", "box")),
    # Held-out kinds and their variants.
    "moka_pot": Look(("moka pot",), ("moka pot",), "", "tableware", "metal", held_out=True,
                     also=("white", "gray", "black"), maybe=("pot", "kettle")),
    "yellow_moka_pot": Look(("moka pot",), ("moka pot",), "yellow", "tableware", "metal",
                            held_out=True, maybe=("pot", "kettle")),
    "wine_bottle": Look(("wine bottle", "bottle of wine"), ("bottle",), "black", "drink",
                        also=("green",), held_out=True),
    "white_bottle": Look(("wine bottle", "bottle of wine"), ("bottle",), "green", "drink",
                         held_out=True),
    "red_coffee_mug": Look(("red coffee mug", "coffee mug"), ("mug", "cup"), "red", "tableware",
                           also=("white",), held_out=True),
    "cookies": Look(("cookies", "cookie box", "box of cookies"), ("box",), "", "food",
                    also=("red", "yellow", "white"), held_out=True, maybe=("package",)),
    "yellow_cookies": Look(("cookies", "cookie box", "box of cookies"), ("box",), "yellow", "food",
                           held_out=True, maybe=("package",)),
    "chefmate_8_frypan": Look(("frying pan", "frypan"), ("frying pan", "pan"), "black", "tableware",
                              also=("gray",), held_out=True),
    "black_book": Look((), ("book",), "black", "book", held_out=True),
    "yellow_book": Look((), ("book",), "", "book", also=("gray", "white", "brown", "yellow"),
                        held_out=True),
    "red_yellow_book": Look((), ("book",), "red", "book", held_out=True),
}

STANDING_BOOKS = ("black_book", "yellow_book", "red_yellow_book")

SHAPES: dict[str, ShapeKind] = {
    "ball": ShapeKind(shapes.ball, ("ball", "sphere"), "shape"),
    "cube": ShapeKind(shapes.cube, ("cube",), "shape", maybe=("block", "box", "dice")),
    "block": ShapeKind(shapes.block, ("block", "brick"), "shape", maybe=("box", "cuboid", "cube")),
    "cylinder": ShapeKind(shapes.cylinder_shape, ("cylinder",), "shape", maybe=("can", "block")),
    "cone": ShapeKind(shapes.cone_shape, ("cone",), "shape"),
    "ring": ShapeKind(shapes.ring, ("ring", "torus"), "shape"),
    "pyramid": ShapeKind(shapes.pyramid, ("pyramid",), "shape", maybe=("cone", "block")),
    "hexprism": ShapeKind(shapes.hexagonal_prism, ("hexagonal prism",), "shape", shapes=3,
                            maybe=("block", "cylinder", "prism")),
    "wedge": ShapeKind(shapes.wedge, ("wedge",), "shape", maybe=("block", "prism"), shapes=3),
    "arch": ShapeKind(shapes.arch, ("arch", "bridge"), "shape", maybe=("block",), shapes=3),
    "cross": ShapeKind(shapes.cross, ("cross", "plus sign"), "shape", maybe=("block",), shapes=3),
    "star": ShapeKind(shapes.star, ("star",), "shape", shapes=3),
    "bowl": ShapeKind(vessels.bowl, ("bowl",), "tableware", maybe=("dish", "plate"), shapes=6),
    "plate": ShapeKind(vessels.plate, ("plate", "dish"), "tableware", maybe=("bowl",), shapes=5),
    "cup": ShapeKind(vessels.cup, ("cup", "tumbler"), "tableware", maybe=("mug", "glass"), shapes=6),
    "mug": ShapeKind(vessels.mug, ("mug", "cup"), "tableware", shapes=6, colors=(
        "orange", "yellow", "green", "blue", "purple", "pink", "turquoise", "brown", "black",
        "white", "gray")),  # never red: "red mug" names a held-out kind
    "bottle": ShapeKind(vessels.bottle, ("bottle",), "container", maybe=("flask", "jar"), shapes=6),
    "jar": ShapeKind(vessels.jar, ("jar",), "container", maybe=("can", "bottle"), shapes=4),
    "vase": ShapeKind(vessels.vase, ("vase",), "container", maybe=("jar", "bottle", "cup"), shapes=4),
    "pitcher": ShapeKind(vessels.pitcher, ("pitcher", "jug"), "tableware",
                           maybe=("vase", "mug", "cup"), shapes=4),
    "teapot": ShapeKind(vessels.teapot, ("teapot",), "tableware", maybe=("pot", "kettle"), shapes=4),
    "pot": ShapeKind(vessels.cooking_pot, ("pot", "cooking pot", "saucepot"), "tableware",
                       maybe=("bowl",), shapes=4),
    "saucepan": ShapeKind(vessels.saucepan, ("saucepan", "pan"), "tableware", maybe=("pot", "bowl"),
                            shapes=4, train_only=True),
    "wok": ShapeKind(vessels.wok, ("wok", "pan"), "tableware", maybe=("bowl", "pot"), shapes=3,
                       train_only=True),
    "kettle": ShapeKind(vessels.kettle, ("kettle", "tea kettle"), "tableware",
                          maybe=("pot", "teapot", "pitcher"), shapes=4, train_only=True),
    "candle": ShapeKind(household.candle, ("candle",), "tool", maybe=("cylinder",), shapes=3),
    "spoon": ShapeKind(household.spoon, ("spoon",), "tableware", maybe=("ladle",), shapes=3),
    "spatula": ShapeKind(household.spatula, ("spatula", "turner"), "tool", shapes=3),
    "pen": ShapeKind(household.pen, ("pen", "marker"), "tool", maybe=("pencil", "stick"), shapes=3),
    "book": ShapeKind(household.book, ("book",), "book", maybe=("notebook", "box"), shapes=6, colors=(
        "orange", "yellow", "green", "blue", "purple", "pink", "turquoise", "white", "gray",
        "red")),  # never black: "black book" names a held-out kind
    "phone": ShapeKind(household.phone, ("phone", "smartphone"), "tool", maybe=("remote",), shapes=3,
                         patterned=False),
    "remote": ShapeKind(household.remote, ("remote", "remote control"), "tool", shapes=3,
                          patterned=False, colors=("black", "gray", "blue", "red")),
    "openbox": ShapeKind(household.open_box, ("open box", "bin"), "container",
                           maybe=("box", "tray", "basket"), shapes=4),
    "tray": ShapeKind(household.tray, ("tray",), "container", maybe=("plate", "box"), shapes=4),
    "cardbox": ShapeKind(household.carton_box, ("box",), "container",
                           maybe=("block", "cube", "carton"), shapes=5),
    "can": ShapeKind(household.can, ("can", "tin"), "container", maybe=("cylinder", "jar"), shapes=4),
    "sponge": ShapeKind(household.sponge, ("sponge",), "tool", shapes=2, patterned=False,
                          maybe=("block",), colors=("yellow", "orange", "blue", "pink")),
    "tape": ShapeKind(household.tape_roll, ("tape", "roll of tape", "tape roll"), "tool",
                        maybe=("ring",), shapes=3),
    "hammer": ShapeKind(household.hammer, ("hammer",), "tool", shapes=3, patterned=False),
    "screwdriver": ShapeKind(household.screwdriver, ("screwdriver",), "tool", shapes=3,
                               patterned=False),
    "apple": ShapeKind(household.apple, ("apple",), "food", shapes=3, patterned=False,
                         colors=("red", "green", "yellow"), maybe=("ball", "fruit")),
    "banana": ShapeKind(household.banana, ("banana",), "food", shapes=2, patterned=False,
                          colors=("yellow",), maybe=("fruit",)),
}
# fmt: on
