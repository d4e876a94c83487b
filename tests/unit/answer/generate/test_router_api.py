"""The router's routes over a real server, called as n8n calls them: by OpenAI's client, and byte by byte."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openai
import orjson
import pytest
from fastapi import FastAPI, Request

from pipelines.answer.departures import Departures
from pipelines.answer.generate.circuit import FAILURES
from pipelines.answer.generate.model_calls import ModelCall
from pipelines.answer.generate.router import ModelRouter, Patience
from pipelines.answer.generate.router_api import router_api
from pipelines.error_responses import add_error_handlers
from pipelines.errors import Unauthorized
from pipelines.stores.cache import MemoryCache
from tests.fakes.served import served
from tests.models import ModelServer, running_model_server
from tests.unit.answer.generate.test_router import build_router

KEY = "internal-key-of-the-test"


def authorize(request: Request) -> None:
    if request.headers.get("authorization") != f"Bearer {KEY}":
        raise Unauthorized("This route needs the internal key.")


AUTHORIZED = {"Authorization": f"Bearer {KEY}"}


def _app(router: ModelRouter, departures: Departures | None = None) -> FastAPI:
    app = FastAPI()
    add_error_handlers(app)
    app.include_router(router_api(router, authorize, departures=departures))
    return app


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


@pytest.fixture
async def router(server: ModelServer) -> AsyncIterator[ModelRouter]:
    router = build_router(server, parallel=2, queue=0)
    yield router
    await router.close()


@pytest.fixture
async def url(router: ModelRouter) -> AsyncIterator[str]:
    async with served(_app(router)) as running:
        yield running


@pytest.fixture
async def http(url: str) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"{url}/llm/v1", headers=AUTHORIZED, timeout=10) as client:
        yield client


@pytest.fixture
async def client(url: str) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{url}/llm/v1", api_key=KEY, max_retries=0) as client:
        yield client


def _body(model: str, **fields: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "How much leave?"}], "stream": True, **fields}


async def test_streams_to_openais_client(client: openai.AsyncOpenAI) -> None:
    chunks = await client.chat.completions.create(
        model="ollama/mock-ttft0-itl1-len6",
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How much leave?"}],
        stream=True,
        stream_options={"include_usage": True},
        extra_body={"request_id": "r1"},
    )
    seen = [chunk async for chunk in chunks]
    text = "".join(choice.delta.content or "" for chunk in seen for choice in chunk.choices)
    assert text == "According to the documents [1] word6"
    assert seen[0].choices[0].delta.role == "assistant"
    assert [choice.finish_reason for chunk in seen for choice in chunk.choices][-1] == "stop"
    assert seen[-1].usage is not None
    assert (seen[-1].usage.prompt_tokens, seen[-1].usage.completion_tokens) == (5, 6)
    assert {chunk.id for chunk in seen} == {"chatcmpl-r1"}
    assert {chunk.model for chunk in seen} == {"ollama/mock-ttft0-itl1-len6"}


async def test_answers_openais_client_in_one_piece(client: openai.AsyncOpenAI) -> None:
    answer = await client.chat.completions.create(
        model="ollama/mock-ttft0-itl0-len50", messages=[{"role": "user", "content": "Hi"}], max_tokens=2
    )
    assert answer.choices[0].message.content == "According to"
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 2


async def test_every_event_is_whole_and_the_last_is_done(http: httpx.AsyncClient) -> None:
    response = await http.post("/chat/completions", json=_body("ollama/mock-ttft0-itl1-len5"))
    assert response.headers["content-type"].startswith("text/event-stream")
    *events, done, nothing = response.content.split(b"\n\n")
    assert (done, nothing) == (b"data: [DONE]", b"")
    chunks = [orjson.loads(event.removeprefix(b"data: ")) for event in events]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in chunks)
    assert not any("usage" in chunk for chunk in chunks)


async def test_the_first_words_come_while_the_model_is_still_writing(http: httpx.AsyncClient) -> None:
    started = time.perf_counter()
    first = 0.0
    async with http.stream("POST", "/chat/completions", json=_body("ollama/mock-ttft0-itl50-len20")) as response:
        async for line in response.aiter_lines():
            if not first and "According" in line:
                first = time.perf_counter() - started
    assert first < (time.perf_counter() - started) / 3


async def test_the_usage_says_what_it_cost_and_whether_it_was_counted(http: httpx.AsyncClient) -> None:
    counted = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8, "estimated": False, "cached": False}
    for fields in ({"stream_options": {"include_usage": True}}, {"stream": False}):
        response = await http.post("/chat/completions", json=_body("ollama/mock-ttft0-itl0-len5", **fields))
        body = response.text if "stream" in fields else response.text.split("\n\n")[-3].removeprefix("data: ")
        usage = orjson.loads(body)["usage"]
        assert usage == counted | {"cost_usd": pytest.approx(13e-6)}
    response = await http.post("/chat/completions", json=_body("extractive/quotes", stream=False))
    assert response.json()["usage"]["estimated"]
    assert response.json()["usage"]["cost_usd"] is None


@pytest.mark.parametrize("stream", [True, False])
async def test_an_answer_carries_its_request_id(http: httpx.AsyncClient, stream: bool) -> None:
    for given in ("r-1", ""):
        body = _body("ollama/mock-ttft0-itl0-len5", stream=stream, request_id=given)
        response = await http.post("/chat/completions", json=body)
        said = response.headers["x-request-id"]
        assert said == given if given else len(said) == 32
        assert f"chatcmpl-{said}" in response.text
    refused = await http.post("/chat/completions", json=_body("ollama/mock-ttft0-itl0-len5", request_id="a\r\nB: c"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (400, "invalid_request")


@pytest.mark.parametrize("stream", [True, False])
async def test_the_model_that_answers_is_named_when_it_is_another(server: ModelServer, stream: bool) -> None:
    router = build_router(server, fallback=("ollama/mock-ttft0-itl0-len5",))
    async with served(_app(router)) as url, httpx.AsyncClient(headers=AUTHORIZED) as http:
        body = _body("ollama/mock-ttft0-itl0-len5-err", stream=stream)
        text = (await http.post(f"{url}/llm/v1/chat/completions", json=body)).text
    event = text.split("\n\n")[0].removeprefix("data: ")
    assert orjson.loads(event)["model"] == "ollama/mock-ttft0-itl0-len5"
    await router.close()


async def test_a_model_that_is_down_is_refused_at_once_with_when_to_return_and_reported(
    http: httpx.AsyncClient,
) -> None:
    down = "mock-ttft0-itl0-len5-err"
    for _ in range(FAILURES):
        assert (await http.post("/chat/completions", json=_body(f"ollama/{down}"))).status_code == 502
    refused = await http.post("/chat/completions", json=_body(f"ollama/{down}"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_unavailable")
    assert int(refused.headers["retry-after"]) >= 1
    reports = {(each["provider"], each["model"]): each for each in (await http.get("/providers")).json()["data"]}
    assert set(reports) == {("ollama", ""), ("extractive", ""), ("ollama", down)}
    well, ill = reports["ollama", ""], reports["ollama", down]
    assert well == {
        **{"provider": "ollama", "model": "", "state": "closed", "error_code": "", "error": "", "since": None},
        **{"active": 0, "waiting": 0, "parallel": 2},
    }
    assert (ill["state"], ill["error_code"]) == ("open", "model_failed")
    assert ill["since"].startswith("20")


async def test_the_call_is_recorded_under_the_request_id(http: httpx.AsyncClient, router: ModelRouter) -> None:
    await http.post("/chat/completions", json=_body("ollama/mock-ttft0-itl0-len5", request_id="r7"))
    call = await router.calls.get("r7")
    assert call is not None
    assert call.usage is not None


async def test_an_answer_that_broke_off_is_not_begun_again(http: httpx.AsyncClient, server: ModelServer) -> None:
    broken = _body("ollama/mock-ttft0-itl0-len9-fail3", request_id="r8")
    said = (await http.post("/chat/completions", json=broken)).text
    again = await http.post("/chat/completions", json=_body("ollama/mock-ttft0-itl0-len9", request_id="r8"))
    assert "According" in said
    assert (again.status_code, again.json()["error"]["code"]) == (502, "model_failed")
    assert server.stats.requests == 1


async def test_an_answer_that_a_model_of_n8ns_own_has_begun_is_not_begun_again(
    http: httpx.AsyncClient, router: ModelRouter
) -> None:
    await router.calls.put(ModelCall("r9", asked="", model="", wait_ms=0, model_ttft_ms=0))
    again = await http.post("/chat/completions", json=_body("ollama/mock-ttft0-itl0-len9", request_id="r9"))
    call = await router.calls.get("r9")
    assert again.status_code == 502
    assert call is not None
    assert call.error is not None  # which the reader is told


async def test_an_agent_that_has_called_a_tool_may_ask_again(http: httpx.AsyncClient) -> None:
    for _ in range(2):
        step = await http.post("/chat/completions", json=_body("ollama/mock-ttft0-itl0-len5", request_id="r10"))
        assert "[DONE]" in step.text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (_body("ollama/llama3.2"), 404, "model_not_found"),
        (_body("gpt-4"), 404, "model_not_found"),
        (_body("ollama/mock-ttft0-itl0-len5-err"), 502, "model_failed"),
        (_body("ollama/mock-ttft0-itl0-len5-busy"), 429, "busy"),
        (_body("ollama/mock-ttft0-itl0-len5-hang0"), 504, "deadline_exceeded"),
        (_body("ollama/mock-ttft0-itl0-len5", messages=[]), 400, "invalid_request"),
        (_body("ollama/mock-ttft0-itl0-len5", messages=[{"role": "tool", "content": ""}]), 400, "invalid_request"),
        (_body("ollama/mock-ttft0-itl0-len5", temperature="hot"), 400, "invalid_request"),
    ],
)
@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_before_the_first_token_has_its_status(
    http: httpx.AsyncClient, body: dict[str, Any], status: int, code: str, stream: bool
) -> None:
    response = await http.post("/chat/completions", json=body | {"stream": stream})
    assert response.status_code == status
    error = response.json()["error"]
    assert error["code"] == code
    assert error["message"]
    assert ("retry-after" in response.headers) == (status == 429)


@pytest.mark.parametrize("fault", ["fail5", "err5", "hang5"])
async def test_an_error_in_the_middle_ends_the_stream_without_done(http: httpx.AsyncClient, fault: str) -> None:
    response = await http.post("/chat/completions", json=_body(f"ollama/mock-ttft0-itl1-len50-{fault}"))
    assert response.status_code == 200
    assert "According" in response.text
    *_, last, nothing = response.text.split("\n\n")
    assert orjson.loads(last.removeprefix("data: "))["error"]["code"] in ("model_failed", "deadline_exceeded")
    assert nothing == ""
    assert "[DONE]" not in response.text
    assert '"finish_reason":"stop"' not in response.text


async def test_openais_client_takes_a_broken_stream_for_an_error(client: openai.AsyncOpenAI) -> None:
    chunks = await client.chat.completions.create(
        model="ollama/mock-ttft0-itl1-len50-fail5", messages=[{"role": "user", "content": "Hi"}], stream=True
    )
    with pytest.raises(openai.APIError, match="broke"):
        async for _ in chunks:
            pass


async def test_a_full_queue_answers_429_with_when_to_return(http: httpx.AsyncClient) -> None:
    slow = [
        asyncio.create_task(http.post("/chat/completions", json=_body("ollama/mock-ttft300-itl0-len5"))) for _ in "12"
    ]
    await asyncio.sleep(0.1)
    refused = await http.post("/chat/completions", json=_body("ollama/mock-ttft0-itl0-len5"))
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "busy")
    assert int(refused.headers["retry-after"]) >= 1
    assert [(await answer).status_code for answer in slow] == [200, 200]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("model", ["mock-ttft400-itl0-len5", "mock-ttft0-itl100-len50"])
async def test_a_client_that_leaves_stops_the_model_at_once(
    http: httpx.AsyncClient, server: ModelServer, router: ModelRouter, model: str, stream: bool
) -> None:
    reading = asyncio.create_task(http.post("/chat/completions", json=_body(f"ollama/{model}", stream=stream)))
    await asyncio.sleep(0.15)
    reading.cancel()
    await asyncio.sleep(0.2)
    assert (server.stats.cancelled, server.stats.active, router.active) == (1, 0, 0)


async def test_many_streams_are_whole_though_merged(http: httpx.AsyncClient, server: ModelServer) -> None:
    # forty clients and the model share this process: on a loaded machine a word may come late
    router = build_router(server, parallel=50, queue=50, patience=Patience(first_token_s=30, idle_s=30))
    expected = "According to the documents [1]" + "".join(f" word{place}" for place in range(6, 31))
    async with served(_app(router)) as url:
        answers = await asyncio.gather(
            *(
                http.post(f"{url}/llm/v1/chat/completions", json=_body("ollama/mock-ttft0-itl5-len30"))
                for _ in range(40)
            )
        )
    pieces = 0
    for answer in answers:
        events = [event.removeprefix("data: ") for event in answer.text.split("\n\n")[:-2]]
        texts = [orjson.loads(event)["choices"][0]["delta"].get("content", "") for event in events]
        assert "".join(texts) == expected
        pieces += len(texts)
    assert pieces < 40 * 20
    await router.close()


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}])
async def test_nobody_without_the_internal_key_is_served(url: str, headers: dict[str, str]) -> None:
    async with httpx.AsyncClient(base_url=f"{url}/llm/v1", headers=headers) as stranger:
        for response in (
            await stranger.get("/models"),
            await stranger.get("/providers"),
            await stranger.post("/chat/completions", json=_body("default")),
        ):
            assert (response.status_code, response.json()["error"]["code"]) == (401, "unauthorized")


async def test_lists_models_as_openai_does(client: openai.AsyncOpenAI) -> None:
    assert "extractive/quotes" in {model.id for model in (await client.models.list()).data}


async def test_a_call_whose_reader_has_left_another_replica_ends_and_so_does_the_model(
    server: ModelServer, router: ModelRouter
) -> None:
    departures = Departures(MemoryCache(10_000), look_s=0.01)
    body = _body("ollama/mock-ttft0-itl50-len600", request_id="r1")
    async with (
        served(_app(router, departures)) as url,
        httpx.AsyncClient(base_url=f"{url}/llm/v1", headers=AUTHORIZED, timeout=10) as http,
        http.stream("POST", "/chat/completions", json=body) as response,
    ):
        lines = response.aiter_lines()
        while '"content"' not in await anext(lines):
            pass
        await departures.note("r1")
        left = time.monotonic()
        rest = [line async for line in lines]
    assert time.monotonic() - left < 1
    assert '"code":"cancelled"' in "".join(rest)
    assert "[DONE]" not in "".join(rest)
    while not server.stats.cancelled:
        assert time.monotonic() - left < 2
        await asyncio.sleep(0.01)
