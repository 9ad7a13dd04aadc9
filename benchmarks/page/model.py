"""What the shipped model answers, and how quickly: scenes, photographs, video, speed, teaching."""

from __future__ import annotations

from typing import Any

from benchmarks.page.format import (
    BENCHMARKS,
    TRAINING,
    aimed,
    interval,
    note,
    result,
    share,
    shipped,
    suite,
    table,
)
from find_core.embedding_space import same_space

# The aims that the project set itself: known kinds, held-out kinds.
QUESTIONS = {
    "text_name": ("name", 0.84, 0.50),
    "text_attribute": ('attribute ("the red can")', 0.84, 0.50),
    "reference": ("reference in another image", 0.83, 0.60),
    "sentence": ("interleaved sentence, 2 or more entities", 0.80, 0.50),
    "click": ("one click", 0.80, 0.70),
    "text_instruction": ("instruction", None, None),
    "text_relation": ("relation phrase", None, None),
}
P50_AIMS = {"text_name": 0.95, "text_attribute": 0.95, "reference": 0.95, "sentence": 0.92}


def questions(figures: dict[str, Any], names: list[str]) -> str:
    known, held = figures["known"], figures["held_out"]
    rows = []
    for name in names:
        label, aim, held_aim = QUESTIONS[name]
        rows.append([
            label, interval(known[name]["miou"], 3, aim), share(known[name]["oracle_miou"]["value"], 3),
            share(aim) if aim else "", share(known[name]["p50"]["value"]),
            share(P50_AIMS[name]) if name in P50_AIMS else "",
            interval(held[name]["miou"], 2, held_aim), share(held_aim) if held_aim else "",
        ])  # fmt: skip
    return table("asked by | known kinds, mIoU | best proposal | aim | P@0.5 | aim | held-out kinds, mIoU | aim", rows)  # fmt: skip


def others(figures: dict[str, Any]) -> str:
    known, held = figures["known"], figures["held_out"]
    auc, relations = (f"presence_of_{what}" for what in ("things", "relations"))
    retrieval = known["retrieval"]
    return table("question | known kinds | aim | held-out kinds | aim", [
        ["present or absent, AUC of relevance", interval(known[auc]["auc"], 3, 0.97), ".97",
         interval(held[auc]["auc"], 2, 0.85), ".85"],
        ["at threshold 0.5: present objects found", share(known[auc]["found_at_0.5"]), "",
         share(held[auc]["found_at_0.5"]), ""],
        ["at threshold 0.5: absent objects reported", share(known[auc]["false_alarms_at_0.5"]), "",
         share(held[auc]["false_alarms_at_0.5"]), ""],
        ["relation holds or not, AUC", interval(known[relations]["auc"]), "",
         interval(held[relations]["auc"]), ""],
        ["relation phrase, right one of two look-alikes (chance .50)",
         interval(known["relation_right_instance"], 2, 0.80), ".80", "", ""],
        [f"caption with its objects marked, R@1 of {retrieval['scenes']} scenes",
         interval(retrieval["marked_caption_r1"], 2, 0.90), ".90", "", ""],
        ["caption by the vector of the whole image, R@1", interval(retrieval["caption_r1"]), "", "", ""],
    ])  # fmt: skip


def rendered() -> str:
    parts = ["## find-tabletop on rendered scenes"]
    parts.append(
        "Unseen scenes. Held-out kinds were neither shown nor named in training. mIoU [95 % interval]; intervals "
        "resample scenes for known kinds and kinds for held-out ones. \"Best proposal\" is the mIoU of the best of "
        "the object proposals, a bound for any choice among them. Bold: the aim is met. The paper's figures are for "
        "another model and another task, and do not compare."
    )  # fmt: skip
    for name, options in (("find_tabletop", ""), ("find_tabletop_480", " --input-px 480")):
        path, figures, fingerprint = suite(name)
        short, long = result(path)["input_px"]
        parts += [
            f"### Short side {short} px, long side at most {long} px",
            questions(figures, list(QUESTIONS)), others(figures),
            note(path, fingerprint, f"python -m training.evaluate --suite tabletop{options}"),
        ]  # fmt: skip
    parts.append(
        f'![Precision and recall of "is it there at all", and what each threshold finds and reports wrongly]'
        f"(../{TRAINING}/find_tabletop_thresholds.png)"
    )
    return "\n\n".join(parts)


def real() -> str:
    path, figures, fingerprint = suite("find_tabletop_real")
    coco, captions = figures["coco_val"], figures["flickr_captions"]
    probe = coco["linear_probe"]
    rows = [
        ["COCO val, semantic mIoU", share(coco["semantic_miou"], 3),
         f"{share(probe['semantic_miou'], 3)}: a linear probe of its own frozen features"],
        ["COCO val, pixel accuracy", share(coco["pixel_accuracy"]), f"{share(probe['pixel_accuracy'])}: the same probe"],
        ["COCO val, one click, mIoU (aim .45)", interval(coco["one_click_miou"], 2, 0.45), ""],
        ["COCO val, reference of the same class, mIoU", interval(coco["reference_same_class_miou"]), ""],
        [f"Flickr captions, R@1 of {captions['pictures']}", interval(captions["caption_to_image"]["r1"], 3),
         f"{share(captions['ridge_floor']['r1']['value'])}: ridge regression on {captions['ridge_floor']['fitted_on']} pairs; "
         f"chance {share(captions['chance_r1'], 3)}"],
    ]  # fmt: skip
    about = "Its model card lists the photographs that it has seen."
    if clean := figures.get("coco_val_unseen"):
        about += (
            " **It was trained on 40 of the 50 images of COCO val**, which stand in the photographs too; "
            f"so the rows of the other {clean['images']} count."
        )
        rows[2:2] = [
            [
                f"the {clean['images']} images that it has not seen, semantic mIoU",
                share(clean["semantic_miou"], 3),
                "",
            ],
            ["the same, pixel accuracy", share(clean["pixel_accuracy"]), ""],
            ["the same, one click, mIoU", interval(clean["one_click_miou"]), ""],
        ]
    command = "python -m training.evaluate --suite real"
    return "\n\n".join([
        "## find-tabletop on photographs", about,
        table("what | find-tabletop | beside it", rows), note(path, fingerprint, command),
    ])  # fmt: skip


def photos() -> str:
    """Held-out photographs, in all and by set."""
    path, figures, fingerprint = suite("photos")
    limit = result(path)["limit"]
    rows = []
    for name, values in [("all", figures["all"]), *figures["by_set"].items()]:
        cells = [name.replace("_", " "), str(values["images"])]
        for question, key in (("names", "miou"), ("names", "p50"), ("names", "oracle_miou"),
                              ("references", "miou"), ("clicks", "miou")):  # fmt: skip
            cells.append(interval(values[question][key]) if question in values else "")
        presence = values.get("presence")
        known = presence and presence["auc"]["value"] is not None
        cells.append(interval(presence["auc"]) if known else "")
        rates = ("found_at_0.5", "false_alarms_at_0.5")
        cells.append(" / ".join(share(presence[r]) for r in rates) if known else "")
        if name != "all" and "name_boxes" in values:
            cells[2] = f"{interval(values['name_boxes']['miou'])} (boxes)"
            cells[3] = share(values["name_boxes"]["p50"]["value"])
        if name != "all" and "image_label_found_at_0.5" in values:
            cells[-1] = f"{share(values['image_label_found_at_0.5']['value'])} / not known"
        rows.append(cells)
    options = f" --photos DATA{f' --limit {limit}' if limit else ''}"
    return "\n\n".join([
        "### Asked as users ask, by set",
        "The held-out tenth of each set that may train and whole sets that never do, "
        f"{f'at most {limit} images of each' if limit else 'all images'}; intervals resample images. A question needs "
        "exactly one object of its class, of at least 1 % of the image. References are boxes in another image of the "
        "same class; frames of one video are of one scene. Present or absent: only where labels are exhaustive.",
        table("set | images | by name, mIoU | P@0.5 | best proposal, mIoU | by reference, mIoU | one click, mIoU | "
              "present or absent, AUC | found / wrongly reported at 0.5", rows),
        note(path, fingerprint, f"python -m training.evaluate --suite photos{options}"),
    ])  # fmt: skip


def video() -> str:
    path, figures, fingerprint = suite("video")
    aims = {"r1_offline": 0.90, "tiou_offline": 0.75, "mask_iou": None, "idf1": 0.85}
    labels = {"r1_offline": "best moment right (aim .90)", "tiou_offline": "temporal IoU (aim .75)",
              "mask_iou": "mask IoU while visible", "idf1": "IDF1 (aim .85)"}  # fmt: skip
    rows = [[f"{side}: {labels[k]}", interval(values[k], 2, aim)] for side, values in figures.items() for k, aim in aims.items()]  # fmt: skip
    rows += [[f"{side}: false alarms a minute (aim 0.5), {v['clips_without_target']} clips without the target",
              aimed(v["false_alarms_per_minute_offline"], 0.5, f"{v['false_alarms_per_minute_offline']:g}", less=True)]
             for side, v in figures.items()]  # fmt: skip
    cost_path = f"{BENCHMARKS}/video.json"
    cost = result(cost_path)
    search = cost["search_find_tabletop"]
    costs = [
        ["following, share of a frame's time", f"{100 * cost['overhead']['overhead_share']:.1f} %"],
        [f"memory growth over {cost['memory']['frames']:,} frames", f"{cost['memory']['memory_growth_mb']:.1f} MB"],
        [f"best moments of {search['minutes']:.0f} minutes, share of looking at every frame",
         f"{100 * search['search_share']:.0f} %"],
    ]  # fmt: skip
    clips, without = (
        sum(v[k] for v in figures.values()) for k in ("clips", "clips_without_target")
    )
    return "\n\n".join([
        "## Video", f"{clips} rendered clips with the target and {without} without, localized offline.", table("what | measured", rows),
        note(path, fingerprint, "python -m training.evaluate --suite video"),
        table("cost | measured", costs),
        note(cost_path, result(cost_path).get("fingerprint"), "python benchmarks/video.py --json OUT"),
    ])  # fmt: skip


def speed_rows() -> list[list[str]]:
    core, album = result(f"{BENCHMARKS}/core.json"), result(f"{BENCHMARKS}/album.json")
    scene = core["encoded_scene"]
    return [
        ["a frame, encoded and asked", f"{scene['slow_ms']:.0f} ms"],
        ["a further prompt on an encoded frame", f"{scene['fast_ms']:.0f} ms"],
        ["eight prompts in one batch (one by one)", f"{core['eight_prompts']['fast_ms']:.0f} ms ({core['eight_prompts']['slow_ms']:.0f} ms)"],
        ["object-level match, `fast=True` (a whole pass)", f"{core['object_match']['fast_ms']:.1f} ms ({core['object_match']['slow_ms']:.0f} ms)"],
        [f"searching an album of {album['pictures']:,} images", f"{album['search_all_ms']:.0f} ms, beside {album['look_at_one_ms']:.0f} ms for looking at one"],
    ]  # fmt: skip


def learning() -> str:
    teach, heart = f"{BENCHMARKS}/teaching.json", f"{BENCHMARKS}/overfit.json"
    t, o = result(teach), result(heart)
    before, after = t["before"], t["after"]
    rows = [
        ["taught objects, mIoU", interval(before["taught"]["miou"]), interval(after["taught"]["miou"])],
        ["known objects, mIoU", interval(before["known"]["miou"], 3), interval(after["known"]["miou"], 3)],
        ["known objects, AUC of presence", interval(before["known"]["presence"]["auc"], 3), interval(after["known"]["presence"]["auc"], 3)],
    ]  # fmt: skip
    learnt = [[task, share(v)] for task, v in o["miou"].items()] + [
        ["captions, R@1", share(o["caption_r1"])]
    ]
    return "\n\n".join([
        "## Teaching and learning",
        f"`training.teach`: {len(t['kinds'])} new objects ({', '.join(t['kinds'])}) in {t['pictures']} images, "
        f"{t['seconds'] / 60:.0f} minutes of one core.",
        table("what | before | after", rows), note(teach, t["model"], "python benchmarks/teaching.py --json OUT"),
        f"Eight images learnt by heart in {o['steps']} steps, mIoU by task. The model is trained by the benchmark.",
        table("task | mIoU", learnt), f"`python benchmarks/overfit.py --json OUT` → [`{heart}`](../{heart}).",
    ])  # fmt: skip


def headline() -> str:
    """README's few figures."""
    _, figures, fingerprint = suite("find_tabletop")
    known, held = figures["known"], figures["held_out"]
    auc = "presence_of_things"
    rows = [
        [QUESTIONS[n][0], interval(known[n]["miou"]), interval(held[n]["miou"])]
        for n in ("text_name", "reference", "sentence", "click")
    ]
    rows.append(["present or absent, AUC", interval(known[auc]["auc"]), interval(held[auc]["auc"])])
    wrong = "" if same_space(fingerprint, shipped()[0]) else " These figures are another model's."
    frame, further = speed_rows()[0][1], speed_rows()[1][1]
    return (
        f"{table('mIoU [95 %], unseen rendered scenes | kinds it has seen | kinds it has not', rows)}\n\n"
        f"{shipped()[1] / 1e6:.1f} M trained parameters. A frame takes {frame} on one CPU core, a further prompt "
        f"on it {further}.{wrong}"
    )
