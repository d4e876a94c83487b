"""The workflows in `workflows/` as files: one form, no secret, nothing random, every node at a known version."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from pipelines.answer.prompt import SYSTEM
from pipelines.answer.workflow import EVENT_NODE_PREFIX
from pipelines.native.part_variables import part_variables
from pipelines.provision.n8n_credentials import (
    AWS_CREDENTIAL,
    FORM_CREDENTIAL,
    INTERNAL_CREDENTIAL,
    OLLAMA_CREDENTIAL,
    ROUTER_CREDENTIAL,
    WEBHOOK_CREDENTIAL,
)
from pipelines.provision.normalise import as_text, normalise
from pipelines.provision.run import NATIVE_WORKFLOW
from pipelines.settings import Settings

FOLDER = Path(__file__).parents[2] / "workflows"
EXCLUDED_NODES = set(json.loads(part_variables(FOLDER.parent / "compose/n8n.env")["NODES_EXCLUDE"]))
WORKFLOWS = sorted(path for path in FOLDER.glob("*.json") if not path.name.startswith("package"))

VERSIONS: dict[str, set[float]] = {
    "n8n-nodes-base.stickyNote": {1},
    "n8n-nodes-base.webhook": {2.1},  # the first with `streaming`
    "n8n-nodes-base.httpRequest": {4.2},
    "n8n-nodes-base.respondToWebhook": {1.5},  # the first that streams
    "@n8n/n8n-nodes-langchain.agent": {3, 3.1},  # 2.x holds the whole answer back
    "@n8n/n8n-nodes-langchain.lmChatOpenAi": {1.3},
    "@n8n/n8n-nodes-langchain.modelSelector": {1},
    "@n8n/n8n-nodes-langchain.lmChatOllama": {1},
    "@n8n/n8n-nodes-langchain.lmChatAwsBedrock": {1.2},
    "n8n-nodes-base.formTrigger": {2.6},
    "n8n-nodes-base.form": {2.5},  # the page that ends a form of 2.5 and later
    "n8n-nodes-base.splitOut": {1},
    "n8n-nodes-base.scheduleTrigger": {1.3},
}
CREDENTIALS = {
    *(WEBHOOK_CREDENTIAL, INTERNAL_CREDENTIAL, ROUTER_CREDENTIAL),
    *(FORM_CREDENTIAL, OLLAMA_CREDENTIAL, AWS_CREDENTIAL),
}
ANSWERING = ("answer-question", NATIVE_WORKFLOW)
SECRET = re.compile(r"(?i)bearer\s|eyJ[\w-]{10}|sk-[\w]{8}|[0-9a-f]{32,}|(?<![\w/])[A-Za-z0-9+/]{40,}")
RANDOM_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-|^[A-Za-z0-9]{16}$")


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    chosen: Path = request.param
    return chosen


@pytest.fixture
def workflow(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def shipped(name: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text())
    return loaded


def nodes(workflow: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [node for node in workflow["nodes"] if node["type"].endswith(kind)]


def named(workflow: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(node for node in workflow["nodes"] if node["name"] == name)
    return found


def test_there_are_workflows() -> None:
    assert {path.stem for path in WORKFLOWS} == {*ANSWERING, "sync-documents", "upload-document"}


def test_a_file_is_named_like_its_workflow_and_stands_in_the_one_form(path: Path, workflow: dict[str, Any]) -> None:
    assert workflow["name"] == path.stem
    assert path.read_text() == as_text(normalise(workflow))


def test_every_node_has_a_version_known_to_work(workflow: dict[str, Any]) -> None:
    assert {
        node["name"]: node["typeVersion"]
        for node in workflow["nodes"]
        if node["typeVersion"] not in VERSIONS.get(node["type"], ())
    } == {}


def test_nothing_is_secret_or_random(path: Path, workflow: dict[str, Any]) -> None:
    webhook_ids = {node["webhookId"] for node in workflow["nodes"] if "webhookId" in node}
    text = path.read_text()
    for webhook_id in webhook_ids:
        text = text.replace(webhook_id, "")
    assert SECRET.search(text) is None
    assert [node["id"] for node in workflow["nodes"] if RANDOM_ID.search(node["id"])] == []
    assert "pinData" not in workflow


def test_no_node_runs_code_or_is_one_that_n8n_leaves_out(workflow: dict[str, Any]) -> None:
    assert {node["type"] for node in workflow["nodes"]} & EXCLUDED_NODES == set()


def test_credentials_are_named_and_provisioned(workflow: dict[str, Any]) -> None:
    used = [credential for node in workflow["nodes"] for credential in node.get("credentials", {}).values()]
    assert {credential["name"] for credential in used} <= CREDENTIALS
    assert all(credential.keys() == {"name"} for credential in used)


def test_webhooks_stream_ask_for_the_key_and_evaluate_nothing(workflow: dict[str, Any]) -> None:
    for node in nodes(workflow, ".webhook"):
        assert node["parameters"]["responseMode"] == "streaming"
        assert node["parameters"]["authentication"] == "headerAuth"
        assert not any(str(value).startswith("=") for value in node["parameters"].values())


def test_citations_come_from_a_node_the_gateway_listens_to(workflow: dict[str, Any]) -> None:
    for node in nodes(workflow, ".respondToWebhook"):
        assert node["name"].startswith(EVENT_NODE_PREFIX)
        assert node["parameters"]["options"]["enableStreaming"] is True


@pytest.mark.parametrize("name", ANSWERING)
def test_an_answering_run_tells_its_id_so_that_it_can_be_stopped(name: str) -> None:
    bodies = [node["parameters"]["jsonBody"] for node in nodes(shipped(name), ".httpRequest")]
    assert any("execution_id: $execution.id" in body for body in bodies)


@pytest.mark.parametrize("name", ANSWERING)
def test_the_system_message_shown_to_the_operator_is_the_one_the_prompt_is_written_for(name: str) -> None:
    agents = nodes(shipped(name), ".agent")
    assert [node["parameters"]["options"]["systemMessage"] for node in agents] == [SYSTEM]


def test_both_answering_workflows_go_the_same_way_to_the_model() -> None:
    one, other = (shipped(name) for name in ANSWERING)
    for step in ("Retrieve passages", "Send citations"):
        assert named(one, step) == named(other, step)
    question, asked = named(one, "Question")["parameters"], named(other, "Question")["parameters"]
    assert {**question, "path": asked["path"]} == asked
    answer, answered = named(one, "Answer")["parameters"], named(other, "Answer")["parameters"]
    assert {**answer, "needsFallback": True} == answered
    assert named(one, "Model")["parameters"] == named(other, "Ragline's router")["parameters"]
    for step in ("Question", "Retrieve passages", "Send citations"):
        assert one["connections"][step] == other["connections"][step]


@pytest.mark.parametrize("name", ANSWERING)
def test_an_answering_workflow_is_chosen_by_its_name(name: str) -> None:
    assert named(shipped(name), "Question")["parameters"]["path"] == name


def test_every_provider_has_a_model_and_what_is_left_has_the_router() -> None:
    workflow = shipped(NATIVE_WORKFLOW)
    *providers, last = named(workflow, "Model Selector")["parameters"]["rules"]["rule"]
    chosen = [rule["conditions"]["conditions"][0]["rightValue"] for rule in providers]
    assert chosen == ["ollama", "bedrock"]
    assert last["conditions"]["conditions"][0]["leftValue"] is True  # the selector has no other default
    ways = {
        model: [(end["node"], end["index"]) for end in workflow["connections"][model]["ai_languageModel"][0]]
        for model in ("Ollama", "Bedrock", "Ragline's router", "Model Selector")
    }
    assert ways == {
        "Ollama": [("Model Selector", 0)],
        "Bedrock": [("Model Selector", 1)],
        "Ragline's router": [("Model Selector", 2), ("Answer", 1)],
        "Model Selector": [("Answer", 0)],
    }


def test_n8n_makes_as_much_room_in_ollama_as_the_router_does() -> None:
    room = Settings.model_fields["ollama_context_length"].default
    assert named(shipped(NATIVE_WORKFLOW), "Ollama")["parameters"]["options"]["numCtx"] == room


def test_the_agent_streams_once_and_keeps_the_answer_to_itself(workflow: dict[str, Any]) -> None:
    for node in nodes(workflow, ".agent"):
        options = node["parameters"]["options"]
        assert options["enableStreaming"] is True
        assert options["maxIterations"] == 1
        assert options["autoSaveHighlightedData"] is False


def test_no_run_is_saved_with_its_question(workflow: dict[str, Any]) -> None:
    settings = workflow["settings"]
    assert settings["saveDataSuccessExecution"] == "none"
    assert settings["saveDataErrorExecution"] == "none"
    assert settings["saveManualExecutions"] is False


def test_every_part_has_a_note_that_says_what_may_be_edited(workflow: dict[str, Any]) -> None:
    notes = [node["parameters"]["content"] for node in nodes(workflow, ".stickyNote")]
    general, *parts = sorted(notes, key=lambda note: not note.startswith("## "))
    assert "your version is kept" in general
    assert all("**Keep**" in note or "**May be edited:**" in note for note in parts)
    assert any("**May be edited:**" in note for note in parts)


def test_the_form_asks_for_a_password_and_says_what_came_of_each_file() -> None:
    workflow = shipped("upload-document")
    form, outcome = named(workflow, "Form"), named(workflow, "Outcome")
    assert form["parameters"]["authentication"] == "basicAuth"
    assert form["credentials"] == {"httpBasicAuth": {"name": FORM_CREDENTIAL}}
    assert form["parameters"]["options"]["path"] == "upload-document"
    assert "message ?? file.json.error.message" in outcome["parameters"]["completionMessage"]
    # a run that waits for its page to be opened holds the files
    assert (outcome["parameters"]["limitWaitTime"], outcome["parameters"]["resumeUnit"]) == (True, "minutes")


def test_a_file_for_one_group_whose_name_was_left_out_is_for_nobody() -> None:
    workflow = shipped("upload-document")
    fields = {
        field["name"]: field for field in named(workflow, "Add document")["parameters"]["bodyParameters"]["parameters"]
    }
    offered = named(workflow, "Form")["parameters"]["formFields"]["values"][1]["fieldOptions"]["values"]
    everyone, one_group, _ = (option["option"] for option in offered)
    assert fields["everyone"]["value"] == f"={{{{ String($json.readers === '{everyone}') }}}}"
    assert fields["nobody"]["value"] == f"={{{{ String($json.readers === '{one_group}' && !$json.group) }}}}"


def test_a_run_may_take_longer_than_its_node_and_the_node_longer_than_pipelines() -> None:
    upload, sync = shipped("upload-document"), shipped("sync-documents")
    add = named(upload, "Add document")["parameters"]
    waits = int(add["queryParameters"]["parameters"][0]["value"])
    assert waits < add["options"]["timeout"] / 1000 < upload["settings"]["executionTimeout"]
    compare = named(sync, "Compare with sources")["parameters"]
    assert compare["options"]["timeout"] / 1000 < sync["settings"]["executionTimeout"] < 5 * 60


def test_normalising_takes_out_what_one_deployment_put_in(workflow: dict[str, Any]) -> None:
    exported = json.loads(json.dumps(workflow).replace("http://pipelines:8000", "http://127.0.0.1:18000"))
    exported |= {"id": "AbCdEfGhIjKlMnOp", "versionId": "x", "meta": {"instanceId": "y"}, "pinData": {}, "tags": []}
    for number, node in enumerate(exported["nodes"]):
        node["id"] = f"{number:08x}-0000-4000-8000-000000000000"
        node["position"] = [node["position"][0] + 3, node["position"][1] - 4]
        for credential in node.get("credentials", {}).values():
            credential["id"] = "AbCdEfGhIjKlMnOp"
    assert normalise(exported, pipelines_url="http://127.0.0.1:18000") == workflow
