"""Documents and questions through an embedding model behind a network, which may fail in the middle of either."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import pytest

from pipelines.answer.retrieve import Retriever
from pipelines.bootstrap_documents import recipe
from pipelines.domain import Question, User
from pipelines.error_responses import error_response
from pipelines.errors import ModelUnavailable
from pipelines.providers import remote_embedding
from pipelines.providers.ollama_embedding import load_ollama_embedding
from pipelines.providers.remote_embedding import RemoteEmbedding
from tests.fakes.in_a_thread import in_a_thread
from tests.models import ModelServer, running_model_server
from tests.unit.ingest.ingestion import Ingestion

Hurry = Callable[[], None]


@pytest.fixture
def server() -> Iterator[ModelServer]:
    with in_a_thread(running_model_server) as server:
        yield server


@pytest.fixture
def embedding(server: ModelServer) -> Iterator[RemoteEmbedding]:
    loaded = load_ollama_embedding(server.url, "nomic-embed-text-mock-embed256")
    yield loaded
    loaded.close()


@pytest.fixture
def remote(ingestion: Ingestion, embedding: RemoteEmbedding) -> Ingestion:
    """What reads documents, with an index built for the remote model beside the first one, which it then replaces."""
    ingestion.generations.begin(embedding, recipe(embedding))
    ingestion.generations.switch()
    return ingestion


def test_documents_are_found_through_a_remote_model(remote: Ingestion, server: ModelServer) -> None:
    remote.bring_in(a="# Hotels\n\nA night in Berlin costs 180 euros.", b="# Trains\n\nBook early: 早めに。🚆", c="x")
    assert remote.registry.counts() == {"ready": 3}
    assert remote.record("a.md").indexed_with.startswith("ollama/nomic-embed-text-mock-embed256@256-")
    assert remote.found("what does a night in Berlin cost")[0] == "A night in Berlin costs 180 euros."
    sent = [text for call in server.embeddings.calls for text in call]
    assert sum(text.startswith("search_document: ") for text in sent) == 3
    assert sent[-1] == "search_query: what does a night in Berlin cost"


def test_no_chunk_is_longer_than_the_model_is_said_to_read(
    remote: Ingestion, server: ModelServer, embedding: RemoteEmbedding
) -> None:
    prose = "Hotels that are booked by the office may cost as much as it takes. " * 60
    others = ("東京の出張費はいくらですか。" * 60, "9" * 3000, "x9Y" * 1000)
    remote.bring_in(long="\n\n".join(("# Rules", prose, *others)))
    assert remote.record("long.md").state == "ready"
    sent = [text.removeprefix("search_document: ") for call in server.embeddings.calls[1:] for text in call]
    assert len(sent) > 10
    assert max(map(embedding.count_tokens, sent)) <= embedding.max_tokens
    assert sum(text.count("東") for text in sent) >= 60, "nothing is lost"
    assert sum(text.count("9") for text in sent) >= 4000


def test_a_model_that_fails_over_one_document_lets_the_others_through(
    remote: Ingestion, server: ModelServer, hurry: Hurry
) -> None:
    server.embeddings.failing = "doomed"
    remote.bring_in(a="Hotels cost 180.", b="This one is doomed.", c="Trains are first class.")
    assert remote.registry.counts() == {"ready": 2, "queued": 1}
    record = remote.record("b.md")
    assert (record.state, record.error_code) == ("queued", "model_failed")
    assert "nomic-embed-text-mock-embed256" in record.problem
    server.embeddings.failing = ""
    hurry()
    remote.work_off()
    assert remote.registry.counts() == {"ready": 3}


def test_a_model_that_goes_away_for_good_fails_the_document_with_its_reason(
    remote: Ingestion, server: ModelServer, hurry: Hurry
) -> None:
    server.embeddings.fault = "chat"
    remote.bring_in(a="Hotels cost 180.")
    for _ in range(9):
        hurry()
        remote.work_off()
    record = remote.record("a.md")
    assert (record.state, record.error_code) == ("failed", "model_not_found")
    assert "ollama pull nomic-embed-text" in record.problem


def test_a_question_that_cannot_be_embedded_is_unavailable_in_its_time(
    remote: Ingestion, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.bring_in(a="Hotels cost 180.")
    server.embeddings.fault = "err"
    with pytest.raises(ModelUnavailable, match=r"Documents cannot be searched now\. Ollama failed to run"):
        remote.found("what do hotels cost")
    monkeypatch.setattr(remote_embedding, "QUESTION_TIMEOUT_S", 0.3)
    server.embeddings.fault = "hang"
    started = time.monotonic()
    with pytest.raises(ModelUnavailable, match="took too long for a question"):
        remote.found("what do hotels cost")
    assert time.monotonic() - started < 2
    server.embeddings.fault = None
    assert remote.found("what do hotels cost") == ["Hotels cost 180."]


async def test_retrieval_answers_503_and_goes_on_when_the_model_is_back(remote: Ingestion, server: ModelServer) -> None:
    await asyncio.to_thread(remote.bring_in, a="Hotels cost 180.")
    retriever, question = Retriever(remote.generations, limit=6), Question("what do hotels cost", User("anna"))
    server.embeddings.fault = "fail"
    with pytest.raises(ModelUnavailable, match="Documents cannot be searched now") as raised:
        await retriever.retrieve(question)
    assert error_response(raised.value).status_code == 503
    server.embeddings.fault = None
    assert [passage.chunk.text for passage in (await retriever.retrieve(question)).passages] == ["Hotels cost 180."]
