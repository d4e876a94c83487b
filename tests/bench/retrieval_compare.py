"""Measures this product's retrieval beside Open WebUI's own: a data set of PDFs in, quality and latency of each out.

Both read the same files, embed with the same model and are asked the same questions over HTTP by one client, for ten
passages. Pages and measures are those of `ragline eval`.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import orjson

from pipelines.evaluate.build_index import FolderDocument
from pipelines.evaluate.read_questions import read_questions
from pipelines.evaluate.resolve import JudgedQuestion, page_name, resolve
from pipelines.evaluate.score import Ranking, score
from tests.bench.child import running_child
from tests.bench.retrieval_latency import CHILD, read_ready
from tests.bench.retrieval_load import Target, ask_all
from tests.bench.retrieval_open_webui import read_place, running_open_webui
from tests.bench.retrieval_results import Asked, Plan
from tests.evals.sec_10_q import map_questions

PASSAGES = 10
WARM_UP = 5
OURS = "ragline"

Place = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class DataSet:
    """A folder of PDFs with questions whose right pages are known."""

    docs: Path
    files: tuple[Path, ...]
    judged: tuple[JudgedQuestion, ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """How each system did, this product first. `refused` are the documents that Open WebUI could not read, with why,
    and `left_out` the questions about them."""

    asked: list[Asked]
    refused: dict[str, str]
    left_out: int


def read_data_set(folder: Path, *, every: int = 1) -> DataSet:
    """Find the pages that answer the questions of sec-10-q, or of one in so many of them."""
    files = tuple(sorted((folder / "docs").glob("*.pdf")))
    rows = [question.row() for question in map_questions(folder)]
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump(rows, file)
        file.flush()
        questions = read_questions(Path(file.name)).questions[::every]
    documents = [FolderDocument(file.name, file.name, paged=True) for file in files]
    return DataSet(folder / "docs", files, tuple(resolve(questions, documents)))


def measure_systems(data: DataSet, state: Path, installed: Path) -> Compared:
    """This product, then Open WebUI as it ships, then with its hybrid search.

    A question about a document that Open WebUI could not read has no measures: retrieval is compared, not reading.
    """
    ours = _measure_ours(data, state)
    theirs, refused = _measure_open_webui(data, state, installed)
    kept = [refused.keys().isdisjoint(judged.documents) for judged in data.judged]
    asked = [
        replace(each, measures=[row if keep else {} for row, keep in zip(each.measures, kept, strict=True)])
        for each in (ours, *theirs)
    ]
    return Compared(asked, refused, kept.count(False))


def _measure_ours(data: DataSet, state: Path) -> Asked:
    with _serving(Plan("reports", str(state), documents=str(data.docs))) as (port, ready):
        names: dict[str, str] = ready["documents"]

        def body(question: str) -> dict[str, Any]:
            return {"question": question, "user": {"id": "bench"}, "limit": PASSAGES}

        def places(answer: Any) -> list[Place]:
            return [(names[passage["document_id"]], passage["page"]) for passage in answer["passages"]]

        return _ask(Target(OURS, port, "/retrieve"), data, body, places)


def _measure_open_webui(data: DataSet, state: Path, installed: Path) -> tuple[list[Asked], dict[str, str]]:
    kept_in = state / "bench" / "retrieval-open-webui"
    with (
        _serving(Plan("embeddings", str(state))) as (port, ready),
        running_open_webui(
            installed, kept_in, embeddings_port=port, model=ready["model"], files=data.files
        ) as knowledge,
    ):
        headers = {"Authorization": f"Bearer {knowledge.token}"}

        def body(question: str) -> dict[str, Any]:
            k = {"k": PASSAGES, "k_reranker": PASSAGES}
            return {"collection_names": [knowledge.collection], "query": question, **k}

        asked = []
        for name, hybrid in (("Open WebUI", False), ("Open WebUI, hybrid", True)):
            knowledge.set_hybrid(hybrid)
            target = Target(name, knowledge.port, "/api/v1/retrieval/query/collection", headers)
            asked.append(_ask(target, data, body, _their_places))
        return asked, knowledge.refused


def _their_places(answer: Any) -> list[Place]:
    return [read_place(metadata) for metadata in answer["metadatas"][0]]


def _ask(
    target: Target,
    data: DataSet,
    body: Callable[[str], dict[str, Any]],
    places: Callable[[Any], Sequence[Place]],
) -> Asked:
    bodies = [orjson.dumps(body(each.question.text)) for each in data.judged]
    warming = [orjson.dumps(body(f"Before it counts, {number}")) for number in range(WARM_UP)]
    asyncio.run(ask_all(target, warming, clients=1))
    load, answers = asyncio.run(ask_all(target, bodies, clients=1))
    rankings = [
        _ranking(judged, places(orjson.loads(answer)) if answer else [])
        for judged, answer in zip(data.judged, answers, strict=True)
    ]
    halves: list[str] = [each.question.half for each in data.judged]
    return Asked(target.name, load, score(rankings), halves)


def _ranking(judged: JudgedQuestion, places: Sequence[Place]) -> Ranking:
    documents = [document for document, _ in places[:PASSAGES]]
    return Ranking(judged, documents, [page_name(document, page) for document, page in places[:PASSAGES]])


@contextmanager
def _serving(plan: Plan) -> Iterator[tuple[int, dict[str, Any]]]:
    with running_child(CHILD, asdict(plan)) as process:
        ready = read_ready(process, plan.task)
        yield int(ready["port"]), ready
