"""How an OpenAI-compatible server is asked to embed, and what it means when it does not, with OpenAI's own client."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from pipelines.errors import Busy, DeadlineExceeded, ModelFailed, ModelUnavailable, RaglineError, UnknownModel
from pipelines.providers import openai_embedding
from pipelines.providers.openai_embedding import OpenAIEmbeddingCalls, load_openai_embedding
from tests.fakes.in_a_thread import in_a_thread
from tests.models import ModelServer, running_model_server
from tests.models.embeddings import Embeddings, Fault

MODEL = "intfloat-multilingual-e5-large-mock-embed64"


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
def calls(server: ModelServer) -> Iterator[OpenAIEmbeddingCalls]:
    made = OpenAIEmbeddingCalls(f"{server.url}/v1", MODEL)
    yield made
    made.close()


def test_what_it_is_is_found_out_by_asking(server: ModelServer) -> None:
    embedding = load_openai_embedding(f"{server.url}/v1", MODEL)
    assert (embedding.dimensions, embedding.max_tokens) == (64, 256)
    assert embedding.name.startswith(f"openai/{MODEL}@64-")
    embedding.embed(["a hotel"], input_type="document")
    assert server.stats.last_request == {"model": MODEL, "input": ["passage: a hotel"], "encoding_format": "float"}
    embedding.close()


@pytest.mark.parametrize(
    ("fault", "error", "says"),
    [
        ("busy", Busy, "busy"),
        ("err", ModelFailed, "answered 500"),
        ("fail", ModelFailed, "broke"),
        ("garbage", ModelFailed, "not OpenAI's protocol"),
        ("chat", UnknownModel, "set EMBEDDING_MODEL to a model that can"),
        ("long", ModelFailed, "takes shorter texts"),
    ],
)
def test_translates_what_the_server_says(
    server: ModelServer, calls: OpenAIEmbeddingCalls, fault: Fault, error: type[RaglineError], says: str
) -> None:
    server.embeddings.fault = fault
    with pytest.raises(error, match=says) as raised:
        calls.call(["a"], input_type="document")
    assert type(raised.value) is error
    assert raised.value.message.endswith(".")


@pytest.mark.parametrize(
    ("model", "key", "error", "says"),
    [
        ("gone-embed", "", UnknownModel, "does not have the model gone-embed"),
        ("mock-ttft0-itl0-len50", "", UnknownModel, "cannot embed"),
        (MODEL, "wrong", ModelUnavailable, "set OPENAI_API_KEY"),
    ],
)
def test_a_wrong_model_or_key_is_said_at_the_start(
    server: ModelServer, model: str, key: str, error: type[RaglineError], says: str
) -> None:
    with pytest.raises(error, match=says):
        load_openai_embedding(f"{server.url}/v1", model, api_key=key)


def test_says_that_the_server_does_not_answer() -> None:
    with pytest.raises(ModelUnavailable, match="start it or set OPENAI_BASE_URL"):
        load_openai_embedding("http://127.0.0.1:9/v1", MODEL)


def test_silence_ends_in_its_time(server: ModelServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_embedding, "QUESTION_TIMEOUT_S", 0.2)
    calls = OpenAIEmbeddingCalls(f"{server.url}/v1", MODEL)
    server.embeddings.fault = "hang"
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded, match="too long"):
        calls.call(["a"], input_type="question")
    assert time.monotonic() - started < 2
    calls.close()
