"""What the doctor says of Ollama and OpenAI-compatible servers, of names and of prices."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.models import ModelServer, running_model_server
from tests.models.script import LISTED
from tests.unit.doctor.conftest import Ask, MakeSettings

MODEL = LISTED[0]


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


async def test_a_model_that_ollama_has(server: ModelServer, make_settings: MakeSettings, ask: Ask) -> None:
    found = await ask(make_settings(llm_provider="ollama", llm_model=MODEL, ollama_base_url=server.url), "ollama")
    assert found[f"ollama {MODEL}"].state == "ok"


async def test_a_model_that_is_not_pulled(server: ModelServer, make_settings: MakeSettings, ask: Ask) -> None:
    settings = make_settings(llm_provider="ollama", llm_model="llama3.2:3b", ollama_base_url=server.url)
    found = (await ask(settings, "ollama"))["ollama llama3.2:3b"]
    assert (found.state, found.todo) == ("failed", "`ollama pull llama3.2:3b`")


async def test_a_choice_and_a_fallback_are_asked_for_too(
    server: ModelServer, make_settings: MakeSettings, ask: Ask
) -> None:
    settings = make_settings(
        llm_provider="extractive", llm_choices=f"ollama/{MODEL}", llm_fallback="ollama/b", ollama_base_url=server.url
    )
    found = await ask(settings, "ollama")
    assert {part: finding.state for part, finding in found.items()} == {f"ollama {MODEL}": "ok", "ollama b": "failed"}


async def test_ollama_that_is_down_is_a_failure_where_it_was_asked_for(make_settings: MakeSettings, ask: Ask) -> None:
    found = (await ask(make_settings(llm_provider="ollama", llm_model="a"), "ollama"))["ollama"]
    assert (found.state, found.todo) == ("failed", "start it or set OLLAMA_BASE_URL")


async def test_ollama_that_is_down_is_a_warning_where_nobody_asked_for_it(
    make_settings: MakeSettings, ask: Ask
) -> None:
    found = (await ask(make_settings(), "ollama"))["ollama"]
    assert found.state == "warning"
    assert "quotes" in found.seen
    assert "ollama pull" in found.todo


async def test_a_model_that_is_loaded_with_another_context_than_questions_ask_for(
    server: ModelServer, make_settings: MakeSettings, ask: Ask
) -> None:
    body = {"model": MODEL, "messages": [], "options": {"num_ctx": 4096}}
    async with httpx.AsyncClient() as client:
        await client.post(f"{server.url}/api/chat", json=body)
    settings = make_settings(llm_provider="ollama", llm_model=MODEL, ollama_base_url=server.url)
    found = (await ask(settings, "ollama"))[f"ollama {MODEL}"]
    assert found.state == "warning"
    assert "4,096 tokens" in found.seen
    assert "OLLAMA_CONTEXT_LENGTH=4096" in found.todo


async def test_a_model_that_reads_less_than_is_asked_of_it(
    server: ModelServer, make_settings: MakeSettings, ask: Ask
) -> None:
    settings = make_settings(
        llm_provider="ollama", llm_model=MODEL, ollama_base_url=server.url, ollama_context_length=262_144
    )
    found = (await ask(settings, "ollama"))[f"ollama {MODEL}"]
    assert (found.state, "131,072 tokens at most" in found.seen) == ("warning", True)


async def test_an_openai_compatible_server(server: ModelServer, make_settings: MakeSettings, ask: Ask) -> None:
    settings = make_settings(llm_provider="openai", openai_base_url=f"{server.url}/v1", openai_model="no-such")
    found = (await ask(settings, "openai"))["openai no-such"]
    assert (found.state, found.todo) == ("failed", "set OPENAI_MODEL to one that `ragline models` lists")
    with_one = settings.model_copy(update={"openai_model": MODEL})
    assert (await ask(with_one, "openai"))[f"openai {MODEL}"].state == "ok"


async def test_a_fallback_at_a_provider_that_there_is_none_of(make_settings: MakeSettings, ask: Ask) -> None:
    found = await ask(make_settings(llm_fallback="bedrok/nova, extractive/quotes"), "models")
    assert found["models bedrok/nova"].state == "failed"
    assert "LLM_FALLBACK names the provider 'bedrok'" in found["models bedrok/nova"].seen


@pytest.mark.parametrize(("days", "state"), [(-1, "warning"), (30, "warning"), (90, "ok")])
async def test_a_model_that_ends(make_settings: MakeSettings, ask: Ask, tmp_path: Path, days: int, state: str) -> None:
    today = datetime.now(UTC).date()
    price = {
        "model": "ollama/a",
        "input": 1,
        "output": 2,
        "unit": "USD per 1M tokens",
        "region": "here",
        "source": "a test",
        "read_on": str(today),
        "confidence": "exact",
        "ends_on": str(today + timedelta(days=days)),
    }
    file = tmp_path / "prices.json"
    file.write_text(json.dumps({"note": "", "prices": [price, {**price, "model": "extractive/*", "ends_on": None}]}))
    found = await ask(make_settings(llm_provider="ollama", llm_model="a", prices_file=file), "prices")
    (finding,) = found.values()
    assert finding.state == state


async def test_a_model_without_a_price_is_a_warning(make_settings: MakeSettings, ask: Ask) -> None:
    found = await ask(make_settings(llm_provider="openai", openai_base_url="http://x/v1", llm_model="new"), "prices")
    assert found["prices openai/new"].state == "warning"
