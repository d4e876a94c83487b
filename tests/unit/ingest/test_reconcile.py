"""Index and registry after one of them was lost, or went on without the other: the registry is right."""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Callable

import pytest

from pipelines.domain import EVERYONE, Chunk, Document, Grant, IndexedDocument
from pipelines.ingest.reconcile import Reconciled, put_readers_right, reconcile
from pipelines.stores.generations import Generation
from pipelines.stores.registry import THE_INDEX
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest.ingestion import Ingestion, once

NOTHING = Reconciled(0, 0, 0)


def put_right(ingestion: Ingestion) -> Reconciled:
    return reconcile(ingestion.generations, ingestion.registry)


def put_stranger(generation: Generation) -> None:
    """A document that the registry knows nothing of."""
    document = Document(str(uuid.uuid4()), "Stranger", "upload://stranger.md", "text/markdown", "r1", 1, (EVERYONE,))
    chunk = Chunk(str(uuid.uuid4()), document.id, 0, "Strangers know of hotels.", "Stranger")
    vectors = generation.embedding.embed([chunk.context], input_type="document")
    generation.index.stage(document, [chunk], list(vectors))
    generation.index.publish(IndexedDocument(document, 1, None, ""))


def test_nothing_is_written_where_all_is_right(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.", b=" ")
    before = ingestion.registry.list(limit=10)
    assert put_right(ingestion) == NOTHING
    assert ingestion.registry.list(limit=10) == before


def test_after_the_index_was_deleted_everything_is_read_again_and_found(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.", b="Trains are first class.")
    # The id of the newest index is one that the deleted folder had long gone beyond, and comes anew.
    for _ in range(2):
        building = ingestion.generations.begin(WordEmbedding("other"), "other chunks-1")
        ingestion.models["other"] = building.embedding
        ingestion.registry.mark_stale(building.id)
        ingestion.work_off()
        ingestion.generations.switch()
    ingestion.generations.close()
    shutil.rmtree(ingestion.folder / "qdrant")
    ingestion.reopen()
    assert ingestion.registry.counts() == {"queued": 2}
    ingestion.work_off()
    assert ingestion.found("hotels")[0] == "Hotels cost 180."
    assert ingestion.registry.counts() == {"ready": 2}
    building = ingestion.generations.begin(WordEmbedding("third"), "third chunks-1")
    assert ingestion.registry.mark_stale(building.id) == 2, "an id that was there before holds nothing now"
    assert put_right(ingestion) == NOTHING


def test_what_waits_already_keeps_its_attempts(ingestion: Ingestion, sql: Callable[[str], None]) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    sql("UPDATE document SET state = 'working', attempts = 5")
    ingestion.generations.live.index.remove(ingestion.id("a.md"))
    put_right(ingestion)
    assert ingestion.record("a.md").attempts == 5
    ingestion.work_off()
    assert ingestion.found("hotels") == ["Hotels cost 180."]


def test_a_document_of_another_revision_is_read_again(ingestion: Ingestion, sql: Callable[[str], None]) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    sql("UPDATE document SET content_hash = 'newer'")
    assert put_right(ingestion) == Reconciled(1, 0, 0)
    ingestion.work_off()
    assert ingestion.record("a.md").state == "ready"
    assert put_right(ingestion) == NOTHING


def test_a_document_that_the_registry_does_not_know_is_removed_everywhere(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    building = ingestion.generations.begin(WordEmbedding("other"), "other chunks-1")
    for generation in (ingestion.generations.live, building):
        put_stranger(generation)
    assert put_right(ingestion) == Reconciled(0, 2, 0)
    assert list(ingestion.indexed()) == ["a.md"]
    assert building.index.documents() == []


def test_readers_are_those_of_the_registry(ingestion: Ingestion, sql: Callable[[str], None]) -> None:
    ingestion.bring_in(a="Hotels cost 180.", b="Trains are first class.")
    ingestion.embedding.embedded.clear()
    sql("UPDATE document SET access = '{user:anna}' WHERE origin LIKE '%a.md'")
    assert put_right(ingestion) == Reconciled(0, 0, 1)
    assert ingestion.indexed() == {"a.md": ("user:anna",), "b.md": (EVERYONE,)}
    assert ingestion.embedding.embedded == []


def test_what_a_rebuild_lost_is_read_into_it_again(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.", b="Trains are first class.")
    building = ingestion.generations.begin(WordEmbedding("other"), "other chunks-1")
    ingestion.registry.mark_stale(building.id)
    ingestion.work_off()
    building.index.remove(ingestion.id("a.md"))
    assert put_right(ingestion) == NOTHING, "readers miss nothing"
    assert ingestion.registry.unfinished() == 1
    ingestion.work_off()
    assert len(building.index.documents()) == 2


def test_a_failed_document_that_was_never_found_stays_failed(ingestion: Ingestion) -> None:
    ingestion.bring_in(a=" ")
    assert put_right(ingestion) == NOTHING
    assert ingestion.record("a.md").state == "failed"


# --- beside other processes that are at work ---


@pytest.fixture
def meanwhile(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], object]], None]:
    """Has others do something between the look at the registry and the look at the index."""

    def have(action: Callable[[], object]) -> None:
        index, act = ingestion.generations.live.index, once(action)
        look = index.documents

        def documents() -> list[IndexedDocument]:
            act()
            return look()

        monkeypatch.setattr(index, "documents", documents)

    return have


def test_what_is_published_meanwhile_is_neither_taken_out_nor_read_again(
    ingestion: Ingestion, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    meanwhile(lambda: ingestion.bring_in(a="Hotels cost 250.", b="Trains are first class."))
    assert put_right(ingestion) == NOTHING
    assert ingestion.registry.counts() == {"ready": 2}
    assert ingestion.registry.indexed("g1") == {
        ingestion.id(name): ingestion.record(name).content_hash for name in ("a.md", "b.md")
    }
    assert ingestion.found("hotels")[0] == "Hotels cost 250."


def test_what_is_closed_meanwhile_stays_closed(
    ingestion: Ingestion, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    ingestion.bring_in(a="Hotels cost 180.")

    def close() -> None:
        ingestion.registry.set_grant(ingestion.id("a.md"), Grant(), "person")
        ingestion.work.tell_readers()

    meanwhile(close)
    put_right(ingestion)
    assert ingestion.indexed() == {"a.md": ()}


def test_what_is_taken_out_meanwhile_is_not_read_again(
    ingestion: Ingestion, meanwhile: Callable[[Callable[[], object]], None]
) -> None:
    ingestion.bring_in(a="Hotels cost 180.", b="Trains are first class.")

    def take_out() -> None:
        ingestion.remove("a.md")
        ingestion.sync()
        ingestion.work_off()

    meanwhile(take_out)
    assert put_right(ingestion) == NOTHING
    assert ingestion.registry.counts() == {"ready": 1}


def test_one_process_at_a_time_puts_the_index_right(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    put_stranger(ingestion.generations.live)
    done: list[Reconciled] = []
    other = threading.Thread(target=lambda: done.append(put_right(ingestion)))
    with ingestion.registry.alone(THE_INDEX):
        other.start()
        other.join(0.5)
        assert done == []
    other.join()
    assert done == [Reconciled(0, 1, 0)]


def test_a_generation_that_missed_what_was_said_of_readers_is_put_right(
    ingestion: Ingestion, sql: Callable[[str], None]
) -> None:
    ingestion.bring_in(a="Hotels cost 180.", b="Trains are first class.")
    put_stranger(ingestion.generations.live)
    sql("UPDATE document SET access = '{user:anna}' WHERE origin LIKE '%a.md'")
    put_readers_right(ingestion.generations.live, ingestion.generations.kept, ingestion.registry)
    assert ingestion.indexed() == {"a.md": ("user:anna",), "b.md": (EVERYONE,)}
    assert ingestion.registry.counts() == {"ready": 2}
