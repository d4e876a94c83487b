"""Every hostile document ends as a document or with a sentence, within its limits, and costs no other anything."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from pipelines.domain import Document
from pipelines.errors import DocumentRejected
from pipelines.ingest.isolate import Isolation
from pipelines.ingest.read import ReadDocument, read_document
from pipelines.providers.sentence_transformers import PACKAGED_MODEL, model_folder
from pipelines.providers.token_counter import TokenCounter
from tests.hostile import archives, pdfs, texts
from tests.hostile.hostile_document import HostileDocument

MEMORY_MB = 1024
TIMEOUT_S = 20
MAX_TOKENS = 256
LONGEST_CHUNK = 8000
"""Characters."""

COLLECTION = [*texts.texts(), *texts.markdown(), *texts.html(), *pdfs.pdfs(), *archives.archives()]


@dataclass(frozen=True, slots=True)
class Ending:
    result: ReadDocument | DocumentRejected
    seconds: float


class Reader:
    """Reads hostile documents, two at a time, each as the ingestion would."""

    def __init__(self, folder: Path) -> None:
        tokenizer = (model_folder(PACKAGED_MODEL) / "tokenizer.json").read_text("utf-8")
        self._folder = folder
        self._counter = TokenCounter(PACKAGED_MODEL, tokenizer, "")
        self.isolation = Isolation(workers=2, memory_mb=MEMORY_MB, timeout_s=TIMEOUT_S)

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


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Ending]]]:
    reader = Reader(tmp_path_factory.mktemp("hostile"))
    with ThreadPoolExecutor(2) as threads:
        yield {hostile.name: threads.submit(partial(reader.read, hostile)) for hostile in COLLECTION}
        reader.isolation.close()
        threads.shutdown(cancel_futures=True)


@pytest.mark.parametrize("name", [hostile.name for hostile in COLLECTION])
def test_a_hostile_document_ends_within_its_limits(name: str, endings: dict[str, Future[Ending]]) -> None:
    ending = endings[name].result()
    assert ending.seconds < TIMEOUT_S + 5
    if isinstance(ending.result, DocumentRejected):
        assert ending.result.message.endswith(".")
    else:
        assert ending.result.chunks or ending.result.unread
        assert max((len(chunk.context) for chunk in ending.result.chunks), default=0) < LONGEST_CHUNK
