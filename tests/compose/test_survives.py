"""`docker compose down` and `up` again: everything that people put in is there, and nothing is made twice."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from tests.compose.asking import streamed
from tests.compose.conftest import QUESTION, SOURCE
from tests.compose.inside import Inside, Kept
from tests.e2e.browser import ChatTab, new_window
from tests.e2e.test_uploads_in_open_webui import GATE, Desk, within
from tests.e2e.test_uploads_in_open_webui import QUESTION as GATE_QUESTION

pytestmark = [pytest.mark.stack, pytest.mark.browser]
EDIT = "## Edited by an operator\nThis note is ours."
WORKFLOW = "answer-question"
READ_S = 60


@dataclass(frozen=True)
class Before:
    """What was there, what it was said to be, and the chat that was open."""

    kept: Kept
    chat: str
    answer: str
    upload: str


@pytest.fixture(scope="module")
def before(inside_of_session: Inside, chromium: Browser) -> Before:
    """Everything that people can put in has been put in; then the stack has been taken down, and started again."""
    inside = inside_of_session
    stack, desk = inside.stack, Desk(f"{inside.stack.open_webui_url}/api/v1", inside.reader.token)
    upload = desk.upload("ulm.md", GATE)
    origin = inside.add("kept.md", "# Kept\n\nThe kept word is Lantern.\n")
    within(READ_S, lambda: inside.documents()[origin]["state"] == "ready")
    inside.edit_workflow(WORKFLOW, EDIT)
    chat, answer = chat_with_an_answer(inside, chromium)
    before = Before(inside.kept(), chat, answer, upload)

    stack.down()
    assert stack.containers() == []
    stack.up()
    return before


def chat_with_an_answer(inside: Inside, chromium: Browser) -> tuple[str, str]:
    """The address of a new chat, and the text of the answer in it."""
    with new_window(chromium, inside.stack.open_webui_url, inside.reader) as window:
        tab = ChatTab.open(window)
        tab.ask(QUESTION)
        expect(tab.finished).to_be_visible()
        expect(tab.citation(SOURCE)).to_be_visible()
        # titles and tags are added after the answer
        expect(tab.page.get_by_role("button", name="Follow up").first).to_be_visible()
        return tab.page.url, tab.answer.inner_text()


def test_everything_is_there_as_it_was_and_nothing_twice(before: Before, inside: Inside) -> None:
    assert inside.kept() == before.kept
    assert before.kept.vectors
    assert len(before.kept.workflows) >= 4
    assert any("open-webui/" in key for key in before.kept.objects)
    assert any("uploads/" in key for key in before.kept.objects)


def test_what_the_operator_edited_is_still_edited_and_published(before: Before, inside: Inside) -> None:
    workflow = inside.workflows()[WORKFLOW]
    assert workflow["nodes"][0]["parameters"]["content"] == EDIT
    assert workflow["activeVersionId"] == workflow["versionId"]
    assert f"{WORKFLOW}: kept your edited version" in inside.stack.logs("provision")


def test_the_old_chat_opens_with_its_answer_and_goes_on(before: Before, inside: Inside, chromium: Browser) -> None:
    with new_window(chromium, inside.stack.open_webui_url, inside.reader) as window:
        tab = ChatTab(window.new_page())
        tab.page.goto(before.chat)
        expect(tab.citation(SOURCE)).to_be_visible()
        assert tab.answer.inner_text() == before.answer
        tab.ask("And for a single night of it?")
        expect(tab.page.locator("#response-content-container")).to_have_count(2)
        expect(tab.finished).to_be_visible()
        expect(tab.answer.get_by_role("button", name="View source").first).to_be_visible()


def test_a_new_question_is_answered_with_a_citation(before: Before, inside: Inside) -> None:
    parts = list(streamed(inside.reader, f"{QUESTION} I ask after the restart."))
    assert next(words for _, part, words in parts if part == "source").startswith(SOURCE)
    assert parts[-1][1] == "usage"


def test_what_was_uploaded_is_answered_from_and_can_be_taken_out(before: Before, inside: Inside) -> None:
    def found() -> bool:
        return any("ulm.md" in words for _, part, words in streamed(inside.reader, GATE_QUESTION) if part == "source")

    assert found()
    Desk(f"{inside.stack.open_webui_url}/api/v1", inside.reader.token).call("DELETE", f"/files/{before.upload}")
    within(READ_S, lambda: not found())
