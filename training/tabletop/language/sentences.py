"""The template writer: phrases, sentences, captions and absent phrases of one scene.

It knows objects only as `truth.SceneObject`s and relations only as a `relations.Judgement`, so it needs
neither renderer nor assets. Everything it says is true beyond dispute (see `truth`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from training.tabletop.assets.colors import SYNONYMS
from training.tabletop.assets.gallery import GENERIC_NOUNS
from training.tabletop.language.grammar import article, joined, longest, plural, with_article
from training.tabletop.language.instructions import Instruction
from training.tabletop.language.truth import CATEGORY_WORDS, Query, SceneObject, is_denied, matching
from training.tabletop.scene.relations import NAMES, Judgement

Matcher = Callable[[Query], list[str] | None]
"""Asset ids, over the whole gallery, that a query is true of; None where the scene decides."""

RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "left of": ("left of", "to the left of"),
    "right of": ("right of", "to the right of"),
    "in front of": ("in front of",),
    "behind": ("behind",),
    "next to": ("next to", "beside"),
    "on": ("on", "on top of"),
    "in": ("in", "inside"),
}
_PICK = (
    "pick up the {a}",
    "grab the {a}",
    "hand me the {a}",
    "bring me the {a}",
    "find the {a}",
    "point at the {a}",
    "where is the {a}",
)
_MOVE = {
    "on": (
        "put the {a} on the {b}",
        "place the {a} on top of the {b}",
        "pick up the {a} and place it on the {b}",
    ),
    "in": (
        "put the {a} in the {b}",
        "pick up the {a} and place it in the {b}",
        "drop the {a} into the {b}",
    ),
    "next to": (
        "move the {a} next to the {b}",
        "slide the {a} towards the {b}",
        "put the {a} beside the {b}",
    ),
    "both": (
        "give me the {a} and the {b}",
        "the {a} and the {b}",
        "clear away the {a} and the {b}",
    ),
}
_RECEIVES = {"bowl", "basket", "tray", "caddy", "bin", "crate", "storage box", "pot"}


@dataclass
class Language:
    """Everything said about one scene, in the on-disk form."""

    phrases: list[dict]
    sentences: list[dict]
    captions: list[str]
    absent: list[dict]


class Writer:
    """Writes one scene's texts."""

    def __init__(
        self,
        objects: Sequence[SceneObject],
        relations: Judgement,
        matcher: Matcher,
        rng: np.random.Generator,
        instructions: Sequence[Instruction] = (),
    ) -> None:
        self.objects, self.relations = list(objects), relations
        self.matcher, self.rng, self.instructions = matcher, rng, instructions
        self.by_id = {t.id: t for t in self.objects}
        self.spoken = [t for t in self.objects if t.salient]

    def write(self, pool: Sequence[SceneObject]) -> Language:
        """All texts; `pool` holds objects of the gallery from which absent phrases are drawn."""
        return Language(self.phrases(), self.sentences(), self.captions(), self.absent(pool))

    # -- noun phrases ------------------------------------------------------------------------

    def queries_for(self, item: SceneObject) -> list[Query]:
        """Noun phrases that are true of an object, plainest first."""
        nouns = sorted(item.nouns)
        out = [Query(n) for n in nouns]
        plain = [n for n in nouns if " " not in n] or nouns
        if item.color:
            words = [item.color, *[w for w in [SYNONYMS.get(item.color)] if w]]
            out += [Query(n, color=w) for n in plain for w in words]
            if not item.stuff and item.category != "furniture":
                out += [Query(n, color=item.color) for n in GENERIC_NOUNS]
            if item.pattern and item.pattern != "wooden":
                out += [Query(n, color=item.color, pattern=item.pattern) for n in plain]
        if item.pattern and item.pattern != "wooden":
            out += [Query(n, pattern=item.pattern) for n in plain]
        if item.material and not any(item.material in n for n in plain):
            out += [Query(n, material=item.material) for n in plain]
        return [q for q in out if q.noun not in GENERIC_NOUNS or q.color]

    def _ids(self, query: Query) -> list[int] | None:
        return matching(self.objects, query)

    def unique_query(self, item: SceneObject) -> Query | None:
        """A random phrase that is true of this object alone, or None."""
        found = [q for q in self.queries_for(item) if self._ids(q) == [item.id]]
        return found[self.rng.integers(len(found))] if found else None

    def phrases(self) -> list[dict]:
        """Noun phrases, relation phrases and one-object instructions, each with its truth."""
        chosen: dict[str, Query] = {}
        for item in self.spoken:
            queries = self.queries_for(item)
            by_type = {t: [q for q in queries if q.type == t] for t in ("name", "attribute")}
            picks = self._some(by_type["name"], 2) + self._some(by_type["attribute"], 2)
            if item.category in CATEGORY_WORDS and self.rng.random() < 0.35:
                words = CATEGORY_WORDS[item.category]
                picks.append(Query(words[self.rng.integers(len(words))]))
            chosen |= {q.text: q for q in picks}
        out = [p for q in chosen.values() if (p := self._phrase(q))]
        out += self._relation_phrases(limit=8)
        return out + self._instruction_phrases(limit=3)

    def _phrase(self, query: Query) -> dict | None:
        ids = self._ids(query)
        if not ids or not any(self.by_id[i].salient for i in ids):
            return None
        return {
            "text": query.text,
            "instance_ids": ids,
            "type": query.type,
            "matches": self.matcher(query),
        }

    def _some(self, items: list, count: int) -> list:
        order = self.rng.permutation(len(items))[:count]
        return [items[i] for i in order]

    def _instruction_phrases(self, limit: int) -> list[dict]:
        out = []
        for item in self._some([t for t in self.spoken if not t.stuff], limit):
            query = self.unique_query(item)
            if query:
                template = _PICK[self.rng.integers(len(_PICK))]
                out.append(
                    {
                        "text": template.format(a=query.text),
                        "instance_ids": [item.id],
                        "type": "instruction",
                        "matches": self.matcher(query),
                    }
                )
        return out

    # -- relations ---------------------------------------------------------------------------

    def _relation_cases(self) -> list[tuple[Query, str, Query, int, int, int]]:
        """(subject query, relation, object query, subject id, object id, look-alikes)."""
        cases = []
        for s, name, o in sorted(self.relations.clear):
            subject, other = self.by_id.get(s), self.by_id.get(o)
            if not (subject and other and subject.salient and other.salient):
                continue
            anchor = self.unique_query(other)
            if anchor is None:
                continue
            for query in self._some(self.queries_for(subject), 3):
                ids = self._ids(query)
                if not ids or query == anchor:
                    continue
                others = [i for i in ids if i != s]
                if all(self._false(i, name, o) for i in others):
                    cases.append((query, name, anchor, s, o, len(others)))
                    break
        return cases

    def _false(self, s: int, name: str, o: int) -> bool:
        pair = (s, name, o)
        return s != o and pair not in self.relations.clear and pair not in self.relations.unclear

    def _ranked_cases(self, limit: int) -> list:
        """Relation cases in random order, those with look-alikes first, tables last."""
        cases = self._some(self._relation_cases(), 200)
        return sorted(cases, key=lambda c: (c[5] == 0, self.by_id[c[4]].stuff))[:limit]

    def _relation_phrases(self, limit: int) -> list[dict]:
        out = []
        for query, name, anchor, s, _, _ in self._ranked_cases(limit):
            text = f"{query.text} {self._word(name)} the {anchor.text}"
            out.append({"text": text, "instance_ids": [s], "type": "relation", "matches": None})
        return out

    def _word(self, relation: str) -> str:
        words = RELATION_WORDS[relation]
        return words[self.rng.integers(len(words))]

    # -- sentences ---------------------------------------------------------------------------

    def sentences(self) -> list[dict]:
        """Texts with `<…>` entities, several per sentence."""
        out = [
            self._marked(f"the <{q.text}> {self._word(name)} the <{anchor.text}>", [[s], [o]])
            for q, name, anchor, s, o, _ in self._ranked_cases(6)
        ]
        out += [self._instructed(i) for i in self.instructions if self._resolves(i)][:2]
        out += self._moves(3)
        out += self._lists(2)
        return out + self._plural()

    @staticmethod
    def _marked(text: str, entities: list[list[int]]) -> dict:
        return {"text": text, "entities": entities}

    def _resolves(self, instruction: Instruction) -> bool:
        for query in instruction.queries:
            ids = self._ids(query)
            if not ids or len(ids) > 1 or not self.by_id[ids[0]].salient:
                return False
        return True

    def _instructed(self, instruction: Instruction) -> dict:
        ids = [self._ids(q) or [] for q in instruction.queries]
        return self._marked(instruction.marked(), ids)

    def _moves(self, limit: int) -> list[dict]:
        named = [
            (t, q)
            for t in self._some([t for t in self.spoken if not t.stuff], 8)
            if (q := self.unique_query(t))
        ]
        out = []
        for (a, qa), (b, qb) in zip(named[::2], named[1::2], strict=False):
            kind = (
                "in"
                if b.nouns & _RECEIVES
                else "on"
                if {"plate", "tray", "stove"} & b.nouns
                else str(self.rng.choice(["next to", "both"]))
            )
            template = _MOVE[kind][self.rng.integers(len(_MOVE[kind]))]
            text = template.format(a=f"<{qa.text}>", b=f"<{qb.text}>")
            out.append(self._marked(text, [[a.id], [b.id]]))
        return out[:limit]

    def _lists(self, limit: int) -> list[dict]:
        out = []
        for size in (3, 2)[:limit]:
            named = [
                (t, q) for t in self._some(self.spoken, size + 2) if (q := self.unique_query(t))
            ][:size]
            if len(named) == size:
                parts = [f"{'the' if t.stuff else article(q.text)} <{q.text}>" for t, q in named]
                text = f"{', '.join(parts[:-1])} and {parts[-1]}"
                out.append(self._marked(text, [[t.id] for t, _ in named]))
        return out

    def _plural(self) -> list[dict]:
        for item in self._some([t for t in self.spoken if not t.stuff], 8):
            for query in self._some(self.queries_for(item), 4):
                ids = self._ids(query)
                if ids and 2 <= len(ids) <= 4 and all(self.by_id[i].salient for i in ids):
                    count = {2: "two", 3: "three", 4: "four"}[len(ids)]
                    return [self._marked(f"the {count} <{plural(query.text)}>", [ids])]
        return []

    # -- captions ----------------------------------------------------------------------------

    def captions(self) -> list[str]:
        """Three descriptions of the whole scene, from terse to relational."""
        objects = [t for t in self.spoken if not t.stuff]
        ground = next((t for t in self.objects if t.stuff and t.nouns & {"table", "floor"}), None)
        place = f" on {with_article(longest(ground.nouns))}" if ground else ""
        names = [with_article(t.name) for t in self._some(objects, 12)]
        full = [with_article(self._describe(t)) for t in self._some(objects, 5)]
        cases = self._some(self._relation_cases(), 2)
        chosen = [f"the {q.text} is {self._word(r)} the {a.text}" for q, r, a, *_ in cases]
        captions = [f"{joined(names)}{place}", f"{joined(full)}{place}", "; ".join(chosen)]
        return [c for c in captions if c.strip()]

    def _describe(self, item: SceneObject) -> str:
        queries = [q for q in self.queries_for(item) if q.noun not in GENERIC_NOUNS]
        return queries[self.rng.integers(len(queries))].text if queries else item.name

    # -- absent ------------------------------------------------------------------------------

    def absent(self, pool: Sequence[SceneObject], limit: int = 10) -> list[dict]:
        """Plausible phrases that are true of nothing here: look-alikes, others, relations."""
        candidates: list[tuple[Query, str]] = []
        for item in self._some([t for t in self.spoken if not t.stuff], 6):
            plain = [n for n in sorted(item.nouns) if " " not in n]
            swaps = [p for p in pool if p.nouns & item.nouns and p.color != item.color]
            candidates += [
                (Query(n, color=p.color), "attribute")
                for p in self._some(swaps, 2)
                for n in self._some([n for n in plain if n in p.nouns], 1)
                if p.color
            ]
            kin = [p for p in pool if p.category == item.category and not p.nouns & item.nouns]
            candidates += [
                (q, q.type) for p in self._some(kin, 1) for q in self._some(self.queries_for(p), 1)
            ]
        for item in self._some(list(pool), 8):
            candidates += [(q, q.type) for q in self._some(self.queries_for(item), 1)]
        out = {
            q.text: {"text": q.text, "type": kind}
            for q, kind in candidates
            if is_denied(self.objects, q)
        }
        return self._some(list(out.values()), limit - 3) + self._absent_relations(3)

    def _absent_relations(self, limit: int) -> list[dict]:
        """Relations of objects that are here, none of which holds."""
        out: dict[str, dict] = {}
        objects = [t for t in self.spoken if not t.stuff]
        for _ in range(4 * limit if len(objects) > 1 else 0):
            subject, other = self._some(objects, 2)
            name = NAMES[self.rng.integers(len(NAMES))]
            anchor = self.unique_query(other)
            query = self._some(self.queries_for(subject), 1)[0]
            ids = self._ids(query)
            if (
                anchor
                and ids
                and query != anchor
                and all(self._false(i, name, other.id) for i in ids)
            ):
                text = f"{query.text} {self._word(name)} the {anchor.text}"
                out[text] = {"text": text, "type": "relation"}
        return list(out.values())[:limit]
