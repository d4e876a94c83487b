"""Every way to read: a reader and what is asked go in, all that the reader gets comes out as one text.

A new way is one more row of `READ_PATHS`, which names the routes it covers.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx

from pipelines.domain import NO_FILTERS, Filters, Message, Passage, Question, User
from pipelines.stores.base import EQUAL, Place, SearchRequest, Weights
from tests.access.deployment import CLIENT_KEY, GATEWAY_KEY, INTERNAL_KEY, LIMIT, Deployment
from tests.access.plants import PARTS, PLANTS
from tests.unit.answer.test_identity import signed


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked. Where a way knows no filters or history, they are left out."""

    text: str
    history: tuple[str, ...] = ()
    filters: Filters = NO_FILTERS


@dataclass(frozen=True, slots=True)
class ReadPath:
    """`read` is the way; `answers` where it finds documents, so that those the reader may read must be there.

    `filtered` where it takes filters.
    """

    read: Callable[[Deployment, User, Ask], Awaitable[str]]
    routes: frozenset[str] = frozenset()
    answers: bool = True
    filtered: bool = False


def _request(at: Deployment, user: User, ask: Ask, weights: Weights, preferred: bool) -> SearchRequest:
    embedding = at.ingestion.generations.live.embedding
    return SearchRequest(
        ask.text,
        embedding.embed([ask.text], input_type="question")[0],
        user.scopes(),
        limit=LIMIT,
        candidates=200,
        preferred=[at.id_of(plant) for plant in PLANTS] if preferred else (),
        filters=ask.filters,
        weights=weights,
    )


def _search(weights: Weights, *, preferred: bool = False) -> Callable[[Deployment, User, Ask], Awaitable[str]]:
    async def search(at: Deployment, user: User, ask: Ask) -> str:
        index = at.ingestion.generations.live.index
        return _shown(index.search(_request(at, user, ask, weights, preferred)))

    return search


async def _neighbours(at: Deployment, user: User, ask: Ask) -> str:
    del ask
    places = [Place(at.id_of(plant), ordinal) for plant in PLANTS for ordinal in range(PARTS + 2)]
    return repr(at.ingestion.generations.live.index.read(places, user.scopes()))


async def _catalog(at: Deployment, user: User, ask: Ask) -> str:
    del ask
    return repr(at.ingestion.generations.live.index.catalog().readable(user.scopes()))


async def _retriever(at: Deployment, user: User, ask: Ask) -> str:
    found = await at.retriever.retrieve(_question(user, ask), limit=LIMIT)
    return f"{found!r}\n{_shown(found.passages)}\n{found.prompt.system}\n{found.prompt.text}"


async def _retrieve(at: Deployment, user: User, ask: Ask) -> str:
    body: dict[str, Any] = {
        "question": ask.text,
        "history": _turns(ask),
        "user": {"id": user.id, "groups": list(user.groups)},
        "filters": {"documents": list(ask.filters.documents), "groups": list(ask.filters.groups)},
        "limit": LIMIT,
        "ask": {},
    }
    return _whole(await at.http.post("/retrieve", json=body, headers={"x-ragline-key": INTERNAL_KEY}))


def _chat(*, streamed: bool) -> Callable[[Deployment, User, Ask], Awaitable[str]]:
    async def chat(at: Deployment, user: User, ask: Ask) -> str:
        messages = [*_turns(ask), {"role": "user", "content": ask.text}]
        body = {"model": "company-documents", "messages": messages, "stream": streamed, "filters": {"documents": []}}
        return _whole(await at.http.post("/v1/chat/completions", json=body, headers=as_reader(user)))

    return chat


async def _kept(at: Deployment, user: User, ask: Ask) -> str:
    """The second answer is a kept one wherever the first cites something; what others asked is kept as well."""
    messages = [*_turns(ask), {"role": "user", "content": ask.text}]
    body = {"model": "company-documents:kept", "messages": messages, "stream": True}
    first, again = [
        _whole(await at.http.post("/v1/chat/completions", json=body, headers=as_reader(user))) for _ in range(2)
    ]
    assert '"cached":true' in again or "[1]" not in first
    return f"{first}\n{again}"


async def _answer(at: Deployment, user: User, ask: Ask) -> str:
    body = {"question": ask.text, "history": _turns(ask), "k": LIMIT}
    return _whole(await at.http.post("/answer", json=body, headers=as_reader(user)))


async def _task(at: Deployment, user: User, ask: Ask) -> str:
    body = {"model": "company-documents", "messages": [{"role": "user", "content": ask.text}]}
    tasks = ("title_generation", "tags_generation", "query_generation", "unknown")
    given = [as_reader(user) | {"x-ragline-task": task} for task in tasks]
    return "\n".join([_whole(await at.http.post("/v1/chat/completions", json=body, headers=each)) for each in given])


INTERNAL_ROUTES = {
    "POST /documents",
    "GET /documents",
    "GET /documents/counts",
    "POST /documents/sync",
    "POST /documents/retry",
    "PUT /documents/groups",
    "GET /documents/{document_id}",
    "PUT /documents/{document_id}/access",
    "DELETE /documents/{document_id}",
    "GET /index",
    "POST /index/rebuild",
    "DELETE /index/rebuild",
    "POST /index/rollback",
    "POST /index/{generation}/stage",
    "POST /index/{generation}/publish",
    "DELETE /index/{generation}/staged/{document_id}",
    "PUT /index/{generation}/documents/{document_id}/access",
    "DELETE /index/{generation}/documents/{document_id}",
    "GET /index/{generation}/documents",
    "POST /retrieve",
    "POST /llm/v1/chat/completions",
    "GET /llm/v1/models",
    "GET /llm/v1/providers",
}
"""For Ragline's own parts, which show the internal key: no reader gets past the door, whatever else they hold."""

FUNCTION_ROUTES = {"GET /open-webui/files", "POST /open-webui/events"}
"""For Ragline's own function in Open WebUI, which signs under its own name."""


async def _at_the_door(at: Deployment, user: User, ask: Ask) -> str:
    got = []
    for route in sorted(INTERNAL_ROUTES | FUNCTION_ROUTES):
        method, path = route.split()
        for plant in PLANTS[2:4] if "{document_id}" in path else PLANTS[:1]:
            there = path.format(document_id=at.id_of(plant), generation=at.ingestion.generations.live.id)
            told = {"groups": [], "files": [], "deleted": []} if route in FUNCTION_ROUTES else {"question": ask.text}
            response = await at.http.request(method, there, json=told, headers=as_reader(user))
            assert response.status_code == 401, f"{route} let a reader in: {response.status_code}"
            got.append(_whole(response))
    return "\n".join(got)


async def _upload(at: Deployment, user: User, ask: Ask) -> str:
    """Putting in a file tells nothing of others: here one that is refused, under the names of closed ones."""
    sent = [as_reader(user) | {"x-filename": plant.name, "x-ragline-file": ""} for plant in PLANTS[2:6]]
    got = [await at.http.put("/open-webui/process", content=ask.text, headers=each) for each in sent]
    assert {response.status_code for response in got} <= {400, 401}
    return "\n".join(map(_whole, got))


READ_PATHS = {
    "index: both": ReadPath(_search(EQUAL), filtered=True),
    "index: dense": ReadPath(_search(Weights(bm25=0)), filtered=True),
    "index: BM25": ReadPath(_search(Weights(dense=0)), filtered=True),
    "index: preferred": ReadPath(_search(EQUAL, preferred=True), filtered=True),
    "index: preferred alone": ReadPath(_search(Weights(dense=0, bm25=0), preferred=True), filtered=True),
    "index: neighbours": ReadPath(_neighbours),
    "index: catalog": ReadPath(_catalog),
    "retriever": ReadPath(_retriever, filtered=True),
    "POST /retrieve": ReadPath(_retrieve, frozenset({"POST /retrieve"}), filtered=True),
    "chat, streamed": ReadPath(_chat(streamed=True), frozenset({"POST /v1/chat/completions"})),
    "chat, whole": ReadPath(_chat(streamed=False), frozenset({"POST /v1/chat/completions"})),
    "chat, kept": ReadPath(_kept, frozenset({"POST /v1/chat/completions"})),
    "POST /answer": ReadPath(_answer, frozenset({"POST /answer"})),
    "tasks of Open WebUI": ReadPath(_task, frozenset({"POST /v1/chat/completions"}), answers=False),
    "the internal routes": ReadPath(_at_the_door, frozenset(INTERNAL_ROUTES | FUNCTION_ROUTES), answers=False),
    "uploads": ReadPath(_upload, frozenset({"PUT /open-webui/process"}), answers=False),
}

READS_NO_DOCUMENT = {"GET /v1/models", "GET /health", "GET /openapi.json", "HEAD /openapi.json"}
"""Routes that tell nothing of any document but how many chunks there are."""


def as_reader(user: User) -> dict[str, str]:
    """The headers under which this reader's requests come; another client has a key and no name."""
    if not user.id:
        return {"authorization": f"Bearer {CLIENT_KEY}", "x-ragline-groups": "everyone"}
    return {
        "authorization": f"Bearer {GATEWAY_KEY}",
        "x-openwebui-user-jwt": signed(sub=user.id, name=user.name),
        "x-ragline-groups": ",".join(quote(group, safe="") for group in user.groups),
    }


def _question(user: User, ask: Ask) -> Question:
    history = tuple(Message("user" if turn["role"] == "user" else "assistant", turn["content"]) for turn in _turns(ask))
    return Question(ask.text, user, history, ask.filters)


def _turns(ask: Ask) -> list[dict[str, str]]:
    pairs = (({"role": "user", "content": text}, {"role": "assistant", "content": "Yes."}) for text in ask.history)
    return [turn for pair in pairs for turn in pair]


def _shown(passages: Any) -> str:
    shown: list[Passage] = list(passages)
    return "\n".join(repr(passage) for passage in shown)


def _whole(response: httpx.Response) -> str:
    """Everything that came over the wire, with what escapes hide."""
    body = response.text
    return f"{response.status_code} {dict(response.headers)}\n{body}\n{_unescaped(body)}"


def _unescaped(body: str) -> str:
    try:
        return json.dumps(json.loads(body), ensure_ascii=False)
    except ValueError:
        return ""
