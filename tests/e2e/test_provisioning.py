"""n8n and Open WebUI are set up without a click, again and again, and what an operator edited stays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from pipelines.native.postgres import server_url
from pipelines.provision.n8n import BESIDE_SUFFIX, fetch_workflow, provision_n8n
from pipelines.provision.normalise import as_text, normalise
from pipelines.provision.run import NATIVE_WORKFLOW, n8n_target, provision
from tests.stack import MODEL, Stack

pytestmark = pytest.mark.stack
NAME = "tried-workflow"


@pytest.fixture
def workflow_file(stack: Stack, tmp_path: Path) -> Path:
    """The shipped workflow under another name and path, so that the real one is left alone."""
    text = (stack.settings.workflows_dir / "answer-question.json").read_text()
    workflow = json.loads(text.replace('"answer-question"', f'"{NAME}"').replace("5a1c0d3e", "6a1c0d3e"))
    path = tmp_path / f"{NAME}.json"
    path.write_text(json.dumps(workflow))
    return path


def edited(path: Path, words: str) -> None:
    workflow = json.loads(path.read_text())
    workflow["nodes"][0]["parameters"]["content"] = words
    path.write_text(json.dumps(workflow))


def edit_in_n8n(stack: Stack, words: str) -> None:
    target = n8n_target(stack.settings)
    workflow = fetch_workflow(target, NAME)
    workflow["nodes"][0]["parameters"]["content"] = words
    body = {key: workflow[key] for key in ("name", "nodes", "connections", "settings")}
    key = {"X-N8N-API-KEY": target.api_key_file.read_text()}
    httpx.put(f"{target.url}/api/v1/workflows/{workflow['id']}", json=body, headers=key).raise_for_status()


def note(workflow: dict[str, Any]) -> str:
    return str(workflow["nodes"][0]["parameters"]["content"])


def test_setting_up_again_changes_nothing(stack: Stack) -> None:
    assert set(provision(stack.settings).values()) == {"unchanged"}


def test_a_newer_workflow_replaces_one_nobody_touched_and_keeps_one_that_was_edited(
    stack: Stack, workflow_file: Path
) -> None:
    target = n8n_target(stack.settings)
    assert provision_n8n(target, [workflow_file]) == {NAME: "created"}
    edited(workflow_file, "the second version")
    assert provision_n8n(target, [workflow_file]) == {NAME: "updated"}
    assert note(fetch_workflow(target, NAME)) == "the second version"

    edit_in_n8n(stack, "edited by an operator")
    assert provision_n8n(target, [workflow_file]) == {NAME: "kept your edited version"}
    edited(workflow_file, "the third version")
    assert provision_n8n(target, [workflow_file]) == {NAME: "kept yours, newer put beside it"}
    assert note(fetch_workflow(target, NAME)) == "edited by an operator"
    assert note(fetch_workflow(target, NAME + BESIDE_SUFFIX)) == "the third version"


@pytest.mark.parametrize("name", ["answer-question", NATIVE_WORKFLOW])
def test_a_workflow_exported_from_n8n_is_the_file_it_came_from(stack: Stack, name: str) -> None:
    exported = fetch_workflow(n8n_target(stack.settings), name)
    text = as_text(normalise(exported, pipelines_url=stack.settings.pipelines_url))
    assert text == (stack.settings.workflows_dir / f"{name}.json").read_text()


def test_the_key_for_n8n_is_for_its_owner_only(stack: Stack) -> None:
    assert stack.settings.n8n_api_key_file.stat().st_mode & 0o077 == 0


def test_a_reader_who_is_not_an_administrator_may_choose_our_model(stack: Stack) -> None:
    with stack.reader("reader") as reader:
        assert MODEL in reader.model_ids()


def test_n8n_keeps_nothing_of_a_run(stack: Stack) -> None:
    with psycopg.connect(server_url(stack.settings).of("n8n")) as connection:
        for count in ("SELECT count(*) FROM execution_entity", "SELECT count(*) FROM execution_data"):
            assert connection.execute(count).fetchone() == (0,)
