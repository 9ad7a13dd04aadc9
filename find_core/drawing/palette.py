"""Colours: Okabe and Ito's, distinguishable with every common colour blindness."""

from __future__ import annotations

# Okabe & Ito (2008) without black, RGB; first the pairs that differ most in lightness.
PALETTE: tuple[tuple[int, int, int], ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (0, 114, 178),  # blue
    (213, 94, 0),  # vermillion
    (204, 121, 167),  # reddish purple
)
DARK, LIGHT = (20, 20, 20), (250, 250, 250)


def entity_color(index: int) -> tuple[int, int, int]:
    """RGB of the entity at `index` of a prompt, the same in every image."""
    return PALETTE[index % len(PALETTE)]
