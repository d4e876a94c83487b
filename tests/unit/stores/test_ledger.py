"""The ledger on a real PostgreSQL: what is added, by how many, and what is left when the database goes away."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from decimal import Decimal

import psycopg
import pytest
from psycopg import sql

from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.stores.ledger import Ledger, LedgerKey, Tally
from pipelines.stores.postgres import migrate_database

MONDAY, TUESDAY = dt.date(2026, 11, 16), dt.date(2026, 11, 17)
NOVA = "bedrock/us.amazon.nova-lite-v1:0"
CALL = Tally(
    calls=1,
    prompt_tokens=2000,
    cache_read_tokens=500,
    cache_write_tokens=100,
    completion_tokens=300,
    cost_usd=Decimal("0.000192"),
)


def key(user: str = "u1", *, day: dt.date = MONDAY, model: str = NOVA) -> LedgerKey:
    return LedgerKey(day, user, model)


@pytest.fixture
def url(registry_url: str) -> str:
    migrate_database(registry_url)
    return registry_url


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    opened = Ledger(url)
    yield opened
    opened.close()


def test_calls_add_up_in_the_row_of_their_day_user_and_model(ledger: Ledger) -> None:
    ledger.add(1, {key(): CALL, key("u2"): CALL, key(day=TUESDAY): CALL})
    ledger.add(2, {key(): CALL + CALL})
    sums = dict(ledger.sums("user", MONDAY))
    assert sums["u1"] == Tally(4, 0, 8000, 2000, 400, 1200, 0, 0, Decimal("0.000768"))
    assert sums["u2"] == CALL
    assert dict(ledger.sums("day", MONDAY)) == {"2026-11-16": CALL + CALL + CALL + CALL, "2026-11-17": CALL}
    assert dict(ledger.sums("model", TUESDAY)) == {NOVA: CALL}


def test_every_count_has_its_own_column(ledger: Ledger) -> None:
    told_apart = Tally(1, 2, 3, 4, 5, 6, 7, 8, Decimal(9))
    ledger.add(1, {key(): told_apart})
    assert ledger.sums("user", MONDAY) == [("u1", told_apart)]


def test_a_batch_that_is_sent_again_is_added_once(ledger: Ledger) -> None:
    for number in (1, 1, 2, 2, 1):
        ledger.add(number, {key(): CALL})
    assert dict(ledger.sums("user", MONDAY))["u1"].calls == 2


def test_what_was_spent_today_is_told_by_user(ledger: Ledger) -> None:
    free = Tally(calls=1)
    ledger.add(1, {key(): CALL, key(model="bedrock/other"): CALL, key("u2"): free, key(day=TUESDAY): CALL})
    assert ledger.spent(MONDAY) == {"u1": Decimal("0.000384")}


def test_several_processes_add_to_the_same_rows(url: str) -> None:
    writers = [Ledger(url) for _ in range(4)]

    def write(ledger: Ledger) -> None:
        for number in range(1, 26):
            ledger.add(number, {key(f"u{user}"): CALL for user in range(5)})
        ledger.close()

    threads = [threading.Thread(target=write, args=[ledger]) for ledger in writers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    ledger = Ledger(url)
    assert {user: tally.calls for user, tally in ledger.sums("user", MONDAY)} == {f"u{user}": 100 for user in range(5)}
    ledger.close()


def test_a_broken_connection_is_an_error_of_ours_and_the_next_call_has_a_new_one(ledger: Ledger, url: str) -> None:
    ledger.add(1, {key(): CALL})
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    with pytest.raises(StoreUnavailable, match="ledger"):
        ledger.add(2, {key(): CALL})
    ledger.add(2, {key(): CALL})
    assert dict(ledger.sums("user", MONDAY))["u1"].calls == 2


def test_nothing_is_added_by_half(ledger: Ledger, url: str) -> None:
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(sql.SQL("ALTER TABLE ledger ADD CONSTRAINT refused CHECK (user_id <> 'u2')"))
    with pytest.raises(StoreUnavailable):
        ledger.add(1, {key("u1"): CALL, key("u2"): CALL})
    assert ledger.sums("user", MONDAY) == []
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(sql.SQL("ALTER TABLE ledger DROP CONSTRAINT refused"))
    ledger.add(1, {key("u1"): CALL, key("u2"): CALL})
    assert {user: tally.calls for user, tally in ledger.sums("user", MONDAY)} == {"u1": 1, "u2": 1}


def test_nobody_there_is_said_within_bounded_time() -> None:
    ledger = Ledger("postgresql://ragline@127.0.0.1:1/ragline")
    with pytest.raises(StoreUnavailable):
        ledger.spent(MONDAY)


def test_a_database_without_a_ledger_says_what_makes_one(registry_url: str) -> None:
    ledger = Ledger(registry_url)
    with pytest.raises(SetupFailed, match="ragline serve"):
        ledger.sums("day", MONDAY)
    ledger.close()


def test_ids_are_kept_as_they_are_and_a_text_has_no_place(ledger: Ledger, url: str) -> None:
    odd = "o'neil@example.org; DROP TABLE ledger --"
    ledger.add(1, {key(odd): CALL, key(""): CALL})
    assert [user for user, _ in ledger.sums("user", MONDAY)] == ["", odd]
    with psycopg.connect(url) as other:
        columns = other.execute(
            "SELECT column_name::text FROM information_schema.columns "
            "WHERE table_name = 'ledger' AND data_type NOT IN ('bigint', 'numeric', 'date') ORDER BY 1"
        ).fetchall()
    assert columns == [("model",), ("user_id",)]
