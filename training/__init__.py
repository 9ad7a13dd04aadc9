"""Training, evaluation and the rendered world. Runs from the clone."""

from find_core.support.moved import keep_old_names

# {room: "names"}: modules that stood beside it, or beside its parent, and kept their own names.
_KEPT = {
    "training.engine": "checkpoints curves optim samples validate",
    "training.losses": "distributed instance_contrast matcher phrases points",
    "training.step": "refine targets",
    "training.data.formats": "coco records references tabletop user",
    "training.data.queries": "strokes",
    "training.evaluation.video": "metrics oracle real_clips render scripts staging",
    "training.tabletop.assets": "colors gallery kinds meshes models palette shapes textures",
    "training.tabletop.language": "grammar instructions sentences",
    "training.tabletop.scene": "cameras layout placement relations sensor surroundings world",
}
_STOOD = {"training.evaluation.video": "training.video_suite"}
OLD_NAMES = {
    **{
        f"{_STOOD.get(room, room.rsplit('.', 1)[0])}.{name}": f"{room}.{name}"
        for room, names in _KEPT.items()
        for name in names.split()
    },
    "training.bank": "training.step.class_bank",
    "training.criterion": "training.losses.mask_criterion",
    "training.data.asks": "training.data.queries.sampling",
    "training.data.facts": "training.data.queries.label_knowledge",
    "training.data.mixing": "training.data.cutmix",
    "training.data.questions": "training.data.queries.config",
    "training.data.texts": "training.data.text_cache",
    "training.data.wording": "training.data.queries.paraphrase",
    "training.engine.distributed": "training.losses.distributed",
    "training.evaluation.pictures": "training.evaluation.sheets",
    "training.groups": "training.step.inputs",
    "training.presence": "training.losses.relevance",
    "training.tabletop.facts": "training.tabletop.language.truth",
    "training.tabletop.making": "training.tabletop.assets.procedural_mesh",
    "training.tabletop.sources": "training.tabletop.assets.packages",
    "training.tabletop.telling": "training.tabletop.language.scene_text",
    "training.video_suite": "training.evaluation.video",
    "training.video_suite.evaluate_video": "training.evaluation.video.evaluate",
}
keep_old_names(OLD_NAMES)
