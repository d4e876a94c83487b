"""Files from Open WebUI become documents of their uploader, readable by whom Open WebUI says, and by its word only."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO
from urllib.parse import quote

import httpx
import jwt
import pytest
from fastapi import FastAPI

from pipelines.answer.identity import Identity
from pipelines.domain import DocumentRecord, Grant
from pipelines.error_responses import add_error_handlers
from pipelines.errors import StoreUnavailable, UnknownDocument
from pipelines.ingest.fetch import document_id
from pipelines.ingest.open_webui_api import FUNCTION, Group, OpenWebUIUploads, group_names, open_webui_api

SECRET = "s" * 32
KEY, CLIENT_KEY = "gateway-key-0001", "client-key-00001"
FILE = "2d6a00d8-83f0-4645-83a7-535881e7fc17"
OTHER = "87309967-36c7-40b1-8182-02612199e3d8"


@dataclass
class Shelf:
    """A library in memory: what is put in is as ready as `state` says."""

    state: Any = "ready"
    problem: str = ""
    failing: bool = False
    records: dict[str, DocumentRecord] = field(default_factory=dict)
    contents: dict[str, bytes] = field(default_factory=dict)
    groups: dict[str, str] = field(default_factory=dict)
    waited_s: float = 0
    writes: int = 0

    async def add(
        self, data: BinaryIO, *, origin: str, grant: Grant | None = None, owner: str = "", media_type: str = ""
    ) -> DocumentRecord:
        if self.failing:
            raise StoreUnavailable("The documents cannot be kept now; try again later.")
        id_ = document_id(origin)
        self.contents[id_] = data.read()
        self.records[id_] = DocumentRecord(
            id=id_,
            origin=origin,
            source="uploads",
            version="1",
            state="queued",
            title="",
            grant=grant or Grant(),
            access=(grant or Grant()).scopes(self.groups),
            owner=owner,
            media_type=media_type,
            pages=2,
            chunks=3,
        )
        return self.records[id_]

    async def wait(self, document_id: str, timeout_s: float) -> DocumentRecord:
        self.waited_s = timeout_s
        self.records[document_id] = replace(self.records[document_id], state=self.state, problem=self.problem)
        return self.records[document_id]

    async def get(self, document_id: str) -> DocumentRecord:
        if document_id not in self.records:
            raise UnknownDocument("There is none.")
        return self.records[document_id]

    async def find(self, prefix: str) -> list[DocumentRecord]:
        return [record for record in self.records.values() if record.origin.startswith(prefix)]

    async def set_grant(self, document_id: str, grant: Grant) -> DocumentRecord:
        self.writes += 1
        self.records[document_id] = replace(await self.get(document_id), grant=grant)
        return self.records[document_id]

    async def set_groups(self, groups: dict[str, str]) -> None:
        self.groups = dict(groups)

    async def remove(self, document_id: str) -> None:
        await self.get(document_id)
        del self.records[document_id]

    def grant_of(self, file_id: str) -> Grant:
        return next(record.grant for record in self.records.values() if file_id in record.origin)


def signed(user_id: str, **headers: str) -> dict[str, str]:
    now = int(time.time())
    token = jwt.encode({"iss": "open-webui", "sub": user_id, "iat": now, "exp": now + 300}, SECRET, algorithm="HS256")
    return {"authorization": f"Bearer {KEY}", "x-openwebui-user-jwt": token, **headers}


def upload(user_id: str = "ada", *, file_id: str = FILE, name: str = "report.pdf") -> dict[str, str]:
    names = {"x-ragline-file": file_id, "x-filename": quote(f"{file_id}_{name}")}
    return signed(user_id, **names) | {"content-type": "application/pdf"}


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
async def pipelines(shelf: Shelf) -> AsyncIterator[httpx.AsyncClient]:
    identity = Identity(gateway_key=KEY, identity_secret=SECRET, client_key=CLIENT_KEY)
    app = FastAPI()
    app.include_router(open_webui_api(OpenWebUIUploads(shelf, identity, max_mb=1)))
    add_error_handlers(app)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://pipelines") as client:
        yield client


async def tell(pipelines: httpx.AsyncClient, **told: Any) -> httpx.Response:
    body = {"groups": [], "files": [], "deleted": [], **told}
    return await pipelines.post("/open-webui/events", json=body, headers=signed(FUNCTION))


def shared(file_id: str, **readers: Any) -> dict[str, Any]:
    return {"id": file_id, "everyone": False, "groups": [], "users": ["ada"], **readers}


async def test_a_file_becomes_a_document_of_its_uploader_and_says_when_it_is_ready(
    pipelines: httpx.AsyncClient, shelf: Shelf
) -> None:
    answer = await pipelines.put("/open-webui/process", content=b"bytes", headers=upload())

    assert answer.json()["page_content"] == "report.pdf is ready: 2 pages, 3 passages."
    (record,) = shelf.records.values()
    assert (record.origin, record.owner) == (f"open-webui://files/{FILE}/report.pdf", "ada")
    assert (record.grant, record.media_type) == (Grant(users=("ada",)), "application/pdf")
    assert shelf.contents[record.id] == b"bytes"
    assert shelf.waited_s == 25 * 60


async def test_the_reason_of_a_rejected_document_is_the_whole_answer(
    pipelines: httpx.AsyncClient, shelf: Shelf
) -> None:
    shelf.state, shelf.problem = "failed", "report.pdf asks for a password."
    answer = await pipelines.put("/open-webui/process", content=b"bytes", headers=upload())
    assert (answer.status_code, answer.text) == (422, "report.pdf asks for a password.")


async def test_a_document_that_takes_too_long_is_not_an_error(pipelines: httpx.AsyncClient, shelf: Shelf) -> None:
    shelf.state = "working"
    answer = await pipelines.put("/open-webui/process", content=b"bytes", headers=upload())
    assert answer.status_code == 200
    assert "still being read" in answer.json()["page_content"]


async def test_other_errors_are_sentences_too(pipelines: httpx.AsyncClient, shelf: Shelf) -> None:
    large = await pipelines.put("/open-webui/process", content=b"x" * (2**20 + 1), headers=upload())
    assert (large.status_code, large.text[:33]) == (413, "The file is larger than 1 MB; spl")
    assert shelf.records == {}
    shelf.failing = True
    failed = await pipelines.put("/open-webui/process", content=b"x", headers=upload())
    assert (failed.status_code, failed.text) == (503, "The documents cannot be kept now; try again later.")


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("../../etc/passwd", "_.._etc_passwd"),
        ("a\\b／c.txt", "a_b_c.txt"),
        ("日本語 100% #1?.txt", "日本語 100% #1?.txt"),
        ("in\u202evoice\r\n.pdf", "invoice .pdf"),
        ("...", "document"),
        ("x" * 300 + ".pdf", "x" * 176 + ".pdf"),
    ],
)
async def test_a_name_cannot_lead_elsewhere(pipelines: httpx.AsyncClient, shelf: Shelf, name: str, kept: str) -> None:
    await pipelines.put("/open-webui/process", content=b"x", headers=upload(name=name))
    assert [record.origin for record in shelf.records.values()] == [f"open-webui://files/{FILE}/{kept}"]


@pytest.mark.parametrize("file_id", ["", "..", "a/b", "x" * 65])
async def test_a_file_needs_an_id_that_stays_in_its_place(
    pipelines: httpx.AsyncClient, shelf: Shelf, file_id: str
) -> None:
    answer = await pipelines.put("/open-webui/process", content=b"x", headers=upload(file_id=file_id))
    assert (answer.status_code, shelf.records) == (400, {})


async def test_whoever_has_a_file_processed_again_does_not_become_its_reader(
    pipelines: httpx.AsyncClient, shelf: Shelf
) -> None:
    await pipelines.put("/open-webui/process", content=b"one", headers=upload("ada"))
    await pipelines.put("/open-webui/process", content=b"two", headers=upload("mallory"))
    (record,) = shelf.records.values()
    assert (record.owner, record.grant) == ("ada", Grant(users=("ada",)))


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": f"Bearer {CLIENT_KEY}"},
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"Bearer {KEY}", "x-openwebui-user-id": "ada"},
        signed("ada") | {"authorization": f"Bearer {CLIENT_KEY}"},
        signed(FUNCTION),
    ],
    ids=["nobody", "client", "key alone", "plain header", "client with signature", "function"],
)
async def test_files_are_taken_from_nobody_else(
    pipelines: httpx.AsyncClient, shelf: Shelf, headers: dict[str, str]
) -> None:
    sent = {"x-ragline-file": FILE, "x-filename": "a.txt", **headers}
    answer = await pipelines.put("/open-webui/process", content=b"x", headers=sent)
    assert (answer.status_code, shelf.records) == (401, {})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": f"Bearer {KEY}"},
        {"authorization": f"Bearer {CLIENT_KEY}"},
        signed("ada"),
        signed(FUNCTION) | {"authorization": f"Bearer {CLIENT_KEY}"},
    ],
    ids=["nobody", "key alone", "client", "reader", "client with signature"],
)
async def test_only_our_own_function_says_who_may_read(
    pipelines: httpx.AsyncClient, shelf: Shelf, headers: dict[str, str]
) -> None:
    told = {"groups": [{"id": "g1", "name": "All"}], "files": [], "deleted": [FILE]}
    for answer in (
        await pipelines.post("/open-webui/events", json=told, headers=headers),
        await pipelines.get("/open-webui/files", headers=headers),
    ):
        assert answer.status_code == 401
    assert shelf.groups == {}


async def test_a_file_is_shared_as_its_knowledge_bases_are(pipelines: httpx.AsyncClient, shelf: Shelf) -> None:
    await pipelines.put("/open-webui/process", content=b"x", headers=upload())
    groups = [{"id": "g1", "name": " People team "}, {"id": "g2", "name": "Sales"}]
    readers = shared(FILE, groups=["g1", "gone"], users=["bob", "ada"])

    assert (await tell(pipelines, groups=groups, files=[readers])).status_code == 200
    assert shelf.groups == {"People team": "g1", "Sales": "g2"}
    assert shelf.grant_of(FILE) == Grant(groups=("People team",), users=("ada", "bob"))

    await tell(pipelines, groups=groups, files=[shared(FILE, everyone=True)])
    assert shelf.grant_of(FILE) == Grant(everyone=True, users=("ada",))
    await tell(pipelines, groups=groups, files=[shared(FILE)])
    assert shelf.grant_of(FILE) == Grant(users=("ada",))


async def test_what_is_known_already_is_not_written_again(pipelines: httpx.AsyncClient, shelf: Shelf) -> None:
    await pipelines.put("/open-webui/process", content=b"x", headers=upload())
    await tell(pipelines, files=[shared(FILE), shared(OTHER)])
    assert shelf.writes == 0


async def test_a_deleted_file_is_no_document_any_more(pipelines: httpx.AsyncClient, shelf: Shelf) -> None:
    await pipelines.put("/open-webui/process", content=b"x", headers=upload())
    await pipelines.put("/open-webui/process", content=b"x", headers=upload(file_id=OTHER))
    listed = await pipelines.get("/open-webui/files", headers=signed(FUNCTION))
    assert listed.json() == {"files": [FILE, OTHER]}

    assert (await tell(pipelines, deleted=[FILE, "never-was"])).status_code == 200
    listed = await pipelines.get("/open-webui/files", headers=signed(FUNCTION))
    assert listed.json() == {"files": [OTHER]}


@pytest.mark.parametrize(
    "told",
    [
        {"deleted": ["../x"]},
        {"files": [{"id": FILE}]},
        {"files": [shared(FILE, readers="everyone")]},
        {"action": "remove everything"},
        {"deleted": [FILE] * 1001},
    ],
)
async def test_nothing_but_the_agreed_form_is_taken(pipelines: httpx.AsyncClient, told: dict[str, Any]) -> None:
    assert (await tell(pipelines, **told)).status_code == 400


def test_groups_of_the_same_name_are_told_apart() -> None:
    groups = [Group(id="g1", name="Sales"), Group(id="g2", name="Sales "), Group(id="g3", name="Legal")]
    assert group_names(groups) == {"g1": "Sales (g1)", "g2": "Sales (g2)", "g3": "Legal"}
