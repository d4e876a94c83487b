"""Every hostile document ends as a document or with a sentence, within its limits, and costs no other anything."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.domain import Document
from pipelines.errors import DocumentRejected, DocumentTooCostly
from pipelines.ingest.isolate import Isolation
from pipelines.ingest.read import ReadDocument, read_document
from pipelines.providers.sentence_transformers import PACKAGED_MODEL, model_folder
from pipelines.providers.token_counter import TokenCounter
from tests.hostile import archives, pdfs, texts
from tests.hostile.hostile_document import HostileDocument

MEMORY_MB = 1024
TIMEOUT_S = 10
MAX_TOKENS = 256
START_S = 20
"""On a busy machine, a process takes long to start after one was killed."""
LONGEST_CHUNK = 8000
"""Characters."""

LONG, LARGE = "4 MB of words.txt", "50 MB without a space.txt"
"""One takes seconds, the other a multiple of its size."""

COLLECTION = [*texts.texts(), *texts.markdown(), *texts.html(), *pdfs.pdfs(), *archives.archives()]


@dataclass(frozen=True, slots=True)
class Ending:
    result: ReadDocument | DocumentRejected
    seconds: float


class Reader:
    """Reads hostile documents, two at a time, each as the ingestion would."""

    def __init__(self, folder: Path, *, memory_mb: int = MEMORY_MB, timeout_s: float = TIMEOUT_S) -> None:
        tokenizer = (model_folder(PACKAGED_MODEL) / "tokenizer.json").read_text("utf-8")
        self._folder = folder
        self._counter = TokenCounter(PACKAGED_MODEL, tokenizer, "")
        self.isolation = Isolation(workers=2, memory_mb=memory_mb, timeout_s=timeout_s)

    def read(self, hostile: HostileDocument) -> Ending:
        file = self._folder / str(abs(hash(hostile.name)))
        file.write_bytes(hostile.make())
        document = Document(str(uuid.uuid4()), hostile.name, f"upload://someone/{hostile.name}", "", "", 0)
        started = time.monotonic()
        try:
            result: ReadDocument | DocumentRejected = self.isolation.run(
                read_document, file, document, self._counter, MAX_TOKENS
            )
        except DocumentRejected as error:
            result = error
        finally:
            file.unlink()
        return Ending(result, time.monotonic() - started)


@dataclass(frozen=True, slots=True)
class Reading:
    reader: Reader
    endings: dict[str, Future[Ending]]


@pytest.fixture(scope="module")
def reading(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reading]:
    reader = Reader(tmp_path_factory.mktemp("hostile"))
    with ThreadPoolExecutor(2) as threads:
        yield Reading(reader, {hostile.name: threads.submit(reader.read, hostile) for hostile in COLLECTION})
        reader.isolation.close()
        threads.shutdown(cancel_futures=True)


@pytest.mark.parametrize("hostile", COLLECTION, ids=lambda hostile: ascii(hostile.name[:40]))
def test_a_hostile_document_ends_within_its_limits(hostile: HostileDocument, reading: Reading) -> None:
    ending = reading.endings[hostile.name].result()
    assert ending.seconds < TIMEOUT_S + START_S
    if isinstance(ending.result, DocumentRejected):
        assert not hostile.holds
        assert ending.result.message.endswith(".")
    else:
        assert ending.result.chunks or ending.result.unread
        assert max((len(chunk.context) for chunk in ending.result.chunks), default=0) < LONGEST_CHUNK
        assert hostile.holds in "\n".join(chunk.text for chunk in ending.result.chunks)


@pytest.mark.parametrize("suffix", archives.GOOD)
def test_good_documents_are_still_read_after_them(suffix: str, reading: Reading) -> None:
    ending = reading.reader.read(HostileDocument(f"good.{suffix}", archives.GOOD[suffix]))
    assert isinstance(ending.result, ReadDocument)
    assert any(archives.TEXT in chunk.text for chunk in ending.result.chunks)


def test_no_member_of_an_archive_was_written_anywhere(reading: Reading) -> None:
    wait(reading.endings.values())
    folder = Path.cwd()
    assert not any((above / "owned").exists() for above in (folder, *folder.parents))


def test_a_document_over_a_limit_costs_the_next_one_nothing(tmp_path: Path) -> None:
    reader = Reader(tmp_path, memory_mb=100, timeout_s=1)
    for name, limit in [(LONG, "over 1 s"), (LARGE, "over 100 MB of memory")]:
        ending = reader.read(next(hostile for hostile in COLLECTION if hostile.name == name))
        assert isinstance(ending.result, DocumentTooCostly)
        assert limit in ending.result.message
        assert isinstance(reader.read(HostileDocument("good.docx", archives.GOOD["docx"])).result, ReadDocument)
    reader.isolation.close()
