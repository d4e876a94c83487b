"""What every embedding model must do, run over each of them."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from typing import cast

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.providers.base import EmbeddingProvider, InputType
from pipelines.providers.bedrock_embedding import load_bedrock_embedding
from pipelines.providers.ollama_embedding import load_ollama_embedding
from pipelines.providers.onnx_graph import Batch
from pipelines.providers.openai_embedding import load_openai_embedding
from pipelines.providers.sentence_transformers import (
    PACKAGED_MODEL,
    ModelCard,
    SentenceTransformersEmbedding,
    model_folder,
)
from tests.fakes.aws import REGION, clean_environment
from tests.fakes.bedrock_embedding import COHERE, TITAN, running_embedding
from tests.fakes.in_a_thread import in_a_thread
from tests.models import running_model_server

TEXTS = (
    "trains are booked early",
    "a hotel in berlin may cost 140 euros a night",
    "",
    "a hotel is booked by the office",
    "東京の出張費はいくらですか。",
    " \n\t ",
    "🚀👩‍👩‍👧‍👦 emoji and \u200b hidden, half a pair \ud83d, a zero \x00",
    "the cost of a hotel " * 3_000,
    "x" * 20_000,
)


@dataclass(frozen=True, slots=True)
class Case:
    """An embedding model that goes by common words, and the one that is loaded the next time."""

    embedding: EmbeddingProvider
    again: EmbeddingProvider


def _ollama() -> Iterator[EmbeddingProvider]:
    with in_a_thread(running_model_server) as server:
        while True:
            yield load_ollama_embedding(server.url, "nomic-embed-text-mock-embed256")


def _openai() -> Iterator[EmbeddingProvider]:
    with in_a_thread(running_model_server) as server:
        while True:
            yield load_openai_embedding(f"{server.url}/v1", "mock-embed256")


def _bedrock(model: str) -> Iterator[EmbeddingProvider]:
    with in_a_thread(running_embedding) as server, clean_environment():
        while True:
            yield load_bedrock_embedding(model, region=REGION, endpoint_url=server.url)


def _sentence_transformers() -> Iterator[EmbeddingProvider]:
    tokenizer = (model_folder(PACKAGED_MODEL) / "tokenizer.json").read_text("utf-8")
    card = ModelCard("sentence-transformers/common-words@0", 256, 256, 0, ("input_ids", "attention_mask"))
    while True:
        yield SentenceTransformersEmbedding(card, tokenizer, _common_words)


def _common_words(batch: Batch) -> npt.NDArray[np.float32]:
    """A model that has a place for each token, on the real tokens of real texts."""
    vectors = np.full((len(batch["input_ids"]), 256), 1e-6, dtype=np.float32)
    for vector, ids, mask in zip(vectors, batch["input_ids"], batch["attention_mask"], strict=True):
        np.add.at(vector, ids[mask == 1] % 256, 1)
    return vectors


PROVIDERS: dict[str, Callable[[], Iterator[EmbeddingProvider]]] = {
    "sentence_transformers": _sentence_transformers,
    "ollama": _ollama,
    "openai": _openai,
    "bedrock_titan": lambda: _bedrock(TITAN),
    "bedrock_cohere": lambda: _bedrock(COHERE),
}


@pytest.fixture(scope="module", params=sorted(PROVIDERS))
def case(request: pytest.FixtureRequest) -> Iterator[Case]:
    with closing(cast("Generator[EmbeddingProvider]", PROVIDERS[request.param]())) as loaded:
        made = Case(next(loaded), next(loaded))
        yield made
        made.embedding.close()
        made.again.close()


@pytest.fixture(scope="module")
def process() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


def _similarity(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return vectors @ vectors.T


@pytest.mark.parametrize("input_type", ["document", "question"])
def test_vectors_come_in_the_order_of_the_texts_and_have_length_1(case: Case, input_type: InputType) -> None:
    vectors = case.embedding.embed(TEXTS, input_type=input_type)
    assert vectors.shape == (len(TEXTS), case.embedding.dimensions)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert np.allclose(case.embedding.embed(TEXTS[::-1], input_type=input_type)[::-1], vectors, atol=1e-5)


def test_what_is_alike_is_near(case: Case) -> None:
    documents = case.embedding.embed(TEXTS[:4], input_type="document")
    [question] = case.embedding.embed(["a hotel in berlin a night"], input_type="question")
    assert int(np.argmax(documents @ question)) == 1


def test_without_texts_there_are_no_vectors(case: Case) -> None:
    assert case.embedding.embed([], input_type="document").shape == (0, case.embedding.dimensions)


def test_texts_of_blanks_are_all_alike(case: Case) -> None:
    vectors = case.embedding.embed(["", " ", "\n\t"], input_type="document")
    assert _similarity(vectors) == pytest.approx(1, abs=1e-5)


def test_of_a_long_text_the_beginning_counts(case: Case) -> None:
    beginning, end = "the cost of a hotel " * 500, " and then the trains" * 500
    vectors = case.embedding.embed([beginning, beginning + end, end], input_type="document")
    assert _similarity(vectors)[0, 1] == pytest.approx(1, abs=1e-5)
    assert _similarity(vectors)[0, 2] < 0.9


def test_many_texts_of_several_threads_at_once(case: Case) -> None:
    texts = [f"chapter {number} is about hotel {number * 7} and train {number * 13}" for number in range(200)]
    expected = np.concatenate([case.embedding.embed([text], input_type="document") for text in texts[:10]])
    with ThreadPoolExecutor(3) as threads:
        for vectors in threads.map(lambda _: case.embedding.embed(texts, input_type="document"), range(3)):
            assert vectors.shape == (200, case.embedding.dimensions)
            assert np.allclose(vectors[:10], expected, atol=1e-5)


def test_its_name_and_its_size_are_the_same_the_next_time(case: Case) -> None:
    first, again = ((each.name, each.dimensions, each.max_tokens) for each in (case.embedding, case.again))
    assert first == again
    assert 0 < case.embedding.max_tokens <= 256, "the window with which retrieval was measured"


def test_another_process_counts_tokens_alike(case: Case, process: ProcessPoolExecutor) -> None:
    texts = [text.replace("\ud83d", "") for text in TEXTS[:7]]  # no process is sent half a character
    counter = case.embedding.token_counter()
    expected = [case.embedding.count_tokens(text) for text in texts]
    assert list(process.map(counter, texts)) == expected
    assert [pickle.loads(pickle.dumps(counter))(text) for text in texts] == expected  # noqa: S301


def test_a_longer_text_has_no_fewer_tokens(case: Case) -> None:
    text = "Hotels in Berlin cost 1,234.50 euros; 東京は高い。 getUserName(x) " * 4
    counts = [case.embedding.count_tokens(text[:end]) for end in range(0, len(text), 20)]
    assert counts[0] >= 1
    assert all(later >= earlier - 2 for earlier, later in pairwise(counts))
    assert counts[-1] > 60
