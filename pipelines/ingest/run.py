"""The way of one document, a stage a line: fetch → parse → transcribe → chunk → embed → stage.

What comes out is in the index and seen by nobody; whoever called publishes it once nothing stands against it.
Parsing and chunking run together in a process that may be killed (`read`), embedding on threads of this one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pipelines.domain import Document
from pipelines.errors import EmptyDocument, UnreadableDocument
from pipelines.ingest.embed import embed_chunks
from pipelines.ingest.fetch import FetchedDocument, fetch_document
from pipelines.ingest.isolate import Isolation
from pipelines.ingest.read import ReadDocument, read_document
from pipelines.ingest.render import render_page
from pipelines.ingest.transcribe import Transcription, transcribe_pages
from pipelines.providers.base import VisionProvider
from pipelines.stores.base import DocumentSource, SourceEntry
from pipelines.stores.generations import Generation

Report = Callable[[str], None]
"""Is told the stage that begins."""

NOTHING_READ = Transcription({}, (), "")


@dataclass(frozen=True, slots=True)
class StagedDocument:
    """A document whose chunks are in the index and seen by nobody yet: `chunks` of them in each of `generations`."""

    document: Document
    pages: int | None
    unread: tuple[int, ...]
    problem: str
    generations: Sequence[Generation]
    chunks: Sequence[int]


@dataclass(frozen=True, slots=True)
class IngestPath:
    """What the stages need: where to read in safety, who reads images, who embeds, and the folder for bytes."""

    isolation: Isolation
    vision: VisionProvider | None
    threads: Executor
    thread_count: int
    spool: Path
    max_bytes: int

    def stage(
        self,
        entry: SourceEntry,
        source: DocumentSource,
        lacking: Callable[[str], Sequence[Generation]],
        *,
        media_type: str = "",
        report: Report = lambda _: None,
    ) -> StagedDocument | None:
        """Bring one document, unseen, into the generations that `lacking` names for its content hash; None if none.

        Raises:
            DocumentRejected: the document cannot be read.
            Unavailable: its source, a model or the index does not answer: another time it may work.
        """
        report("fetch")
        with fetch_document(
            entry, source, spool=self.spool, max_bytes=self.max_bytes, media_type=media_type
        ) as fetched:
            generations = lacking(fetched.document.content_hash)
            return self._stage(fetched, generations, report) if generations else None

    def close(self) -> None:
        """End what is being read, and take no more."""
        self.threads.shutdown(wait=False, cancel_futures=True)
        self.isolation.close()
        if self.vision:
            self.vision.close()

    def _stage(self, fetched: FetchedDocument, generations: Sequence[Generation], report: Report) -> StagedDocument:
        report("parse")
        read = self._read(fetched, generations[0], {})
        transcription = NOTHING_READ
        if read.unread:
            transcription = self._transcribe(fetched, read, report)
        chunks: list[int] = []
        with ExitStack() as failing:
            for generation in generations:
                if transcription.texts or generation is not generations[0]:
                    read = self._read(fetched, generation, transcription.texts)
                _require_text(read, transcription)
                report("embed")
                failing.callback(generation.index.discard, read.document.id)
                self._index(read, generation)
                chunks.append(len(read.chunks))
            failing.pop_all()
        document, unread, problem = read.document, transcription.unread, transcription.problem
        return StagedDocument(document, read.pages, unread, problem, generations, chunks)

    def _read(self, fetched: FetchedDocument, generation: Generation, transcripts: Mapping[int, str]) -> ReadDocument:
        """Parse and chunk, where nothing that is in the document can do harm."""
        embedding = generation.embedding
        return self.isolation.run(
            read_document, fetched.file, fetched.document, embedding.token_counter(), embedding.max_tokens, transcripts
        )

    def _transcribe(self, fetched: FetchedDocument, read: ReadDocument, report: Report) -> Transcription:
        report(f"transcribe 0/{len(read.unread)}")
        return transcribe_pages(
            read.unread,
            lambda page: self.isolation.run(render_page, fetched.file, read.document.media_type, page),
            self.vision,
            on_page=lambda done: report(f"transcribe {done}/{len(read.unread)}"),
        )

    def _index(self, read: ReadDocument, generation: Generation) -> None:
        generation.index.discard(read.document.id)
        batches = embed_chunks(read.chunks, generation.embedding, threads=self.threads, ahead=2 * self.thread_count)
        for chunks, vectors in batches:
            generation.index.stage(read.document, chunks, vectors)


def _require_text(read: ReadDocument, transcription: Transcription) -> None:
    if read.chunks:
        return
    if transcription.unread:
        raise UnreadableDocument(transcription.problem)
    raise EmptyDocument(f"{read.document.name} holds no text.")
