"""Publishing: what readers find follows the registry, a document at a time and in one step."""

from __future__ import annotations

import threading

import pytest

from pipelines.domain import Grant, IndexedDocument, user_scope
from pipelines.errors import StoreUnavailable
from pipelines.ingest.publish import apply_access, apply_due_access, publish_document, remove_document
from pipelines.ingest.run import StagedDocument
from pipelines.stores.base import SourceEntry
from tests.fakes.word_embedding import WordEmbedding
from tests.unit.ingest.ingestion import Ingestion


def staged(ingestion: Ingestion, text: str) -> tuple[StagedDocument, SourceEntry]:
    ingestion.write("a.md", text)
    ingestion.sync()
    (entry,) = ingestion.source.list()
    done = ingestion.work.path.stage(entry, ingestion.source, lambda _: ingestion.generations.written())
    assert done is not None
    return done, entry


def test_the_registry_says_what_was_published_and_where(ingestion: Ingestion) -> None:
    done, entry = staged(ingestion, "# Travel\n\nHotels cost 180.")
    with ingestion.registry.claim():
        publish_document(done, entry, ingestion.registry)
    record = ingestion.record("a.md")
    assert (record.state, record.title, record.version) == ("ready", "Travel", entry.version)
    assert (record.media_type, record.size) == ("text/markdown", entry.size)
    assert record.content_hash == done.document.content_hash
    assert record.indexed_at is not None
    assert ingestion.registry.indexed(ingestion.generations.live.id) == {record.id: record.content_hash}


def test_a_document_that_is_not_known_any_more_is_discarded(ingestion: Ingestion) -> None:
    done, entry = staged(ingestion, "Hotels cost 180.")
    ingestion.registry.begin_removing([done.document.id])
    publish_document(done, entry, ingestion.registry)
    remove_document(done.document.id, ingestion.generations.kept(), ingestion.registry, ingestion.uploads)
    publish_document(done, entry, ingestion.registry)
    assert ingestion.generations.live.index.documents() == []
    with pytest.raises(StoreUnavailable, match="0 chunks"):
        ingestion.generations.live.index.publish(IndexedDocument(done.document, done.chunks[0], done.pages, ""))


def test_a_publication_that_fails_confirms_nothing(ingestion: Ingestion) -> None:
    done, entry = staged(ingestion, "Hotels cost 180.")
    ingestion.generations.live.index.discard(done.document.id)
    with pytest.raises(StoreUnavailable, match="must be read again"):
        publish_document(done, entry, ingestion.registry)
    assert (ingestion.record("a.md").state, ingestion.record("a.md").content_hash) == ("queued", "")


def test_changed_readers_hold_in_every_generation_that_is_kept(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    building = ingestion.generations.begin(WordEmbedding("other"), "other chunks-1")
    ingestion.registry.mark_stale(building.id)
    ingestion.work_off()
    ingestion.registry.set_grant(ingestion.id("a.md"), Grant(users=("anna",)), "person")
    apply_due_access(ingestion.generations.kept, ingestion.registry)
    for generation in ingestion.generations.kept():
        (indexed,) = generation.index.documents()
        assert indexed.document.access == (user_scope("anna"),)
    assert ingestion.registry.access_due(1) == []


def test_readers_stay_due_until_the_index_was_told(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    ingestion.registry.set_grant(ingestion.id("a.md"), Grant(), "person")

    def fail(*_: object) -> None:
        raise StoreUnavailable("The disk is full.")

    with monkeypatch.context() as patched:
        patched.setattr(ingestion.generations.live.index, "set_access", fail)
        with pytest.raises(StoreUnavailable):
            apply_due_access(ingestion.generations.kept, ingestion.registry)
    assert ingestion.registry.access_due(1) == [ingestion.id("a.md")]
    apply_due_access(ingestion.generations.kept, ingestion.registry)
    assert ingestion.found("hotels") == []


def test_readers_are_those_of_the_registry_when_it_is_their_turn(ingestion: Ingestion) -> None:
    """One that was changed twice is never left with the readers of the first change."""
    ingestion.bring_in(a="Hotels cost 180.")
    document_id = ingestion.id("a.md")

    def change(number: int) -> None:
        ingestion.registry.set_grant(document_id, Grant(users=(f"user{number}",)), "person")
        apply_access([document_id], ingestion.generations.kept(), ingestion.registry)

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert ingestion.indexed()["a.md"] == ingestion.record("a.md").access


def test_only_what_is_on_its_way_out_is_removed(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    remove_document(ingestion.id("a.md"), ingestion.generations.kept(), ingestion.registry, ingestion.uploads)
    assert ingestion.found("hotels") == ["Hotels cost 180."]


def test_a_worker_that_has_lost_its_hold_does_not_put_an_older_revision_over_a_newer_one(ingestion: Ingestion) -> None:
    older, entry = staged(ingestion, "Hotels cost 180.")
    with ingestion.registry.claim() as claimed:
        pass
    ingestion.bring_in(a="Hotels cost 250.")
    publish_document(older, entry, ingestion.registry, claimed=claimed)
    assert ingestion.found("hotels") == ["Hotels cost 250."]
    assert ingestion.record("a.md").version != entry.version
