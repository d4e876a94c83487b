"""The model server, driven by the vendors' own clients so that it cannot drift from their protocols."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import httpx
import ollama
import openai
import pytest

from tests.models import ModelServer
from tests.models.script import LISTED

ASK = [{"role": "user", "content": "How much leave do I have?"}]


@pytest.fixture
async def openai_client(server: ModelServer) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as client:
        yield client


async def test_streams_as_ollama_does_and_on_time(client: ollama.AsyncClient) -> None:
    started = time.perf_counter()
    arrivals: list[float] = []
    text, last = "", None
    async for part in await client.chat("mock-ttft100-itl20-len11", ASK, stream=True):
        arrivals.append(time.perf_counter() - started)
        text += part.message.content or ""
        last = part
    assert text.startswith("According to the documents [1] word6")
    assert last is not None
    assert last.done
    assert last.done_reason == "stop"
    assert (last.eval_count, last.prompt_eval_count) == (11, 6)
    assert last.total_duration
    assert last.total_duration >= 300_000_000
    assert arrivals[0] == pytest.approx(0.1, abs=0.06)
    assert arrivals[-1] == pytest.approx(0.3, abs=0.08)


async def test_answers_in_one_piece_too(client: ollama.AsyncClient) -> None:
    answer = await client.chat("mock-ttft10-itl0-len4", ASK)
    assert answer.message.content == "According to the documents"
    assert answer.eval_count == 4


async def test_lists_shows_and_reports_models_as_ollama_does(client: ollama.AsyncClient) -> None:
    assert [model.model for model in (await client.list()).models] == list(LISTED)
    assert (await client.show(LISTED[0])).capabilities == ["completion"]
    await client.chat("mock-ttft0-itl0-len1", ASK)
    assert [model.model for model in (await client.ps()).models] == ["mock-ttft0-itl0-len1"]


async def test_loads_a_model_when_asked_nothing(client: ollama.AsyncClient) -> None:
    assert (await client.chat("mock-ttft0-itl0-len1", [])).done_reason == "load"


async def test_stops_at_num_predict(client: ollama.AsyncClient) -> None:
    answer = await client.chat("mock-ttft0-itl0-len50", ASK, options={"num_predict": 2})
    assert answer.message.content == "According to"
    assert answer.done_reason == "length"


@pytest.mark.parametrize(
    ("model", "status", "message"),
    [
        ("llama3.2", 404, 'model "llama3.2" not found, try pulling it first'),
        ("mock-ttft0-itl0-len5-busy", 503, "server busy, please try again.  maximum pending requests exceeded"),
        ("mock-ttft0-itl0-len5-err", 500, "llama runner process has terminated: exit status 2"),
    ],
)
async def test_refuses_as_ollama_does(client: ollama.AsyncClient, model: str, status: int, message: str) -> None:
    with pytest.raises(ollama.ResponseError) as refused:
        await client.chat(model, ASK)
    assert (refused.value.status_code, refused.value.error) == (status, message)


async def _texts(client: ollama.AsyncClient, model: str) -> list[str]:
    texts = []
    async for part in await client.chat(model, ASK, stream=True):
        texts.append(part.message.content or "")
    return texts


async def test_fail_breaks_the_connection(client: ollama.AsyncClient) -> None:
    with pytest.raises(httpx.HTTPError):
        await _texts(client, "mock-ttft0-itl1-len9-fail5")


async def test_err_ends_in_an_error_line(client: ollama.AsyncClient) -> None:
    with pytest.raises(ollama.ResponseError, match="an error was encountered"):
        await _texts(client, "mock-ttft0-itl1-len9-err5")


async def test_hang_goes_silent_and_counts_the_client_that_left(
    client: ollama.AsyncClient, server: ModelServer
) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(_texts(client, "mock-ttft0-itl0-len9-hang5"), timeout=0.2)
    await asyncio.sleep(0.1)
    assert (server.stats.cancelled, server.stats.active) == (1, 0)


async def test_drip_sends_byte_by_byte(client: ollama.AsyncClient) -> None:
    started = time.perf_counter()
    assert "".join(await _texts(client, "mock-ttft0-itl1-len1-drip")) == "According"
    assert time.perf_counter() - started > 0.1


async def test_background_tasks_get_short_json_at_once_whatever_the_model(client: ollama.AsyncClient) -> None:
    prompt = '### Task:\nGenerate a concise title.\nJSON format: { "title": "..." }\n### Chat History:\nUSER: Hi'
    started = time.perf_counter()
    answer = await client.chat("mock-ttft5000-itl500-len100", [{"role": "user", "content": prompt}])
    assert answer.message.content == '{"title":"A mock conversation"}'
    assert time.perf_counter() - started < 1


async def test_streams_as_openai_does(openai_client: openai.AsyncOpenAI) -> None:
    chunks = await openai_client.chat.completions.create(
        model="mock-ttft0-itl0-len6",
        messages=[{"role": "user", "content": "Hi there"}],
        stream=True,
        stream_options={"include_usage": True},
    )
    text, reasons, usage = "", [], None
    async for chunk in chunks:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            text += choice.delta.content or ""
            reasons.append(choice.finish_reason)
    assert text == "According to the documents [1] word6"
    assert reasons[-1] == "stop"
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (2, 6)


async def test_refuses_as_openai_does(openai_client: openai.AsyncOpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        await openai_client.chat.completions.create(model="gpt", messages=[{"role": "user", "content": "Hi"}])
    with pytest.raises(openai.RateLimitError) as refused:
        await openai_client.chat.completions.create(
            model="mock-ttft0-itl0-len5-busy", messages=[{"role": "user", "content": "Hi"}]
        )
    assert refused.value.response.headers["retry-after"] == "7"
    assert len((await openai_client.models.list()).data) == len(LISTED)


async def test_statistics_are_read_and_reset_over_http(client: ollama.AsyncClient, server: ModelServer) -> None:
    await asyncio.gather(*(_texts(client, "mock-ttft30-itl1-len3") for _ in range(3)))
    async with httpx.AsyncClient(base_url=server.url) as http:
        stats = (await http.get("/mock/stats")).json()
        assert (stats["requests"], stats["completed"], stats["max_active"], stats["active"]) == (3, 3, 3, 0)
        assert stats["last_request"]["messages"] == ASK
        await http.post("/mock/reset")
        assert (await http.get("/mock/stats")).json()["requests"] == 0
