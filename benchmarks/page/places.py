"""What the nodes cost and lose."""

from __future__ import annotations

from benchmarks.page.format import (
    BENCHMARKS,
    ROOT,
    measured_with,
    note,
    result,
    table,
)


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
