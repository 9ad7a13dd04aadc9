"""What the field and the nodes cost and lose."""

from __future__ import annotations

from benchmarks.page.format import (
    BENCHMARKS,
    ROOT,
    aimed,
    measured_with,
    note,
    result,
    share,
    table,
)


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
        note(path, accuracy["lift_find_tabletop_1cm"]["fingerprint"], "python -m find_field.evaluate SCENES"),
        field_costs(), field_moves(), field_training(), field_room(),
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
    return "### Things move\n\n" + "\n\n".join([
        "Exact worlds with perfect embeddings. What is left of an object where it stood, low over the table, takes the most views.",
        table("what | measured | aim", rows),
        f"`python -m find_field.evaluation.moves --json OUT --room ROOM` → [`{path}`](../{path}).",
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


def latency() -> str:
    """The block of find_ros/README.md."""
    model = measured_with(result(f"{BENCHMARKS}/ros_latency.json").get("fingerprint"))
    return f"{latency_table()}\n\nModel: {model}."


def latency_table() -> str:
    t = result(f"{BENCHMARKS}/ros_latency.json")
    rows = []
    for size, v in t["overhead"].items():
        rows.append([f"the node's own work, receipt to publish, {size} (without inference, {v['inference_p50_ms']:.0f} ms)", f"p50 {v['p50_ms']:.1f} ms, p99 {v['p99_ms']:.1f} ms", "p50 ≤ 5 ms" if size == "640x480" else ""])  # fmt: skip
    for inference, v in t["age"].items():
        rows.append([f"age of answers at {v['received_hz']:.0f} Hz, inference of {inference}", f"p50 {v['p50_ms']:.0f} ms, p99 {v['p99_ms']:.0f} ms", f"p99 ≤ {v['target_p99_ms']:.0f} ms"])  # fmt: skip
    swap = t["prompt_swap"]
    rows += [
        ["four cameras, Jain's index of fairness", f"{t['fairness']['jain']:.5f}", "≥ 0.99"],
        [f"a prompt swap's longest gap beyond the usual {swap['interval_p50_ms']:.0f} ms between answers", f"{swap['gap_over_one_frame_ms']:.0f} ms", "≤ one frame"],
        ['first "waiting" sentence after the start', f"{t['first_sentence_s']:.1f} s", "seconds"],
    ]  # fmt: skip
    return table("what | measured | aim", rows)


EVENTS = {
    "frame": "good frames sent", "malformed": "malformed frames sent", "hostile_frame": "hostile frames sent",
    "prompt": "prompts changed", "hostile_prompt": "hostile prompts and references sent",
    "camera_left": "cameras gone for a while", "killed_peer": "peers killed",
}  # fmt: skip


def node() -> str:
    latency, soak = f"{BENCHMARKS}/ros_latency.json", f"{BENCHMARKS}/ros_soak.json"
    s = result(soak)
    ledger = s["ledger"].values()
    received, published = (sum(c[k] for c in ledger) for k in ("received", "published"))
    dropped = sum(v for c in ledger for k, v in c.items() if k.startswith("dropped/"))
    memory, events = s["memory_mb"], s["events"]
    rows = [
        *([label, f"{events[key]:,}"] for key, label in EVENTS.items() if key in events),
        ["received = published + dropped", f"{received:,} = {published:,} + {dropped:,}; unaccounted {s['unaccounted']}"],
        ["resident memory after warm-up, at the end", f"{memory['after_warm_up']:.0f} MB, {memory['at_the_end']:.0f} MB ({100 * s['memory_drift']:+.1f} %)"],
        ["SIGINT to exit", f"{s['seconds_to_end']:.1f} s, status {s['exit_status']}"],
    ]  # fmt: skip
    return "\n\n".join([
        "## The node", latency_table(), note(latency, result(latency).get("fingerprint"), "python benchmarks/ros_latency.py --json OUT"),
        f"### A robot's day: {s['minutes']:.0f} minutes, model `{s['model']}`, load average {s['load_average']:.0f}",
        table("what | counted", rows),
        f"`python benchmarks/ros_soak.py --minutes 30 --model {s['model']} --hostile 0.1 --peers 2` → [`{soak}`](../{soak}), "
        f"[picture](../{BENCHMARKS}/ros_soak.png).",
        *live_page(),
    ])  # fmt: skip


def live_page() -> list[str]:
    """The live page's cost, once it was measured."""
    path = f"{BENCHMARKS}/live_page.json"
    if not (ROOT / path).is_file():
        return []
    p = result(path)
    late, one = p["latency"], p["one_to_closed"]
    rows = [
        [f"page behind the overlay topic, {late['overlay_hz']:.0f} Hz", f"p50 {late['p50_ms']:.0f} ms, p95 {late['p95_ms']:.0f} ms; {late['shown']} of {late['overlays']} frames shown", "p95 ≤ 150 ms"],
        ["one open page: the localizer's answers a second", f"{100 * one['answers_hz']:.1f} % of those without", "≥ 95 %"],
        ["one open page: the localizer's processor time an answer", f"{100 * one['cpu_ms_per_answer']:.1f} % of that without", "≤ 105 %"],
        ["ten open pages: answers a second", f"{100 * p['ten_to_closed_hz']:.0f} % of those without; longest silence {p['ten_extra_gap_s']:+.2f} s", "≥ 50 %, ≤ +1 s"],
        ["all closed: the page's subscriptions are gone after", f"{p['subscriptions_gone_s']:.1f} s", "≤ 30 s"],
    ]  # fmt: skip
    return [
        "### The live page",
        f"A camera of {p['camera_hz']:.0f} Hz on loopback, Chromium on the same {p['machine'].split(', ')[1]}, load average "
        f"{p['load_average']['before']:.0f}. The localizer with and without a page was measured in turns.",
        table("what | measured | aim", rows),
        note(path, p["fingerprint"], "python benchmarks/live_page.py --json OUT"),
    ]
