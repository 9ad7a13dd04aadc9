"""What the default model is asked: its texts are encoded at home, see pack.py."""

PROMPTS = (
    "the <white mug> next to the <plate>", "the <mug>", "the <plate>", "the <bowl>",
    "the <red thing>", "the <bottle>", "the <banana>", "the <box>",
)  # fmt: skip
CLASSES = ("mug", "plate", "table", "background")
