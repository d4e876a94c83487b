"""Open WebUI's background tasks, read back as Open WebUI 0.12.4 reads them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from pipelines.answer.generate.router import ModelRouter
from pipelines.answer.tasks import answer_by_rule, run_task
from pipelines.domain import Message
from pipelines.errors import UnknownModel
from tests.models import ModelServer, running_model_server
from tests.unit.answer.generate.test_router import build_router

QUESTION = "How many vacation days do I get in Bremerhaven?"
TITLE_PROMPT = f"""### Task:
Generate a concise title summarizing the chat history.
### Output:
JSON format: {{ "title": "your concise title here" }}
### Chat History:
<chat_history>
USER: {QUESTION}
ASSISTANT: You get 30 days [1].
</chat_history>"""
TITLE = [Message("user", TITLE_PROMPT)]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


async def _asked(router: ModelRouter, model_id: str) -> str:
    try:
        return await run_task("title_generation", TITLE, router, model_id=model_id)
    finally:
        await router.close()


async def test_a_model_answers_where_there_is_one(server: ModelServer) -> None:
    answer = await _asked(build_router(server), "ollama/mock-ttft0-itl0-len5")
    assert json.loads(answer) == {"title": "A mock conversation"}
    assert server.stats.tasks == 1


async def test_a_rule_answers_where_there_is_no_language_model(server: ModelServer) -> None:
    answer = await _asked(build_router(server), "extractive/quotes")
    assert json.loads(answer) == {"title": "Vacation days Bremerhaven"}
    assert server.stats.requests == 0


async def test_a_rule_answers_when_the_model_does_not(server: ModelServer) -> None:
    answer = await _asked(build_router(server), "ollama/mock-ttft0-itl0-len5-busy")
    assert json.loads(answer) == {"title": "Vacation days Bremerhaven"}


async def test_an_unknown_model_is_an_error(server: ModelServer) -> None:
    with pytest.raises(UnknownModel):
        await _asked(build_router(server), "nobody/nothing")


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("title_generation", {"title": "Vacation days Bremerhaven"}),
        ("tags_generation", {"tags": ["Vacation", "Bremerhaven"]}),
        ("follow_up_generation", {"follow_ups": []}),
        ("query_generation", {"queries": [QUESTION]}),
        ("autocomplete_generation", {"text": ""}),
        ("a_task_of_next_year", {}),
    ],
)
def test_rules_answer_in_the_shape_of_each_task(task: str, expected: dict[str, object]) -> None:
    assert json.loads(answer_by_rule(task, TITLE)) == expected


@pytest.mark.parametrize("prompt", ["", "### Task:\nno history here"])
def test_rules_answer_without_a_history_too(prompt: str) -> None:
    messages = [Message("user", prompt)]
    assert json.loads(answer_by_rule("title_generation", messages)) == {"title": ""}
    assert json.loads(answer_by_rule("tags_generation", messages)) == {"tags": ["General"]}


def test_a_question_over_several_lines_is_read_whole_and_named_shortly() -> None:
    prompt = "<chat_history>\nUSER: Please compare\nlunch allowance and dinner allowance\nASSISTANT: x\n</chat_history>"
    answer = json.loads(answer_by_rule("title_generation", [Message("user", prompt)]))
    assert answer == {"title": "Compare lunch allowance dinner"}


def test_a_word_with_a_hyphen_stays_whole_in_a_title() -> None:
    prompt = "<chat_history>\nUSER: How is on-call duty compensated?\n</chat_history>"
    answer = json.loads(answer_by_rule("title_generation", [Message("user", prompt)]))
    assert answer == {"title": "On-call duty compensated"}
