"""Who answers: chosen by the reader, switched by the operator, replaced when it dies, and what the answer cost."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from playwright.sync_api import BrowserContext, expect
from rich.console import Console

from pipelines.answer.generate.model_names import spoken
from pipelines.demo import Heard, ask, run_demo
from pipelines.native.status import status
from pipelines.provision.open_webui import OpenWebUI
from tests.e2e.browser import ChatTab, new_window, running_chromium
from tests.e2e.test_answer_through_open_webui import hear
from tests.model_processes import ModelProcess
from tests.stack import BEDROCK, BEDROCK_BREAKS, BEDROCK_REFUSES, FAST, LATE, MODEL, SLOW, Stack, choice

pytestmark = pytest.mark.stack
QUESTION = "How much is paid for a complete week of on-call duty?"
ON_BEDROCK = f"{MODEL}:bedrock"
FOUND = re.compile(r"Found \d+ passages in")
MAKE_UP_S = 45
"""For `make up` on a running stack, on a busy machine."""


@pytest.fixture(scope="module")
def reader(stack: Stack) -> Iterator[OpenWebUI]:
    with stack.reader("chooser") as account:
        yield account


@dataclass(frozen=True)
class Switch:
    """What the operator's switch took, and which parts it restarted."""

    seconds: float
    restarted: frozenset[str]


@pytest.fixture(scope="module")
def switch(stack: Stack) -> Iterator[Switch]:
    """The operator has switched to Bedrock, with quotes behind it and answers kept."""
    before = {part.name: part.pid for part in status(stack.settings)}
    changes = {"llm_provider": "bedrock", "llm_model": "", "ollama_model": FAST, "answer_cache_mb": 32}
    with stack.switched(**changes, llm_fallback="extractive/quotes") as seconds:
        after = {part.name: part.pid for part in status(stack.settings)}
        yield Switch(seconds, frozenset(name for name in before if before[name] != after[name]))


@pytest.fixture(scope="module")
def stack_with_fallback(stack: Stack, switch: Switch) -> Stack:
    return stack


@pytest.fixture(scope="module")
def window(stack_with_fallback: Stack, reader: OpenWebUI) -> Iterator[BrowserContext]:
    url = stack_with_fallback.settings.open_webui_url
    with running_chromium() as chromium, new_window(chromium, url, reader) as window:
        yield window


def hear_until_killed(
    reader: OpenWebUI, model: str, server: ModelProcess, *, after_words: bool, question: str = QUESTION
) -> Heard:
    """What a reader hears of `model` whose server is killed before, or just after, its first words."""
    ends: list[Heard] = []
    begun = threading.Event()

    def read() -> None:
        for piece, heard in ask(reader, [{"role": "user", "content": question}], model=model):
            if piece:
                begun.set()
            else:
                ends.append(heard)

    server.reset()
    thread = threading.Thread(target=read)
    thread.start()
    try:
        if after_words:
            assert begun.wait(20)
        else:
            waited = time.monotonic()
            while not server.stats()["requests"]:
                assert time.monotonic() - waited < 20
                time.sleep(0.05)
        server.kill()
        thread.join(20)
    finally:
        server.start()
    assert not thread.is_alive()
    return ends[0]


def test_every_provider_is_an_entry_named_for_people(stack: Stack, reader: OpenWebUI) -> None:
    headers = {"Authorization": f"Bearer {reader.token}"}
    listed = httpx.get(f"{stack.settings.open_webui_url}/api/models", headers=headers).json()["data"]
    names = {entry["id"]: entry["name"] for entry in listed}
    assert names[MODEL] == "Company documents"
    assert names[f"{MODEL}:ollama"] == "Company documents - Ollama"
    assert names[ON_BEDROCK] == "Company documents - Bedrock"


def test_the_readers_choice_answers_with_citations_usage_and_cost(stack: Stack, reader: OpenWebUI) -> None:
    stack.aws.reset()
    heard = hear(reader, QUESTION, model=ON_BEDROCK)
    assert heard.error == ""
    assert "[1]" in heard.text
    assert heard.citations[0].startswith("on-call-and-overtime.docx")
    assert heard.usage["answered_by"] == f"bedrock/{BEDROCK}"
    assert heard.usage["prompt_tokens"] > 100
    assert heard.usage["estimated"] is False
    assert heard.usage["cost_usd"] > 0
    assert [arrival["model"] for arrival in stack.aws.stats()["arrivals"]] == [BEDROCK]

    assert hear(reader, QUESTION, model=choice(FAST)).usage["answered_by"] == f"ollama/{FAST}"


@pytest.mark.parametrize("model", [*BEDROCK_REFUSES, BEDROCK_BREAKS])
def test_what_bedrock_refuses_or_breaks_off_is_an_error_and_no_answer(reader: OpenWebUI, model: str) -> None:
    heard = hear(reader, QUESTION, model=choice(model, "bedrock"))
    assert "Bedrock" in heard.error
    assert not heard.usage


def test_the_default_is_what_the_operator_has_set(reader: OpenWebUI) -> None:
    assert hear(reader, QUESTION).usage["answered_by"] == f"ollama/{FAST}"


def test_the_operators_switch_restarts_pipelines_alone_and_the_next_question_uses_it(
    switch: Switch, reader: OpenWebUI
) -> None:
    heard = hear(reader, QUESTION)
    assert switch.seconds < MAKE_UP_S
    assert switch.restarted == {"pipelines"}
    assert heard.usage["answered_by"] == f"bedrock/{BEDROCK}"
    assert "[1]" in heard.text


def test_the_demo_shows_citations_tokens_and_cost_of_bedrock(switch: Switch, reader: OpenWebUI) -> None:
    said = io.StringIO()
    run_demo(reader, Console(file=said, width=200), [QUESTION])
    assert "  [1] on-call-and-overtime.docx" in said.getvalue()
    account = rf"answered by {re.escape(spoken(f'bedrock/{BEDROCK}'))}, \d+ tokens read, \d+ written, 0\.000\d+ USD"
    assert re.search(account, said.getvalue())
    assert "first word" in said.getvalue()


def test_a_provider_killed_before_its_first_word_is_replaced_and_the_reader_is_told(
    stack_with_fallback: Stack, reader: OpenWebUI
) -> None:
    heard = hear_until_killed(reader, choice(LATE), stack_with_fallback.models, after_words=False)
    assert heard.error == ""
    assert f"Ollama ({LATE}) did not answer: quotes from your documents instead" in heard.statuses
    assert "[1]" in heard.text
    assert heard.usage["answered_by"] == "extractive/quotes"


def test_a_provider_killed_in_the_middle_is_an_error_and_nobody_goes_on_in_its_place(
    stack_with_fallback: Stack, reader: OpenWebUI
) -> None:
    heard = hear_until_killed(reader, choice(SLOW), stack_with_fallback.models, after_words=True)
    assert "Ollama" in heard.error
    assert heard.text.count("According") == 1
    assert "quotes" not in heard.text
    assert not heard.usage


@pytest.mark.browser
def test_a_reader_sees_who_answers_for_a_dead_provider_and_where_an_answer_broke_off(
    stack_with_fallback: Stack, window: BrowserContext
) -> None:
    models = stack_with_fallback.models
    models.reset()
    tab = ChatTab.open(window)
    tab.choose(choice(LATE))
    tab.ask(QUESTION)
    expect(tab.status).to_have_text(FOUND)
    while not models.stats()["requests"]:
        time.sleep(0.05)
    models.kill()
    expect(tab.status).to_have_text(f"Ollama ({LATE}) did not answer: quotes from your documents instead")
    expect(tab.answer).to_contain_text("305 EUR")

    models.start()
    tab = ChatTab.open(window)
    tab.choose(choice(SLOW))
    tab.ask(QUESTION)
    expect(tab.answer).to_contain_text("word8 ")
    models.kill()
    expect(tab.answer).to_contain_text("The connection to Ollama broke")
    expect(tab.finished).to_be_visible()
    assert "305 EUR" not in tab.answer.inner_text()
    models.start()


@pytest.mark.browser
def test_what_an_answer_cost_is_shown_and_kept_with_it(
    stack_with_fallback: Stack, reader: OpenWebUI, window: BrowserContext
) -> None:
    tab = ChatTab.open(window)
    tab.ask("How many days of annual leave may I carry over?")  # a kept answer costs nothing
    expect(tab.finished).to_be_visible()
    expect(tab.usage()).to_contain_text("cost_usd: 0.0000")
    expect(tab.usage()).to_contain_text(f'answered_by: "bedrock/{BEDROCK}"')

    chat = f"{stack_with_fallback.settings.open_webui_url}/api/v1/chats/{tab.page.url.rpartition('/')[2]}"
    kept = httpx.get(chat, headers={"Authorization": f"Bearer {reader.token}"}).json()["chat"]["history"]["messages"]
    (answer,) = (message for message in kept.values() if message["role"] == "assistant")
    assert answer["usage"]["cost_usd"] > 0
    assert answer["usage"]["total_tokens"] > 100


@pytest.mark.browser
def test_a_kept_answer_says_so_and_trying_again_gives_a_new_one(
    stack_with_fallback: Stack, window: BrowserContext
) -> None:
    asked = "What is the hotel limit per night in Rotterdam?"
    first = ChatTab.open(window)
    first.ask(asked)
    expect(first.finished).to_be_visible()

    stack_with_fallback.aws.reset()
    tab = ChatTab.open(window)
    tab.ask(asked)
    expect(tab.status).to_have_text("This question was asked before: the answer is the one given then")
    expect(tab.citation("travel-and-expenses-2026.pdf p.2")).to_be_visible()
    assert answers(stack_with_fallback, asked) == 0

    tab.try_again()
    expect(tab.status).to_have_text(FOUND)
    expect(tab.finished).to_be_visible()
    assert answers(stack_with_fallback, asked) == 1


def answers(stack: Stack, question: str) -> int:
    """How often Bedrock was asked this, and not for a title or a tag of it."""
    prompt_end = f"{question}\n</question>"
    return sum(arrival["question"].endswith(prompt_end) for arrival in stack.aws.stats()["arrivals"])
