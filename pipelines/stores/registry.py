"""Every document and where it stands, in Postgres: entries of sources go in, work to be done and records come out.

What is true is written here first and then applied to the index, under the lock of the document's row. Whoever works
on a document, or does what only one may do at a time, holds an advisory lock that ends with the connection, so a
killed process leaves nothing to clean up.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from psycopg import Connection

from pipelines.domain import DocumentRecord, DocumentState, Grant
from pipelines.errors import UnknownDocument
from pipelines.stores.locked_document import LockedDocument
from pipelines.stores.postgres import Database, Row, translated
from pipelines.stores.registry_rows import (
    ALONE,
    CLAIM,
    LOCK,
    LOCK_ONE,
    NOT_ALONE,
    PUT,
    QUEUED,
    TAKE_TURN,
    UNLOCK,
    GrantedBy,
    Known,
    Listing,
    grant_row,
    listing_row,
    read_grant,
    read_groups,
    read_known,
    read_record,
)

CANDIDATES = 256
"""How many waiting documents one claim looks through: more than workers could hold locks on."""
ASK_AGAIN_S = 0.2
"""How often one who waits to be alone asks again. Waiting inside PostgreSQL would hold up its vacuum."""
THE_INDEX = "the index"
"""What only one process at a time puts right, builds anew or switches (`Registry.alone`)."""

log = logging.getLogger(__name__)


class Registry:
    """The documents of one deployment. Thread-safe; calls block; each raises `StoreUnavailable`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # --- what sources and people say ---

    def put(self, listings: Sequence[Listing]) -> None:
        """Queue documents that are new or whose bytes may have changed; a document keeps what a person said of it."""
        with self._connection() as connection, connection.transaction():
            groups = read_groups(connection)
            with connection.cursor() as cursor:
                # In one order for everybody: two who lock the same rows in different orders wait for each other.
                rows = [listing_row(listing, groups) for listing in sorted(listings, key=lambda each: each.id)]
                cursor.executemany(PUT, rows)

    def known(self, source: str, *, only: str | None = None) -> dict[str, Known]:
        """What is known of the documents of a source, or of one by its id; those on their way out are not known."""
        query = "SELECT * FROM document WHERE source = %s AND state <> 'removing' AND (%s::uuid IS NULL OR id = %s)"
        with self._connection() as connection:
            return {row["origin"]: read_known(row) for row in connection.execute(query, [source, only, only])}

    def set_grant(self, document_id: str, grant: Grant, granted_by: GrantedBy) -> None:
        """Let other people read a document; the index is to be told (`access_due`). Raises `UnknownDocument`."""
        with self._connection() as connection, connection.transaction():
            values = {"id": document_id, "by": granted_by, **grant_row(grant, read_groups(connection))}
            changed = connection.execute(
                "UPDATE document SET everyone = %(everyone)s, groups = %(groups)s, users = %(users)s, "
                "access = %(access)s, access_due = true, granted_by = %(by)s "
                "WHERE id = %(id)s AND state <> 'removing'",
                values,
            )
            if changed.rowcount == 0:
                raise _unknown(document_id)

    def set_groups(self, groups: Mapping[str, str]) -> None:
        """Know these groups (name → id) and no others; the index is to be told what this opens and closes."""
        with self._connection() as connection, connection.transaction():
            # Whoever makes scopes of groups meanwhile (`read_groups`) waits, or is waited for.
            connection.execute("LOCK TABLE access_group IN EXCLUSIVE MODE")
            if read_groups(connection) == dict(groups):
                return
            connection.execute("DELETE FROM access_group")
            rows = connection.execute("SELECT * FROM document WHERE groups <> '{}' FOR UPDATE").fetchall()
            scopes = [(list(read_grant(row).scopes(groups)), row) for row in rows]
            changed = [(access, row["id"]) for access, row in scopes if access != row["access"]]
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO access_group VALUES (%s, %s)", list(groups.items()))
                cursor.executemany("UPDATE document SET access = %s, access_due = true WHERE id = %s", changed)

    def access_due(self, limit: int) -> list[str]:
        """The ids of documents whose readers have changed since the index was told; tell it under `locked`."""
        query = "SELECT id FROM document WHERE access_due ORDER BY id LIMIT %s"
        with self._connection() as connection:
            return [str(row["id"]) for row in connection.execute(query, [limit])]

    def begin_removing(self, document_ids: Sequence[str]) -> None:
        """Take documents out of sight; what is left of them is removed under `locked`, by whoever comes first."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE document SET state = 'removing', stage = '', attempts = 0, not_before = now() "
                "WHERE id = ANY(%s::uuid[]) AND state <> 'removing'",
                [list(document_ids)],
            )

    def retry(self, document_ids: Sequence[str] | None) -> int:
        """Queue these documents anew, whether or not their bytes have changed; None: all that have failed.

        Those that wait for another try are tried at once; those that are being worked on, or taken out, are left.
        """
        where = "state = 'failed'"
        if document_ids is not None:
            where = "state IN ('queued', 'ready', 'failed') AND id = ANY(%(ids)s::uuid[])"
        with self._connection() as connection:
            return connection.execute(
                # without a hash, the same bytes are read again
                f"UPDATE document SET content_hash = '', {QUEUED} WHERE {where}",  # noqa: S608  constants only
                {"ids": list(document_ids or ())},
            ).rowcount

    # --- one at a time ---

    @contextmanager
    def alone(self, what: str, *, wait_s: float | None = None) -> Iterator[bool]:
        """Be the only one in all processes who is at `what` until the block ends; None waits for as long as it takes.

        False where another one still is after `wait_s`. A process that dies, or whose machine does, is at nothing.
        """
        with self._connection() as connection:
            got = _is_alone(connection, what, wait_s)
            try:
                yield got
            finally:
                if got and not connection.closed:
                    connection.execute(NOT_ALONE, [what])

    @contextmanager
    def turn(self, document_id: str) -> Iterator[None]:
        """Let nobody else be `locked` on this document until the block ends, whether there is one or not."""
        with self._connection() as connection, connection.transaction():
            connection.execute(TAKE_TURN, [document_id])
            yield

    # --- work ---

    @contextmanager
    def claim(self) -> Iterator[DocumentRecord | None]:
        """The document that has waited longest and that nobody works on; it is held until the block ends."""
        with self._connection() as connection:
            while found := connection.execute(LOCK_ONE, {"candidates": CANDIDATES}).fetchone():
                try:
                    row = connection.execute(CLAIM, [found["id"]]).fetchone()
                    if row is not None:
                        yield read_record(row)
                        return
                finally:
                    if not connection.closed:
                        connection.execute(UNLOCK, [found["id"]])
            yield None

    @contextmanager
    def held(self, document_id: str) -> Iterator[bool]:
        """Keep every worker off a document until the block ends; False when one is at work on it."""
        with self._connection() as connection:
            row = connection.execute(f"{LOCK} AS got", [document_id]).fetchone()
            got = bool(row and row["got"])
            try:
                yield got
            finally:
                if got and not connection.closed:
                    connection.execute(UNLOCK, [document_id])

    def begin(self, document_id: str) -> None:
        """Take up a document that is held and waits, as a claim would."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE document SET state = 'working', attempts = attempts + 1 WHERE id = %s AND state = 'queued'",
                [document_id],
            )

    def note_stage(self, document_id: str, stage: str) -> None:
        """Say what is being done with a claimed document."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE document SET stage = %s WHERE id = %s AND state = 'working'", [stage, document_id]
            )

    @contextmanager
    def locked(self, document_id: str) -> Iterator[LockedDocument | None]:
        """The document as it stands now, which nobody changes until the block ends; None when it is gone.

        What the block writes through it is durable when the block ends without an error, and undone otherwise. Where
        it is gone it may come in meanwhile, but nobody else is `locked` on it: it is not published.
        """
        with self._connection() as connection, connection.transaction():
            connection.execute(TAKE_TURN, [document_id])
            row = connection.execute("SELECT * FROM document WHERE id = %s FOR UPDATE", [document_id]).fetchone()
            yield LockedDocument(connection, read_record(row)) if row else None

    def fail(self, document_id: str, code: str, problem: str) -> None:
        """A claimed document cannot be read: it waits for a change of its bytes, or for `retry`."""
        with self._connection() as connection:
            connection.execute(
                "UPDATE document SET state = 'failed', stale = false, stage = '', error_code = %s, problem = %s "
                "WHERE id = %s AND state IN ('working', 'ready')",
                [code, problem, document_id],
            )

    def postpone(self, document_id: str, code: str, problem: str, *, delay_s: float, counts: bool = True) -> None:
        """A claimed document could not be brought to its end just now: it is tried again after a while.

        The try is forgotten where it does not count. A document queued again meanwhile is tried at once.
        """
        with self._connection() as connection:
            connection.execute(
                "UPDATE document SET state = CASE state WHEN 'working' THEN 'queued' ELSE state END, stage = '', "
                "error_code = %s, problem = %s, not_before = now() + make_interval(secs => %s), "
                "attempts = attempts - %s WHERE id = %s AND state IN ('working', 'ready', 'removing')",
                [code, problem, delay_s, 0 if counts else 1, document_id],
            )

    # --- what the generations of the index hold ---

    def indexed(self, generation: str) -> dict[str, str]:
        """The revision (content hash) that a generation holds of each document."""
        with self._connection() as connection:
            rows = connection.execute("SELECT * FROM indexed WHERE generation = %s", [generation])
            return {str(row["document_id"]): row["content_hash"] for row in rows}

    def revisions(self) -> dict[str, tuple[str, tuple[str, ...]]]:
        """The revision that readers should find, "" for none, and the access scopes of every document, by id."""
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

    def requeue(self, seen: Mapping[str, str]) -> int:
        """Have documents read again that readers do not find in the revision `seen`, by id; return how many.

        One that is of another revision now was published meanwhile, and what waits already is left as it is.
        """
        with self._connection() as connection:
            return connection.execute(
                f"UPDATE document SET content_hash = '', {QUEUED} "  # noqa: S608  constants only
                "FROM unnest(%s::uuid[], %s::text[]) AS seen (id, revision) WHERE document.id = seen.id "
                "AND document.content_hash = seen.revision AND state IN ('ready', 'failed')",
                [list(seen), list(seen.values())],
            ).rowcount

    def unfinished(self) -> int:
        """How many documents are not yet in every generation as they should be, the failed ones apart."""
        query = "SELECT count(*) AS n FROM document WHERE stale OR state IN ('queued', 'working', 'removing')"
        with self._connection() as connection:
            row = connection.execute(query).fetchone()
            return row["n"] if row else 0

    def forget_indexed(self, generation: str) -> None:
        """A generation is gone as a whole."""
        with self._connection() as connection:
            connection.execute("DELETE FROM indexed WHERE generation = %s", [generation])

    def forget_lost(self, generation: str, seen: Mapping[str, str]) -> None:
        """A generation does not hold these documents in the revision that was `seen` noted, unless noted anew since."""
        with self._connection() as connection:
            connection.execute(
                "DELETE FROM indexed USING unnest(%s::uuid[], %s::text[]) AS seen (id, revision) "
                "WHERE generation = %s AND document_id = seen.id AND content_hash = seen.revision",
                [list(seen), list(seen.values()), generation],
            )

    def forget_other_generations(self, kept: Iterable[str]) -> None:
        """Only these generations are there: an id given anew, after the index was deleted, holds nothing."""
        with self._connection() as connection:
            connection.execute("DELETE FROM indexed WHERE generation <> ALL(%s)", [list(kept)])

    # --- what people ask ---

    def get(self, document_id: str) -> DocumentRecord:
        """One document; raises `UnknownDocument`."""
        with self._connection() as connection:
            row = connection.execute("SELECT * FROM document WHERE id = %s", [_uuid(document_id)]).fetchone()
        if row is None or row["state"] == "removing":
            raise _unknown(document_id)
        return read_record(row)

    def list(
        self, *, state: DocumentState | None = None, source: str | None = None, after: str | None = None, limit: int
    ) -> list[DocumentRecord]:
        """The documents by title, at most `limit` and from the one behind the id `after` on."""
        query = """
            SELECT * FROM document
            WHERE state <> 'removing' AND (%(state)s::text IS NULL OR state = %(state)s)
              AND (%(source)s::text IS NULL OR source = %(source)s)
              AND (%(after)s::uuid IS NULL
                   OR (lower(title), id) > (SELECT lower(title), id FROM document WHERE id = %(after)s))
            ORDER BY lower(title), id LIMIT %(limit)s
        """
        values = {"state": state, "source": source, "after": after and _uuid(after), "limit": limit}
        with self._connection() as connection:
            return [read_record(row) for row in connection.execute(query, values)]

    def find(self, prefix: str) -> Sequence[DocumentRecord]:
        """The documents whose origin begins with `prefix`."""
        # The first condition is the one that there is an index for.
        query = """
            SELECT * FROM document
            WHERE left(origin, 200) COLLATE "C" ^@ left(%(prefix)s, 200) AND origin ^@ %(prefix)s
              AND state <> 'removing'
            ORDER BY origin
        """
        with self._connection() as connection:
            return [read_record(row) for row in connection.execute(query, {"prefix": prefix})]

    def counts(self) -> dict[DocumentState, int]:
        """How many documents there are in each state."""
        with self._connection() as connection:
            rows = connection.execute("SELECT state, count(*) AS documents FROM document GROUP BY state")
            return {row["state"]: row["documents"] for row in rows}

    def answer(self) -> None:
        """Ask PostgreSQL for nothing; raises `StoreUnavailable` where it does not answer."""
        with self._connection() as connection:
            connection.execute("SELECT 1")

    def close(self) -> None:
        """Release the connections."""
        self._database.close()

    @contextmanager
    def _connection(self) -> Iterator[Connection[Row]]:
        with translated(), self._database.connection() as connection:
            yield connection


def _is_alone(connection: Connection[Row], what: str, wait_s: float | None) -> bool:
    began, said = time.monotonic(), False
    while True:
        row = connection.execute(f"{ALONE} AS got", [what]).fetchone()
        if row and row["got"]:
            return True
        if wait_s is not None and time.monotonic() - began >= wait_s:
            return False
        if not said and wait_s is None:
            log.info("Another process is at %s: this one waits until it is done", what)
            said = True
        time.sleep(ASK_AGAIN_S)


def _uuid(document_id: str) -> uuid.UUID:
    try:
        return uuid.UUID(document_id)
    except ValueError as error:
        raise _unknown(document_id) from error


def _unknown(document_id: str) -> UnknownDocument:
    return UnknownDocument(f"There is no document {document_id[:100]}; `ragline list` shows those there are.")
