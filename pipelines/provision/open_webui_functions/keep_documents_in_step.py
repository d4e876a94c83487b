"""
title: Keep documents in step
description: Tells Ragline who may read the files uploaded here, which of them are gone, and which groups there are.
version: 1.0.0
required_open_webui_version: 0.12.4
"""

# Runs inside Open WebUI and reads its tables, which are not a public interface: the end-to-end tests share, delete and
# regroup on the pinned version. An event only says where to look; what is told is what the tables say by then, so
# that an event lost, late or out of order does no harm.

import asyncio
import logging
import time
from types import SimpleNamespace

import aiohttp
from open_webui.internal.db import get_async_db_context
from open_webui.models.access_grants import AccessGrant
from open_webui.models.config import Config
from open_webui.models.files import File
from open_webui.models.groups import Group
from open_webui.models.knowledge import Knowledge, KnowledgeFile
from open_webui.utils.headers import include_user_info_headers
from pydantic import BaseModel, Field
from sqlalchemy import select

log = logging.getLogger(__name__)

ITSELF = SimpleNamespace(id="keep_documents_in_step", name="Keep documents in step", email="", role="function")
"""Under this name what is told is signed, like a reader's question is under theirs."""

OF_A_FILE = {"file.deleted", "knowledge.file.added", "knowledge.file.updated", "knowledge.file.removed"}
OF_A_KNOWLEDGE_BASE = {"knowledge.updated", "knowledge.access_updated"}
OF_ANY_FILE = {
    *("file.deleted_all", "knowledge.deleted", "knowledge.reset", "knowledge.directory.deleted"),
    # documents are shared with groups by name: a new, renamed or deleted group may change what they are called
    *("group.created", "group.updated", "group.deleted"),
}
PROCESSED = "retrieval.content.processed"

FILES_AT_ONCE = 500
SETTLES_S = 60


class Event:
    class Valves(BaseModel):
        compare_all_s: float = Field(
            default=600, description="After that long, the next event of any kind has all files compared"
        )
        gather_s: float = Field(default=0.2, description="Events that come together are told together")
        retry_after_s: list[float] = Field(
            default=[1, 2, 5, 10, 30, 60, 120], description="Waits between attempts; then the next event tries again"
        )

    def __init__(self):
        self.valves = self.Valves()
        # what is still to be told; at first everything, because nobody knows what happened before
        self._all, self._files = True, set()
        self._compared = time.monotonic()
        self._telling = None

    async def event(self, event, __event_name__=None):
        name, subject = __event_name__ or "", event.get("subject") or {}
        if name in OF_A_FILE:
            self._files.add(subject["id"])
        elif name == PROCESSED:
            self._files |= await _processed(subject)
        elif name in OF_A_KNOWLEDGE_BASE:
            self._files |= await _files_of(subject["id"])
        elif name in OF_ANY_FILE:
            self._all = True
        if time.monotonic() - self._compared > self.valves.compare_all_s:
            self._all = True
        if self._owes() and (self._telling is None or self._telling.done()):
            self._telling = asyncio.create_task(self._tell())

    def _owes(self):
        return self._all or bool(self._files)

    async def _tell(self):
        await asyncio.sleep(self.valves.gather_s)
        for wait_s in (*self.valves.retry_after_s, None):
            try:
                while self._owes():
                    await self._tell_once()
                return
            except (aiohttp.ClientError, TimeoutError) as error:
                if wait_s is None:
                    log.warning("Ragline was not told of changes (%s); the next event tries again", error)
                    return
            await asyncio.sleep(wait_s)

    async def _tell_once(self):
        everything, files, told = self._all, self._files, False
        self._all, self._files = False, set()
        try:
            await _tell_of(files, everything)
            told = True
        finally:
            if not told:
                self._all, self._files = self._all or everything, self._files | files
        if everything:
            self._compared = time.monotonic()


async def _tell_of(files, everything):
    url, headers = await _pipelines()
    limit = aiohttp.ClientTimeout(total=60)
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True, timeout=limit) as http:
        if everything:
            async with http.get(f"{url}/files") as answer:
                files = files | set((await answer.json())["files"])
        ids = sorted(files)
        for start in range(0, max(len(ids), 1), FILES_AT_ONCE):
            state = await _state(ids[start : start + FILES_AT_ONCE])
            async with http.post(f"{url}/events", json=state):
                pass


async def _pipelines():
    """Where uploaded files are sent, and what shows that it is us who call."""
    url = await Config.get("rag.external_document_loader_url")
    key = await Config.get("rag.external_document_loader_api_key")
    return url, include_user_info_headers({"Authorization": f"Bearer {key}"}, ITSELF)


async def _state(file_ids):
    """What the tables say now of these files and of all groups; a file without a row has been deleted."""
    async with get_async_db_context() as db:
        groups = (await db.execute(select(Group.id, Group.name))).all()
        owners = dict((await db.execute(select(File.id, File.user_id).where(File.id.in_(file_ids)))).tuples().all())
        shared = (
            await db.execute(
                select(KnowledgeFile.file_id, Knowledge.id, Knowledge.user_id)
                .join(Knowledge, Knowledge.id == KnowledgeFile.knowledge_id)
                .where(KnowledgeFile.file_id.in_(file_ids))
            )
        ).all()
        grants = (
            await db.execute(
                select(AccessGrant.resource_id, AccessGrant.principal_type, AccessGrant.principal_id).where(
                    AccessGrant.resource_type == "knowledge",
                    AccessGrant.permission == "read",
                    AccessGrant.resource_id.in_({knowledge_id for _, knowledge_id, _ in shared}),
                )
            )
        ).all()
    readers = {file_id: {("user", owner)} for file_id, owner in owners.items()}
    for file_id, knowledge_id, keeper in shared:
        if file_id in readers:
            readers[file_id] |= {("user", keeper), *((kind, who) for of, kind, who in grants if of == knowledge_id)}
    return {
        "groups": [{"id": id_, "name": name} for id_, name in groups],
        "files": [_file(file_id, who) for file_id, who in readers.items()],
        "deleted": [file_id for file_id in file_ids if file_id not in owners],
    }


def _file(file_id, readers):
    return {
        "id": file_id,
        # "anyone" is a knowledge base shared with people who have no account; "*" one shared with all who have one
        "everyone": any(kind == "anyone" or (kind, who) == ("user", "*") for kind, who in readers),
        "groups": sorted(who for kind, who in readers if kind == "group"),
        "users": sorted(who for kind, who in readers if kind == "user" and who != "*"),
    }


async def _files_of(knowledge_id):
    async with get_async_db_context() as db:
        query = select(KnowledgeFile.file_id).where(KnowledgeFile.knowledge_id == knowledge_id)
        return set((await db.execute(query)).scalars())


async def _processed(subject):
    """The files, once they stand in the knowledge base they were uploaded to, which happens after this event."""
    if subject["type"] != "file":
        await asyncio.sleep(2)
        return await _files_of(subject["id"])
    for _ in range(SETTLES_S):
        async with get_async_db_context() as db:
            data = (await db.execute(select(File.data).where(File.id == subject["id"]))).scalar_one_or_none()
        if (data or {}).get("status") not in ("pending", "processing"):
            break
        await asyncio.sleep(1)
    return {subject["id"]}
