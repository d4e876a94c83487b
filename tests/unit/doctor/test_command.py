"""`ragline doctor` and `ragline models` as the shell runs them: what they print, and how they end."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from pipelines.doctor_commands import app
from pipelines.errors import InvalidRequest
from tests.fakes.aws_models import AwsModels, running_aws_models
from tests.models import ModelServer, running_model_server
from tests.models.script import LISTED
from tests.unit.doctor.conftest import SECRETS
from tests.unit.doctor.parts import running_parts
from tests.unit.native.parts_for_tests import free_port

Run = Callable[..., Awaitable[Result]]
MODEL = LISTED[0]


@pytest.fixture
async def models() -> AsyncIterator[ModelServer]:
    async with running_model_server() as running:
        yield running


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command in an empty folder, with settings from its `.env`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    ports = {f"{part}_port": free_port() for part in ("open_webui", "n8n", "pipelines", "postgres")}
    basic = {"default_access": "everyone", "ollama_base_url": f"http://127.0.0.1:{free_port()}", **ports, **SECRETS}

    async def invoke(*args: str, **settings: object) -> Result:
        lines = [f"{name.upper()}={value}" for name, value in {**basic, **settings}.items()]
        (tmp_path / ".env").write_text("\n".join(lines))
        (tmp_path / ".env").chmod(0o600)
        return await asyncio.to_thread(lambda: CliRunner().invoke(app, args))

    return invoke


async def test_a_stack_that_is_down_is_one_line_and_exit_code_1(run: Run) -> None:
    result = await run("doctor")
    assert result.exit_code == 1
    assert "→ start the stack" in result.output
    assert result.output.count("✗") == 1
    assert "n8n webhook, n8n answer, postgres: not looked at (needs stack: does not run here)" in result.output


async def test_warnings_alone_are_exit_code_0(run: Run) -> None:
    result = await run("doctor", "ollama", "models")
    assert result.exit_code == 0
    assert "! ollama" in result.output


async def test_json_has_every_finding(run: Run) -> None:
    result = await run("doctor", "models", "--json")
    assert json.loads(result.output) == [
        {
            "part": "models",
            "state": "ok",
            "seen": "every name is known; fallbacks: extractive/quotes",
            "todo": "",
            "took_ms": json.loads(result.output)[0]["took_ms"],
        }
    ]


async def test_an_unknown_part_is_refused_with_those_that_there_are(run: Run) -> None:
    result = await run("doctor", "nope")
    assert isinstance(result.exception, InvalidRequest)
    assert "open-webui" in result.exception.message


async def test_settings_that_are_wrong_are_the_only_thing_said(run: Run) -> None:
    result = await run("doctor", llm_provider="openai")
    assert result.exit_code == 1
    assert "LLM_PROVIDER=openai needs OPENAI_BASE_URL" in result.output
    result = await run("doctor", gateway_api_key="change-me")
    assert "GATEWAY_API_KEY is a placeholder" in result.output


async def test_an_env_file_that_others_may_read_is_a_warning(run: Run, tmp_path: Path) -> None:
    await run("doctor", "models")
    (tmp_path / ".env").chmod(0o644)
    result = await asyncio.to_thread(lambda: CliRunner().invoke(app, ["doctor", "settings"]))
    assert result.exit_code == 0
    assert "`chmod 600 .env`" in result.output


@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_secret_is_ever_printed(run: Run, form: str) -> None:
    """Not even when a part repeats what it was sent, or an address carries an account."""
    password = "canary-in-an-address"
    async with running_parts() as parts:
        parts.answer = f'{{"type": "error", "content": "{SECRETS["internal_api_key"]}"}}\n'.encode()
        urls = {f"{part}_url": parts.url for part in ("pipelines", "n8n", "open_webui")}
        result = await run(
            *("doctor", *(["--json"] if form == "json" else [])),
            **urls,
            openai_base_url=f"http://me:{password}@127.0.0.1:{free_port()}/v1",
            qdrant_url=f"http://me:{password}@127.0.0.1:{free_port()}",
            cache_url=f"redis://:{password}@127.0.0.1:{free_port()}",
            registry_url=f"postgresql://me:{password}@127.0.0.1:{free_port()}/ragline",
        )
    assert result.exit_code == 1
    assert "n8n answer" in result.output
    assert "canary" not in result.output


async def test_models_by_provider_with_price_and_state(run: Run, models: ModelServer) -> None:
    async with running_parts() as parts:
        parts.circuits = [{"provider": "ollama", "model": MODEL, "state": "open"}]
        result = await run(
            *("models", "--json"),
            llm_provider="ollama",
            llm_model=MODEL,
            ollama_base_url=models.url,
            llm_choices="ollama/not-pulled",
            pipelines_url=parts.url,
        )
    listed = {model["id"]: model for model in json.loads(result.output)["models"]}
    assert listed[f"ollama/{MODEL}"]["roles"] == ["default"]
    assert listed[f"ollama/{MODEL}"]["state"] == "set aside by the router (open)"
    assert listed[f"ollama/{MODEL}"]["shown_as"] == "Company documents"
    assert listed["ollama/not-pulled"]["state"] == "not there: `ollama pull not-pulled`"
    assert listed["ollama/not-pulled"]["shown_as"] == "Company documents - Ollama not-pulled"
    assert listed["extractive/quotes"]["roles"] == ["fallback 1"]
    assert (listed["extractive/quotes"]["input_usd"], listed["extractive/quotes"]["price_read_on"]) == (0, "2026-11-21")
    assert f"ollama/{LISTED[1]}" in listed


async def test_models_says_which_provider_does_not_answer(run: Run) -> None:
    result = await run("models")
    assert result.exit_code == 0
    assert "extractive/quotes  default, fallback 1" in result.output
    assert "Ollama does not answer" in result.output


@pytest.fixture
async def bedrock(aws_environment: pytest.MonkeyPatch) -> AsyncIterator[AwsModels]:
    async with running_aws_models(region="eu-central-1") as running:
        for service in ("BEDROCK", "BEDROCK_RUNTIME"):
            aws_environment.setenv(f"AWS_ENDPOINT_URL_{service}", running.url)
        yield running


async def test_all_lists_what_the_account_offers_as_text_streams(run: Run, bedrock: AwsModels) -> None:
    result = await run("models", "--all", "--json", llm_provider="bedrock", aws_region="eu-central-1")
    found = json.loads(result.output)
    assert found["models"][0]["id"] == "bedrock/eu.amazon.nova-lite-v1:0"
    account = [model["id"] for model in found["account"]]
    assert "bedrock/eu.amazon.nova-pro-v1:0" in account
    assert "bedrock/mistral.mistral-large-2402-v1:0" in account
    assert not any("embed" in model for model in account)


async def test_all_says_which_permission_is_missing(run: Run, bedrock: AwsModels) -> None:
    from tests.fakes.bedrock_refusals import denied

    bedrock.gate.refusal = denied("bedrock:ListFoundationModels", "*")
    result = await run("models", "--all", llm_provider="bedrock", aws_region="eu-central-1")
    assert result.exit_code == 1
    assert '"bedrock:ListInferenceProfiles"' in str(result.exception)
