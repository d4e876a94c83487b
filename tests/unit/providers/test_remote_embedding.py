"""What is done around the calls of any provider: cutting, batching, trying again, and refusing what is no vector."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pytest

from pipelines.errors import (
    Busy,
    DeadlineExceeded,
    ModelFailed,
    ModelUnavailable,
    RaglineError,
    UnknownModel,
)
from pipelines.providers import remote_embedding
from pipelines.providers.base import InputType
from pipelines.providers.embedding_prefixes import Prefixes
from pipelines.providers.remote_embedding import (
    CallLimits,
    EmbeddingCalls,
    Patience,
    RemoteEmbedding,
    Vectors,
    load_remote,
)
from tests.models.embeddings import word_vector

QUICK = Patience(tries=4, first_wait_s=0.01, longest_wait_s=0.05)


class Calls(EmbeddingCalls):
    """Answers from memory, three texts a call; `instead` answers in place of it."""

    provider, model = "own", "words"
    limits = CallLimits(texts=3, chars=400, calls=2)
    prefixes = Prefixes("ask: ", "say: ")

    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.instead: Callable[[], Vectors | None] = lambda: None
        self.closed = False

    def call(self, texts: Sequence[str], *, input_type: InputType) -> Vectors:
        self.calls.append(tuple(texts))
        return self.instead() or [word_vector(text, 8) for text in texts]

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def calls() -> Calls:
    return Calls()


@pytest.fixture
def embedding(calls: Calls) -> Iterator[RemoteEmbedding]:
    loaded = load_remote(calls, window=8192, weights="abc", patience=QUICK)
    calls.calls.clear()
    yield loaded
    loaded.close()


def failing(*errors: RaglineError) -> Callable[[], None]:
    """Raises each of these once, then nothing."""
    left = list(errors)

    def fail() -> None:
        if left:
            raise left.pop(0)

    return fail


def waiting(hold: threading.Event) -> Callable[[], None]:
    """Returns when this is set."""

    def wait() -> None:
        hold.wait(5)

    return wait


def test_texts_are_sent_in_parts_with_their_prefix_and_blanks_as_a_point(
    embedding: RemoteEmbedding, calls: Calls
) -> None:
    assert embedding.embed(["a", " ", "c", "", " e "], input_type="document").shape == (5, 8)
    assert sorted(calls.calls) == [("say: .", "say: e"), ("say: a", "say: .", "say: c")]
    embedding.embed(["a"], input_type="question")
    assert calls.calls[-1] == ("ask: a",)


def test_a_text_is_cut_to_the_window_and_to_the_characters_of_a_call(embedding: RemoteEmbedding, calls: Calls) -> None:
    embedding.embed(["東京" * 5000, "internationalization of it is that " * 900], input_type="document")
    [(short, wide)] = calls.calls
    assert embedding.count_tokens(short) <= embedding.max_tokens + 4
    assert len(wide) == 400


def test_a_long_window_makes_no_longer_chunks(embedding: RemoteEmbedding, calls: Calls) -> None:
    assert embedding.max_tokens == 256
    assert load_remote(calls, window=128).max_tokens == 128


@pytest.mark.parametrize("input_type", ["document", "question"])
def test_what_is_busy_is_asked_again_a_few_times(
    embedding: RemoteEmbedding, calls: Calls, input_type: InputType
) -> None:
    calls.instead = failing(Busy("Full."), Busy("Full.", retry_after=0.02))
    assert embedding.embed(["a"], input_type=input_type).shape == (1, 8)
    calls.instead = failing(*(Busy("Full.") for _ in range(9)))
    calls.calls.clear()
    with pytest.raises(Busy):
        embedding.embed(["a"], input_type=input_type)
    assert len(calls.calls) == 4


@pytest.mark.parametrize("error", [UnknownModel("Gone."), DeadlineExceeded("Late."), ModelFailed("Broken.")])
def test_a_failure_is_of_the_model_for_a_document_and_of_the_search_for_a_question(
    embedding: RemoteEmbedding, calls: Calls, error: RaglineError
) -> None:
    calls.instead = failing(error, error)
    with pytest.raises(type(error)):
        embedding.embed(["a"], input_type="document")
    with pytest.raises(ModelUnavailable, match=rf"^Documents cannot be searched now\. {error.message}$") as raised:
        embedding.embed(["a"], input_type="question")
    assert raised.value.status == 503
    assert calls.calls == [("say: a",), ("ask: a",)], "only what is busy is tried again"


@pytest.mark.parametrize(
    "answer",
    [
        [],
        [[0.5] * 8],
        [[0.5] * 8, [0.5] * 7],
        [[0.5] * 7, [0.5] * 7],
        [[0.5] * 8, [0.0] * 8],
        [[0.5] * 8, [float("nan")] * 8],
        [[0.5] * 8, [1e39] * 8],
        [[0.5] * 8, ["a"] * 8],
        [[0.5] * 8, None],
        [0.5, 0.5],
    ],
    ids=["none", "one", "ragged", "smaller", "zeros", "nan", "infinite", "words", "null", "flat"],
)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_what_are_no_vectors_is_not_taken_for_them(embedding: RemoteEmbedding, calls: Calls, answer: Vectors) -> None:
    calls.instead = lambda: answer or [[]]
    with pytest.raises(ModelFailed, match="words sent"):
        embedding.embed(["a", "b"], input_type="document")


def test_a_question_waits_no_longer_than_its_time(
    embedding: RemoteEmbedding, calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold = threading.Event()
    monkeypatch.setattr(remote_embedding, "QUESTION_TIMEOUT_S", 0.1)
    calls.instead = waiting(hold)
    started = time.monotonic()
    with pytest.raises(ModelUnavailable, match="took too long for a question"):
        embedding.embed(["a"], input_type="question")
    assert time.monotonic() - started < 1
    hold.set()


def test_questions_do_not_wait_for_documents(embedding: RemoteEmbedding, calls: Calls) -> None:
    hold = threading.Event()
    calls.instead = waiting(hold)
    reading = threading.Thread(target=embedding.embed, args=(["a"] * 30,), kwargs={"input_type": "document"})
    reading.start()
    while len(calls.calls) < 2:
        time.sleep(0.001)
    calls.instead = lambda: None
    assert embedding.embed(["a"], input_type="question").shape == (1, 8)
    assert reading.is_alive()
    hold.set()
    reading.join()


def test_closing_ends_what_waits_for_a_busy_provider(calls: Calls) -> None:
    embedding = load_remote(calls, window=256, patience=Patience(tries=9, first_wait_s=60, longest_wait_s=60))
    calls.instead = failing(*(Busy("Full.", retry_after=60) for _ in range(9)))
    threading.Timer(0.05, embedding.close).start()
    started = time.monotonic()
    with pytest.raises(Busy):
        embedding.embed(["a"], input_type="document")
    assert time.monotonic() - started < 2
    with pytest.raises(ModelUnavailable, match="stopping"):
        embedding.embed(["a"], input_type="document")
    assert calls.closed


def test_its_name_changes_with_weights_prefixes_and_dimensions(calls: Calls) -> None:
    def name(weights: str) -> str:
        return load_remote(calls, window=256, weights=weights).name

    assert name("a") == name("a")
    assert name("a").startswith("own/words@8-")
    assert name("a") != name("b")
    before = name("a")
    calls.prefixes = Prefixes("ask: ", "tell: ")
    assert name("a") != before
    calls.instead = lambda: [[1.0, 2.0]]
    assert name("a").startswith("own/words@2-")


def test_what_cannot_be_loaded_is_closed(calls: Calls) -> None:
    calls.instead = failing(UnknownModel("Gone."))
    with pytest.raises(UnknownModel):
        load_remote(calls, window=256)
    assert calls.closed


def test_vectors_are_normalised_whatever_their_length(embedding: RemoteEmbedding) -> None:
    vectors = embedding.embed(["hotel in berlin", "train"], input_type="question")
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)
