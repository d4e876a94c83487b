"""Open WebUI's background tasks: a task's name and its messages go in, the JSON text Open WebUI parses comes out.

They go straight to the model and never to n8n. Where no language model is configured, or it does not answer, a rule
does: a chat must not fail, or be named after an error, because of its title. Shapes as Open WebUI 0.12.4 reads them
(`open_webui/utils/middleware.py`, `open_webui/utils/task.py`).
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping, Sequence

from pipelines.answer.generate.model_request import ModelRequest
from pipelines.answer.generate.router import ModelRouter
from pipelines.answer.words import STOP_WORDS, significant_words
from pipelines.domain import Message
from pipelines.errors import BudgetSpent, Busy, ContextTooLong, DeadlineExceeded, Unavailable

RULE_PROVIDER = "extractive"
TITLE_WORDS = 6
TAG_COUNT = 2
TAG_LETTERS = 5
"""Shorter words are seldom the name of a subject."""

_FIRST_TURN = re.compile(r"<chat_history>\s*USER: (.*?)(?=\n(?:USER|ASSISTANT): |\s*</chat_history>)", re.DOTALL)

_AROUND_WORDS = " .,;:!?()[]{}\"'“”„«»…"

logger = logging.getLogger(__name__)


async def run_task(
    task: str,
    messages: Sequence[Message],
    router: ModelRouter,
    *,
    model_id: str = "default",
    request_id: str = "",
    user_id: str = "",
) -> str:
    """Answer one task, by the model where there is one, else by rule; raises `UnknownModel` for an unknown id."""
    ref = await router.resolve(model_id)
    if ref.provider == RULE_PROVIDER:
        return answer_by_rule(task, messages)
    request = ModelRequest(str(ref), tuple(messages), request_id=request_id, user_id=user_id, fall_back=False)
    try:
        return (await router.complete(request)).text
    except (Unavailable, Busy, BudgetSpent, DeadlineExceeded, ContextTooLong) as error:
        logger.info("The task %s is answered by rule: %s", task, error.code)
        return answer_by_rule(task, messages)


def answer_by_rule(task: str, messages: Sequence[Message]) -> str:
    """Answer a task from the words of the first question alone; `{}` for a task there is no rule for."""
    rule = _RULES.get(task, _no_rule)
    return json.dumps(rule(_first_question(messages)), ensure_ascii=False)


def _first_question(messages: Sequence[Message]) -> str:
    prompt = next((message.content for message in reversed(messages) if message.role == "user"), "")
    turn = _FIRST_TURN.search(prompt)
    return turn[1].strip() if turn else ""


def _title(question: str) -> dict[str, object]:
    said = [word.strip(_AROUND_WORDS) for word in question.split()]  # "on-call" is one word in a title
    telling = [word for word in said if word and word.lower() not in STOP_WORDS]
    title = " ".join(list(dict.fromkeys(telling or said))[:TITLE_WORDS])
    return {"title": title[:1].upper() + title[1:]}


def _tags(question: str) -> dict[str, object]:
    subjects = [word.capitalize() for word in significant_words(question) if len(word) >= TAG_LETTERS]
    return {"tags": subjects[:TAG_COUNT] or ["General"]}


def _follow_ups(_question: str) -> dict[str, object]:
    return {"follow_ups": []}


def _queries(question: str) -> dict[str, object]:
    return {"queries": [question] if question else []}


def _no_rule(_question: str) -> dict[str, object]:
    return {}


def _autocomplete(_question: str) -> dict[str, object]:
    return {"text": ""}


_RULES: Mapping[str, Callable[[str], dict[str, object]]] = {
    "title_generation": _title,
    "tags_generation": _tags,
    "follow_up_generation": _follow_ups,
    "query_generation": _queries,
    "autocomplete_generation": _autocomplete,
}
