"""What is said about a scene: the bridge from placed objects to the template writer."""

from __future__ import annotations

import numpy as np

from training.tabletop.assets.gallery import Gallery
from training.tabletop.language.instructions import parse_instructions
from training.tabletop.language.sentences import Writer
from training.tabletop.language.truth import Query, SceneObject, scene_object, truth
from training.tabletop.scene.layout import Layout
from training.tabletop.scene.relations import Body, Judgement, judge
from training.tabletop.scene.surroundings import FURNITURE
from training.truth import TRUE

SALIENT_PX, SALIENT_STUFF_PX, SALIENT_SHARE = 90, 2500, 0.25
"""From how many visible pixels (and which visible share) on an object is spoken of."""

STUFF_NOUNS: dict[str, tuple[str, ...]] = {
    **{
        name: ("table", "tabletop")
        for name in (
            "table-small",
            "table-medium",
            "table-wide",
            "table-long",
            "table-round",
            "table-desk",
        )
    },
    "floor": ("floor", "ground"),
    "wall": ("wall",),
    **{name: nouns for name, (_, _, nouns) in FURNITURE.items()},
}
STUFF_MAYBE: dict[str, frozenset[str]] = {
    "table-desk": frozenset({"desk"}),
    "f-desk": frozenset({"table"}),
    "f-kitchen": frozenset(
        {"cabinet", "stove", "sink", "shelf", "cooker", "faucet", "tap", "microwave", "pot"}
    ),
    "f-livingroom": frozenset({"cabinet", "shelf", "bookshelf", "vase", "book"}),
    "f-bookshelf": frozenset({"shelf", "rack", "book", "box"}),
    "f-coffeetable": frozenset({"table", "desk"}),
    "f-fridge": frozenset({"cabinet"}),
    "f-seats": frozenset({"chair", "cushion", "block"}),
    "f-plant": frozenset({"pot", "vase"}),
}


def salient_ids(instances: list[dict]) -> set[int]:
    """Objects that are seen well enough to be spoken of."""
    return {
        i["id"]
        for i in instances
        if not i["stuff"] and i["visible_px"] >= SALIENT_PX and i["visibility"] >= SALIENT_SHARE
    }


class SceneTextWriter:
    """Knows the gallery's vocabulary and writes the texts of scenes."""

    def __init__(self, gallery: Gallery) -> None:
        self.instructions = parse_instructions(gallery)
        self._matches: dict[tuple[str, Query], list[str]] = {}
        shown = {split: set(gallery.known(split)) for split in ("train", "val", "sequence")}
        shown["held"] = shown["val"] | set(gallery.held_out())
        every_object = [scene_object(a) for a in gallery.assets.values()]
        self.pools = {s: [t for t in every_object if t.asset in ids] for s, ids in shown.items()}

    def language(
        self,
        layout: Layout,
        T_world_camera: np.ndarray,
        instances: list[dict],
        split: str,
        rng: np.random.Generator,
    ) -> dict:
        """Relations and texts of a scene, in the on-disk form.

        `instances` as `World.instances` lists them; texts of the split `held` may name held-out kinds.
        """
        salient = salient_ids(instances) | {
            i["id"] for i in instances if i["stuff"] and i["visible_px"] >= SALIENT_STUFF_PX
        }
        objects = [self._object(i, layout, i["id"] in salient) for i in instances]
        relations = relations_of(layout, T_world_camera, {i["id"] for i in instances})
        writer = Writer(
            objects, relations, lambda q: self.matches(q, split), rng, self.instructions
        )
        words = writer.write(self.pools[split])
        return {
            "relations": [list(r) for r in sorted(relations.clear)],
            "phrases": words.phrases,
            "sentences": words.sentences,
            "captions": words.captions,
            "absent": words.absent,
        }

    @staticmethod
    def _object(instance: dict, layout: Layout, salient: bool) -> SceneObject:
        if not instance["stuff"]:
            asset = layout.placed[instance["id"] - 1].asset
            return scene_object(asset, instance["id"], salient)
        return SceneObject(
            instance["id"],
            instance["asset"],
            frozenset(instance["names"]),
            STUFF_MAYBE.get(instance["asset"], frozenset()),
            instance["name"],
            category="surface",
            material=instance["material"],
            stuff=True,
            salient=salient,
        )

    def matches(self, query: Query, split: str) -> list[str] | None:
        """Asset ids of the gallery, of those the split may show, that a query is true of.

        None where that depends on the scene: surfaces change their material.
        """
        key = (split, query)
        if key not in self._matches:
            self._matches[key] = [t.asset for t in self.pools[split] if truth(t, query) is TRUE]
            self._matches[key] += sorted(
                name for name, nouns in STUFF_NOUNS.items() if query.text in nouns
            )
        return self._matches[key] or None


def relations_of(layout: Layout, T_world_camera: np.ndarray, visible: set[int]) -> Judgement:
    """Relations between the visible instances, by instance id.

    Objects have ids 1 to N in the layout's order; N + 1 is the surface they stand on.
    """
    placed = layout.placed
    judged = judge(
        [Body(p.outline_N2, p.floor_m, p.top_m, p.parent, p.inside) for p in placed],
        T_world_camera,
    )
    clear = {(s + 1, r, o + 1) for s, r, o in judged.clear}
    unclear = {(s + 1, r, o + 1) for s, r, o in judged.unclear}
    ground = len(placed) + 1  # the first stuff is what everything stands on
    for s, p in enumerate(placed):
        (clear if p.parent is None else unclear).add((s + 1, "on", ground))
    return Judgement(frozenset(r for r in clear if {r[0], r[2]} <= visible), frozenset(unclear))
