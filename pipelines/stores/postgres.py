"""The product's own database: its URL goes in, a pool of connections to a migrated schema comes out.

Migrations are the numbered files in `migrations/`, applied in order, each once and in one transaction; a file that has
been released is never changed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files

import psycopg
from psycopg import Connection, errors
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from pipelines.errors import InvalidRequest, SetupFailed, StoreUnavailable

Row = DictRow
Database = ConnectionPool[Connection[Row]]

MIGRATION_LOCK = 7_243_391_055
"""An arbitrary number for the advisory lock under which one process migrates while the others wait."""
CONNECT_TIMEOUT_S = 10
_FREE_WHAT_IS_GONE = """
    SELECT set_config('tcp_keepalives_idle', '10', false), set_config('tcp_keepalives_interval', '5', false),
        set_config('tcp_keepalives_count', '3', false), set_config('tcp_user_timeout', '30000', false)
"""
"""A machine that is gone without a word has its connections ended by the server within half a minute, and with them
every lock that it held; PostgreSQL's own answer is two hours."""


def open_database(url: str, *, connections: int) -> Database:
    """Migrate the schema, and return a pool of at most `connections`; raises `SetupFailed` with what to do."""
    migrate_database(url)
    return ConnectionPool(
        url,
        connection_class=Connection[Row],
        kwargs={"row_factory": dict_row, "autocommit": True, "connect_timeout": CONNECT_TIMEOUT_S},
        min_size=1,
        max_size=connections,
        timeout=CONNECT_TIMEOUT_S,
        # A connection that the server has closed meanwhile, after a restart of it, is replaced and not handed out.
        check=ConnectionPool.check_connection,
        configure=_configure,
        open=True,
    )


def _configure(connection: Connection[Row]) -> None:
    # Not among the options of the connection: PgBouncer refuses those.
    connection.execute(_FREE_WHAT_IS_GONE)


def migrate_database(url: str) -> None:
    """Apply the migrations that the database lacks; raises `SetupFailed` with what to do."""
    try:
        with psycopg.connect(url, connect_timeout=CONNECT_TIMEOUT_S, autocommit=True) as connection:
            migrate(connection)
    except psycopg.OperationalError as error:
        raise SetupFailed(
            f"The registry's PostgreSQL cannot be used; check REGISTRY_URL: {first_line(error)}"
        ) from error


def migrate(connection: Connection[tuple[object, ...]]) -> list[str]:
    """Apply the migrations that the database lacks, and return their names; raises `SetupFailed` for a newer schema."""
    beside = files("pipelines.stores.migrations").iterdir()
    scripts = {file.name: file.read_text("utf-8") for file in beside if file.name.endswith(".sql")}
    wanted = sorted(scripts)
    connection.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
    try:
        connection.execute("CREATE TABLE IF NOT EXISTS migration (name text PRIMARY KEY, applied_at timestamptz)")
        applied = {str(name) for (name,) in connection.execute("SELECT name FROM migration")}
        if unknown := sorted(applied - set(wanted)):
            raise SetupFailed(
                f"The registry was written by a newer version of Ragline ({unknown[0]}): upgrade this one."
            )
        missing = [name for name in wanted if name not in applied]
        for name in missing:
            with connection.transaction():
                connection.execute(scripts[name].encode())
                connection.execute("INSERT INTO migration VALUES (%s, now())", [name])
        return missing
    finally:
        connection.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])


@contextmanager
def translated() -> Iterator[None]:
    """Translate what PostgreSQL and its pool raise.

    Raises:
        StoreUnavailable: the database cannot be used.
        InvalidRequest: a value is nothing that it can keep, such as a text with a NUL in it.
    """
    try:
        yield
    except errors.DiskFull as error:
        raise StoreUnavailable(
            "The registry's PostgreSQL has no room left: make some on its disk. What it has can still be read.",
            retry_after=60,
        ) from error
    except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, errors.InternalError) as error:
        raise StoreUnavailable(
            f"The registry's PostgreSQL does not answer: {first_line(error)}", retry_after=5
        ) from error
    except psycopg.DataError as error:
        raise InvalidRequest(f"That cannot be kept in the registry: {first_line(error)}.") from error


def first_line(error: Exception) -> str:
    """What went wrong, without PostgreSQL's further lines."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
