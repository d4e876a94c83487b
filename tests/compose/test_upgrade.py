"""An upgrade, and the way back: `docker compose up -d` with other images, or with other settings, on kept data."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from pipelines.provision.n8n_workflows import BESIDE_SUFFIX
from pipelines.provision.open_webui import OpenWebUI
from tests.compose.asking import Told, ask_once
from tests.compose.binaries import compose_versions
from tests.compose.conftest import QUESTION, first_cited_answer
from tests.compose.deployment import ONE_SHOTS, PIPELINES_IMAGE, Deployment, Images, deployed
from tests.compose.inside import Inside, Kept
from tests.compose.previous_image import VERSION, WORDS, build_previous_image
from tests.e2e.test_uploads_in_open_webui import GATE, Desk, within

pytestmark = pytest.mark.stack

PREVIOUS_IMAGE = "ragline-test/pipelines:previous"
EDITED, UNTOUCHED = "answer-question", "sync-documents"
EDIT = "## Edited by an operator\nThis note is ours."
ALONE_SINCE = (2, 40)
"""Compose 2.26 makes anew whatever depends on what is made anew; this one, which is the newest here, leaves it."""

OURS = {"pipelines", "pipelines-worker", *ONE_SHOTS} - {"open-webui-first"}
"""What runs the image of pipelines, and is told its settings."""


COMPOSE = compose_versions()[-1]


@dataclass(frozen=True)
class Moment:
    """What there was at one moment, and what a reader was answered."""

    kept: Kept
    workflows: dict[str, dict[str, Any]]
    read: str
    """When each document was read, which is when its vectors were made."""
    version: str
    containers: dict[str, str]
    told: Told

    def note(self, workflow: str) -> str:
        return str(self.workflows[workflow]["nodes"][0]["parameters"]["content"])

    def published(self, workflow: str) -> bool:
        """Whether what is called is what the editor shows."""
        found = self.workflows[workflow]
        return bool(found["activeVersionId"] == found["versionId"])


@dataclass(frozen=True)
class Upgrade:
    """One after the other, on the same data."""

    before: Moment
    after: Moment
    rolled_back: Moment


@pytest.fixture(scope="module")
def inside_of_upgrade(request: pytest.FixtureRequest, images: Images, shared_stack_frozen: None) -> Iterator[Inside]:
    """A stack of the previous release, in use."""
    with ExitStack() as exits:
        project = f"{request.config.getoption('--project')}-upgrade"
        program = Path(COMPOSE.command[0]) if len(COMPOSE.command) == 1 else None
        stack = exits.enter_context(deployed(project, images=images, compose_program=program))
        build_previous_image(PREVIOUS_IMAGE, current=PIPELINES_IMAGE)
        stack.variables["PIPELINES_IMAGE"] = PREVIOUS_IMAGE
        stack.up()
        first_cited_answer(stack)
        admin = exits.enter_context(stack.admin())
        yield Inside(stack, admin, exits.enter_context(reader_of(stack, admin)))


def reader_of(stack: Deployment, admin: OpenWebUI) -> OpenWebUI:
    email, password = "reader@example.org", secrets.token_urlsafe(12)
    admin.put_user(name="Reader", email=email, password=password)
    return OpenWebUI(stack.open_webui_url, email=email, password=password, timeout_s=60)


@pytest.fixture(scope="module")
def upgrade(inside_of_upgrade: Inside) -> Upgrade:
    inside = inside_of_upgrade
    desk = Desk(f"{inside.stack.open_webui_url}/api/v1", inside.reader.token)
    desk.upload("ulm.md", GATE)
    messages = {"messages": [{"role": "user", "content": QUESTION}], "title": "A chat of the earlier release"}
    desk.call("POST", "/chats/new", {"chat": messages})
    inside.edit_workflow(EDITED, EDIT)
    before = moment(inside)

    after = moment(with_image(inside, PIPELINES_IMAGE))
    return Upgrade(before, after, moment(with_image(inside, PREVIOUS_IMAGE)))


def with_image(inside: Inside, image: str) -> Inside:
    inside.stack.variables["PIPELINES_IMAGE"] = image
    inside.stack.up()
    return inside


def moment(inside: Inside) -> Moment:
    told = ask_once(inside.reader, f"{QUESTION} I ask with {inside.stack.variables['PIPELINES_IMAGE']}.")
    version = inside.stack.exec("pipelines", "python", "-c", "import pipelines; print(pipelines.__version__)").strip()
    read = inside.sql("ragline", "SELECT id, indexed_at, attempts FROM document ORDER BY id")
    return Moment(inside.kept(), inside.workflows(), read, version, containers(inside.stack), told)


def containers(stack: Deployment) -> dict[str, str]:
    return {one.service: one.id for one in stack.containers()}


def made_anew(before: dict[str, str], after: dict[str, str], *, expected: set[str]) -> bool:
    """Whether these services have other containers, and no others have where Compose leaves those alone."""
    found = {service for service in after if after[service] != before[service]}
    return found == expected if COMPOSE.version >= ALONE_SINCE else found >= expected


# --- other images ----------------------------------------------------------------------------------------------------


def test_an_upgrade_starts_anew_what_has_another_image_and_nothing_else(upgrade: Upgrade) -> None:
    assert (upgrade.before.version, upgrade.after.version) == (VERSION, upgrade.after.version)
    assert upgrade.after.version != VERSION
    assert made_anew(upgrade.before.containers, upgrade.after.containers, expected=OURS)


def test_people_chats_documents_and_credentials_are_there_as_they_were(upgrade: Upgrade) -> None:
    assert without_workflows(upgrade.after.kept) == without_workflows(upgrade.before.kept)
    assert upgrade.before.kept.chats
    assert upgrade.before.kept.credentials
    # nothing was read or embedded again
    assert upgrade.after.read == upgrade.before.read


def without_workflows(kept: Kept) -> Kept:
    return replace(kept, workflows={})


def test_what_an_operator_edited_is_kept_published_and_answers(upgrade: Upgrade) -> None:
    assert upgrade.before.note(EDITED) == upgrade.after.note(EDITED) == EDIT
    edited = {moment.workflows[EDITED]["versionId"] for moment in (upgrade.before, upgrade.after, upgrade.rolled_back)}
    assert len(edited) == 1
    assert upgrade.after.published(EDITED)
    assert upgrade.after.told.end == "answered"


def test_the_newer_shipped_version_is_offered_beside_it_unpublished(upgrade: Upgrade) -> None:
    assert EDITED + BESIDE_SUFFIX not in upgrade.before.workflows
    offered = upgrade.after.workflows[EDITED + BESIDE_SUFFIX]
    assert upgrade.after.note(EDITED + BESIDE_SUFFIX) not in (EDIT, WORDS)
    assert offered["activeVersionId"] is None


def test_what_nobody_edited_is_the_newer_one_and_published(upgrade: Upgrade) -> None:
    others = upgrade.before.workflows.keys() - {EDITED}
    assert UNTOUCHED in others
    for name in others:
        assert upgrade.before.note(name) == WORDS
        assert upgrade.after.note(name) != WORDS
        assert upgrade.after.published(name)
        assert upgrade.after.workflows[name]["id"] == upgrade.before.workflows[name]["id"]


def test_the_way_back_loses_nothing_and_answers(upgrade: Upgrade) -> None:
    assert upgrade.rolled_back.version == VERSION
    assert without_workflows(upgrade.rolled_back.kept) == without_workflows(upgrade.before.kept)
    assert upgrade.rolled_back.read == upgrade.before.read
    assert upgrade.rolled_back.told.end == "answered"
    assert upgrade.rolled_back.note(EDITED) == EDIT
    assert upgrade.rolled_back.note(UNTOUCHED) == WORDS
    assert upgrade.rolled_back.published(UNTOUCHED)


# --- other settings --------------------------------------------------------------------------------------------------


def test_another_setting_starts_anew_who_is_told_it(upgrade: Upgrade, inside_of_upgrade: Inside) -> None:
    stack = inside_of_upgrade.stack
    before = containers(stack)
    stack.up()
    assert containers(stack) == before

    set_in_env(stack, RETRIEVE_LIMIT="2")
    stack.up()
    assert made_anew(before, containers(stack), expected=OURS)
    heard = stack.ask(inside_of_upgrade.reader, f"{QUESTION} I ask with fewer passages.")
    assert any(status.startswith("Found 2 passages") for status in heard.statuses)


def test_another_secret_reaches_both_sides_of_it(upgrade: Upgrade, inside_of_upgrade: Inside) -> None:
    stack = inside_of_upgrade.stack
    before = containers(stack)
    set_in_env(stack, GATEWAY_API_KEY=secrets.token_hex(20))
    stack.up()
    assert made_anew(before, containers(stack), expected={*OURS, "open-webui"})
    within(60, lambda: ask_once(inside_of_upgrade.reader, f"{QUESTION} I ask with another key.").end == "answered")


def set_in_env(stack: Deployment, **values: str) -> None:
    """As somebody who edits .env does."""
    file = stack.folder / ".env"
    kept = [line for line in file.read_text().splitlines() if line.partition("=")[0] not in values]
    file.write_text("\n".join([*kept, *(f"{name}={value}" for name, value in values.items()), ""]))
