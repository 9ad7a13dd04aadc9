"""Training, evaluation and the rendered world. Runs from the clone."""

from find_core.support.moved import keep_old_names

# Commands that the model card and older notes name.
_VIDEO = ("evaluate_video", "metrics", "oracle", "real_clips", "render", "scripts", "staging")
OLD_NAMES = {
    "training.video_suite": "training.evaluation.video",
    **{f"training.video_suite.{name}": f"training.evaluation.video.{name}" for name in _VIDEO},
    "training.video_suite.evaluate_video": "training.evaluation.video.evaluate",
    "training.evaluation.pictures": "training.evaluation.sheets",
}
keep_old_names(OLD_NAMES)
