"""Closed documents change nothing of what others find: as if they were not there, whatever they are about."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pipelines.answer.retrieve import RetrieveOptions, Retriever
from pipelines.domain import EVERYONE, Chunk, Document, DocumentFacts, IndexedDocument, Passage, Question, User
from pipelines.stores.base import Weights
from pipelines.stores.generations import Generation
from pipelines.stores.qdrant_edge import QdrantEdgeIndex
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest.ingestion import quick_folder

pytestmark = pytest.mark.asyncio

CLOSED = ("group:board",)
READER, BOARD = User("nora"), User("cleo", ("board",))
COMPANIES = ("Borealis Shipping Inc", "Zephyr Foods Ltd", "Quillon Energy GmbH")
QUARTERS = ("2024-Q3", "2024-Q4", "2025-Q1", "2025-Q2")
ENDS = {"2024-Q3": "2024-09-30", "2024-Q4": "2024-12-31", "2025-Q1": "2025-03-31", "2025-Q2": "2025-06-30"}
WORDS = ("harbour", "ledger", "copper", "turbine", "orchard", "freight", "margin", "vessel", "grain", "boiler")

UNEVEN = Weights(dense=1.0, bm25=0.83, preferred_dense=2.11, preferred_bm25=1.57)
"""No two chunks come out even: between such the index may choose, and does so anew in each one that is made."""

QUESTIONS = (
    "What does the latest report of Borealis say of freight?",
    "What was the margin of Zephyr in 2025-Q1?",
    "What was the margin of Zephyr Foods in the second quarter of 2025?",
    "Compare the freight of Borealis with that of Quillon.",
    "How many turbines has Quillon?",
    "What does the newest quarterly report say of the boiler?",
    "harbour ledger copper turbine",
    "Which vessel carries grain?",
    "What is the contract of the clerk?",
)


@dataclass(frozen=True, slots=True)
class Report:
    """A quarterly report of a company."""

    company: str
    quarter: str
    access: tuple[str, ...]

    @property
    def document(self) -> Document:
        title = f"{self.company} quarterly report {self.quarter}"
        facts = DocumentFacts((self.company,), ("quarterly report",), (self.quarter,), ENDS[self.quarter])
        origin = f"upload://{title} {self.access}.md"
        identity = str(uuid.uuid5(uuid.NAMESPACE_URL, origin))
        return Document(identity, title, origin, "text/markdown", "r1", 9, self.access, facts)

    def texts(self) -> list[str]:
        drawn = random.Random(f"{self.company} {self.quarter} {self.access}")
        drawn_words = (drawn.choices(WORDS, k=drawn.randint(10, 60)) for _ in range(3))
        return [f"The {' '.join(each)} of {self.company} was {drawn.random()}." for each in drawn_words]


def is_last_quarter(quarter: str) -> bool:
    return quarter == QUARTERS[-1]


OPEN = [
    Report(company, quarter, (EVERYONE,))
    for company in COMPANIES
    for quarter in QUARTERS
    if not is_last_quarter(quarter)
]
"""Of every company the reports but the last, which is closed to most."""
ALL = [
    *OPEN,
    *(Report(company, quarter, CLOSED) for company in COMPANIES for quarter in QUARTERS),
    Report("Freight Margin Turbine Inc", "2025-Q2", CLOSED),
]


@dataclass(frozen=True, slots=True)
class Live:
    live: Generation


@contextmanager
def retriever_over(folder: Path, reports: list[Report]) -> Iterator[Retriever]:
    embedding = WordEmbedding()
    index = QdrantEdgeIndex(folder, embedding)
    for report in reports:
        document = report.document
        chunks = [
            Chunk(str(uuid.uuid5(uuid.UUID(document.id), text)), document.id, number, text, document.title)
            for number, text in enumerate(report.texts())
        ]
        index.stage(document, chunks, list(embedding.embed([chunk.context for chunk in chunks], input_type="document")))
        index.publish(IndexedDocument(document, len(chunks), None, "2026-11-21T10:00:00+00:00"))
    yield Retriever(Live(Generation("g1", index, embedding, "")), limit=8)
    index.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with quick_folder(tmp_path_factory.mktemp("side-channels")) as folder:
        yield folder


@pytest.fixture(scope="module")
def among_all(folder: Path) -> Iterator[Retriever]:
    with retriever_over(folder / "all", ALL) as retriever:
        yield retriever


@pytest.fixture(scope="module")
def among_open(folder: Path) -> Iterator[Retriever]:
    with retriever_over(folder / "open", OPEN) as retriever:
        yield retriever


def preferred(retriever: Retriever, text: str, user: User) -> set[str]:
    catalog = retriever.generations.live.index.catalog()
    return set(retriever.recogniser.recognise(text, catalog, user.scopes()).documents)


async def found(retriever: Retriever, text: str, user: User, weights: Weights = UNEVEN) -> tuple[Passage, ...]:
    asked = replace(retriever, options=RetrieveOptions(weights=weights))
    return (await asked.retrieve(Question(text, user))).passages


def chunks(passages: tuple[Passage, ...]) -> list[tuple[str, str]]:
    return [(passage.chunk.id, passage.chunk.text) for passage in passages]


@pytest.mark.parametrize("question", QUESTIONS)
async def test_closed_documents_have_no_influence_on_what_a_question_names(
    among_all: Retriever, among_open: Retriever, question: str
) -> None:
    assert preferred(among_all, question, READER) == preferred(among_open, question, READER)


@pytest.mark.parametrize("question", QUESTIONS)
async def test_closed_documents_have_no_influence_on_what_is_near_in_meaning(
    among_all: Retriever, among_open: Retriever, question: str
) -> None:
    dense = Weights(dense=1, bm25=0, preferred_dense=2, preferred_bm25=0)
    with_closed = await found(among_all, question, READER, dense)
    without = await found(among_open, question, READER, dense)
    assert chunks(with_closed) == chunks(without)
    assert [passage.relevance for passage in with_closed] == [passage.relevance for passage in without]


@pytest.mark.parametrize("question", QUESTIONS)
async def test_closed_documents_have_no_influence_on_the_order_of_what_is_found(
    among_all: Retriever, among_open: Retriever, question: str
) -> None:
    """Where BM25 counted how rare a word is in closed documents too, the order would tell whether they have it."""
    assert chunks(await found(among_all, question, READER)) == chunks(await found(among_open, question, READER))


async def test_the_latest_report_is_the_latest_that_the_reader_may_read(among_all: Retriever) -> None:
    question = "What does the latest report of Borealis say of freight?"
    newest = Report(COMPANIES[0], "2025-Q1", (EVERYONE,)).document.id
    assert (await found(among_all, question, READER))[0].document.id == newest
    closed = Report(COMPANIES[0], "2025-Q2", CLOSED).document.id
    assert (await found(among_all, question, BOARD))[0].document.id == closed
    among_all.generations.live.index.set_access(closed, (EVERYONE,))
    assert (await found(among_all, question, READER))[0].document.id == closed
    among_all.generations.live.index.set_access(closed, CLOSED)
    assert (await found(among_all, question, READER))[0].document.id == newest


async def test_a_document_that_is_closed_to_somebody_answers_him_as_one_that_is_not_there(
    among_all: Retriever, among_open: Retriever
) -> None:
    for question in ("What does Freight Margin Turbine Inc say?", "What was the margin of Zephyr in 2025-Q2?"):
        for retriever in (among_all, among_open):
            assert all(EVERYONE in each.document.access for each in await found(retriever, question, READER))
        assert preferred(among_all, question, READER) == preferred(among_open, question, READER)
