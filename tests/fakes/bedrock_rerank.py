"""Amazon Bedrock's Rerank on the wire: `POST /rerank`, signed as AWS wants it, answered as AWS does.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent-runtime_Rerank.html
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.fakes.aws_signature import Keys, check_signature
from tests.fakes.aws_wire import Refusal, application, json_response, running
from tests.fakes.bedrock_refusals import UNKNOWN_MODEL

MODELS = ("amazon.rerank-v1:0", "cohere.rerank-v3-5:0")
_ARN = re.compile(r"arn:aws:bedrock:[a-z0-9-]+::foundation-model/(?P<model>.+)")


@dataclass(slots=True)
class RerankServer:
    """A Bedrock endpoint that finds a text as relevant as the share of the question's words it has.

    Every request is refused with `refusal` if it is set. `page` results are answered at a time, best first.
    `results` replaces what is answered.
    """

    url: str = ""
    keys: Keys = field(default_factory=Keys)
    refusal: Refusal | None = None
    page: int = 1000
    delay_s: float = 0.0
    results: list[dict[str, Any]] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)

    def app(self) -> web.Application:
        app = application()
        app.router.add_post("/rerank", self._rerank)
        return app

    async def _rerank(self, request: web.Request) -> web.Response:
        raw = await request.read()
        body = orjson.loads(raw)
        self.requests.append(body)
        refusal = check_signature(request, raw, self.keys) or self.refusal or _check(body)
        if refusal:
            return refusal.response()
        await asyncio.sleep(self.delay_s)
        return json_response(self._answer(body))

    def _answer(self, body: dict[str, Any]) -> dict[str, Any]:
        if self.results is not None:
            return {"results": self.results}
        question = _words(body["queries"][0]["textQuery"]["text"])
        scored = [
            {"index": index, "relevanceScore": len(question & _words(text)) / max(len(question), 1)}
            for index, text in enumerate(_texts(body))
        ]
        scored.sort(key=lambda result: -result["relevanceScore"])
        wanted = scored[: _configuration(body).get("numberOfResults", len(scored))]
        start = int(body.get("nextToken", "0"))
        end = start + self.page
        more = {"nextToken": str(end)} if end < len(wanted) else {}
        return {"results": wanted[start:end], **more}


@asynccontextmanager
async def running_rerank() -> AsyncIterator[RerankServer]:
    """Run a Bedrock endpoint in this event loop, on a free port."""
    server = RerankServer()
    async with running(server):
        yield server


def _check(body: dict[str, Any]) -> Refusal | None:
    arn = _ARN.fullmatch(_configuration(body)["modelConfiguration"]["modelArn"])
    if arn is None or arn["model"] not in MODELS:
        return UNKNOWN_MODEL
    texts = [body["queries"][0]["textQuery"]["text"], *_texts(body)]
    if not 2 <= len(texts) <= 1001 or not all(0 < len(text) <= 32_000 and text.strip() for text in texts):
        return Refusal(400, "ValidationException", "1 to 1000 sources of 1 to 32000 characters are possible.")
    return None


def _configuration(body: dict[str, Any]) -> dict[str, Any]:
    configuration: dict[str, Any] = body["rerankingConfiguration"]["bedrockRerankingConfiguration"]
    return configuration


def _texts(body: dict[str, Any]) -> list[str]:
    return [source["inlineDocumentSource"]["textDocument"]["text"] for source in body["sources"]]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text.lower()))
