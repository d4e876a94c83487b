"""`/documents`: put in, list and take out documents. For the parts of Ragline and the command line (internal key)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, Response, UploadFile

from pipelines.domain import EVERYONE, IndexedDocument
from pipelines.errors import InvalidRequest, RequestTooLarge, UnknownDocument
from pipelines.ingest.library import Library

_SCOPE_KINDS = ("user:", "group:")


def documents_api(library: Library, authorize: Callable[[Request], None], max_mb: int) -> APIRouter:
    """The routes over `library`; `authorize` raises for a caller without the internal key."""
    api = APIRouter(prefix="/documents", tags=["documents"])

    @api.post("", status_code=201)
    async def add(
        request: Request,
        file: Annotated[UploadFile, File()],
        origin: Annotated[str, Form(max_length=1024)] = "",
        access: Annotated[list[str] | None, Form()] = None,
    ) -> dict[str, Any]:
        authorize(request)
        scopes = _scopes(access or [EVERYONE])
        name = file.filename or "document"
        if file.size is not None and file.size > max_mb * 1024 * 1024:
            raise RequestTooLarge(f"{name} is larger than {max_mb} MB; split it or raise MAX_DOCUMENT_MB.")
        content = await file.read()
        added = await library.add(
            content, origin=origin or f"upload://{name}", media_type=file.content_type or "", access=scopes
        )
        return _render(added)

    @api.get("")
    async def list_all(request: Request) -> dict[str, Any]:
        authorize(request)
        return {"documents": [_render(entry) for entry in await library.list()]}

    @api.delete("/{document_id}", status_code=204)
    async def remove(request: Request, document_id: str) -> Response:
        authorize(request)
        if not await library.remove(document_id):
            raise UnknownDocument(f"There is no document {document_id[:100]}; `ragline list` shows those there are.")
        return Response(status_code=204)

    return api


def _scopes(access: list[str]) -> tuple[str, ...]:
    for scope in access:
        if scope != EVERYONE and not (scope.startswith(_SCOPE_KINDS) and scope.partition(":")[2]):
            raise InvalidRequest(f"'{scope[:100]}' is not an access scope; use everyone, user:<id> or group:<id>.")
    return tuple(sorted(set(access)))


def _render(entry: IndexedDocument) -> dict[str, Any]:
    document = entry.document
    return {
        "id": document.id,
        "title": document.title,
        "origin": document.origin,
        "media_type": document.media_type,
        "size": document.size,
        "access": list(document.access),
        "chunks": entry.chunks,
        "pages": entry.pages,
        "indexed_at": entry.indexed_at,
    }
