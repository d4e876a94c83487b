"""A look at a source: what is new, changed or gone is queued, who may read is noted, and nothing else is touched."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from pipelines.domain import EVERYONE, Grant, group_scope, user_scope
from pipelines.errors import SourceUnavailable
from pipelines.ingest.access import AccessRules
from pipelines.ingest.sync import BATCH, EMPTIED, SyncReport, sync_document
from pipelines.stores.base import SourceEntry
from pipelines.stores.registry import Registry
from tests.unit.ingest.ingestion import NOBODY, Ingestion

ANNA = Grant(users=("anna",))


def rule_for(ingestion: Ingestion, name: str, grant: Grant) -> AccessRules:
    return AccessRules(Grant(everyone=True), ((f"{ingestion.source.url}/{name}", grant),))


def test_a_look_counts_what_is_new_changed_gone_and_as_it_was(ingestion: Ingestion) -> None:
    report = ingestion.bring_in(a="Hotels.", b="Trains.", c="Flights.")
    assert report == SyncReport(ingestion.source.url, added=3)
    ingestion.write("a.md", "Hotels and more.")
    ingestion.remove("b.md")
    ingestion.write("d.md", "Ships.")
    report = ingestion.sync()
    assert (report.added, report.changed, report.removed, report.reopened, report.unchanged) == (1, 1, 1, 0, 1)


def test_a_look_at_what_is_unchanged_writes_nothing(ingestion: Ingestion, monkeypatch: pytest.MonkeyPatch) -> None:
    ingestion.bring_in(a="Hotels.", b="Trains.")
    before = ingestion.registry.list(limit=10)
    for write in ("put", "set_grant", "begin_removing"):
        monkeypatch.delattr(Registry, write)
    assert ingestion.sync().unchanged == 2
    assert ingestion.registry.list(limit=10) == before
    assert ingestion.work.next() is False


def test_a_source_that_breaks_off_loses_nothing_and_keeps_what_it_listed(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels.", z="Trains.")
    ingestion.write("b.md", "Flights.")

    def break_off(entry: SourceEntry) -> None:
        if entry.key.name == "z.md":
            raise SourceUnavailable("The share does not answer.")

    ingestion.source.listing = break_off
    report = ingestion.sync()
    assert (report.added, report.removed, report.problem) == (1, 0, "The share does not answer.")
    ingestion.work_off()
    assert sorted(ingestion.indexed()) == ["a.md", "b.md", "z.md"]


def test_readers_noted_before_a_source_breaks_off_hold(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels.", z="Trains.")

    def break_off(entry: SourceEntry) -> None:
        if entry.key.name == "z.md":
            raise SourceUnavailable("The share does not answer.")

    ingestion.source.listing = break_off
    ingestion.rules = NOBODY
    assert ingestion.sync().reopened == 1
    assert ingestion.indexed() == {"a.md": (), "z.md": (EVERYONE,)}


def test_a_source_that_is_gone_removes_nothing(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels.")
    ingestion.share.rename(ingestion.folder / "elsewhere")
    report = ingestion.sync(may_empty=True)
    assert "cannot be read" in report.problem
    assert ingestion.found("hotels") == ["Hotels."]


def test_a_source_that_suddenly_lists_nothing_is_emptied_only_when_that_is_said(ingestion: Ingestion) -> None:
    ingestion.bring_in(**{f"d{number}": f"Document {number}." for number in range(EMPTIED)})
    shutil.rmtree(ingestion.share)
    ingestion.share.mkdir()
    report = ingestion.sync()
    assert (report.removed, ingestion.registry.counts()) == (0, {"ready": EMPTIED})
    assert "ragline sync --may-empty" in report.problem
    report = ingestion.sync(may_empty=True)
    assert (report.removed, report.problem) == (EMPTIED, "")
    ingestion.work_off()
    assert ingestion.indexed() == {}


def test_a_small_source_may_be_emptied(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels.")
    ingestion.remove("a.md")
    assert ingestion.sync().removed == 1


def test_what_a_person_said_stands_above_source_and_rules(ingestion: Ingestion) -> None:
    ingestion.source.said = {"b.md": Grant(users=("ben",)), "c.md": Grant(users=("ben",))}
    ingestion.rules = NOBODY
    ingestion.bring_in(a="Hotels.", b="Trains.", c="Flights.")
    ingestion.registry.set_grant(ingestion.id("c.md"), ANNA, "person")
    ingestion.write("c.md", "Flights and more.")
    ingestion.sync()
    ingestion.work_off()
    assert ingestion.indexed() == {"a.md": (), "b.md": (user_scope("ben"),), "c.md": (user_scope("anna"),)}


def test_a_change_of_rules_and_of_groups_holds_at_once_and_embeds_nothing(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels.", b="Trains.")
    ingestion.embedding.embedded.clear()
    reads = ingestion.source.reads
    ingestion.rules = rule_for(ingestion, "a.md", Grant(groups=("Finance",)))
    report = ingestion.sync()
    assert (report.reopened, report.unchanged) == (1, 1)
    assert ingestion.found("hotels trains") == ["Trains."]
    assert ingestion.found("hotels", group_scope("g1")) == []
    ingestion.registry.set_groups({"Finance": "g1"})
    ingestion.sync()
    assert ingestion.found("hotels", group_scope("g1")) == ["Hotels."]
    ingestion.registry.set_groups({})
    ingestion.sync()
    assert ingestion.found("hotels", group_scope("g1")) == []
    assert (ingestion.embedding.embedded, ingestion.source.reads) == ([], reads)


def test_a_changed_document_is_closed_at_once_in_its_earlier_revision_too(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels.")
    ingestion.write("a.md", "Hotels and more.")
    ingestion.rules = NOBODY
    ingestion.sync()
    assert ingestion.found("hotels") == []


def test_a_document_that_was_taken_out_during_the_look_is_passed_over(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels.", b="Trains.")
    ingestion.rules = NOBODY
    ingestion.source.listing = lambda _: ingestion.registry.begin_removing([ingestion.id("a.md")])
    assert ingestion.sync().reopened == 1


def test_more_than_one_batch_is_queued_whole(ingestion: Ingestion) -> None:
    for number in range(BATCH + 1):
        (ingestion.share / f"{number}.md").touch()
    assert ingestion.sync().added == BATCH + 1
    assert ingestion.registry.counts() == {"queued": BATCH + 1}


@pytest.mark.parametrize(
    ("code", "again"),
    [
        ("encrypted_document", False),
        ("internal_error", False),
        ("gave_up", False),
        ("source_unavailable", True),
        ("model_not_found", True),
        ("setup_failed", True),
    ],
)
def test_what_failed_for_no_fault_of_its_own_is_queued_again(ingestion: Ingestion, code: str, again: bool) -> None:
    ingestion.write("a.md", "Hotels.")
    ingestion.sync()
    with ingestion.registry.claim() as record:
        assert record is not None
        ingestion.registry.fail(record.id, code, "It failed.")
    assert ingestion.sync().changed == int(again)


def test_a_look_at_one_document_does_the_same(ingestion: Ingestion) -> None:
    def look(name: str) -> None:
        origin = f"{ingestion.source.url}/{name}"
        sync_document(origin, ingestion.source, ingestion.registry, ingestion.rules)
        ingestion.work_off()

    ingestion.write("a.md", "Hotels.")
    look("a.md")
    assert ingestion.found("hotels") == ["Hotels."]
    reads = ingestion.source.reads
    look("a.md")
    assert ingestion.source.reads == reads, "the same version is not read again"
    ingestion.rules = NOBODY
    look("a.md")
    assert (ingestion.indexed(), ingestion.source.reads) == ({"a.md": ()}, reads)
    ingestion.remove("a.md")
    look("a.md")
    look("a.md")
    assert (ingestion.indexed(), ingestion.registry.counts()) == ({}, {})


def test_names_in_every_script_arrive(ingestion: Ingestion) -> None:
    names = ["страница.md", "頁.md", "صفحة.md", "e\u0301.md", "a%2F..%2Fb.md", "[red]x[/red].md", "a\nb.md"]
    for name in names:
        ingestion.write(name, f"Document about hotels, {len(name)}.")
    (Path(os.fsdecode(os.fsencode(ingestion.share) + b"/latin-\xe9.md"))).write_text("Hotels in Latin-1.")
    assert ingestion.sync().added == len(names) + 1
    ingestion.work_off()
    assert ingestion.registry.counts() == {"ready": len(names) + 1}
