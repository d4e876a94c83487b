"""The gateway over HTTP, with n8n's protocol behind it and the real model server behind the router."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web
from fastapi import FastAPI

from pipelines.answer.gateway import Gateway, gateway_api
from pipelines.answer.generate.model_calls import InProcessModelCalls, ModelCall
from pipelines.answer.generate.router import ModelRouter, Patience, ServedProvider
from pipelines.answer.generate.spending import NO_SPENDING, Spending
from pipelines.answer.identity import Identity
from pipelines.answer.offer import ModelOffer
from pipelines.answer.read_request import Limits
from pipelines.answer.run import AnswerPath
from pipelines.answer.sources import to_source
from pipelines.answer.workflow import WorkflowClient
from pipelines.cost import PriceList
from pipelines.domain import Citation, Usage
from pipelines.error_responses import add_error_handlers
from pipelines.providers.ollama import OllamaProvider
from tests.fakes.n8n import CITATIONS, Handler, N8n, answer, chunk, stream
from tests.fakes.served import served
from tests.models import running_model_server
from tests.unit.answer.answers import Money
from tests.unit.answer.test_identity import SECRET, headers, signed

LIMITS = Limits(request_bytes=200_000, question_chars=1_000, history_turns=2)
HEADERS = headers(signed())


class Bench:
    """A gateway on a free port, with what stands around it."""

    def __init__(self, url: str, n8n: N8n, calls: InProcessModelCalls) -> None:
        self.url = url
        self.n8n = n8n
        self.calls = calls
        self.http = httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=10)

    async def chat(self, text: str = "How much leave?", **fields: Any) -> httpx.Response:
        body = {"model": "company-documents", "messages": [{"role": "user", "content": text}], **fields}
        extra = body.pop("headers", {})
        return await self.http.post("/v1/chat/completions", json=body, headers=extra)


Serve = Callable[..., Any]


@pytest.fixture
def serve(tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def gateway(
        webhook: Handler,
        deadline_s: float = 30,
        spending: Spending = NO_SPENDING,
        models: Sequence[ServedProvider] = (),
    ) -> AsyncIterator[Bench]:
        key_file = tmp_path / "key"
        key_file.write_text("n8n-key")
        calls = InProcessModelCalls()
        router = ModelRouter(
            models, default="auto", queue=1, patience=Patience(5, 5), calls=calls, prices=PriceList([])
        )
        async with N8n(webhook) as n8n:
            client = WorkflowClient(
                n8n.url, path="answer-question", key="k" * 16, api_key_file=key_file, idle_timeout_s=5
            )
            async with client as workflow:
                built = Gateway(
                    identity=Identity("gateway-key-0001", SECRET, "client-key-00001"),
                    path=AnswerPath(workflow, calls, deadline_s),
                    router=router,
                    offer=ModelOffer(),
                    limits=LIMITS,
                    spending=spending,
                )
                app = FastAPI()
                app.include_router(gateway_api(built))
                add_error_handlers(app)
                async with served(app) as url:
                    bench = Bench(url, n8n, calls)
                    async with bench.http:
                        yield bench

    return gateway


def sources(*pages: int) -> bytes:
    found = [to_source(Citation(page, "leave", page, f"Leave p.{page}", ("28 days",), (0.9,))) for page in pages]
    return chunk("item", json.dumps({"execution_id": "77", "sources": found}), "Send citations")


async def whole(request: web.Request) -> web.StreamResponse:
    return await stream(request, sources(1), answer("Thirty ", "days [1]."))


def code(response: httpx.Response) -> str:
    return str(response.json()["error"]["code"])


async def test_a_question_becomes_one_run_of_the_workflow_with_user_groups_and_history(serve: Serve) -> None:
    bodies: list[dict[str, Any]] = []

    async def webhook(request: web.Request) -> web.StreamResponse:
        bodies.append(await request.json())
        return await whole(request)

    turns = [{"role": role, "content": text} for role, text in [("user", "a"), ("assistant", "b"), ("user", "And c?")]]
    async with serve(webhook) as bench:
        response = await bench.chat(messages=turns, stream=True, headers={"x-ragline-groups": "g1,g2"})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/event-stream")
    assert response.text.endswith("data: [DONE]\n\n")
    assert len(bodies) == 1
    assert bodies[0]["question"] == "And c?"
    assert bodies[0]["history"] == turns[:2]
    assert bodies[0]["user"] == {"id": "u1", "groups": ["g1", "g2"]}
    ask = {"model": "default", "request_id": bodies[0]["request_id"], "user": "u1", "fresh": False}
    assert bodies[0]["ask"] == ask


async def test_an_answer_that_is_not_streamed_comes_whole_with_its_figures(serve: Serve) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        call = ModelCall((await request.json())["request_id"], "a/b", "a/b", 0, 5, 9, Usage(3, 4), 0.0)
        await calls[0].put(call)
        return await whole(request)

    calls: list[InProcessModelCalls] = []
    async with serve(webhook) as bench:
        calls.append(bench.calls)
        response = await bench.chat()
    assert response.json()["choices"][0]["message"]["content"] == "Thirty days [1]."
    assert response.json()["usage"]["total_tokens"] == 7
    assert float(response.headers["x-ttft-ms"]) > 0


async def test_a_fallback_is_told_before_the_first_word(serve: Serve) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        request_id = (await request.json())["request_id"]
        await calls[0].put(ModelCall(request_id, "ollama/x", "extractive/quotes", 0))
        return await whole(request)

    calls: list[InProcessModelCalls] = []
    async with serve(webhook) as bench:
        calls.append(bench.calls)
        text = (await bench.chat(stream=True)).text
    assert "Ollama (x) did not answer: quotes from your documents instead" in text.split("Thirty")[0]


async def test_an_answer_that_no_model_of_the_router_gives_is_recorded_as_begun(serve: Serve) -> None:
    ids: list[str] = []

    async def webhook(request: web.Request) -> web.StreamResponse:
        ids.append((await request.json())["request_id"])
        return await whole(request)

    async with serve(webhook) as bench:
        text = (await bench.chat(stream=True)).text
        begun = await bench.calls.get(ids[0])
    assert begun is not None
    assert begun.unfinished
    assert '"estimated":true' in text


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_spent_budget_is_said_before_the_workflow_is_run(serve: Serve, streamed: bool) -> None:
    async def webhook(_: web.Request) -> web.StreamResponse:
        raise AssertionError("the workflow was run")

    money = Money()
    money.poor.add("u1")
    async with serve(webhook, spending=money) as bench:
        refused = await bench.chat(stream=streamed)
        measured = await bench.http.post("/answer", json={"question": "How much leave?"})
    assert [refused.status_code, measured.status_code] == [429, 429]
    assert refused.headers["retry-after"] == "60"
    assert code(refused) == code(measured) == "budget_spent"
    assert refused.json()["error"]["message"] == "The money of u1 is spent."


async def test_tasks_never_reach_the_workflow(serve: Serve) -> None:
    async def webhook(_: web.Request) -> web.StreamResponse:
        raise AssertionError("the workflow was run")

    async with serve(webhook) as bench:
        response = await bench.chat(headers={"x-ragline-task": "title_generation"})
    assert response.status_code in (200, 503)


async def test_a_task_that_a_model_answers_says_what_it_took(serve: Serve) -> None:
    async with running_model_server() as server:
        models = [ServedProvider(OllamaProvider(server.url), 2)]
        async with serve(whole, models=models) as bench:
            response = await bench.chat(headers={"x-ragline-task": "title_generation"})
    usage = response.json()["usage"]
    assert usage["completion_tokens"] > 0
    assert usage["answered_by"].startswith("ollama/mock")


async def test_the_measurement_form_is_the_same_stream(serve: Serve) -> None:
    async with serve(whole) as bench:
        text = (await bench.http.post("/answer", json={"question": "How much leave?", "k": 3})).text
    names = [line.removeprefix("event: ") for line in text.split("\n") if line.startswith("event: ")]
    assert names == ["meta", "token", "token", "done"]


# --- citations -------------------------------------------------------------------------------------------------------


CITING = ("28 days [", "1] or 30 [9", "9]", " a year【2†", "source】 [1, 98].", " [Pass", "age 2", ", p. 3] [4")
CITED = "28 days [1] or 30 a year[2] [1]. [2] [4"


async def said_by(bench: Bench, form: str) -> str:
    if form == "whole":
        return str((await bench.chat()).json()["choices"][0]["message"]["content"])
    if form == "measured":
        text = (await bench.http.post("/answer", json={"question": "How much leave?"})).text
        return "".join(json.loads(line[6:]).get("text", "") for line in text.splitlines() if line.startswith("data: "))
    text = (await bench.chat(stream=True)).text
    lines = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return "".join(choice["delta"].get("content", "") for line in lines for choice in line.get("choices", []))


@pytest.mark.parametrize("form", ["streamed", "whole", "measured"])
async def test_only_citations_with_a_passage_reach_the_reader_in_any_form(
    serve: Serve, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, sources(1, 2), answer(*CITING))

    async with serve(webhook) as bench:
        assert await said_by(bench, form) == CITED
    warnings = [record.getMessage() for record in caplog.records if record.name == "pipelines.answer.progress"]
    assert [warning.split()[:2] for warning in warnings] == [["2", "citations"]]
    assert "Leave" not in warnings[0]


async def test_a_workflow_that_sends_no_sources_or_sends_them_too_late_cites_nothing(serve: Serve) -> None:
    async def without(request: web.Request) -> web.StreamResponse:
        return await stream(request, answer("28 days [1]", "."))

    async def late(request: web.Request) -> web.StreamResponse:
        return await stream(request, answer("28 days [1]."), sources(1))

    for webhook in (without, late):
        async with serve(webhook) as bench:
            assert await said_by(bench, "streamed") == "28 days."


# --- failures ---------------------------------------------------------------------------------------------------------


async def test_a_failure_before_the_stream_has_a_status_and_a_sentence(serve: Serve) -> None:
    async def webhook(_: web.Request) -> web.StreamResponse:
        return web.Response(status=503)

    async with serve(webhook) as bench:
        response = await bench.chat(stream=True)
    assert (response.status_code, code(response)) == (503, "workflow_unavailable")
    assert int(response.headers["retry-after"]) > 0


async def test_a_failure_during_the_stream_is_an_event_and_never_text(serve: Serve) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, CITATIONS, chunk("begin"), chunk("item", "half"), chunk("error", "boom"))

    async with serve(webhook) as bench:
        text = (await bench.chat(stream=True)).text
    assert json.loads(text.rstrip().rpartition("data: ")[2])["error"]["code"] == "workflow_failed"
    assert "[DONE]" not in text


async def test_an_answer_that_takes_too_long_ends_with_an_error_and_stops_the_workflow(serve: Serve) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, CITATIONS, chunk("begin"), then=30)

    async with serve(webhook, deadline_s=0.5) as bench:
        text = (await bench.chat(stream=True)).text
        assert '"deadline_exceeded"' in text
        async with asyncio.timeout(1):
            assert await bench.n8n.stopped.get() == "77"


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_reader_who_leaves_stops_the_workflow_within_a_second(serve: Serve, streamed: bool) -> None:
    async def webhook(request: web.Request) -> web.StreamResponse:
        return await stream(request, CITATIONS, chunk("begin"), chunk("item", "a"), then=30)

    async with serve(webhook) as bench:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await bench.chat(stream=streamed)
        async with asyncio.timeout(1):
            assert await bench.n8n.stopped.get() == "77"


# --- bad input --------------------------------------------------------------------------------------------------------


def said(role: str, text: str, model: str = "company-documents") -> dict[str, Any]:
    return {"json": {"model": model, "messages": [{"role": role, "content": text}]}}


JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("request_kwargs", "status", "error_code"),
    [
        ({"content": b"{not json", "headers": JSON}, 400, "invalid_request"),
        ({"content": b"[]", "headers": JSON}, 400, "invalid_request"),
        ({"content": b"a=b", "headers": {"content-type": "text/plain"}}, 415, "unsupported_media_type"),
        ({"json": {"model": "company-documents"}}, 400, "invalid_request"),
        ({"json": {"model": "company-documents", "messages": []}}, 400, "invalid_request"),
        (said("user", "  "), 400, "empty_question"),
        (said("robot", "x"), 400, "invalid_request"),
        (said("assistant", "x"), 400, "invalid_request"),
        (said("user", "x", model="gpt-4"), 404, "model_not_found"),
        (said("user", "x" * 2000), 413, "request_too_large"),
        ({"content": b" " * 300_000, "headers": JSON}, 413, "request_too_large"),
    ],
)
async def test_bad_input_has_its_own_typed_answer(
    serve: Serve, request_kwargs: dict[str, Any], status: int, error_code: str
) -> None:
    async with serve(whole) as bench:
        response = await bench.http.post("/v1/chat/completions", **request_kwargs)
        assert (response.status_code, code(response)) == (status, error_code)
        assert (await bench.chat()).status_code == 200


async def test_a_wrong_key_is_refused_everywhere(serve: Serve) -> None:
    async with serve(whole) as bench:
        wrong = {"authorization": "Bearer wrong"}
        for call in (
            bench.http.get("/v1/models", headers=wrong),
            bench.chat(headers=wrong),
            bench.http.post("/answer", json={"question": "x"}, headers=wrong),
        ):
            response = await call
            assert (response.status_code, code(response)) == (401, "unauthorized")


async def test_an_unknown_route_and_a_wrong_method_are_typed_too(serve: Serve) -> None:
    async with serve(whole) as bench:
        assert code(await bench.http.get("/nothing")) == "not_found"
        assert code(await bench.http.get("/v1/chat/completions")) == "method_not_allowed"


# --- another answer ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [True, False])
async def test_a_turn_that_was_answered_whole_and_comes_again_asks_for_another_answer(
    serve: Serve, streamed: bool
) -> None:
    asked: list[bool] = []
    failing = [True, False, False, False, False, False]

    async def webhook(request: web.Request) -> web.StreamResponse:
        asked.append((await request.json())["ask"]["fresh"])
        if failing[len(asked) - 1]:
            return await stream(request, sources(1), answer("Thirty ")[:-20], chunk("error", "boom"))
        return await whole(request)

    async with serve(webhook) as bench:
        for turn in ("m1", "m1", "m1", "m2", "", ""):
            await bench.chat(stream=streamed, headers={"x-ragline-turn": turn})
    assert asked == [False, False, True, False, False, False]


async def test_a_turn_is_one_readers_and_one_models_alone(serve: Serve) -> None:
    asked: list[bool] = []

    async def webhook(request: web.Request) -> web.StreamResponse:
        asked.append((await request.json())["ask"]["fresh"])
        return await whole(request)

    async with serve(webhook) as bench:
        for sub in ("anna", "ben", "anna"):
            await bench.chat(headers={**headers(signed(sub=sub)), "x-ragline-turn": "m1"})
    assert asked == [False, False, True]
