"""Gives a workflow exported from n8n the one form in which it is kept in `workflows/`.

Nothing random, nothing of one deployment and no secret stays: node ids follow from names, credentials are named and
not identified, pipelines is called by its service name. Normalising twice changes nothing.
"""

from __future__ import annotations

import json
import re
from typing import Any

SERVICE_ORIGIN = "http://pipelines:8000"
"""How the files in `workflows/` call pipelines; replaced by where it is in this deployment."""

_WORKFLOW_KEYS = ("name", "nodes", "connections", "settings")
_NODE_KEYS = (
    "id",
    "name",
    "type",
    "typeVersion",
    "position",
    "webhookId",
    "disabled",
    "onError",
    "parameters",
    "credentials",
)
_SETTINGS = (
    "executionOrder",
    "saveDataSuccessExecution",
    "saveDataErrorExecution",
    "saveManualExecutions",
    "executionTimeout",
)
_GRID = 20


def normalise(workflow: dict[str, Any], *, pipelines_url: str = SERVICE_ORIGIN) -> dict[str, Any]:
    """Return the workflow's stable part, in a stable order."""
    workflow = json.loads(json.dumps(workflow).replace(pipelines_url.rstrip("/"), SERVICE_ORIGIN))
    kept = {key: workflow[key] for key in _WORKFLOW_KEYS}
    kept["nodes"] = sorted((_node(node) for node in workflow["nodes"]), key=_reading_order)
    kept["connections"] = dict(sorted(workflow["connections"].items()))
    kept["settings"] = {key: workflow["settings"][key] for key in _SETTINGS if key in workflow["settings"]}
    return kept


def as_text(workflow: dict[str, Any]) -> str:
    """Render a normalised workflow as the file's text."""
    return json.dumps(workflow, indent=2, ensure_ascii=False) + "\n"


def _node(node: dict[str, Any]) -> dict[str, Any]:
    kept = {key: node[key] for key in _NODE_KEYS if node.get(key) not in (None, False)}
    kept["id"] = re.sub(r"[^a-z0-9]+", "-", node["name"].lower()).strip("-")
    kept["position"] = [round(value / _GRID) * _GRID for value in node["position"]]
    if "credentials" in node:
        kept["credentials"] = {kind: {"name": used["name"]} for kind, used in sorted(node["credentials"].items())}
    return kept


def _reading_order(node: dict[str, Any]) -> tuple[bool, int, int, str]:
    notes_first = not node["type"].endswith("stickyNote")
    return (notes_first, node["position"][0], node["position"][1], node["name"])
