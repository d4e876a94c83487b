"""The stack's databases on one PostgreSQL server: its address goes in, databases that the parts can use come out.

Shared by the native run and `ragline prepare`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote, urlsplit, urlunsplit

import psycopg
from psycopg import errors, sql
from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_fixed

from pipelines.errors import SetupFailed

N8N_DATABASE = "n8n"
OPEN_WEBUI_DATABASE = "open_webui"

STATEMENT_TIMEOUT = "5min"
CONNECT_TIMEOUT_S = 10
CREATING_LOCK = 7_243_391_056
"""An arbitrary number for the advisory lock under which one process creates databases while the others wait."""


@dataclass(frozen=True, slots=True)
class ServerUrl:
    """A PostgreSQL server and the account on it."""

    host: str
    port: int
    user: str
    password: str
    database: str
    query: str = ""

    @classmethod
    def parse(cls, url: str) -> ServerUrl:
        """Read `postgresql://user:password@host:port/database?options`; raises SetupFailed when a piece is missing."""
        try:
            pieces = urlsplit(url)
            host, port = pieces.hostname, pieces.port or 5432
        except ValueError as error:  # a port that is no number: most often a password with a / in it
            raise _no_url() from error
        database = pieces.path.removeprefix("/")
        if not (host and pieces.username and database):
            raise _no_url()
        return cls(host, port, unquote(pieces.username), unquote(pieces.password or ""), database, pieces.query)

    def of(self, database: str) -> str:
        """The URL of one database on this server."""
        account = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return urlunsplit(("postgresql", f"{account}@{host}:{self.port}", f"/{database}", self.query, ""))

    @property
    def encrypted(self) -> bool:
        return self.verified or "sslmode=require" in self.query

    @property
    def verified(self) -> bool:
        return "sslmode=verify-" in self.query


def ensure_databases(server: ServerUrl, *, patience_s: float = 0) -> list[str]:
    """Create what the stack lacks on `server`, let no statement in it run for ever, and return what was created.

    A server that does not answer yet is given `patience_s`.

    Raises:
        SetupFailed: the server does not answer, refuses the account, or the account may not create databases.
    """
    wanted = tuple(dict.fromkeys((server.database, N8N_DATABASE, OPEN_WEBUI_DATABASE)))
    try:
        with _connect(server, patience_s) as connection:
            return _create_missing(connection, wanted)
    except errors.InsufficientPrivilege as error:
        raise SetupFailed(
            f"The user {server.user} of DATABASE_URL may not create databases: "
            f"create {', '.join(wanted)} with it as their owner, or give it CREATEDB."
        ) from error
    except psycopg.OperationalError as error:
        raise SetupFailed(
            f"PostgreSQL on {server.host}:{server.port} refused the connection; check DATABASE_URL or "
            f"POSTGRES_PASSWORD: {str(error).strip().splitlines()[0]}"
        ) from error


def _connect(server: ServerUrl, patience_s: float) -> psycopg.Connection:
    tries = Retrying(
        stop=stop_after_delay(patience_s), wait=wait_fixed(1), retry=retry_if_exception(_is_starting), reraise=True
    )
    return tries(psycopg.connect, server.of("postgres"), autocommit=True, connect_timeout=CONNECT_TIMEOUT_S)


def _is_starting(error: BaseException) -> bool:
    # What the server itself says begins with FATAL, and does not change by waiting unless it is about its start.
    said = str(error)
    return isinstance(error, psycopg.OperationalError) and ("FATAL" not in said or "starting up" in said)


def _create_missing(connection: psycopg.Connection, wanted: Iterable[str]) -> list[str]:
    connection.execute("SELECT pg_advisory_lock(%s)", [CREATING_LOCK])
    present = {name for (name,) in connection.execute("SELECT datname FROM pg_database")}
    missing = [name for name in wanted if name not in present]
    for name in missing:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    for name in wanted:
        limit = sql.SQL("ALTER DATABASE {} SET statement_timeout = {}")
        connection.execute(limit.format(sql.Identifier(name), sql.Literal(STATEMENT_TIMEOUT)))
    return missing


def _no_url() -> SetupFailed:
    return SetupFailed(
        "DATABASE_URL must have the form postgresql://user:password@host:5432/database, with characters such as / and "
        "# in the password written as %2F and %23."
    )
