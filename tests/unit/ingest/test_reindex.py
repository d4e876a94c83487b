"""A rebuild beside the index that is searched: readers notice the switch, and nothing else."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from pipelines.domain import Grant
from pipelines.errors import InvalidRequest, SourceUnavailable, StoreUnavailable
from pipelines.ingest import reindex as reindex_module
from pipelines.ingest.publish import apply_due_access
from pipelines.ingest.reindex import Reindex
from pipelines.stores.registry import THE_INDEX
from tests.unit.ingest.ingestion import CountingEmbedding, Ingestion, running
from tests.unit.ingest.test_work import wait_until

NEW = "new chunks-2"


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks for the end of a rebuild often."""
    monkeypatch.setattr(reindex_module, "LOOK_EVERY_S", 0.02)


@pytest.fixture
def new(ingestion: Ingestion) -> CountingEmbedding:
    """The model that the settings name now; "words" made what is searched."""
    ingestion.bring_in(a="Hotels cost 180.", b="Trains are first class.")
    embedding = CountingEmbedding("new", dimensions=32)
    ingestion.models["new"] = embedding
    configure(ingestion, embedding)
    return embedding


def configure(ingestion: Ingestion, embedding: CountingEmbedding, recipe: str = NEW) -> None:
    ingestion.reindex = Reindex(
        ingestion.generations, ingestion.registry, ingestion.workers, configured=lambda: (embedding, recipe)
    )


@pytest.fixture
def watched(ingestion: Ingestion, new: CountingEmbedding) -> Iterator[None]:
    """The workers and the watch over rebuilds are at work."""
    with running(ingestion.workers):
        ingestion.reindex.start()
        yield
        ingestion.reindex.stop()


def live(ingestion: Ingestion) -> str:
    return ingestion.generations.live.embedding.name


def test_questions_are_answered_from_the_old_index_until_the_new_one_is_whole(
    ingestion: Ingestion, new: CountingEmbedding, watched: None
) -> None:
    go_on = threading.Event()
    found: list[list[str]] = []

    def during() -> None:
        found.append(ingestion.found("hotels"))
        assert go_on.wait(10)

    new.during = during
    state = ingestion.reindex.begin()
    assert (state.live, state.building, state.waiting, state.previous) == ("g1", "g2", 2, "")
    wait_until(lambda: len(found) == 2)
    assert live(ingestion) == "words"
    assert ingestion.registry.counts() == {"ready": 2}, "readers find them all the while"
    go_on.set()
    wait_until(lambda: live(ingestion) == "new")
    assert [texts[0] for texts in found] == ["Hotels cost 180."] * 2
    assert ingestion.found("hotels")[0] == "Hotels cost 180."
    state = ingestion.reindex.state()
    assert (state.live, state.recipe, state.building, state.waiting, state.previous) == ("g2", NEW, "", 0, "g1")


def test_a_roll_back_is_one_step_and_what_changed_between_is_right_soon(
    ingestion: Ingestion, new: CountingEmbedding, watched: None
) -> None:
    ingestion.reindex.begin()
    wait_until(lambda: live(ingestion) == "new")
    ingestion.write("a.md", "Hotels cost 250.")
    ingestion.write("c.md", "Flights are booked by Anna.")
    ingestion.remove("b.md")
    ingestion.sync()
    ingestion.workers.wake()
    wait_until(lambda: ingestion.registry.unfinished() == 0)
    ingestion.registry.set_grant(ingestion.id("c.md"), Grant(), "person")
    ingestion.sync()

    state = ingestion.reindex.roll_back()
    assert (state.live, state.previous, live(ingestion)) == ("g1", "g2", "words")
    assert "Trains are first class." not in ingestion.found("trains"), "what was removed does not come back"
    wait_until(lambda: ingestion.registry.unfinished() == 0)
    assert ingestion.found("hotels") == ["Hotels cost 250."]
    assert ingestion.indexed() == {"a.md": ("everyone",), "c.md": ()}
    assert ingestion.reindex.roll_back().live == "g2"


def test_a_document_that_is_read_while_the_index_is_rolled_back_is_not_missed(
    ingestion: Ingestion, new: CountingEmbedding, watched: None
) -> None:
    ingestion.reindex.begin()
    wait_until(lambda: live(ingestion) == "new")
    begun, go_on = threading.Event(), threading.Event()

    def during() -> None:
        begun.set()
        assert go_on.wait(10)

    new.during = during
    ingestion.write("c.md", "Flights are booked by Anna.")
    ingestion.sync()
    ingestion.workers.wake()
    assert begun.wait(10)
    ingestion.reindex.roll_back()
    go_on.set()
    wait_until(lambda: "c.md" in ingestion.indexed())
    assert live(ingestion) == "words"


def test_documents_that_fail_do_not_keep_the_new_index_back(
    ingestion: Ingestion, new: CountingEmbedding, watched: None
) -> None:
    ingestion.write("broken.pdf", b"%PDF-1.4 broken")
    ingestion.sync()
    ingestion.remove("b.md")
    ingestion.write("b.md", b"\x00" * 10)
    ingestion.reindex.begin()
    wait_until(lambda: live(ingestion) == "new")
    assert {record.name: record.state for record in ingestion.registry.list(limit=9)} == {
        "a.md": "ready",
        "b.md": "failed",
        "broken.pdf": "failed",
    }


def test_documents_whose_source_was_taken_out_do_not_keep_it_back_either(
    ingestion: Ingestion, new: CountingEmbedding, watched: None
) -> None:
    del ingestion.sources[ingestion.source.url]
    ingestion.reindex.begin()
    wait_until(lambda: live(ingestion) == "new")
    assert "DOCUMENT_SOURCES" in ingestion.record("a.md").problem


def test_a_document_that_waits_for_its_source_keeps_it_back(
    ingestion: Ingestion, new: CountingEmbedding, watched: None, hurry: Callable[[], None]
) -> None:
    def fail(*_: object) -> None:
        raise SourceUnavailable("The share does not answer.")

    ingestion.source.reading = fail
    ingestion.reindex.begin()
    wait_until(lambda: all(each.problem for each in ingestion.registry.list(limit=9)))
    assert (live(ingestion), ingestion.reindex.state().waiting) == ("words", 2)
    ingestion.source.reading = lambda _: None
    hurry()
    ingestion.workers.wake()
    wait_until(lambda: live(ingestion) == "new")
    assert all(each.problem == "" for each in ingestion.registry.list(limit=9))


def test_a_rebuild_that_is_given_up_leaves_nothing(ingestion: Ingestion, new: CountingEmbedding) -> None:
    ingestion.reindex.begin()
    ingestion.work.next()
    state = ingestion.reindex.abandon()
    assert (state.live, state.building, state.waiting) == ("g1", "", 0)
    assert ingestion.registry.indexed("g2") == {}
    ingestion.work_off()
    assert ingestion.registry.unfinished() == 0
    assert ingestion.found("hotels")[0] == "Hotels cost 180."
    assert ingestion.reindex.abandon() == ingestion.reindex.state()


def test_a_rebuild_asked_for_twice_goes_on_and_one_with_another_model_begins_anew(
    ingestion: Ingestion, new: CountingEmbedding
) -> None:
    ingestion.reindex.begin()
    ingestion.work.next()
    assert ingestion.reindex.begin().building == "g2"
    ingestion.work_off()
    assert len(new.embedded) == 2, "nothing is embedded twice"
    configure(ingestion, CountingEmbedding("newer"))
    assert ingestion.reindex.begin().building == "g3"


def test_a_rebuild_goes_on_after_a_restart(ingestion: Ingestion, new: CountingEmbedding) -> None:
    ingestion.reindex.begin()
    ingestion.work.next()
    ingestion.reopen()
    configure(ingestion, new)
    assert (ingestion.reindex.state().building, ingestion.reindex.state().waiting) == ("g2", 1)
    with running(ingestion.workers):
        ingestion.reindex.start()
        wait_until(lambda: live(ingestion) == "new")
        ingestion.reindex.stop()
    assert len(new.embedded) == 2, "what was built before the restart is not built again"


def test_documents_that_come_during_a_rebuild_are_in_both(ingestion: Ingestion, new: CountingEmbedding) -> None:
    ingestion.reindex.begin()
    ingestion.bring_in(c="Flights are booked by Anna.")
    for generation in ingestion.generations.written():
        assert len(generation.index.documents()) == 3
    ingestion.remove("c.md")
    ingestion.sync()
    ingestion.work_off()
    for generation in ingestion.generations.written():
        assert len(generation.index.documents()) == 2


def test_there_is_nothing_to_go_back_to_at_first(ingestion: Ingestion) -> None:
    with pytest.raises(InvalidRequest, match="no earlier index"):
        ingestion.reindex.roll_back()


def test_the_watch_outlives_an_index_that_cannot_be_switched(
    ingestion: Ingestion, new: CountingEmbedding, watched: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = threading.Event()

    def fail() -> None:
        tried.set()
        raise InvalidRequest("No rebuilt index is there to switch to.")

    with monkeypatch.context() as patched:
        patched.setattr(ingestion.generations, "switch", fail)
        ingestion.reindex.begin()
        assert tried.wait(10)
    wait_until(lambda: live(ingestion) == "new")


def test_of_two_processes_one_changes_the_index(
    ingestion: Ingestion, new: CountingEmbedding, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reindex_module, "WAIT_S", 0.3)
    with ingestion.registry.alone(THE_INDEX):
        for change in (ingestion.reindex.begin, ingestion.reindex.abandon, ingestion.reindex.roll_back):
            with pytest.raises(StoreUnavailable, match="by another process just now"):
                change()
    assert ingestion.reindex.begin().building == "g2"


def test_whoever_was_not_told_of_a_switch_brings_up_to_date_what_it_finds_live(
    ingestion: Ingestion, new: CountingEmbedding, watched: None
) -> None:
    ingestion.reindex.begin()
    wait_until(lambda: live(ingestion) == "new")
    ingestion.write("a.md", "Hotels cost 250.")
    ingestion.sync()
    ingestion.workers.wake()
    wait_until(lambda: ingestion.registry.unfinished() == 0)
    # As by a process that was killed right behind it.
    ingestion.generations.roll_back()
    wait_until(lambda: ingestion.found("hotels")[0] == "Hotels cost 250.")
    assert live(ingestion) == "words"


def test_what_the_earlier_index_was_not_told_of_readers_it_is_told_before_it_is_searched(
    ingestion: Ingestion, new: CountingEmbedding
) -> None:
    ingestion.reindex.begin()
    ingestion.work_off()
    ingestion.generations.switch()
    ingestion.registry.set_grant(ingestion.id("a.md"), Grant(), "person")
    # As a process tells it that cannot open the earlier one.
    apply_due_access(ingestion.generations.written, ingestion.registry)
    ingestion.reindex.roll_back()
    assert ingestion.indexed() == {"a.md": (), "b.md": ("everyone",)}
