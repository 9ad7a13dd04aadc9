"""What held when it was attacked: jobs that were interrupted, nodes that got hostile messages."""

from __future__ import annotations

from typing import Any

from benchmarks.page.format import BENCHMARKS, result, table

WAYS = {"kill": "kill -9", "kill_writing": "killed in a write", "full_disk": "full disk"}


def trust() -> str:
    return "\n\n".join(["## Interrupted and attacked", interrupts(), messages(), ends()])


def interrupts() -> str:
    path = f"{BENCHMARKS}/interrupts.json"
    rows = []
    for job, ways in result(path)["jobs"].items():
        for way, n in ways.items():
            faults = {k.removeprefix("bad: "): v for k, v in n.items() if k.startswith("bad: ")}
            left = ", ".join(
                f"{k.removeprefix('left ')} {v}" for k, v in n.items() if k.startswith("left ")
            )
            rows.append([f"`{job}`", WAYS[way], f"{n.get('interrupted', 0)} of {n['trials']}", left,
                         f"{n.get('same result', 0)} of {n['trials']}",
                         ", ".join(f"{k} {v}" for k, v in faults.items()) or "none"])  # fmt: skip
    return "\n\n".join([
        "### Jobs that write files, interrupted at random moments, then given again",
        "What an interrupted job leaves is whole: the old file, the new one, or a stage it goes on from. The same result "
        "is that of a run which nobody interrupted. Small inputs, random weights. `ns_train` is nerfstudio's own command, which "
        "draws its rays anew when it goes on: there the result is the last step and a field that is whole.",
        table("job | how | met it at work | left behind | same result after | faults", rows),
        f"`python -m tools.interrupts --json OUT` → [`{path}`](../{path}).",
    ])  # fmt: skip


def messages() -> str:
    path = f"{BENCHMARKS}/fuzz_nodes.json"
    found = result(path)
    rows = []
    for name, node in found["nodes"].items():
        books = node["books"]
        done = books.get("published", books.get("lifted"))
        dropped = sum(n for k, n in books.items() if k.startswith("dropped/"))
        sent = sum(n for k, n in found["sent"].items() if k.startswith(f"{name} "))
        memory = node["memory_mb"]
        rows.append([NAMES[name], f"{sent:,}", f"{books['received']:,} = {done:,} + {dropped:,}",
                     f"{sum(node['said'].values()):,}", f"{memory['before']} MB, {memory['peak']} MB",
                     ", ".join(node["faults"]) or "none"])  # fmt: skip
    return "\n\n".join([
        f"### {found['messages']:,} hostile messages over DDS, model `tiny`",
        "Images, depth, calibration, poses, prompts, queries and references, random or good ones mutated. Between volleys a "
        "good frame, prompt and query had to be answered.",
        table("node | sent | frames received = answered + dropped | texts it published, all JSON | memory before, at its peak | faults", rows),
        f"`python tools/fuzz_nodes.py --messages 12000 --json OUT` → [`{path}`](../{path}).",
    ])  # fmt: skip


NAMES = {
    "plain": "`localizer`, RGB-D",
    "packed": "`localizer`, compressed images",
    "field": "`field_server`, lifting",
}


def ends() -> str:
    path = f"{BENCHMARKS}/end_nodes.json"
    rows = [_ended(node, n) for node, n in result(path).items()]
    return "\n\n".join([
        "### The first SIGINT or SIGTERM, 0 to 40 s after the start of a node, on a machine with a load of 40",
        table("node | tries | of them while starting | gone later than 2 s | longest | median | tracebacks", rows),
        f"`python tools/end_nodes.py --within-s 40 --json OUT` → [`{path}`](../{path}).",
    ])  # fmt: skip


def _ended(node: str, n: dict[str, Any]) -> list[str]:
    seconds = n["seconds"]
    starting = sum(v for status, v in n["statuses"].items() if status != "0")
    return [f"`{node}`", str(n["tries"]), str(starting), str(n["late"]), f"{seconds['longest']:.1f} s",
            f"{seconds['median']:.1f} s", str(n["tracebacks"])]  # fmt: skip
