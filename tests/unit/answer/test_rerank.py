"""What reranking does to the order of passages, and that it never costs an answer."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import pytest

from pipelines.answer.rerank import FAILURES_IN_A_ROW, PAUSE_S, WARN_EVERY_S, Reranker
from pipelines.domain import Chunk, Document, Passage
from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers.base import RerankProvider

DOCUMENT = Document("d", "Travel", "travel.md", "text/markdown", "0", 1)


class ByLength(RerankProvider):
    """Finds the longest text the most relevant, unless it is told to fail."""

    name = "by length"

    def __init__(self) -> None:
        self.failure: RaglineError | None = None
        self.asked: list[tuple[str, list[str], float]] = []

    def rank(self, question: str, texts: Sequence[str], *, timeout_s: float) -> Sequence[float]:
        self.asked.append((question, list(texts), timeout_s))
        if self.failure:
            raise self.failure
        return [min(len(text) / 100, 1.0) for text in texts]


def passages(*texts: str) -> list[Passage]:
    return [
        Passage(Chunk(str(place), "d", place, text, "Travel", ("Hotels",)), DOCUMENT, 1.0 - place / 10, 0.3)
        for place, text in enumerate(texts)
    ]


def texts_of(found: Sequence[Passage]) -> list[str]:
    return [passage.chunk.text for passage in found]


def test_the_first_passages_are_ordered_anew_and_the_rest_stay_behind() -> None:
    found = Reranker(ByLength(), depth=3).rerank("hotels", passages("a", "aaa", "aa", "aaaaaa", "aaaa"))
    assert texts_of(found) == ["aaa", "aa", "a", "aaaaaa", "aaaa"]


def test_scores_still_order_and_relevance_is_that_of_the_model() -> None:
    found = Reranker(ByLength(), depth=3).rerank("hotels", passages("a", "aaa", "aa", "aaaaaa"))
    assert [passage.score for passage in found] == [1.0, 0.9, 0.8, 0.7]
    assert [passage.relevance for passage in found] == [0.19, 0.18, 0.17, 0.3]


def test_what_the_model_finds_alike_stays_in_the_order_of_the_search() -> None:
    found = Reranker(ByLength()).rerank("hotels", passages("one", "two", "six", "long"))
    assert texts_of(found) == ["long", "one", "two", "six"]


def test_the_model_sees_where_a_passage_stands_and_how_long_it_may_take() -> None:
    provider = ByLength()
    Reranker(provider, timeout_s=0.25).rerank("hotels", passages("one", "two"))
    assert provider.asked == [("hotels", ["Travel › Hotels\none", "Travel › Hotels\ntwo"], 0.25)]


@pytest.mark.parametrize("texts", [(), ("one",)], ids=["none", "one"])
def test_where_there_is_nothing_to_order_the_model_is_not_asked(texts: tuple[str, ...]) -> None:
    provider = ByLength()
    assert texts_of(Reranker(provider).rerank("hotels", passages(*texts))) == list(texts)
    assert not provider.asked


@pytest.mark.parametrize("failure", [Busy, DeadlineExceeded, ModelUnavailable, ModelFailed, UnknownModel])
def test_a_failure_leaves_the_passages_as_they_were(failure: type[RaglineError]) -> None:
    provider = ByLength()
    provider.failure = failure("It is away.")
    found = passages("a", "aaa")
    assert Reranker(provider).rerank("hotels", found) == found


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_nobody_waits_for_a_model_that_fails_again_and_again() -> None:
    provider, clock = ByLength(), Clock()
    reranker = Reranker(provider, clock=clock)
    provider.failure = DeadlineExceeded("Too slow.")
    for _ in range(FAILURES_IN_A_ROW + 5):
        reranker.rerank("hotels", passages("a", "aaa"))
    assert len(provider.asked) == FAILURES_IN_A_ROW
    clock.now += PAUSE_S
    reranker.rerank("hotels", passages("a", "aaa"))
    reranker.rerank("hotels", passages("a", "aaa"))
    assert len(provider.asked) == FAILURES_IN_A_ROW + 1, "it is asked once, and left out again"
    clock.now += PAUSE_S
    provider.failure = None
    assert texts_of(reranker.rerank("hotels", passages("a", "aaa"))) == ["aaa", "a"]


def test_single_failures_do_not_add_up() -> None:
    provider = ByLength()
    reranker = Reranker(provider)
    for _ in range(3 * FAILURES_IN_A_ROW):
        provider.failure = None if provider.failure else Busy("Full.")
        reranker.rerank("hotels", passages("a", "aaa"))
    assert len(provider.asked) == 3 * FAILURES_IN_A_ROW


def test_a_failure_is_logged_at_most_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    provider, clock = ByLength(), Clock()
    reranker = Reranker(provider, clock=clock)
    provider.failure = Busy("Full.")
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            reranker.rerank("hotels", passages("a", "aaa"))
            clock.now += WARN_EVERY_S / 5
        assert [record.getMessage() for record in caplog.records] == [
            "Passages are not reranked, their order stays as it was found: Full."
        ]
        clock.now += WARN_EVERY_S
        reranker.rerank("hotels", passages("a", "aaa"))
    assert len(caplog.records) == 2
