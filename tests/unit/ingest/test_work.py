"""Working off what waits: what comes of a document, whatever its bytes, its source, its model and its index do."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from pipelines.domain import Grant, user_scope
from pipelines.errors import ModelUnavailable, SourceUnavailable, StoreUnavailable
from pipelines.ingest.work import ATTEMPTS, LONGEST_DELAY_S, Work, Workers
from pipelines.providers.base import VisionProvider
from pipelines.stores.base import SourceEntry
from pipelines.stores.generations import Generation
from pipelines.stores.registry import Registry
from pipelines.stores.uploads import UploadFolder
from tests.unit.ingest import make_documents
from tests.unit.ingest.conftest import Make
from tests.unit.ingest.formats.make_pdfs import pages_with_images, scan
from tests.unit.ingest.ingestion import Ingestion, once, running

Hurry = Callable[[], None]


class Vision(VisionProvider):
    """Reads every page as `text`, or fails as it is told."""

    name, parallel = "vision", 2

    def __init__(self) -> None:
        self.text = "The stamp says paid."
        self.error: Exception | None = None

    def read_page(self, image: bytes) -> str:
        if self.error:
            raise self.error
        return self.text


def failing(error: Exception) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


def test_a_queued_document_becomes_ready_and_is_found(ingestion: Ingestion) -> None:
    ingestion.write("travel/hotels.md", "# Hotels\n\nA night costs 180 euros.")
    ingestion.sync()
    assert ingestion.record("travel/hotels.md").state == "queued"
    ingestion.work_off()
    record = ingestion.record("travel/hotels.md")
    assert (record.state, record.title, record.chunks, record.stage, record.attempts) == ("ready", "Hotels", 1, "", 0)
    assert record.indexed_with == "words chunks-1"
    assert ingestion.found("what does a night cost") == ["A night costs 180 euros."]
    assert list((ingestion.folder / "spool").iterdir()) == []


def test_the_same_bytes_under_another_version_are_not_embedded_again(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    before = ingestion.record("a.md")
    ingestion.embedding.embedded.clear()
    os.utime(ingestion.share / "a.md", ns=(1, 1))
    assert ingestion.sync().changed == 1
    ingestion.work_off()
    after = ingestion.record("a.md")
    assert after.version != before.version
    assert after == replace(before, version=after.version, queued_at=after.queued_at)
    assert ingestion.embedding.embedded == []


def test_changed_bytes_replace_what_was_found_in_one_step(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    during: list[list[str]] = []
    ingestion.embedding.during = lambda: during.append(ingestion.found("hotels"))
    ingestion.bring_in(a="Hotels cost 250 now.")
    assert during == [["Hotels cost 180."]]
    assert ingestion.found("hotels") == ["Hotels cost 250 now."]
    assert ingestion.generations.live.index.count() == 1


def test_a_broken_new_version_fails_with_its_reason_while_the_earlier_is_found(ingestion: Ingestion) -> None:
    ingestion.write("a.pdf", make_documents.pdf(["Hotels cost 180."]))
    ingestion.sync()
    ingestion.work_off()
    ingestion.write("a.pdf", make_documents.pdf(["Hotels cost 250."], password="secret"))
    ingestion.sync()
    ingestion.work_off()
    record = ingestion.record("a.pdf")
    assert (record.state, record.error_code) == ("failed", "encrypted_document")
    assert "password" in record.problem
    assert ingestion.found("hotels") == ["Hotels cost 180."]
    assert ingestion.sync().unchanged == 1


def test_what_its_source_has_no_longer_is_gone_from_index_and_registry(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.", b="Trains are first class.")
    ingestion.remove("a.md")
    assert ingestion.sync().removed == 1
    ingestion.work_off()
    assert list(ingestion.indexed()) == ["b.md"]
    assert ingestion.registry.counts() == {"ready": 1}


def test_a_document_that_vanishes_before_it_is_read_leaves_nothing(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    ingestion.write("a.md", "Hotels cost 250.")
    ingestion.sync()
    ingestion.remove("a.md")
    ingestion.work_off()
    assert (ingestion.indexed(), ingestion.registry.counts()) == ({}, {})


def test_a_document_that_changes_while_it_is_read_is_read_again(ingestion: Ingestion, hurry: Hurry) -> None:
    ingestion.source.reading = once(lambda: ingestion.write("a.md", "Hotels cost 250."))
    ingestion.bring_in(a="Hotels cost 180!")
    assert (ingestion.record("a.md").state, ingestion.record("a.md").error_code) == ("queued", "document_changed")
    hurry()
    ingestion.work_off()
    assert ingestion.found("hotels") == ["Hotels cost 250."]
    assert (ingestion.record("a.md").problem, ingestion.record("a.md").error_code) == ("", "")


def test_a_source_that_does_not_answer_is_asked_less_and_less_often_and_then_given_up(
    ingestion: Ingestion, hurry: Hurry, caplog: pytest.LogCaptureFixture
) -> None:
    ingestion.source.reading = failing(SourceUnavailable("The share does not answer."))
    ingestion.bring_in(a="Hotels cost 180.")
    for _ in range(ATTEMPTS):
        hurry()
        ingestion.work_off()
    waits = [float(record.args[1]) for record in caplog.records if record.args and "waits" in record.msg]  # type: ignore[index,arg-type]
    assert waits == sorted(waits)
    assert (len(waits), waits[0], waits[-1]) == (ATTEMPTS, 2, LONGEST_DELAY_S)
    record = ingestion.record("a.md")
    assert (record.state, record.error_code) == ("failed", "source_unavailable")
    assert record.problem == "The share does not answer."
    ingestion.source.reading = lambda _: None
    assert ingestion.sync().changed == 1, "what failed for no fault of its own is tried with the next look"
    ingestion.work_off()
    assert ingestion.record("a.md").state == "ready"


def test_a_vision_model_that_does_not_answer_is_waited_for(make_ingestion: Make, hurry: Hurry) -> None:
    vision = Vision()
    ingestion = make_ingestion(vision=vision)
    vision.error = ModelUnavailable("Ollama does not answer.")
    ingestion.write("scan.pdf", pages_with_images((scan(), "")))
    ingestion.sync()
    ingestion.work_off()
    record = ingestion.record("scan.pdf")
    assert (record.state, record.problem) == ("queued", "Ollama does not answer.")
    vision.error = None
    hurry()
    ingestion.work_off()
    assert ingestion.found("stamp") == ["The stamp says paid."]


def test_an_index_that_fails_is_waited_for_and_keeps_nothing_half(
    ingestion: Ingestion, hurry: Hurry, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = ingestion.generations.live.index
    monkeypatch.setattr(index, "publish", failing(StoreUnavailable("The disk is full.")))
    ingestion.bring_in(a="Hotels cost 180.")
    assert (ingestion.record("a.md").state, ingestion.record("a.md").problem) == ("queued", "The disk is full.")
    monkeypatch.undo()
    hurry()
    ingestion.work_off()
    assert ingestion.found("hotels") == ["Hotels cost 180."]
    assert index.count() == 1


def test_a_mistake_of_ours_ends_one_document_and_not_the_next(
    ingestion: Ingestion, caplog: pytest.LogCaptureFixture
) -> None:
    ingestion.source.reading = once(failing(ZeroDivisionError("division")))
    ingestion.bring_in(a="Hotels cost 180.", b="Trains are first class.")
    states = sorted((each.state, each.error_code) for each in ingestion.registry.list(limit=2))
    assert states == [("failed", "internal_error"), ("ready", "")]
    assert "could not be brought to an end" in caplog.text


def test_a_document_that_brings_the_process_down_is_given_up(ingestion: Ingestion, sql: Callable[[str], None]) -> None:
    ingestion.write("a.md", "Hotels cost 180.")
    ingestion.sync()
    sql("UPDATE document SET attempts = 1000, problem = 'Page 2 could not be read.'")
    ingestion.work_off()
    record = ingestion.record("a.md")
    assert (record.state, record.error_code) == ("failed", "gave_up")
    assert "ragline retry" in record.problem
    ingestion.registry.retry([record.id])
    ingestion.work_off()
    assert ingestion.record("a.md").state == "ready"


def test_documents_of_a_source_that_was_taken_out_fail_at_once_and_stay_searchable(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    del ingestion.sources[ingestion.source.url]
    ingestion.registry.retry([ingestion.id("a.md")])
    ingestion.work_off()
    record = ingestion.record("a.md")
    assert (record.state, record.error_code) == ("failed", "setup_failed")
    assert "DOCUMENT_SOURCES" in record.problem
    assert ingestion.found("hotels") == ["Hotels cost 180."]


async def test_an_upload_whose_bytes_are_gone_is_not_taken_for_removed(ingestion: Ingestion) -> None:
    record = await ingestion.upload("a.md", b"Hotels cost 180.")
    ingestion.uploads.delete(record.origin)
    await ingestion.library.retry([record.id])
    ingestion.work_off()
    assert ingestion.registry.get(record.id).state == "failed"
    assert ingestion.found("hotels") == ["Hotels cost 180."]


def test_access_changed_while_a_document_is_read_holds_when_it_is_published(ingestion: Ingestion) -> None:
    ingestion.embedding.during = lambda: ingestion.registry.set_grant(
        ingestion.id("a.md"), Grant(users=("anna",)), "person"
    )
    ingestion.bring_in(a="Hotels cost 180.")
    assert ingestion.found("hotels") == []
    assert ingestion.found("hotels", user_scope("anna")) == ["Hotels cost 180."]


def test_a_document_removed_while_it_is_read_is_seen_by_nobody(ingestion: Ingestion) -> None:
    ingestion.embedding.during = lambda: ingestion.registry.begin_removing([ingestion.id("a.md")])
    ingestion.bring_in(a="Hotels cost 180.")
    assert (ingestion.found("hotels"), ingestion.registry.counts()) == ([], {})
    assert ingestion.generations.live.index.count() == 0


def test_a_document_queued_anew_while_it_is_read_is_read_again(ingestion: Ingestion) -> None:
    def change() -> None:
        ingestion.write("a.md", "Hotels cost 250.")
        ingestion.sync()

    ingestion.embedding.during = once(change)
    ingestion.bring_in(a="Hotels cost 180!")
    assert ingestion.found("hotels") == ["Hotels cost 250."]
    assert ingestion.record("a.md").state == "ready"


async def test_a_removal_that_fails_is_tried_again_and_stops_nobody(
    ingestion: Ingestion, hurry: Hurry, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await ingestion.upload("a.md", b"Hotels cost 180.")
    monkeypatch.setattr(UploadFolder, "delete", failing(SourceUnavailable("No bucket.")))
    with pytest.raises(SourceUnavailable):
        await ingestion.library.remove(record.id)
    assert ingestion.found("hotels") == []
    ingestion.write("b.md", "Trains are first class.")
    ingestion.sync()
    ingestion.work_off()
    assert ingestion.registry.counts() == {"removing": 1, "ready": 1}
    monkeypatch.setattr(UploadFolder, "delete", failing(ZeroDivisionError()))
    hurry()
    ingestion.work_off()
    monkeypatch.undo()
    hurry()
    ingestion.work_off()
    assert ingestion.registry.counts() == {"ready": 1}
    assert list(ingestion.uploads.list()) == []


async def test_an_upload_put_in_again_outlives_a_removal_that_was_cut_off(ingestion: Ingestion) -> None:
    record = await ingestion.upload("a.md", b"Hotels cost 180.")
    ingestion.registry.begin_removing([record.id])
    again = await ingestion.upload("a.md", b"Hotels cost 180.")
    assert (again.id, again.state) == (record.id, "ready")
    assert ingestion.found("hotels") == ["Hotels cost 180."]
    assert ingestion.uploads.find(record.origin) is not None


def test_readers_that_the_index_was_not_told_of_are_told_by_the_next_worker(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    ingestion.registry.set_grant(ingestion.id("a.md"), Grant(), "person")
    assert ingestion.found("hotels") != []
    ingestion.work_off()
    assert ingestion.found("hotels") == []
    assert ingestion.registry.access_due(1) == []


class Rebuilding:
    """An index on the other side of a wire that takes nothing while it is rebuilt there."""

    def written(self) -> tuple[Generation, ...]:
        raise StoreUnavailable("The index is being rebuilt.", retry_after=30)

    def kept(self) -> tuple[Generation, ...]:
        return ()


def test_an_index_that_takes_nothing_costs_no_document_an_attempt(ingestion: Ingestion) -> None:
    ingestion.write("a.md", "Hotels cost 180.")
    ingestion.sync()
    with pytest.raises(StoreUnavailable):
        replace(ingestion.work, generations=Rebuilding()).next()
    assert (ingestion.record("a.md").attempts, ingestion.record("a.md").state) == (0, "queued")


def test_a_stop_while_documents_are_embedded_costs_them_nothing(ingestion: Ingestion) -> None:
    ingestion.embedding.during = lambda: ingestion.threads.shutdown(wait=False, cancel_futures=True)
    ingestion.bring_in(a="\n\n".join(f"# Part {number}\n\nHotel {number}." for number in range(200)))
    record = ingestion.record("a.md")
    assert (record.state, record.error_code, record.attempts) == ("queued", "unavailable", 0)
    assert ingestion.generations.live.index.count() == 0


def test_workers_never_fight_over_a_document(ingestion: Ingestion) -> None:
    at_work: list[str] = []
    most_at_once: list[int] = []

    def reading(entry: SourceEntry) -> None:
        at_work.append(entry.key.name)
        assert at_work.count(entry.key.name) == 1
        most_at_once.append(len(set(at_work)))
        threading.Event().wait(0.01)
        at_work.remove(entry.key.name)

    ingestion.source.reading = reading
    for number in range(24):
        ingestion.write(f"{number}.md", f"Document {number} is about hotels.")
    ingestion.sync()
    others = Workers(ingestion.work, threads=2)
    with running(ingestion.workers), running(others):
        wait_until(lambda: ingestion.registry.unfinished() == 0)
    assert max(most_at_once) > 1
    assert ingestion.registry.counts() == {"ready": 24}
    assert (ingestion.source.reads, len(ingestion.embedding.embedded)) == (24, 24), "each was read and embedded once"
    assert ingestion.generations.live.index.count() == 24


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 20) -> None:
    deadline = threading.Event()
    timer = threading.Timer(timeout_s, deadline.set)
    timer.start()
    while not condition():
        assert not deadline.wait(0.02), "it did not come to pass"
    timer.cancel()


def test_workers_sleep_while_all_that_waits_is_postponed(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    ingestion.source.reading = failing(SourceUnavailable("The share does not answer."))
    ingestion.bring_in(a="Hotels cost 180.")
    looks: list[bool] = []
    look = Work.next

    def counted(work: Work) -> bool:
        looks.append(look(work))
        return looks[-1]

    monkeypatch.setattr(Work, "next", counted)
    with running(ingestion.workers):
        threading.Event().wait(0.3)
    assert looks == [False, False]


def test_workers_go_on_after_the_registry_was_away(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipelines.ingest.work.POLL_S", 0.05)
    ingestion.write("a.md", "Hotels cost 180.")
    ingestion.sync()
    monkeypatch.setattr(Registry, "claim", failing(StoreUnavailable("PostgreSQL does not answer.")))
    with running(ingestion.workers):
        threading.Event().wait(0.1)
        monkeypatch.undo()
        wait_until(lambda: ingestion.record("a.md").state == "ready")


def test_workers_that_never_started_can_be_stopped(ingestion: Ingestion) -> None:
    ingestion.workers.stop(timeout_s=1)
    ingestion.reindex.stop()


def test_the_stages_are_told_as_they_begin(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    note = Registry.note_stage

    def noted(registry: Registry, document_id: str, stage: str) -> None:
        note(registry, document_id, stage)
        told.append(registry.get(document_id).stage)

    monkeypatch.setattr(Registry, "note_stage", noted)
    ingestion.bring_in(a="Hotels cost 180.")
    assert told == ["fetch", "parse", "embed"]


def test_workers_that_rest_still_tell_the_index_of_its_readers(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    ingestion.write("b.md", "Trains are first class.")
    ingestion.sync()
    ingestion.registry.set_grant(ingestion.id("a.md"), Grant(), "person")
    with running(Workers(ingestion.work, threads=1, resting=lambda: True)):
        wait_until(lambda: ingestion.indexed() == {"a.md": ()})
    assert ingestion.record("b.md").state == "queued"
