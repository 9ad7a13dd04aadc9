"""Images of answers: overlays, contact sheets, timelines."""

from find_core.drawing.contact_sheet import contact_sheet, resize_to_width
from find_core.drawing.overlay import draw_localization, label_of
from find_core.drawing.palette import PALETTE, entity_color
from find_core.drawing.text import draw_label
from find_core.drawing.timeline_plot import TimelineCurve, timeline_png
from find_core.images import write_image

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
