"""What the driver does with what a worker of the cluster sends; Ray itself is tried in `tests/scale`."""

from __future__ import annotations

import pickle
import sys
from pathlib import PurePosixPath

import pytest

from pipelines.domain import Chunk, Document
from pipelines.errors import Busy, SetupFailed, SourceUnavailable
from pipelines.ingest.engine_ray import CollectedChunks, Preparation, PreparedDocument, Preparer, prepare_with_ray
from pipelines.ingest.run import StagedDocument
from pipelines.stores.base import SourceEntry
from pipelines.stores.generations import Generation
from tests.fakes.word_embedding import WordEmbedding

ENTRY = SourceEntry(PurePosixPath("a.md"), "file:///share/a.md", 10, "v1")
DOCUMENT = Document("d", "a", ENTRY.origin, "text/markdown", "h", 10)
CHUNKS = tuple(Chunk(f"c{number}", "d", number, f"word {number}", "a") for number in range(3))


def test_a_prepared_document_is_staged_as_if_it_had_been_made_here() -> None:
    embedding = WordEmbedding()
    vectors = tuple(embedding.embed([chunk.text for chunk in CHUNKS], input_type="document"))
    sent = PreparedDocument(ENTRY, StagedDocument(DOCUMENT, None, (), "", (), (3,)), ((CHUNKS, vectors),))
    index = CollectedChunks()
    generation = Generation("g1", index, embedding, "")

    staged = sent_over(sent).stage(generation)

    assert staged is not None
    assert staged.generations == (generation,)
    assert [chunks for chunks, _ in index.batches] == [CHUNKS]


def test_the_same_bytes_stage_nothing() -> None:
    index = CollectedChunks()

    assert PreparedDocument(ENTRY).stage(Generation("g1", index, WordEmbedding(), "")) is None
    assert index.batches == []


def test_an_error_comes_back_as_itself() -> None:
    sent = sent_over(PreparedDocument(ENTRY, error=Busy("Full.", retry_after=7)))

    with pytest.raises(Busy, match="Full") as raised:
        sent.stage(Generation("g1", CollectedChunks(), WordEmbedding(), ""))

    assert raised.value.retry_after == 7


def test_nothing_to_prepare_starts_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    assert list(prepare_with_ray([], refuse)) == []


def test_a_missing_package_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(SetupFailed, match="Ray is not installed here"):
        list(prepare_with_ray([Preparation(ENTRY, "file:///share")], refuse))


def sent_over(prepared: PreparedDocument) -> PreparedDocument:
    """As it arrives from another process."""
    arrived: PreparedDocument = pickle.loads(pickle.dumps(prepared))  # noqa: S301
    return arrived


def refuse() -> Preparer:
    raise SourceUnavailable("Never opened here.")
