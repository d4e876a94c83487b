"""What is measured, a function a scenario: a plan in, its record out. Each runs in a process of its own."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pypdfium2

from pipelines.bootstrap_documents import Documents, open_documents
from pipelines.domain import Document
from pipelines.ingest.chunk import chunk_document
from pipelines.ingest.embed import BATCH
from pipelines.ingest.formats import pdf
from pipelines.ingest.nice import be_nice
from pipelines.ingest.reconcile import reconcile
from pipelines.providers.base import EmbeddingProvider
from pipelines.providers.sentence_transformers import load_embedding
from pipelines.settings import Settings
from tests.bench.ingest_questions import Questions, ask, quiet_ms
from tests.bench.ingest_results import EmbedderAlone, Line, Look, Many, OneDocument, ParserAlone, Plan
from tests.bench.ingest_watch import Memory, Seen, watch_ingestion
from tests.fakes.aws import REGION

CORES = os.cpu_count() or 1
VISION_MODEL = "mock-vision-page5000"
VISION_PARALLEL = 8
LOOK_EVERY_S = 0.1
SECRET = "only-for-this-benchmark"

Result = OneDocument | ParserAlone | EmbedderAlone | Many | Look


def one_document(plan: Plan) -> OneDocument:
    """The one document of a source, by one worker in this thread."""
    watch, seen = watch_ingestion(start_apart=True)
    # Its workers are never started, so there is nothing to stop.
    with _opened(plan, end=lambda documents: documents.release()) as documents, ExitStack() as stack:
        reconcile(documents.generations, documents.registry)
        memory = stack.enter_context(Memory(lambda: watch.now))
        questions = stack.enter_context(Questions(documents.generations)) if plan.ask else None
        began = time.perf_counter()
        with watch.stage("other"):
            asyncio.run(documents.library.sync())
            documents.work.next()
        seconds = time.perf_counter() - began
        stack.close()
        (record,) = documents.registry.list(limit=2)
        found = {passage.chunk.document_id for passage in ask(documents.generations, "What does the page say?")}
        return OneDocument(
            seconds=seconds,
            pages=record.pages or 0,
            chunks=record.chunks or 0,
            problem=record.problem if record.state == "ready" else f"{record.state}: {record.problem}",
            found=record.id in found and len(seen.pages[record.origin]) == record.pages,
            peak_mb=memory.peak_mb,
            cpu_s=memory.cpu_s,
            stage_s=dict(watch.seconds),
            stage_mb={**memory.stage_mb},
            asked_ms=questions.asked_ms if questions else [],
            quiet_ms=quiet_ms(documents.generations) if questions else [],
        )


def parser_alone(plan: Plan) -> ParserAlone:
    """What PDFium takes for its own text of every page, and our parser and chunker beside it."""
    data = Path(plan.source).read_bytes()
    count = load_embedding("all-MiniLM-L6-v2", "onnx", Path(plan.models)).token_counter()
    count("The tokenizer is loaded.")
    be_nice()  # as a reading process is
    began = time.perf_counter()
    with pypdfium2.PdfDocument(data) as document:
        pages = len(document)
        for number in range(pages):
            document[number].get_textpage().get_text_range()
    text_done = time.perf_counter()
    parsed = pdf.parse(data)
    parse_done = time.perf_counter()
    chunk_document(_document(plan), parsed, count_tokens=count, max_tokens=256)
    return ParserAlone(pages, text_done - began, parse_done - text_done, time.perf_counter() - parse_done)


def embedder_alone(plan: Plan) -> EmbedderAlone:
    """What the embedding model takes for the same chunks."""
    embedding = _embedding(plan)
    parsed = pdf.parse(Path(plan.source).read_bytes())
    count = embedding.token_counter()
    chunks = chunk_document(_document(plan), parsed, count_tokens=count, max_tokens=embedding.max_tokens)
    texts = [chunk.context for chunk in chunks]
    batches = [texts[start : start + BATCH] for start in range(0, len(texts), BATCH)]

    def seconds(threads: int) -> float:
        with ThreadPoolExecutor(threads, initializer=be_nice) as pool:
            began = time.perf_counter()
            for _ in pool.map(lambda batch: embedding.embed(batch, input_type="document"), batches):
                continue
            return time.perf_counter() - began

    return EmbedderAlone(len(chunks), CORES, seconds(CORES), seconds(1))


def many_documents(plan: Plan) -> Many:
    """All documents of a source, by the product's own workers, until nothing waits."""
    watch, seen = watch_ingestion()
    with _opened(plan) as documents, Memory(lambda: watch.now) as memory:
        began = time.perf_counter()
        documents.start()
        asyncio.run(documents.library.sync())
        while documents.registry.unfinished():
            time.sleep(LOOK_EVERY_S)
        seconds = time.perf_counter() - began
        memory.stop()
        return Many(
            seconds=seconds,
            workers=CORES,
            lines=list(_lines(documents, seen)),
            busy_s=dict(watch.seconds),
            index_updates=seen.updates,
            peak_mb=memory.peak_mb,
            cpu_s=memory.cpu_s,
            found=sum(_is_found(documents, question, address) for question, address in plan.checks),
            checked=len(plan.checks),
        )


def second_look(plan: Plan) -> Look:
    """A start and a look at a source of which all is known already."""
    _, seen = watch_ingestion()
    folder = Path(plan.folder) / "data" / "qdrant"
    with _opened(plan) as documents:
        before = _files(folder)
        began = time.perf_counter()
        documents.start()
        started = time.perf_counter()
        (report,) = asyncio.run(documents.library.sync())
        seconds = time.perf_counter() - started
        queued = documents.registry.unfinished()
        while documents.registry.unfinished():
            time.sleep(LOOK_EVERY_S)
        changed = len(set(before.items()) ^ set(_files(folder).items()))
        return Look(started - began, seconds, report.unchanged, queued, seen.updates, changed)


def _lines(documents: Documents, seen: Seen) -> Iterator[Line]:
    for record in documents.registry.list(limit=100_000):
        yield Line(
            name=record.name,
            state=record.state,
            problem=record.problem,
            pages=record.pages or 0,
            held=sorted(seen.pages[record.origin]),
            unread=len(record.unread_pages),
            chunks=record.chunks or 0,
            seconds=seen.seconds.get(record.origin, 0.0),
        )


def _is_found(documents: Documents, question: str, address: str) -> bool:
    return any(passage.document.origin.endswith(address) for passage in ask(documents.generations, question))


def _files(folder: Path) -> dict[str, tuple[int, int]]:
    stats = {str(path): path.stat() for path in folder.rglob("*") if path.is_file()}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


@contextmanager
def _opened(plan: Plan, *, end: Callable[[Documents], None] = Documents.close) -> Iterator[Documents]:
    documents = open_documents(_settings(plan), _embedding(plan))
    try:
        yield documents
    finally:
        end(documents)


def _settings(plan: Plan) -> Settings:
    secrets = dict.fromkeys(("gateway_api_key", "internal_api_key", "webhook_api_key", "identity_secret"), SECRET)
    values = {
        "state_dir": plan.folder,
        "registry_url": plan.registry_url,
        "default_access": "everyone",
        "access_file": Path(plan.folder) / "access.yaml",
        "document_sources": plan.source,
        "s3_endpoint_url": plan.s3_url,
        **({"aws_region": REGION, "s3_access_key_id": "test", "s3_secret_access_key": "test"} if plan.s3_url else {}),
        **({"vision_model": VISION_MODEL, "ollama_base_url": plan.vision_url} if plan.vision_url else {}),
        "ollama_num_parallel": VISION_PARALLEL,
    }
    return Settings(_env_file=None, **secrets, **values)  # type: ignore[call-arg,arg-type]  # pydantic-settings' own


def _embedding(plan: Plan) -> EmbeddingProvider:
    """The model, warm: a service has answered questions before it gets a document."""
    embedding = load_embedding("all-MiniLM-L6-v2", "onnx", Path(plan.models))
    embedding.embed(["The model is loaded."] * CORES, input_type="document")
    return embedding


def _document(plan: Plan) -> Document:
    empty = Document("00000000-0000-0000-0000-000000000000", "Report", plan.source, "application/pdf", "", 0, ())
    return replace(empty, content_hash="0")


SCENARIOS: Mapping[str, Callable[[Plan], Result]] = MappingProxyType(
    {
        "one": one_document,
        "parser": parser_alone,
        "embedder": embedder_alone,
        "many": many_documents,
        "look": second_look,
    }
)
