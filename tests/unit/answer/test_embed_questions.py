"""Questions that come at the same time are embedded together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest

from pipelines.answer.embed_questions import BATCH, QuestionEmbedder
from pipelines.errors import ModelUnavailable
from pipelines.providers.base import InputType
from tests.fakes.word_embedding import WordEmbedding


class Watched(WordEmbedding):
    """Notes its batches; the first waits until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[list[str]] = []
        self.begun = threading.Event()
        self.go = threading.Event()

    def embed(self, texts: Sequence[str], *, input_type: InputType) -> np.ndarray:
        self.batches.append(list(texts))
        self.begun.set()
        if len(self.batches) == 1:
            self.go.wait(10)
        if "broken" in texts:
            raise ModelUnavailable("the model is away")
        return super().embed(texts, input_type=input_type)


async def asked_while_busy(embedding: Watched, *questions: str) -> list[object]:
    embedder = QuestionEmbedder()
    first = asyncio.create_task(embedder.embed(embedding, ["first"]))
    await asyncio.to_thread(embedding.begun.wait, 10)
    others = [asyncio.create_task(embedder.embed(embedding, [question])) for question in questions]
    await asyncio.sleep(0)
    embedding.go.set()
    return list(await asyncio.gather(first, *others, return_exceptions=True))


async def test_a_question_alone_is_embedded_at_once() -> None:
    embedding = WordEmbedding()
    vectors = await QuestionEmbedder().embed(embedding, ["a hotel", "a train"])
    assert np.array_equal(vectors, embedding.embed(["a hotel", "a train"], input_type="question"))


async def test_those_that_come_meanwhile_are_one_batch_and_each_gets_its_own() -> None:
    embedding = Watched()
    found = await asked_while_busy(embedding, "hotel", "train", "lunch")
    assert embedding.batches == [["first"], ["hotel", "train", "lunch"]]
    expected = WordEmbedding().embed(["first", "hotel", "train", "lunch"], input_type="question")
    assert np.array_equal(np.concatenate(found), expected)


async def test_no_batch_is_longer_than_it_may_be() -> None:
    embedding = Watched()
    await asked_while_busy(embedding, *(f"question {number}" for number in range(2 * BATCH + 1)))
    assert [len(batch) for batch in embedding.batches] == [1, BATCH, BATCH, 1]


async def test_an_error_reaches_all_of_its_batch_and_nobody_after_it() -> None:
    embedding = Watched()
    found = await asked_while_busy(embedding, "broken", "train")
    assert [isinstance(each, ModelUnavailable) for each in found] == [False, True, True]
    embedder = QuestionEmbedder()
    with pytest.raises(ModelUnavailable):
        await embedder.embed(embedding, ["broken"])
    assert (await embedder.embed(embedding, ["train"])).shape == (1, embedding.dimensions)


async def test_whoever_leaves_costs_the_others_nothing() -> None:
    embedding, embedder = Watched(), QuestionEmbedder()
    first = asyncio.create_task(embedder.embed(embedding, ["first"]))
    await asyncio.to_thread(embedding.begun.wait, 10)
    leaving = asyncio.create_task(embedder.embed(embedding, ["leaving"]))
    staying = asyncio.create_task(embedder.embed(embedding, ["staying"]))
    await asyncio.sleep(0)
    leaving.cancel()
    embedding.go.set()
    await asyncio.gather(first, staying)
    assert embedding.batches[1:] == [["staying"]]


def test_it_can_be_used_by_one_event_loop_after_another() -> None:
    embedder, embedding = QuestionEmbedder(), WordEmbedding()
    for _ in range(2):
        assert asyncio.run(embedder.embed(embedding, ["hotel"])).shape == (1, embedding.dimensions)
