"""compose/minimal.yml: the whole stack starts and answers under limits that together stay under 6 GB."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.compose.cgroups import counted
from tests.compose.conftest import SOURCE, first_cited_answer
from tests.compose.deployment import ONE_SHOTS, Deployment, Images, deployed
from tests.e2e.test_uploads_in_open_webui import Desk

ALL_MB = 6 * 1024

pytestmark = pytest.mark.usefixtures("shared_stack_frozen")


@pytest.fixture(scope="module")
def minimal(images: Images) -> Iterator[Deployment]:
    with deployed("ragline-minimal", overlays=["minimal"], images=images) as stack:
        stack.up()
        yield stack


def test_it_answers_from_the_documents(minimal: Deployment) -> None:
    heard = first_cited_answer(minimal)
    assert heard.error == ""
    assert heard.citations[0].startswith(SOURCE)


def test_an_upload_is_read_beside_the_questions(minimal: Deployment) -> None:
    with minimal.admin() as admin:
        desk = Desk(f"{minimal.open_webui_url}/api/v1", admin.token)
        file = desk.upload("lockers.md", b"# Lockers\n\nA locker in the cellar costs 7 euros a month.\n")
        assert desk.file(file)["content"] == "lockers.md is ready: 1 passage."
        assert minimal.ask(admin, "What does a locker in the cellar cost a month?").citations[0] == "lockers.md"


def test_the_limits_of_all_that_stays_are_under_6_gb(minimal: Deployment) -> None:
    limits = {one.service: one.limit_mb for one in minimal.containers() if one.service not in ONE_SHOTS}
    assert 0 not in limits.values()
    assert sum(limits.values()) <= ALL_MB


def test_nothing_was_killed_for_its_memory_nor_restarted(minimal: Deployment) -> None:
    containers = minimal.containers()
    assert [one.service for one in containers if one.oom_killed] == []
    assert {one.service: one.restarts for one in containers if one.restarts} == {}
    killed = {one.service: counted(one.pid).oom_kills for one in containers if one.state == "running"}
    assert {service: times for service, times in killed.items() if times} == {}
