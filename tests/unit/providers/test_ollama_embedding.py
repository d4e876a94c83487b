"""How Ollama is asked to embed, and what it means when it does not, with its own client."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers import ollama_embedding
from pipelines.providers.base import InputType
from pipelines.providers.ollama_embedding import OllamaEmbeddingCalls, load_ollama_embedding
from tests.fakes.in_a_thread import in_a_thread
from tests.models import ModelServer, running_model_server
from tests.models.embeddings import Embeddings, Fault

MODEL = "nomic-embed-text-mock-embed64"


@pytest.fixture(scope="module")
def running() -> Iterator[ModelServer]:
    with in_a_thread(running_model_server) as server:
        yield server


@pytest.fixture
def server(running: ModelServer) -> ModelServer:
    fresh = Embeddings()
    for name in Embeddings.__slots__:
        setattr(running.embeddings, name, getattr(fresh, name))
    return running


@pytest.fixture
def calls(server: ModelServer) -> Iterator[OllamaEmbeddingCalls]:
    made = OllamaEmbeddingCalls(server.url, MODEL)
    yield made
    made.close()


def test_what_it_is_is_found_out_by_asking(server: ModelServer) -> None:
    embedding = load_ollama_embedding(server.url, f"{MODEL}:latest")
    assert (embedding.dimensions, embedding.max_tokens) == (64, 256)
    assert embedding.name.startswith(f"ollama/{MODEL}@64-")
    embedding.embed(["a hotel"], input_type="question")
    assert server.embeddings.calls[-1] == ["search_query: a hotel"]
    assert server.stats.last_request is not None
    assert server.stats.last_request["keep_alive"] == -1
    embedding.close()


def test_the_window_it_is_started_with_counts(server: ModelServer) -> None:
    server.embeddings.num_ctx = 128
    embedding = load_ollama_embedding(server.url, MODEL)
    assert embedding.max_tokens == 128
    embedding.close()


def test_other_weights_under_the_same_name_are_another_model(server: ModelServer) -> None:
    names = set()
    for weights in ("a" * 64, "a" * 64, "b" * 64, "no digest"):
        server.embeddings.weights = weights
        embedding = load_ollama_embedding(server.url, MODEL)
        names.add(embedding.name)
        embedding.close()
    assert len(names) == 3


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("busy", Busy, "busy"),
        ("err", ModelFailed, "failed to run"),
        ("fail", ModelFailed, "connection to Ollama broke"),
        ("garbage", ModelFailed, "not its protocol"),
        ("chat", UnknownModel, "ollama pull nomic-embed-text"),
        ("long", ModelFailed, "takes shorter texts in Ollama than it says"),
    ],
)
def test_translates_what_ollama_says(
    server: ModelServer, calls: OllamaEmbeddingCalls, fault: Fault, error: type[RaglineError], says: str
) -> None:
    server.embeddings.fault = fault
    with pytest.raises(error, match=says) as raised:
        calls.call(["a"], input_type="document")
    assert type(raised.value) is error
    assert raised.value.message.endswith(".")


@pytest.mark.parametrize(
    ("model", "says"),
    [("gone-embed", "run `ollama pull gone-embed`"), ("mock-ttft0-itl0-len50", "is a chat model and cannot embed")],
)
def test_a_model_that_is_not_there_or_cannot_embed_is_said_at_the_start(
    server: ModelServer, model: str, says: str
) -> None:
    with pytest.raises(UnknownModel, match=says):
        load_ollama_embedding(server.url, model)


def test_says_that_ollama_does_not_answer() -> None:
    with pytest.raises(ModelUnavailable, match="start it or set OLLAMA_BASE_URL"):
        load_ollama_embedding("http://127.0.0.1:9", MODEL)


@pytest.mark.parametrize("input_type", ["question", "document"])
def test_silence_ends_in_its_time(server: ModelServer, monkeypatch: pytest.MonkeyPatch, input_type: InputType) -> None:
    for name in ("QUESTION_TIMEOUT_S", "DOCUMENT_TIMEOUT_S"):
        monkeypatch.setattr(ollama_embedding, name, 0.2)
    calls = OllamaEmbeddingCalls(server.url, MODEL)
    server.embeddings.fault = "hang"
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="too long"):
        calls.call(["a"], input_type=input_type)
    assert time.monotonic() - started < 2
    calls.close()
