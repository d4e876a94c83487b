"""n8n and Open WebUI are set up without a click, again and again, and what an operator edited stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from pipelines.errors import SetupFailed
from pipelines.native.postgres import server_url
from pipelines.provision.n8n import fetch_workflow, provision_n8n, try_workflow
from pipelines.provision.n8n_api import API_KEY_SCOPES
from pipelines.provision.n8n_credentials import WEBHOOK_CREDENTIAL
from pipelines.provision.n8n_workflows import BESIDE_SUFFIX, Outcome
from pipelines.provision.normalise import as_text, normalise
from pipelines.provision.run import NATIVE_WORKFLOW, n8n_target, provision
from tests.stack import MODEL, Stack

pytestmark = pytest.mark.stack
NAME = "tried-workflow"
Put = Callable[..., Outcome]


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


class Operator:
    """Somebody at n8n's editor; `name` is the workflow that is worked on."""

    def __init__(self, stack: Stack, key: str, name: str = NAME) -> None:
        self.target = n8n_target(stack.settings)
        self.name = name
        self._key = key

    def edit(self, words: str, *, publish: bool = False) -> None:
        workflow = self.workflow()
        workflow["nodes"][0]["parameters"]["content"] = words
        self._put(workflow)
        if publish:
            self.call("POST", f"/workflows/{workflow['id']}/publish", {"name": "mine"})

    def rename(self, name: str) -> None:
        workflow = self.workflow()
        self._put({**workflow, "name": name})
        self.call("POST", f"/workflows/{workflow['id']}/publish", {"name": workflow["activeVersion"]["name"]})
        self.name = name

    def unpublish(self) -> None:
        self.call("POST", f"/workflows/{self.workflow()['id']}/unpublish")

    def archive(self) -> None:
        self.call("POST", f"/workflows/{self.workflow()['id']}/archive")

    def workflow(self) -> dict[str, Any]:
        return fetch_workflow(self.target, self.name)

    def all_named(self, name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.call("GET", f"/workflows?name={name}").json()["data"]
        return [entry for entry in found if entry["name"] == name]

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        key = {"X-N8N-API-KEY": self._key}
        answer = httpx.request(method, f"{self.target.url}/api/v1{path}", json=body, headers=key, timeout=30)
        return answer.raise_for_status()

    def _put(self, workflow: dict[str, Any]) -> None:
        body = {key: workflow[key] for key in ("name", "nodes", "connections", "settings")}
        self.call("PUT", f"/workflows/{workflow['id']}?publishIfActive=false", body)


@pytest.fixture(scope="module")
def editor_key(stack: Stack) -> str:
    """A key with every right that a person at the editor has: n8n lets them sign in five times in five minutes."""
    target = n8n_target(stack.settings)
    with httpx.Client(base_url=f"{target.url}/rest", headers={"browser-id": "test"}) as editor:
        login = {"emailOrLdapLoginId": target.owner_email, "password": target.owner_password}
        editor.post("/login", json=login).raise_for_status()
        scopes = (*API_KEY_SCOPES, "workflow:delete", "workflow:deactivate")
        made = editor.post("/api-keys", json={"label": "a person's", "expiresAt": None, "scopes": scopes})
        return str(made.raise_for_status().json()["data"]["rawApiKey"])


@pytest.fixture
def operator(stack: Stack, editor_key: str) -> Iterator[Operator]:
    """Somebody at n8n's editor, after whom it is tidied up."""
    person = Operator(stack, editor_key)
    yield person
    for entry in person.call("GET", "/workflows?limit=100").json()["data"]:
        if entry["name"].startswith("tried") or BESIDE_SUFFIX in entry["name"]:
            if not entry["isArchived"]:
                person.call("POST", f"/workflows/{entry['id']}/archive")
            person.call("DELETE", f"/workflows/{entry['id']}")


@pytest.fixture
def put(operator: Operator, workflow_file: Path) -> Put:
    """Provisions the tried workflow and says what was done; `words` make another version of it first."""

    def put(words: str = "", *, needed: bool = False) -> Outcome:
        if words:
            edited(workflow_file, words)
        return provision_n8n(operator.target, [workflow_file], needed=NAME if needed else "")[NAME]

    return put


def forget_history(stack: Stack) -> None:
    """What n8n does by itself a day later: only what is current or published stays of a workflow's versions."""
    with psycopg.connect(server_url(stack.settings).of("n8n")) as connection:
        connection.execute(
            'DELETE FROM workflow_history WHERE "versionId" NOT IN (SELECT "versionId" FROM workflow_entity) '
            'AND "versionId" NOT IN (SELECT "activeVersionId" FROM workflow_entity WHERE "activeVersionId" IS NOT NULL)'
        )


def note(workflow: dict[str, Any]) -> str:
    return str(workflow["nodes"][0]["parameters"]["content"])


def test_setting_up_again_changes_nothing(stack: Stack) -> None:
    assert set(provision(stack.settings).values()) == {"unchanged"}


def test_a_newer_workflow_replaces_one_nobody_touched_and_keeps_one_that_was_edited(
    operator: Operator, put: Put
) -> None:
    assert put() == "created"
    assert put("the second version") == "updated"
    assert note(operator.workflow()) == "the second version"

    operator.edit("edited by an operator")
    assert put() == "kept your edited version"
    assert put("the third version") == "kept yours, newer put beside it"
    assert put() == "kept your edited version"
    assert note(operator.workflow()) == "edited by an operator"
    assert note(fetch_workflow(operator.target, NAME + BESIDE_SUFFIX)) == "the third version"


def test_an_older_release_brings_its_own_version_back(operator: Operator, put: Put) -> None:
    assert [put("the old one"), put("the new one"), put("the old one")] == ["created", "updated", "updated"]
    assert note(operator.workflow()) == "the old one"
    operator.edit("mine", publish=True)
    assert put("the new one") == "kept yours, newer put beside it"
    assert put("the old one") == "kept your edited version"


def test_what_n8n_forgets_after_a_day_is_not_needed(stack: Stack, operator: Operator, put: Put) -> None:
    assert put("the first") == "created"
    forget_history(stack)
    assert put() == "unchanged"
    operator.edit("mine", publish=True)
    forget_history(stack)
    assert put() == "kept your edited version"
    assert operator.all_named(NAME + BESIDE_SUFFIX) == []


def test_an_offer_that_was_archived_is_not_made_again(operator: Operator, put: Put) -> None:
    put("the first")
    operator.edit("mine", publish=True)
    put("the second")
    operator.name = NAME + BESIDE_SUFFIX
    operator.archive()
    assert put() == "kept your edited version"
    assert put("the third") == "kept yours, newer put beside it"


def test_an_edit_that_was_not_published_is_kept_and_the_published_version_goes_on(operator: Operator, put: Put) -> None:
    put("the first")
    operator.edit("half done")
    assert put("the second") == "kept yours, newer put beside it"
    present = operator.workflow()
    assert (note(present), note(present["activeVersion"])) == ("half done", "the first")


def test_a_workflow_that_was_renamed_keeps_its_name_and_gets_newer_versions(operator: Operator, put: Put) -> None:
    put("the first")
    operator.rename("tried by another name")
    assert put("the second") == "updated"
    assert note(operator.workflow()) == "the second"
    assert operator.all_named(NAME) == []


def test_a_workflow_that_was_deleted_is_put_in_again(operator: Operator, put: Put) -> None:
    put()
    operator.archive()
    (archived,) = operator.all_named(NAME)
    operator.call("DELETE", f"/workflows/{archived['id']}")
    assert put() == "created"


def test_what_was_switched_off_or_archived_stays_so_unless_answers_need_it(operator: Operator, put: Put) -> None:
    put("the first")
    operator.unpublish()
    assert put() == "left switched off"
    assert put("the second") == "left switched off"
    assert put(needed=True) == "updated"
    assert note(operator.workflow()["activeVersion"]) == "the second"

    operator.archive()
    assert put("the third") == "left in the archive"
    assert put(needed=True) == "created"
    assert note(operator.workflow()["activeVersion"]) == "the third"


def test_a_provisioning_that_was_cut_off_is_finished_by_the_next(
    operator: Operator, put: Put, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_off(*_: object) -> None:
        raise SetupFailed("n8n was started anew just then")

    for before, words in ((None, "the first"), ("the first", "the second")):
        with monkeypatch.context() as patch:
            patch.setattr("pipelines.provision.n8n_workflows._publish", cut_off)
            with pytest.raises(SetupFailed):
                put(words)
        present = operator.workflow()
        assert (note(present["activeVersion"]) if before else present["activeVersion"]) == before

        assert put() == "updated"
        assert note(operator.workflow()["activeVersion"]) == words
    assert put() == "unchanged"


def test_an_operators_own_workflow_of_the_same_name_is_left_alone(operator: Operator, put: Put) -> None:
    clock = {
        "id": "8a0d5a52-7c35-4f7b-8e2e-0f4c9f3f9a11",
        "name": "When clicked",
        "type": "n8n-nodes-base.manualTrigger",
        "typeVersion": 1,
        "position": [0, 0],
        "parameters": {},
    }
    own = {"name": NAME, "nodes": [clock], "connections": {}, "settings": {"executionOrder": "v1"}}
    made = operator.call("POST", "/workflows", own).json()

    assert put() == "created"
    assert put("the second") == "updated"

    left = operator.call("GET", f"/workflows/{made['id']}").json()
    assert [node["name"] for node in left["nodes"]] == ["When clicked"]


def test_an_operators_own_workflow_at_the_same_address_is_kept(operator: Operator, put: Put) -> None:
    put("the first")
    mine = operator.workflow()
    operator.archive()
    mine["nodes"] = [{**node, "id": f"{number:08}"} for number, node in enumerate(mine["nodes"])]
    body = {"name": "tried on my own", **{key: mine[key] for key in ("nodes", "connections", "settings")}}
    body["nodes"][0]["parameters"]["content"] = "mine"
    made = operator.call("POST", "/workflows", body).json()
    operator.call("POST", f"/workflows/{made['id']}/publish", {"name": "mine"})

    assert put("the second", needed=True) == "kept yours, newer put beside it"
    operator.name = "tried on my own"
    assert note(operator.workflow()["activeVersion"]) == "mine"


def test_two_provisionings_at_once_do_it_once_with_one_new_key(operator: Operator, workflow_file: Path) -> None:
    old = operator.target.api_key_file.read_text()
    operator.target.api_key_file.unlink()
    with ThreadPoolExecutor(3) as several:
        runs = [several.submit(provision_n8n, operator.target, [workflow_file]) for _ in range(3)]
        outcomes = sorted(run.result(120)[NAME] for run in runs)
    assert outcomes == ["created", "unchanged", "unchanged"]
    assert len(operator.all_named(NAME)) == 1
    answer = httpx.get(f"{operator.target.url}/api/v1/workflows", headers={"X-N8N-API-KEY": old})
    assert answer.status_code == httpx.codes.UNAUTHORIZED


def test_credentials_are_brought_back_and_an_operators_own_are_left_alone(operator: Operator, put: Put) -> None:
    put()
    before = {entry["name"]: entry["id"] for entry in operator.call("GET", "/credentials?limit=100").json()["data"]}
    wrong = {"name": WEBHOOK_CREDENTIAL, "type": "httpHeaderAuth", "data": {"name": "X-Ragline-Key", "value": "wrong"}}
    operator.call("PATCH", f"/credentials/{before[WEBHOOK_CREDENTIAL]}", wrong)

    assert put() == "unchanged"

    after = {entry["name"]: entry["id"] for entry in operator.call("GET", "/credentials?limit=100").json()["data"]}
    assert after == before
    try_workflow(operator.target, "answer-question")


def test_another_password_of_the_owner_matters_only_where_a_key_is_to_be_made(
    operator: Operator, workflow_file: Path
) -> None:
    changed = replace(operator.target, owner_password="changed-in-env")
    assert provision_n8n(changed, [workflow_file]) == {NAME: "created"}
    kept = changed.api_key_file.rename(changed.api_key_file.with_suffix(".kept"))
    try:
        with pytest.raises(SetupFailed, match="start n8n anew, for it reads them at its start"):
            provision_n8n(changed, [workflow_file])
    finally:
        kept.rename(changed.api_key_file)


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
