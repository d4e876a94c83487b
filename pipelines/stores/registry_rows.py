"""The registry's rows and the statements that write them: what `Registry` works with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from psycopg import Connection

from pipelines.domain import DocumentRecord, DocumentState, Grant
from pipelines.stores.postgres import Row

GrantedBy = Literal["rules", "source", "person"]


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
    error_code: str
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


# A problem without an error code is one of the revision that readers find: some page of it could not be read.
_PROBLEM = "problem = CASE WHEN document.error_code = '' THEN document.problem ELSE '' END, error_code = ''"

QUEUED = "state = 'queued', stale = false, stage = '', attempts = 0, queued_at = now(), not_before = now(), " + _PROBLEM

# What a person said of a document outlives what rules and sources say of it.
_KEEP = "document.granted_by = 'person' AND excluded.granted_by <> 'person' AND document.state <> 'removing'"
_GRANT = ", ".join(
    f"{column} = CASE WHEN {_KEEP} THEN document.{column} ELSE excluded.{column} END"
    for column in ("everyone", "groups", "users", "access", "granted_by")
)

_REOPENED = f"access_due = document.access_due OR NOT ({_KEEP}) AND document.access <> excluded.access"

PUT = f"""
    INSERT INTO document (id, origin, source, version, state, title, media_type, owner,
                          everyone, groups, users, granted_by, access)
    VALUES (%(id)s, %(origin)s, %(source)s, %(version)s, 'queued', %(title)s, %(media_type)s, %(owner)s,
            %(everyone)s, %(groups)s, %(users)s, %(granted_by)s, %(access)s)
    ON CONFLICT (id) DO UPDATE SET
        source = excluded.source, version = excluded.version, {_GRANT}, {_REOPENED},
        {QUEUED},
        owner = coalesce(nullif(excluded.owner, ''), document.owner),
        media_type = coalesce(nullif(excluded.media_type, ''), document.media_type)
"""  # noqa: S608  constants only

_WAITS = "(stale OR state IN ('queued', 'working', 'removing'))"

# Evaluated row by row until the first lock is got: the candidates are materialised and in order.
LOCK_ONE = f"""
    WITH candidate AS MATERIALIZED (
        SELECT id FROM document WHERE {_WAITS} AND not_before <= now() ORDER BY not_before LIMIT %(candidates)s
    )
    SELECT id::text FROM candidate WHERE pg_try_advisory_lock(hashtextextended(id::text, 0)) LIMIT 1
"""  # noqa: S608  constants only

LOCK = "SELECT pg_try_advisory_lock(hashtextextended(%s, 0))"
UNLOCK = "SELECT pg_advisory_unlock(hashtextextended(%s, 0))"

# Locks of other kinds: on a document that is being changed, until the transaction ends, and on what one is to do alone.
TAKE_TURN = "SELECT pg_advisory_xact_lock(hashtextextended(%s::uuid::text, 1))"
ALONE = "SELECT pg_try_advisory_lock(hashtextextended(%s, 2))"
NOT_ALONE = "SELECT pg_advisory_unlock(hashtextextended(%s, 2))"

# Between the look and the lock another worker may have come to the document's end.
CLAIM = f"""
    UPDATE document SET
        state = CASE state WHEN 'queued' THEN 'working' ELSE state END,
        stage = '', attempts = attempts + 1
    WHERE id = %s AND {_WAITS} AND not_before <= now()
    RETURNING *
"""  # noqa: S608  constants only

_READY = "CASE WHEN state = 'working' OR version = %(version)s THEN 'ready' ELSE state END, stale = false"

FINISH = f"""
    UPDATE document SET
        state = {_READY}, version = %(version)s, title = %(title)s, media_type = %(media_type)s, size = %(size)s,
        content_hash = %(content_hash)s, pages = %(pages)s, unread_pages = %(unread_pages)s, problem = %(problem)s,
        chunks = %(chunks)s, indexed_with = %(indexed_with)s, indexed_at = now(), error_code = '', stage = '',
        attempts = 0
    WHERE id = %(id)s
"""  # noqa: S608  constants only

CONFIRM = f"""
    UPDATE document SET state = {_READY}, version = %(version)s, {_PROBLEM}, stage = '', attempts = 0
    WHERE id = %(id)s
"""  # noqa: S608  constants only


def read_groups(connection: Connection[Row]) -> dict[str, str]:
    """The groups there are, name → id. They stay so until the transaction ends: scopes made of them cannot be late."""
    connection.execute("LOCK TABLE access_group IN SHARE MODE")
    return {row["name"]: row["id"] for row in connection.execute("SELECT name, id FROM access_group")}


def listing_row(listing: Listing, groups: Mapping[str, str]) -> dict[str, Any]:
    plain = ("id", "origin", "source", "version", "title", "media_type", "owner", "granted_by")
    return {**{name: getattr(listing, name) for name in plain}, **grant_row(listing.grant, groups)}


def finished_row(finished: Finished) -> dict[str, Any]:
    plain = [name for name in Finished.__dataclass_fields__ if name != "generations"]
    return {**{name: getattr(finished, name) for name in plain}, "unread_pages": list(finished.unread_pages)}


def grant_row(grant: Grant, groups: Mapping[str, str]) -> dict[str, Any]:
    return {
        "everyone": grant.everyone,
        "groups": list(grant.groups),
        "users": list(grant.users),
        "access": list(grant.scopes(groups)),
    }


def read_grant(row: Row) -> Grant:
    return Grant(everyone=row["everyone"], groups=tuple(row["groups"]), users=tuple(row["users"]))


def read_known(row: Row) -> Known:
    plain = ("version", "state", "error_code", "granted_by")
    return Known(id=str(row["id"]), grant=read_grant(row), **{name: row[name] for name in plain})


def read_record(row: Row) -> DocumentRecord:
    apart = {"id", "grant", "access", "unread_pages"}
    plain = {name: row[name] for name in DocumentRecord.__dataclass_fields__ if name not in apart}
    return DocumentRecord(
        id=str(row["id"]),
        grant=read_grant(row),
        access=tuple(row["access"]),
        unread_pages=tuple(row["unread_pages"]),
        **plain,
    )
