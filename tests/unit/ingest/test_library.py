"""The library: documents are put in, opened, closed and taken out, and what it says holds when it returns."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Future
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

import pytest

from pipelines.domain import Grant, group_scope, user_scope
from pipelines.errors import DocumentHasSource, InvalidRequest, SetupFailed, UnknownDocument
from pipelines.ingest.library import Library
from pipelines.stores.base import SourceEntry
from tests.unit.ingest.ingestion import NOBODY, Ingestion, running

ANNA = Grant(users=("anna",))


async def test_an_upload_is_kept_and_found_by_its_reader_only(ingestion: Ingestion) -> None:
    record = await ingestion.upload("anna/a.md", b"Hotels cost 180.", grant=ANNA, owner="anna")
    assert (record.state, record.owner, record.name, record.source) == ("ready", "anna", "a.md", ingestion.uploads.url)
    assert ingestion.found("hotels") == []
    assert ingestion.found("hotels", user_scope("ben")) == []
    assert ingestion.found("hotels", user_scope("anna")) == ["Hotels cost 180."]


async def test_without_a_word_about_readers_the_rules_decide(ingestion: Ingestion) -> None:
    ingestion.rules = NOBODY
    await ingestion.upload("a.md", b"Hotels cost 180.")
    assert ingestion.indexed() == {"a.md": ()}
    await ingestion.upload("a.md", b"Hotels cost 180.", grant=ANNA)
    await ingestion.upload("a.md", b"Hotels cost 250.")
    assert ingestion.indexed() == {"a.md": (user_scope("anna"),)}, "what a person said outlives the next upload"


async def test_new_readers_hold_for_the_earlier_revision_at_once(ingestion: Ingestion) -> None:
    await ingestion.upload("a.md", b"Hotels cost 180.")
    await ingestion.library.add(BytesIO(b"Hotels cost 250."), origin="upload://a.md", grant=ANNA)
    assert ingestion.found("hotels") == []
    assert ingestion.found("hotels", user_scope("anna")) == ["Hotels cost 180."]


async def test_nothing_is_kept_when_the_rules_cannot_be_understood(ingestion: Ingestion) -> None:
    def rules() -> None:
        raise SetupFailed("The access rules are wrong.")

    library = Library(ingestion.work, ingestion.workers, sources=[], rules=rules)  # type: ignore[arg-type]
    with pytest.raises(SetupFailed):
        await library.add(BytesIO(b"Hotels"), origin="upload://a.md")
    assert (list(ingestion.uploads.list()), ingestion.registry.counts()) == ([], {})


async def test_what_lies_in_a_source_is_not_put_in_beside_it(ingestion: Ingestion) -> None:
    address = f"{ingestion.source.url}/a.md"
    for origin in (address, address.replace("file:", "upload:")):
        with pytest.raises(InvalidRequest, match="put it there instead"):
            await ingestion.library.add(BytesIO(b"Hotels"), origin=origin)


async def test_whoever_waits_is_told_when_it_is_ready_or_the_time_is_over(ingestion: Ingestion) -> None:
    queued = await ingestion.library.add(BytesIO(b"Hotels cost 180."), origin="upload://a.md")
    assert (await ingestion.library.wait(queued.id, 0.05)).state == "queued"
    with running(ingestion.workers):
        assert (await ingestion.library.wait(queued.id, 20)).state == "ready"
    with pytest.raises(UnknownDocument):
        await ingestion.library.wait("no id", 1)


async def test_other_readers_find_a_document_when_it_was_said_and_nothing_is_embedded(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    ingestion.embedding.embedded.clear()
    record = await ingestion.library.set_grant(ingestion.id("a.md"), Grant(groups=("Finance",)))
    assert (record.access, ingestion.found("hotels")) == ((), [])
    await ingestion.library.set_groups({"Finance": "g1"})
    assert ingestion.found("hotels", group_scope("g1")) == ["Hotels cost 180."]
    await ingestion.library.set_groups({"Finance": "g2"})
    assert ingestion.found("hotels", group_scope("g1")) == []
    assert ingestion.found("hotels", group_scope("g2")) == ["Hotels cost 180."]
    assert ingestion.embedding.embedded == []
    with pytest.raises(UnknownDocument):
        await ingestion.library.set_grant("no id", ANNA)


async def test_a_removed_upload_is_found_by_nobody_and_kept_nowhere(ingestion: Ingestion) -> None:
    record = await ingestion.upload("a.md", b"Hotels cost 180.")
    await ingestion.library.remove(record.id)
    assert (ingestion.found("hotels"), list(ingestion.uploads.list()), ingestion.registry.counts()) == ([], [], {})
    with pytest.raises(UnknownDocument):
        await ingestion.library.remove(record.id)


async def test_a_document_of_a_source_is_taken_out_there(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.")
    with pytest.raises(DocumentHasSource, match="take it out there"):
        await ingestion.library.remove(ingestion.id("a.md"))
    without = Library(ingestion.work, ingestion.workers, sources=[], rules=lambda: NOBODY)
    await without.remove(ingestion.id("a.md"))
    assert ingestion.indexed() == {}


async def test_what_failed_is_tried_again_when_it_is_asked_for(ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels cost 180.", b=" ")
    assert ingestion.record("b.md").error_code == "empty_document"
    ingestion.embedding.embedded.clear()
    assert await ingestion.library.retry() == 1
    assert await ingestion.library.retry([ingestion.id("a.md")]) == 1
    ingestion.work_off()
    assert await ingestion.library.counts() == {"ready": 1, "failed": 1}
    assert len(ingestion.embedding.embedded) == 1, "the same bytes are read again"
    with pytest.raises(UnknownDocument):
        await ingestion.library.retry(["no id"])


async def test_sources_are_compared_one_look_at_a_time(ingestion: Ingestion) -> None:
    ingestion.write("a.md", "Hotels cost 180.")
    reports = await asyncio.gather(ingestion.library.sync(), ingestion.library.sync([str(ingestion.share)]))
    assert sorted(report.added for each in reports for report in each) == [0, 1]
    with pytest.raises(InvalidRequest, match="DOCUMENT_SOURCES"):
        await ingestion.library.sync(["file:///elsewhere"])


async def test_a_source_that_cannot_be_opened_is_a_problem_of_its_own(ingestion: Ingestion, tmp_path: Path) -> None:
    ingestion.write("a.md", "Hotels cost 180.")
    gone = f"file://{tmp_path}/gone"
    library = Library(
        ingestion.work, ingestion.workers, sources=[gone, ingestion.source.url], rules=lambda: ingestion.rules
    )
    first, second = await library.sync()
    assert ("DOCUMENT_SOURCES" in first.problem, second.problem, second.added) == (True, "", 1)


async def test_a_document_is_found_by_the_beginning_of_its_address(ingestion: Ingestion) -> None:
    record = await ingestion.upload("anna/a.md", b"Hotels cost 180.")
    assert [each.id for each in await ingestion.library.find("upload://anna/")] == [record.id]
    assert [each.id for each in await ingestion.library.list(limit=5)] == [record.id]


async def test_rules_that_have_changed_hold_for_what_was_uploaded_under_them_from_the_next_look_on(
    ingestion: Ingestion,
) -> None:
    await ingestion.upload("a.md", b"Hotels cost 180.")
    await ingestion.upload("b.md", b"Trains are first class.", grant=ANNA)
    ingestion.embedding.embedded.clear()
    ingestion.rules = NOBODY
    reports = await ingestion.library.sync()
    assert [(report.source, report.reopened, report.unchanged) for report in reports[1:]] == [("upload:", 1, 1)]
    assert ingestion.indexed() == {"a.md": (), "b.md": (user_scope("anna"),)}
    assert ingestion.embedding.embedded == []
    assert len(await ingestion.library.sync()) == 1, "nothing has changed since"


async def test_a_look_at_a_source_waits_for_that_of_another_process(ingestion: Ingestion) -> None:
    ingestion.write("a.md", "Hotels cost 180.")
    with ingestion.registry.alone(f"the source {ingestion.source.url}"):
        looking = asyncio.create_task(ingestion.library.sync())
        await asyncio.sleep(0.3)
        assert not looking.done()
    (report,) = await looking
    assert report.added == 1


async def test_a_removal_by_another_process_does_not_take_what_is_just_being_put_in(ingestion: Ingestion) -> None:
    old = await ingestion.upload("a.md", b"Hotels cost 180.")
    put = ingestion.uploads.put
    removing: list[Future[None]] = []

    def begin_removing(origin: str, data: BinaryIO) -> SourceEntry:
        entry = put(origin, data)
        removing.append(asyncio.run_coroutine_threadsafe(ingestion.library.remove(old.id), loop))
        time.sleep(0.3)
        return entry

    loop = asyncio.get_running_loop()
    ingestion.uploads.put = begin_removing  # type: ignore[method-assign]
    await ingestion.library.add(BytesIO(b"Hotels cost 250."), origin="upload://a.md")
    await asyncio.wrap_future(removing[0])
    ingestion.work_off()
    assert ingestion.found("hotels") in ([], ["Hotels cost 250."])
    assert ingestion.registry.counts() in ({}, {"ready": 1}), "one came after the other, whichever it was"
