"""The SROS 2 policy against the tables of the nodes' page: who may publish, read and call what."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import pytest

from tests.test_docs import ROOT

POLICY = ET.parse(ROOT / "config/sros2_policy.xml").getroot()
PAGE = (ROOT / "find_ros/README.md").read_text(encoding="utf-8")
SERVERS = {"localizer": "/find/localizer", "field_server": "/find/field_server"}
PARAMETER_SERVICES = {
    "describe_parameters", "get_parameter_types", "get_parameters", "list_parameters",
    "set_parameters", "set_parameters_atomically",
}  # fmt: skip
DANGEROUS = {"set_parameters", "set_parameters_atomically", "change_state", "save", "reset"}


def profile(enclave: str) -> ET.Element:
    found = POLICY.find(f"./enclaves/enclave[@path='{enclave}']/profiles/profile")
    assert found is not None, enclave
    return found


def allowed(enclave: str, kind: str, right: str) -> set[str]:
    """Full names, `~` and relative ones resolved."""
    owner = profile(enclave)
    names = set()
    for group in owner.findall(f"{kind}s[@{right}='ALLOW']"):
        names |= {e.text.strip() for e in group.findall(kind)}
    node = owner.attrib["node"]
    return {
        n if n.startswith("/") else f"/{node}{n[1:]}" if n.startswith("~") else f"/{n}"
        for n in names
    }


def told(node: str, head: str) -> set[str]:
    """Names in the first column of the page's table `head`."""
    section = PAGE.split(f"\n## {node}\n")[1].split("\n## ")[0]
    rows = section.split(f"| {head} |")[1].splitlines()[2:]
    cells = []
    for row in rows:
        if not row.startswith("|"):
            break
        cells.append(row.split("|")[1])
    names = {n for cell in cells for n in re.findall(r"`([^`]+)`", cell)}
    assert names, (node, head)
    return {n.replace("~", f"/{node}") if n.startswith("~") else f"/{n.lstrip('/')}" for n in names}


@pytest.mark.parametrize("node", SERVERS)
@pytest.mark.parametrize(("head", "right"), [("subscribed", "subscribe"), ("published", "publish")])
def test_nodes_may_use_every_topic_of_the_page(node, head, right):
    missing = told(node, head) - allowed(SERVERS[node], "topic", right)
    assert not missing


@pytest.mark.parametrize("node", SERVERS)
def test_nodes_may_offer_their_services(node):
    """Without this right a node fails as it is created."""
    offered = allowed(SERVERS[node], "service", "reply")
    assert {f"/{node}/{name}" for name in PARAMETER_SERVICES} <= offered
    if node == "field_server":
        assert told(node, "service") <= offered


def test_camera_may_publish_what_the_player_does():
    missing = told("camera_player", "published") - allowed("/find/camera", "topic", "publish")
    assert not missing


def test_only_the_operator_calls_what_changes_something():
    for enclave in POLICY.findall("./enclaves/enclave"):
        path = enclave.attrib["path"]
        calls = {n.rsplit("/", 1)[1] for n in allowed(path, "service", "request")}
        if path == "/find/operator":
            assert calls >= DANGEROUS
        else:
            assert not calls & DANGEROUS, path


def test_only_client_and_operator_give_prompts():
    prompts = {f"/{n}/{t}" for n, t in [("localizer", "prompt"), ("localizer", "reference"),
                                        ("field_server", "query"), ("field_server", "reference")]}  # fmt: skip
    may = {
        e.attrib["path"]
        for e in POLICY.findall("./enclaves/enclave")
        if allowed(e.attrib["path"], "topic", "publish") & prompts
    }
    assert may == {"/find/client", "/find/operator"}


def test_every_right_is_named():
    """Nothing is allowed by a pattern, and every group says ALLOW or DENY."""
    for group in POLICY.iter():
        if group.tag in ("topics", "services"):
            assert set(group.attrib.values()) <= {"ALLOW", "DENY"} and group.attrib
        if group.tag in ("topic", "service"):
            assert "*" not in (group.text or "")
