"""The registry on a real PostgreSQL."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence

import psycopg
import pytest

from pipelines.domain import EVERYONE, DocumentRecord, Grant, group_scope, user_scope
from pipelines.errors import InvalidRequest, StoreUnavailable, UnknownDocument
from pipelines.ingest.fetch import document_id
from pipelines.stores.postgres import open_database
from pipelines.stores.registry import Registry
from pipelines.stores.registry_rows import Finished, GrantedBy, Listing

EVERYBODY = Grant(everyone=True)
SOURCE = "file:///share"


def a_listing(
    name: str = "policy.md", *, version: str = "v1", grant: Grant = EVERYBODY, granted_by: GrantedBy = "rules"
) -> Listing:
    origin = f"{SOURCE}/{name}"
    return Listing(document_id(origin), origin, SOURCE, version, name, grant, granted_by)


def finish(registry: Registry, record: DocumentRecord, *, version: str = "v1", generations: Sequence[str] = ()) -> None:
    finished = Finished(
        version=version,
        title="Travel policy",
        media_type="text/markdown",
        size=4,
        content_hash=f"hash of {version}",
        pages=2,
        unread_pages=(2,),
        problem="Page 2 could not be read.",
        chunks=3,
        indexed_with="words chunks-1",
        generations=tuple(generations),
    )
    with registry.locked(record.id) as row:
        assert row is not None
        row.finish(finished)


def ready(registry: Registry, *listings: Listing, generations: Sequence[str] = ()) -> None:
    registry.put(listings)
    for listing in listings:
        with registry.claim() as record:
            assert record is not None
            finish(registry, record, version=listing.version, generations=generations)


def test_a_listed_document_is_queued_with_the_scopes_of_its_grant(registry: Registry) -> None:
    registry.set_groups({"People team": "g1"})
    registry.put([a_listing(grant=Grant(groups=("People team", "Nobody yet"), users=("u1",)))])

    (record,) = registry.list(limit=10)

    assert (record.state, record.name, record.version) == ("queued", "policy.md", "v1")
    assert record.access == (group_scope("g1"), user_scope("u1"))
    assert registry.get(record.id) == record
    assert registry.counts() == {"queued": 1}


def test_a_finished_document_says_what_readers_find(registry: Registry) -> None:
    ready(registry, a_listing(), generations=["g1"])

    (record,) = registry.list(state="ready", limit=10)

    assert (record.title, record.pages, record.unread_pages, record.chunks) == ("Travel policy", 2, (2,), 3)
    assert (record.problem, record.error_code, record.attempts) == ("Page 2 could not be read.", "", 0)
    assert record.indexed_at is not None
    assert registry.indexed("g1") == {record.id: "hash of v1"}
    assert registry.holds("g1", record.id) == "hash of v1"
    assert registry.holds("g2", record.id) is None


def test_a_document_is_claimed_by_one_at_a_time_and_by_another_once_it_is_let_go(registry: Registry) -> None:
    registry.put([a_listing()])
    with registry.claim() as first, registry.claim() as second:
        assert first is not None
        assert second is None
    with registry.claim() as third:
        assert third is not None
        assert (third.id, third.state, third.attempts) == (first.id, "working", 2)


def test_many_workers_claim_every_document_exactly_once(registry: Registry) -> None:
    registry.put([a_listing(f"{number}.md") for number in range(60)])
    claimed: list[str] = []

    def work() -> None:
        while True:
            with registry.claim() as record:
                if record is None:
                    return
                claimed.append(record.id)
                finish(registry, record)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(claimed) == len(set(claimed)) == 60
    assert registry.counts() == {"ready": 60}


def test_the_claim_of_a_worker_whose_connection_is_lost_is_free_again(registry: Registry, registry_url: str) -> None:
    registry.put([a_listing()])
    other = Registry(open_database(registry_url, connections=2))
    with pytest.raises(StoreUnavailable), other.claim() as record:
        assert record is not None
        with psycopg.connect(registry_url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
            )
        with registry.claim() as again:
            assert again is not None
            assert again.id == record.id
    other.close()


def test_a_document_queued_again_while_it_is_worked_on_stays_queued(registry: Registry) -> None:
    registry.put([a_listing()])
    with registry.claim() as record:
        assert record is not None
        registry.put([a_listing(version="v2")])
        finish(registry, record, version="v1")
    (after,) = registry.list(limit=1)
    assert (after.state, after.content_hash) == ("queued", "hash of v1")


def test_a_document_queued_again_in_the_version_that_was_read_is_ready(registry: Registry) -> None:
    registry.put([a_listing()])
    with registry.claim() as record:
        assert record is not None
        registry.put([a_listing(version="v2")])
        finish(registry, record, version="v2")
    assert registry.get(record.id).state == "ready"


def test_what_a_person_said_outlives_what_rules_say(registry: Registry) -> None:
    ready(registry, a_listing())
    (record,) = registry.list(limit=1)
    registry.set_grant(record.id, Grant(users=("u1",)), "person")
    registry.put([a_listing(version="v2", grant=EVERYBODY)])
    assert registry.get(record.id).access == (user_scope("u1"),)
    registry.put([a_listing(version="v3", grant=Grant(users=("u2",)), granted_by="person")])
    assert registry.get(record.id).access == (user_scope("u2"),)


def test_a_group_that_becomes_known_opens_what_names_it_and_one_that_goes_closes_it(registry: Registry) -> None:
    registry.put([a_listing(grant=Grant(groups=("Finance",))), a_listing("open.md")])
    (closed,) = [record for record in registry.list(limit=10) if record.access == ()]

    registry.set_groups({"Finance": "g7"})
    assert registry.get(closed.id).access == (group_scope("g7"),)
    assert told(registry) == [closed.id]
    registry.set_groups({"Finance": "g7"})
    assert told(registry) == []
    registry.set_groups({})
    assert registry.get(closed.id).access == ()
    assert told(registry) == [closed.id]


def test_the_index_is_to_be_told_of_readers_until_it_was(registry: Registry) -> None:
    ready(registry, a_listing("a.md"), a_listing("b.md"))
    a, b = registry.list(limit=2)
    registry.set_grant(a.id, Grant(users=("u1",)), "person")
    registry.put([a_listing("a.md", version="v2"), a_listing("b.md", version="v2", grant=Grant())])
    assert registry.access_due(1) == sorted([a.id, b.id])[:1]
    assert told(registry) == sorted([a.id, b.id])
    registry.put([a_listing("a.md", version="v3"), a_listing("b.md", version="v3", grant=Grant())])
    assert told(registry) == []


def told(registry: Registry) -> list[str]:
    """The documents that the index had to be told of, and is now."""
    due = registry.access_due(10)
    for each in due:
        with registry.locked(each) as row:
            assert row is not None
            row.access_told()
    return due


def test_scopes_are_never_made_of_groups_that_are_gone(registry: Registry) -> None:
    """While one thread puts documents in, another gives the group of their rule another id."""
    done = threading.Event()

    def rename() -> None:
        number = 0
        while not done.is_set():
            number += 1
            registry.set_groups({"Finance": f"g{number}"})

    thread = threading.Thread(target=rename)
    thread.start()
    for number in range(40):
        registry.put([a_listing(f"{number}.md", grant=Grant(groups=("Finance",)))])
    done.set()
    thread.join()
    records = registry.list(limit=100)
    assert len(records) == 40
    assert len({record.access for record in records}) == 1


def test_a_refused_document_waits_for_a_change_or_a_retry(registry: Registry) -> None:
    registry.put([a_listing()])
    with registry.claim() as record:
        assert record is not None
        registry.fail(record.id, "encrypted_document", "It needs a password.")
    assert registry.get(record.id).problem == "It needs a password."
    with registry.claim() as nothing:
        assert nothing is None

    assert registry.retry(None) == 1
    with registry.claim() as again:
        assert again is not None
        assert again.attempts == 1


def test_a_postponed_document_is_not_claimed_before_its_time(registry: Registry) -> None:
    registry.put([a_listing()])
    with registry.claim() as record:
        assert record is not None
        registry.postpone(record.id, "source_unavailable", "The bucket does not answer.", delay_s=60)
    with registry.claim() as nothing:
        assert nothing is None
    assert (registry.get(record.id).state, registry.get(record.id).attempts) == ("queued", 1)
    assert registry.retry([record.id]) == 1
    with registry.claim() as again:
        assert again is not None


def test_a_try_that_does_not_count_is_forgotten(registry: Registry) -> None:
    registry.put([a_listing()])
    for _ in range(3):
        with registry.claim() as record:
            assert record is not None
            assert record.attempts == 1
            registry.postpone(record.id, "unavailable", "It stops.", delay_s=0, counts=False)


def test_a_removal_that_cannot_be_finished_now_waits_as_well(registry: Registry) -> None:
    registry.put([a_listing()])
    (record,) = registry.list(limit=1)
    registry.begin_removing([record.id])
    with registry.claim() as removing:
        assert removing is not None
        registry.postpone(removing.id, "store_unavailable", "Later.", delay_s=60)
    with registry.claim() as nothing:
        assert nothing is None
    assert registry.counts() == {"removing": 1}


def test_what_kept_a_document_waiting_is_forgotten_when_it_is_queued_anew_or_confirmed(registry: Registry) -> None:
    ready(registry, a_listing())
    (record,) = registry.list(limit=1)
    registry.put([a_listing(version="v2")])
    assert registry.get(record.id).problem == "Page 2 could not be read."
    with registry.claim():
        registry.postpone(record.id, "source_unavailable", "The bucket does not answer.", delay_s=0)
    with registry.claim(), registry.locked(record.id) as row:
        assert row is not None
        row.confirm("v2")
    assert (registry.get(record.id).problem, registry.get(record.id).error_code) == ("", "")
    registry.put([a_listing(version="v3")])
    with registry.claim():
        registry.fail(record.id, "encrypted_document", "It needs a password.")
    registry.put([a_listing(version="v4")])
    assert (registry.get(record.id).problem, registry.get(record.id).error_code) == ("", "")


def test_documents_are_found_by_the_beginning_of_their_address_however_long_it_is(registry: Registry) -> None:
    deep = f"{'a_folder%/' * 500}ü.md"
    registry.put([a_listing(deep), a_listing("a.md"), a_listing("b.md")])
    assert [record.origin for record in registry.find(f"{SOURCE}/a")] == [f"{SOURCE}/a.md", f"{SOURCE}/{deep}"]
    assert [record.origin for record in registry.find(f"{SOURCE}/{deep[:4000]}")] == [f"{SOURCE}/{deep}"]
    assert registry.find(f"{SOURCE}/_") == []


def test_a_text_that_cannot_be_kept_is_an_invalid_request(registry: Registry) -> None:
    with pytest.raises(InvalidRequest, match="cannot be kept"):
        registry.list(source="a\0b", limit=1)


def test_a_retry_of_a_ready_document_reads_the_same_bytes_again(registry: Registry) -> None:
    ready(registry, a_listing())
    (record,) = registry.list(limit=1)
    assert registry.retry([record.id]) == 1
    assert registry.get(record.id).content_hash == ""


def test_a_document_on_its_way_out_is_seen_by_nobody_and_claimed_until_nothing_is_left(registry: Registry) -> None:
    ready(registry, a_listing(), generations=["g1"])
    (record,) = registry.list(limit=1)
    registry.begin_removing([record.id])

    assert registry.list(limit=10) == []
    assert registry.known(SOURCE) == {}
    with pytest.raises(UnknownDocument, match="ragline list"):
        registry.get(record.id)
    with registry.claim() as removing:
        assert removing is not None
        assert removing.state == "removing"
        with registry.locked(record.id) as row:
            assert row is not None
            row.delete()
    assert registry.indexed("g1") == {}
    assert registry.counts() == {}


def test_a_document_listed_again_on_its_way_out_is_queued_under_new_readers(registry: Registry) -> None:
    ready(registry, a_listing())
    (record,) = registry.list(limit=1)
    registry.set_grant(record.id, Grant(users=("u1",)), "person")
    registry.begin_removing([record.id])
    registry.put([a_listing(version="v2")])
    assert (registry.get(record.id).state, registry.get(record.id).access) == ("queued", (EVERYONE,))


def test_documents_that_a_generation_lacks_are_worked_on_while_they_stay_ready(registry: Registry) -> None:
    ready(registry, a_listing("a.md"), a_listing("b.md"), generations=["g1"])
    assert registry.mark_stale("g1") == 0
    assert registry.mark_stale("g2") == 2
    assert registry.unfinished() == 2
    with registry.claim() as record:
        assert record is not None
        assert record.state == "ready"
        finish(registry, record, generations=["g1", "g2"])
    assert registry.unfinished() == 1
    assert registry.counts() == {"ready": 2}


def test_what_is_undone_in_a_locked_block_was_never_written(registry: Registry) -> None:
    ready(registry, a_listing())
    (record,) = registry.list(limit=1)
    with pytest.raises(RuntimeError), registry.locked(record.id) as row:
        assert row is not None
        row.delete()
        raise RuntimeError
    assert registry.get(record.id) == record


def test_documents_are_listed_by_title_in_pages(registry: Registry) -> None:
    registry.put([a_listing(name) for name in ("c.md", "A.md", "b.md", "ä.md")])
    first = registry.list(limit=2)
    rest = registry.list(limit=10, after=first[-1].id)
    assert [record.title for record in first + rest] == ["A.md", "b.md", "c.md", "ä.md"]
    assert registry.list(limit=10, after=str(uuid.uuid4())) == []
    assert registry.list(limit=10, source="file:///other") == []
    with pytest.raises(UnknownDocument):
        registry.list(limit=10, after="no id")


@pytest.mark.parametrize("document_id", ["", "no uuid", "a\0b", "'; DROP TABLE document; --", str(uuid.uuid4())])
def test_an_id_of_no_document_is_said_so(registry: Registry, document_id: str) -> None:
    with pytest.raises(UnknownDocument):
        registry.get(document_id)
    with registry.locked(str(uuid.uuid4())) as row:
        assert row is None


def test_whoever_has_the_turn_of_a_document_keeps_others_from_it_before_there_is_one(registry: Registry) -> None:
    listing = a_listing()
    seen: list[bool] = []

    def look() -> None:
        with registry.locked(listing.id.upper()) as row:
            seen.append(row is not None)

    other = threading.Thread(target=look)
    with registry.turn(listing.id):
        other.start()
        other.join(0.3)
        assert seen == []
        registry.put([listing])
    other.join()
    assert seen == [True]


def test_documents_published_meanwhile_are_not_read_again(registry: Registry) -> None:
    listings = [a_listing("a.md"), a_listing("b.md")]
    ready(registry, *listings, generations=["g1"])
    seen = {listings[0].id: "hash of v1", listings[1].id: "hash of v0"}
    assert registry.requeue(seen) == 1
    assert registry.counts() == {"queued": 1, "ready": 1}
    registry.forget_lost("g1", seen)
    assert registry.indexed("g1") == {listings[1].id: "hash of v1"}
