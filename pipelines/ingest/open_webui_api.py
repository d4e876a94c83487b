"""What Open WebUI sends: files that people upload there, and who may read them.

`PUT /open-webui/process` is its external document loader; a file that arrives there becomes a document of whoever
uploaded it. `POST /open-webui/events` and `GET /open-webui/files` are for our own function inside it
(`keep_documents_in_step`), which tells what its tables say of files and groups.

Both come under the gateway's key and a signed identity, as questions do. The function signs under a name that no
reader has, so neither a reader's identity nor the key alone decides who may read what.
"""

from __future__ import annotations

import re
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Annotated, BinaryIO, Protocol, cast
from urllib.parse import unquote

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from pipelines.answer.identity import Identity
from pipelines.domain import DocumentRecord, Grant, User
from pipelines.errors import (
    DocumentRejected,
    InvalidRequest,
    RaglineError,
    RequestTooLarge,
    Unauthorized,
    UnknownDocument,
)
from pipelines.ingest.fetch import document_id
from pipelines.ingest.formats.clean import clean_line
from pipelines.ingest.outcome import outcome

ORIGIN = "open-webui://files/"
FILE_HEADER = "x-ragline-file"
NAME_HEADER = "x-filename"
FUNCTION = "keep_documents_in_step"
"""Signs as this user; ids of people are UUIDs."""

READY_WITHIN_S = 25 * 60
"""So long Open WebUI shows a file as being processed; after that it is told that the work goes on."""

MAX_NAME = 180
"""Characters of a file name that are kept."""

_SPOOL_MEMORY = 2**20

_FILE_ID = re.compile(r"^[0-9A-Za-z-]{1,64}$")

FileId = Annotated[str, StringConstraints(pattern=_FILE_ID.pattern)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=200)]


class UploadLibrary(Protocol):
    """What is needed of the library."""

    async def add(
        self, data: BinaryIO, *, origin: str, grant: Grant | None = None, owner: str = "", media_type: str = ""
    ) -> DocumentRecord: ...
    async def wait(self, document_id: str, timeout_s: float) -> DocumentRecord: ...
    async def get(self, document_id: str) -> DocumentRecord: ...
    async def find(self, prefix: str) -> Sequence[DocumentRecord]: ...
    async def set_grant(self, document_id: str, grant: Grant) -> DocumentRecord: ...
    async def set_groups(self, groups: dict[str, str]) -> None: ...
    async def remove(self, document_id: str) -> None: ...


class Group(BaseModel):
    """A group of Open WebUI."""

    model_config = ConfigDict(extra="forbid")

    id: Id
    name: Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000)]


class SharedFile(BaseModel):
    """Who may read an uploaded file: its uploader, and the readers of the knowledge bases it is in."""

    model_config = ConfigDict(extra="forbid")

    id: FileId
    everyone: bool
    groups: list[Id]
    users: list[Id]

    def grant(self, names: dict[str, str]) -> Grant:
        """As people write it; `names` are the groups' names by id, and a group without one is gone."""
        groups = sorted(names[group] for group in self.groups if group in names)
        return Grant(everyone=self.everyone, groups=tuple(groups), users=tuple(sorted(self.users)))


class Told(BaseModel):
    """What Open WebUI's tables say: of all its groups, and of some files."""

    model_config = ConfigDict(extra="forbid")

    groups: Annotated[list[Group], Field(max_length=100_000)]
    files: Annotated[list[SharedFile], Field(max_length=1000)]
    deleted: Annotated[list[FileId], Field(max_length=1000)]


@dataclass(frozen=True, slots=True)
class OpenWebUIUploads:
    """Everything the routes need."""

    library: UploadLibrary
    identity: Identity
    max_mb: int
    ready_within_s: float = READY_WITHIN_S

    async def process(self, request: Request) -> Response:
        """Take in one file and answer when it is ready, with a sentence for the uploader; or why it is not.

        Open WebUI shows the uploader the body of an error as it is, so that is plain text.
        """
        try:
            record = await self._take_in(request)
        except RaglineError as error:
            return PlainTextResponse(error.message, status_code=error.status)
        if record.state == "failed":
            return PlainTextResponse(outcome(record), status_code=DocumentRejected.status)
        return JSONResponse({"page_content": outcome(record), "metadata": {"document_id": record.id}})

    async def files(self, request: Request) -> Response:
        """The ids of the uploaded files there are documents of."""
        self._require_function(request)
        found = await self.library.find(ORIGIN)
        return JSONResponse({"files": sorted({_file_id(record.origin) for record in found})})

    async def events(self, request: Request, told: Told) -> Response:
        """Make groups, readers and documents what Open WebUI says they are; in force when this is answered."""
        self._require_function(request)
        names = group_names(told.groups)
        await self.library.set_groups({name: group_id for group_id, name in names.items()})
        for file in told.files:
            await self._share(file, file.grant(names))
        for file_id in told.deleted:
            await self._forget(file_id)
        return JSONResponse({})

    async def _take_in(self, request: Request) -> DocumentRecord:
        user = self._user(request)
        file_id = request.headers.get(FILE_HEADER, "")
        if not _FILE_ID.fullmatch(file_id):
            raise InvalidRequest("The file has no id: set EXTERNAL_DOCUMENT_LOADER_HEADERS in Open WebUI.")
        origin = f"{ORIGIN}{file_id}/{_name(request.headers.get(NAME_HEADER, ''), file_id)}"
        grant, owner = await self._readers(origin, user)
        media_type = request.headers.get("content-type", "")
        with tempfile.SpooledTemporaryFile(_SPOOL_MEMORY) as spool:
            data = cast(BinaryIO, spool)
            await self._receive(request, data)
            record = await self.library.add(data, origin=origin, grant=grant, owner=owner, media_type=media_type)
        return await self.library.wait(record.id, self.ready_within_s)

    async def _readers(self, origin: str, user: User) -> tuple[Grant, str]:
        # Whoever has a file processed again need not be its uploader: its owner and readers stay.
        with suppress(UnknownDocument):
            known = await self.library.get(document_id(origin))
            return known.grant, known.owner
        return Grant(users=(user.id,)), user.id

    async def _receive(self, request: Request, spool: BinaryIO) -> None:
        size = 0
        async for piece in request.stream():
            size += len(piece)
            if size > self.max_mb * 2**20:
                raise RequestTooLarge(f"The file is larger than {self.max_mb} MB; split it or raise MAX_DOCUMENT_MB.")
            spool.write(piece)
        spool.seek(0)

    async def _share(self, file: SharedFile, grant: Grant) -> None:
        for record in await self.library.find(f"{ORIGIN}{file.id}/"):
            if record.grant != grant:
                with suppress(UnknownDocument):
                    await self.library.set_grant(record.id, grant)

    async def _forget(self, file_id: str) -> None:
        for record in await self.library.find(f"{ORIGIN}{file_id}/"):
            with suppress(UnknownDocument):
                await self.library.remove(record.id)

    def _user(self, request: Request) -> User:
        user = self.identity.user(request.headers)
        if not user.id or user.id == FUNCTION:
            raise Unauthorized("Files come from Open WebUI, for somebody who is signed in there.")
        return user

    def _require_function(self, request: Request) -> None:
        if self.identity.user(request.headers).id != FUNCTION:
            raise Unauthorized("This route is for Ragline's own function in Open WebUI.")


def open_webui_api(uploads: OpenWebUIUploads) -> APIRouter:
    """The routes for Open WebUI."""
    api = APIRouter(prefix="/open-webui", tags=["documents"])
    api.add_api_route("/process", uploads.process, methods=["PUT"])
    api.add_api_route("/files", uploads.files, methods=["GET"])
    api.add_api_route("/events", uploads.events, methods=["POST"])
    return api


def group_names(groups: list[Group]) -> dict[str, str]:
    """Each group's name by its id. A name that several groups have carries the id as well."""
    times = Counter(group.name for group in groups)
    return {group.id: group.name if times[group.name] == 1 else f"{group.name} ({group.id})" for group in groups}


def _file_id(origin: str) -> str:
    return origin.removeprefix(ORIGIN).partition("/")[0]


def _name(header: str, file_id: str) -> str:
    """A file's name as its uploader knows it, safe to stand at the end of an address."""
    # Open WebUI sends the name under which it keeps the file: `<id>_<name>`, or `<id>.<ending>` where that is too long.
    kept = clean_line(unquote(header).removeprefix(f"{file_id}_"))
    # Cleaned first: that makes a plain slash of a full-width one.
    safe = kept.replace("/", "_").replace("\\", "_").strip(". ")
    ending = PurePosixPath(safe).suffix[:16]
    return f"{safe.removesuffix(ending)[: MAX_NAME - len(ending)]}{ending}" or "document"
