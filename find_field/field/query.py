"""From a prompt to places: relevancy per voxel, connected components, scored hits.

Dimension letters: N voxels, k coefficients, E entities, M negatives.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from find_core.errors import FieldError
from find_core.prompts.prompt import Prompt
from find_core.protocols import CompiledLike, FindLike
from find_core.support.numbers import check_number, check_threshold
from find_field.field.clusters import Likeness, grown, mean_vector, things
from find_field.field.data import SEMANTIC, FieldData
from find_field.field.hits import FieldEntity, FieldHit, FieldHits
from find_field.field.places import LEAST_SHARE, by_place, check_viewer
from find_field.geometry.boxes import oriented_box

MEANS_MUCH_THE_SAME = 0.6
"""Cosine of two words' embeddings from which on neither excludes the other of a large hit."""


@dataclass(frozen=True)
class QueryConfig:
    """How strict a query is."""

    threshold: float | None = None
    """Relevancy from which a voxel belongs to a hit, and score from which a hit is one, in [0, 1].
    None: the model's own (`find.config.threshold`), as in `find_core`."""
    negatives: tuple[str, ...] = ()
    """Words that what is meant must beat, besides the other entities of the prompt."""
    refine_cosine: float = 0.85
    """A hit is grown over touching voxels this similar to its own mean: words find the seed, what
    was seen finds the outline. 1 or more switches this off."""
    refine_relevancy: float = 0.35
    """...and at least this relevant."""
    min_points: int = 12
    """Smaller clusters are not reported."""
    seen_since_ns: int | None = None
    """Hits that were not confirmed at this stamp or later are left out."""
    max_hits: int = 10
    """Per entity, best first."""
    link_voxels: int = 2
    """Voxels up to this far apart are one object: sparse views leave holes."""
    temperature: float | None = None
    bias: float | None = None
    """Relevancy = sigmoid(temperature * (cosine - max(bias, negatives' cosines))). None: the model's
    own calibration (`find.config.relevance_scale` and `relevance_bias`)."""
    viewer: Any = None
    """(4, 4) T_world_camera of who says "left of" or "behind". None: words that need a viewer decide
    nothing; "next to", "on", "in" and "between" do."""
    large_m: float = 1.0
    """A hit longer than this is furniture or a part of the room, whatever it is called: what is asked for in
    words must beat `large_words` there, too, but those that mean much the same."""
    large_words: tuple[str, ...] = ("wall", "floor", "ceiling", "table", "counter", "cabinet", "door", "window")  # fmt: skip
    """() lets every size pass."""
    places: bool = True
    """Let the model's judge of places, if it has one, decide between hits of one entity."""

    def __post_init__(self) -> None:
        """Refuse numbers that no query can mean.

        Raises:
            FieldError: names the option.
        """
        check_threshold(self.threshold, FieldError)
        for name, low, high in (
            ("refine_cosine", -1, 1e6), ("refine_relevancy", 0, 1), ("min_points", 0, 1e9),
            ("max_hits", 1, 1e9), ("link_voxels", 0, 1000),
        ):  # fmt: skip
            check_number(getattr(self, name), name, FieldError, low, high)
        check_number(self.large_m, "large_m", FieldError, 0, 1e6)
        if self.temperature is not None:
            check_number(self.temperature, "temperature", FieldError, 0, 1e6)
        if self.bias is not None:
            check_number(self.bias, "bias", FieldError, -1e3, 1e3)
        check_viewer(self.viewer)


def configured(config: QueryConfig | None, overrides: dict[str, Any]) -> QueryConfig:
    """`config` (the defaults when None) with some of its fields changed.

    Raises:
        FieldError: an override that is no option.
    """
    try:
        return replace(config or QueryConfig(), **overrides)
    except TypeError as error:
        raise FieldError(f"Unknown query option: {error}; see find_field.QueryConfig.") from None


class EntityScorer:
    """Cosines of voxels with each entity of a prompt, against what it must beat.

    Attributes:
        labels: of the prompt's E entities. words: what it says of places. config: as asked for.
        likeness: tells one thing from several.
        threshold, temperature, bias: the config's, or the model's own where it says nothing.
    """

    def __init__(self, field: FieldData, prompt: Prompt | str | CompiledLike, find: FindLike,
                 config: QueryConfig) -> None:  # fmt: skip
        field.check_model(find)
        compiled = find.compile(prompt) if isinstance(prompt, Prompt | str) else prompt
        self.labels = [entity.label for entity in compiled.prompt.entities]
        self.words = getattr(compiled, "places", None) if config.places else None
        self.config = config
        self.likeness = Likeness(field)
        own = find.config
        self.threshold = own.threshold if config.threshold is None else config.threshold
        self.temperature = config.temperature or own.relevance_scale
        self.bias = own.relevance_bias if config.bias is None else config.bias
        basis = field.channels[SEMANTIC].basis
        self._entities_Ek = compiled.entity_embeddings @ basis
        words = [find.compile(word).entity_embeddings[0] for word in config.negatives]
        self._words_Mk = np.stack(words) @ basis if words else np.zeros((0, basis.shape[1]))
        self._find, self._basis, self._compiled = find, basis, compiled
        # Two entities that mean the same (two mugs) do not exclude each other.
        likeness = compiled.entity_embeddings @ compiled.entity_embeddings.T
        self._rival_EE = (likeness < 0.9) & ~np.eye(len(likeness), dtype=bool)

    @property
    def queries(self) -> np.ndarray:
        """(E + M, k): what cosines are needed of."""
        return np.concatenate([self._entities_Ek, self._words_Mk]).astype(np.float32)

    def margin(self, cosines: np.ndarray, entity: int) -> np.ndarray:
        """(n,) float32: how far one entity's cosines (E + M, n) are above what they must beat."""
        bar: np.ndarray | np.float32 = np.float32(self.bias)
        rivals = [*np.flatnonzero(self._rival_EE[entity])]
        rivals += range(len(self._rival_EE), len(cosines))
        for rival in rivals:
            bar = np.maximum(bar, cosines[rival])
        return cosines[entity] - bar

    def large_margin(self, vector_k: np.ndarray, entity: int) -> float:
        """As `margin`, of one unit vector (k,) of a large thing: what it must beat are large things' words too."""
        own = self._compiled.entity_embeddings[entity]
        bar = self.bias
        is_visual = self._compiled.prompt.entities[entity].is_visual
        words = () if is_visual else self.config.large_words
        for word in words:
            other = self._find.compile(Prompt.parse(f"the <{word}>")).entity_embeddings[0]
            if own @ other < MEANS_MUCH_THE_SAME:
                bar = max(bar, float(vector_k @ (other @ self._basis)))
        return float(vector_k @ (own @ self._basis)) - bar

    def relevancy(self, margin: np.ndarray) -> np.ndarray:
        """In [0, 1], float32, of margins."""
        scaled = np.float32(self.temperature) * np.asarray(margin, np.float32)
        return 1 / (1 + np.exp(-np.clip(scaled, -50, 50)))

    def least_margin(self, relevancy: float) -> float:
        """The margin from which the relevancy is at least this."""
        share = min(max(relevancy, 1e-9), 1 - 1e-9)
        return float(np.log(share / (1 - share)) / self.temperature)


def relevancy(field: FieldData, prompt: Prompt | str | CompiledLike, find: FindLike,
              config: QueryConfig | None = None, **overrides: Any) -> np.ndarray:  # fmt: skip
    """(E, N) float32 in [0, 1]: each voxel's relevancy for each entity of the prompt.

    Raises:
        FieldError: `find` has another embedding space than the field.
    """
    scorer = EntityScorer(field, prompt, find, configured(config, overrides))
    cosines = field.search_index.cosines(scorer.queries)
    margins = [scorer.margin(cosines, e) for e in range(len(scorer.labels))]
    return scorer.relevancy(np.stack(margins))


def query(field: FieldData, prompt: Prompt | str | CompiledLike, find: FindLike,
          config: QueryConfig | None = None, **overrides: Any) -> FieldHits:  # fmt: skip
    """Where the objects that the prompt speaks of are, best first.

    Args:
        prompt: `Prompt`, its text, or a compiled prompt. find: the model the field was made with.
        config: `QueryConfig`; or its fields as keyword arguments.

    Returns:
        `FieldHits`; empty when nothing passes, with `best_score` saying how near it came.

    Raises:
        FieldError: `find` has another embedding space than the field. PromptError: as `compile`.
    """
    scorer = EntityScorer(field, prompt, find, configured(config, overrides))
    cosines = field.search_index.cosines(scorer.queries)
    margins = [scorer.margin(cosines, e) for e in range(len(scorer.labels))]
    entities = [_entity_hits(field, scorer, margin, e) for e, margin in enumerate(margins)]
    if scorer.words is None or field.up_world is None or not all(e.hits for e in entities):
        return FieldHits(entities, field.frame)
    others = [_less_likely(field, scorer, m, e) for m, e in zip(margins, entities, strict=True)]
    viewer = check_viewer(scorer.config.viewer)
    entities, place_score = by_place(entities, others, scorer.words, field.up_world, viewer)
    return FieldHits(entities, field.frame, place_score)


def _entity_hits(field: FieldData, scorer: EntityScorer, margin: np.ndarray,
                 entity: int) -> FieldEntity:  # fmt: skip
    taken = np.zeros(len(field), bool)
    hits = _hits_above(field, scorer, margin, entity, scorer.threshold, taken)
    best = hits[0].score if hits else _near_miss(field, scorer, margin, entity)
    return FieldEntity(scorer.labels[entity], entity, float(best), tuple(hits))


def _less_likely(field: FieldData, scorer: EntityScorer, margin: np.ndarray,
                 entity: FieldEntity) -> list[FieldHit]:  # fmt: skip
    """What is no hit of an entity by its score, but may be the one by its place."""
    taken = np.zeros(len(field), bool)
    for hit in entity.hits:
        taken[hit.voxel_rows] = True
    least = min(LEAST_SHARE * entity.hits[0].score, scorer.threshold)
    return _hits_above(field, scorer, margin, entity.entity_index, least, taken)


def _hits_above(field: FieldData, scorer: EntityScorer, margin: np.ndarray, entity: int,
                threshold: float, taken: np.ndarray) -> list[FieldHit]:  # fmt: skip
    """Hits from a score on, among voxels that are not `taken` (N,), which grows with them."""
    config = scorer.config
    # Compared as margins: a sigmoid over all voxels costs more than their cosines.
    seeds = np.flatnonzero((margin >= scorer.least_margin(threshold)) & ~taken)
    parts = things(field, seeds, margin, config, scorer.likeness)
    scored = sorted(((_score(field, scorer, rows, entity, None if one else margin), rows) for rows, one in parts),
                    key=lambda item: -item[0])  # fmt: skip
    hits: list[FieldHit] = []
    free = margin >= scorer.least_margin(min(config.refine_relevancy, threshold))
    free &= ~taken
    for score, rows in scored:
        if score < threshold or len(hits) == config.max_hits or taken[rows].any():
            continue
        rows = grown(field, rows, free, config, scorer.likeness)
        taken[rows] = True
        free[rows] = False
        how_relevant = scorer.relevancy(margin[rows])
        hit = _hit(field, scorer.labels[entity], entity, score, rows, how_relevant)
        if hit.extent_m.max() > config.large_m:
            of_large = scorer.relevancy(
                np.asarray(scorer.large_margin(mean_vector(field, rows), entity))
            )
            hit = replace(hit, score=min(score, float(of_large)))
        if hit.score >= threshold and _confirmed(hit, config.seen_since_ns):
            hits.append(hit)
    return sorted(hits, key=lambda hit: -hit.score)


def _score(field: FieldData, scorer: EntityScorer, rows: np.ndarray, entity: int,
           margin: np.ndarray | None = None) -> float:  # fmt: skip
    """Relevancy of a cluster's mean embedding: one stray voxel cannot make a hit.

    Args:
        margin: (N,) where the cluster is no one thing: its middle voxel's relevancy then bounds that of
            the mean, which comes near to what none of them shows.
    """
    cosines = scorer.queries @ mean_vector(field, rows)
    of_mean = scorer.margin(cosines[:, None], entity)[0]
    least = of_mean if margin is None else min(of_mean, np.median(margin[rows]))
    return float(scorer.relevancy(least))


def _near_miss(field: FieldData, scorer: EntityScorer, margin: np.ndarray,
               entity: int) -> float:  # fmt: skip
    """Score of the `min_points` most relevant voxels, kept below the threshold: it is no hit."""
    few = min(scorer.config.min_points, len(margin))
    if not few:
        return 0.0
    rows = np.argpartition(margin, -few)[-few:]
    return min(_score(field, scorer, rows, entity), float(np.nextafter(scorer.threshold, 0)))


def _confirmed(hit: FieldHit, since_ns: int | None) -> bool:
    """A hit of which nothing is known is not confirmed."""
    if since_ns is None:
        return True
    return hit.last_seen_ns is not None and hit.last_seen_ns >= since_ns


def _upper_quarter(values: np.ndarray | None, rows: np.ndarray) -> int | None:
    """The value that a quarter of the rows reach, or None where nothing is known."""
    if values is None:
        return None
    at = len(rows) - 1 - (len(rows) - 1) // 4
    value = int(np.partition(values[rows], at)[at])
    return None if value < 0 else value


def _hit(field: FieldData, label: str, entity: int, score: float, rows: np.ndarray,
         relevancy_of_rows: np.ndarray) -> FieldHit:  # fmt: skip
    points = field.points_world_m[rows]
    T_world_object, extent_m = oriented_box(points, field.up_world)
    embedding = field.channels[SEMANTIC].basis @ mean_vector(field, rows)
    return FieldHit(
        label=label,
        entity_index=entity,
        score=score,
        points_world_m=points,
        relevancy=relevancy_of_rows,
        centroid_world_m=points.mean(axis=0, dtype=np.float64),
        T_world_object=T_world_object,
        extent_m=extent_m,
        embedding=(embedding / max(float(np.linalg.norm(embedding)), 1e-12)).astype(np.float32),
        voxel_rows=rows,
        times_seen=_upper_quarter(field.times_seen, rows),
        last_seen_ns=_upper_quarter(field.last_seen_ns, rows),
    )
