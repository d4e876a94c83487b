"""What only one process may do at a time, on a real PostgreSQL."""

from __future__ import annotations

import psycopg
import pytest

from pipelines.errors import StoreUnavailable
from pipelines.stores.postgres import open_database
from pipelines.stores.registry import Registry


def test_one_process_at_a_time_is_at_a_thing_and_a_lost_one_is_at_nothing(
    registry: Registry, registry_url: str
) -> None:
    with psycopg.connect(registry_url, autocommit=True) as other:
        lost = Registry(open_database(registry_url, connections=1))
        with pytest.raises(StoreUnavailable), lost.alone("a thing") as alone:
            assert alone
            with registry.alone("a thing", wait_s=0) as refused, registry.alone("another", wait_s=0) as apart:
                assert (refused, apart) == (False, True)
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND pid <> 0")
            with registry.alone("a thing", wait_s=5) as got:
                assert got
        lost.close()
    with registry.alone("a thing", wait_s=0) as again:
        assert again
