"""Embedding: every chunk gets the vector of its text and its place, in order, a few batches ahead."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest

from pipelines.domain import Chunk
from pipelines.errors import Unavailable
from pipelines.ingest.embed import BATCH, embed_chunks
from pipelines.providers.base import InputType
from tests.fakes.word_embedding import WordEmbedding


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as opened:
        yield opened


def chunks(count: int) -> list[Chunk]:
    return [Chunk(str(number), "d", number, f"text {number}", "Travel policy", ("Hotels",)) for number in range(count)]


class Watched(WordEmbedding):
    """Counts the batches it was given; each waits for a place of `free`."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.batches = 0

    def embed(self, texts: Sequence[str], *, input_type: InputType) -> npt.NDArray[np.float32]:
        assert input_type == "document"
        self.batches += 1
        self.texts += texts
        return super().embed(texts, input_type=input_type)


def test_chunks_come_out_in_order_with_the_vectors_of_their_context(threads: ThreadPoolExecutor) -> None:
    given = chunks(2 * BATCH + 3)
    embedding = Watched()
    batches = list(embed_chunks(given, embedding, threads=threads, ahead=4))
    assert [len(batch) for batch, _ in batches] == [BATCH, BATCH, 3]
    assert [chunk for batch, _ in batches for chunk in batch] == given
    assert "Travel policy › Hotels\ntext 0" in embedding.texts
    vectors = np.asarray([vector for _, part in batches for vector in part])
    expected = WordEmbedding().embed([chunk.context for chunk in given], input_type="document")
    assert np.array_equal(vectors, expected)


def test_nothing_is_embedded_of_no_chunks(threads: ThreadPoolExecutor) -> None:
    assert list(embed_chunks([], Watched(), threads=threads, ahead=2)) == []


def test_no_more_batches_are_embedded_than_a_few_ahead(threads: ThreadPoolExecutor) -> None:
    embedding = Watched()
    batches = embed_chunks(chunks(20 * BATCH), embedding, threads=threads, ahead=3)
    next(batches)
    threads.submit(lambda: None).result()
    assert embedding.batches <= 3
    assert isinstance(batches, Iterator)
    del batches
    threads.submit(lambda: None).result()
    assert embedding.batches <= 3, "what nobody waits for any more is not embedded"


class Failing(WordEmbedding):
    def embed(self, texts: Sequence[str], *, input_type: InputType) -> npt.NDArray[np.float32]:
        raise RuntimeError("the model broke")


def test_what_the_model_raises_comes_through(threads: ThreadPoolExecutor) -> None:
    with pytest.raises(RuntimeError, match="the model broke"):
        list(embed_chunks(chunks(1), Failing(), threads=threads, ahead=2))


def test_threads_that_are_shut_down_are_unavailable_and_no_mistake() -> None:
    begun, go_on = threading.Event(), threading.Event()

    class Slow(WordEmbedding):
        def embed(self, texts: Sequence[str], *, input_type: InputType) -> npt.NDArray[np.float32]:
            begun.set()
            go_on.wait(5)
            return super().embed(texts, input_type=input_type)

    threads = ThreadPoolExecutor(1)

    def stop() -> None:
        begun.wait(5)
        threads.shutdown(wait=False, cancel_futures=True)
        go_on.set()

    stopping = threading.Thread(target=stop)
    stopping.start()
    with pytest.raises(Unavailable, match="stopping"):
        list(embed_chunks(chunks(3 * BATCH), Slow(), threads=threads, ahead=3))
    with pytest.raises(Unavailable, match="stopping"):
        list(embed_chunks(chunks(1), WordEmbedding(), threads=threads, ahead=3))
    stopping.join()
