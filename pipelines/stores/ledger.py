"""The ledger in Postgres: what model calls took goes in by day, user and model, and sums of it come out.

Several processes add to the same rows. A batch has a number that only grows within its process, and the last one is
kept beside the rows in the same transaction: a batch that is sent again, because nobody knows whether the first time
was committed, is added once. Nothing but ids and counts is kept.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from operator import add, attrgetter
from typing import Literal, LiteralString

import psycopg
from psycopg import Connection, errors
from psycopg.rows import DictRow, dict_row

from pipelines.errors import SetupFailed, StoreUnavailable
from pipelines.stores.postgres import CONNECT_TIMEOUT_S, first_line

By = Literal["day", "user", "model"]

_COLUMNS: Mapping[By, LiteralString] = {"day": "day::text", "user": "user_id", "model": "model"}
_STATEMENT_TIMEOUT = "10s"

_CLAIM_BATCH = """
    INSERT INTO ledger_writer VALUES (%s, %s, now())
    ON CONFLICT (id) DO UPDATE SET last_batch = excluded.last_batch, written_at = excluded.written_at
    WHERE ledger_writer.last_batch < excluded.last_batch
"""
_ADD = """
    INSERT INTO ledger (
        day, user_id, model, calls, cached_calls, prompt_tokens, cache_read_tokens, cache_write_tokens,
        completion_tokens, estimated_calls, unpriced_calls, cost_usd
    ) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT (day, user_id, model) DO UPDATE SET
        calls = ledger.calls + excluded.calls,
        cached_calls = ledger.cached_calls + excluded.cached_calls,
        prompt_tokens = ledger.prompt_tokens + excluded.prompt_tokens,
        cache_read_tokens = ledger.cache_read_tokens + excluded.cache_read_tokens,
        cache_write_tokens = ledger.cache_write_tokens + excluded.cache_write_tokens,
        completion_tokens = ledger.completion_tokens + excluded.completion_tokens,
        estimated_calls = ledger.estimated_calls + excluded.estimated_calls,
        unpriced_calls = ledger.unpriced_calls + excluded.unpriced_calls,
        cost_usd = ledger.cost_usd + excluded.cost_usd
"""
_FORGET_WRITERS = "DELETE FROM ledger_writer WHERE written_at < now() - interval '30 days'"
_SUMS = """
    SELECT {by} AS name, sum(calls)::bigint AS calls, sum(cached_calls)::bigint AS cached_calls,
        sum(prompt_tokens)::bigint AS prompt_tokens, sum(cache_read_tokens)::bigint AS cache_read_tokens,
        sum(cache_write_tokens)::bigint AS cache_write_tokens, sum(completion_tokens)::bigint AS completion_tokens,
        sum(estimated_calls)::bigint AS estimated_calls, sum(unpriced_calls)::bigint AS unpriced_calls,
        sum(cost_usd) AS cost_usd
    FROM ledger WHERE day >= %s GROUP BY 1 ORDER BY 1
"""


@dataclass(frozen=True, slots=True, order=True)
class LedgerKey:
    """What a row is about. `day` is in UTC; `user_id` is empty for callers without an account."""

    day: dt.date
    user_id: str
    model: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What calls took together, in the order of the table's columns.

    `cached_calls` are among `calls`, but count nothing else. `prompt_tokens` include what was read from or written into
    a provider's prompt cache. `cost_usd` lacks the `unpriced_calls`, and rests on an estimate for `estimated_calls`.
    """

    calls: int = 0
    cached_calls: int = 0
    prompt_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    completion_tokens: int = 0
    estimated_calls: int = 0
    unpriced_calls: int = 0
    cost_usd: Decimal = Decimal(0)

    def __add__(self, other: Tally) -> Tally:
        return Tally(*map(add, _counts(self), _counts(other)))


_counts = attrgetter(*Tally.__dataclass_fields__)
"""All of a tally, a tenth of the time of `astuple`: it is needed at every call of a model."""


class Ledger:
    """The ledger of one deployment, for one thread at a time. Calls block, but never for long.

    It has one connection of its own, opened anew at the next call after it broke. The registry's pool would not do:
    after an outage it waits for up to minutes before it tries again (psycopg_pool 3.3), and workers hold what it has.

    Raises:
        StoreUnavailable: by every method, when PostgreSQL cannot be used; what was to be added may have been or not.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._writer = uuid.uuid4()
        self._connection: Connection[DictRow] | None = None

    def add(self, number: int, batch: Mapping[LedgerKey, Tally]) -> None:
        """Add a batch, once, however often it is sent; `number` begins with 1 and grows with each new batch."""
        # In one order for everybody: two processes that lock the same rows in different orders wait for each other.
        rows = [(key.day, key.user_id, key.model, *_counts(batch[key])) for key in sorted(batch)]
        with self._connected() as connection, connection.transaction():
            if connection.execute(_CLAIM_BATCH, [self._writer, number]).rowcount == 0:
                return
            if number == 1:
                connection.execute(_FORGET_WRITERS)
            with connection.cursor() as cursor:
                cursor.executemany(_ADD, rows)

    def spent(self, day: dt.date) -> dict[str, Decimal]:
        """What each user's calls have cost on `day`, in US dollars; users who cost nothing are left out."""
        query = "SELECT user_id, sum(cost_usd) AS cost FROM ledger WHERE day = %s AND cost_usd > 0 GROUP BY user_id"
        with self._connected() as connection:
            return {row["user_id"]: row["cost"] for row in connection.execute(query, [day])}

    def sums(self, by: By, since: dt.date) -> list[tuple[str, Tally]]:
        """What was used from the day `since` on; raises `SetupFailed` for a database that has no ledger yet."""
        with self._connected() as connection:
            rows = connection.execute(_SUMS.format(by=_COLUMNS[by]), [since]).fetchall()
        return [(row.pop("name"), Tally(**row)) for row in rows]

    def close(self) -> None:
        """Release the connection."""
        if self._connection:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _connected(self) -> Iterator[Connection[DictRow]]:
        try:
            if self._connection is None:
                self._connection = _connect(self._url)
            yield self._connection
        except errors.UndefinedTable as error:
            raise SetupFailed("The registry has no ledger yet; `ragline serve` of this version makes it.") from error
        except psycopg.Error as error:
            self.close()
            raise StoreUnavailable(f"The ledger's PostgreSQL does not answer: {first_line(error)}") from error


def _connect(url: str) -> Connection[DictRow]:
    connection = psycopg.connect(
        url,
        autocommit=True,
        row_factory=dict_row,
        connect_timeout=CONNECT_TIMEOUT_S,
        tcp_user_timeout=CONNECT_TIMEOUT_S * 1000,  # a server that is gone without a word is not waited for
    )
    # Not among the options of the connection: PgBouncer refuses those.
    connection.execute(f"SET statement_timeout = '{_STATEMENT_TIMEOUT}'")
    return connection
