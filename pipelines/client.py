"""The command line's side of the documents API: bytes and names go over HTTP to where the index is open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from pipelines.errors import RaglineError, StoreUnavailable


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document as the API lists it."""

    id: str
    title: str
    origin: str
    access: tuple[str, ...]
    chunks: int
    pages: int | None


class Refused(RaglineError):
    """What pipelines answered instead; the message is its own."""

    code = "refused"


class DocumentsClient:
    """Calls `/documents`. Use it as a context manager."""

    def __init__(self, url: str, *, key: str) -> None:
        # A large PDF is parsed and embedded before the answer comes.
        timeout = httpx.Timeout(10, read=1800, write=300)
        self._http = httpx.Client(base_url=url, headers={"X-Ragline-Key": key}, timeout=timeout)

    def __enter__(self) -> DocumentsClient:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def add(self, name: str, content: bytes, *, origin: str, access: Sequence[str]) -> ListedDocument:
        """Put in one document; raises `Refused` with the reason when it cannot be read."""
        fields: dict[str, Any] = {"origin": origin, "access": list(access)}
        return _listed(self._call("POST", "/documents", files={"file": (name, content)}, data=fields))

    def list(self) -> list[ListedDocument]:
        """Every document, by title."""
        return [_listed(entry) for entry in self._call("GET", "/documents")["documents"]]

    def remove(self, document_id: str) -> None:
        """Take out one document; raises `Refused` when there is none of that id."""
        self._call("DELETE", f"/documents/{document_id}")

    def _call(self, method: str, path: str, **kwargs: Any) -> dict[str, Any]:  # noqa: ANN401  httpx's own
        with _translated():
            response = self._http.request(method, path, **kwargs)
        body: dict[str, Any] = response.json() if response.content else {}
        if not response.is_success:
            raise Refused(body.get("error", {}).get("message") or f"pipelines answered {response.status_code}.")
        return body


def _listed(entry: dict[str, Any]) -> ListedDocument:
    return ListedDocument(
        id=entry["id"],
        title=entry["title"],
        origin=entry["origin"],
        access=tuple(entry["access"]),
        chunks=entry["chunks"],
        pages=entry["pages"],
    )


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except httpx.ConnectError as error:
        raise StoreUnavailable("Ragline is not running here; start it with `make up`.") from error
    except httpx.HTTPError as error:
        raise StoreUnavailable(f"pipelines did not answer ({error}); look at `make logs PART=pipelines`.") from error
