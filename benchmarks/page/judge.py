"""Which of two look-alikes a place means: with and without the learned judge."""

from __future__ import annotations

from benchmarks.page.format import BENCHMARKS, TRAINING, interval, result, table

SUITE = f"{TRAINING}/find_tabletop.json"
SMALL = f"{BENCHMARKS}/places.json"


def judge() -> str:
    found = result(SUITE)["figures"]["known"]["places"]
    right, holds = found["right_of_lookalikes"], found["holds_auc"]
    rows = [
        ["right one of two look-alikes", interval(right["scores"]), interval(right["places"])],
        ["the same in words that training never used", "", interval(right["paraphrased"])],
        ["relation holds or not, AUC", interval(_auc(holds["scores"])), interval(_auc(holds["places"]))],
    ]  # fmt: skip
    return "\n\n".join([
        "### Places",
        f"Sentences of several things on the known scenes ({right['places']['n']} questions about look-alikes).",
        table("question | by scores alone | with the judge of places", rows),
        f"`python -m training.evaluate --suite tabletop` → [`{SUITE}`](../{SUITE}). Smaller samples with the weights before (true geometry, "
        f"scenes of another kind, one view of a field): `python -m benchmarks.places --scenes DATA --out OUT` → [`{SMALL}`](../{SMALL}).",
    ])  # fmt: skip


def _auc(figure: dict) -> dict:
    return figure["auc"]
