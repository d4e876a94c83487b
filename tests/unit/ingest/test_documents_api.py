"""`/documents` and `/index`, asked as the command line, n8n and workers ask: with the internal key."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from pipelines.domain import EVERYONE, group_scope, user_scope
from pipelines.ingest.fetch import document_id
from tests.unit.ingest import make_documents
from tests.unit.ingest.ingestion import NOBODY, Ingestion, running
from tests.unit.ingest.web import MAX_MB, app_over, asking

UNKNOWN = str(uuid.uuid4())

NO_ADDRESSES = (
    "no address",
    "://x",
    "upload://",
    "upload:///",
    "upload://a\x00b",
    "upload://a\nb",
    "upload://\x7f",
    "x" * 3000,
)
HOSTILE_NAMES = (
    "../../etc/passwd",
    "..",
    "/",
    "a\\..\\b.md",
    "C:evil.md",
    "страница.md",
    "x" * 400 + ".md",
    ".hidden",
    "a%00b",
    "{}.md",
    "a\u202eb.md",
)
NOT_UNDERSTOOD = (
    ("PUT", f"/documents/{UNKNOWN}/access", '{"everyone": true, "more": 1}'),
    ("PUT", f"/documents/{UNKNOWN}/access", '{"groups": ["a\\u0000b"]}'),
    ("PUT", f"/documents/{UNKNOWN}/access", '{"groups": ["\\ud800"]}'),
    ("PUT", f"/documents/{UNKNOWN}/access", json.dumps({"users": ["x"] * 201})),
    ("PUT", "/documents/groups", '{"groups": {"a\\u0000b": "x"}}'),
    ("PUT", "/documents/groups", '{"groups": []}'),
    ("POST", "/documents/retry", '{"ids": 3}'),
    ("POST", "/documents/sync", "{"),
    ("POST", "/index/g1/stage", '{"document": 1}'),
    ("POST", "/documents", "{}"),
)


@pytest.fixture
def app(ingestion: Ingestion) -> FastAPI:
    return app_over(ingestion)


@pytest.fixture
async def pipelines(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with asking(app) as client:
        yield client


@pytest.fixture
async def working(ingestion: Ingestion) -> AsyncIterator[None]:
    with running(ingestion.workers):
        yield


async def put(pipelines: httpx.AsyncClient, name: str, data: bytes, *, wait: int = 0, **fields: Any) -> httpx.Response:
    return await pipelines.post("/documents", params={"wait": wait}, files={"file": (name, data)}, data=fields)


def refusal(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_a_document_is_queued_or_waited_for(
    pipelines: httpx.AsyncClient, ingestion: Ingestion, working: None
) -> None:
    answer = await put(pipelines, "a.md", b"Hotels cost 180.", wait=20)
    body = answer.json()
    assert (answer.status_code, body["state"], body["origin"]) == (201, "ready", "upload://a.md")
    assert (body["chunks"], body["name"], body["grant"]["everyone"]) == (1, "a.md", True)
    assert body["message"] == "a.md is ready: 1 passage."
    assert ingestion.found("hotels") == ["Hotels cost 180."]


async def test_without_waiting_it_is_accepted(pipelines: httpx.AsyncClient, ingestion: Ingestion) -> None:
    answer = await put(pipelines, "a.md", b"Hotels cost 180.")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    assert (await put(pipelines, "a.md", b"Hotels cost 180.", wait=1)).status_code == 202
    assert len(ingestion.registry.list(limit=9)) == 1


async def test_a_document_that_cannot_be_read_is_refused_with_its_reason(
    pipelines: httpx.AsyncClient, working: None
) -> None:
    answer = await put(pipelines, "a.pdf", make_documents.pdf(["x"], password="p"), wait=20)
    assert refusal(answer) == (422, "encrypted_document")
    assert "a.pdf" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("fields", "access"),
    [
        ({}, [EVERYONE]),
        ({"nobody": "true"}, []),
        ({"everyone": "true"}, [EVERYONE]),
        ({"user": ["anna", "", "ben"]}, [user_scope("anna"), user_scope("ben")]),
        ({"group": ["Finance", "Unknown"]}, [group_scope("g1")]),
    ],
)
async def test_who_may_read_is_said_with_the_document_or_left_to_the_rules(
    pipelines: httpx.AsyncClient, fields: dict[str, Any], access: list[str]
) -> None:
    await pipelines.put("/documents/groups", json={"groups": {"Finance": "g1"}})
    answer = await put(pipelines, "a.md", b"Hotels", **fields)
    assert answer.json()["access"] == access


async def test_nobody_and_somebody_at_once_is_not_understood(
    pipelines: httpx.AsyncClient, ingestion: Ingestion
) -> None:
    answer = await put(pipelines, "a.md", b"Hotels", nobody="true", user="anna")
    assert refusal(answer) == (400, "invalid_request")
    assert list(ingestion.uploads.list()) == []


async def test_a_document_that_is_too_large_is_not_kept(pipelines: httpx.AsyncClient, ingestion: Ingestion) -> None:
    answer = await put(pipelines, "a.md", b"x" * (MAX_MB * 2**20 + 1))
    assert refusal(answer) == (413, "request_too_large")
    assert "MAX_DOCUMENT_MB" in answer.json()["error"]["message"]
    assert list(ingestion.uploads.list()) == []


async def test_an_origin_that_is_no_address_is_refused(pipelines: httpx.AsyncClient) -> None:
    for origin in NO_ADDRESSES:
        answer = await put(pipelines, "a.md", b"Hotels", origin=origin)
        assert refusal(answer) == (400, "invalid_request"), origin


async def test_whatever_a_document_is_called_it_is_kept_in_its_place(
    pipelines: httpx.AsyncClient, ingestion: Ingestion
) -> None:
    for name in HOSTILE_NAMES:
        answer = await put(pipelines, name, b"Hotels cost 180.")
        assert answer.status_code == 202, name
        assert not re.search(r"[\x00-\x1f\x7f]", answer.text)
    ingestion.work_off()
    kept = [path for path in ingestion.folder.rglob("*") if path.is_file() and b"Hotels" in path.read_bytes()]
    uploads = [path for path in kept if path.is_relative_to(ingestion.folder / "uploads")]
    assert len(uploads) == len(HOSTILE_NAMES)
    assert all("qdrant" in path.parts for path in kept if path not in uploads)
    assert ingestion.registry.unfinished() == 0


async def test_documents_of_a_source_are_not_put_in_beside_it(
    pipelines: httpx.AsyncClient, ingestion: Ingestion
) -> None:
    answer = await put(pipelines, "a.md", b"Hotels", origin=f"{ingestion.source.url}/a.md")
    assert refusal(answer) == (400, "invalid_request")


async def test_documents_are_listed_a_page_at_a_time_and_by_state_and_source(
    pipelines: httpx.AsyncClient, ingestion: Ingestion
) -> None:
    ingestion.bring_in(a="Hotels.", b="Trains.", c=" ")
    await put(pipelines, "d.md", b"Flights")
    names: list[str] = []
    after: dict[str, str] = {}
    while True:
        page = (await pipelines.get("/documents", params={"limit": 3, **after})).json()
        names += [each["name"] for each in page["documents"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert names == ["a.md", "b.md", "c.md", "d.md"]
    assert len((await pipelines.get("/documents", params={"state": "ready"})).json()["documents"]) == 2
    (failed,) = (await pipelines.get("/documents", params={"state": "failed"})).json()["documents"]
    assert (failed["error_code"], failed["message"]) == ("empty_document", "c.md holds no text.")
    listed = await pipelines.get("/documents", params={"source": ingestion.uploads.url})
    assert [each["name"] for each in listed.json()["documents"]] == ["d.md"]
    assert (await pipelines.get("/documents/counts")).json() == {"ready": 2, "failed": 1, "queued": 1}


async def test_a_list_that_cannot_be_is_refused(pipelines: httpx.AsyncClient) -> None:
    for query in ("state=lost", "limit=0", "limit=501", "source=%00"):
        assert refusal(await pipelines.get(f"/documents?{query}")) == (400, "invalid_request"), query
    assert refusal(await pipelines.get("/documents?after=nothing")) == (404, "document_not_found")


async def test_a_document_is_shown_shared_tried_again_and_taken_out(
    pipelines: httpx.AsyncClient, ingestion: Ingestion
) -> None:
    record = await ingestion.upload("a.md", b"Hotels cost 180.")
    shown = (await pipelines.get(f"/documents/{record.id}")).json()
    assert (shown["id"], shown["title"], shown["state"], shown["indexed_with"]) == (
        record.id,
        "a",
        "ready",
        "words chunks-1",
    )
    shared = await pipelines.put(f"/documents/{record.id}/access", json={"users": ["anna"]})
    assert shared.json()["access"] == [user_scope("anna")]
    assert ingestion.found("hotels", user_scope("anna")) == ["Hotels cost 180."]
    assert ingestion.found("hotels") == []
    assert (await pipelines.post("/documents/retry", json={"ids": [record.id]})).json() == {"queued": 1}
    assert (await pipelines.post("/documents/retry", json={})).json() == {"queued": 0}
    assert (await pipelines.delete(f"/documents/{record.id}")).status_code == 204
    assert refusal(await pipelines.get(f"/documents/{record.id}")) == (404, "document_not_found")


async def test_a_document_that_is_not_there_is_said_so(pipelines: httpx.AsyncClient) -> None:
    for unknown in (UNKNOWN, "nothing", "%00", "..%2f..", "'; DROP TABLE document"):
        answers = [
            await pipelines.get(f"/documents/{unknown}"),
            await pipelines.delete(f"/documents/{unknown}"),
            await pipelines.put(f"/documents/{unknown}/access", json={"everyone": True}),
        ]
        assert {answer.status_code for answer in answers} == {404}, unknown
        retried = await pipelines.post("/documents/retry", json={"ids": [unknown]})
        assert refusal(retried) == (404, "document_not_found"), unknown


async def test_a_document_of_a_source_cannot_be_taken_out_here(
    pipelines: httpx.AsyncClient, ingestion: Ingestion
) -> None:
    ingestion.bring_in(a="Hotels.")
    answer = await pipelines.delete(f"/documents/{ingestion.id('a.md')}")
    assert refusal(answer) == (409, "document_has_source")
    assert ingestion.found("hotels") == ["Hotels."]


async def test_sources_are_compared_when_it_is_asked_for(pipelines: httpx.AsyncClient, ingestion: Ingestion) -> None:
    ingestion.bring_in(a="Hotels.", b="Trains.")
    ingestion.rules = NOBODY
    ingestion.remove("b.md")
    (report,) = (await pipelines.post("/documents/sync")).json()["sources"]
    assert report == {
        "source": ingestion.source.url,
        "added": 0,
        "changed": 0,
        "removed": 1,
        "reopened": 1,
        "unchanged": 0,
        "problem": "",
    }
    again = await pipelines.post("/documents/sync", json={"sources": [ingestion.source.url], "may_empty": True})
    assert again.json()["sources"][0]["unchanged"] == 1
    other = await pipelines.post("/documents/sync", json={"sources": ["s3://other/"]})
    assert refusal(other) == (400, "invalid_request")


async def test_a_body_that_cannot_be_understood_is_refused(pipelines: httpx.AsyncClient) -> None:
    for method, path, body in NOT_UNDERSTOOD:
        answer = await pipelines.request(method, path, content=body, headers={"content-type": "application/json"})
        assert refusal(answer) == (400, "invalid_request"), body


async def test_groups_open_what_names_them(pipelines: httpx.AsyncClient, ingestion: Ingestion) -> None:
    await ingestion.upload("a.md", b"Hotels cost 180.")
    path = f"/documents/{document_id('upload://a.md')}/access"
    assert (await pipelines.put(path, json={"groups": ["Finance"]})).json()["access"] == []
    assert (await pipelines.put("/documents/groups", json={"groups": {"Finance": "g1"}})).status_code == 204
    assert ingestion.found("hotels", group_scope("g1")) == ["Hotels cost 180."]


async def test_the_index_says_how_it_stands_and_does_what_is_asked(
    pipelines: httpx.AsyncClient, ingestion: Ingestion
) -> None:
    ingestion.bring_in(a="Hotels.")
    state = (await pipelines.get("/index")).json()
    assert (state["live"], state["recipe"], state["building"], state["outdated"]) == ("g1", "words chunks-1", "", False)
    assert refusal(await pipelines.post("/index/rollback")) == (400, "invalid_request")
    begun = await pipelines.post("/index/rebuild")
    assert (begun.status_code, begun.json()["building"], begun.json()["waiting"]) == (202, "g2", 1)
    assert (await pipelines.delete("/index/rebuild")).json()["building"] == ""
    assert refusal(await pipelines.get("/index/g9/documents")) == (404, "not_found")


@pytest.mark.parametrize("headers", [{}, {"x-ragline-key": "wrong"}, {"authorization": "Bearer wrong"}])
async def test_no_route_answers_without_the_key(app: FastAPI, headers: dict[str, str]) -> None:
    paths: dict[str, dict[str, object]] = app.openapi()["paths"]
    routes = [(method, path) for path, methods in paths.items() for method in methods]
    assert len(routes) == 19
    async with asking(app, headers=headers) as client:
        for method, path in routes:
            answer = await client.request(method.upper(), path.format(generation="g1", document_id=UNKNOWN))
            assert refusal(answer) == (401, "unauthorized"), f"{method} {path}"
