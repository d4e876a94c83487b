"""The index that pipelines has open, used over HTTP by a process beside it: it does what the index itself does."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from pipelines.app import internal_key
from pipelines.domain import EVERYONE, Chunk, Document, IndexedDocument, user_scope
from pipelines.error_responses import add_error_handlers
from pipelines.errors import StoreUnavailable
from pipelines.ingest.index_api import index_api
from pipelines.ingest.reindex import IndexState
from pipelines.stores.base import SearchRequest
from pipelines.stores.generations import Generations
from pipelines.stores.served_index import ServedGenerations, ServedIndex, StageBody
from tests.fakes.served import served
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest.ingestion import quick_folder

EMBEDDING = WordEmbedding()
RECIPE = "words chunks-1"
KEY = "internal-key-0001"


class State:
    """How the index stands, without a registry: what the route asks of `Reindex`."""

    def __init__(self, generations: Generations) -> None:
        self._generations = generations

    def state(self) -> IndexState:
        live, building, previous = self._generations.live, self._generations.building, self._generations.previous
        return IndexState(
            live.id, live.recipe, building.id if building else "", 0, previous.id if previous else "", outdated=False
        )

    begin = abandon = roll_back = state


@pytest.fixture
def generations(tmp_path: Path) -> Iterator[Generations]:
    with quick_folder(tmp_path) as folder:
        opened = Generations(folder / "index", embedding=EMBEDDING, recipe=RECIPE, load=lambda _: EMBEDDING)
        yield opened
        opened.close()


@pytest.fixture
async def url(generations: Generations) -> AsyncIterator[str]:
    app = FastAPI()
    app.include_router(index_api(State(generations), generations, internal_key(KEY)))  # type: ignore[arg-type]
    add_error_handlers(app)
    async with served(app) as address:
        yield address


@pytest.fixture
def beside(url: str) -> Iterator[ServedGenerations]:
    opened = ServedGenerations(url, key=KEY, embedding=EMBEDDING, recipe=RECIPE)
    yield opened
    opened.close()


def a_document(revision: str = "r1", *, access: tuple[str, ...] = (EVERYONE,)) -> Document:
    origin = "upload://hotels ü.md"
    return Document(str(uuid.uuid5(uuid.NAMESPACE_URL, origin)), "Hotels", origin, "text/markdown", revision, 9, access)


def chunks_of(document: Document, *texts: str) -> list[Chunk]:
    return [
        Chunk(str(uuid.uuid4()), document.id, number, text, document.title, ("Ümlaut › x",), number + 1)
        for number, text in enumerate(texts)
    ]


def stage(index: ServedIndex, document: Document, *texts: str) -> None:
    chunks = chunks_of(document, *texts)
    index.stage(document, chunks, list(EMBEDDING.embed([each.context for each in chunks], input_type="document")))


def found(generations: Generations, question: str, *scopes: str) -> list[tuple[str, int | None]]:
    vector = EMBEDDING.embed([question], input_type="question")[0]
    passages = generations.live.index.search(SearchRequest(question, vector, scopes or (EVERYONE,)))
    return sorted((passage.chunk.text, passage.chunk.page) for passage in passages)


async def test_a_document_goes_in_by_steps_and_is_found_when_it_is_published(
    generations: Generations, beside: ServedGenerations
) -> None:
    def work() -> None:
        (generation,) = beside.written()
        index, document = generation.index, a_document()
        assert isinstance(index, ServedIndex)
        stage(index, document, "Hotels cost 180.", "Trains are first class.")
        assert (index.count(), index.documents(), found(generations, "hotels")) == (0, [], [])
        published = IndexedDocument(document, 2, 2, "2026-11-21T10:00:00+00:00")
        index.publish(published)
        assert (index.count(), index.documents()) == (2, [published])
        assert found(generations, "hotels") == [("Hotels cost 180.", 1), ("Trains are first class.", 2)]

        stage(index, a_document("r2"), "Hotels cost 250.")
        index.discard(document.id)
        with pytest.raises(StoreUnavailable, match="read again"):
            index.publish(IndexedDocument(a_document("r2"), 1, None, ""))
        assert index.count() == 2

        index.set_access(document.id, [user_scope("anna / ü")])
        assert found(generations, "hotels") == []
        assert len(found(generations, "hotels", user_scope("anna / ü"))) == 2
        assert (index.remove(document.id), index.remove(document.id), index.count()) == (True, False, 0)

    await asyncio.to_thread(work)


def test_vectors_arrive_as_they_were_sent() -> None:
    document = a_document()
    vectors = list(EMBEDDING.embed(["a", "b c"], input_type="document"))
    body = StageBody.of(document, chunks_of(document, "a", "b c"), vectors)
    for sent, back in zip(vectors, body.rows(), strict=True):
        assert (sent == back).all()


async def test_vectors_that_do_not_fit_the_chunks_are_refused(url: str) -> None:
    document = a_document()
    body = StageBody.of(document, chunks_of(document, "a"), list(EMBEDDING.embed(["a"], input_type="document")))
    wrong = [
        body.model_copy(update={"vectors": body.vectors[:-8]}),
        body.model_copy(update={"vectors": "no base64!"}),
        body.model_copy(update={"dimensions": 63}),
        body.model_copy(update={"dimensions": -1}),
        body.model_copy(update={"chunks": []}),
    ]
    async with httpx.AsyncClient(base_url=url, headers={"x-ragline-key": KEY}) as http:
        for each in wrong:
            answer = await http.post("/index/g1/stage", content=each.model_dump_json())
            assert answer.json()["error"]["code"] == "invalid_request"


async def test_questions_are_not_asked_here(beside: ServedGenerations) -> None:
    def ask() -> None:
        (generation,) = beside.written()
        vector = EMBEDDING.embed(["x"], input_type="question")[0]
        with pytest.raises(StoreUnavailable, match="ask pipelines"):
            generation.index.search(SearchRequest("x", vector, [EVERYONE]))
        generation.index.close()
        assert generation.index.count() == 0, "the connection is not its own to close"

    await asyncio.to_thread(ask)


async def test_nothing_goes_in_while_the_index_is_rebuilt_but_readers_and_removals_reach_all(
    generations: Generations, beside: ServedGenerations
) -> None:
    generations.begin(WordEmbedding("other"), "other chunks-1")

    def work() -> None:
        with pytest.raises(StoreUnavailable, match="being rebuilt") as raised:
            beside.written()
        assert raised.value.retry_after
        assert [generation.id for generation in beside.kept()] == ["g1", "g2"]

    await asyncio.to_thread(work)


async def test_nothing_goes_into_an_index_of_another_recipe(generations: Generations, url: str) -> None:
    other = ServedGenerations(url, key=KEY, embedding=EMBEDDING, recipe="words chunks-2")
    with pytest.raises(StoreUnavailable, match="ragline reindex"):
        await asyncio.to_thread(other.written)
    assert [generation.id for generation in await asyncio.to_thread(other.kept)] == ["g1"]
    other.close()


async def test_a_refusal_and_a_silence_are_one_sentence(url: str) -> None:
    stranger = ServedGenerations(url, key="wrong", embedding=EMBEDDING, recipe=RECIPE)
    with pytest.raises(StoreUnavailable, match="internal key"):
        await asyncio.to_thread(stranger.written)
    stranger.close()
    with (
        httpx.Client(base_url=url, headers={"x-ragline-key": KEY}) as http,
        pytest.raises(StoreUnavailable, match="no generation g9"),
    ):
        await asyncio.to_thread(ServedIndex(http, "g9").count)
    nobody = ServedGenerations("http://127.0.0.1:1", key=KEY, embedding=EMBEDDING, recipe=RECIPE)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await asyncio.to_thread(nobody.written)
    nobody.close()
