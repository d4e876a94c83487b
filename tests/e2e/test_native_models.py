"""The workflow with n8n's own Ollama and Bedrock nodes: one setting away, and no reader sees a difference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pipelines.demo import Heard
from pipelines.provision.open_webui import OpenWebUI
from pipelines.provision.run import NATIVE_WORKFLOW
from tests.e2e.test_answer_through_open_webui import hear
from tests.e2e.test_models import ON_BEDROCK, QUESTION, hear_until_killed
from tests.stack import BEDROCK, BEDROCK_BREAKS, BEDROCK_REFUSES, BREAKS, FAST, LATE, SLOW, Stack, choice

pytestmark = pytest.mark.stack
QUOTES = choice("quotes", "extractive")


@pytest.fixture(scope="module")
def reader(stack: Stack) -> Iterator[OpenWebUI]:
    with stack.reader("native") as account:
        yield account


@pytest.fixture(scope="module")
def native(stack: Stack) -> Iterator[Stack]:
    """The same stack after the operator has chosen the other workflow; nothing stands behind a model that fails."""
    with stack.switched(workflow_path=NATIVE_WORKFLOW):
        yield stack


@pytest.fixture(scope="module")
def native_with_fallback(native: Stack) -> Iterator[Stack]:
    """Quotes stand behind every model."""
    with native.switched(workflow_path=NATIVE_WORKFLOW, llm_fallback="extractive/quotes"):
        yield native


def is_cited_and_estimated(heard: Heard, model: str) -> bool:
    """Whether `model` has answered outside of the router, which would have known the tokens."""
    cited = "[1]" in heard.text and heard.citations[0].startswith("on-call-and-overtime.docx")
    return cited and (heard.usage["answered_by"], heard.usage["estimated"]) == (model, True)


def test_n8ns_own_ollama_node_streams_a_cited_answer(native: Stack, reader: OpenWebUI) -> None:
    native.reset_models()
    heard = hear(reader, QUESTION)
    assert heard.error == ""
    assert is_cited_and_estimated(heard, f"ollama/{FAST}")
    assert heard.first_token_ms < heard.total_ms - 200  # the model writes for half a second
    seen = native.model_stats()
    assert seen["requests"] == 1
    assert seen["last_request"]["options"] == {"num_ctx": 8192, "temperature": 0.2}


def test_n8ns_own_bedrock_node_signs_and_streams_a_cited_answer(native: Stack, reader: OpenWebUI) -> None:
    native.aws.reset()
    heard = hear(reader, QUESTION, model=ON_BEDROCK)
    assert heard.error == ""
    assert is_cited_and_estimated(heard, f"bedrock/{BEDROCK}")
    assert heard.usage["cost_usd"] > 0
    seen = native.aws.stats()
    assert [arrival["model"] for arrival in seen["arrivals"]] == [BEDROCK]
    assert seen["last_request"]["inferenceConfig"] == {"maxTokens": 2000}


def test_what_is_neither_ollamas_nor_bedrocks_goes_through_the_router(native: Stack, reader: OpenWebUI) -> None:
    assert hear(reader, QUESTION, model=QUOTES).usage["answered_by"] == "extractive/quotes"


@pytest.mark.parametrize(
    "model", [*(choice(model, "bedrock") for model in (*BEDROCK_REFUSES, BEDROCK_BREAKS)), choice(BREAKS)]
)
def test_a_model_that_fails_is_an_error_for_the_reader(native: Stack, reader: OpenWebUI, model: str) -> None:
    heard = hear(reader, QUESTION, model=model)
    assert heard.error
    assert not heard.usage
    assert heard.text.count("According") <= 1  # n8n's agent asks its fallback in the middle of an answer too


def test_a_model_killed_before_its_first_word_is_replaced_and_the_reader_is_told(
    native_with_fallback: Stack, reader: OpenWebUI
) -> None:
    heard = hear_until_killed(reader, choice(LATE), native_with_fallback.models, after_words=False)
    assert heard.error == ""
    assert f"Ollama ({LATE}) did not answer: quotes from your documents instead" in heard.statuses
    assert heard.usage["answered_by"] == "extractive/quotes"


def test_a_model_killed_in_the_middle_is_an_error_and_nobody_goes_on_in_its_place(
    native_with_fallback: Stack, reader: OpenWebUI
) -> None:
    heard = hear_until_killed(reader, choice(SLOW), native_with_fallback.models, after_words=True)
    assert "broke off" in heard.error
    assert heard.text.count("According") == 1
    assert "quotes" not in heard.text
    assert not heard.usage
