"""Asking through Open WebUI's own API: streamed, cited, with the conversation, and only what a reader may read."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pipelines.demo import Heard, ask
from pipelines.errors import SetupFailed
from pipelines.provision.open_webui import OpenWebUI
from tests.e2e.conftest import PEOPLE_TEAM
from tests.stack import FAST, MISCITES, MODEL, SLOW, Stack, choice

pytestmark = pytest.mark.stack
QUOTES = f"{MODEL}:extractive/quotes"
CANARY = "copper lanterns over slack water"


@pytest.fixture(scope="module")
def reader(stack: Stack) -> Iterator[OpenWebUI]:
    with stack.reader("reader") as account:
        yield account


def hear(reader: OpenWebUI, *turns: str, model: str = MODEL) -> Heard:
    """What a reader hears in the end; a question refused before its answer began is an error too."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": turn} for number, turn in enumerate(turns)]
    try:
        return [heard for _, heard in ask(reader, messages, model=model)][-1]
    except SetupFailed as refused:
        return Heard(error=refused.message)


def test_an_answer_is_streamed_cited_and_measured(reader: OpenWebUI) -> None:
    heard = hear(reader, "How much is paid for a complete week of on-call duty?", model=choice(FAST))
    assert heard.error == ""
    assert "[1]" in heard.text
    assert heard.citations[0].startswith("on-call-and-overtime.docx")
    assert heard.statuses[0] == "Searching your documents"
    assert heard.statuses[-1].startswith("Found ")
    assert heard.usage["completion_tokens"] == 50
    assert heard.usage["answered_by"] == f"ollama/{FAST}"
    assert heard.usage["timings"].keys() >= {"ttft_ms", "embed_ms", "search_ms", "workflow_ms", "model_ttft_ms"}


def test_a_number_that_no_passage_has_never_reaches_the_reader(reader: OpenWebUI) -> None:
    heard = hear(reader, "How much is paid for a complete week of on-call duty?", model=choice(MISCITES))
    assert heard.error == ""
    assert 1 <= len(heard.citations) < 98
    assert heard.text == "It is 28 days [1] or 30 a year [1]."


def test_the_first_words_arrive_before_a_third_of_the_time_has_passed(reader: OpenWebUI) -> None:
    messages = [{"role": "user", "content": "What does the annual leave rule say?"}]
    pieces: list[float] = []
    started = time.perf_counter()
    for piece, _ in ask(reader, messages, model=choice(SLOW)):
        if piece:
            pieces.append(time.perf_counter() - started)
    total = time.perf_counter() - started
    assert total > 3.5
    assert pieces[0] < total / 3
    assert len(pieces) > 30
    middle = [moment for moment in pieces if total / 3 < moment < 2 * total / 3]
    assert len(middle) > len(pieces) / 5


def test_without_a_language_model_the_answer_quotes_the_row_of_the_newer_policy(reader: OpenWebUI) -> None:
    heard = hear(reader, "What is the hotel limit per night in Rotterdam?", model=QUOTES)
    assert "165 EUR" in heard.text
    assert any(name.startswith("travel-and-expenses-2026.pdf p.2") for name in heard.citations)


def test_a_follow_up_is_understood_from_the_conversation(reader: OpenWebUI) -> None:
    first = "What is the hotel limit per night in Rotterdam?"
    heard = hear(reader, first, "165 EUR. [1]", "And in Lisbon?", model=QUOTES)
    assert "155 EUR" in heard.text


def test_a_question_no_document_answers_says_so(reader: OpenWebUI) -> None:
    for question in ("Who won the football world cup in 1998?", "What is the hotel limit per night in Tokyo?"):
        heard = hear(reader, question, model=QUOTES)
        assert heard.text.strip() == "I could not find this in your documents."


def test_only_members_of_its_group_see_a_restricted_document(stack: Stack, reader: OpenWebUI) -> None:
    question = "What is the salary band of a senior engineer?"
    outsider = hear(reader, question, model=QUOTES)
    with stack.reader("insider", group=PEOPLE_TEAM) as account:
        insider = hear(account, question, model=QUOTES)
    assert any(name.startswith("salary-bands") for name in insider.citations)
    assert not any(name.startswith("salary-bands") for name in outsider.citations)
    phrase = hear(reader, f"Where does it say {CANARY}?", model=QUOTES)
    assert CANARY not in phrase.text
    assert not any(name.startswith("salary-bands") for name in phrase.citations)


def test_the_prompt_that_reaches_the_model_holds_passages_and_question(stack: Stack, reader: OpenWebUI) -> None:
    hear(reader, "How many days of annual leave do I have in Bremerhaven?", model=choice(FAST))
    sent = stack.model_stats()["last_request"]["messages"]
    assert [message["role"] for message in sent] == ["system", "user"]
    assert "<documents>" in sent[1]["content"]
    assert sent[1]["content"].rstrip().endswith("</question>")
    assert CANARY not in sent[1]["content"]
