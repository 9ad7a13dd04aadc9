"""What the field costs and loses."""

from __future__ import annotations

from typing import Any

from benchmarks.page.format import (
    BENCHMARKS,
    ROOT,
    aimed,
    interval,
    measured_with,
    note,
    result,
    share,
    table,
)

LARGE = f"{BENCHMARKS}/field_large.json"


def field() -> str:
    path = f"{BENCHMARKS}/field_accuracy.json"
    accuracy = result(path)
    labels = {
        "lift_oracle_1cm": "perfect embeddings, lifted at 1 cm",
        "lift_oracle_5mm": "perfect embeddings, lifted at 5 mm",
        "ns_train_find_field_lite_oracle": "perfect embeddings, `ns-train find-field-lite`, one scene",
        "lift_find_tabletop_1cm": "**find-tabletop**, lifted at 1 cm",
    }
    rows = []
    for key, label in labels.items():
        a = accuracy[key]["all"]
        rows.append([label, f"{100 * a['top1']:.0f} % of {a['n']}",
                     f"{a['centroid_cm_median']:.2f} cm, 90 % below {a['centroid_cm_p90']:.2f}", share(a["iou_median"])])  # fmt: skip
    return "\n\n".join([
        "## The field",
        "Rendered table tops of 4 to 10 objects; every kind of prompt (a name, a reference, two entities, interleaved). "
        "Perfect embeddings are ground-truth masks and names: they show what the field itself loses.",
        table("what | right object first | centroid when right, median | IoU of its box, median", rows),
        *([field_picking(accuracy)] if "aims" in accuracy else []), *([field_places(accuracy)] if "places" in accuracy else []),
        note(path, accuracy["lift_find_tabletop_1cm"]["fingerprint"], "python benchmarks/field_accuracy.py SCENES --places OTHERS --json OUT"),
        field_costs(), *([field_large()] if (ROOT / LARGE).is_file() else []), field_moves(), field_training(), field_room(),
    ])  # fmt: skip


def field_picking(accuracy: dict[str, Any]) -> str:
    aims, rows = accuracy["aims"], []
    for key, label in (("lift_oracle_1cm", "perfect embeddings, 1 cm"), ("lift_oracle_5mm", "perfect embeddings, 5 mm"),
                       ("lift_find_tabletop_1cm", "**find-tabletop**, 1 cm")):  # fmt: skip
        if "picking" not in accuracy[key]:
            continue
        picking, pieces = accuracy[key]["picking"], accuracy[key]["pieces"]
        cells = []
        for name in ("width_mm", "support_mm"):
            p = picking[name]
            cells += [aimed(p["median"], aims[name], f"{p['median']:.1f} mm", less=True) + f", 90 % below {p['p90']:.0f} ({p['answered']} of {picking['objects']})"]  # fmt: skip
        rows.append([label, *cells, f"{pieces['in_two_or_more']} of {pieces['things_found']}"])
    return "\n\n".join([
        f"What a pick is told: the gripper's opening on the seen surface (aim: {aims['width_mm']:.0f} mm off in the median) and the height that "
        f"the thing stands at (aim: {aims['support_mm']:.0f} mm); and how many things fell into two hits or more.",
        table("what | opening, off by | support, off by | in pieces", rows),
    ])  # fmt: skip


def field_places(accuracy: dict[str, Any]) -> str:
    rows = []
    for kind, found in accuracy["places"].items():
        right, holds = found["right_of_lookalikes"], found["holds_auc"]
        aim = accuracy["aims"]["right_of_lookalikes"]
        rows.append([
            f"{found['scenes']} scenes {kind}", *(interval(right[way], aim=aim) for way in ("scores", "places", "paraphrased")),
            f"{right['places']['n']} (of {right['places']['groups']} {found['resampled']})", interval(holds["places"]["auc"]),
        ])  # fmt: skip
    return "\n\n".join([
        "Right one of two look-alikes by its place, as each of a scene's views sees it, of the field of all views "
        f"(aim: {share(accuracy['aims']['right_of_lookalikes'])} with the judge).",
        table("where | by scores alone | with the judge of places | in words that training never used | questions | relation holds or not, AUC", rows),
    ])  # fmt: skip


def field_large() -> str:
    path, found = LARGE, result(LARGE)
    aims, drive, file, process = (found[k] for k in ("targets", "drive", "file", "process"))
    asked, mapped = drive["asked_while_lifting"], file["mapped"]
    early, late = drive["memory_mb"]
    rows = [
        [f"time over frames: R² of a straight line, {drive['frames']:,} frames, {drive['voxels']:,} voxels of 2 cm", aimed(drive["lift_line_r2"], aims["lift_line_r2"], str(drive["lift_line_r2"])), f"{aims['lift_line_r2']}"],
        ["… the last fifth's frames against the first's", aimed(drive["late_over_early"], aims["late_over_early"], f"{drive['late_over_early']:.2f} times", less=True), f"{aims['late_over_early']} times"],
        [f"memory over voxels: R² of a straight line, {early:.0f} to {late:.0f} MB", aimed(drive["memory_line_r2"], aims["memory_line_r2"], str(drive["memory_line_r2"])), f"{aims['memory_line_r2']}"],
        [f"asked after every frame, {asked['voxels'][0]:,} to {asked['voxels'][1]:,} voxels: p50, p99 of {asked['queries']} queries", aimed(asked["p99_ms"], aims["asked_while_lifting_p99_ms"], f"{asked['p50_ms']:.0f} ms, {asked['p99_ms']:.0f} ms", less=True), f"p99 {aims['asked_while_lifting_p99_ms']:.0f} ms"],
        [f"a query of {file['voxels']:,} voxels", aimed(file["query_ms"]["cpu"], aims["query_ms"], f"{file['query_ms']['cpu']:.0f} ms", less=True), f"{aims['query_ms']:.0f} ms"],
        [f"that file ({file['file_mb']:.0f} MB) mapped: to open, first query", f"{mapped['open_ms']:.1f} ms, {mapped['first_ms']:.0f} ms", ""],
        ["… how much of it is in memory then", aimed(file["mapped_share_in_memory"], aims["mapped_share_in_memory"], share(file["mapped_share_in_memory"]), less=True), share(aims["mapped_share_in_memory"])],
        *([f"a process's first query, {label}", aimed(process[key]["first_query_s"], aims["first_query_s"], f"{process[key]['first_query_s']:.2f} s", less=True) + f"; loading before: {process[key]['import_s']:.1f} s imports, {process[key]['model_s']:.1f} s model, {process[key]['field_s']:.2f} s field", f"{aims['first_query_s']} s"]
          for key, label in (("with_the_model", "`ff.load(path, find)`"), ("without", "`ff.load(path)`"))),
        ["all of `find-field query`, from start to end", f"{process['command']['cpu_s']:.1f} s", ""],
    ]  # fmt: skip
    return "### Large places, and the first query\n\n" + "\n\n".join([
        "A drive through a flat of rooms, with perfect embeddings; a file of copies of a table top; a small field of the packaged model.",
        table("what | measured, CPU time of one thread | aim", rows),
        f"`python benchmarks/field_large.py --json OUT` → [`{path}`](../{path}).",
    ])  # fmt: skip


def field_costs() -> str:
    path = f"{BENCHMARKS}/field.json"
    costs = result(path)
    aims, lifting, line = costs["targets"], costs["lifting"], costs["query_line"]
    lift_ms = lifting["lift_ms_per_frame"]["cpu"]
    per_voxel = lifting["bytes_per_voxel"]
    queries = {q["voxels"]: q["one_entity_ms"]["cpu"] for q in costs["querying"]}
    largest = max(queries)
    rows = [
        [f"lifting a frame beyond encoding ({lifting['frame']})", aimed(lift_ms, aims["lift_ms_per_frame"], f"{lift_ms:.0f} ms CPU", less=True), f"{aims['lift_ms_per_frame']:.0f} ms"],
        ["bytes a voxel: semantic channel + search index", aimed(per_voxel["semantic"] + per_voxel["search index"], aims["semantic_bytes_per_voxel"], f"{per_voxel['semantic']:.0f} + {per_voxel['search index']:.0f}", less=True), f"{aims['semantic_bytes_per_voxel']:.0f}"],
        ["query of one entity, 200,000 voxels", aimed(queries[200000], aims["query_ms_at_200k"], f"{queries[200000]:.0f} ms CPU", less=True), f"{aims['query_ms_at_200k']:.0f} ms"],
        [f"… {largest:,} voxels", f"{queries[largest]:.0f} ms; {line['ms_per_million']:.0f} ms a million + {line['offset_ms']:.0f} ms, R² {line['r2']}", "a straight line"],
        ["frames in another order, same basis: largest difference", aimed(lifting["incremental_difference"], aims["incremental_difference"], f"{lifting['incremental_difference']:.0e}", less=True), f"{aims['incremental_difference']:.0e}"],
    ]  # fmt: skip
    return "### Cost\n\n" + "\n\n".join([
        table("what | measured, one thread | aim", rows),
        f"`python benchmarks/field.py --json OUT` → [`{path}`](../{path}). No model takes part: embeddings are an oracle's.",
    ])  # fmt: skip


def field_moves() -> str:
    path = f"{BENCHMARKS}/field_moves.json"
    figures = result(path)
    toy, room = figures["toy"], figures["room"]

    def views(key: str) -> str:
        return ", ".join("never" if n is None else str(n) for n in toy[key])

    rows = [
        [f"an object is taken: no hit after so many of {toy['views_after']} views, {toy['worlds']} worlds", views("taken_gone_after"), ""],
        ["it is moved: found at its new place after", views("moved_found_after"), ""],
        ["… no longer found at the old one after", views("moved_gone_after"), ""],
        [f"of {toy['static_voxels']:,} voxels that stand still, lost", aimed(toy["static_voxels_lost"], 0, str(toy["static_voxels_lost"]), less=True), "0"],
        [f"real room in which nothing moves, {room['frames']} frames, {room['voxel_size_m'] * 100:.0f} cm: kept of the {room['surface_voxels']:,} voxels that {room['surface_views']} frames saw or more", aimed(room["surface_kept"], 0.99, f"{100 * room['surface_kept']:.1f} %"), "99 %"],
        ["… of all, strays included", f"{100 * room['all_kept']:.1f} %", ""],
        [f"… what it costs a frame, up to {room['voxels']:,} voxels, one thread", aimed(room["forget_ms_per_frame"], 50, f"{room['forget_ms_per_frame']:.0f} ms", less=True), "50 ms"],
    ]  # fmt: skip
    for found in figures.get("rendered", []):
        label = "perfect embeddings" if found["model"] == "oracle" else f"`{found['model']}`"
        text = {key: ", ".join("never" if n is None else str(n) for n in found[key])
                for key in ("taken_gone_after", "moved_found_after", "moved_gone_after")}  # fmt: skip
        rows += [
            [f"rendered scenes, {label}: taken, no hit after so many of {found['views_after']} views", text["taken_gone_after"], ""],
            ["… moved: found at its new place after; no longer at the old one after", f"{text['moved_found_after']}; {text['moved_gone_after']}", ""],
            [f"… of {found['static_voxels']:,} voxels that stand still, lost", aimed(found["static_voxels_lost"], 0, str(found["static_voxels_lost"]), less=True), "0"],
        ]  # fmt: skip
    rendered = next((f for f in figures.get("rendered", []) if f["fingerprint"]), None)
    return "### Things move\n\n" + "\n\n".join([
        "Exact worlds with perfect embeddings. What is left of an object where it stood, low over the table, takes the most views.",
        table("what | measured | aim", rows),
        f"`python -m find_field.evaluation.moves --json OUT --room ROOM --rendered SCENES` → [`{path}`](../{path}). "
        f"Model: {measured_with(rendered and rendered['fingerprint'])}.",
    ])  # fmt: skip


def field_training() -> str:
    path = f"{BENCHMARKS}/field_training.json"
    t = result(path)
    aims, views, late = t["targets"], t["views"], t["with_feature_loss_centred"]
    low, high = (100 * v for v in t["overhead"]["cpu_95"])
    cosine = late["with"]["feature_cosine_centred"]
    rows = [
        ["longer than the same nerfacto, CPU", aimed(t["overhead"]["cpu"], aims["overhead"], f"{100 * t['overhead']['cpu']:.0f} % [{low:.0f}, {high:.0f}]", less=True), f"{100 * aims['overhead']:.0f} %"],
        [f"PSNR of {views['test_views']} held-out views", aimed(views["psnr_loss_db"], aims["psnr_loss_db"], f"{views['with']['psnr']:.2f} dB, {views['without']['psnr']:.2f} without the head", less=True), f"{aims['psnr_loss_db']} dB less"],
        ["centred cosine of rendered and 2D features, held-out views", aimed(cosine, aims["feature_cosine_centred"], share(cosine)), share(aims["feature_cosine_centred"])],
        ["… training views", share(late["with_on_training_views"]["feature_cosine_centred"]), ""],
    ]  # fmt: skip
    return "\n\n".join([
        f"### nerfstudio: `{t['method']}`, capture `{t['capture']}`, {t['iterations']} iterations",
        table("what | measured | aim", rows),
        "Time and PSNR were measured with the loss before its angles were measured from the mean "
            "(`feature_loss_centred`), cosines with the present one.",
            note(path, t["fingerprint"], "python benchmarks/field_training.py CAPTURE --json OUT"),
    ])  # fmt: skip


def field_room() -> str:
    path = f"{BENCHMARKS}/field_room.json"
    room = result(path)
    rows = []
    for prompt, a in room["agreement"].items():
        hits = ", ".join(share(h["score"]) for h in room["first_hits"][prompt])
        rows.append([prompt.replace("<", "\\<").replace(">", "\\>"), share(a["mean_iou"]), share(a["mean_auc"]), hits])  # fmt: skip
    return "\n\n".join([
        f"### A real room, {room['frames']} frames, {room['voxels']:,} voxels",
        f"Seen from {room['held_out']} other views, against the 2D model. Agreement says that the field repeats the "
        "model, its mistakes too: a score says nothing of whether the hit is right.",
        table("prompt | mean IoU of relevancy ≥ ½ | AUC | scores of the first hits", rows),
        note(path, room["fingerprint"], "python benchmarks/field_room.py ROOM --out DIR"),
    ])  # fmt: skip
