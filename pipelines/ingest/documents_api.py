"""`/documents`: put in, list, open to others, and take out documents. For Ragline's own parts (internal key)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, File, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipelines.domain import DocumentRecord, DocumentState, Grant
from pipelines.errors import InvalidRequest, RequestTooLarge, document_rejected
from pipelines.ingest.library import Library
from pipelines.ingest.outcome import outcome
from pipelines.stores.origin import escape

MAX_WAIT_S = 1800
PAGE = 500

Name = Annotated[str, StringConstraints(max_length=1000, pattern=r"^[^\x00-\x1f\x7f]*$")]
Names = Annotated[list[Name] | None, Form(max_length=200)]

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\x00-\x1f\x7f]*[^\x00-\x1f\x7f/]")


class GrantBody(BaseModel):
    """Who may read a document. Nothing said: nobody."""

    model_config = ConfigDict(extra="forbid")

    everyone: bool = False
    groups: list[Name] = Field(default_factory=list, max_length=200)
    users: list[Name] = Field(default_factory=list, max_length=200)

    @property
    def grant(self) -> Grant:
        return Grant(everyone=self.everyone, groups=tuple(self.groups), users=tuple(self.users))


class RetryBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    ids: list[str] | None = Field(default=None, description="None: all that have failed", max_length=10_000)


class SyncBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    sources: list[str] = Field(default_factory=list, description="None named: all")
    may_empty: bool = Field(default=False, description="A source that lists nothing was emptied on purpose")


class GroupsBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    groups: dict[Name, Name] = Field(description="Open WebUI's groups, name → id, all of them")


def documents_api(library: Library, authorize: Callable[[Request], None], max_mb: int) -> APIRouter:
    """The routes over `library`; `authorize` raises for a caller without the internal key."""
    api = APIRouter(prefix="/documents", tags=["documents"], dependencies=[Depends(authorize)])
    _add_collection_routes(api, library, max_mb)
    _add_document_routes(api, library)
    return api


def _add_collection_routes(api: APIRouter, library: Library, max_mb: int) -> None:
    @api.post("", status_code=202)
    async def add(
        response: Response,
        file: Annotated[UploadFile, File()],
        origin: Annotated[str, Form(max_length=2048)] = "",
        owner: Annotated[Name, Form(max_length=200)] = "",
        everyone: Annotated[bool, Form()] = False,
        group: Names = None,
        user: Names = None,
        nobody: Annotated[bool, Form()] = False,
        wait: Annotated[float, Query(ge=0, le=MAX_WAIT_S, description="Seconds to wait until it is ready")] = 0,
    ) -> dict[str, Any]:
        name = file.filename or "document"
        if file.size is not None and file.size > max_mb * 2**20:
            raise RequestTooLarge(f"{name} is larger than {max_mb} MB; split it or raise MAX_DOCUMENT_MB.")
        record = await library.add(
            file.file,
            origin=_origin(origin, name),
            grant=_grant(everyone, group, user, nobody),
            owner=owner,
            media_type=file.content_type or "",
        )
        if wait:
            record = await library.wait(record.id, wait)
            if record.state == "failed":
                raise document_rejected(record.error_code, outcome(record))
        response.status_code = 201 if record.state == "ready" else 202
        return render(record)

    @api.get("")
    async def list_some(
        state: DocumentState | None = None,
        source: str | None = None,
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
    ) -> dict[str, Any]:
        records = await library.list(state=state, source=source, after=after, limit=limit)
        following = records[-1].id if len(records) == limit else None
        return {"documents": [render(record) for record in records], "next": following}

    @api.get("/counts")
    async def counts() -> dict[DocumentState, int]:
        return await library.counts()

    @api.post("/sync")
    async def sync(body: SyncBody | None = None) -> dict[str, Any]:
        wanted = body or SyncBody()
        reports = await library.sync(wanted.sources, may_empty=wanted.may_empty)
        return {"sources": [asdict(report) for report in reports]}

    @api.post("/retry")
    async def retry(body: RetryBody) -> dict[str, int]:
        return {"queued": await library.retry(body.ids)}

    @api.put("/groups", status_code=204)
    async def set_groups(body: GroupsBody) -> None:
        await library.set_groups(body.groups)


def _add_document_routes(api: APIRouter, library: Library) -> None:
    @api.get("/{document_id}")
    async def show(document_id: str) -> dict[str, Any]:
        return render(await library.get(document_id))

    @api.put("/{document_id}/access")
    async def set_access(document_id: str, body: GrantBody) -> dict[str, Any]:
        return render(await library.set_grant(document_id, body.grant))

    @api.delete("/{document_id}", status_code=204)
    async def remove(document_id: str) -> None:
        await library.remove(document_id)


def render(record: DocumentRecord) -> dict[str, Any]:
    """A record as JSON has it; `message` says in words how it stands."""
    return {**asdict(record), "name": record.name, "message": outcome(record)}


def _origin(given: str, name: str) -> str:
    if not given:
        return f"upload://{escape(name)}"
    if not _ADDRESS.fullmatch(given):
        raise InvalidRequest("`origin` is the address a document came from, such as upload://reports/2026.pdf.")
    return given


def _grant(everyone: bool, groups: list[str] | None, users: list[str] | None, nobody: bool) -> Grant | None:
    """Who was named; None when nothing was said, and the rules decide."""
    said = Grant(everyone=everyone, groups=tuple(filter(None, groups or ())), users=tuple(filter(None, users or ())))
    if nobody and said != Grant():
        raise InvalidRequest("A document is for nobody, or for those who are named: not both.")
    return said if nobody or said != Grant() else None
