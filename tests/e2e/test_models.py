"""Who answers: chosen by the reader, switched by the operator, replaced when it dies, and what the answer cost."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import httpx
import pytest

from pipelines.answer.model_names import spoken
from pipelines.demo import Heard, account, ask
from pipelines.provision.open_webui import OpenWebUI
from tests.e2e.test_answer_through_open_webui import hear
from tests.model_processes import ModelProcess
from tests.stack import BEDROCK, BEDROCK_BREAKS, BEDROCK_REFUSES, FAST, LATE, MODEL, SLOW, Stack, choice

pytestmark = pytest.mark.stack
QUESTION = "How much is paid for a complete week of on-call duty?"
ON_BEDROCK = f"{MODEL}:bedrock"
QUOTES = {"llm_fallback": "extractive/quotes"}
MAKE_UP_S = 45
"""For `make up` on a running stack, on a busy machine."""


@pytest.fixture(scope="module")
def reader(stack: Stack) -> Iterator[OpenWebUI]:
    with stack.reader("chooser") as account:
        yield account


@pytest.fixture(scope="module")
def stack_with_fallback(stack: Stack) -> Iterator[Stack]:
    """The same stack after the operator's switch to Bedrock, with quotes behind it."""
    with stack.switched(llm_provider="bedrock", llm_model="", ollama_model=FAST, **QUOTES):
        yield stack


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


def test_the_operators_switch_restarts_pipelines_alone_and_the_next_question_uses_it(
    stack: Stack, reader: OpenWebUI
) -> None:
    before = {name: stack.part(name).pid for name in ("pipelines", "n8n", "open-webui")}
    assert hear(reader, QUESTION).usage["answered_by"] == f"ollama/{FAST}"
    with stack.switched(llm_provider="bedrock", llm_model="", **QUOTES) as took:
        after = {name: stack.part(name).pid for name in before}
        heard = hear(reader, QUESTION)
    assert took < MAKE_UP_S
    assert {name for name in before if before[name] != after[name]} == {"pipelines"}
    assert heard.usage["answered_by"] == f"bedrock/{BEDROCK}"
    assert "[1]" in heard.text
    assert account(heard.usage).startswith(f"answered by {spoken(f'bedrock/{BEDROCK}')}, ")
    assert account(heard.usage).endswith(" USD")


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
