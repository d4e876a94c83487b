"""The benchmark of retrieval: the corpus it measures with, what it asks, and when it says that a bar is missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pipelines.answer.retrieve import Retriever
from pipelines.domain import NO_FACTS, Question, User
from pipelines.stores.generations import Generation
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from tests.bench import retrieval_bars as bars
from tests.bench.ingest_bars import Bar
from tests.bench.retrieval_corpus import Corpus, Language, access_of, document_id, reader
from tests.bench.retrieval_load import Target, ask_all
from tests.bench.retrieval_memory import disk_mb, resident
from tests.bench.retrieval_open_webui import read_place
from tests.bench.retrieval_results import Alone, Asked, Footprint, Load, Resident, Round
from tests.bench.retrieval_serve import measure_alone
from tests.fakes.word_embedding import WordEmbedding

FAST = Load("/retrieve", 1, [10.0] * 20, 0.2, 0.1)
ROUND = Round(FAST, replace(FAST, clients=16), FAST, FAST, Alone([5.0], [2.0]), {}, 100, 0)


def missed(found: list[Bar]) -> list[str]:
    return [bar.about for bar in found if not bar.met]


@pytest.fixture(scope="module")
def language() -> Language:
    return Language()


@pytest.fixture(scope="module")
def corpus(language: Language, tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return Corpus(language, WordEmbedding(), tmp_path_factory.mktemp("sentences"))


def test_a_larger_corpus_begins_with_the_smaller_one_and_its_vectors_have_length_one(corpus: Corpus) -> None:
    small, large = list(corpus.documents(120)), list(corpus.documents(170))

    assert [len(made.chunks) for made in small] == [50, 50, 20]
    assert [made.indexed.chunks for made in large] == [50, 50, 50, 20]
    for one, other in zip(small[:2], large, strict=False):
        assert one.chunks == other.chunks
        assert np.array_equal(one.vectors, other.vectors)
        assert np.allclose(np.linalg.norm(one.vectors, axis=1), 1, atol=1e-5)


def test_chunks_have_the_size_and_the_context_of_real_ones(corpus: Corpus) -> None:
    (made,) = corpus.documents(50)

    assert 700 < np.mean([len(chunk.text) for chunk in made.chunks]) < 1000
    assert len({chunk.text for chunk in made.chunks}) == 50
    assert made.indexed.document.facts != NO_FACTS
    assert all(chunk.title and chunk.about and chunk.section and chunk.page for chunk in made.chunks)


def test_titles_and_ids_of_documents_are_their_own(corpus: Corpus) -> None:
    documents = [made.indexed.document for made in corpus.documents(50 * 300)]

    assert len({document.title for document in documents}) == 300
    assert [document.id for document in documents] == [document_id(number) for number in range(300)]


def test_a_reader_may_read_a_part_of_the_documents_by_each_kind_of_access() -> None:
    access = [access_of(number) for number in range(1000)]
    shares = [
        sum(not held.isdisjoint(scopes) for scopes in access) / 1000
        for held in (set(reader(number).scopes()) for number in range(0, 500, 10))
    ]

    assert 0.15 < min(shares) <= max(shares) < 0.35
    assert {scope.partition(":")[0] for (scope,) in access} == {"everyone", "group", "user"}


def test_no_question_is_asked_twice(language: Language) -> None:
    assert len({question.text for question in language.questions(0, 4_000)}) == 4_000
    assert language.questions(7, 1) == language.questions(0, 8)[7:]


@asynccontextmanager
async def echoing(status: str = "200 OK") -> AsyncIterator[int]:
    """A server that answers each request with its own body, the shorter the sooner."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := (await reader.read(1)) and await reader.readuntil(b"\r\n\r\n"):
            length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
            body = await reader.readexactly(length)
            await asyncio.sleep(length / 1000)
            writer.write(f"HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n".encode() + body)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]


async def test_answers_come_in_the_order_of_the_questions() -> None:
    bodies = [b"x" * length for length in (30, 5, 20, 1, 10)]

    async with echoing() as port:
        load, answers = await ask_all(Target("echo", port, "/"), bodies, clients=3)

    assert answers == bodies
    assert (load.clients, load.failed, len(load.ms)) == (3, 0, 5)
    assert max(load.ms) >= 30


async def test_what_is_refused_counts_as_failed_and_not_as_fast() -> None:
    async with echoing("503 Service Unavailable") as port:
        load, answers = await ask_all(Target("echo", port, "/"), [b"x", b"y"], clients=1)

    assert (load.failed, load.ms, answers) == (2, [], [b"", b""])


async def test_the_parts_alone_are_measured_with_what_retrieval_asks_of_them(corpus: Corpus, tmp_path: Path) -> None:
    embedding = WordEmbedding()
    index = QdrantEdgeIndex(tmp_path, embedding)
    (made,) = corpus.documents(50)
    index.stage(made.indexed.document, made.chunks, list(made.vectors))
    index.publish(made.indexed)
    questions = [Question(chunk.text[:80], User("user-000")) for chunk in made.chunks[:3]]

    alone = await measure_alone(Retriever(_Live(Generation("g1", index, embedding, "")), limit=6), questions)
    index.close()

    assert len(alone.embed_ms) == len(alone.index_ms) == 3
    assert all(ms > 0 for ms in (*alone.embed_ms, *alone.index_ms))
    assert not {"search", "read"} & vars(index).keys()


def test_a_system_is_measured_over_the_questions_that_have_the_measure() -> None:
    asked = Asked("ragline", FAST, [{"page_hit@10": 1.0}, {}, {"page_hit@10": 0.0}], ["report", "report", "develop"])

    assert asked.values("page_hit@10") == [1.0, 0.0]
    assert asked.values("page_hit@10", "report") == [1.0]


def test_this_product_has_to_find_more_and_sooner_than_the_other() -> None:
    good, bad = ({"page_hit@10": value, "document_hit@5": value} for value in (1.0, 0.0))
    ours = Asked("ragline", FAST, [good, good], ["report", "develop"])
    other = Asked("Open WebUI", replace(FAST, ms=[90.0] * 20), [good, bad], ["report", "develop"])

    assert not missed(bars.systems([ours, other]))
    assert len(missed(bars.systems([other, ours]))) == 3


def test_pages_of_open_webui_are_counted_from_one() -> None:
    assert read_place({"name": "report.pdf", "page": 18, "page_label": "19"}) == ("report.pdf", 19)


def test_memory_counts_what_the_process_holds_and_the_most_it_held() -> None:
    before = resident()
    held = bytearray(b"x") * 2**26
    during = resident()
    del held

    assert 60 < during.anonymous - before.anonymous < 70
    assert resident().peak >= during.anonymous


def test_disk_space_is_what_files_take_and_not_how_long_they_are(tmp_path: Path) -> None:
    with (tmp_path / "reserved").open("wb") as file:
        file.truncate(2**30)
    (tmp_path / "written").write_bytes(b"x" * 2**20)

    assert 0.9 < disk_mb(tmp_path) < 2


def test_the_memory_bar_is_that_of_the_largest_index() -> None:
    few, much = Resident(100, 50, 200), Resident(2100, 50, 2200)
    small = Footprint(50_000, few, few, few, 1.0, 100.0, [2.0])

    assert not missed(bars.memory([small, replace(small, chunks=500_000)]))
    assert missed(bars.memory([replace(small, chunks=500_000, searched=much), small]))


class _Live:
    def __init__(self, generation: Generation) -> None:
        self.live = generation


def test_latency_bars_that_are_met() -> None:
    assert not missed(bars.latency([ROUND], 50_000))


def test_each_latency_bar_that_is_missed_is_named() -> None:
    slow = replace(FAST, ms=[61.0] * 20, failed=1)
    found = bars.latency([replace(ROUND, one=slow, many=replace(slow, clients=16), foreign=1)], 50_000)

    assert missed(found) == [bar.about for bar in found]
