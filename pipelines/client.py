"""The command line's side of the documents API: bytes and names go in over HTTP, documents and reports come out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

import httpx

from pipelines.domain import DocumentState, Grant
from pipelines.errors import RaglineError, StoreUnavailable

SYNC_TIMEOUT_S = 3600
"""A look at a source of a million objects takes minutes."""


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document as the API lists it; `values` is all that the API says of it."""

    id: str
    title: str
    name: str
    origin: str
    source: str
    state: DocumentState
    stage: str
    problem: str
    access: tuple[str, ...]
    grant: Grant
    content_hash: str
    chunks: int | None
    pages: int | None
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SyncedSource:
    """What one look at a source came to."""

    source: str
    added: int
    changed: int
    removed: int
    reopened: int
    unchanged: int
    problem: str


class Refused(RaglineError):
    """What pipelines answered instead; the message is its own."""

    code = "refused"


class DocumentsClient:
    """Calls `/documents`. Use it as a context manager; it may be used by several threads."""

    def __init__(self, url: str, *, key: str) -> None:
        timeout = httpx.Timeout(10, read=300, write=300)
        self._http = httpx.Client(base_url=url, headers={"X-Ragline-Key": key}, timeout=timeout)

    def __enter__(self) -> DocumentsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def add(self, name: str, content: BinaryIO, *, origin: str, grant: Grant | None) -> ListedDocument:
        """Put in one document, which is queued when this returns; without a grant the deployment's rules decide."""
        fields: dict[str, Any] = {"origin": origin, **_grant_fields(grant)}
        return _listed(self._call("POST", "/documents", files={"file": (name, content)}, data=fields))

    def list(self, *, state: str | None = None, source: str | None = None) -> Iterator[ListedDocument]:
        """Every document, by title."""
        after: str | None = None
        while True:
            given = {"state": state, "source": source, "after": after}
            page = self._call("GET", "/documents", params={name: value for name, value in given.items() if value})
            yield from map(_listed, page["documents"])
            after = page["next"]
            if after is None:
                return

    def get(self, document_id: str) -> ListedDocument:
        """One document; raises `Refused` when there is none of that id."""
        return _listed(self._call("GET", f"/documents/{document_id}"))

    def counts(self) -> dict[str, int]:
        """How many documents there are in each state."""
        return dict(self._call("GET", "/documents/counts"))

    def retry(self, document_ids: Sequence[str] | None) -> int:
        """Have documents read again; None: all that have failed."""
        return int(self._call("POST", "/documents/retry", json={"ids": document_ids})["queued"])

    def remove(self, document_id: str) -> None:
        """Take out one document; raises `Refused` when there is none of that id."""
        self._call("DELETE", f"/documents/{document_id}")

    def set_access(self, document_id: str, grant: Grant) -> ListedDocument:
        """Let these people read a document, and no others."""
        body = {"everyone": grant.everyone, "groups": grant.groups, "users": grant.users}
        return _listed(self._call("PUT", f"/documents/{document_id}/access", json=body))

    def set_groups(self, groups: Mapping[str, str]) -> None:
        """Say which groups Open WebUI has, name → id."""
        self._call("PUT", "/documents/groups", json={"groups": dict(groups)})

    def sync(
        self, sources: Sequence[str], *, may_empty: bool = False, timeout_s: float = SYNC_TIMEOUT_S
    ) -> Sequence[SyncedSource]:
        """Compare the sources with what is known; what has to be done is queued.

        After `timeout_s` it raises `StoreUnavailable`, and pipelines compares on.
        """
        body = {"sources": list(sources), "may_empty": may_empty}
        timeout = httpx.Timeout(10, read=timeout_s)
        answer = self._call("POST", "/documents/sync", json=body, timeout=timeout)
        return [SyncedSource(**report) for report in answer["sources"]]

    def index(self, method: str = "GET", path: str = "") -> dict[str, Any]:
        """How the index stands, after `POST /rebuild`, `DELETE /rebuild` or `POST /rollback` if one is named."""
        return self._call(method, f"/index{path}")

    def _call(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401  httpx's own
        with _translated(self._http.base_url):
            response = self._http.request(method, path, **kwargs)
        if not response.is_success:
            raise Refused(_message(response))
        body: dict[str, Any] = response.json() if response.content else {}
        return body


def _message(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"pipelines answered {response.status_code}; look at the log of pipelines."


def _grant_fields(grant: Grant | None) -> dict[str, Any]:
    if grant is None:
        return {}
    if grant == Grant():
        return {"nobody": "true"}
    return {"everyone": str(grant.everyone).lower(), "group": list(grant.groups), "user": list(grant.users)}


def _listed(entry: dict[str, Any]) -> ListedDocument:
    grant = entry["grant"]
    apart = {"values", "grant", "access"}
    return ListedDocument(
        grant=Grant(grant["everyone"], tuple(grant["groups"]), tuple(grant["users"])),
        access=tuple(entry["access"]),
        values=entry,
        **{name: entry[name] for name in ListedDocument.__dataclass_fields__ if name not in apart},
    )


@contextmanager
def _translated(url: httpx.URL) -> Iterator[None]:
    address = str(url).rstrip("/")
    try:
        yield
    except httpx.ConnectError as error:
        raise StoreUnavailable(
            f"pipelines does not answer at {address}: start the stack, or set PIPELINES_URL."
        ) from error
    except httpx.HTTPError as error:
        raise StoreUnavailable(f"pipelines did not answer ({error}); look at the log of pipelines.") from error
