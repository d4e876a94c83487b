"""Every document and where it stands, in Postgres: entries of sources go in, work to be done and records come out.

What is true is written here first and then applied to the index, under the lock of the document's row. Whoever works
on a document holds an advisory lock that ends with the connection, so a killed worker leaves nothing to clean up.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

from pipelines.domain import DocumentRecord, DocumentState, Grant
from pipelines.errors import UnknownDocument
from pipelines.stores.postgres import Database, Row, translated

GrantedBy = Literal["rules", "source", "person"]

CANDIDATES = 256
"""How many waiting documents one claim looks through: more than workers could hold locks on."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A document as its source lists it now, with who may read it."""

    id: str
    origin: str
    source: str
    version: str
    title: str
    grant: Grant
    granted_by: GrantedBy
    owner: str = ""
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What the registry knows of a listed document: enough to see whether anything has changed."""

    id: str
    version: str
    state: DocumentState
    grant: Grant
    granted_by: GrantedBy


@dataclass(frozen=True, slots=True)
class Finished:
    """What came of a document that has been read: what its row says from now on."""

    version: str
    title: str
    media_type: str
    size: int
    content_hash: str
    pages: int | None
    unread_pages: tuple[int, ...]
    problem: str
    chunks: int
    indexed_with: str
    generations: tuple[str, ...]


class Registry:
    """The documents of one deployment. Thread-safe; calls block; each raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- what sources and people say ---------------------------------------------------------------------------------

    def put(self, listings: Sequence[Listing]) -> None:
        """Queue documents that are new or whose bytes may have changed; a document keeps what a person said of it."""
        with self._connection() as connection, connection.transaction():
            groups = _group_ids(connection)
            with connection.cursor() as cursor:
                cursor.executemany(_PUT, [_listing_row(listing, groups) for listing in listings])

    def known(self, source: str) -> dict[str, Known]:
        """What is known of the documents of a source, by origin; those on their way out are not."""
        query = "SELECT * FROM document WHERE source = %s AND state <> 'removing'"
        with self._connection() as connection:
            return {
                row["origin"]: Known(str(row["id"]), row["version"], row["state"], _grant(row), row["granted_by"])
                for row in connection.execute(query, [source])
            }

    def set_grant(self, document_id: str, grant: Grant, granted_by: GrantedBy) -> None:
        """Let other people read a document; apply it to the index under `locked` afterwards."""
        with self._connection() as connection, connection.transaction():
            values = {"id": document_id, "by": granted_by, **_grant_row(grant, _group_ids(connection))}
            changed = connection.execute(
                "UPDATE document SET everyone = %(everyone)s, groups = %(groups)s, users = %(users)s, "
                "access = %(access)s, granted_by = %(by)s WHERE id = %(id)s AND state <> 'removing'",
                values,
            )
            if changed.rowcount == 0:
                raise _unknown(document_id)

    def set_groups(self, groups: Mapping[str, str]) -> list[str]:
        """Know these groups (name → id) and no others; return the ids of the documents this opens or closes."""
        with self._connection() as connection, connection.transaction():
            if _group_ids(connection) == dict(groups):
                return []
            connection.execute("DELETE FROM access_group")
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO access_group VALUES (%s, %s)", list(groups.items()))
            rows = connection.execute("SELECT * FROM document WHERE groups <> '{}' FOR UPDATE").fetchall()
            changed = [(list(_grant(row).scopes(groups)), row["id"]) for row in rows]
            changed = [
                (access, id_) for (access, id_), row in zip(changed, rows, strict=True) if access != row["access"]
            ]
            with connection.cursor() as cursor:
                cursor.executemany("UPDATE document SET access = %s WHERE id = %s", changed)
            return [str(id_) for _, id_ in changed]

    def begin_removing(self, document_ids: Sequence[str]) -> None:
        """Take documents out of sight; what is left of them is removed under `locked`, by whoever comes first."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE document SET state = 'removing', stage = '', not_before = now() WHERE id = ANY(%s::uuid[])",
                [list(document_ids)],
            )

    def retry(self, document_ids: Sequence[str] | None) -> int:
        """Queue these documents anew, whether or not their bytes have changed; None: all that have failed."""
        where = (
            "state = 'failed'" if document_ids is None else "state IN ('failed', 'ready') AND id = ANY(%(ids)s::uuid[])"
        )
        with self._connection() as connection:
            return connection.execute(
                # without a hash, the same bytes are read again
                f"UPDATE document SET content_hash = '', {_QUEUED} WHERE {where}",  # noqa: S608  constants only
                {"ids": list(document_ids or ())},
            ).rowcount

    # --- work ----------------------------------------------------------------------------------------------------------

    @contextmanager
    def claim(self) -> Iterator[DocumentRecord | None]:
        """The document that has waited longest and that nobody works on; it is held until the block ends."""
        with self._connection() as connection:
            row = connection.execute(_CLAIM, {"candidates": CANDIDATES}).fetchone()
            if row is None:
                yield None
                return
            try:
                yield _record(row)
            finally:
                if not connection.closed:
                    connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", [str(row["id"])])

    def note_stage(self, document_id: str, stage: str) -> None:
        """Say what is being done with a claimed document."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE document SET stage = %s WHERE id = %s AND state = 'working'", [stage, document_id]
            )

    @contextmanager
    def locked(self, document_id: str) -> Iterator[LockedDocument | None]:
        """The document as it stands now, which nobody changes until the block ends; None when it is gone.

        What the block writes through it is durable when the block ends without an error, and undone otherwise.
        """
        with self._connection() as connection, connection.transaction():
            row = connection.execute("SELECT * FROM document WHERE id = %s FOR UPDATE", [document_id]).fetchone()
            yield LockedDocument(connection, _record(row)) if row else None

    def fail(self, document_id: str, code: str, problem: str) -> None:
        """A claimed document cannot be read: it waits for a change of its bytes, or for `retry`."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE document SET state = 'failed', stale = false, stage = '', error_code = %s, problem = %s "
                "WHERE id = %s AND state IN ('working', 'ready')",
                [code, problem, document_id],
            )

    def postpone(self, document_id: str, code: str, problem: str, *, delay_s: float) -> None:
        """A claimed document could not be read just now: it is tried again after a while."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE document SET state = CASE state WHEN 'working' THEN 'queued' ELSE state END, stage = '', "
                "error_code = %s, problem = %s, not_before = now() + make_interval(secs => %s) "
                "WHERE id = %s AND state IN ('working', 'ready')",
                [code, problem, delay_s, document_id],
            )

    # --- what the generations of the index hold ------------------------------------------------------------------------

    def indexed(self, generation: str) -> dict[str, str]:
        """The revision (content hash) that a generation holds of each document."""
        with self._connection() as connection:
            rows = connection.execute("SELECT * FROM indexed WHERE generation = %s", [generation])
            return {str(row["document_id"]): row["content_hash"] for row in rows}

    def revisions(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """The newest revision and the access scopes of every document, by id."""
        query = "SELECT id, content_hash, access FROM document WHERE state <> 'removing'"
        with self._connection() as connection:
            rows = connection.execute(query)
            return {str(row["id"]): (row["content_hash"], tuple(row["access"])) for row in rows}

    def holds(self, generation: str, document_id: str) -> str | None:
        """The revision that a generation holds of one document; None when it holds none."""
        query = "SELECT content_hash FROM indexed WHERE generation = %s AND document_id = %s"
        with self._connection() as connection:
            row = connection.execute(query, [generation, document_id]).fetchone()
            return row["content_hash"] if row else None

    def mark_stale(self, generation: str) -> int:
        """Have the documents worked on again of which a generation lacks the newest revision; return how many.

        They stay `ready`: readers find them in the generation that is live.
        """
        query = """
            UPDATE document SET stale = true, attempts = 0, not_before = now()
            FROM document AS d LEFT JOIN indexed AS i ON i.document_id = d.id AND i.generation = %s
            WHERE document.id = d.id AND d.state = 'ready' AND i.content_hash IS DISTINCT FROM d.content_hash
        """
        with self._connection() as connection:
            return connection.execute(query, [generation]).rowcount

    def requeue(self, document_ids: Sequence[str]) -> None:
        """Have documents read again that readers do not find as they should."""
        with self._connection() as connection:
            connection.execute(
                f"UPDATE document SET content_hash = '', {_QUEUED} "  # noqa: S608  constants only
                "WHERE id = ANY(%s::uuid[]) AND state <> 'removing'",
                [list(document_ids)],
            )

    def unfinished(self) -> int:
        """How many documents are not yet in every generation as they should be, the failed ones apart."""
        query = "SELECT count(*) AS n FROM document WHERE stale OR state IN ('queued', 'working', 'removing')"
        with self._connection() as connection:
            row = connection.execute(query).fetchone()
            return row["n"] if row else 0

    def forget_indexed(self, generation: str, document_ids: Iterable[str] | None = None) -> None:
        """A generation no longer holds these documents, or, with None, is gone as a whole."""
        with self._connection() as connection:
            connection.execute(
                "DELETE FROM indexed WHERE generation = %s AND (%s::uuid[] IS NULL OR document_id = ANY(%s::uuid[]))",
                [generation, *[None if document_ids is None else list(document_ids)] * 2],
            )

    # --- what people ask -----------------------------------------------------------------------------------------------

    def get(self, document_id: str) -> DocumentRecord:
        """One document; raises `UnknownDocument`."""
        with self._connection() as connection:
            row = connection.execute("SELECT * FROM document WHERE id::text = %s", [document_id]).fetchone()
        if row is None or row["state"] == "removing":
            raise _unknown(document_id)
        return _record(row)

    def list(
        self, *, state: DocumentState | None = None, source: str | None = None, after: str | None = None, limit: int
    ) -> list[DocumentRecord]:
        """The documents by title, at most `limit` and from the one behind the id `after` on."""
        query = """
            SELECT * FROM document
            WHERE state <> 'removing' AND (%(state)s::text IS NULL OR state = %(state)s)
              AND (%(source)s::text IS NULL OR source = %(source)s)
              AND (%(after)s::text IS NULL
                   OR (lower(title), id) > (SELECT lower(title), id FROM document WHERE id::text = %(after)s))
            ORDER BY lower(title), id LIMIT %(limit)s
        """
        values = {"state": state, "source": source, "after": after, "limit": limit}
        with self._connection() as connection:
            return [_record(row) for row in connection.execute(query, values)]

    def counts(self) -> dict[DocumentState, int]:
        """How many documents there are in each state."""
        with self._connection() as connection:
            rows = connection.execute("SELECT state, count(*) AS documents FROM document GROUP BY state")
            return {row["state"]: row["documents"] for row in rows}

    def close(self) -> None:
        """Release the connections."""
        self._database.close()

    @contextmanager
    def _connection(self) -> Iterator[Connection[Row]]:
        with translated(), self._database.connection() as connection:
            yield connection


@dataclass(frozen=True, slots=True)
class LockedDocument:
    """A document's row while nobody else can change it."""

    _connection: Connection[Row]
    record: DocumentRecord

    def finish(self, finished: Finished) -> None:
        """The document is wholly searchable; queued again meanwhile, it stays queued."""
        values = {name: getattr(finished, name) for name in Finished.__dataclass_fields__ if name != "generations"}
        values |= {"id": self.record.id, "unread_pages": list(finished.unread_pages)}
        self._connection.execute(_FINISH, values)
        with self._connection.cursor() as cursor:
            cursor.executemany(
                "INSERT INTO indexed VALUES (%s, %s, %s) "
                "ON CONFLICT (generation, document_id) DO UPDATE SET content_hash = excluded.content_hash",
                [(generation, self.record.id, finished.content_hash) for generation in finished.generations],
            )

    def confirm(self, version: str) -> None:
        """The document is as it was indexed: only its source says something else of its bytes."""
        self._connection.execute(_CONFIRM, {"id": self.record.id, "version": version})

    def delete(self) -> None:
        """Nothing is left of the document."""
        self._connection.execute("DELETE FROM document WHERE id = %s", [self.record.id])


_QUEUED = "state = 'queued', stale = false, stage = '', attempts = 0, queued_at = now(), not_before = now()"

# What a person said of a document outlives what rules and sources say of it.
_KEEP = "document.granted_by = 'person' AND excluded.granted_by <> 'person' AND document.state <> 'removing'"
_GRANT = ", ".join(
    f"{column} = CASE WHEN {_KEEP} THEN document.{column} ELSE excluded.{column} END"
    for column in ("everyone", "groups", "users", "access", "granted_by")
)

_PUT = f"""
    INSERT INTO document (id, origin, source, version, state, title, media_type, owner,
                          everyone, groups, users, granted_by, access)
    VALUES (%(id)s, %(origin)s, %(source)s, %(version)s, 'queued', %(title)s, %(media_type)s, %(owner)s,
            %(everyone)s, %(groups)s, %(users)s, %(granted_by)s, %(access)s)
    ON CONFLICT (id) DO UPDATE SET
        source = excluded.source, version = excluded.version, media_type = excluded.media_type, {_GRANT}, {_QUEUED},
        owner = coalesce(nullif(excluded.owner, ''), document.owner)
"""  # noqa: S608  constants only

# Evaluated row by row until the first lock is got: the candidates are materialised and in order.
_CLAIM = """
    WITH candidate AS MATERIALIZED (
        SELECT id FROM document
        WHERE (stale OR state IN ('queued', 'working', 'removing')) AND not_before <= now()
        ORDER BY not_before LIMIT %(candidates)s
    ), got AS MATERIALIZED (
        SELECT id FROM candidate WHERE pg_try_advisory_lock(hashtextextended(id::text, 0)) LIMIT 1
    )
    UPDATE document SET
        state = CASE state WHEN 'queued' THEN 'working' ELSE state END,
        stage = '', attempts = attempts + 1
    FROM got WHERE document.id = got.id
    RETURNING document.*
"""

_READY = "CASE WHEN state = 'working' OR version = %(version)s THEN 'ready' ELSE state END, stale = false"

_FINISH = f"""
    UPDATE document SET
        state = {_READY}, version = %(version)s, title = %(title)s, media_type = %(media_type)s, size = %(size)s,
        content_hash = %(content_hash)s, pages = %(pages)s, unread_pages = %(unread_pages)s, problem = %(problem)s,
        chunks = %(chunks)s, indexed_with = %(indexed_with)s, indexed_at = now(), error_code = '', stage = '',
        attempts = 0
    WHERE id = %(id)s
"""  # noqa: S608  constants only

_CONFIRM = f"""
    UPDATE document SET state = {_READY}, version = %(version)s, error_code = '', stage = '', attempts = 0
    WHERE id = %(id)s
"""  # noqa: S608  constants only


def _group_ids(connection: Connection[Row]) -> dict[str, str]:
    return {row["name"]: row["id"] for row in connection.execute("SELECT name, id FROM access_group")}


def _listing_row(listing: Listing, groups: Mapping[str, str]) -> dict[str, Any]:
    plain = ("id", "origin", "source", "version", "title", "media_type", "owner", "granted_by")
    return {**{name: getattr(listing, name) for name in plain}, **_grant_row(listing.grant, groups)}


def _grant_row(grant: Grant, groups: Mapping[str, str]) -> dict[str, Any]:
    return {
        "everyone": grant.everyone,
        "groups": list(grant.groups),
        "users": list(grant.users),
        "access": list(grant.scopes(groups)),
    }


def _grant(row: Row) -> Grant:
    return Grant(everyone=row["everyone"], groups=tuple(row["groups"]), users=tuple(row["users"]))


def _record(row: Row) -> DocumentRecord:
    apart = {"id", "grant", "access", "unread_pages"}
    plain = {name: row[name] for name in DocumentRecord.__dataclass_fields__ if name not in apart}
    return DocumentRecord(
        id=str(row["id"]),
        grant=_grant(row),
        access=tuple(row["access"]),
        unread_pages=tuple(row["unread_pages"]),
        **plain,
    )


def _unknown(document_id: str) -> UnknownDocument:
    return UnknownDocument(f"There is no document {document_id[:100]}; `ragline list` shows those there are.")
