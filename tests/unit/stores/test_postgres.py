"""The registry's database: its tables, and who may use it."""

from __future__ import annotations

import threading

import psycopg
import pytest

from pipelines.errors import SetupFailed
from pipelines.stores.postgres import migrate, open_database
from pipelines.stores.registry import Registry


def test_migrations_are_applied_once_even_by_two_at_a_time(registry_url: str) -> None:
    applied: list[list[str]] = []

    def run() -> None:
        with psycopg.connect(registry_url, autocommit=True) as connection:
            applied.append(migrate(connection))

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    first, second, all_of_them = sorted(applied, key=len)
    assert (first, second) == ([], [])
    assert all_of_them == sorted(set(all_of_them)) != []


def test_a_registry_of_a_newer_version_is_refused(registry: Registry, registry_url: str) -> None:
    with psycopg.connect(registry_url, autocommit=True) as connection:
        connection.execute("INSERT INTO migration VALUES ('999_future.sql', now())")
    with pytest.raises(SetupFailed, match="newer version"):
        open_database(registry_url, connections=1)


def test_a_registry_that_does_not_answer_is_one_sentence() -> None:
    with pytest.raises(SetupFailed, match="check REGISTRY_URL"):
        open_database("postgresql://ragline:x@127.0.0.1:1/ragline", connections=1)


def test_a_machine_that_is_gone_keeps_its_locks_for_half_a_minute_and_not_for_hours(registry_url: str) -> None:
    database = open_database(registry_url, connections=1)
    with database.connection() as connection:
        shown = [connection.execute(f"SHOW {name}").fetchone() for name in ("tcp_keepalives_idle", "tcp_user_timeout")]
    database.close()
    assert [next(iter(row.values())) for row in shown if row] == ["10", "30000"]
