"""Brings one workflow in n8n to the version this release ships, and leaves alone what an operator made of it.

What was put in is remembered by n8n itself. Every version published here is named `Ragline <hash of its content>`, and
the first node of ours says the same in its notes: n8n forgets the names of versions that are neither current nor
published after a day, and a note stays while an operator edits around it. So a workflow is

- ours, when its current version has such a name, or is what we were about to publish when we were cut off;
- an operator's otherwise: it is kept, and a version that it does not follow from is put beside it, unpublished.

What an operator switched off or archived stays so, unless it is the workflow that questions are answered with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

import httpx

from pipelines.errors import SetupFailed
from pipelines.provision.n8n_api import json_of, pages
from pipelines.provision.normalise import normalise

VERSION_PREFIX = "Ragline "
BESIDE_SUFFIX = " (shipped with Ragline)"
STICKY = "n8n-nodes-base.stickyNote"

Outcome = Literal[
    "created",
    "updated",
    "unchanged",
    "kept your edited version",
    "kept yours, newer put beside it",
    "left switched off",
    "left in the archive",
]
Address = tuple[Literal["POST", "GET"], str]
"""How a published workflow is called: the method, and the path under n8n's own address."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What was done with a workflow, and the addresses by which what is published of ours is called."""

    outcome: Outcome
    addresses: tuple[Address, ...] = ()


def settle_workflow(api: httpx.Client, shipped: dict[str, Any], *, needed: bool) -> Settled:
    """Bring a workflow to the shipped version, or leave it to the operator; raises `SetupFailed`.

    `needed`: nothing can be answered without it.
    """
    version = VERSION_PREFIX + sha256(json.dumps(shipped, sort_keys=True).encode()).hexdigest()[:16]
    shipped = _stamped(shipped, version)
    present = _find_ours(api, shipped)
    if present is None or (needed and present["isArchived"]):
        made = json_of(api.post("/workflows", json=shipped))
        return _publish(api, made, version, "created")
    if present["isArchived"]:
        return Settled("left in the archive")
    return _settle_present(api, present, shipped, version, needed=needed)


def find_workflow(api: httpx.Client, name: str) -> dict[str, Any] | None:
    """The workflow of that name that is not archived."""
    # n8n matches parts of names.
    found = (entry for entry in pages(api, "/workflows", name=name) if entry["name"] == name)
    return next((entry for entry in found if not entry["isArchived"]), None)


def _settle_present(
    api: httpx.Client, present: dict[str, Any], shipped: dict[str, Any], version: str, *, needed: bool
) -> Settled:
    names = {entry["versionId"]: entry["name"] or "" for entry in pages(api, f"/workflows/{present['id']}/history")}
    current = names.get(present["versionId"], "")
    was_ours = any(name.startswith(VERSION_PREFIX) for name in names.values())
    interrupted = not current.startswith(VERSION_PREFIX) and _same(present, shipped)
    if not (current.startswith(VERSION_PREFIX) or interrupted):
        return _keep(api, present, shipped, version, names=set(names.values()))
    if present["activeVersionId"] is None and was_ours and not needed:
        # As it is, for the name of its version is what says that it was ever published.
        return Settled("left switched off")
    if current != version and not interrupted:
        body = {**shipped, "name": present["name"]}  # an operator may have given it another
        present = {**present, **_put(api, present["id"], body)}
    if current == version and present["activeVersionId"] == present["versionId"]:
        return Settled("unchanged", _addresses(shipped))
    return _publish(api, present, version, "unchanged" if current == version else "updated")


def _keep(
    api: httpx.Client, present: dict[str, Any], shipped: dict[str, Any], version: str, *, names: set[str]
) -> Settled:
    notes = {str(node.get("notes", "")) for node in present["nodes"]}
    # A release before this one wrote no notes.
    told = notes if any(note.startswith(VERSION_PREFIX) for note in notes) else names
    if version in told or not _put_beside(api, shipped):
        return Settled("kept your edited version")
    return Settled("kept yours, newer put beside it")


def _put_beside(api: httpx.Client, shipped: dict[str, Any]) -> bool:
    """Offer the shipped version; False if it has been offered before, also to somebody who archived the offer."""
    beside = {**shipped, "name": shipped["name"] + BESIDE_SUFFIX}
    offers = [entry for entry in pages(api, "/workflows", name=beside["name"]) if entry["name"] == beside["name"]]
    if any(_same(offer, beside) for offer in offers):
        return False
    live = next((offer for offer in offers if not offer["isArchived"]), None)
    if live:
        _put(api, live["id"], beside)
    else:
        json_of(api.post("/workflows", json=beside))
    return True


def _find_ours(api: httpx.Client, shipped: dict[str, Any]) -> dict[str, Any] | None:
    """What became of our workflow: by its name, or, where an operator renamed it, by what it is called by."""
    entries = list(pages(api, "/workflows"))
    named = [entry for entry in entries if entry["name"] == shipped["name"] and _has_our_nodes(entry, shipped)]
    live = [entry for entry in named if not entry["isArchived"]]
    addresses = set(_addresses(shipped))
    answering = (
        entry
        for entry in entries
        if entry.get("activeVersion") and addresses.intersection(_addresses(entry["activeVersion"]))
    )
    # Of several, the one that is published: the same may have been put in twice by hand.
    live.sort(key=lambda entry: entry["activeVersionId"] is None)
    return next(iter((*live, *answering, *named)), None)


def _has_our_nodes(entry: dict[str, Any], shipped: dict[str, Any]) -> bool:
    # Nodes made in the editor have random ids, ours have words.
    ours = {node["id"] for node in shipped["nodes"] if node["type"] != STICKY}
    return any(node["id"] in ours for node in entry["nodes"])


def _same(entry: dict[str, Any], shipped: dict[str, Any]) -> bool:
    named = {**entry, "name": shipped["name"]}
    return normalise(named) == normalise(shipped)


def _stamped(shipped: dict[str, Any], version: str) -> dict[str, Any]:
    nodes = [dict(node) for node in shipped["nodes"]]
    next(node for node in nodes if node["type"] != STICKY)["notes"] = version
    return {**shipped, "nodes": nodes}


def _put(api: httpx.Client, workflow_id: str, body: dict[str, Any]) -> dict[str, Any]:
    # Otherwise n8n would publish it under no name of ours.
    return json_of(api.put(f"/workflows/{workflow_id}", json=body, params={"publishIfActive": "false"}))


def _publish(api: httpx.Client, workflow: dict[str, Any], version: str, outcome: Outcome) -> Settled:
    answer = api.post(f"/workflows/{workflow['id']}/publish", json={"name": version})
    if answer.status_code == httpx.codes.CONFLICT:
        raise SetupFailed(
            f"Another published workflow in n8n is called by the same address as '{workflow['name']}': unpublish one "
            "of the two in n8n's editor, then provision it again."
        )
    json_of(answer)
    return Settled(outcome, _addresses(workflow))


def _addresses(workflow: dict[str, Any]) -> tuple[Address, ...]:
    return tuple(_each_address(workflow["nodes"]))


def _each_address(nodes: list[dict[str, Any]]) -> Iterator[Address]:
    for node in nodes:
        parameters = node.get("parameters", {})
        if node.get("disabled"):
            continue
        if node["type"] == "n8n-nodes-base.webhook" and parameters.get("httpMethod") == "POST":
            yield "POST", f"webhook/{parameters.get('path', '')}"
        elif node["type"] == "n8n-nodes-base.formTrigger":
            yield "GET", f"form/{parameters.get('options', {}).get('path') or node.get('webhookId', '')}"
