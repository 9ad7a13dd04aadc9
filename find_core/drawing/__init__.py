"""Pictures of answers: overlays, contact sheets, timelines."""

from find_core.drawing.overlay import (
    PALETTE,
    TimelineCurve,
    contact_sheet,
    draw_label,
    draw_localization,
    entity_color,
    label_of,
    resize_to_width,
    timeline_png,
    write_image,
)

__all__ = [
    "PALETTE",
    "TimelineCurve",
    "contact_sheet",
    "draw_label",
    "draw_localization",
    "entity_color",
    "label_of",
    "resize_to_width",
    "timeline_png",
    "write_image",
]
