"""Asking in a real Chromium: what a reader sees while an answer is written, opens in it, and stops."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, expect
from tenacity import Retrying, stop_after_delay, wait_fixed

from pipelines.native.part_variables import part_variables
from pipelines.provision.open_webui import OpenWebUI
from tests.e2e.browser import ChatTab, new_window, running_chromium
from tests.e2e.test_answer_through_open_webui import QUOTES
from tests.stack import CHECKOUT, FAST, MODEL, SLOW, VERY_SLOW, Stack, choice

pytestmark = [pytest.mark.stack, pytest.mark.browser]
READER = "browser"
QUESTION = "How many days of annual leave may I carry over?"
SCREENSHOT = CHECKOUT / "tests" / "e2e" / "answer.png"
GRACE_S = 4
"""How long a closed tab may stay away before its answer is stopped."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with running_chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def reader(stack: Stack) -> Iterator[OpenWebUI]:
    with stack.reader(READER) as account:
        yield account


@pytest.fixture(scope="module")
def window(stack: Stack, chromium: Browser, reader: OpenWebUI) -> Iterator[BrowserContext]:
    with new_window(chromium, stack.settings.open_webui_url, reader) as window:
        yield window


@pytest.fixture
def tab(stack: Stack, window: BrowserContext) -> Iterator[ChatTab]:
    """A new chat; no answer of it is left running."""
    stack.reset_models()
    tab = ChatTab.open(window)
    yield tab
    tab.page.close()
    within(GRACE_S + 6, lambda: stack.model_stats()["active"] == 0)


def within(seconds: float, true: Callable[[], bool]) -> None:
    """Wait until something is so, and fail when it takes longer."""
    for attempt in Retrying(stop=stop_after_delay(seconds), wait=wait_fixed(0.05), reraise=True):
        with attempt:
            assert true()


def test_a_reader_signs_in_picks_a_model_sees_the_answer_grow_and_opens_a_citation(
    stack: Stack, chromium: Browser, reader: OpenWebUI
) -> None:
    with new_window(chromium, stack.settings.open_webui_url) as window:
        tab = ChatTab.sign_in(window, f"{READER}@example.org", stack.reader_password)
        tab.choose(choice(SLOW))
        tab.ask(QUESTION)
        expect(tab.status).to_have_text(re.compile(r"Found \d+ passages in"))

        lengths = []
        for word in (8, 16, 24, 32):
            expect(tab.answer).to_contain_text(f"word{word} ")
            lengths.append(len(tab.answer.inner_text()))
            assert stack.model_stats()["active"] == 1
        # A busy browser may paint two of the words at once; it still grows, and is not whole from the start.
        assert lengths == sorted(lengths) and len(set(lengths)) > 2

        tab.citation("annual-leave.md").click()
        expect(tab.passages).to_contain_text("annual-leave.md")
        expect(tab.passages).to_contain_text("Up to five days may be carried into the next year.")
        tab.page.keyboard.press("Escape")
        expect(tab.answer).to_contain_text("word60")
        tab.status.click()
        expect(tab.page.get_by_text("Searching your documents")).to_be_visible()


def test_an_ordinary_reader_is_offered_our_models_and_our_suggestions(tab: ChatTab) -> None:
    told = part_variables(CHECKOUT / "compose/open-webui.env")
    suggestions = json.loads(told["DEFAULT_PROMPT_SUGGESTIONS"])
    expect(tab.suggestions).to_have_count(len(suggestions))
    shown = {" ".join(text.split()) for text in tab.suggestions.all_inner_texts()}
    assert shown == {" ".join(suggestion["title"]) for suggestion in suggestions}

    tab.page.get_by_role("button", name="Selected model: Company documents").click()
    expect(tab.models.first).to_have_attribute("data-value", MODEL)
    names = tab.models.all_inner_texts()
    assert names[0] == "Company documents"
    assert all(name.startswith("Company documents") for name in names)


def test_a_turn_with_title_tags_and_follow_ups_is_one_run_of_the_workflow(stack: Stack, tab: ChatTab) -> None:
    before = stack.executions()
    tab.choose(choice(FAST))
    tab.ask(QUESTION)
    expect(tab.title).to_have_text("A mock conversation")
    expect(tab.page.get_by_role("button", name="Follow up: Where is that written?")).to_be_visible()
    within(10, lambda: stack.model_stats()["completed"] == 4)
    assert stack.model_stats()["tasks"] == 3
    assert stack.executions() == before + 1


def test_a_follow_up_in_the_same_chat_is_understood(tab: ChatTab) -> None:
    tab.choose(QUOTES)
    tab.ask("What is the hotel limit per night in Rotterdam?")
    expect(tab.answer).to_contain_text("165 EUR")
    expect(tab.finished).to_be_visible()
    chat = tab.page.url
    tab.ask("And in Lisbon?")
    expect(tab.answer).to_contain_text("155 EUR")
    expect(tab.page.locator("#response-content-container")).to_have_count(2)
    assert tab.page.url == chat
    tab.citation("travel-and-expenses-2026.pdf p.2").click()
    expect(tab.passages).to_contain_text("Lisbon")


def test_closing_the_tab_stops_the_model(stack: Stack, tab: ChatTab) -> None:
    tab.choose(choice(VERY_SLOW))
    tab.ask(QUESTION)
    expect(tab.answer).to_contain_text("word8 ")
    assert stack.model_stats()["active"] == 1
    tab.page.close()
    within(GRACE_S + 6, lambda: stack.model_stats()["cancelled"] == 1)
    assert stack.model_stats()["active"] == 0


def test_reloading_the_tab_does_not_stop_the_answer_and_the_stop_button_does(stack: Stack, tab: ChatTab) -> None:
    tab.choose(choice(VERY_SLOW))
    tab.ask(QUESTION)
    expect(tab.answer).to_contain_text("word8 ")
    tab.page.reload()
    ten_a_second = (GRACE_S + 3) * 10
    expect(tab.answer).to_contain_text(f"word{8 + ten_a_second} ")
    assert stack.model_stats()["cancelled"] == 0

    tab.stop()
    within(1.5, lambda: stack.model_stats()["cancelled"] == 1)
    assert stack.model_stats()["active"] == 0


def test_a_cited_answer_looks_as_the_readme_shows_it(tab: ChatTab, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    tab.choose(QUOTES)
    tab.ask("What is the hotel limit per night in Rotterdam?")
    expect(tab.citation("travel-and-expenses-2026.pdf p.2")).to_be_visible()
    expect(tab.finished).to_be_visible()
    tab.ask("How is on-call duty compensated?")
    expect(tab.citation("on-call-and-overtime.docx")).to_be_visible()
    expect(tab.finished).to_be_visible()
    taken = tmp_path / SCREENSHOT.name
    tab.page.screenshot(path=taken, animations="disabled", caret="hide")
    if pytestconfig.getoption("--update-screenshot", default=False) or not SCREENSHOT.exists():
        SCREENSHOT.parent.mkdir(exist_ok=True)
        shutil.copy(taken, SCREENSHOT)
