"""What every reranker must do, run over each of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.errors import DeadlineExceeded
from pipelines.providers.base import RerankProvider
from pipelines.providers.bedrock_rerank import BedrockRerank
from pipelines.providers.cross_encoder import CrossEncoder, PairCard
from pipelines.providers.onnx_graph import Batch
from pipelines.providers.sentence_transformers import PACKAGED_MODEL, model_folder
from tests.fakes.aws import clean_environment
from tests.fakes.bedrock import REGION
from tests.fakes.bedrock_rerank import MODELS, running_rerank

QUESTION = "what may a hotel in berlin cost"
TEXTS = (
    "trains are booked early",
    "a hotel in berlin may cost 140 euros a night",
    "",
    "a hotel is booked by the office",
    "東京の出張費はいくらですか。",
    " \n ",
    "the cost of a hotel " * 4000,
)


@dataclass(frozen=True, slots=True)
class Case:
    """A reranker that goes by common words, the same one with `slow` seconds of work for a call, and its name."""

    rerank: RerankProvider
    slow: Callable[[float], RerankProvider]
    name: str


@pytest.fixture
async def bedrock() -> AsyncIterator[Case]:
    async with running_rerank() as server:
        rerank = BedrockRerank(MODELS[0], region=REGION, endpoint_url=server.url, timeout_s=10)

        def slow(seconds: float) -> BedrockRerank:
            server.delay_s = seconds
            return rerank

        with clean_environment():
            yield Case(rerank, slow, f"bedrock/{MODELS[0]}")
            rerank.close()


@pytest.fixture
def cross_encoder() -> Case:
    tokenizer = (model_folder(PACKAGED_MODEL) / "tokenizer.json").read_text("utf-8")
    card = PairCard("cross-encoder/common-words", 128, 0, ("input_ids", "attention_mask", "token_type_ids"))

    def made(seconds: float) -> CrossEncoder:
        def forward(batch: Batch) -> npt.NDArray[np.float32]:
            time.sleep(seconds / len(TEXTS))
            return _common_words(batch)

        return CrossEncoder(card, tokenizer, forward)

    return Case(made(0), made, card.name)


def _common_words(batch: Batch) -> npt.NDArray[np.float32]:
    """A model of two weights, on the real tokens of real pairs."""
    logits = []
    for ids, types, mask in zip(batch["input_ids"], batch["token_type_ids"], batch["attention_mask"], strict=True):
        question, text = (set(ids[(mask == 1) & (types == kind)]) for kind in (0, 1))
        logits.append([2.0 * len(question & text) - 8.0])
    return np.array(logits, dtype=np.float32)


@pytest.fixture(params=["bedrock", "cross_encoder"])
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    made: Case = request.getfixturevalue(request.param)
    yield made
    made.rerank.close()


async def _rank(rerank: RerankProvider, texts: Sequence[str], timeout_s: float = 10) -> Sequence[float]:
    return await asyncio.to_thread(rerank.rank, QUESTION, texts, timeout_s=timeout_s)


async def test_scores_come_in_the_order_of_the_texts(case: Case) -> None:
    scores = await _rank(case.rerank, TEXTS)
    assert len(scores) == len(TEXTS)
    assert max(range(len(TEXTS)), key=scores.__getitem__) == 1
    assert scores[3] > scores[0]
    assert await _rank(case.rerank, TEXTS[::-1]) == pytest.approx(scores[::-1], abs=1e-6)


async def test_scores_are_numbers_from_0_to_1_whatever_the_text(case: Case) -> None:
    for score in await _rank(case.rerank, TEXTS):
        assert type(score) is float
        assert 0 <= score <= 1


async def test_without_texts_there_are_no_scores(case: Case) -> None:
    assert list(await _rank(case.rerank, [])) == []


async def test_says_who_ranks(case: Case) -> None:
    assert case.rerank.name == case.name


@pytest.mark.parametrize("question", ["", "?!", "x" * 200_000], ids=["empty", "punctuation", "enormous"])
async def test_any_question_is_answered(case: Case, question: str) -> None:
    assert len(await asyncio.to_thread(case.rerank.rank, question, TEXTS, timeout_s=10)) == len(TEXTS)


async def test_threads_may_share_it(case: Case) -> None:
    expected = await _rank(case.rerank, TEXTS)
    for scores in await asyncio.gather(*(_rank(case.rerank, TEXTS) for _ in range(8))):
        assert scores == pytest.approx(expected, abs=1e-6)


async def test_what_takes_too_long_is_let_go_at_its_time(case: Case) -> None:
    slow = case.slow(3.5)
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match=r"0\.2 s") as raised:
        await _rank(slow, TEXTS, timeout_s=0.2)
    assert time.monotonic() - started < 1.5
    assert raised.value.message.endswith(".")


async def test_it_ranks_again_after_a_call_that_took_too_long(case: Case) -> None:
    with pytest.raises(DeadlineExceeded):
        await _rank(case.slow(2), TEXTS, timeout_s=0.1)
    assert len(await _rank(case.slow(0), TEXTS)) == len(TEXTS)
