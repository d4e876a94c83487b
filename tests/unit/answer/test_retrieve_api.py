"""What `POST /retrieve` makes of its body; what it finds is tested in `tests/access`."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import ValidationError

from pipelines.answer.read_request import Limits
from pipelines.answer.retrievals import Retrievals
from pipelines.answer.retrieve import Retrieval, Retriever
from pipelines.answer.retrieve_api import RetrieveBody, retrieve_api
from pipelines.domain import NO_FILTERS, Filters, Message, Question, User
from pipelines.error_responses import add_error_handlers
from pipelines.errors import EmptyQuestion, ModelUnavailable, RequestTooLarge
from pipelines.stores.cache import MemoryCache

LIMITS = Limits(request_bytes=100_000, question_chars=100, history_turns=2, history_chars=10)


def read(**fields: Any) -> Question:
    return RetrieveBody.model_validate({"question": " How much leave? ", **fields}).as_question(LIMITS)


class Away(Retriever):
    """A retriever whose embedding model does not answer."""

    def __init__(self) -> None:
        return

    async def retrieve(self, question: Question, *, limit: int | None = None) -> Retrieval:
        raise ModelUnavailable("Documents cannot be searched now.", retry_after=5)


async def test_why_nothing_could_be_retrieved_is_written_down_for_the_gateway() -> None:
    retrievals = Retrievals(MemoryCache(10_000))
    app = FastAPI()
    app.include_router(retrieve_api(Away(), lambda _: None, LIMITS, retrievals))
    add_error_handlers(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pipelines") as http:
        answers = [
            await http.post("/retrieve", json={"question": "How much?", **said}) for said in ({"request_id": "r1"}, {})
        ]
    assert [answer.status_code for answer in answers] == [503, 503]
    told = await retrievals.failure("r1")
    assert isinstance(told, ModelUnavailable)
    assert (told.message, told.retry_after) == ("Documents cannot be searched now.", 5)
    assert await retrievals.failure("r2") is None
    assert await retrievals.failure("") is None


def test_reads_question_reader_and_filters() -> None:
    question = read(
        user={"id": "anna", "groups": ["g1", "g2"]},
        filters={"documents": ["d1"], "groups": ["g1", "g3"]},
        request_id="r",
        ask={"model": "default"},
    )
    assert question == Question(
        "How much leave?", User("anna", ("g1", "g2")), filters=Filters(documents=("d1",), groups=("g1", "g3"))
    )


@pytest.mark.parametrize("filters", [{}, {"filters": None}, {"filters": {}}, {"filters": {"documents": []}}])
def test_nothing_said_of_filters_narrows_nothing(filters: dict[str, Any]) -> None:
    assert read(**filters).filters == NO_FILTERS


def test_of_a_long_history_the_last_turns_are_kept_and_shortened() -> None:
    turns = [{"role": "user", "content": f"{number} {'x' * 100}"} for number in range(10_000)]
    assert read(history=turns).history == tuple(
        Message("user", f"{number} {'x' * 100}"[:10]) for number in range(9_996, 10_000)
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"filters": {"document": ["d1"]}},
        {"filters": {"documents": "d1"}},
        {"filters": {"documents": [1]}},
        {"filters": {"documents": ["x" * 201]}},
        {"filters": {"documents": ["d"] * 1001}},
        {"filters": {"groups": ["g"] * 1001}},
        {"filters": {"groups": ["a\x00b"]}},
        {"filters": ["d1"]},
        {"user": {"groups": ["g"] * 1001}},
        {"user": {"groups": ["x" * 201]}},
        {"user": {"groups": ["a\nb"]}},
        {"user": {"id": "a\x7fb"}},
        {"user": {"id": "x" * 201}},
        {"limit": 0},
        {"limit": -1},
        {"limit": 51},
        {"limit": 1.5},
        {"limit": 10**30},
        {"limit": "many"},
    ],
)
def test_what_is_not_understood_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        read(**fields)


def test_an_empty_and_an_endless_question_are_refused() -> None:
    with pytest.raises(EmptyQuestion):
        read(question=" \n")
    with pytest.raises(RequestTooLarge, match="100 characters"):
        read(question="x" * 101)


def test_a_million_mistakes_are_refused_at_the_first() -> None:
    with pytest.raises(ValidationError) as refused:
        read(history=[1] * 1_000_000)
    assert refused.value.error_count() == 1
